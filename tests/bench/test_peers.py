"""Configurations that the benchmark writes for its peers."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from bench.peers import caddy, envoy, haproxy, nginx, strangler
from bench.peers.base import Plan, Upstreams
from bench.templates import Template

TEMPLATES = (Template("/carts/{id}"), Template("/carts/mine"), Template("/{project}/key={key}"))
PLAN = Plan(Path("/tmp/bench"), 8000, Upstreams(9001, 9002), TEMPLATES, admin=8001)
ONE = Plan(Path("/tmp/bench"), 8000, Upstreams(9001, 9002))


def test_nginx_gets_literals_as_exact_locations_and_the_rest_as_regexes_most_specific_first() -> None:
    """Each location is split by its own `split_clients`, so that templates are independent of each other."""
    text = nginx.config(PLAN)
    locations = [line.strip() for line in text.splitlines() if "location" in line]

    assert [
        'location = "/carts/mine" { proxy_pass http://$side1; }',
        'location ~ "^/carts/[^/]+$" { proxy_pass http://$side0; }',
        'location ~ "^/[^/]+/key=[^/]+$" { proxy_pass http://$side2; }',
    ] == locations
    assert 'split_clients "route2$http_x_user_id" $side2 { 50% new; * legacy; }' in text


def test_haproxy_gets_one_map_of_literals_one_of_patterns_and_one_of_weights() -> None:
    """The route found in the first two leads to its weight in the third."""
    files = haproxy.Haproxy().files(PLAN)

    assert "/carts/mine r1\n" == files["literal.map"]
    assert "^/carts/[^/]+$ r0\n^/[^/]+/key=[^/]+$ r2\n" == files["pattern.map"]
    assert {"r0 50", "r1 50", "r2 50"} == set(files["weight.map"].splitlines())
    assert "map_reg(/tmp/bench/pattern.map)" in files["haproxy.cfg"]


def test_envoy_gets_a_weighted_sticky_route_per_template() -> None:
    """The side is drawn from a hash of the user, not per request."""
    document = envoy.config(PLAN)
    (chain,) = document["static_resources"]["listeners"][0]["filter_chains"]
    routes = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]

    assert [
        {"path": "/carts/mine"},
        {"safe_regex": {"regex": "^/carts/[^/]+$"}},
        {"safe_regex": {"regex": "^/[^/]+/key=[^/]+$"}},
    ] == [route["match"] for route in routes]
    assert all(route["route"]["weighted_clusters"]["use_hash_policy"] for route in routes)


def test_caddy_maps_the_path_to_a_route_before_one_proxy() -> None:
    """One proxy for all routes, or each would keep its own pool of connections."""
    handlers = caddy.config(PLAN)["apps"]["http"]["servers"]["front"]["routes"][0]["handle"]

    assert ["map", "reverse_proxy"] == [handler["handler"] for handler in handlers]
    assert {"input": "/carts/mine", "outputs": ["r1"]} == handlers[0]["mappings"][0]


def test_with_one_route_every_peer_sends_everything_to_legacy() -> None:
    """The new side's port plays no part in where requests go."""
    assert "location / { proxy_pass http://legacy; }" in nginx.config(ONE)
    assert "use_backend" not in haproxy.config(ONE)
    assert '{"match": {"prefix": "/"}, "route": {"cluster": "legacy"}}' in json.dumps(envoy.config(ONE))
    assert "9002" not in json.dumps(caddy.config(ONE))


def test_our_routes_file_has_a_route_per_template_with_its_weight_and_group() -> None:
    """Groups are dealt out in turn when there are any."""
    document = yaml.safe_load(strangler.config(PLAN, weight=12.5, groups=2))

    assert ["/carts/{id}", "/carts/mine", "/{project}/key={key}"] == [route["path"] for route in document["routes"]]
    assert ["g0", "g1", "g0"] == [route["group"] for route in document["routes"]]
    assert {12.5} == {route["weight"] for route in document["routes"]}
    assert ["http://127.0.0.1:9002"] == document["upstreams"]["new"]["endpoints"]


def test_our_one_route_file_names_one_route_and_no_groups() -> None:
    """The smallest file that routes what the load asks for."""
    document = yaml.safe_load(strangler.config(ONE))

    assert [{"path": "/v1/products/{productNo}", "new": "new", "weight": 0}] == document["routes"]
    assert "groups" not in document

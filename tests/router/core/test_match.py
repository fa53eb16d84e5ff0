"""The matcher, as a tree and packed: against a naive oracle, a conformance suite, and real inventories' traps."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.explain import compiled as tree_of
from router.core.match import conflicts
from router.core.model import Route, SlashRule, Table
from router.core.template import normalise, split
from tests.router.core.tables import naive_find, packed, requests, tables

DATA = Path(__file__).parents[2] / "data"
GATEWAY = json.loads((DATA / "gateway_api_httproute.json").read_text())
TRAPS = json.loads((DATA / "openapi_real_traps.json").read_text())["inventories"]


def table_of(*routes: tuple[str, str] | tuple[str, str, str]) -> Table:
    """A table of (methods, path, host); each route is named by its path and methods."""
    made = []
    for methods, path, *host in routes:
        allowed = tuple(methods.split(",")) if methods else ()
        made.append(Route(f"{methods} {path}".strip(), path, "old", methods=allowed, host=host[0] if host else ""))
    return Table(legacy="old", upstreams={}, routes=tuple(made))


class Both:
    """The tree and what is packed from it, which have to agree on every request."""

    def __init__(self, table: Table) -> None:
        self._tree = tree_of(table)
        self._packed = packed(table)

    def find(self, host: bytes, segments: list[bytes], method: bytes, also: bytes | None = None) -> int | None:
        index = self._tree.find(host, segments, method, also)
        place = self._packed.find(host, segments, method, also)
        assert index == (self._packed.number(place) if place else None)
        return index


def compiled(table: Table) -> Both:
    return Both(table)


def found(table: Table, method: str, path: str, host: str = "", also: str | None = None) -> str | None:
    """The name of the route that takes a request."""
    segments = split(normalise(path.encode()))
    index = compiled(table).find(host.encode(), segments, method.encode(), also.encode() if also else None)
    return None if index is None else table.routes[index].name


@settings(max_examples=400)
@given(tables(), st.lists(requests, min_size=1, max_size=12))
def test_the_matcher_is_the_naive_rules_made_fast(table: Table, asked: list[Any]) -> None:
    """On any table and any request it finds the route that trying every route finds."""
    matcher = compiled(table)
    for request in asked:
        assert naive_find(table.routes, *request) == matcher.find(*request)


@given(tables(), requests, st.randoms())
def test_the_order_in_the_file_never_matters(table: Table, request: Any, random: Any) -> None:
    """A shuffled file sends every request to the same route."""
    shuffled = list(table.routes)
    random.shuffle(shuffled)
    other = Table(legacy="old", upstreams={}, routes=tuple(shuffled))
    one, two = compiled(table).find(*request), compiled(other).find(*request)
    assert (None if one is None else table.routes[one].name) == (None if two is None else other.routes[two].name)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/carts/search", "GET /v1/carts/search"),
        ("PUT", "/v1/carts/search", "PUT /v1/carts/{id}"),
        ("PUT", "/v1/carts/key=7", "PUT /v1/carts/key={key}"),
        ("PUT", "/v1/carts/key=", "PUT /v1/carts/{id}"),
        ("PUT", "/v1/carts/", None),
        ("PUT", "/v1/carts", None),
        ("GET", "/v1/carts/a%2Fb", None),
        ("PUT", "/v1/carts/a%2Fb", "PUT /v1/carts/{id}"),
        ("GET", "/v1/carts/%73earch", "GET /v1/carts/search"),
        ("GET", "/v1/carts/Search", None),
        ("GET", "/v1/carts/search;v=1", None),
        ("GET", "/v1/carts//search", None),
        ("GET", "/v1/display/a/b//c", "/v1/display/{rest...}"),
        ("GET", "/v1/display/", None),
        ("GET", "/v1/display//", "/v1/display/{rest...}"),
        ("GET", "/v1/displays", None),
    ],
)
def test_each_matching_rule_by_an_example(method: str, path: str, expected: str | None) -> None:
    """Literals, partial segments, parameters, rests, methods and escapes, as the documentation says."""
    table = table_of(
        ("GET", "/v1/carts/search"),
        ("PUT", "/v1/carts/{id}"),
        ("PUT", "/v1/carts/key={key}"),
        ("", "/v1/display/{rest...}"),
    )
    assert expected == found(table, method, path)


def test_a_named_host_wins_over_a_closer_path_for_any_host() -> None:
    """The host is compared before the path."""
    table = table_of(("GET", "/a/b"), ("GET", "/a/{x}", "shop.example.com"))
    assert found(table, "GET", "/a/b", host="shop.example.com") == "GET /a/{x}"
    assert found(table, "GET", "/a/b", host="api.example.com") == "GET /a/b"


def test_a_host_without_a_fitting_route_falls_back_to_the_routes_for_any_host() -> None:
    """A host's own routes do not shadow those that are meant for every host."""
    table = table_of(("GET", "/a/b"), ("POST", "/a/b", "shop.example.com"))
    assert found(table, "GET", "/a/b", host="shop.example.com") == "GET /a/b"


def test_head_follows_get_unless_it_has_its_own_route() -> None:
    """The method that stands in comes after the request's own and before any."""
    table = table_of(("GET", "/a"), ("", "/a"), ("HEAD", "/b"), ("GET", "/b"))
    assert found(table, "HEAD", "/a", also="GET") == "GET /a"
    assert found(table, "HEAD", "/b", also="GET") == "HEAD /b"
    assert found(table, "DELETE", "/a") == "/a"


def test_a_trailing_slash_is_its_own_path_unless_the_route_says_same() -> None:
    """`trailing_slash: same` makes both spellings one route, and then a second spelling conflicts."""
    strict = Route("strict", "/strict", "old")
    same = Route("same", "/same", "old", trailing_slash=SlashRule.SAME)
    table = Table(legacy="old", upstreams={}, routes=(strict, same))
    assert [found(table, "GET", path) for path in ("/strict", "/strict/", "/same", "/same/")] == [
        "strict",
        None,
        "same",
        "same",
    ]
    assert [(0, 1, "the same shape, host and method")] == conflicts((same, Route("slash", "/same/", "old")))


@pytest.mark.parametrize(
    ("one", "two", "clash"),
    [
        (("GET", "/a/{x}"), ("GET", "/a/{y}"), True),
        (("GET", "/a/{x}"), ("POST", "/a/{y}"), False),
        (("GET", "/a/{x}"), ("", "/a/{y}"), False),
        (("", "/a/{x}"), ("", "/a/{y}"), True),
        (("GET", "/a"), ("GET", "/a", "shop.example.com"), False),
        (("GET", "/%7Ea"), ("GET", "/~a"), True),
        (("GET", "/{a}-{b}"), ("GET", "/{a}.{b}"), True),
        (("GET", "/{a}-{b}"), ("POST", "/{a}.{b}"), False),
        (("GET", "/x{a}-{b}"), ("GET", "/{a}.{b}"), False),
    ],
)
def test_routes_that_no_rule_tells_apart_conflict(one: tuple[str, str], two: tuple[str, str], clash: bool) -> None:
    """Same shape, host and method, or equally specific partial segments; names of parameters do not distinguish."""
    assert clash is bool(conflicts(table_of(one, two).routes))


# -- the Gateway API's conformance cases -------------------------------------------------------------------------------


def gateway_cases() -> Iterator[Any]:
    """The cases that ask for nothing but path, method and host; those with headers or queries are not our semantics."""
    for each in GATEWAY["sets"]:
        for number, case in enumerate(each["cases"]):
            request = case["request"]
            plain = "headers" not in request and "?" not in request["path"]
            if plain and case.get("expect_status", 404) == 404:
                yield pytest.param(each, case, id=f"{each['name']}-{number}")


def gateway_table(routes: list[Any]) -> tuple[Table, dict[str, str]]:
    """Its rules in our words, the exact ones first, and the backend of each of our routes."""
    made: dict[tuple[str, str, str], str] = {}
    rules = [(route, match) for route in routes for match in route["matches"]]
    for route, match in sorted(rules, key=lambda rule: rule[1].get("path", {}).get("type") != "Exact"):
        if "headers" in match or "query" in match or not route.get("backends"):
            continue
        for host in route.get("hostnames") or [""]:
            for path in gateway_paths(match.get("path", {"type": "PathPrefix", "value": "/"})):
                made.setdefault((match.get("method", ""), path, host), route["backends"][0]["name"])
    table = table_of(*made)
    return table, {route.host + route.name: backend for route, backend in zip(table.routes, made.values(), strict=True)}


def gateway_paths(path: dict[str, str]) -> list[str]:
    bare = path["value"].rstrip("/")
    return [path["value"]] if path["type"] == "Exact" else [bare, bare + "/", bare + "/{rest...}"][not bare :]


@pytest.mark.parametrize(("rules", "case"), list(gateway_cases()))
def test_gateway_api_conformance(rules: Any, case: Any) -> None:
    """Exact before longest prefix before method; prefixes respect segments; unmatched is unmatched."""
    table, backends = gateway_table(rules["routes"])
    request = case["request"]
    host, segments = request.get("host", "").encode(), split(normalise(request["path"].encode()))
    index = compiled(table).find(host, segments, request["method"].encode())
    route = None if index is None else table.routes[index]
    assert case.get("expect_backend") == (None if route is None else backends[route.host + route.name])


def test_the_conformance_suite_is_not_filtered_away() -> None:
    """Enough of its cases are in our semantics for the test above to mean something."""
    assert len(list(gateway_cases())) >= 35


# -- real inventories --------------------------------------------------------------------------------------------------


def operations() -> dict[str, list[tuple[str, str]]]:
    by_vendor: dict[str, dict[tuple[str, str], None]] = defaultdict(dict)
    for operation in json.loads(gzip.decompress((DATA / "commerce-1500.json.gz").read_bytes()))["ops"]:
        by_vendor[operation["vendor"]][operation["method"], operation["path"]] = None
    return {vendor: list(found) for vendor, found in by_vendor.items()}


def sample(path: str) -> str:
    """A path with values that no inventory has as a literal."""
    number = count(1)
    return re.sub(r"\{[^{}]*\}", lambda _: f"v%2F{next(number)}~", path)


@pytest.mark.parametrize(("vendor", "inventory"), list(operations().items()))
def test_every_operation_of_a_real_inventory_reaches_its_own_route(
    vendor: str, inventory: list[tuple[str, str]]
) -> None:
    """No operation is shadowed by another one of the same API."""
    table = table_of(*inventory)
    assert [] == conflicts(table.routes)
    matcher = compiled(table)
    for index, (method, path) in enumerate(inventory):
        assert matcher.find(b"", split(normalise(sample(path).encode())), method.encode()) == index, (method, path)


def trap(name: str) -> list[Any]:
    """The examples of one kind of trap, of all inventories."""
    return [
        pytest.param(example, id=f"{vendor}-{number}")
        for vendor, facts in TRAPS.items()
        for number, example in enumerate(facts[name]["examples"])
    ]


@pytest.mark.parametrize("pair", trap("method_split_pairs"))
def test_a_method_that_the_concrete_path_lacks_goes_to_the_templated_one(pair: dict[str, Any]) -> None:
    """The walk goes back where the closer path does not allow the method."""
    concrete, templated, methods = pair["concrete"], pair["templated"], pair["methods_only_on_templated"]
    table = table_of(("COPY", concrete), ("", templated))
    for method in methods:
        assert templated == found(table, method, sample(concrete))


@pytest.mark.parametrize("pair", trap("concrete_vs_templated_pairs"))
def test_a_concrete_path_wins_over_its_templated_sibling(pair: list[str]) -> None:
    """Whatever stands first in the file."""
    concrete, templated = pair
    assert concrete == found(table_of(("", templated), ("", concrete)), "GET", sample(concrete))
    assert templated == found(table_of(("", concrete), ("", templated)), "GET", sample(templated))


@pytest.mark.parametrize("pair", trap("ambiguous_pairs"))
def test_ambiguous_pairs_are_decided_from_the_left(pair: list[str]) -> None:
    """A path that fits both templates goes to the one with the earlier literal."""
    one, two = (path[1:].split("/") for path in pair)
    both = "/" + "/".join(first if "{" not in first else second for first, second in zip(one, two, strict=True))
    literal_first = next(
        path
        for path, mine, theirs in ((pair[0], one, two), (pair[1], two, one))
        if next("{" not in a for a, b in zip(mine, theirs, strict=True) if ("{" in a) != ("{" in b))
    )
    assert literal_first == found(table_of(("", pair[0]), ("", pair[1])), "GET", sample(both))


@pytest.mark.parametrize("group", trap("same_shape_groups"))
def test_parameter_names_do_not_distinguish_paths(group: list[str]) -> None:
    """Same shape: a conflict for one method, two routes for two methods."""
    assert conflicts(table_of(*(("GET", path) for path in group[:2])).routes)
    assert not conflicts(table_of(("GET", group[0]), ("POST", group[1])).routes)


@pytest.mark.parametrize("path", trap("trailing_slash"))
def test_a_real_trailing_slash_is_kept_apart(path: str) -> None:
    """`/V1/invoices/` and `/V1/invoices` are two operations."""
    table = table_of(("", path), ("", path.rstrip("/")))
    assert path == found(table, "GET", sample(path))
    assert path.rstrip("/") == found(table, "GET", sample(path.rstrip("/")))


@pytest.mark.parametrize("path", trap("partial_segment"))
def test_a_partly_literal_segment_wins_over_a_parameter_in_its_place(path: str) -> None:
    """The closer template is found for what fits it, the parameter for the rest."""
    names = count(1)
    loose = "/".join(
        f"{{loose{next(names)}}}" if "{" in text and not re.fullmatch(r"\{[^{}]*\}", text) else text
        for text in path.split("/")
    )
    table = table_of(("", loose), ("", path))
    assert path == found(table, "GET", sample(path))

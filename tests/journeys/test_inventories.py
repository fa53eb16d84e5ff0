"""Real API inventories as routes, and thousands of labelled requests over HTTP: each reaches its own route.

What is held against the labels is `X-Strangler-Route`, and that the upstream saw the target byte for byte as sent.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.labels import Labelled, Operation, Rules, borrowed, filled, own, routes_yaml, shape, slashed
from tests.journeys.pipelines import Ask, mirror, told
from tests.journeys.rig import Router

DATA = Path(__file__).parents[1] / "data"
TRAPS = json.loads((DATA / "openapi_real_traps.json").read_text())["inventories"]
GATEWAY = json.loads((DATA / "gateway_api_httproute.json").read_text())["sets"]


def commerce(host: str = "") -> list[Operation]:
    """2,544 operations of four commerce APIs in one table."""
    found = json.loads(gzip.decompress((DATA / "commerce-1500.json.gz").read_bytes()))["ops"]
    return [Operation(each["method"], each["path"], host) for each in found]


async def misled(operations: Sequence[Operation], requests: Sequence[Labelled]) -> list[str]:
    """The requests that did not reach their own route, or not as they were sent."""
    async with mirror() as port:
        with Router(routes_yaml(operations, port)) as router:
            answers = await told(router.address, [Ask(each.method, each.target, each.host) for each in requests])
    return [
        f"{wanted.method} {wanted.target[:120]} at {wanted.host}: expected {wanted.route}, got {answer}"
        for wanted, answer in zip(requests, answers, strict=True)
        if (200, wanted.route, f"{wanted.method} {wanted.target}") != (answer.status, answer.route, answer.seen)
    ]


# -- the whole inventory ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "least"),
    [(own, 8000), (borrowed, 3000), (slashed, 2500)],
    ids=["own values", "values of neighbours", "other slashes"],
)
async def test_every_operation_of_a_real_inventory_reaches_its_own_route(
    kind: Callable[[Sequence[Operation]], list[Labelled]], least: int, figure: Callable[[str, str], None]
) -> None:
    """With awkward values, with fixed texts of neighbours as values, and not with a slash more or less."""
    operations = commerce()
    requests = kind(operations)
    assert least <= len(requests)
    wrong = await misled(operations, requests)
    figure(
        f"2,544 real operations over HTTP, {kind.__name__}", f"{len(requests) - len(wrong)} of {len(requests)} right"
    )
    assert [] == wrong


async def test_an_absolute_target_and_a_named_host_change_nothing() -> None:
    """The same inventory at one host, asked in absolute form, in capitals and with a port; other hosts are unlisted."""
    operations = commerce("shop.example.com")
    requests = []
    for number, each in enumerate(operations):
        path = filled(each.path, number)
        requests.append(
            Labelled(each.method, path, each.name, ("shop.example.com", "SHOP.Example.com:8080")[number % 2])
        )
        requests.append(Labelled(each.method, path, "unlisted", "shop.example.com.evil.example"))
    assert [] == await misled(operations, requests)
    absolute = [
        Ask(each.method, f"http://shop.example.com{filled(each.path, number)}", "shop.example.com")
        for number, each in enumerate(operations[::5])
    ]
    async with mirror() as port:
        with Router(routes_yaml(operations, port)) as router:
            answers = await told(router.address, absolute)
    assert [each.name for each in operations[::5]] == [answer.route for answer in answers]


def test_the_naive_labels_agree_with_those_that_follow_from_the_construction() -> None:
    """A label is worth something only if the two ways to find it say the same."""
    operations = commerce()
    rules = Rules(operations)
    some = own(operations)[::3]
    assert [each.route for each in some] == [rules.label(each.method, each.path) for each in some]


# -- the traps of fifteen inventories --------------------------------------------------------------------------------


class Traps:
    """Every example of a trap as a table of its own, at a host of its own, and the requests that fall for it."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.requests: list[Labelled] = []
        for vendor, facts in TRAPS.items():
            for kind, maker in MAKERS.items():
                for example in facts[kind]["examples"]:
                    host = f"t{len(self.operations)}.{vendor}.example"
                    self._add(host, *maker(example))

    def _add(self, host: str, routes: Iterable[tuple[str, str]], asked: Iterable[tuple[str, str]]) -> None:
        operations = [Operation(method, path, host) for method, path in routes]
        rules = Rules(operations)
        for number, (method, path) in enumerate(asked):
            target = filled(path, number + len(self.requests))
            self.requests.append(rules.labelled(method, target, host))
        self.operations += operations


Trap = tuple[list[tuple[str, str]], list[tuple[str, str]]]


def method_split(pair: dict[str, Any]) -> Trap:
    """The concrete path lacks methods that its templated sibling has."""
    concrete, templated, lacking = pair["concrete"], pair["templated"], pair["methods_only_on_templated"]
    has = next(method for method in ("GET", "POST", "PUT", "LIST") if method not in lacking)
    routes = [(has, concrete), *((method, templated) for method in (has, *lacking))]
    return routes, [(method, path) for method in (has, *lacking) for path in (concrete, templated)]


def pair(paths: list[str]) -> Trap:
    """Two templates that some paths both fit: one's fixed texts where the other has parameters."""
    first, second = (path.split("/") for path in paths)
    both = "/".join(one if "{" not in one else other for one, other in zip(first, second, strict=True))
    return [("GET", path) for path in paths], [("GET", path) for path in (*paths, both, both + "/")]


def same_shape(paths: list[str]) -> Trap:
    """Parameter names do not tell paths apart; methods do."""
    return [("GET", paths[0]), ("POST", paths[1])], [("GET", paths[1]), ("POST", paths[0]), ("HEAD", paths[1])]


def trailing_slash(path: str) -> Trap:
    bare = path.rstrip("/")
    return [("GET", path), ("POST", bare)], [(method, each) for method in ("GET", "POST") for each in (path, bare)]


def partly_literal(path: str) -> Trap:
    """The same template with whole parameters beside it takes what does not fit the fixed texts."""
    texts = path.split("/")
    loose = "/".join(f"{{p{number}}}" if "{" in text else text for number, text in enumerate(texts))
    return [("GET", path), ("GET", loose)], [("GET", path), ("GET", loose), ("GET", path + "/")]


def slash_in_value(path: str) -> Trap:
    """An escaped slash belongs to the value, a real one does not."""
    return [("GET", path)], [("GET", path[: path.rindex("{")] + value) for value in ("a%2Fb", "a%2fb", "a/b", "%2F")]


MAKERS: dict[str, Callable[[Any], Trap]] = {
    "method_split_pairs": method_split,
    "concrete_vs_templated_pairs": pair,
    "ambiguous_pairs": pair,
    "same_shape_groups": same_shape,
    "trailing_slash": trailing_slash,
    "partial_segment": partly_literal,
    "slash_in_param_suspects": slash_in_value,
}


async def test_no_request_falls_into_the_traps_of_fifteen_real_inventories(
    figure: Callable[[str, str], None],
) -> None:
    """Method splits, concrete beside templated, ambiguous pairs, equal shapes, slashes, partly literal segments."""
    traps = Traps()
    assert len(traps.requests) >= 1000
    wrong = await misled(traps.operations, traps.requests)
    right = len(traps.requests) - len(wrong)
    figure("traps of fifteen real inventories over HTTP", f"{right} of {len(traps.requests)} right")
    assert [] == wrong


# -- the Gateway API's conformance cases -----------------------------------------------------------------------------


class Conformance:
    """Its rules as routes, each set at hosts of its own; only sets and cases that speak of path, method and host.

    One case is left out: there HEAD is a method like any other, here it may use a route for GET.
    """

    def __init__(self) -> None:
        self.backends: dict[Operation, str] = {}
        self.cases: list[tuple[Ask, str]] = []
        for each in GATEWAY:
            self._take_rules(each["name"], each["routes"])
            self.cases += [self._case(each["name"], case) for case in each["cases"] if speaks_our_words(case)]

    def _take_rules(self, name: str, routes: list[Any]) -> None:
        """Exact rules first, since a prefix rule must not take their place."""
        rules = [(route, match) for route in routes for match in route["matches"] if route.get("backends")]
        for route, match in sorted(rules, key=lambda rule: rule[1].get("path", {}).get("type") != "Exact"):
            if "headers" in match or "query" in match:
                continue
            for host in route.get("hostnames") or [""]:
                for path in paths(match.get("path", {"type": "PathPrefix", "value": "/"})):
                    operation = Operation(match.get("method", ""), path, place(name, host))
                    self.backends.setdefault(operation, route["backends"][0]["name"])

    def _case(self, name: str, case: dict[str, Any]) -> tuple[Ask, str]:
        asked = case["request"]
        return Ask(asked["method"], asked["path"], place(name, asked.get("host", ""))), case.get("expect_backend", "")


def speaks_our_words(case: dict[str, Any]) -> bool:
    asked = case["request"]
    plain = "headers" not in asked and "?" not in asked["path"] and case.get("expect_status", 404) == 404
    return plain and (asked["method"] != "HEAD" or "expect_backend" in case)


def place(name: str, host: str) -> str:
    return f"{host or 'any'}.{name}.example"


def paths(match: dict[str, str]) -> Iterator[str]:
    """A prefix respects segments: the path itself, with a slash, and whatever follows."""
    bare = match["value"].rstrip("/")
    if match["type"] == "Exact":
        yield match["value"]
    else:
        yield from [bare] if bare else []
        yield from (f"{bare}/", f"{bare}/{{rest...}}")


async def test_the_conformance_cases_of_the_gateway_api_hold_over_http() -> None:
    """Exact before longest prefix before method; unmatched is unlisted."""
    suite = Conformance()
    assert len(suite.cases) >= 35
    backends = {operation.name: backend for operation, backend in suite.backends.items()}
    async with mirror() as port:
        with Router(routes_yaml(suite.backends, port)) as router:
            answers = await told(router.address, [ask for ask, _ in suite.cases])
    reached = [(ask, backends.get(answer.route, "")) for (ask, _), answer in zip(suite.cases, answers, strict=True)]
    assert suite.cases == reached


def test_the_inventory_is_the_whole_one() -> None:
    """Nothing was filtered away on the way from the documents to the requests."""
    operations = commerce()
    assert (2544, 1498) == (len(operations), len({each.path for each in operations}))
    assert len(operations) == len({(each.method, shape(each.path)) for each in operations})
    asked = {each.route for each in own(operations)}
    assert {each.name for each in operations} == asked

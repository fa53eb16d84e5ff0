"""What the document promises of a body is what is read: one declaration, two uses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from control.api import shapes
from control.api.app import make_app
from control.api.context import Context
from control.api.endpoints import ENDPOINTS
from control.api.problems import Problem
from control.api.shapes import Choice, Shape
from control.metrics import Metrics
from router.core.orders import Kind, Reach, Scope
from tests.control.stage import Stage

DECLARED = {
    f"{each.method} {each.path}": each.body for each in ENDPOINTS if isinstance(each.body, shapes.Shape | shapes.Choice)
}
VALUES: dict[str, list[Any]] = {
    "scope": [
        {"route": "a"},
        {"group": "g"},
        {"site": "s"},
        {"all": True},
        {"all": False},
        {"route": "a", "all": True},
    ],
    "scopes": [[{"route": "a"}, {"all": True}], [], [{"route": " "}], [{"group": "g"}] * 201, {"route": "a"}],
    "reason": ["why", "", " ", "two\nlines", "\u202eevil", "x" * 1001, 7],
    "weight": [0, 100, 12.34, 100.01, -1, "5", True],
    "cap": [0, 50, 101, None],
    "side": ["legacy", "new", "both"],
    "for": ["2h", "0s", "1 h", None, 5],
    "confirm_within": ["10m", None, "soon"],
    "over": ["20s", "10m", "0s", None],
    "override": [[], ["max-step"], ["everything"], None, ["max-step"] * 201],
    "last": [True, False, 1],
    "since": ["60m", "999s", "168h", "169h", "always", None],
    "kind": [*(kind.value for kind in Kind), "x"],
    "place": ["http://10.0.0.7:80", ""],
    "do": ["start", "pause", "promote", "stop", "dance"],
    "at": [25, 101, None],
    "route": ["a", "", "x" * 300, 7],
    "share": [5, 0.01, 101, "5", None],
    "without_evidence": [True, False, "yes"],
    "nonsense": [1],
}


@pytest.mark.parametrize("name", DECLARED)
@given(data=st.data())
def test_what_fits_the_schema_is_read_and_what_is_read_is_complete(name: str, data: st.DataObject) -> None:
    """For every endpoint: no promise of the document is broken, and every field that was declared has a value."""
    body = DECLARED[name]
    assert body is not None
    chosen = data.draw(st.lists(st.sampled_from([*body.names, "nonsense"]), unique=True))
    found = {field: data.draw(st.sampled_from(VALUES[field])) for field in chosen}
    fits, said = jsonschema_rs.is_valid(body.schema, found), read(body, found)
    if isinstance(said, Problem):
        assert not fits, (found, said.detail)
        assert said.field and said.instead
    else:
        assert set(said) == set((body if isinstance(body, Shape) else body._shape(found)).names)


def read(body: shapes.Body, found: dict[str, Any]) -> shapes.Said | Problem:
    """As it comes over the wire: numbers are exact."""
    try:
        return body.read(json.loads(json.dumps(found), parse_float=Decimal))
    except Problem as problem:
        return problem


def test_every_body_that_changes_something_is_declared_so() -> None:
    """A handler that reads in its own way would be a second word about the same thing; a routes.yaml is no object."""
    own = {each.path for each in ENDPOINTS if each.body is not None and not isinstance(each.body, Shape | Choice)}
    assert {"/api/v1/check", "/api/v1/plan"} == own


# -- over HTTP ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.start()
    return stage


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[TestClient[Any, Any]]:
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        yield client


async def post(client: TestClient[Any, Any], body: str | dict[str, Any], path: str = "rollbacks") -> tuple[int, Any]:
    data = body if isinstance(body, str) else json.dumps(body)
    answer = await client.post(f"/api/v1/{path}", data=data, headers={"Content-Type": "application/json"})
    return answer.status, await answer.json()


async def test_several_scopes_are_answered_with_all_their_orders(stage: Stage, client: TestClient[Any, Any]) -> None:
    """One revision, and what was skipped of any of them."""
    scopes = [{"group": "catalog"}, {"route": "PUT*"}]
    status, found = await post(client, {"scopes": scopes, "reason": "odd"})
    assert (200, 2, ["R-1", "R-2"]) == (status, found["revision"], [order["id"] for order in found["orders"]])
    assert ["PUT /v1/carts/{cartId}"] == [each["name"] for each in found["skipped"]]
    assert [Scope(Reach.GROUP, "catalog"), Scope(Reach.ROUTE, "PUT*")] == [each.scope for each in stage.live.orders]


async def test_what_was_raised_is_found_out_here(stage: Stage, client: TestClient[Any, Any]) -> None:
    """By the newest change, or within a time; when there is nothing it says so and changes nothing."""
    await stage.live.weight(Scope(Reach.ROUTE, "product"), 300_000, reason="up", actor="lead")
    for what in ({"last": True}, {"since": "60m"}):
        status, found = await post(client, {**what, "reason": "odd"})
        assert (200, "rollback route=product") == (status, found["order"]["text"])
        revision = stage.live.revision
        assert (409, "nothing-raised") == (
            (again := await post(client, {**what, "reason": "odd"}))[0],
            again[1]["code"],
        )
        assert revision == stage.live.revision
        await stage.live.resume(found["order"]["id"], reason="again", actor="lead")


async def test_a_rollback_in_steps_says_what_is_left_and_until_when(client: TestClient[Any, Any]) -> None:
    """In its order; a site has none."""
    status, found = await post(client, {"scope": {"all": True}, "reason": "cold", "over": "20s"})
    easing = found["order"]["easing"]
    assert (200, 18.75, 20.0) == (status, easing["leaves"], easing["ends"] - easing["began"])
    assert 422 == (await post(client, {"scope": {"site": "k8s-pangyo"}, "reason": "cold", "over": "20s"}))[0]
    assert 422 == (await post(client, {"scope": {"all": True}, "reason": "cold", "over": "11m"}))[0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "x"}, "scope"),
        ({"scope": {"all": True}, "last": True, "reason": "x"}, "last"),
        ({"scope": {"all": True}, "scopes": [], "reason": "x"}, "scopes"),
        ({"scopes": [], "reason": "x"}, "scopes"),
        ({"scopes": [{"all": True}, {"planet": "mars"}], "reason": "x"}, "scopes[1].planet"),
        ({"scopes": [{"route": ""}], "reason": "x"}, "scopes[0].route"),
        ({"last": False, "reason": "x"}, "last"),
        ({"since": None, "reason": "x"}, "since"),
        ({"last": True, "reason": "read \u202e this"}, "reason"),
        ({"last": True, "reason": "one\u2028two"}, "reason"),
        ({"last": True, "reason": "x", "override": ["max-step"] * 201}, "override"),
    ],
)
async def test_a_body_that_is_not_understood_names_its_field(
    stage: Stage, client: TestClient[Any, Any], body: dict[str, Any], field: str
) -> None:
    """Nothing is guessed, and nothing is in force."""
    status, found = await post(client, body)
    assert (422, field, 1) == (status, found["field"], stage.live.revision)


@pytest.mark.parametrize(
    ("number", "status"),
    [("25", 200), ("2.5e1", 200), ("1e999", 422), ("1e9999999999999999999", 400), ("NaN", 400), ("-0.0", 422)],
)
async def test_numbers_are_read_exactly_or_refused(client: TestClient[Any, Any], number: str, status: int) -> None:
    """Also those that no machine can hold."""
    body = f'{{"scope": {{"all": true}}, "reason": "x", "weight": {number}}}'
    assert status == (await post(client, body, "weights"))[0]

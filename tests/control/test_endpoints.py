"""What the declarations of endpoints make possible: pages of routes, streams that go on, a document for all of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from control.api.app import make_app
from control.api.context import Context
from control.api.endpoints import ENDPOINTS
from control.metrics import Metrics
from control.series import Series
from tests.control.stage import ROUTES, Stage

Client = TestClient[Any, Any]


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.start()
    return stage


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[Client]:
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        yield client


async def test_the_document_names_every_endpoint_with_its_role(client: Client) -> None:
    """But for pages of people and second names."""
    document = await (await client.get("/api/v1/openapi.json")).json()
    assert "3.1.0" == document["openapi"]
    found = {
        (method.upper(), path, operation["x-role"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert {(each.method, each.path, each.role.label) for each in ENDPOINTS if each.listed} == found
    unlisted = {each.path for each in ENDPOINTS if not each.listed}
    assert {"/", "/login", "/web/{file}", "/-/livez", "/-/readyz"} == unlisted


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?limit=2", [0, 1]),
        ("?limit=2&offset=2", [2]),
        ("?offset=0", [0, 1, 2]),
        ("?offset=3", []),
        ("?limit=500", [0, 1, 2]),
    ],
)
async def test_routes_come_in_pages(client: Client, query: str, expected: list[int]) -> None:
    """In the order of the file, with how many there are in all."""
    whole = (await (await client.get("/api/v1/routes")).json())["routes"]
    found = await (await client.get(f"/api/v1/routes{query}")).json()
    assert (3, [whole[index] for index in expected]) == (found["total"], found["routes"])


@pytest.mark.parametrize("path", ["/api/v1/routes", "/api/v1/revisions"])
@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "limit=1&limit=2", "offset=-1", "before=0"])
async def test_a_page_out_of_bounds_is_refused_by_name(client: Client, path: str, query: str) -> None:
    """Never cut silently."""
    answer = await client.get(f"{path}?{query}")
    assert (422, query.partition("=")[0]) == (answer.status, (await answer.json())["field"])


async def event(answer: ClientResponse, name: str) -> tuple[str, dict[str, Any]]:
    """The id and the fields of the next event of this name."""
    number = ""
    async with asyncio.timeout(5):
        async for data in answer.content:
            line = data.decode().strip()
            if line.startswith("id: "):
                number = line[4:]
            elif line == f"event: {name}":
                return number, json.loads((await answer.content.readline())[6:])
            elif not line:
                number = ""
    raise AssertionError(f"the stream ended without {name}")


async def test_a_stream_goes_on_where_it_was_cut(stage: Stage, client: Client) -> None:
    """By the id of the last event; what happened in between comes first."""
    async with client.get("/api/v1/events") as answer:
        stage.live.events.tell("test.one")
        number, _ = await event(answer, "test.one")
    stage.live.events.tell("test.two", value=2)
    async with client.get("/api/v1/events", headers={"Last-Event-ID": number}) as answer:
        assert 2 == (await event(answer, "test.two"))[1]["value"]


async def test_a_stream_of_an_earlier_process_says_that_something_was_missed(stage: Stage, client: Client) -> None:
    """Numbers begin anew with each process."""
    stage.live.events.tell("test.one")
    async with client.get("/api/v1/events", headers={"Last-Event-ID": "0-1"}) as answer:
        await event(answer, "events.missed")
        await event(answer, "test.one")


async def test_what_is_no_id_of_an_event_is_refused(client: Client) -> None:
    """Instead of a stream that leaves something out."""
    assert 400 == (await client.get("/api/v1/events", headers={"Last-Event-ID": "latest"})).status


async def test_a_stream_tells_of_samples_to_those_who_ask(stage: Stage, client: Client) -> None:
    """Who shows figures live asks for them when there are new ones, and hears that the router lives."""
    async with client.get("/api/v1/events?samples=true") as answer:
        await event(answer, "hello")
        await stage.traffic.sample()
        await event(answer, "sample")
    assert 422 == (await client.get("/api/v1/events?samples=often")).status


# -- what the page asks ------------------------------------------------------------------------------------------------


async def test_status_without_its_routes_is_otherwise_the_same(client: Client) -> None:
    """Who has the routes already need not be sent them with every look."""
    whole = await (await client.get("/api/v1/status")).json()
    assert 3 == len(whole.pop("routes"))
    short = await (await client.get("/api/v1/status?routes=false")).json()
    assert set(whole) == set(short)
    assert 422 == (await client.get("/api/v1/status?routes=maybe")).status


async def test_routes_without_rates_travel_once_a_revision(stage: Stage, client: Client) -> None:
    """Their tag is the revision's; a change makes another one, and what is measured makes none."""
    first = await client.get("/api/v1/routes?rates=false")
    route = (await first.json())["routes"][0]
    assert ("product", 25, None) == (route["name"], route["effective"], route.get("measured"))
    known = {"If-None-Match": first.headers["ETag"]}
    assert 304 == (await client.get("/api/v1/routes?rates=false", headers=known)).status
    await client.put("/api/v1/routes/product/weight", json={"weight": 30, "reason": "more"})
    second = await client.get("/api/v1/routes?rates=false", headers=known)
    assert (200, 30) == (second.status, (await second.json())["routes"][0]["effective"])
    assert "ETag" not in (await client.get("/api/v1/routes")).headers


async def test_rates_are_told_of_routes_that_have_any(stage: Stage, tmp_path: Path) -> None:
    """In requests a second, legacy first; beside them the last step of both sides: rate, errors, p50, p99."""
    groups = {route.name: route.group for route in stage.live.table.routes}
    series = Series(stage.files, stage.route_blocks, lambda: groups, stage.clock)
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler, series=series)
    worker = stage.worker()
    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        assert {} == (await (await client.get("/api/v1/rates")).json())["routes"]
        await asyncio.gather(stage.traffic.sample(), series.sample())
        worker.count("product", times=60)
        worker.count("product", side=1, times=20)
        stage.clock.time += 10
        await asyncio.gather(stage.traffic.sample(), series.sample())
        found = await (await client.get("/api/v1/rates")).json()
    assert ([6, 2], {"product": [6, 2]}) == (found["total"], found["routes"])
    (latest,) = found["latest"].values()
    assert [6, 0, 2, 0] == [*latest[:2], *latest[4:6]]
    assert 0.001 <= latest[2] <= latest[3] <= 0.005


async def test_the_history_of_one_route_is_told_without_the_others(client: Client) -> None:
    """Newest first; each revision with what it did to this route alone."""
    for name, weight in (("product", 30), ("GET,POST /v1/products/search", 6), ("product", 40)):
        body = {"scope": {"route": name}, "weight": weight, "reason": "step"}
        assert 200 == (await client.post("/api/v1/weights", json=body)).status
    found = (await (await client.get("/api/v1/revisions?route=product")).json())["revisions"]
    moves = [(each["revision"], each["routes"][0]["before"], each["routes"][0]["after"]) for each in found]
    assert ([(4, 30, 40), (2, 25, 30)], True) == (moves[:2], all(len(each["routes"]) == 1 for each in found))
    newest = (await (await client.get("/api/v1/revisions?route=product&limit=1")).json())["revisions"]
    assert [4] == [each["revision"] for each in newest]
    assert [] == (await (await client.get("/api/v1/revisions?route=nobody")).json())["revisions"]


async def test_a_preview_tells_what_an_order_would_change_and_changes_nothing(stage: Stage, client: Client) -> None:
    """A cap has its say in it, as it would have in the order itself."""
    body = {"kind": "weight", "scope": {"group": "catalog"}, "weight": 100}
    answer = await client.post("/api/v1/preview", json=body)
    found = await answer.json()
    assert 200 == answer.status, json.dumps(found)
    assert {("product", 25, 80), ("GET,POST /v1/products/search", 5, 80)} == {
        (route["name"], route["before"], route["after"]) for route in found["routes"]
    }
    assert ([], None) == (found["violations"], found["allowed"])
    assert 750_000 == found["subjects_per_million"]
    assert (1, 0) == (stage.live.revision, len(stage.live.orders))


async def test_a_preview_names_the_rules_that_would_refuse_and_what_would_pass(tmp_path: Path) -> None:
    """Before anybody has pressed a button."""
    stage = Stage(tmp_path)
    await stage.start(ROUTES + "safety: {max_step: 10}\n")
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    body = {"kind": "weight", "scope": {"route": "product"}, "weight": 60}
    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        found = await (await client.post("/api/v1/preview", json=body)).json()
    assert (["max-step"], 35) == ([each["rule"] for each in found["violations"]], found["allowed"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "weight", "scope": {"route": "product"}}, 422),
        ({"kind": "pin", "scope": {"route": "product"}}, 422),
        ({"kind": "nonsense", "scope": {"route": "product"}}, 422),
        ({"kind": "drain", "scope": {"route": "product"}}, 422),
        ({"kind": "rollback", "scope": {"route": "product"}, "weight": 5}, 422),
        ({"kind": "weight", "scope": {"route": "nobody"}, "weight": 1}, 404),
        ({"kind": "rollback", "scope": {"all": True}}, 200),
        ({"kind": "pin", "scope": {"all": True}, "side": "legacy"}, 200),
    ],
)
async def test_a_preview_is_refused_as_the_order_would_be(client: Client, body: dict[str, Any], status: int) -> None:
    """What cannot be ordered cannot be previewed."""
    assert status == (await client.post("/api/v1/preview", json=body)).status

"""Progress at the admin address: JSON for programs, a table for spreadsheets, a badge, and series for plots."""

from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from aiohttp.test_utils import TestClient, TestServer

from control.api.app import make_app
from control.api.context import Context
from control.api.endpoints import ENDPOINTS
from control.api.progress import _cell
from control.badge import badge
from control.metrics import Metrics
from control.progress import Progress
from control.series import STEP, Series
from control.stores.progress import ProgressStore
from router.core.orders import Reach, Scope
from router.live import Change
from router.ports import StoreError
from tests.control.stage import Stage, many_routes

Client = TestClient[Any, Any]


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.start()
    return stage


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ProgressStore]:
    store = ProgressStore(tmp_path / "progress.db")
    yield store
    await store.close()


@pytest.fixture
async def client(stage: Stage, store: ProgressStore) -> AsyncIterator[Client]:
    """After a minute in which the new side answered 30 of 50 requests for `product`, and one in three failed there."""
    groups = {route.name: route.group for route in stage.live.table.routes}
    watch = Progress(stage.live, stage.traffic.sums, stage.clock, stage.live.events, store)
    series = Series(stage.files, stage.route_blocks, lambda: groups, stage.clock)
    worker = stage.worker()
    await stage.traffic.sample()
    await series.sample()
    await watch.step()
    worker.count("product", side=0, times=20)
    worker.count("product", side=1, times=20)
    worker.count("product", side=1, code="5xx", times=10)
    stage.clock.time += STEP
    await stage.traffic.sample()
    await series.sample()
    await watch.step()
    metrics = Metrics(stage.live, stage.files, progress=watch.look)
    context = Context(stage.live, stage.traffic, metrics, stage.compiler, watch=watch, series=series)
    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        yield client


async def get(client: Client, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_progress_tells_the_whole_the_groups_and_the_owners(client: Client) -> None:
    """By count, and weighted by traffic."""
    found = await get(client, "/api/v1/progress")
    assert (3, 0, 60.0, 50) == tuple(found["all"][name] for name in ("total", "finished", "traffic", "requests"))
    assert [("catalog", "team-catalog", 2), ("", "", 1)] == [
        (each["group"], each["owner"], each["total"]) for each in found["groups"]
    ]
    assert {"team-catalog": 100.0, "": None} == {
        each["owner"]: each["traffic_by_stage"]["ramping"] for each in found["owners"]
    }
    assert (None, []) == (found["all"]["forecast"], found["stuck"])
    assert found["all"]["no_forecast"]


async def test_what_is_stuck_says_why_and_since_when(stage: Stage, client: Client) -> None:
    """Routes and orders in one list."""
    await stage.live.rollback(Scope(Reach.GROUP, "catalog"), reason="fire", actor="kim")
    stage.clock.time += 61 * 86_400
    found = (await get(client, "/api/v1/progress"))["stuck"]
    assert {("order", "R-1", 61), ("partial", "product", 61)} <= {
        (each["why"], each["order"] or each["route"], each["days"]) for each in found
    }
    order = next(each for each in found if each["order"])
    assert ("rollback", {"group": "catalog"}) == (order["kind"], order["scope"])


async def test_every_route_has_its_stage(client: Client) -> None:
    """With the share in force and the one that it would have if nothing held it back."""
    found = (await get(client, "/api/v1/progress/routes"))["routes"]
    assert [("product", "ramping", 25.0, 25.0, 50, 30)] == [
        (each["name"], each["stage"], each["share"], each["wish"], each["requests"], each["new"]) for each in found[:1]
    ]


async def test_the_curve_and_the_changes_are_told(client: Client) -> None:
    """From the memory."""
    found = await get(client, "/api/v1/progress/history?group=catalog&days=1")
    assert [("catalog", 2)] == [(found["group"], each["total"]) for each in found["points"]]
    changes = (await get(client, "/api/v1/progress/changes?name=product"))["changes"]
    assert [("product", None, "ramping")] == [(each["route"], each["before"], each["after"]) for each in changes]


async def test_an_owner_has_the_curve_of_their_groups(client: Client) -> None:
    """In JSON, as a table and on the badge; nobody owns what is in no group."""
    for owner, total in (("team-catalog", 2), ("", 1)):
        found = await get(client, f"/api/v1/progress/history?owner={owner}")
        assert [(owner, total)] == [(found["owner"], each["total"]) for each in found["points"]]
        table = await (await client.get(f"/api/v1/progress.csv?owner={owner}")).text()
        assert total == len(table.splitlines()) - 1
    badge = await (await client.get("/api/v1/progress/badge.svg?owner=team-catalog")).text()
    assert "team-catalog: 0 of 2 APIs" in badge


async def test_a_memory_that_fails_is_a_problem_of_history_alone(
    client: Client, store: ProgressStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The present is told all the same."""

    async def fails(work: object) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(store, "_run", fails)
    for path in ("history", "changes"):
        answer = await client.get(f"/api/v1/progress/{path}")
        assert (503, "storage") == (answer.status, (await answer.json())["code"])
    await get(client, "/api/v1/progress")


async def test_the_metrics_say_the_same(client: Client) -> None:
    """By stage and group."""
    text = await (await client.get("/metrics")).text()
    assert 'strangler_migration_apis{stage="ramping",group="catalog"} 2' in text
    assert 'strangler_migration_traffic_ratio{group="catalog"} 0.6' in text
    assert 'strangler_migration_stuck{why="partial"} 0' in text


async def test_a_table_has_a_line_for_each_route_or_point(client: Client) -> None:
    """With the names of the columns on top; a group's alone when one is asked for."""
    text = await (await client.get("/api/v1/progress.csv?group=catalog")).text()
    rows = list(csv.DictReader(StringIO(text)))
    assert ["product", "GET,POST /v1/products/search"] == [row["name"] for row in rows]
    answer = await client.get("/api/v1/progress.csv?of=history")
    assert "text/csv" == answer.content_type
    assert ["2"] == [row["ramping"] for row in csv.DictReader(StringIO(await answer.text()))]


def test_a_name_is_never_a_formula() -> None:
    """What a spreadsheet would compute gets an apostrophe; numbers stay numbers."""
    assert ["'=1+1", "'@x", "GET /", -5] == [_cell("name", value) for value in ("=1+1", "@x", "GET /", -5)]


def test_times_in_a_table_are_times() -> None:
    """As spreadsheets read them, in UTC."""
    assert "2023-11-14T22:13:20Z" == _cell("since", 1_700_000_000.0)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/progress/history?group=nobody",
        "/api/v1/progress/history?days=0",
        "/api/v1/progress/history?owner=nobody",
        "/api/v1/progress/history?group=catalog&owner=team-catalog",
        "/api/v1/progress.csv?of=everything",
        "/api/v1/progress/badge.svg?group=nobody",
        "/api/v1/series?name=nobody",
        "/api/v1/series?group=nobody",
        "/api/v1/series?points=361",
        "/api/v1/series?" + "&".join(["name=product"] * 101),
    ],
)
async def test_what_nobody_knows_is_refused(client: Client, path: str) -> None:
    """It must not look like something that has no traffic."""
    assert 422 == (await client.get(path)).status


async def test_the_badge_is_an_image_that_says_the_same_to_those_who_cannot_see(client: Client) -> None:
    """Well-formed, and with a label."""
    answer = await client.get("/api/v1/progress/badge.svg?group=catalog")
    assert "image/svg+xml" == answer.content_type
    assert "migration: catalog: 0 of 2 APIs" == ET.fromstring(await answer.text()).get("aria-label")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "\"&'", "카탈로그", "x" * 5000])
def test_no_name_breaks_the_badge(name: str) -> None:
    """Whatever a group is called, it is text, and bounded."""
    image = ET.fromstring(badge(name, "1 of 2", 0.5))
    assert (name[:60], ["title", "rect", "path", "rect", "g"]) == (
        image[-1][0].text,
        [part.tag.rpartition("}")[2] for part in image],
    )
    assert int(image.get("width", "")) < 2000


async def test_many_names_get_fewer_points(client: Client, stage: Stage) -> None:
    """The answer says how many; a whole hour of a few is answered."""
    names = "&".join(f"name={quote(route.name, safe='')}" for route in stage.live.table.routes)
    assert 3 == len((await get(client, f"/api/v1/series?{names}"))["routes"])
    many = await stage.live.load(many_routes(50).encode(), actor="kim", allow_removal=True)
    assert isinstance(many, Change)
    names = "&".join(f"name={quote(route.name, safe='')}" for route in stage.live.table.routes)
    answer = await client.get(f"/api/v1/series?{names}")
    assert (422, "ask for at most 144") == (answer.status, (await answer.json())["instead"])
    assert 50 == len((await get(client, f"/api/v1/series?points=144&{names}"))["routes"])


async def test_series_have_both_sides_in_steps(client: Client) -> None:
    """Rates and errors a second, latencies in seconds; a side without traffic has no latency."""
    found = await get(client, "/api/v1/series?name=product&group=catalog&points=5")
    product = found["routes"]["product"]
    assert (1, [2.0], [3.0], [1.0]) == (
        len(found["at"]),
        product["legacy"]["rate"],
        product["new"]["rate"],
        product["new"]["errors"],
    )
    assert 0.001 < product["new"]["p50"][0] < product["new"]["p99"][0] <= 0.0025
    assert product == found["groups"]["catalog"]
    whole = await get(client, "/api/v1/series")
    assert (product, {}) == (whole["all"], whole["routes"])
    idle = (await get(client, "/api/v1/series?name=PUT%20/v1/carts/%7BcartId%7D"))["routes"]["PUT /v1/carts/{cartId}"]
    assert ([0.0], [None]) == (idle["new"]["rate"], idle["new"]["p50"])


def test_the_guide_speaks_of_what_there_is() -> None:
    """Every path and parameter in docs/progress.md is declared."""
    text = (Path(__file__).parents[2] / "docs" / "progress.md").read_text()
    declared = {endpoint.path: {each.name for each in endpoint.query} for endpoint in ENDPOINTS}
    asked = re.findall(r"`GET (/api/v1/[^`?]+)\??([^`]*)`", text)
    assert len(asked) >= 7
    for path, query in asked:
        assert path in declared
        assert {part.partition("=")[0] for part in query.split("&") if part} <= declared[path]

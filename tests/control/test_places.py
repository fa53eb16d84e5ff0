"""Places as operators see and move them: the admin address, the command line, metrics, and the words."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from control import render_places
from control.api.app import make_app
from control.api.context import Context
from control.cli import main
from control.holding import ACTOR, hold_sites
from control.metrics import Metrics
from control.observer import Observer
from control.probes import GOOD, bad
from control.resolver import Found
from control.terminal import Style
from router.core.orders import Kind, Reach, Scope
from router.events import EventName
from router.ports import Compiled
from router.telemetry import EndpointBlock, RouteBlock
from tests.control.stage import Stage

ROUTES = """\
version: 1
upstreams:
  monolith: {endpoints: [http://127.0.0.1:9001]}
  catalog:
    sites:
      pangyo: [http://127.0.0.1:9101, http://127.0.0.1:9102]
      pyeongchon: [http://127.0.0.1:9201]
    health: {path: /up, interval: 1h, resume: manual}
sites: {pangyo: {weight: 60}, pyeongchon: {weight: 40, capacity: 50}}
legacy: monolith
routes:
  - {path: "/v1/products/{productNo}", new: catalog, weight: 30, name: product}
"""
ONE, TWO, THREE = (f"catalog http://127.0.0.1:{port}" for port in (9101, 9102, 9201))
BAD = bad("no connection: Connection refused")


@dataclass
class House:
    """An admin address over a stage whose places the test speaks for."""

    stage: Stage
    observer: Observer
    context: Context
    client: TestClient[Any, Any]
    cli: Callable[..., Awaitable[tuple[int, str, str]]]
    told: list[tuple[str, Mapping[str, Any]]]

    def fail(self, *keys: str) -> None:
        for key in keys * 3:
            self.observer.heard(key, BAD)
        deque(self.observer.look(), maxlen=0)

    def heal(self, *keys: str) -> None:
        for key in keys * 5:
            self.observer.heard(key, GOOD)
        deque(self.observer.look(), maxlen=0)

    async def ask(self, method: str, path: str, status: int, body: object = None) -> Any:
        answer = await self.client.request(method, path, json=body)
        assert status == answer.status, await answer.text()
        return await answer.json()


async def nothing(_name: str) -> Found:
    return Found((), 300.0)


@pytest.fixture
async def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    def look(compiled: Compiled) -> None:
        observer.follow(compiled.table, compiled.blocks.endpoints)  # as control's main

    stage = Stage(tmp_path, look=look)
    stage.clock.time = time.time()
    observer = Observer(stage.live.observe, stage.files, stage.clock, stage.live.events, nothing)
    await stage.start(ROUTES)
    for key in (ONE, TWO, THREE):
        observer.heard(key, GOOD)
    metrics = Metrics(stage.live, stage.files, seen=observer.seen)
    context = Context(stage.live, stage.traffic, metrics, stage.compiler, observer=observer)
    told: list[tuple[str, Mapping[str, Any]]] = []
    stage.live.events.log = lambda event: told.append((event.name, event.fields))
    monkeypatch.setattr("control.cli_places.LOOK_EVERY", 0.01)

    def call(*words: str) -> tuple[int, str, str]:
        try:
            code = main(words)
        except SystemExit as left:
            code = int(left.code or 0)
        return code, *capsys.readouterr()

    async def cli(*words: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(call, *words)

    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        monkeypatch.setenv("STRANGLER_ADMIN", str(client.make_url("/")))
        yield House(stage, observer, context, client, cli, told)


# ------------------------------------------------------------------------------------------------ what is seen


async def test_sites_say_health_and_what_it_changes(house: House) -> None:
    """The state of each, its targets, and why a share differs from the order, in the numbers that workers place by."""
    house.fail(ONE)
    found = await house.ask("GET", "/api/v1/sites", 200)
    pangyo, pyeongchon = found["sites"]
    assert ("pangyo", "degraded", 1, 2, None) == tuple(pangyo[key] for key in ("name", "state", "up", "of", "order"))
    assert ("up", 100) == (pyeongchon["state"], pangyo["capacity"])
    assert [{"upstream": "catalog", "healthy": 50.0, "weight": 60.0}] == pangyo["upstreams"]
    down, up = pangyo["targets"]
    assert ("down", 0.0, "no connection: Connection refused", True) == tuple(
        down[key] for key in ("status", "level", "why", "held")
    )
    assert ("up", 100.0, None) == (up["status"], up["level"], up["why"])
    (flat,) = found["endpoints"]
    assert ("http://127.0.0.1:9001", "up", False) == (flat["endpoint"], flat["status"], flat["probed"])
    (change,) = found["changes"]
    assert ("sites", ["product"], 1) == (change["why"], change["routes"], change["count"])
    assert change["text"].startswith("pangyo is 50 % healthy; sites take over from each other: pangyo 15.3659 instead")


async def test_status_and_explain_say_it_too(house: House) -> None:
    """Only what is not as it should be."""
    assert {"down": [], "changes": []} == {
        key: value for key, value in (await house.ask("GET", "/api/v1/status", 200))["places"].items() if key != "sites"
    }
    house.fail(ONE, TWO)
    places = (await house.ask("GET", "/api/v1/status", 200))["places"]
    assert [{"name": "pangyo", "state": "down"}, {"name": "pyeongchon", "state": "up"}] == places["sites"]
    assert ["http://127.0.0.1:9101", "http://127.0.0.1:9102"] == [each["endpoint"] for each in places["down"]]
    said = await house.ask("GET", "/api/v1/explain?method=GET&path=/v1/products/7&header=X-User-Id:7", 200)
    assert "pyeongchon 30 instead of 12 %" in said["health"]
    assert (30.0, 30.0) == (said["share"], said["live"])
    _, out, _ = await house.cli("explain", "GET", "/v1/products/7", "-H", "X-User-Id: 7")
    assert "  health      sites take over from each other: pangyo 0 instead of 18 %, pyeongchon 30" in out
    _, out, _ = await house.cli("status")
    assert "!! the site pangyo is DOWN" in out
    assert (
        "!! http://127.0.0.1:9101 is DOWN for 0 s: no connection: Connection refused; held: strangler on pangyo" in out
    )


async def test_metrics_have_places_and_breakers(house: House) -> None:
    """One series for each target and site; of routes only those whose breaker has tripped."""
    house.fail(ONE)
    worker = house.stage.worker()
    start = house.stage.live.blocks.routes["product"] + RouteBlock.SIDE
    worker.counters.slots[start + RouteBlock.BREAKER_TRIPS] = 2
    worker.counters.slots[start + RouteBlock.BREAKER_OPEN] = 1
    await house.stage.live.give(Kind.OFF, Scope(Reach.SITE, "pyeongchon"), reason="r", actor="kim")
    answer = await house.client.get("/metrics")
    lines = set((await answer.text()).splitlines())
    of_one = 'upstream="catalog",endpoint="http://127.0.0.1:9101"'
    assert {
        f"strangler_endpoint_up{{{of_one}}} 0",
        f"strangler_endpoint_level{{{of_one}}} 0.0",
        f'strangler_endpoint_transitions_total{{{of_one},to="down"}} 1',
        'strangler_endpoint_up{upstream="catalog",endpoint="http://127.0.0.1:9102"} 1',
        'strangler_endpoint_up{upstream="monolith",endpoint="http://127.0.0.1:9001"} 1',
        'strangler_site_healthy_ratio{site="pangyo",upstream="catalog"} 0.5',
        'strangler_site_open{site="pangyo"} 1',
        'strangler_site_open{site="pyeongchon"} 0',
        'strangler_breaker_open{route="product"} 1',
        'strangler_breaker_trips_total{route="product"} 2',
    } <= lines


async def test_an_outer_gslb_is_told_whether_a_site_takes_requests(house: House) -> None:
    """200 while some of it is well and nobody has closed it, else 503; nothing is known of other places."""
    assert {"site": "pangyo", "state": "up"} == await house.ask("GET", "/gslb/pangyo", 200)
    house.fail(ONE)
    assert "degraded" == (await house.ask("GET", "/gslb/pangyo", 200))["state"]
    house.fail(TWO)
    assert "down" == (await house.ask("GET", "/gslb/pangyo", 503))["state"]
    for kind, state in ((Kind.ROLLBACK, "rollback"), (Kind.DRAIN, "drain"), (Kind.OFF, "off")):
        await house.stage.live.give(kind, Scope(Reach.SITE, "pyeongchon"), reason="r", actor="kim")
        assert state == (await house.ask("GET", "/gslb/pyeongchon", 503))["state"]
    await house.ask("GET", "/gslb/nowhere", 404)


# ---------------------------------------------------------------------------------------------- what is ordered


async def test_a_site_is_switched_off_and_on_again(house: House) -> None:
    """An order like others, whose way back stands last."""
    code, out, _ = await house.cli("off", "pangyo", "--reason", "it is sick")
    assert code == 0
    assert out.splitlines()[0] == "O-1: off site=pangyo, revision 2"
    assert out.splitlines()[-2:] == [
        "  nothing is under way there any more",
        "undo: strangler on pangyo --reason '...'",
    ]
    assert {"pangyo"} == house.stage.live.state.off_sites
    _, out, _ = await house.cli("sites")
    assert "pangyo  OFF, 2 of 2 up" in out
    assert "  O-1: it is sick" in out
    await house.cli("drain", "pangyo", "--reason", "and drained")
    code, out, _ = await house.cli("on", "pangyo", "--reason", "mended")
    assert code == 0
    assert out.startswith("pangyo is on: D-2 is lifted, revision 4")
    assert "note: O-1 is lifted" in out
    assert () == house.stage.live.orders


async def test_a_drain_counts_down_what_is_under_way(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time it is less, until it is nothing."""
    looks = [(3, 2), (3, 2), (1, 1), (0, 0)]

    async def left() -> Mapping[str, tuple[int, int]]:
        return {ONE: looks.pop(0), THREE: (9, 9)}

    monkeypatch.setattr(house.context, "left_at_places", left)
    _, out, _ = await house.cli("drain", "pangyo", "--reason", "upgrade", "--wait", "20s")
    assert out.splitlines()[-4:] == [
        "  3 exchanges and 2 tunnels still there",
        "  1 exchange and 1 tunnel still there",
        "  nothing is under way there any more",
        "undo: strangler on pangyo --reason '...'",
    ]


async def test_where_workers_do_not_say_what_is_under_way_connections_are_counted(house: House) -> None:
    """Those of the site's endpoints, by the workers' gauges."""
    worker, blocks = house.stage.worker(), house.stage.live.blocks.endpoints
    for key, count in ((ONE, 2), (TWO, 1), (THREE, 7)):
        worker.counters.slots[blocks[key] + EndpointBlock.OPEN] = count
    _, out, _ = await house.cli("drain", "pangyo", "--reason", "upgrade", "--wait", "1s")
    assert "  3 connections to it still open, idle ones included" in out.splitlines()
    worker.counters.slots[blocks[ONE] + EndpointBlock.OPEN] = 0
    worker.counters.slots[blocks[TWO] + EndpointBlock.OPEN] = 0
    _, out, _ = await house.cli("sites")
    assert "  nothing is under way there any more" in out.splitlines()


async def test_a_countdown_ends_when_its_time_is_over(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order stays, and where to look is said."""

    async def left() -> Mapping[str, tuple[int, int]]:
        return {ONE: (1, 0)}

    monkeypatch.setattr(house.context, "left_at_places", left)
    code, out, _ = await house.cli("drain", "pangyo", "--reason", "upgrade", "--wait", "1s")
    assert code == 0
    assert "  it goes on; see strangler sites" in out.splitlines()
    code, out, _ = await house.cli("drain", "pangyo", "--reason", "upgrade", "--json")
    assert "strangler on pangyo --reason '...'" == json.loads(out)["undo"]


async def test_on_refuses_what_is_not_closed_and_says_what_is_the_matter(house: House) -> None:
    """A typing error must not look like something that worked."""
    code, _, err = await house.cli("on", "pangyo", "--reason", "r")
    assert code == 1
    assert "the site pangyo is neither drained nor off; see `strangler sites`" in err
    code, _, err = await house.cli("on", "nowhere", "--reason", "r")
    assert code == 1
    assert "'nowhere' is no endpoint and no upstream; see `strangler sites`" in err


@pytest.mark.parametrize("place", ["pangyo", "catalog", "http://127.0.0.1:9101"])
async def test_what_waits_for_a_person_comes_back_by_its_word(house: House, place: str) -> None:
    """By site, upstream or endpoint; it still has to be well."""
    house.fail(ONE)
    house.stage.clock.time += 1000.0
    house.heal(ONE)
    assert 0 == house.stage.live.observed.level(ONE)
    code, out, _ = await house.cli("on", place, "--reason", "mended")
    assert code == 0
    assert out.startswith(f"{place} is on")
    assert "1 target that is down there may come back as soon as probes succeed" in out
    house.observer.heard(ONE, GOOD)
    assert 100_000 == house.stage.live.observed.level(ONE)
    (told,) = [fields for name, fields in house.told if name == EventName.PLACE_RESUMED]
    assert (place, 1) == (told["place"], told["targets"])


async def test_a_breaker_is_closed_at_every_worker(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that do not answer are named; a route that is not there is refused."""
    code, out, _ = await house.cli("breaker", "close", "product", "--reason", "mended")
    assert (0, "the new side of product is tried again by every worker\n") == (code, out)
    (told,) = [fields for name, fields in house.told if name == EventName.BREAKER_CLOSED]
    assert ("product", "mended") == (told["route"], told["reason"])

    async def silent(_route: str) -> tuple[int, ...]:
        return (1,)

    monkeypatch.setattr(house.context, "close_breaker", silent)
    code, out, _ = await house.cli("breaker", "close", "product", "--reason", "mended")
    assert (3, "NOT CONFIRMED by worker 1\n") == (code, out)
    code, _, err = await house.cli("breaker", "close", "prodcut", "--reason", "mended")
    assert code == 1
    assert "did you mean" in err or "there is no route" in err


async def test_a_site_that_is_out_for_the_third_time_is_drained_for_a_person(house: House) -> None:
    """By control itself: recorded like any order, and lifted like any."""
    holding = asyncio.create_task(hold_sites(house.stage.live, house.observer))
    await house.stage.live.load(ROUTES.replace(", resume: manual", "").encode(), actor="file")
    for _ in range(3):
        house.fail(ONE, TWO)
        house.stage.clock.time += 1000.0
        house.heal(ONE, TWO)
    async with asyncio.timeout(20):
        while not house.stage.live.orders:
            await asyncio.sleep(0.01)
    holding.cancel()
    (order,) = house.stage.live.orders
    assert (Kind.DRAIN, Scope(Reach.SITE, "pangyo"), ACTOR) == (order.kind, order.scope, order.actor)
    assert "all of it was down 3 times within an hour" in order.reason
    assert [EventName.SITE_HELD] == [name for name, _ in house.told if name == EventName.SITE_HELD]
    code, _, _ = await house.cli("on", "pangyo", "--reason", "mended")
    assert code == 0


# ---------------------------------------------------------------------------------------------------- in words


TARGET: dict[str, Any] = {
    "upstream": "catalog",
    "site": "pangyo",
    "endpoint": "http://c.example:80",
    "address": "10.0.0.7",
    "status": "down",
    "level": 0.0,
    "since": 1000.0,
    "why": "answered 503\x1b[2J",
    "probed": True,
    "held": False,
    "back_at": 1075.0,
    "came_up": 0,
    "went_down": 1,
}


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({}, "back in 15 s at the earliest, when probes succeed"),
        ({"back_at": 1000.0}, "back as soon as probes succeed"),
        ({"held": True, "back_at": None}, "held: strangler on pangyo"),
        ({"held": True, "back_at": None, "site": None}, "held: strangler on http://c.example:80"),
        ({"probed": False}, "tried again in 15 s at the earliest"),
    ],
)
def test_a_target_that_is_down_says_why_and_what_brings_it_back(more: dict[str, Any], end: str) -> None:
    """On one line, without anything that a terminal would obey."""
    line = render_places.down(TARGET | more, Style(), 1060.0)
    assert (
        line == f"!! http://c.example:80 at 10.0.0.7 is DOWN for 1 min: answered 503\N{REPLACEMENT CHARACTER}[2J; {end}"
    )

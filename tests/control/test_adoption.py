"""What the workers hold finds its way to control: by greeting, by a later word, and by the state directory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control.adoption import Adoption
from control.channel import WorkerFleet
from control.main import SystemClock
from control.stores.memory import MemoryStore
from router.core.hold import Hold, message_of
from router.core.orders import Reach, Scope
from router.core.wire import encode
from router.events import Event, EventName, Events
from router.live import Live
from router.planes.embedded import holds as on_disk
from router.planes.pretend import MemoryFleet
from tests.control.workers import SocketWorker
from tests.router.rig import HereCompiler, Rig, SaidTraffic, yaml

HOLD = Hold("E-aaaa", Scope(Reach.ROUTE, "a"), "3 a.m.", "kim", 1_700_000_000.0)


async def until(condition: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def adopting(adoption: Adoption, live: Live) -> AsyncIterator[None]:
    running = asyncio.create_task(adoption.run(live))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
async def rig() -> Rig:
    return await Rig(fleet=MemoryFleet(1)).started(a=10, b=20)


async def test_a_hold_on_disk_becomes_an_order_and_its_file_goes(rig: Rig, tmp_path: Path) -> None:
    """Also when no worker is there any more to speak of it."""
    on_disk.write(tmp_path / "holds", HOLD)
    async with adopting(Adoption(tmp_path, rig.live.events), rig.live):
        await until(lambda: not list((tmp_path / "holds").iterdir()))
    assert [("kim", "3 a.m.")] == [(order.actor, order.reason) for order in rig.live.orders]


async def test_a_hold_that_cannot_be_recorded_keeps_its_file_until_it_can(rig: Rig, tmp_path: Path) -> None:
    """Whatever happens meanwhile, one of the two is there."""
    on_disk.write(tmp_path / "holds", HOLD)
    rig.store.failing = "disk full"
    async with adopting(Adoption(tmp_path, rig.live.events), rig.live):
        await until(lambda: rig.live.orders)
        assert [HOLD] == list(on_disk.read(tmp_path / "holds"))
        rig.store.failing = ""
        await rig.rollback(Scope(Reach.ROUTE, "b"))
        await until(lambda: not list((tmp_path / "holds").iterdir()))
    assert 2 == len(rig.live.orders)


async def test_what_is_no_hold_is_told_and_stops_nobody(rig: Rig, tmp_path: Path) -> None:
    """The others that the worker names are adopted."""
    adoption = Adoption(tmp_path, rig.live.events)
    adoption.heard(0, [{"id": "E-xxxx"}, message_of(HOLD)])
    async with adopting(adoption, rig.live):
        await until(lambda: rig.live.orders)
    assert [0] == [fields["worker"] for fields in rig.said(EventName.WORKER_REFUSED)]


async def test_control_adopts_over_the_channel_and_the_worker_lets_go(tmp_path: Path) -> None:
    """A hold from the time before control was there, and one while it stood still; after the resume both are free."""
    (tmp_path / "workers").mkdir()
    worker = SocketWorker(tmp_path, 0)
    await worker.start()
    worker.worker.take(encode(message_of(HOLD)))
    heard: list[Event] = []
    clock = SystemClock()
    events = Events(clock.now, heard.append)
    adoption = Adoption(tmp_path, events)
    fleet = WorkerFleet(tmp_path, 1, clock, events, adoption.heard)
    live = Live(
        store=MemoryStore(), fleet=fleet, compiler=HereCompiler(), clock=clock, traffic=SaidTraffic(), events=events
    )
    running = asyncio.create_task(fleet.run())
    await live.start(yaml({"a": 10, "b": 20}))
    async with adopting(adoption, live):
        await until(lambda: live.orders)
        await until(lambda: worker.worker.digest == live.digest)
        assert [0, 200_000] == worker.worker.shares
        assert (HOLD,) == worker.worker.holds
        await live.resume(live.orders[0].id, reason="mended", actor="lee")
        await until(lambda: worker.worker.digest == live.digest)
        assert [100_000, 200_000] == worker.worker.shares
        assert () == worker.worker.holds
    running.cancel()
    await asyncio.wait([running])
    await worker.stop()
    assert json.loads((tmp_path / "snapshot.ndjson").read_text().splitlines()[-2])["adopted"] == ["E-aaaa"]

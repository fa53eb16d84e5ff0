"""Counters are added up over all workers there ever were, and the present is known from two looks at them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from control.counters import EVERY, MARK, MARKS, PRESENT, WATCHED, CounterFiles, Now, Rate
from router.core.model import UNLISTED
from router.planes.embedded.counters import Counters
from router.telemetry import WORKER_SLOTS, RouteBlock, WorkerSlot
from tests.control.stage import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.start()
    return stage


def requests(stage: Stage, route: str) -> int:
    stage.files.refresh()
    block = stage.files.block(stage.live.blocks.routes[route], RouteBlock.DURATIONS)
    return 0 if block is None else sum(block)


async def test_sums_run_over_all_workers(stage: Stage) -> None:
    """A block's slots are added one by one; a block nobody counted in is None."""
    stage.worker(0).count("product", times=3)
    stage.worker(1).count("product", times=4)
    assert requests(stage, "product") == 7
    assert stage.files.block(stage.live.blocks.routes[UNLISTED], RouteBlock.SIZE) is None


async def test_the_death_of_a_worker_loses_no_count(stage: Stage) -> None:
    """Its successor goes on in the same file, and a worker that never comes back still counts."""
    stage.worker(0).count("product", times=3)
    stage.worker(7).count("product", times=5)
    stage.worker(0).count("product", times=2)
    assert requests(stage, "product") == 10


async def test_a_seal_tells_whether_anything_was_counted(stage: Stage) -> None:
    """By whichever worker, a new one too; a look alone changes nothing."""
    seals = []
    start = stage.live.blocks.routes["product"]
    for number in (0, 1, 0):
        worker = stage.worker(number)
        worker.count("product")
        stage.files.refresh()
        seals += [stage.files.seal(start, RouteBlock.SIZE)]
        assert seals[-1] == stage.files.seal(start, RouteBlock.SIZE)
    assert 3 == len(set(seals))


async def test_a_gauge_can_be_asked_of_some_workers_only(stage: Stage) -> None:
    """What a worker that is gone had open is not open any more."""
    start = stage.live.blocks.routes["product"] + RouteBlock.IN_FLIGHT
    for number in (0, 7):
        stage.worker(number).counters.slots[start] = 2
    stage.files.refresh()
    assert [2, 0] == stage.files.block(start, 2, {0})


async def test_a_file_that_grows_is_seen_whole(tmp_path: Path) -> None:
    """A reload with more routes makes the files longer; the next look has them."""
    counters = Counters(tmp_path / "worker-0.slots")
    files = CounterFiles(tmp_path)
    files.refresh()
    assert files.block(WORKER_SLOTS, 10) is None
    counters.grow(WORKER_SLOTS + 10)
    counters.slots[WORKER_SLOTS + 9] = 1
    assert files.block(WORKER_SLOTS, 10) is None
    files.refresh()
    assert [0] * 9 + [1] == files.block(WORKER_SLOTS, 10)


@pytest.mark.parametrize("content", [b"", b"\0" * 800, b"short", b"x" * 800])
def test_what_is_no_counter_file_is_left_out(tmp_path: Path, content: bytes) -> None:
    """An empty, foreign or older file is no count, and no error."""
    (tmp_path / "worker-0.slots").write_bytes(content)
    (tmp_path / "blocks.json").write_text("{}")
    files = CounterFiles(tmp_path)
    files.refresh()
    assert files.workers() == []
    assert files.slot(0, WorkerSlot.PID) == 0


def test_a_missing_folder_is_no_count(tmp_path: Path) -> None:
    """Before the first worker there is nothing."""
    files = CounterFiles(tmp_path / "nothing")
    files.refresh()
    assert files.total(WorkerSlot.ACCEPTED) == 0


async def test_rates_come_from_the_last_seconds(stage: Stage) -> None:
    """Requests a second by side, and the measured share; routes without traffic are missing."""
    worker = stage.worker()
    worker.count("product", times=1000)
    await stage.traffic.sample()
    assert stage.traffic.rates() == {}
    worker.count("product", side=0, times=30)
    worker.count("product", side=1, times=10)
    stage.clock.time += 4
    await stage.traffic.sample()
    assert {"product": Rate(7.5, 2.5)} == stage.traffic.rates()
    assert stage.traffic.rates()["product"].share == 0.25


async def test_what_is_long_ago_is_not_the_present(stage: Stage) -> None:
    """A burst is out of the rates after ten seconds and out of `recent` after a minute."""
    worker = stage.worker()
    await stage.traffic.sample()
    worker.count("product", times=30)
    seen = []
    for _ in range(40):
        stage.clock.time += EVERY
        await stage.traffic.sample()
        seen.append(("product" in stage.traffic.rates(), stage.traffic.recent().get("product", 0)))
    assert seen[0] == (True, 30)
    assert seen[6] == (False, 30)
    assert seen[-1] == (False, 0)


async def test_a_route_that_is_new_counts_from_its_first_request(stage: Stage) -> None:
    """It was at nothing before."""
    await stage.traffic.sample()
    stage.worker().count("product", times=8)
    stage.clock.time += 2
    await stage.traffic.sample()
    assert stage.traffic.recent() == {"product": 8}


def test_without_requests_there_is_no_share() -> None:
    """0 of 0 is not 0 %."""
    assert Rate(0, 0).share is None


async def test_the_most_that_legacy_served_is_remembered_for_a_day(stage: Stage) -> None:
    """The highest rate over ten seconds; what the new side served does not count."""
    worker = stage.worker()
    assert (0.0, 0.0) == (stage.traffic.legacy_peak().rate, stage.traffic.legacy_peak().seconds)
    await stage.traffic.sample()
    for times in (30, 50, 10, 0):
        stage.clock.time += PRESENT
        worker.count("product", side=0, times=times)
        worker.count("product", side=1, times=100)
        await stage.traffic.sample()
    assert 5.0 == stage.traffic.legacy_peak().rate
    for _ in range(MARKS + 1):
        stage.clock.time += MARK
        await stage.traffic.sample()
    assert 0.0 == stage.traffic.legacy_peak().rate
    assert MARK * (MARKS - 1) == stage.traffic.legacy_peak().seconds


async def test_this_moment_of_a_side_is_what_ended_and_what_is_open(stage: Stage) -> None:
    """Gauges of living workers only; what a dead one had answered stays answered."""
    start = stage.live.blocks.routes["product"]
    for number in (0, 7):
        worker = stage.worker(number)
        worker.count("product", side=1, times=4)
        worker.counters.slots[start + RouteBlock.IN_FLIGHT + RouteBlock.SIDE] = 2
        worker.counters.slots[start + RouteBlock.TUNNELS + RouteBlock.SIDE] = 1
    stage.traffic.refresh()
    assert Now(8, 2, 1) == stage.traffic.now(start, 1, {0})
    assert Now(0, 0, 0) == stage.traffic.now(start, 0, {0})


async def test_whoever_watches_gets_samples_at_a_quicker_pace(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """And when nobody does any more, the counters are left in peace again."""
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        stage.clock.time += seconds
        await real(0)

    monkeypatch.setattr("control.counters.asyncio.sleep", sleep)
    running = asyncio.create_task(stage.traffic.run())
    await stage.traffic.until_sampled()
    while len(pauses) < 2:
        await real(0)
    running.cancel()
    assert [WATCHED, EVERY] == pauses[:2]


async def test_requests_a_second_are_told_of_the_time_that_was_looked_at(stage: Stage) -> None:
    """Also of less than a minute; with a single look nothing is known."""
    worker = stage.worker()
    worker.count("product", times=100)
    await stage.traffic.sample()
    assert {} == stage.traffic.per_second()
    stage.clock.time += 12.0
    worker.count("product", times=60)
    await stage.traffic.sample()
    assert {"product": 5.0} == stage.traffic.per_second()

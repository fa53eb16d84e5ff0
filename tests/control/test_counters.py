"""Counters are added up over all workers there ever were, and the present is known from two looks at them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.counters import (
    EVERY,
    MARK,
    MARKS,
    MINUTE,
    PRESENT,
    RAREST,
    SPARING,
    WATCHED,
    CounterFiles,
    Now,
    Rate,
    RecentTraffic,
)
from router.core.model import UNLISTED, Side
from router.planes.embedded.counters import Counters
from router.telemetry import DURATION_BOUNDS, WORKER_SLOTS, BusyBlock, RouteBlock, WorkerSlot, requests_of
from tests.control.stage import Stage, StageClock


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.start()
    return stage


def requests(stage: Stage, route: str) -> int:
    stage.files.refresh()
    slots = stage.files.route(stage.live.blocks.routes[route])
    return 0 if slots is None else sum(requests_of(slots))


async def test_sums_run_over_all_workers(stage: Stage) -> None:
    """A block's slots are added one by one; a block nobody counted in is None."""
    stage.worker(0).count("product", times=3)
    stage.worker(1).count("product", times=4)
    assert requests(stage, "product") == 7
    assert stage.files.route(stage.live.blocks.routes[UNLISTED]) is None


async def test_the_death_of_a_worker_loses_no_count(stage: Stage) -> None:
    """Its successor goes on in the same file, and a worker that never comes back still counts."""
    stage.worker(0).count("product", times=3)
    stage.worker(7).count("product", times=5)
    stage.worker(0).count("product", times=2)
    assert requests(stage, "product") == 10


async def test_a_gauge_can_be_asked_of_some_workers_only(stage: Stage) -> None:
    """What a worker that is gone had open is not open any more."""
    start = stage.live.blocks.routes["product"]
    for number in (0, 7):
        worker = stage.worker(number)
        worker.busy("product", side=1)[BusyBlock.IN_FLIGHT] = 2
        worker.counters.slots[start + RouteBlock.SIDE + RouteBlock.TUNNELS] = 3
    stage.files.refresh()
    some, every = stage.files.side(start, 1, {0}), stage.files.side(start, 1)
    assert some is not None
    assert every is not None
    for found, gauges in ((some, (2, 3)), (every, (4, 6))):
        assert gauges == (found[BusyBlock.IN_FLIGHT], found[RouteBlock.TUNNELS - RouteBlock.SIDES])
    assert stage.files.side(start, 0) is None


async def test_what_was_counted_before_there_were_busy_blocks_stays_counted(stage: Stage) -> None:
    """It stands in the route's own block, and is added to what came after."""
    worker, start = stage.worker(), stage.live.blocks.routes["product"]
    worker.counters.slots[start + RouteBlock.USUAL] = 40
    worker.counters.slots[start + RouteBlock.DURATIONS + 1] = 40
    worker.count("product", times=2)
    await stage.traffic.sample()
    assert (42, {"product": (42, 0)}) == (requests(stage, "product"), stage.traffic.sums())
    assert 42 == stage.traffic.now(start, 0, {0}).answered


async def test_a_file_that_grows_is_seen_whole(tmp_path: Path) -> None:
    """A reload with more routes makes the files longer; the next look has them."""
    counters = Counters(tmp_path / "worker-0.slots")
    files = CounterFiles(tmp_path, dict)
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
    files = CounterFiles(tmp_path, dict)
    files.refresh()
    assert files.workers() == []
    assert files.slot(0, WorkerSlot.PID) == 0


def test_a_missing_folder_is_no_count(tmp_path: Path) -> None:
    """Before the first worker there is nothing."""
    files = CounterFiles(tmp_path / "nothing", dict)
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
        worker.busy("product", side=1)[BusyBlock.IN_FLIGHT] = 2
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


async def test_samples_become_rarer_where_they_cost_much(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that thousands of routes of many workers take half a tenth of a percent of a processor; within bounds."""
    pauses: list[float] = []
    now = 0.0
    costs = iter((0.0, 0.0005, 0.002, 0.5))

    def spent() -> float:
        nonlocal now
        if spending:
            now += next(costs)
        spending.append(True)
        return now

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        spending.clear()
        if len(pauses) == 4:
            raise asyncio.CancelledError

    spending: list[bool] = []
    monkeypatch.setattr("control.counters.asyncio.sleep", sleep)
    traffic = RecentTraffic(stage.files, stage.route_blocks, stage.clock, spent)
    with pytest.raises(asyncio.CancelledError):
        await traffic.run()
    assert [EVERY, EVERY, SPARING * 0.002, RAREST] == pytest.approx(pauses)


async def test_a_route_that_comes_back_begins_where_it_is(stage: Stage) -> None:
    """What it had counted long ago is of no present; one that is new counts from its first request."""
    worker = stage.worker()
    blocks = dict(stage.route_blocks())
    present = {name: start for name, start in blocks.items() if name != "product" and start != max(blocks.values())}
    newest = max(blocks, key=lambda name: blocks[name])
    traffic = RecentTraffic(stage.files, lambda: present, stage.clock)
    worker.count("product", times=1000)
    await traffic.sample()
    stage.clock.time += 2
    present = blocks
    worker.count(newest, times=8)
    await traffic.sample()
    assert {newest: 8} == traffic.recent()
    stage.clock.time += 2
    worker.count("product", times=6)
    await traffic.sample()
    assert {"product": 6, newest: 8} == traffic.recent()


Looks = list[tuple[float, dict[str, tuple[int, int]]]]
PLACES = {name: WORKER_SLOTS + RouteBlock.SIZE * at for name, at in {"a": 0, "b": 1, "c": 3, "d": 30}.items()}
PLACES["e"] = PLACES["d"] + RouteBlock.SIZE + 16
BUSY = {PLACES[name]: WORKER_SLOTS + RouteBlock.SIZE * 40 + BusyBlock.SIZE * at for at, name in enumerate("abce")}
"""One has none."""

a_look = st.tuples(
    st.floats(0.5, 20),
    st.sets(st.sampled_from(sorted(PLACES))),
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(sorted(PLACES)),
            st.sampled_from(list(Side)),
            st.integers(0, len(DURATION_BOUNDS)),
            st.integers(1, 400),
        )
    ),
)


def walked(files: CounterFiles, blocks: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """The requests of each route by side, from its block alone."""
    found = {}
    for name, start in blocks.items():
        slots = files.route(start) or [0] * RouteBlock.SIZE
        first = [RouteBlock.DURATIONS + 1 + side * RouteBlock.SIDE for side in Side]
        legacy, new = (sum(slots[at : at + len(DURATION_BOUNDS) + 1]) for at in first)
        found[name] = (legacy, new)
    return found


def taken_over(looks: Looks, before: set[str], now: dict[str, tuple[int, int]]) -> Looks:
    """Earlier looks as they are remembered when other routes are there."""
    end = max((PLACES[name] for name in before), default=-1)
    begins = {name: (0, 0) if PLACES[name] > end else sums for name, sums in now.items()}
    return [(at, {name: sums.get(name, begins[name]) for name in now}) for at, sums in looks]


def rises(looks: Looks, since: float) -> dict[str, tuple[float, tuple[int, int]]]:
    """From the first look that is not older, or the last one but one: seconds, and requests by side; if any."""
    at, last = looks[-1]
    before = [look for look in looks if look[0] < at]
    first = next((look for look in before if look[0] >= since), before[-1])
    found = {name: (last[name][0] - first[1][name][0], last[name][1] - first[1][name][1]) for name in last}
    return {name: (at - first[0], pair) for name, pair in found.items() if pair != (0, 0)}


@settings(max_examples=60, deadline=None)
@given(st.lists(a_look, min_size=2, max_size=8))
def test_what_is_read_in_columns_is_what_a_walk_over_the_blocks_finds(
    script: list[tuple[float, set[str], list[tuple[int, str, Side, int, int]]]],
) -> None:
    """Sums, rates, and what a minute brought, of two workers, with routes that come and go."""
    with TemporaryDirectory() as folder:
        asyncio.run(compared(Path(folder), script))


async def compared(folder: Path, script: list[tuple[float, set[str], list[tuple[int, str, Side, int, int]]]]) -> None:
    workers = [Counters(folder / f"worker-{number}.slots") for number in (0, 1)]
    for number, worker in enumerate(workers):
        worker.grow(max(BUSY.values()) + BusyBlock.SIZE if number else PLACES["c"] + RouteBlock.SIZE)
    files, clock, present, looks = CounterFiles(folder, lambda: BUSY), StageClock(), dict[str, int](), Looks()
    traffic = RecentTraffic(files, lambda: present, clock)
    for seconds, names, counts in script:
        for number, name, side, bucket, times in counts:
            start = PLACES[name] + RouteBlock.DURATIONS + side * RouteBlock.SIDE
            if bucket < BusyBlock.BUCKETS and times % 3:  # the rest is as older workers have counted
                start = BUSY.get(PLACES[name], start) + side * BusyBlock.SIDE + BusyBlock.DURATIONS
            if start + RouteBlock.SIZE < len(workers[number].slots):
                workers[number].slots[start] += times
                workers[number].slots[start + 1 + bucket] += times
        clock.time += seconds
        before, present = set(present), {name: PLACES[name] for name in names}
        await traffic.sample()
        now = walked(files, present)
        looks = [*taken_over(looks, before, now), (clock.time, now)]
        while len(looks) > 2 and looks[1][0] <= clock.time - MINUTE:
            looks.pop(0)
        assert {name: sums for name, sums in now.items() if any(sums)} == traffic.sums()
        if len(looks) > 1:
            rates = {
                name: Rate(*(n / took for n in pair))
                for name, (took, pair) in rises(looks, clock.time - PRESENT).items()
            }
            assert rates == traffic.rates()
            first = rises([looks[0], looks[-1]], 0)
            assert {name: sum(pair) for name, (_, pair) in first.items()} == traffic.recent()
    files.close()

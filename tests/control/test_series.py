"""The last hour is remembered in steps, bounded in memory, and survives workers and routes that come and go."""

from __future__ import annotations

import asyncio
import math
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control import series as series_module
from control.counters import CounterFiles
from control.series import ALL, GROUPS, POINTS, STEP, Key, Series, quantile
from router.core.model import Side
from router.planes.embedded.counters import Counters
from router.telemetry import CODE_CLASSES, DURATION_BOUNDS, REASON_SLOTS, WORKER_SLOTS, BusyBlock, RouteBlock
from tests.control.stage import Stage, StageClock, Worker, many_routes


def watching(stage: Stage) -> Series:
    return Series(
        stage.files,
        stage.route_blocks,
        lambda: {route.name: route.group for route in stage.live.table.routes},
        stage.clock,
    )


async def step(stage: Stage, series: Series) -> None:
    stage.clock.time += STEP
    await series.sample()


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.start()
    return stage


def buckets(**counts: int) -> list[int]:
    """`b0=3`: three in the first bucket."""
    found = [0] * (len(DURATION_BOUNDS) + 1)
    for name, count in counts.items():
        found[int(name[1:])] = count
    return found


def test_a_quantile_is_drawn_as_a_line_within_its_bucket() -> None:
    """Half of what lies between 1 and 2.5 ms is 1.75 ms."""
    assert 0.00175 == pytest.approx(quantile(buckets(b1=10), 0.5))
    assert 0.0005 == pytest.approx(quantile(buckets(b0=10), 0.5))
    assert 0.001 == pytest.approx(quantile(buckets(b0=5, b3=5), 0.5))


def test_what_lies_above_the_last_bound_is_told_as_that_bound() -> None:
    """Nobody knows how far above."""
    assert DURATION_BOUNDS[-1] == quantile(buckets(b14=1), 0.99)


def test_without_any_there_is_no_quantile() -> None:
    """Not zero: that would be the fastest of all."""
    assert math.isnan(quantile(buckets(), 0.5))


async def test_the_first_look_has_nothing_to_compare_with(stage: Stage) -> None:
    """What was counted before it is of no step; what comes after is of the next."""
    worker = stage.worker()
    worker.count("product", times=1000)
    series = watching(stage)
    await step(stage, series)
    assert [] == series.times(POINTS)
    worker.count("product", times=20)
    await step(stage, series)
    assert [2.0] == series.of(Key("product"), POINTS)["legacy"]["rate"]


async def test_an_hour_is_remembered_and_no_more(stage: Stage) -> None:
    """The oldest step gives way; values stand in the order of time."""
    worker = stage.worker()
    series = watching(stage)
    await step(stage, series)
    for number in range(POINTS + 5):
        worker.count("product", times=10 * number)
        await step(stage, series)
    rates = series.of(Key("product"), POINTS)["legacy"]["rate"]
    assert (POINTS, POINTS) == (len(series.times(POINTS)), len(rates))
    assert [float(number) for number in range(5, POINTS + 5)] == rates
    assert rates[-3:] == series.of(Key("product"), 3)["legacy"]["rate"]


async def test_a_route_that_begins_later_had_nothing_before(stage: Stage) -> None:
    """Zeros, and no latencies."""
    worker = stage.worker()
    series = watching(stage)
    await step(stage, series)
    worker.count("product", times=10)
    await step(stage, series)
    worker.count("unlisted", times=30)
    await step(stage, series)
    assert ([0.0, 3.0], None) == (
        series.of(Key("unlisted"), 2)["legacy"]["rate"],
        series.of(Key("unlisted"), 2)["legacy"]["p50"][0],
    )
    assert [1.0, 3.0] == series.of(ALL, 2)["legacy"]["rate"]
    assert [0.0, 3.0] == series.of(Key(group=""), 2)["legacy"]["rate"]


async def test_a_route_that_has_gone_leaves_no_series(stage: Stage) -> None:
    """Its ring is given back."""
    worker = stage.worker()
    series = watching(stage)
    await step(stage, series)
    worker.count("product", times=10)
    await step(stage, series)
    blocks = dict(stage.route_blocks())
    del blocks["product"]
    series._blocks = lambda: blocks
    await step(stage, series)
    assert "product" not in series.routes()
    assert [0.0, 0.0] == series.of(Key("product"), 2)["legacy"]["rate"]


async def test_routes_beyond_the_bound_have_no_series(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay in the sums; when one that has a series goes, there is room for another."""
    monkeypatch.setattr(series_module, "ROUTES", 2)
    worker = stage.worker()
    series = watching(stage)
    await step(stage, series)
    names = list(stage.route_blocks())
    for _ in range(2):
        for name in names:
            worker.count(name, times=10)
        await step(stage, series)
    kept = list(series.routes())
    assert (2, len(names)) == (len(kept), series.of(ALL, 1)["legacy"]["rate"][0])
    blocks = {name: start for name, start in stage.route_blocks().items() if name != kept[0]}
    series._blocks = lambda: blocks
    for name in names:
        worker.count(name, times=10)
    await step(stage, series)
    assert (2, False) == (len(series.routes()), kept[0] in series.routes())


async def test_what_a_fallback_hides_is_an_error_of_the_new_side(stage: Stage) -> None:
    """Legacy's answer counts for legacy; an exchange that ended without a status is nobody's error."""
    worker = stage.worker()
    series = watching(stage)
    await step(stage, series)
    worker.count("product", side=0, times=10)
    worker.count("product", side=1, code="none", times=10)
    worker.counters.slots[stage.live.blocks.routes["product"] + RouteBlock.FALLBACKS + RouteBlock.STATUS_CAUSE] += 10
    await step(stage, series)
    found = series.of(Key("product"), 1)
    assert ([0.0], [1.0]) == (found["legacy"]["errors"], found["new"]["errors"])


async def test_a_new_worker_adds_to_the_others(stage: Stage) -> None:
    """Its file is found, and nothing seems to run backwards."""
    first = stage.worker(0)
    series = watching(stage)
    await step(stage, series)
    first.count("product", times=10)
    await step(stage, series)
    stage.worker(1).count("product", times=50)
    first.count("product", times=10)
    await step(stage, series)
    assert [1.0, 6.0] == series.of(Key("product"), 2)["legacy"]["rate"]


async def test_1500_busy_routes_cost_less_than_40_mb(stage: Stage, tmp_path: Path) -> None:
    """For a whole hour, of which every step takes the same."""
    await stage.live.load(many_routes(1500).encode(), actor="kim", allow_removal=True)
    worker = Worker(stage.worker().counters, stage)
    names = [route.name for route in stage.live.table.routes]
    series = watching(stage)
    await step(stage, series)
    used = []
    tracemalloc.start()
    for _ in range(4):
        for name in names:
            worker.count(name, side=1)
            first = stage.live.blocks.routes[name] + RouteBlock.DURATIONS + 1
            for bucket in range(len(DURATION_BOUNDS) + 1):
                worker.counters.slots[first + bucket] += 1
        await step(stage, series)
        used.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert 1500 == len(series.routes())
    assert used[0] + (used[-1] - used[0]) / 3 * POINTS < 40e6


async def test_the_last_step_is_told_of_every_route_that_had_traffic(stage: Stage) -> None:
    """Of legacy, then of new; made once, however many look."""
    worker = stage.worker()
    series = watching(stage)
    assert {} == await series.latest()
    await step(stage, series)
    worker.count("product", side=1, times=20)
    await step(stage, series)
    found = await series.latest()
    assert {"product": [0.0, 0.0, None, None, 2.0, 0.0, 0.00175, 0.002485]} == found
    assert found is await series.latest()
    await step(stage, series)
    assert {} == await series.latest()


async def test_a_place_that_was_given_back_tells_nothing_of_its_former_route(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gets it had nothing before."""
    monkeypatch.setattr(series_module, "ROUTES", 1)
    worker = stage.worker()
    blocks = dict(stage.route_blocks())
    series = watching(stage)
    series._blocks = lambda: blocks
    await step(stage, series)
    worker.count("product", times=50)
    await step(stage, series)
    blocks = {name: start for name, start in blocks.items() if name != "product"}
    worker.count("unlisted", times=10)
    await step(stage, series)
    assert ["unlisted"] == list(series.routes())
    assert [0.0, 1.0] == series.of(Key("unlisted"), 2)["legacy"]["rate"]


async def test_groups_that_are_no_more_make_room_for_others(stage: Stage) -> None:
    """However often groups are renamed, new ones have series."""
    worker = stage.worker()
    series = watching(stage)
    await step(stage, series)
    for number in range(GROUPS + 5):
        names = dict.fromkeys(stage.route_blocks(), f"g{number}")
        series._groups = lambda names=names: names  # type: ignore[misc]
        worker.count("product", times=10)
        await step(stage, series)
    assert [1.0] == series.of(Key(group=f"g{GROUPS + 4}"), 1)["legacy"]["rate"]


PLACES = {name: WORKER_SLOTS + RouteBlock.SIZE * number for number, name in enumerate("abcd")}
BUSY = {start: WORKER_SLOTS + RouteBlock.SIZE * 4 + BusyBlock.SIZE * at for at, start in enumerate(PLACES.values())}
OF = {"a": "g", "b": "g", "c": "h", "d": ""}
FAILED = CODE_CLASSES.index("5xx") * REASON_SLOTS

a_count = st.tuples(
    st.sampled_from("abcd"),
    st.sampled_from(list(Side)),
    st.integers(0, len(DURATION_BOUNDS)),
    st.sampled_from((1, 200, 70_000, 2**33)),
    st.sampled_from(("", "", "5xx", "hidden")),
)


def counts(files: CounterFiles, start: int) -> list[list[int]]:
    """Of each side: errors, then the buckets; from the route's block alone."""
    slots, found = files.route(start) or [0] * RouteBlock.SIZE, []
    hidden = (0, sum(slots[RouteBlock.FALLBACKS : RouteBlock.FALLBACKS + RouteBlock.FALLBACK_SLOTS]))
    for side in Side:
        failed = RouteBlock.REQUESTS + side * RouteBlock.SIDE_REQUESTS + FAILED
        first = RouteBlock.DURATIONS + side * RouteBlock.SIDE + 1
        errors = sum(slots[failed : failed + REASON_SLOTS]) + hidden[side]
        found.append([errors, *slots[first : first + len(DURATION_BOUNDS) + 1]])
    return found


def points(moved: Sequence[Sequence[int]], seconds: float) -> list[float]:
    """Rate, errors, p50 and p99 of both sides."""
    found: list[float] = []
    for errors, *buckets in moved:
        found += [sum(buckets) / seconds, errors / seconds, quantile(buckets, 0.5), quantile(buckets, 0.99)]
    return found


def last_point(found: Mapping[str, Mapping[str, list[float | None]]]) -> list[float]:
    values = [values[-1] for side in ("legacy", "new") for values in found[side].values()]
    return [math.nan if value is None else value for value in values]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 30), st.lists(a_count, max_size=8)), min_size=1, max_size=5))
def test_what_is_made_of_columns_is_what_a_walk_over_the_blocks_makes(
    script: list[tuple[float, list[tuple[str, Side, int, int, str]]]],
) -> None:
    """Of routes, of groups, and of everything; small numbers and large ones, errors and what fallbacks have hidden."""
    with TemporaryDirectory() as folder:
        asyncio.run(compared(Path(folder), script))


async def compared(folder: Path, script: list[tuple[float, list[tuple[str, Side, int, int, str]]]]) -> None:
    worker = Counters(folder / "worker-0.slots")
    worker.grow(max(BUSY.values()) + BusyBlock.SIZE)
    files, clock = CounterFiles(folder, lambda: BUSY), StageClock()
    series = Series(files, lambda: PLACES, lambda: OF, clock)
    await series.sample()
    asked = {Key(name): name for name in PLACES} | {Key(group="g"): "ab", Key(group="h"): "c", ALL: "abcd"}
    before = {name: counts(files, start) for name, start in PLACES.items()}
    for seconds, counted in script:
        for name, side, bucket, times, trouble in counted:
            start = PLACES[name]
            if bucket < BusyBlock.BUCKETS:
                worker.slots[BUSY[start] + side * BusyBlock.SIDE + BusyBlock.DURATIONS + 1 + bucket] += times
            else:
                worker.slots[start + RouteBlock.DURATIONS + side * RouteBlock.SIDE + 1 + bucket] += times
            if trouble == "5xx":
                worker.slots[start + side * RouteBlock.SIDE_REQUESTS + FAILED + bucket] += times
            elif trouble:
                worker.slots[start + RouteBlock.FALLBACKS + bucket % RouteBlock.FALLBACK_SLOTS] += times
        clock.time += seconds
        await series.sample()
        now = {name: counts(files, start) for name, start in PLACES.items()}
        for key, names in asked.items():
            moved = [
                [
                    sum(now[name][side][at] - before[name][side][at] for name in names)
                    for at in range(len(now["a"][side]))
                ]
                for side in Side
            ]
            expected = pytest.approx(points(moved, seconds), rel=1e-3, abs=1e-3, nan_ok=True)
            assert expected == last_point(series.of(key, 1))
        before = now
    files.close()

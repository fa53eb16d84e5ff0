"""The last hour is remembered in steps, bounded in memory, and survives workers and routes that come and go."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import pytest

from control import series as series_module
from control.series import ALL, POINTS, STEP, Key, Series, quantile
from router.telemetry import DURATION_BOUNDS, RouteBlock
from tests.control.stage import Stage, Worker, many_routes


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
    assert Key("product") not in series._rings


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
    kept = [key.route for key in series._rings if key.route]
    assert (2, len(names)) == (len(kept), series.of(ALL, 1)["legacy"]["rate"][0])
    blocks = {name: start for name, start in stage.route_blocks().items() if name != kept[0]}
    series._blocks = lambda: blocks
    for name in names:
        worker.count(name, times=10)
    await step(stage, series)
    assert 2 == len([key for key in series._rings if key.route])
    assert Key(kept[0]) not in series._rings


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
    """For a whole hour: rings are of fixed size."""
    await stage.live.load(many_routes(1500).encode(), actor="kim", allow_removal=True)
    worker = Worker(stage.worker().counters, stage)
    names = [route.name for route in stage.live.table.routes]
    series = watching(stage)
    await step(stage, series)
    tracemalloc.start()
    for _ in range(2):
        for name in names:
            worker.count(name, side=1)
        await step(stage, series)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 1500 < len(series._rings)
    assert used < 40e6

"""The curve and the stages survive a restart, become coarser with age, and stay small."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.stores.progress import GRAINS, VERSION, ProgressStore
from rollout.core.progress import DAY, STAGES, Passage, Point, Stage, Tally, Track
from router.ports import StoreError

NOW = 1_700_000_000.0 // DAY * DAY
LEGACY = Track(Stage.LEGACY, NOW, 0, NOW)
RAMPING = Track(Stage.RAMPING, NOW + 5, 250_000, NOW + 5)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ProgressStore]:
    store = ProgressStore(tmp_path / "progress.db")
    yield store
    await store.close()


def tally(finished: int, requests: int = 0) -> Tally:
    apis = tuple(finished if stage is Stage.DONE else 1 for stage in STAGES)
    counts = tuple(requests if stage is Stage.DONE else 0 for stage in STAGES)
    return Tally(apis, counts, requests, finished * 1_000_000)


async def add(store: ProgressStore, at: float, finished: int, requests: int = 1) -> None:
    await store.add(Point(at, {"catalog": tally(finished, requests), "": tally(1)}))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


async def test_tracks_survive_a_restart(store: ProgressStore, tmp_path: Path) -> None:
    """As they were written last; what has gone is not among them."""
    await store.record({"a": LEGACY, "b": LEGACY}, [], NOW)
    await store.record({"a": RAMPING}, ["b"], NOW + 5)
    again = ProgressStore(tmp_path / "progress.db")
    assert {"a": RAMPING} == await again.tracks()
    await again.close()


async def test_every_change_of_stage_is_kept_and_nothing_else(store: ProgressStore) -> None:
    """The newest first; a weight that moves within a stage is none."""
    await store.record({"a": LEGACY, "b": LEGACY}, [], NOW)
    await store.record({"a": RAMPING}, [], NOW + 5)
    await store.record({"a": Track(Stage.RAMPING, NOW + 5, 300_000, NOW + 6)}, ["b", "stranger"], NOW + 6)
    assert [
        Passage(NOW + 6, "b", "legacy", ""),
        Passage(NOW + 5, "a", "legacy", "ramping"),
        Passage(NOW, "b", "", "legacy"),
        Passage(NOW, "a", "", "legacy"),
    ] == await store.passages(10, None)
    assert ["ramping", "legacy"] == [each.after for each in await store.passages(10, "a")]
    assert 1 == len(await store.passages(1, None))
    assert [] == await store.passages(10, "nobody")


async def test_a_route_that_comes_back_is_new(store: ProgressStore) -> None:
    """It has passed from nowhere, twice."""
    await store.record({"a": LEGACY}, [], NOW)
    await store.record({}, ["a"], NOW + 1)
    await store.record({"a": RAMPING}, [], NOW + 2)
    assert {"a": RAMPING} == await store.tracks()
    assert ["", "legacy", ""] == [each.before for each in await store.passages(10, "a")]


async def test_the_curve_of_a_young_migration_is_fine(store: ProgressStore) -> None:
    """Five minutes a point, of all together or of one group; requests of one point add up, the rest is the newest."""
    await add(store, NOW, 1)
    await add(store, NOW + 299, 2)
    await add(store, NOW + 300, 3)
    curve = await store.curve(0, {"catalog"})
    assert [(NOW + 299, 2, 2), (NOW + 300, 3, 1)] == [(at, each.finished - 1, each.new) for at, each in curve]
    assert [(NOW + 299, 5), (NOW + 300, 6)] == [(at, each.finished) for at, each in await store.curve(0, None)]
    assert [] == await store.curve(0, {"nobody"})
    assert await store.curve(0, None) == await store.curve(0, {"catalog", ""})
    assert [NOW + 300] == [at for at, _ in await store.curve(NOW + 300, None)]


async def test_old_points_become_coarser(store: ProgressStore) -> None:
    """Hours after two days, days after two months; each carries the requests of its whole time."""
    for hour in range(24 * 70):
        await add(store, NOW + 3600 * hour, hour)
    last = NOW + 3600 * (24 * 70 - 1)
    assert 70 == len(await store.curve(0, None))
    assert {24} == {each.new for _, each in await store.curve(0, {"catalog"})}
    assert 24 * 50 == len(await store.curve(last - 50 * DAY + 1, None))
    assert [last - 2 * DAY, last - DAY, last] == [day.at for day in await store.days(last - 3 * DAY + 1)]


async def test_nothing_is_kept_for_ever(store: ProgressStore, tmp_path: Path) -> None:
    """Each grain has its time."""
    await add(store, NOW, 1)
    await add(store, NOW + 6 * 366 * DAY, 2)
    with sqlite3.connect(tmp_path / "progress.db") as connection:
        assert [(grain, 1) for grain, _ in GRAINS] == connection.execute(
            "SELECT grain, count(*) FROM points GROUP BY grain"
        ).fetchall()


async def test_a_year_of_1500_routes_in_100_groups_stays_below_50_mb(store: ProgressStore, tmp_path: Path) -> None:
    """With every table as full as it gets in a year, and every route changing its stage each week."""
    groups = {
        f"group-{number}": Tally((0, 3, 2, 4, 3, 2, 1), (0, *[number * 7919 % 99_991] * 6), number, 7_300_019)
        for number in range(100)
    }
    for stage in (Stage.LEGACY, Stage.RAMPING) * 26:
        tracks = {f"GET /v1/some/ordinary/path/{number}/{{id}}": Track(stage, NOW, 0, NOW) for number in range(1500)}
        await store.record(tracks, [], NOW)
    for number in range(2 * 288):
        await store.add(Point(NOW + 364 * DAY + 300 * number, groups))
    await store.close()
    with sqlite3.connect(tmp_path / "progress.db") as connection:
        for grain, count in ((3600, 60 * 24), (86_400, 366)):
            connection.executemany(
                "INSERT OR REPLACE INTO points SELECT ?, ?, at, whole, groups FROM points WHERE grain = 300 LIMIT 1",
                [(grain, number) for number in range(count)],
            )
        assert 576 + 60 * 24 + 366 <= connection.execute("SELECT count(*) FROM points").fetchone()[0]
        assert 78_000 == connection.execute("SELECT count(*) FROM passages").fetchone()[0]
    connection.close()
    assert size_of(tmp_path) < 50e6


async def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    """It is refused, and stays as it is."""
    path = tmp_path / "progress.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    store = ProgressStore(path)
    with pytest.raises(StoreError, match="later version"):
        await store.tracks()
    await store.close()


async def test_a_file_that_is_none_is_an_error_and_no_crash(tmp_path: Path) -> None:
    """And once it is away, the next call begins anew."""
    path = tmp_path / "progress.db"
    path.write_bytes(b"not a database, but long enough to look at" * 100)
    store = ProgressStore(path)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"progress\.db"):
            await store.tracks()
    path.unlink()
    assert {} == await store.tracks()
    await store.close()

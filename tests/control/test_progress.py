"""The migration is watched: what was remembered goes on, and a memory that fails costs the curve alone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control import progress as progress_module
from control.progress import EVERY, POINT, WINDOW, Progress
from control.stores.progress import ProgressStore
from rollout.core import progress as core
from rollout.core.burnup import TOO_YOUNG, WEEK, Forecast
from rollout.core.progress import DAY, SETTLED, STAGES, STANDS, Passage, Point, Stage, Tally, Track, Why
from router.core.orders import Kind, Reach, Scope
from router.events import EventName
from router.ports import StoreError
from tests.control.stage import Stage as Rig


class Memory:
    """A memory that can be told to fail."""

    def __init__(self) -> None:
        self.known: dict[str, Track] = {}
        self.points: list[Point] = []
        self.failing = False

    async def tracks(self) -> Mapping[str, Track]:
        self._check()
        return dict(self.known)

    async def record(self, tracks: Mapping[str, Track], gone: Sequence[str], at: float) -> None:
        self._check()
        self.known |= tracks
        for name in gone:
            del self.known[name]

    async def add(self, point: Point) -> None:
        self._check()
        self.points.append(point)

    async def curve(self, since: float, groups: Collection[str] | None) -> Sequence[tuple[float, Tally]]:
        self._check()
        return [(each.at, each.all) for each in self.points]

    async def days(self, since: float) -> Sequence[Point]:
        self._check()
        return list(self.points)

    async def passages(self, limit: int, route: str | None) -> Sequence[Passage]:
        self._check()
        return ()

    def _check(self) -> None:
        if self.failing:
            raise StoreError("disk full")


@pytest.fixture
async def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    await rig.start()
    await rig.traffic.sample()
    return rig


@pytest.fixture
def memory() -> Memory:
    return Memory()


def watching(rig: Rig, memory: object) -> Progress:
    return Progress(rig.live, rig.traffic.sums, rig.clock, rig.live.events, memory)  # type: ignore[arg-type]


def stages(watch: Progress) -> list[Stage]:
    return [each.track.stage for each in watch.look().routes]


async def test_the_present_is_known_without_a_memory(rig: Rig) -> None:
    """Stages, groups and owners from what is in force; there is no past and no forecast."""
    watch = watching(rig, None)
    await watch.step()
    look = watch.look()
    assert [Stage.RAMPING, Stage.RAMPING, Stage.LEGACY] == stages(watch)
    assert {"catalog": 2, "": 1} == {group: tally.total for group, tally in look.groups.items()}
    assert ((), TOO_YOUNG) == (await watch.history(0), watch.forecast())


async def test_a_rollback_shows_at_once(rig: Rig) -> None:
    """Nobody has to wait for the next look."""
    watch = watching(rig, None)
    assert Stage.RAMPING == stages(watch)[0]
    await rig.live.rollback(Scope(Reach.ALL), reason="fire", actor="kim")
    assert Stage.HOLDING == stages(watch)[0]


async def test_tracks_go_on_after_a_restart(rig: Rig, memory: Memory) -> None:
    """A route that stood for sixty days under two processes is stuck."""
    await watching(rig, memory).step()
    rig.clock.time += STANDS
    watch = watching(rig, memory)
    await watch.step()
    assert (Why.PARTIAL, "product") in [(each.why, each.route) for each in watch.look().stuck]


async def test_traffic_is_weighed_over_the_last_hour(rig: Rig) -> None:
    """What was counted before control began, or more than an hour ago, does not weigh."""
    worker = rig.worker()
    worker.count("product", side=0, times=1000)
    rig.clock.time += EVERY
    await rig.traffic.sample()
    watch = watching(rig, None)
    await watch.step()
    worker.count("product", side=1, times=30)
    worker.count("unlisted", side=0, times=10)
    rig.clock.time += POINT
    await rig.traffic.sample()
    await watch.step()
    assert (0.75, POINT) == (watch.look().all.ratio, watch.look().window)
    for _ in range(int(WINDOW / POINT) + 1):
        rig.clock.time += POINT
        await rig.traffic.sample()
        await watch.step()
    assert watch.look().all.ratio is None


async def test_before_the_counters_were_read_nothing_is_said_about_traffic(tmp_path: Path, memory: Memory) -> None:
    """What was counted in another life would seem to be of this hour."""
    rig = Rig(tmp_path)
    await rig.start()
    watch = watching(rig, memory)
    await watch.step()
    assert (0.0, []) == (watch.look().window, memory.points)


async def test_a_point_is_kept_every_five_minutes(rig: Rig, memory: Memory) -> None:
    """With the requests since the one before; a stage that changes in between is recorded at once."""
    watch = watching(rig, memory)
    await watch.step()
    rig.worker().count("product", side=1, times=30)
    rig.clock.time += EVERY
    await rig.traffic.sample()
    await rig.live.rollback(Scope(Reach.ALL), reason="fire", actor="kim")
    await watch.step()
    assert (1, Stage.HOLDING) == (len(memory.points), memory.known["product"].stage)
    rig.clock.time += POINT
    await watch.step()
    assert [0, 30] == [each.all.new for each in memory.points]


async def test_a_step_is_due_when_something_takes_force(rig: Rig) -> None:
    """Or after ten seconds; not before there was anything to count from."""
    watch = watching(rig, None)
    assert watch._due()
    await watch.step()
    assert not watch._due()
    await rig.live.rollback(Scope(Reach.ALL), reason="fire", actor="kim")
    assert watch._due()
    await watch.step()
    rig.clock.time += EVERY
    assert watch._due()


async def test_a_route_that_vanishes_is_forgotten(rig: Rig, memory: Memory) -> None:
    """And the others stay."""
    watch = watching(rig, memory)
    await watch.step()
    text = "\n".join(line for line in rig.live.text.decode().splitlines() if "search" not in line)
    await rig.live.load(text.encode(), actor="kim")
    rig.clock.time += EVERY
    await watch.step()
    assert {"product", "PUT /v1/carts/{cartId}"} == set(memory.known)


async def test_a_memory_that_fails_is_said_once_and_costs_no_track(rig: Rig, memory: Memory) -> None:
    """The present goes on; when the memory is back it learns what it has missed, and forgets nothing it knew."""
    old = Track(Stage.RAMPING, rig.clock.time - DAY, 250_000, rig.clock.time - DAY)
    memory.known = {"product": old}
    memory.failing = True
    watch = watching(rig, memory)
    with rig.live.subscribe() as events:
        for _ in range(2):
            await watch._guarded()
            rig.clock.time += EVERY
        assert EventName.PROGRESS_TROUBLE == (await anext(events)).name
        events.close()
        assert [] == [event async for event in events]
    with pytest.raises(StoreError):
        await watch.history(0)
    memory.failing = False
    await watch._guarded()
    assert (old, 3) == (memory.known["product"], len(memory.known))


async def test_forecasts_are_drawn_from_days(rig: Rig, memory: Memory) -> None:
    """Of everything and of each group, from what was kept."""
    now = rig.clock.now()
    done = STAGES.index(Stage.DONE)
    for week in range(5):
        apis = tuple(week * 3 if index == done else 20 - week * 3 if index == 1 else 0 for index in range(len(STAGES)))
        memory.points.append(Point(now - (4 - week) * WEEK, {"catalog": Tally(apis)}))
    watch = watching(rig, memory)
    memory.add = _nothing  # type: ignore[method-assign]
    await watch.step()
    found = watch.forecast(frozenset({"catalog"}))
    assert isinstance(found, Forecast)
    assert 3.0 == found.weekly
    assert found == watch.forecast() == watch.forecast(watch.owned()["team-catalog"])
    assert TOO_YOUNG == watch.forecast(watch.owned()[""])


async def _nothing(point: Point) -> None:
    """Leaves the points as they are."""


async def test_the_real_store_serves_it(rig: Rig, tmp_path: Path) -> None:
    """A curve, passages and tracks from one step."""
    store = ProgressStore(tmp_path / "progress.db")
    watch = watching(rig, store)
    await watch.step()
    assert [3] == [tally.total for _, tally in await watch.history(0)]
    assert 3 == len(await watch.passages(10))
    await store.close()


async def test_what_stays_as_it_is_is_not_looked_at_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until something takes force, or time brings a route into another stage."""
    looks: list[float] = []
    real = core.walk

    def walk(*arguments: Any) -> Any:
        looks.append(arguments[-1])
        return real(*arguments)

    monkeypatch.setattr("control.progress.walk", walk)
    watch = watching(rig, None)
    for _ in range(3):
        await watch.step()
        rig.clock.time += EVERY
    assert 1 == len(looks)
    await rig.live.rollback(Scope(Reach.GROUP, "catalog"), reason="fire", actor="kim")
    await watch.step()
    assert 2 == len(looks)
    rig.clock.time -= DAY
    await watch.step()
    assert 3 == len(looks)


CHANGES = st.one_of(
    st.sampled_from(("rollback", "freeze", "weight", "file", "resume")),
    st.sampled_from((1.0, EVERY, POINT, DAY, SETTLED - EVERY, SETTLED, STANDS, -60.0)),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(CHANGES, max_size=8))
def test_whoever_looks_only_when_it_is_due_sees_what_everybody_would(script: list[str | float]) -> None:
    """The same stages since the same times, and the same in the memory, as with a look at every step."""
    with TemporaryDirectory() as folder:
        asyncio.run(compared(Path(folder), script))


async def compared(folder: Path, script: list[str | float]) -> None:
    rig = Rig(folder)
    await rig.start()
    await rig.traffic.sample()
    sparing, eager = Memory(), Memory()
    watch, always = watching(rig, sparing), watching(rig, eager)
    for number, change in enumerate((0.0, *script)):
        if isinstance(change, float):
            rig.clock.time += change
        else:
            await change_of(rig, change, number)
        always._followed = None
        await watch.step()
        await always.step()
        assert [each.track for each in always.look().routes] == [each.track for each in watch.look().routes]
        assert (eager.known, [each.groups for each in eager.points]) == (
            sparing.known,
            [each.groups for each in sparing.points],
        )


async def change_of(rig: Rig, change: str, number: int) -> None:
    """Some are refused, as they would be in life: they change nothing."""
    live = rig.live
    match change:
        case "rollback":
            await live.rollback(Scope(Reach.GROUP, "catalog"), reason="fire", actor="kim")
        case "freeze":
            await live.give(Kind.FREEZE, Scope(Reach.ROUTE, "product"), reason="sale", actor="kim")
        case "weight":
            await live.weight(Scope(Reach.ROUTE, "product"), 40_000 * number, reason="on", actor="kim")
        case "file":
            text = live.text.decode().replace("weight: 5,", f"weight: {6 + number},")
            await live.load(text.encode(), actor="kim")
        case _:
            for order in live.orders:
                await live.resume(order.id, reason="out", actor="kim")


async def test_what_is_looked_at_in_slices_is_looked_at_whole(
    rig: Rig, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups whose routes lie in several slices add up, and what is unlisted is there."""
    watch = watching(rig, memory)
    await watch.step()
    worker = rig.worker()
    for name, times in {"product": 30, "unlisted": 10, "PUT /v1/carts/{cartId}": 5}.items():
        worker.count(name, side=0, times=times)
    rig.clock.time += POINT
    await rig.traffic.sample()
    monkeypatch.setattr(progress_module, "SLICE", 1)
    watch._followed = None
    await watch.step()
    assert watch.look().groups == memory.points[-1].groups
    assert (45, 3) == (sum(memory.points[-1].all.requests), memory.points[-1].all.total)

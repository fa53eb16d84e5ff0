"""Keeps watch over the migration: where every route stands, since when, and how it came to be so.

`rollout.core.progress` says what a stage is; here it is asked whenever something takes force or the time has come for a
route, what has changed is remembered, and a point of the curve is kept every five minutes.  When the memory fails, the
present is still told and nothing else of the router notices.

Thousands of routes are gone through in slices, between which the event loop turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from rollout.core.burnup import TOO_YOUNG, Forecast, Mark, NoForecast, forecast
from rollout.core.progress import (
    Look,
    Passage,
    Point,
    Standing,
    Tally,
    Track,
    by_group,
    settles,
    standings,
    stuck,
    walk,
)
from router.core.model import UNLISTED, Table
from router.core.orders import EffectiveState, Order
from router.events import EventName, Events
from router.live import Live
from router.ports import Clock, StoreError

EVERY: Final = 10.0
"""Seconds between two looks, unless something else takes force."""
SOON: Final = 1.0
"""Seconds after which that is noticed."""
POINT: Final = 300.0
"""Seconds between two points of the curve."""
FORECAST: Final = 3600.0
"""Seconds between two forecasts."""
WINDOW: Final = 3600.0
"""Seconds of traffic that stages are weighted with."""
FRESH: Final = 5.0
"""Seconds for which a look is good, unless something else takes force."""
LOOKED_BACK: Final = 91 * 86_400.0
"""Seconds of history that a forecast is drawn from, and a little more."""

SLICE: Final = 1500
"""Routes looked at in one turn of the event loop: two or three milliseconds."""

ALL: Final[frozenset[str]] = frozenset()
"""Stands for everything where groups are named."""

Sums = Mapping[str, tuple[int, int]]
"""Requests answered ever by (legacy, new), by route name."""


@dataclass(frozen=True, slots=True, eq=False)
class _Followed:
    """Where every route stood, and how long that stays so."""

    table: Table
    state: EffectiveState
    orders: Sequence[Order]
    routes: Sequence[Standing]
    """Without their traffic."""
    tracks: Mapping[str, Track]
    since: float
    until: float
    """Unix times between which the same question has the same answer."""


class Memory(Protocol):
    """What outlives the process.  Every method may raise StoreError."""

    async def tracks(self) -> Mapping[str, Track]:
        """How every route stood at the last word."""

    async def record(self, tracks: Mapping[str, Track], gone: Sequence[str], at: float) -> None:
        """The tracks that have changed, and the routes that are no more."""

    async def add(self, point: Point) -> None:
        """Keeps a point; old ones become coarser."""

    async def curve(self, since: float, groups: Collection[str] | None) -> Sequence[tuple[float, Tally]]:
        """Of some groups together, or of all; in the order of time."""

    async def days(self, since: float) -> Sequence[Point]:
        """One point a day, with all groups; the last one is of today."""

    async def passages(self, limit: int, route: str | None) -> Sequence[Passage]:
        """The newest first."""


class Progress:
    """Knows the present, and asks the memory for the past."""

    def __init__(
        self, live: Live, sums: Callable[[], Sums | None], clock: Clock, events: Events, memory: Memory | None = None
    ) -> None:
        self._live = live
        self._sums = sums
        self._clock = clock
        self._events = events
        self._memory = memory
        self._tracks: Mapping[str, Track] = {}
        self._marks: deque[tuple[float, Sums]] = deque()
        """Sums at earlier times, oldest first: the window of traffic."""
        self._look: tuple[EffectiveState, Look] | None = None
        self._stepped: tuple[EffectiveState | None, float] = (None, 0.0)
        """What was in force at the last step, and when that was."""
        self._followed: _Followed | None = None
        self._point: tuple[float, Sums] | None = None
        """When the last point was made, and the sums at that time."""
        self._written: Mapping[str, Track] | None = None
        """The tracks as the memory has them; None: it has not been read yet."""
        self._trouble = ""
        self._forecasts: Mapping[frozenset[str], Forecast | NoForecast] = {}
        """By the groups that are meant together; `ALL` for everything."""
        self._forecast_at = 0.0

    # -- the present --------------------------------------------------------------------------------

    def look(self) -> Look:
        """How it stands; cheap when it was asked a moment ago."""
        now, state = self._clock.now(), self._live.state
        if self._look is not None and self._look[0] is state and 0 <= now - self._look[1].at < FRESH:
            return self._look[1]
        requests, window = self._recent()
        found = standings(self._live.table, state, self._live.orders, self._tracks, requests, now)
        groups = by_group(found, sum(requests.get(UNLISTED, (0, 0))))
        late = stuck(found, self._live.orders, now)
        look = Look(now, self._live.revision, found, groups, late, window)
        self._look = (state, look)
        return look

    def forecast(self, groups: frozenset[str] = ALL) -> Forecast | NoForecast:
        """Of everything, of one group, or of all groups of an owner."""
        return self._forecasts.get(groups, TOO_YOUNG)

    def owned(self) -> Mapping[str, frozenset[str]]:
        """The groups of each owner; `""`: those that nobody owns, and what is in no group."""
        return self._owners(self.look().groups)

    def _owners(self, groups: Iterable[str]) -> Mapping[str, frozenset[str]]:
        owners: dict[str, set[str]] = {}
        for group in groups:
            known = self._live.table.groups.get(group)
            owners.setdefault(known.owner if known else "", set()).add(group)
        return {owner: frozenset(found) for owner, found in owners.items()}

    def _recent(self) -> tuple[Sums, float]:
        """Requests within the window, and how long that is so far."""
        if not self._marks:
            return {}, 0.0
        at, first = self._marks[0]
        return _difference(self._sums() or {}, first), self._clock.elapsed() - at

    # -- the past -----------------------------------------------------------------------------------

    async def history(self, since: float, groups: Collection[str] | None = None) -> Sequence[tuple[float, Tally]]:
        """The curve, of some groups together or of all; empty without a memory.  Raises StoreError."""
        return () if self._memory is None else await self._memory.curve(since, groups)

    async def passages(self, limit: int, route: str | None = None) -> Sequence[Passage]:
        """Which routes came into another stage, the newest first.  Raises StoreError."""
        return () if self._memory is None else await self._memory.passages(limit, route)

    # -- keeping watch ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Looks and remembers until it is cancelled."""
        while True:
            if self._live.started and self._due():
                await self._guarded()
            await asyncio.sleep(SOON)

    def _due(self) -> bool:
        state, at = self._stepped
        return state is not self._live.state or self._clock.elapsed() - at >= EVERY

    async def _guarded(self) -> None:
        """A memory that fails costs the curve, and is said once."""
        try:
            await self.step()
        except StoreError as error:
            if str(error) != self._trouble:
                self._events.tell(EventName.PROGRESS_TROUBLE, why=str(error))
            self._trouble = str(error)
        else:
            self._trouble = ""

    async def step(self) -> None:
        """One look, and what follows from it.  Raises StoreError; the present is known all the same."""
        if not self._mark():
            return  # what was counted before our time must not seem to be of this hour
        self._stepped = (self._live.state, self._clock.elapsed())
        now = self._clock.now()
        if not self._holds(now):
            await self._follow(now)
        if self._memory is not None:
            await self._remember(self._memory, now)

    def _mark(self) -> bool:
        """Keeps the sums now and then; False: nobody has counted yet."""
        now = self._clock.elapsed()
        if not self._marks or now - self._marks[-1][0] >= POINT:
            sums = self._sums()
            if sums is None:
                return False
            self._marks.append((now, sums))
        while len(self._marks) > 1 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()
        return True

    def _holds(self, now: float) -> bool:
        """Would it be the same as at the last look?"""
        last, live = self._followed, self._live
        if last is None or last.tracks is not self._tracks or not last.since <= now < last.until:
            return False
        return last.table is live.table and last.state is live.state and last.orders is live.orders

    async def _follow(self, now: float) -> None:
        table, state, orders = self._live.table, self._live.state, self._live.orders
        routes: list[Standing] = []
        async for some in _slices(walk(table, state, orders, self._tracks, {}, now)):
            routes += some
        tracks = {each.route.name: each.track for each in routes}
        found = _Followed(table, state, orders, routes, tracks, now, settles(tracks.values()))
        self._look, self._followed, self._tracks = None, found, tracks

    async def _remember(self, memory: Memory, now: float) -> None:
        """What has changed since it was written last, and now and then a point of the curve.

        Nothing is written before the memory has been read: every route would seem to be new.
        """
        if self._written is None:
            self._written = dict(await memory.tracks())
            self._tracks = {**self._tracks, **self._written}
            await self._follow(now)
        if self._written is not self._tracks:
            await self._record(memory, self._written, self._tracks, now)
        if self._point is None or not 0 <= now - self._point[0] < POINT:
            await self._keep(memory, now)
        if not 0 <= now - self._forecast_at < FORECAST:
            await self._foresee(memory, now)

    async def _record(
        self, memory: Memory, before: Mapping[str, Track], after: Mapping[str, Track], now: float
    ) -> None:
        changed = {name: track for name, track in after.items() if before.get(name) != track}
        gone = [name for name in before if name not in after]
        if changed or gone:
            await memory.record(changed, gone, now)
        self._written = after

    async def _keep(self, memory: Memory, now: float) -> None:
        """A point of the curve."""
        sums, last = self._sums() or {}, self._followed
        await asyncio.sleep(0)
        since = {} if self._point is None else _difference(sums, self._point[1])
        counted = (_with(each, since) for each in last.routes) if last else ()
        tallies: dict[str, Tally] = {}
        async for some in _slices(counted):
            _add_up(tallies, by_group(some))
        _add_up(tallies, by_group((), sum(since.get(UNLISTED, (0, 0)))))
        await memory.add(Point(now, tallies))
        self._point = (now, sums)

    async def _foresee(self, memory: Memory, now: float) -> None:
        points = await memory.days(now - LOOKED_BACK)
        groups = {"", *(route.group for route in self._live.table.routes)}
        wanted = {frozenset({group}) for group in groups} | set(self._owners(groups).values())
        self._forecasts = await asyncio.to_thread(_forecasts, points, wanted, now)
        self._forecast_at = now


async def _slices(standings: Iterable[Standing]) -> AsyncIterator[Sequence[Standing]]:
    """With a turn for everybody else before each."""
    walking = iter(standings)
    await asyncio.sleep(0)
    while some := list(islice(walking, SLICE)):
        yield some
        await asyncio.sleep(0)


def _with(each: Standing, requests: Sums) -> Standing:
    return Standing(each.route, each.owner, each.share, each.track, requests.get(each.route.name, (0, 0)))


def _add_up(tallies: dict[str, Tally], more: Mapping[str, Tally]) -> None:
    for group, tally in more.items():
        before = tallies.get(group)
        tallies[group] = tally if before is None else before + tally


def _difference(later: Sums, earlier: Sums) -> Sums:
    """Of routes that had any."""
    found = {}
    for name, (legacy, new) in later.items():
        before = earlier.get(name, (0, 0))
        if before != (legacy, new):
            found[name] = (max(0, legacy - before[0]), max(0, new - before[1]))
    return found


def _forecasts(
    points: Sequence[Point], wanted: Collection[frozenset[str]], now: float
) -> Mapping[frozenset[str], Forecast | NoForecast]:
    """Of everything, and of what is wanted."""
    found = {ALL: forecast([_mark_of(each.at, each.groups.values()) for each in points], now)}
    for groups in wanted:
        known = ((each.at, [each.groups[group] for group in groups if group in each.groups]) for each in points)
        found[groups] = forecast([_mark_of(at, tallies) for at, tallies in known if tallies], now)
    return found


def _mark_of(at: float, tallies: Collection[Tally]) -> Mark:
    return Mark(at, sum(each.total for each in tallies), sum(each.finished for each in tallies))

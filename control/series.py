"""The last hour in steps of ten seconds, for plots: rates, errors and latencies of both sides.

Of every route that has traffic, of every group, and of everything.  In memory alone: a new control begins with an empty
hour.  Workers count; here it is only read, in columns (`control.columns`), with turns for the event loop in between.

Of groups and of everything the points themselves are kept.  Of routes it is what they counted in each step, a column
for each number, and points are made of it when somebody asks: routes may be thousands, most of which nobody looks at.

A latency is a quantile of one step, as exact as the workers' buckets are: within a bucket it is drawn as a line, and
what lies above the last bound is told as that bound.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress, islice
from math import isnan, nan
from typing import Final

from control.columns import Lanes, relaid
from control.counters import CounterFiles
from router.core.model import Side
from router.ports import Clock
from router.telemetry import CODE_CLASSES, DURATION_BOUNDS, REASON_SLOTS, RouteBlock

STEP: Final = 10.0
"""Seconds between two points."""
POINTS: Final = 360
"""An hour."""
GROUPS: Final = 200
"""Groups of which there are series."""
ROUTES: Final = 5000
"""Routes of which there are series: 4 kB each where ten buckets are met in every step, and twice as much where a route
has more than 255 requests of a kind in one."""
SLICE: Final = 500
"""Routes whose last step is told in one turn of the event loop."""
_FIELDS: Final = ("rate", "errors", "p50", "p99")
_SIDES: Final = len(Side)
_WIDTH: Final = _SIDES * len(_FIELDS)
_BUCKETS: Final = len(DURATION_BOUNDS) + 1


def _errors(side: Side) -> tuple[int, ...]:
    """Slots of answers 5xx; on the new side also of what a fallback has hidden."""
    first = RouteBlock.REQUESTS + side * RouteBlock.SIDE_REQUESTS + CODE_CLASSES.index("5xx") * REASON_SLOTS
    hidden = range(RouteBlock.FALLBACKS, RouteBlock.FALLBACKS + RouteBlock.FALLBACK_SLOTS)
    return (*range(first, first + REASON_SLOTS), *(hidden if side is Side.NEW else ()))


def _durations(side: Side) -> Iterator[tuple[int]]:
    first = RouteBlock.DURATIONS + side * RouteBlock.SIDE + 1
    return ((slot,) for slot in range(first, first + _BUCKETS))


_COUNTED: Final[tuple[tuple[int, ...], ...]] = tuple(
    slots for side in Side for slots in (_errors(side), *_durations(side))
)
"""Of each side: errors, and the buckets of the durations.  Every exchange has a duration, so these are its requests."""
_OF_A_SIDE: Final = 1 + _BUCKETS

Counts = Sequence[int]
"""One number for each entry of `_COUNTED`."""


@dataclass(frozen=True, slots=True)
class Key:
    """Whose series it is: a route's, a group's, or with neither everybody's."""

    route: str = ""
    group: str | None = None


ALL: Final = Key()


@dataclass(frozen=True, slots=True)
class Step:
    """Of one side, in one step; nan: nothing was answered."""

    rate: float
    """A second."""
    errors: float
    """A second: answers 5xx; on the new side also what a fallback has hidden."""
    p50: float
    """In seconds, like p99."""
    p99: float


@dataclass(frozen=True, slots=True)
class _Counted:
    """What all routes with series counted in one step."""

    seconds: float
    columns: Mapping[int, array[int]]
    """By the entry of `_COUNTED`, one number for each place; where nothing moved the column is missing."""

    def points(self, place: int) -> array[float]:
        counts = [0] * len(_COUNTED)
        for number, column in self.columns.items():
            counts[number] = column[place]
        return _flat(_steps(counts, self.seconds)) if any(counts) else _IDLE


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the numbers of a route stand."""

    number: int
    since: int
    """The first step in which it had this place."""


class Series:
    """Looks at the counters every ten seconds and remembers an hour of differences."""

    def __init__(
        self,
        files: CounterFiles,
        blocks: Callable[[], Mapping[str, int]],
        groups: Callable[[], Mapping[str, str]],
        clock: Clock,
    ) -> None:
        """`blocks` and `groups`: of every route in force, by its name; the same ones as long as nothing changes."""
        self._files = files
        self._blocks = blocks
        self._groups = groups
        self._clock = clock
        self._lanes = files.lanes({})
        self._last = [0] * len(_COUNTED)
        """Columns, as they were at the last look."""
        self._grouped: tuple[Mapping[str, str], Lanes, Mapping[str, Sequence[int]]] = ({}, self._lanes, {})
        """Of which groups and lanes, the lanes of each group."""
        self._rings: dict[Key, array[float]] = {}
        """Of groups and everything."""
        self._steps: deque[_Counted] = deque(maxlen=POINTS)
        """Of routes; those that have a place keep it as long as they are in force."""
        self._places: dict[str, _Place] = {}
        self._free: list[int] = []
        self._times: deque[float] = deque(maxlen=POINTS)
        self._taken = 0
        """Steps ever; the ring's place of the next one is this modulo `POINTS`."""
        self._looked: float | None = None
        self._latest: tuple[int, Mapping[str, list[float | None]]] = (0, {})

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self.sample()
            await asyncio.sleep(STEP)

    async def sample(self) -> None:
        """One step; the first look has nothing to compare with."""
        self._files.refresh()
        now, before = self._clock.elapsed(), self._looked
        seconds = 0.0 if before is None else now - before
        lanes = self._files.lanes(self._blocks())
        seen = [column async for column in self._files.columns(lanes, _COUNTED)]
        if lanes is not self._lanes:
            await self._in_other_lanes(lanes, seen)
        moved = {
            number: risen
            for number, (later, earlier) in enumerate(zip(seen, self._last, strict=True))
            if (risen := lanes.risen(later, earlier))
        }
        self._last, self._looked = seen, now
        if seconds > 0:
            await self._keep(moved, seconds)

    async def _in_other_lanes(self, lanes: Lanes, seen: Sequence[int]) -> None:
        """What was seen of routes that are still there."""
        where = lanes.moved_from(self._lanes)
        last = []
        for now, column in zip(seen, self._last, strict=True):
            last.append(relaid(lanes, self._lanes, where, column, now))
            await asyncio.sleep(0)
        self._last, self._lanes = last, lanes

    # -- a step -------------------------------------------------------------------------------------

    async def _keep(self, moved: Mapping[int, int], seconds: float) -> None:
        """What has risen: of routes as it is, of groups and of everything as points."""
        self._seat(moved)
        lanes, groups, order = self._lanes, self._lanes_by_group(), self._order()
        sums: dict[Key, list[int]] = {}
        columns: dict[int, array[int]] = {}
        for number, column in moved.items():
            values = lanes.values(column)
            _add_up(sums, number, values, groups)
            values.append(0)
            columns[number] = _narrow(list(map(values.__getitem__, order)))
            await asyncio.sleep(0)
        self._put({key: _flat(_steps(counts, seconds)) for key, counts in sums.items()}, groups)
        self._steps.append(_Counted(seconds, columns))

    def _seat(self, moved: Mapping[int, int]) -> None:
        """Routes that have traffic get a place while there is room; those that are no more give theirs back."""
        index = self._lanes.index
        for name in [name for name in self._places if name not in index]:
            self._free.append(self._places.pop(name).number)
        room = ROUTES - len(self._places)
        if room <= 0 or len(self._places) == len(index) or not moved:
            return
        some = 0
        for column in moved.values():
            some |= column
        names = compress(self._lanes.names, self._lanes.values(some))
        for name in islice((name for name in names if name not in self._places), room):
            number = self._free.pop() if self._free else len(self._places)
            self._places[name] = _Place(number, self._taken)

    def _order(self) -> list[int]:
        """The lane of each place; for one that is free, one lane too many."""
        found = [len(self._lanes.names)] * (len(self._places) + len(self._free))
        for name, place in self._places.items():
            found[place.number] = self._lanes.index[name]
        return found

    def _lanes_by_group(self) -> Mapping[str, Sequence[int]]:
        groups = self._groups()
        if self._grouped[0] is not groups or self._grouped[1] is not self._lanes:
            found: dict[str, list[int]] = {}
            for name, lane in self._lanes.index.items():
                found.setdefault(groups.get(name, ""), []).append(lane)
            self._grouped = (groups, self._lanes, found)
        return self._grouped[2]

    def _put(self, found: Mapping[Key, array[float]], groups: Collection[str]) -> None:
        """In one go, so that nobody sees half a step; a value is written in less than a microsecond."""
        for key in [key for key in self._rings if key.group is not None and key.group not in groups]:
            del self._rings[key]
        for key in found:
            if key not in self._rings and len(self._rings) < GROUPS:
                self._rings[key] = _EMPTY * POINTS
        place = self._taken % POINTS
        start, end = place * _WIDTH, (place + 1) * _WIDTH
        for key, ring in self._rings.items():
            ring[start:end] = found.get(key, _IDLE)
        self._times.append(self._clock.now())
        self._taken += 1

    # -- what is asked ------------------------------------------------------------------------------

    def times(self, points: int) -> list[float]:
        """Unix times of the last points, each the end of its step."""
        return list(self._times)[-points:]

    def routes(self) -> Collection[str]:
        """Those of which there are series."""
        return self._places.keys()

    def of(self, key: Key, points: int) -> Mapping[str, Mapping[str, list[float | None]]]:
        """By side and field, one value a point, None where nothing was answered; zeros when it had no traffic."""
        count = min(points, len(self._times))
        rows = list(self._of_route(key.route, count) if key.route else self._of_ring(key, count))
        return {
            side.label: {
                field: [_shown(field, row[side * len(_FIELDS) + number]) for row in rows]
                for number, field in enumerate(_FIELDS)
            }
            for side in Side
        }

    def _of_ring(self, key: Key, count: int) -> Iterator[array[float]]:
        ring = self._rings.get(key, _EMPTY * POINTS)
        for step in range(self._taken - count, self._taken):
            start = step % POINTS * _WIDTH
            yield ring[start : start + _WIDTH]

    def _of_route(self, name: str, count: int) -> Iterator[array[float]]:
        place, first = self._places.get(name), self._taken - count
        for number, step in enumerate(list(self._steps)[-count:] if count else (), first):
            yield _EMPTY if place is None or number < place.since else step.points(place.number)

    async def latest(self) -> Mapping[str, list[float | None]]:
        """The last step of every route that had traffic in it: rate, errors, p50 and p99 of legacy, then of new."""
        taken = self._taken
        if self._latest[0] != taken:
            step, found = self._steps[-1], dict[str, list[float | None]]()
            for number, (name, place) in enumerate(tuple(self._places.items()), 1):
                if number % SLICE == 0:
                    await asyncio.sleep(0)
                values = step.points(place.number) if place.since < taken else _EMPTY
                if values[0] > 0 or values[len(_FIELDS)] > 0:
                    found[name] = [None if isnan(value) else round(value, 6) for value in values]
            self._latest = (taken, found)
        return self._latest[1]


def _shown(field: str, value: float) -> float | None:
    counted = field in {"rate", "errors"}
    if isnan(value):
        return 0.0 if counted else None  # before its first request
    return round(value, 3 if counted else 6)


def _narrow(numbers: Sequence[int]) -> array[int]:
    """In as few bytes as the largest of them takes."""
    most = max(numbers, default=0)
    return array("B" if most < 1 << 8 else "H" if most < 1 << 16 else "I" if most < 1 << 32 else "Q", numbers)


_EMPTY: Final = array("f", [nan]) * _WIDTH
"""Before the first request."""
_IDLE: Final = array("f", [0.0, 0.0, nan, nan] * _SIDES)


def _flat(steps: Iterable[Step]) -> array[float]:
    return array("f", [value for step in steps for value in (step.rate, step.errors, step.p50, step.p99)])


def _add_up(sums: dict[Key, list[int]], number: int, values: array[int], groups: Mapping[str, Sequence[int]]) -> None:
    """A column, for everything and for each group that moved."""
    total = sum(values)
    sums.setdefault(ALL, [0] * len(_COUNTED))[number] = total
    for group, lanes in groups.items():
        if part := total if len(groups) == 1 else sum(map(values.__getitem__, lanes)):
            sums.setdefault(Key(group=group), [0] * len(_COUNTED))[number] = part


def _steps(counts: Counts, seconds: float) -> tuple[Step, ...]:
    return tuple(_step(counts[side * _OF_A_SIDE : (side + 1) * _OF_A_SIDE], seconds) for side in Side)


def _step(counts: Counts, seconds: float) -> Step:
    errors, *buckets = counts
    return Step(sum(buckets) / seconds, errors / seconds, quantile(buckets, 0.5), quantile(buckets, 0.99))


def quantile(buckets: Sequence[int], part: float) -> float:
    """In seconds, from counts by bucket; nan without any."""
    total = sum(buckets)
    if not total:
        return nan
    wanted = part * total
    for index, so_far in enumerate(accumulate(buckets)):
        if so_far >= wanted and buckets[index]:
            if index == len(DURATION_BOUNDS):
                break
            low = DURATION_BOUNDS[index - 1] if index else 0.0
            within = (wanted - (so_far - buckets[index])) / buckets[index]
            return low + (DURATION_BOUNDS[index] - low) * within
    return DURATION_BOUNDS[-1]

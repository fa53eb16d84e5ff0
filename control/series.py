"""The last hour in steps of ten seconds, for plots: rates, errors and latencies of both sides.

Of every route that has traffic, of every group, and of everything.  One ring of plain numbers each, in memory alone: a
new control begins with an empty hour.  Workers count; here it is only read, in slices between which the event loop
turns, and 1,500 busy routes cost a hundredth of one core.

A latency is a quantile of one step, as exact as the workers' buckets are: within a bucket it is drawn as a line, and
what lies above the last bound is told as that bound.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isnan, nan
from operator import add
from typing import Final

from control.counters import CounterFiles, sliced
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
"""Routes of which there are series: 12 kB each."""
_FIELDS: Final = ("rate", "errors", "p50", "p99")
_SIDES: Final = len(Side)
_WIDTH: Final = _SIDES * len(_FIELDS)
_FAILED: Final = CODE_CLASSES.index("5xx") * REASON_SLOTS
_BUCKETS: Final = len(DURATION_BOUNDS) + 1

Counts = tuple[int, ...]


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


class Series:
    """Looks at the counters every ten seconds and remembers an hour of differences."""

    def __init__(
        self,
        files: CounterFiles,
        blocks: Callable[[], Mapping[str, int]],
        groups: Callable[[], Mapping[str, str]],
        clock: Clock,
    ) -> None:
        """`blocks` and `groups`: of every route in force, by its name."""
        self._files = files
        self._blocks = blocks
        self._groups = groups
        self._clock = clock
        self._last: dict[str, Counts] = {}
        self._seals: dict[str, int] = {}
        self._rings: dict[Key, array[float]] = {}
        self._times: list[float] = []
        self._taken = 0
        """Steps ever; the ring's place of the next one is this modulo `POINTS`."""
        self._looked: float | None = None

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
        sums: dict[Key, Counts] = {}
        found: dict[Key, array[float]] = {}
        groups = self._groups()
        blocks = self._blocks()
        async for name, start in sliced(blocks):
            moved = self._moved(name, start)
            if moved is None or seconds <= 0:
                continue
            found[Key(name)] = _flat(_steps(moved, seconds))
            for key in (ALL, Key(group=groups.get(name, ""))):
                _add(sums, key, moved)
        found |= {key: _flat(_steps(moved, seconds)) for key, moved in sums.items()}
        for name in self._seals.keys() - blocks.keys():
            del self._seals[name]
            self._last.pop(name, None)
        self._looked = now
        if seconds > 0:
            self._put(found, blocks.keys())

    def _moved(self, name: str, start: int) -> Counts | None:
        """What a route's counts have risen by since the last look; None: not at all."""
        seal = self._files.seal(start, RouteBlock.SIZE)
        if self._seals.get(name) == seal:
            return None
        self._seals[name] = seal
        slots = self._files.block(start, RouteBlock.SIZE)
        if slots is None:
            return None
        counts, before = _counts(slots), self._last.get(name)
        if counts == before:
            return None
        self._last[name] = counts
        if before is None:
            return None if self._looked is None else counts
        return tuple(max(0, after - earlier) for after, earlier in zip(counts, before, strict=True))

    def _put(self, found: Mapping[Key, array[float]], routes: Iterable[str]) -> None:
        """In one go, so that nobody sees half a step; a value is written in less than a microsecond."""
        known = set(routes)
        for key in [key for key in self._rings if key.route and key.route not in known]:
            del self._rings[key]
        of_routes = sum(bool(key.route) for key in self._rings)
        room = {True: ROUTES - of_routes, False: GROUPS - len(self._rings) + of_routes}
        for key in found:
            kind = bool(key.route)
            if room[kind] > 0 and key not in self._rings:
                self._rings[key] = _EMPTY * POINTS
                room[kind] -= 1
        place = self._taken % POINTS
        start, end = place * _WIDTH, (place + 1) * _WIDTH
        for key, ring in self._rings.items():
            ring[start:end] = found.get(key, _IDLE)
        now = self._clock.now()
        self._times = [*self._times[-(POINTS - 1) :], now]
        self._taken += 1

    # -- what is asked ------------------------------------------------------------------------------

    def times(self, points: int) -> list[float]:
        """Unix times of the last points, each the end of its step."""
        return self._times[-points:]

    def of(self, key: Key, points: int) -> Mapping[str, Mapping[str, list[float | None]]]:
        """By side and field, one value a point, None where nothing was answered; zeros when it had no traffic."""
        count = min(points, len(self._times))
        ring = self._rings.get(key)
        places = [(self._taken - count + number) % POINTS for number in range(count)]
        return {
            side.label: {
                field: list(_column(ring, places, side * len(_FIELDS) + number, field))
                for number, field in enumerate(_FIELDS)
            }
            for side in Side
        }

    def latest(self) -> dict[str, list[float | None]]:
        """The last step of every route that had traffic in it: rate, errors, p50 and p99 of legacy, then of new."""
        if not self._taken:
            return {}
        start = (self._taken - 1) % POINTS * _WIDTH
        found: dict[str, list[float | None]] = {}
        for key, ring in self._rings.items():
            values = ring[start : start + _WIDTH]
            if key.route and (values[0] or values[len(_FIELDS)]):
                found[key.route] = [None if isnan(value) else round(value, 6) for value in values]
        return found


def _column(ring: array[float] | None, places: Iterable[int], offset: int, field: str) -> Iterator[float | None]:
    counted = field in {"rate", "errors"}
    for place in places:
        value = nan if ring is None else ring[place * _WIDTH + offset]
        if isnan(value):
            yield 0.0 if counted else None  # before its first request a ring was not there yet
        else:
            yield round(value, 3 if counted else 6)


def _counts(slots: Sequence[int]) -> Counts:
    """Of each side: requests, errors, and the buckets of the durations."""
    found: list[int] = []
    hidden = (0, sum(slots[RouteBlock.FALLBACKS : RouteBlock.FALLBACKS + RouteBlock.FALLBACK_SLOTS]))
    for side in Side:
        start = RouteBlock.REQUESTS + side * RouteBlock.SIDE_REQUESTS
        failed = sum(slots[start + _FAILED : start + _FAILED + REASON_SLOTS])
        first = RouteBlock.DURATIONS + side * RouteBlock.SIDE + 1
        found += (sum(slots[start : start + RouteBlock.SIDE_REQUESTS]), failed + hidden[side])
        found += slots[first : first + _BUCKETS]
    return tuple(found)


_EMPTY: Final = array("f", [nan]) * _WIDTH
"""Before the first request."""
_IDLE: Final = array("f", [0.0, 0.0, nan, nan] * _SIDES)


def _flat(steps: Iterable[Step]) -> array[float]:
    return array("f", [value for step in steps for value in (step.rate, step.errors, step.p50, step.p99)])


def _add(sums: dict[Key, Counts], key: Key, moved: Counts) -> None:
    before = sums.get(key)
    sums[key] = moved if before is None else tuple(map(add, before, moved))


def _steps(moved: Counts, seconds: float) -> tuple[Step, ...]:
    size = len(moved) // len(Side)
    return tuple(_step(moved[side * size : (side + 1) * size], seconds) for side in Side)


def _step(moved: Counts, seconds: float) -> Step:
    requests, errors, *buckets = moved
    return Step(requests / seconds, errors / seconds, quantile(buckets, 0.5), quantile(buckets, 0.99))


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

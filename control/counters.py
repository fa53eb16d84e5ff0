"""Reads what the workers count, and adds it up.

The files belong to the workers (`router.telemetry` has the layout); here they are only ever read.  A sum runs over
all files there are, also those of workers that are gone, so that a counter never runs backwards.  `Traffic` keeps a
short memory of sums and knows from it what goes on at the moment.

What is wanted of every route is read in columns (`control.columns`), since there may be thousands of routes that all
carry traffic; what is wanted of a few is read block by block.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import re
import time
from array import array
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import compress
from operator import add
from pathlib import Path
from typing import Final, NamedTuple

from control.columns import Lanes, lanes_of, relaid
from router.core.model import Side
from router.ports import Clock
from router.telemetry import (
    BUSY_SLOTS,
    DURATION_BOUNDS,
    MAGIC,
    WORKER_SLOTS,
    BusyBlock,
    EndpointBlock,
    RouteBlock,
    WorkerSlot,
)

_BYTES: Final = 8
_NAME: Final = re.compile(r"worker-(\d+)\.slots")
SLICE: Final = 50
"""Blocks read in one turn of the event loop: about a millisecond."""
TURN: Final = 200_000
"""Lanes read in one turn: about a millisecond as well."""
EVERY: Final = 2.0
"""Seconds between two samples ..."""
WATCHED: Final = 1.0
"""... while somebody looks at them live ..."""
SPARING: Final = 2000
"""... and otherwise so many times what a sample costs, where there are many workers and thousands of routes: half a
tenth of a percent of a processor ..."""
RAREST: Final = 5.0
"""... but no longer than this."""
MINUTE: Final = 60.0
PRESENT: Final = 10.0
"""Seconds over which a rate of the present is taken."""
MARK: Final = 600.0
"""Seconds for each of which the highest rate of legacy is remembered ..."""
MARKS: Final = 144
"""... so many times: a day."""


class CounterFiles:
    """The counter files of all workers that ever ran with this state directory."""

    def __init__(self, folder: Path, busy: Callable[[], Mapping[int, int]]) -> None:
        """`busy`: where the `BusyBlock` of each `RouteBlock` is."""
        self._folder = folder
        self._busy = busy
        self._maps: dict[int, mmap.mmap] = {}
        self._slots: dict[int, memoryview] = {}
        """The same, by slot."""
        self._blocks: Mapping[str, int] = {}
        self._lanes = lanes_of({}, RouteBlock.SIZE)

    def refresh(self) -> None:
        """Takes in new files and those that have grown; one that cannot be read is left out."""
        for worker, file in _found(self._folder):
            known = self._maps.get(worker)
            try:
                if known is None or file.stat().st_size != len(known):
                    self._maps[worker] = _mapped(Path(file.path))
                    self._slots[worker] = _by_slot(self._maps[worker])
            except (OSError, ValueError):
                continue  # empty, vanished or cut: the next look may see it whole

    def workers(self) -> list[int]:
        return sorted(self._maps)

    def slot(self, worker: int, slot: int) -> int:
        """One slot of one worker; 0 when there is no such file."""
        data = self._maps.get(worker)
        return 0 if data is None else int.from_bytes(data[slot * _BYTES : (slot + 1) * _BYTES], "little")

    def total(self, slot: int) -> int:
        return sum(self.slot(worker, slot) for worker in self._maps)

    def block(self, start: int, size: int, of: Collection[int] | None = None) -> list[int] | None:
        """The sums of a block's slots; None when nothing in it was ever counted.  `of`: of these workers only."""
        empty = bytes(size * _BYTES)
        found: list[int] | None = None
        for worker, data in self._maps.items():
            raw = data[start * _BYTES : (start + size) * _BYTES]
            if raw == empty or len(raw) != len(empty) or (of is not None and worker not in of):
                continue
            slots = array("Q", raw)
            found = slots.tolist() if found is None else list(map(add, found, slots))
        return found

    def route(self, start: int, of: Collection[int] | None = None) -> list[int] | None:
        """The sums of a route's block, with those of its busy block put in; None, `of`: as `block`."""
        return self._with_busy(start, 0, RouteBlock.SIZE, of)

    def side(self, start: int, side: int, of: Collection[int] | None = None) -> list[int] | None:
        """Those of one side of a route, from `RouteBlock.SIDES` on."""
        return self._with_busy(start, RouteBlock.SIDES + side * RouteBlock.SIDE, RouteBlock.SIDE, of)

    def _with_busy(self, start: int, first: int, size: int, of: Collection[int] | None) -> list[int] | None:
        found = self.block(start + first, size, of)
        place = self._busy().get(start)
        busy = None if place is None else self.block(place, BusyBlock.SIZE, of)
        if busy is None:
            return found
        found = found or [0] * size
        for slot, second in BUSY_SLOTS.items():
            if first <= slot < first + size:
                found[slot - first] += busy[second]
        return found if any(found) else None  # another side may be busy

    def lanes(self, blocks: Mapping[str, int]) -> Lanes:
        """Those of the blocks of routes; the same ones as long as the blocks are."""
        if blocks is not self._blocks:
            if blocks != self._blocks:
                self._lanes = lanes_of(blocks, RouteBlock.SIZE, self._busy(), BusyBlock.SIZE, BUSY_SLOTS)
            self._blocks = blocks
        return self._lanes

    async def columns(self, lanes: Lanes, sums: Iterable[Iterable[int]]) -> AsyncIterator[int]:
        """Of all workers, some slots of each block added up; with a turn for everybody else now and then."""
        read = 0
        for slots in sums:
            found = 0
            for slot in slots:
                if read >= TURN:
                    await asyncio.sleep(0)
                    read = 0
                for data in self._slots.values():
                    found += lanes.read(data, slot)
                    read += len(lanes.names)
            yield found

    def close(self) -> None:
        for slots in self._slots.values():
            slots.release()
        self._slots.clear()
        for data in self._maps.values():
            data.close()
        self._maps.clear()


def _found(folder: Path) -> Iterator[tuple[int, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as entries:
            files = list(entries)
    except OSError:
        return
    for file in files:
        if name := _NAME.fullmatch(file.name):
            yield int(name[1]), file


def _by_slot(data: mmap.mmap) -> memoryview:
    return memoryview(data)[: len(data) // _BYTES * _BYTES].cast("Q")


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if len(data) < WORKER_SLOTS * _BYTES or int.from_bytes(data[:_BYTES], "little") != MAGIC:
        data.close()
        raise ValueError(f"{path} is no counter file of this version")
    return data


async def sliced(blocks: Mapping[str, int]) -> AsyncIterator[tuple[str, int]]:
    """The blocks one by one, with a turn for everybody else now and then."""
    for number, entry in enumerate(list(blocks.items())):
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)
        yield entry


class Rate(NamedTuple):
    """Requests a second, by side."""

    legacy: float
    new: float

    @property
    def share(self) -> float | None:
        """The measured share of the new side, 0..1; None without traffic."""
        total = self.legacy + self.new
        return self.new / total if total else None


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest rate of legacy, in requests a second, and how many seconds back that was looked at."""

    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Of one route and side, this very moment: exchanges answered ever, under way, and open tunnels."""

    answered: int
    in_flight: int
    tunnels: int


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    sums: tuple[int, ...]
    """By side, a column: requests answered ever."""


_ANSWERED: Final = tuple(
    range(first, first + len(DURATION_BOUNDS) + 1)
    for first in (RouteBlock.DURATIONS + 1 + side * RouteBlock.SIDE for side in Side)
)
"""By side: every exchange has a duration, and of those there are a few slots instead of hundreds."""


class RecentTraffic:
    """What the counters say about the present: the `Traffic` port."""

    def __init__(
        self,
        files: CounterFiles,
        blocks: Callable[[], Mapping[str, int]],
        clock: Clock,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        """`spent`: seconds of processor time."""
        self._files = files
        self._blocks = blocks
        self._clock = clock
        self._spent = spent
        self._lanes = files.lanes({})
        self._samples: deque[_Sample] = deque()
        """All of them in the same lanes."""
        self._rates: Mapping[str, Rate] | None = None
        self._sums: Mapping[str, tuple[int, int]] | None = None
        """What was asked for since the last sample."""
        self._taken = asyncio.Event()
        self._waiting = 0
        self._marks: deque[tuple[float, float]] = deque(maxlen=MARKS)
        """(when it began, the highest rate of legacy in it), oldest first."""

    async def run(self) -> None:
        """Takes samples until it is cancelled."""
        while True:
            began = self._spent()
            await self.sample()
            cost = self._spent() - began
            await asyncio.sleep(WATCHED if self._waiting else min(max(EVERY, SPARING * cost), RAREST))

    async def sample(self) -> None:
        """One look at all counters; what is older than a minute is forgotten, but for one."""
        self._files.refresh()
        at = self._clock.elapsed()
        lanes = self._files.lanes(self._blocks())
        found = _Sample(at, tuple([column async for column in self._files.columns(lanes, _ANSWERED)]))
        if lanes is not self._lanes:
            self._samples = await self._in_other_lanes(lanes, found)
            self._lanes = lanes
        self._samples.append(found)
        while len(self._samples) > 2 and self._samples[1].at <= at - MINUTE:
            self._samples.popleft()
        self._rates = self._sums = None
        self._mark(at)
        self._taken.set()
        self._taken = asyncio.Event()

    async def _in_other_lanes(self, lanes: Lanes, now: _Sample) -> deque[_Sample]:
        """What was seen of routes that are still there."""
        where, found = lanes.moved_from(self._lanes), deque[_Sample]()
        for sample in tuple(self._samples):
            pairs = zip(sample.sums, now.sums, strict=True)
            found.append(_Sample(sample.at, tuple(relaid(lanes, self._lanes, where, *pair) for pair in pairs)))
            await asyncio.sleep(0)
        return found

    async def until_sampled(self) -> None:
        """Waits for the next sample."""
        self._waiting += 1
        try:
            await self._taken.wait()
        finally:
            self._waiting -= 1

    def _mark(self, at: float) -> None:
        """The highest rate of legacy is remembered; of a moment's rush ten seconds are the measure."""
        if (first := self._reference()) is None:
            return
        last = self._samples[-1]
        rate = sum(self._lanes.values(self._risen(first, last, Side.LEGACY))) / (last.at - first.at)
        if not self._marks or at - self._marks[-1][0] >= MARK:
            self._marks.append((at, rate))
        elif rate > self._marks[-1][1]:
            self._marks[-1] = (self._marks[-1][0], rate)

    def legacy_peak(self) -> Peak:
        """The most that legacy served in the last day, or for as long as this process has been looking."""
        if not self._marks:
            return Peak(0.0, 0.0)
        return Peak(max(rate for _, rate in self._marks), self._clock.elapsed() - self._marks[0][0])

    def refresh(self) -> None:
        """Sees the files of workers that have just been started."""
        self._files.refresh()

    def elapsed(self) -> float:
        """Seconds since some moment, by the clock of the samples."""
        return self._clock.elapsed()

    @property
    def clock(self) -> Clock:
        return self._clock

    def sums(self) -> Mapping[str, tuple[int, int]] | None:
        """Requests answered ever by (legacy, new), by route name, as the last sample has them; None: there is none.

        Routes that never had any are missing.
        """
        if not self._samples:
            return None
        if self._sums is None:
            self._sums = self._by_name(*map(self._lanes.values, self._samples[-1].sums))
        return self._sums

    def now(self, start: int, side: int, of: Collection[int]) -> Now:
        """What a route's block says about one side at this moment; gauges of these workers only."""
        ever, gauges = self._files.side(start, side), self._files.side(start, side, of)
        in_flight, tunnels, bucket = (
            slot - RouteBlock.SIDES for slot in (RouteBlock.IN_FLIGHT, RouteBlock.TUNNELS, RouteBlock.DURATIONS + 1)
        )
        answered = sum(ever[bucket:tunnels]) if ever else 0  # every exchange has a duration
        return Now(answered, gauges[in_flight], gauges[tunnels]) if gauges else Now(answered, 0, 0)

    def endpoint_requests(self, start: int) -> int:
        """How often an endpoint was asked, ever."""
        return sum(self._files.block(start + EndpointBlock.REQUESTS, 1) or ())

    def endpoint_open(self, start: int, of: Collection[int]) -> int:
        """Connections that these workers have open to an endpoint, idle ones included."""
        return sum(self._files.block(start + EndpointBlock.OPEN, 1, of) or ())

    def recent(self) -> dict[str, int]:
        """Requests answered within the last minute, by route name; routes without any are missing."""
        if not self._samples:
            return {}
        first, last = self._samples[0], self._samples[-1]
        found = self._lanes.values(sum(self._risen(first, last, side) for side in Side))
        return dict(zip(compress(self._lanes.names, found), filter(None, found), strict=True))

    def per_second(self) -> dict[str, float]:
        """Requests a second over the last minute, or since there have been samples, by route name."""
        if len(self._samples) < 2:
            return {}
        seconds = self._samples[-1].at - self._samples[0].at
        return {name: requests / seconds for name, requests in self.recent().items()} if seconds > 0 else {}

    def rates(self) -> Mapping[str, Rate]:
        """Requests a second over the last seconds, by route name; routes without any are missing."""
        if self._rates is None:
            self._rates = self._rates_now()
        return self._rates

    def _rates_now(self) -> Mapping[str, Rate]:
        if (first := self._reference()) is None:
            return {}
        last = self._samples[-1]
        seconds = last.at - first.at
        risen = (self._risen(first, last, side) for side in Side)
        pairs = self._by_name(*map(self._lanes.values, risen))
        return {name: Rate(legacy / seconds, new / seconds) for name, (legacy, new) in pairs.items()}

    def _reference(self) -> _Sample | None:
        """What the last sample is compared with; None: there is nothing yet."""
        if not self._samples:
            return None
        last = self._samples[-1]
        before = [sample for sample in self._samples if sample.at < last.at]
        since = (sample for sample in before if sample.at >= last.at - PRESENT)
        return next(since, before[-1]) if before else None

    def _risen(self, first: _Sample, last: _Sample, side: Side) -> int:
        return self._lanes.risen(last.sums[side], first.sums[side])

    def _by_name(self, legacy: Iterable[int], new: Iterable[int]) -> dict[str, tuple[int, int]]:
        """Those that have any."""
        pairs = zip(self._lanes.names, zip(legacy, new, strict=True), strict=True)
        return {name: pair for name, pair in pairs if pair != (0, 0)}


GAUGES: Final = frozenset(
    {
        WorkerSlot.MAGIC,
        WorkerSlot.REVISION,
        WorkerSlot.PID,
        WorkerSlot.CONNECTIONS,
        WorkerSlot.LONGEST_STALL_US,
    }
)
"""Slots of a worker that are not counters."""

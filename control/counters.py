"""Reads what the workers count, and adds it up.

The files belong to the workers (`router.telemetry` has the layout); here they are only ever read.  A sum runs over
all files there are, also those of workers that are gone, so that a counter never runs backwards.  `Traffic` keeps a
short memory of sums and knows from it what goes on at the moment.
"""

from __future__ import annotations

import asyncio
import mmap
import re
from array import array
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import Final

from router.ports import Clock
from router.telemetry import MAGIC, WORKER_SLOTS, EndpointBlock, RouteBlock, WorkerSlot

_BYTES: Final = 8
_NAME: Final = re.compile(r"worker-(\d+)\.slots")
SLICE: Final = 50
"""Blocks read in one turn of the event loop: about a millisecond."""
EVERY: Final = 2.0
"""Seconds between two samples ..."""
WATCHED: Final = 1.0
"""... and while somebody looks at them live."""
MINUTE: Final = 60.0
PRESENT: Final = 10.0
"""Seconds over which a rate of the present is taken."""
MARK: Final = 600.0
"""Seconds for each of which the highest rate of legacy is remembered ..."""
MARKS: Final = 144
"""... so many times: a day."""


class CounterFiles:
    """The counter files of all workers that ever ran with this state directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._maps: dict[int, mmap.mmap] = {}

    def refresh(self) -> None:
        """Takes in new files and those that have grown; one that cannot be read is left out."""
        for worker, path in _found(self._folder):
            known = self._maps.get(worker)
            try:
                if known is None or path.stat().st_size != len(known):
                    self._maps[worker] = _mapped(path)
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

    def seal(self, start: int, size: int) -> int:
        """A number that is another one when anything in a block has been counted; far cheaper than the sums."""
        begin, end = start * _BYTES, (start + size) * _BYTES
        return hash(tuple([data[begin:end] for data in self._maps.values()]))

    def close(self) -> None:
        for data in self._maps.values():
            data.close()
        self._maps.clear()


def _found(folder: Path) -> Iterator[tuple[int, Path]]:
    try:
        paths = list(folder.iterdir())
    except OSError:
        return
    for path in paths:
        if name := _NAME.fullmatch(path.name):
            yield int(name[1]), path


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


@dataclass(frozen=True, slots=True)
class Rate:
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
    sums: Mapping[str, tuple[int, int]]
    """(legacy, new) by route name; routes that never had a request are missing."""


class RecentTraffic:
    """What the counters say about the present: the `Traffic` port."""

    def __init__(self, files: CounterFiles, blocks: Callable[[], Mapping[str, int]], clock: Clock) -> None:
        self._files = files
        self._blocks = blocks
        self._clock = clock
        self._samples: deque[_Sample] = deque()
        self._taken = asyncio.Event()
        self._waiting = 0
        self._marks: deque[tuple[float, float]] = deque(maxlen=MARKS)
        """(when it began, the highest rate of legacy in it), oldest first."""

    async def run(self) -> None:
        """Takes samples until it is cancelled."""
        while True:
            await self.sample()
            await asyncio.sleep(WATCHED if self._waiting else EVERY)

    async def sample(self) -> None:
        """One look at all counters; what is older than a minute is forgotten, but for one."""
        self._files.refresh()
        at = self._clock.elapsed()
        last = self._samples[-1].sums if self._samples else {}
        sums: dict[str, tuple[int, int]] = {}
        async for name, start in sliced(self._blocks()):
            if (found := self._sides(start)) is not None:
                before = last.get(name)
                sums[name] = before if before == found and before is not None else found
        self._samples.append(_Sample(at, sums))
        while len(self._samples) > 2 and self._samples[1].at <= at - MINUTE:
            self._samples.popleft()
        self._mark(at)
        self._taken.set()
        self._taken = asyncio.Event()

    async def until_sampled(self) -> None:
        """Waits for the next sample."""
        self._waiting += 1
        try:
            await self._taken.wait()
        finally:
            self._waiting -= 1

    def _mark(self, at: float) -> None:
        """The highest rate of legacy is remembered; of a moment's rush ten seconds are the measure."""
        if len(self._samples) < 2:
            return
        rate = sum(each.legacy for each in self.rates().values())
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
        """Requests answered ever by (legacy, new), by route name, as the last sample has them; None: there is none."""
        return self._samples[-1].sums if self._samples else None

    def now(self, start: int, side: int, of: Collection[int]) -> Now:
        """What a route's block says about one side at this moment; gauges of these workers only."""
        half = RouteBlock.SIDE_REQUESTS
        requests = self._files.block(start + RouteBlock.REQUESTS + side * half, half)
        gauges = self._files.block(start + RouteBlock.SIDES + side * RouteBlock.SIDE, RouteBlock.SIDE, of)
        if gauges is None:
            return Now(sum(requests or ()), 0, 0)
        in_flight, tunnels = RouteBlock.IN_FLIGHT - RouteBlock.SIDES, RouteBlock.TUNNELS - RouteBlock.SIDES
        return Now(sum(requests or ()), gauges[in_flight], gauges[tunnels])

    def endpoint_requests(self, start: int) -> int:
        """How often an endpoint was asked, ever."""
        return sum(self._files.block(start + EndpointBlock.REQUESTS, 1) or ())

    def endpoint_open(self, start: int, of: Collection[int]) -> int:
        """Connections that these workers have open to an endpoint, idle ones included."""
        return sum(self._files.block(start + EndpointBlock.OPEN, 1, of) or ())

    def _sides(self, start: int) -> tuple[int, int] | None:
        """Every exchange has a duration, and of those there are a few slots instead of hundreds."""
        half = RouteBlock.SIDE
        slots = self._files.block(start + RouteBlock.SIDES, 2 * half)
        first, last = RouteBlock.DURATIONS + 1 - RouteBlock.SIDES, RouteBlock.TUNNELS - RouteBlock.SIDES
        return None if slots is None else (sum(slots[first:last]), sum(slots[half + first : half + last]))

    def recent(self) -> dict[str, int]:
        """Requests answered within the last minute, by route name."""
        if not self._samples:
            return {}
        first, last = self._samples[0].sums, self._samples[-1].sums
        return {name: sum(after) - sum(first.get(name, (0, 0))) for name, after in last.items()}

    def per_second(self) -> dict[str, float]:
        """Requests a second over the last minute, or since there have been samples, by route name."""
        if len(self._samples) < 2:
            return {}
        seconds = self._samples[-1].at - self._samples[0].at
        return {name: requests / seconds for name, requests in self.recent().items()} if seconds > 0 else {}

    def rates(self) -> dict[str, Rate]:
        """Requests a second over the last seconds, by route name; routes without any are missing."""
        if not self._samples:
            return {}
        last = self._samples[-1]
        before = [sample for sample in self._samples if sample.at < last.at]
        if not before:
            return {}
        first = next((sample for sample in before if sample.at >= last.at - PRESENT), before[-1])
        seconds = last.at - first.at
        found: dict[str, Rate] = {}
        for name, (legacy, new) in last.sums.items():
            old = first.sums.get(name, (0, 0))
            if old != (legacy, new):
                found[name] = Rate((legacy - old[0]) / seconds, (new - old[1]) / seconds)
        return found


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

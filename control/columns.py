"""The same slot of thousands of blocks at once: a *column*.

Blocks were given out one behind the other, so a slot of all of them is a stride through a file, copied at the speed of
memory.  Where a second block counts some slots of the first, its stride is read as well and added.  A column is one
whole number in which each block has a lane of 64 bits: adding two columns, or taking one from another, is a single
operation for all routes, where a walk from route to route would hold up the event loop.

A lane counts what one machine can count, which is far from filling it, so nothing is carried into the lane beside it.
Where a number is none that could have been counted, the lanes are looked at one by one.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Final

LANE: Final = 8
"""Bytes."""
HOLE: Final = 16
"""So many blocks that nobody asks about, at most, are read along rather than stepped over."""


NOWHERE: Final = -1
"""The start of a block that there is not: all of it is 0."""


@dataclass(frozen=True, slots=True)
class Run:
    """Blocks at equal distances."""

    start: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Strides:
    """Blocks of one size, in the order of their lanes."""

    size: int
    """Slots of a block."""
    runs: tuple[Run, ...]

    def read(self, slots: memoryview, slot: int) -> bytes:
        """That slot of each block; of those beyond the end of the file it is 0."""
        pieces = (self._piece(slots, run, slot) for run in self.runs)
        return next(pieces) if len(self.runs) == 1 else b"".join(pieces)

    def _piece(self, slots: memoryview, run: Run, slot: int) -> bytes:
        if run.start == NOWHERE:
            return bytes(run.blocks * LANE)
        data = slots[run.start + slot : run.start + run.blocks * self.size : self.size].tobytes()
        return data.ljust(run.blocks * LANE, b"\0")


@dataclass(frozen=True, slots=True, eq=False)
class Lanes:
    """Which block has which lane."""

    blocks: Mapping[str, int]
    """Where each begins, by its name."""
    strides: Strides
    beside: Strides
    """The second blocks ..."""
    added: Mapping[int, int]
    """... and which of their slots is added to which of the first."""
    names: tuple[str, ...]
    """By lane; an empty one: nobody asks about it."""
    index: Mapping[str, int]
    """The lane of a name."""
    idle: tuple[int, ...]
    """Lanes without a name."""
    high: int
    """The highest bit of each lane."""
    nothing: bytes

    def read(self, slots: memoryview, slot: int) -> int:
        """A column of one file; blocks that lie beyond its end are 0."""
        found = self._number(self.strides.read(slots, slot))
        if (second := self.added.get(slot)) is not None:
            found += self._number(self.beside.read(slots, second))
        return found

    def _number(self, data: bytes) -> int:
        return 0 if data == self.nothing else int.from_bytes(data, sys.byteorder)

    def values(self, column: int) -> array[int]:
        """By lane; 0 where nobody asks."""
        found = array("Q", self._fitting(column).to_bytes(len(self.nothing), sys.byteorder))
        for lane in self.idle:
            found[lane] = 0
        return found

    def column(self, values: Iterable[int]) -> int:
        """The opposite of `values`."""
        return int.from_bytes(array("Q", values).tobytes(), sys.byteorder)

    def risen(self, later: int, earlier: int) -> int:
        """By how much each lane has risen; 0 where it has fallen."""
        if later == earlier:
            return 0
        if not (later | earlier) & self.high and (later | earlier).bit_length() <= len(self.nothing) * 8:
            found = (later | self.high) - earlier  # a lane that has fallen borrows its own highest bit, and nobody's
            if found & self.high == self.high:
                return found ^ self.high
        pairs = zip(self.values(later), self.values(earlier), strict=True)
        return self.column([max(0, after - before) for after, before in pairs])

    def moved_from(self, before: Lanes) -> Sequence[int]:
        """For each lane the one it had before; of a name that has come, one of two beyond the last.

        Blocks are given out in the order in which they lie, and never again.  So one beyond all that were there is of a
        route that is new (the first of the two), any other one of a route that was there in earlier times (the second).
        """
        new = len(before.names)
        end = max((run.start + run.blocks * before.strides.size for run in before.strides.runs), default=0)
        known, starts = before.index.get, self.blocks.get
        found = [known(name, -1) for name in self.names]
        for lane, at in enumerate(found):
            if at < 0:
                found[lane] = new if starts(self.names[lane], end) >= end else new + 1
        return found

    def _fitting(self, column: int) -> int:
        """Without what a liar's number has carried out of the last lane."""
        bits = len(self.nothing) * 8
        return column if column.bit_length() <= bits else column & ((1 << bits) - 1)


def lanes_of(
    blocks: Mapping[str, int],
    size: int,
    beside: Mapping[int, int] = MappingProxyType({}),
    second: int = 1,
    added: Mapping[int, int] = MappingProxyType({}),
) -> Lanes:
    """One lane a block, in the order in which they lie.

    `beside`: where the second block lies of the one that begins there, of so many slots (`second`), some of which are
    `added` to the first: by slot of the first the slot of the second.
    """
    names: list[str] = []
    starts: list[int] = []
    for name, start in sorted(blocks.items(), key=itemgetter(1)):
        if starts:
            hole, rest = divmod(start - starts[-1] - size, size)
            if not rest and 0 < hole <= HOLE:
                names += ("",) * hole
                starts += range(starts[-1] + size, start, size)
        names.append(name)
        starts.append(start)
    index = {name: lane for lane, name in enumerate(names) if name}
    idle = tuple(lane for lane, name in enumerate(names) if not name)
    seconds = (beside.get(start, NOWHERE) for start in starts)
    high = int.from_bytes((1 << 63).to_bytes(LANE, sys.byteorder) * len(names), sys.byteorder)
    return Lanes(
        blocks,
        Strides(size, tuple(_runs(starts, size))),
        Strides(second, tuple(_runs(seconds, second))),
        added,
        tuple(names),
        index,
        idle,
        high,
        bytes(len(names) * LANE),
    )


def _runs(starts: Iterable[int], size: int) -> Iterator[Run]:
    """Blocks of that size that lie one behind the other, or nowhere, taken together."""
    begin = after = NOWHERE
    blocks = 0
    for start in starts:
        if blocks and start != after:
            yield Run(begin, blocks)
            blocks = 0
        if not blocks:
            begin = start
        after = start if start == NOWHERE else start + size
        blocks += 1
    if blocks:
        yield Run(begin, blocks)


def relaid(lanes: Lanes, before: Lanes, where: Sequence[int], column: int, now: int) -> int:
    """A column of other lanes in these; `where`: what `moved_from` has found.

    What is new was at 0 before.  What comes back was at `now`: what it had counted long ago is of no present.
    """
    known = before.values(column)
    known.append(0)
    if (back := len(known)) not in where:
        return lanes.column(map(known.__getitem__, where))
    current = lanes.values(now)
    return lanes.column([current[lane] if at == back else known[at] for lane, at in enumerate(where)])

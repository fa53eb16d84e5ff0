"""The marks of a worker's requests in the memory that all workers share (`router.core.census` says what they are for).

The memory belongs to the parent, so it outlives every worker.  Two workers that mark one cell in the same moment count
a client twice: that is the price of taking no lock.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from router.core.census import (
    AREA,
    AREAS,
    CELLS,
    FIRSTS,
    LIMITS,
    SEEN,
    SLOW,
    Watched,
    cell,
    seed_of_cells,
    stamp_of_hour,
    stamp_of_share,
)
from router.telemetry import RouteBlock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from router.planes.embedded.snapshot import RouteEntry, Snapshot
    from router.planes.embedded.tape import Tape

_NO_ROLLOUT: Final = Watched(0, -1)
"""No share is ever that, so nobody is counted."""


@final
class Watch:
    """One watched route."""

    def __init__(self, name: str, watched: Watched, area: memoryview) -> None:
        self.watched = watched
        self.revision = watched.revision
        self.share = watched.share
        self._limits = watched.limits if len(watched.limits) == LIMITS else ()
        self.fastest: int = min(self._limits, default=1 << 30)
        """A duration's bucket up to which nothing is slow."""
        self.tape: Tape | None = None
        """While somebody collects what legacy answers."""
        self._seed = seed_of_cells(name)
        self._stamp = stamp_of_share(watched.revision)
        self._firsts = area[FIRSTS : FIRSTS + 2 * CELLS].cast("H")
        self._seen = area[SEEN : SEEN + 2 * CELLS].cast("H")
        self._slow = area[SLOW : SLOW + LIMITS * CELLS]

    def hang(self, tape: Tape | None) -> None:
        """Every answer is noted while there is a tape."""
        self.tape = tape
        self.fastest = min(self._limits, default=1 << 30) if tape is None else -1

    def began(self, slots: memoryview, block: int, client: bytes, *, on_new: bool, fair: bool) -> None:
        """A request was routed.  `fair`: nothing but the share had a say in its side, and in that of all others."""
        place, stamp = cell(client, self._seed), self._stamp
        if on_new and self._seen[place] != stamp:
            self._seen[place] = stamp
            slots[block + RouteBlock.SIDE + RouteBlock.SEEN] += 1
        if fair and self._firsts[place] != stamp:
            self._firsts[place] = stamp
            slots[block + on_new * RouteBlock.SIDE + RouteBlock.FIRST_SEEN] += 1

    def slow(
        self, slots: memoryview, block: int, client: bytes, bucket: int, now: float, *, on_new: bool, by_chance: bool
    ) -> None:
        """An answer has taken its time.  `by_chance`: clients are another one with each request, so each counts."""
        place, stamp = cell(client, self._seed), stamp_of_hour(now)
        counters = block + on_new * RouteBlock.SIDE + RouteBlock.SLOW
        for number, limit in enumerate(self._limits):
            if bucket <= limit:
                continue
            mark = number * CELLS + place
            if by_chance or self._slow[mark] != stamp:
                self._slow[mark] = stamp
                slots[counters + number] += 1


class Census:
    """The watched routes of a worker, by name, whether or not a snapshot has them."""

    def __init__(self, memory: int = -1) -> None:
        """`memory`: a descriptor of `AREAS * AREA` bytes; without one the marks are this worker's own."""
        self._memory = memory
        self._watched: dict[str, Watched] = {}
        self._left: set[str] = set()
        """Those that were watched, and may be so no more."""
        self._areas: dict[int, memoryview] = {}
        self.tape: Tape | None = None
        """Of a route, whether or not it is watched; `take` brings it into force."""
        self._taped: RouteEntry | None = None

    def watch(self, changed: Mapping[str, Watched], gone: Iterable[str], *, anew: bool) -> None:
        """Watch these, and those no more; `anew`: nothing else either.  `take` brings it into force."""
        before = tuple(self._watched) if anew else gone
        self._left |= {name for name in before if self._watched.pop(name, None) is not None}
        self._watched |= changed

    def take(self, snapshot: Snapshot) -> None:
        """The routes of this snapshot are watched as was said."""
        self._hang(None, self._taped)
        for name in self._left - self._watched.keys():
            if (entry := snapshot.by_name.get(name)) is not None:
                entry.watch_by(None)
        self._left.clear()
        for name, watched in self._watched.items():
            entry = snapshot.by_name.get(name)
            if entry is not None and (entry.watch is None or entry.watch.watched != watched):
                area = self._area(entry.block)
                entry.watch_by(None if area is None else Watch(name, watched, area))
        if self.tape is not None:
            self._hang(self.tape, snapshot.by_name.get(self.tape.route))

    def _hang(self, tape: Tape | None, entry: RouteEntry | None) -> None:
        """A tape hangs on its route's watch; one that no rollout watches has a watch for that alone."""
        if entry is not None and tape is not None and entry.watch is None:
            entry.watch_by(Watch(entry.name, _NO_ROLLOUT, memoryview(bytearray(AREA))))
        if entry is not None and entry.watch is not None:
            entry.watch.hang(tape)
            if tape is None and entry.watch.share < 0:
                entry.watch_by(None)
        self._taped = None if tape is None else entry

    def _area(self, block: int) -> memoryview | None:
        """Blocks do not overlap, so no two of them begin within the same `RouteBlock.SIZE`."""
        number = block // RouteBlock.SIZE
        if number not in self._areas and number < AREAS:
            with suppress(OSError, ValueError):  # no memory for it: nobody is counted on this route
                self._areas[number] = memoryview(_mapped(self._memory, number))
        return self._areas.get(number)


def _mapped(memory: int, number: int) -> mmap.mmap:
    return mmap.mmap(memory, AREA) if memory < 0 else mmap.mmap(memory, AREA, offset=number * AREA)

"""The store's double: keeps everything in memory, loses it with the process, and can be told to fail.

It passes the same contract tests as the real one, so a test that uses it proves something about both.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from router.core.orders import Order
from router.ports import KEPT, AuditEntry, FileState, LastGood, Past, Revision, Saved, State, StoreError, Write

REMEMBERED = 200


@dataclass
class Disk:
    """What survives: give the same one to the next store to restart it."""

    orders: tuple[Order, ...] = ()
    last_order: int = 0
    revisions: dict[int, Revision] = field(default_factory=dict)
    audit: list[AuditEntry] = field(default_factory=list)
    last_good: LastGood | None = None
    states: dict[int, State] = field(default_factory=dict)
    file: FileState = field(default_factory=FileState)


class MemoryStore:
    """A `Store`.  `failing` holds the text of the error that every call raises; `stalled` holds writes up."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.failing = ""
        self.commits = 0
        self._turn = asyncio.Lock()
        self._go = asyncio.Event()
        self._go.set()

    def stall(self) -> None:
        """From now on writes wait until `go`."""
        self._go.clear()

    @property
    def waiting(self) -> bool:
        """Is a write held up?"""
        return self._turn.locked()

    def go(self) -> None:
        self._go.set()

    async def load(self) -> Saved:
        self._check()
        disk = self.disk
        return Saved(disk.orders, disk.last_order, self._newest(REMEMBERED, None), disk.last_good, disk.file)

    async def commit(self, write: Write) -> None:
        async with self._turn:
            await self._go.wait()
            self._check()
            disk = self.disk
            disk.orders = write.orders
            disk.last_order = max(disk.last_order, write.last_order)
            disk.revisions |= {revision.number: revision for revision in write.revisions}
            for late in [number for number in disk.revisions if number > write.revision]:
                del disk.revisions[late]
            disk.states |= {state.number: state for state in write.states}
            for other in [number for number in disk.states if not write.revision - KEPT < number <= write.revision]:
                del disk.states[other]
            disk.file = write.file
            disk.audit += write.audit
            disk.last_good = write.last_good or disk.last_good
            self.commits += 1

    async def history(self, limit: int, before: int | None = None) -> tuple[Revision, ...]:
        self._check()
        return self._newest(limit, before)

    async def recall(self, number: int) -> Past | None:
        self._check()
        revision = self.disk.revisions.get(number)
        return None if revision is None else Past(revision, self.disk.states.get(number))

    async def close(self) -> None:
        async with self._turn:
            pass

    def _newest(self, limit: int, before: int | None) -> tuple[Revision, ...]:
        numbers = sorted((n for n in self.disk.revisions if before is None or n < before), reverse=True)
        return tuple(self.disk.revisions[number] for number in numbers[:limit])

    def _check(self) -> None:
        if self.failing:
            raise StoreError(self.failing)

"""A worker's counters: unsigned 64-bit slots in a memory-mapped file that outlives the process.

Counting is one addition to a memoryview; nobody else writes the file.  Layout and names: `router.telemetry`.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final

from router.telemetry import MAGIC, WORKER_SLOTS, WorkerSlot

_BYTES: Final = 8
_GAUGES: Final = (
    WorkerSlot.CONNECTIONS,
    WorkerSlot.REVISION,
    WorkerSlot.LONGEST_STALL_US,
)


class Counters:
    """The slots of one worker; `slots` is replaced when the file grows, so it is read anew for each exchange."""

    def __init__(self, path: Path | None) -> None:
        """Open the file or begin one; without a path the slots live in memory only."""
        self._path = path
        self._file = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.slots = self._map(WORKER_SLOTS)
        self._begin()

    def grow(self, slots: int) -> None:
        """Make room for so many slots; a file never shrinks.  Raises OSError when the disk has no room."""
        if slots <= len(self.slots):
            return
        old = self.slots
        self.slots = self._map(slots)
        if self._path is None:
            self.slots[: len(old)] = old

    def leave_disk(self) -> None:
        """Count in memory from now on; the file stays as it is."""
        if self._file >= 0:
            old = self.slots
            os.close(self._file)
            self._file = -1
            self._path = None
            self.slots = self._map(len(old))
            self.slots[:] = old

    def zero(self, start: int, count: int) -> None:
        """Forget what gauges said before this process began."""
        for slot in range(start, start + count):
            self.slots[slot] = 0

    def _map(self, slots: int) -> memoryview:
        if self._file < 0:
            return memoryview(bytearray(slots * _BYTES)).cast("Q")
        size = max(os.fstat(self._file).st_size // _BYTES, slots) * _BYTES
        # Ask for the blocks now: writing to a hole on a full disk would kill the process (SIGBUS).
        os.posix_fallocate(self._file, 0, size)
        return memoryview(mmap.mmap(self._file, size)).cast("Q")

    def _begin(self) -> None:
        if self.slots[WorkerSlot.MAGIC] not in {0, MAGIC}:
            self.zero(0, len(self.slots))
        self.slots[WorkerSlot.MAGIC] = MAGIC
        for gauge in _GAUGES:
            self.slots[gauge] = 0
        self.slots[WorkerSlot.PID] = os.getpid()

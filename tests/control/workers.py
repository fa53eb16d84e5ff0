"""A pretended worker behind a real Unix socket, in the test's own event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

from router.planes.pretend import PretendWorker, serve, take_file


class SocketWorker:
    """Stopped and started like a process; what it knew is gone then, unless a snapshot lies in the state directory."""

    def __init__(self, state: Path, number: int) -> None:
        self._state = state
        self._number = number
        self._lives = 0
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.worker = PretendWorker(number)

    @property
    def path(self) -> Path:
        return self._state / "workers" / f"{self._number}.sock"

    async def start(self, *, with_file: bool = False) -> None:
        if self._task is not None:
            return
        self._lives += 1
        self.worker = PretendWorker(self._number, 100 * self._lives + self._number)
        if with_file:
            take_file(self.worker, self._state / "snapshot.ndjson")
        self.path.unlink(missing_ok=True)
        self._stopped = asyncio.Event()
        self._task = asyncio.create_task(serve(self.worker, None, str(self.path), self._stopped))
        while not self.path.exists():
            await asyncio.sleep(0.001)

    async def stop(self) -> None:
        if self._task is not None:
            self._stopped.set()
            await self._task
            self._task = None
            self.path.unlink(missing_ok=True)

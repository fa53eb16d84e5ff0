"""Sees every change of one file, however it is made, and tells what the file says now.

The folder is watched, not the file: an editor's rename and a ConfigMap's swap of `..data` put another file in its
place.  A look at the file once a second stands behind it, for file systems that announce nothing and for folders that
were replaced themselves.  What counts is content; times and inodes only tell when to look.

`watchfiles` (inotify in Rust) saw each of a ConfigMap's swaps within 20 ms and costs 1.5 ms of CPU a second at rest,
so nothing of our own is built on inotify.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from watchfiles import awatch

from control.closed import anybody_may_write

SETTLE_MS: Final = 50
"""A change is looked at when nothing has happened for so long ..."""
SETTLE_AT_MOST_MS: Final = 500
"""... or at the latest so long after it began."""
POLL_SECONDS: Final = 1.0
DOUBT_SECONDS: Final = 0.25
"""A file that is gone or empty is looked at once more after so long: editors may be at work."""
COARSE_NS: Final = 2_000_000_000
"""A file that was written so recently is read even if its times and size are the same."""
MAX_BYTES: Final = 16 * 2**20 + 1
"""One more than the parser takes, so that it can say that the file is too large."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the file is: its bytes, or why there are none."""

    data: bytes | None
    trouble: str = ""


Signature = tuple[int, ...]


def look(path: Path) -> Sight:
    """Reads the file.  One that every user of the machine can write says nothing: who knows who wrote it?"""
    try:
        with path.open("rb") as file:
            if anybody_may_write(path):
                return Sight(None, f"{path} can be written by everybody on this machine; run: chmod o-w {path}")
            return Sight(file.read(MAX_BYTES))
    except FileNotFoundError:
        return Sight(None, f"{path} does not exist")
    except OSError as error:
        return Sight(None, f"{path} cannot be read: {error.strerror or error}")


class Watcher:
    """Tells `seen` of every new content, once; `seen` is awaited before the file is looked at again."""

    def __init__(self, path: Path, seen: Callable[[Sight], Awaitable[bool]], known: Sight | None = None) -> None:
        """`seen` answers whether it is done with that content; if not, it is told again at the next look."""
        self._path = path
        self._seen = seen
        self._known = known
        self._signature: Signature | None = None
        self._changed = asyncio.Event()
        self._folder: Signature = ()
        self._replaced = asyncio.Event()

    async def run(self) -> None:
        """Watches until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_when_told(), name="watcher.look")
            group.create_task(self._listen(), name="watcher.listen")

    async def _look_when_told(self) -> None:
        while True:
            told = await self._told()
            changed, folder = (True, self._folder) if told else await asyncio.to_thread(self._glance)
            if changed:
                await self._look()
            if folder != self._folder:
                self._replaced.set()

    async def _told(self) -> bool:
        """True at once when the folder announced something, False after a while without."""
        try:
            await asyncio.wait_for(self._changed.wait(), POLL_SECONDS)
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    async def _look(self) -> None:
        self._signature = await asyncio.to_thread(_signature, self._path)
        sight = await asyncio.to_thread(look, self._path)
        if sight != self._known and not sight.data:
            await asyncio.sleep(DOUBT_SECONDS)
            sight = await asyncio.to_thread(look, self._path)
        if sight != self._known and await self._seen(sight):
            self._known = sight
        elif sight != self._known:
            self._signature = None

    def _glance(self) -> tuple[bool, Signature]:
        """Runs in a thread: a file system that hangs must hang nobody else."""
        return self._may_have_changed(), _folder(self._path)

    def _may_have_changed(self) -> bool:
        now = _signature(self._path)
        return now != self._signature or (len(now) > 0 and time.time_ns() - now[0] < COARSE_NS)

    async def _listen(self) -> None:
        """Hears of the folder; begins anew when the folder itself is replaced, and waits while there is none."""
        while True:
            self._replaced.clear()
            self._folder = await asyncio.to_thread(_folder, self._path)
            folder = self._path.absolute().parent
            hearing = awatch(
                folder,
                recursive=False,
                step=SETTLE_MS,
                debounce=SETTLE_AT_MOST_MS,
                stop_event=self._replaced,
                watch_filter=None,
            )
            try:
                async for _ in hearing:
                    self._changed.set()
            except OSError:  # no such folder, or no inotify instance left: the poll goes on alone
                await asyncio.sleep(POLL_SECONDS)


def _signature(path: Path) -> Signature:
    """Changes when the file does, as far as a file system tells; its first number is the time of the last write."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)


def _folder(path: Path) -> Signature:
    try:
        found = path.absolute().parent.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_dev)

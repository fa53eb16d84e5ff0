"""The controller's side of the journal: what is to be recorded, and what could not be recorded yet.

One write at a time.  A write that is not answered in time goes on by itself; what came since goes with the next one.  A
write that failed gives back what it had, so that the record has no gaps; only when the journal does not answer for very
long is the oldest evidence given up, since memory is bounded too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from rollout.ports import Entry, Journal, JournalError, Line

UNSAVED = 10_000
"""Lines that wait for a journal that does not answer."""


@dataclass
class _Waiting:
    """Not in the journal yet."""

    lines: list[Line] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)
    """Routes whose runs are not recorded as they are."""
    keep: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.lines or self.runs or self.keep)

    def give_back(self, other: _Waiting) -> None:
        """What another write could not record; it is older."""
        self.lines = [*other.lines, *self.lines][-UNSAVED:]
        self.runs |= other.runs
        self.keep = other.keep | self.keep


class Record:
    """What has been said to the journal, and what has yet to be."""

    def __init__(self, journal: Journal, run_text: Callable[[str], str]) -> None:
        """`run_text` is the run of a route as it is at the moment of a write."""
        self._journal = journal
        self._run_text = run_text
        self._waiting = _Waiting()
        self._under_way: tuple[asyncio.Task[int], _Waiting] | None = None
        self.trouble = ""
        """Why the last write failed; empty: it did not."""
        self.number = 0
        """Of the last line in the journal."""

    def add(self, line: Line) -> None:
        self._waiting.lines.append(line)

    def changed(self, route: str) -> None:
        self._waiting.runs.add(route)

    def keep(self, name: str, text: str) -> None:
        self._waiting.keep[name] = text

    def has(self, route: str) -> bool:
        """Is the run of this route recorded as it is?"""
        return route not in self._waiting.runs and (self._under_way is None or route not in self._under_way[1].runs)

    @property
    def complete(self) -> bool:
        """Is everything recorded?"""
        return not self._waiting and self._under_way is None

    async def write(self, patience: float) -> None:
        """Records what there is; a write that takes longer than so many seconds goes on by itself."""
        if self._under_way is None and self._waiting:
            self._begin()
        if self._under_way is not None:
            await self._finish(*self._under_way, patience)

    def _begin(self) -> None:
        taken, self._waiting = self._waiting, _Waiting()
        del taken.lines[:-UNSAVED]
        runs = {route: self._run_text(route) for route in taken.runs}
        entry = Entry(tuple(taken.lines), runs, taken.keep)
        self._under_way = (asyncio.create_task(self._journal.commit(entry), name="journal.commit"), taken)

    async def _finish(self, task: asyncio.Task[int], taken: _Waiting, patience: float) -> None:
        done, _ = await asyncio.wait([task], timeout=patience)
        if not done:
            self.trouble = f"no answer within {patience:g} s"
            return
        self._under_way = None
        error = task.exception()
        if error is None:
            self.number, self.trouble = task.result(), ""
            return
        self._waiting.give_back(taken)
        if not isinstance(error, JournalError):
            raise error
        self.trouble = str(error)

    async def close(self, patience: float) -> None:
        """Waits for what is under way, and records what came since."""
        await self.write(patience)
        await self.write(patience)

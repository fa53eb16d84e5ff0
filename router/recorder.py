"""Records changes, and remembers what the store could not take.

A change that holds whatever the store says (a rollback) is recorded as soon as the store answers again.  Every
transaction carries the whole truth about orders, so the next one also mends what a lost or late one left behind.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final

from router.events import EventName, Events
from router.ports import AuditEntry, LastGood, Revision, State, Store, StoreError, Write

STORE_PATIENCE: Final = 1.5
"""Seconds a change waits for the store."""


@dataclass(slots=True)
class _Unsaved:
    """What is in force but not recorded yet."""

    entries: dict[int, tuple[Revision, AuditEntry, State]] = field(default_factory=dict)
    """By revision."""
    last_good: LastGood | None = None
    dirty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the store may say something else than what is in force."""

    def add(self, write: Write) -> None:
        new = zip(write.revisions, write.audit, write.states, strict=True)
        self.entries |= {revision.number: (revision, entry, state) for revision, entry, state in new}
        self.last_good = write.last_good or self.last_good

    def with_new(self, write: Write) -> Write:
        """The write with everything that is still missing in the store."""
        return replace(
            write,
            revisions=(*(revision for revision, _, _ in self.entries.values()), *write.revisions),
            audit=(*(entry for _, entry, _ in self.entries.values()), *write.audit),
            states=(*(state for _, _, state in self.entries.values()), *write.states),
            last_good=write.last_good or self.last_good,
        )

    def clear(self, written: Write) -> None:
        for revision in written.revisions:
            self.entries.pop(revision.number, None)
        if not self.entries:
            self.last_good = None
            self.dirty.clear()


@dataclass(frozen=True, slots=True)
class Saving:
    """A write that is under way."""

    task: asyncio.Task[None]
    whole: Write
    new: Write
    keep: bool
    """It is in force whatever becomes of it, so what cannot be recorded now is recorded later."""


class Recorder:
    """The engine's side of the store."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self._unsaved = _Unsaved()
        self._writes: set[asyncio.Task[None]] = set()
        self._trouble = ""

    @property
    def dirty(self) -> bool:
        """May the store say something else than what is in force?"""
        return self._unsaved.dirty.is_set()

    async def until_dirty(self) -> None:
        await self._unsaved.dirty.wait()

    def begin(self, new: Write, *, keep: bool) -> Saving:
        """Hands a write to the store, which serves in the order of the calls."""
        whole = self._unsaved.with_new(new)
        task = asyncio.create_task(self._store.commit(whole), name="store.commit")
        self._writes.add(task)
        task.add_done_callback(self._written)
        return Saving(task, whole, new, keep)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writes.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that a write nobody waits for any more makes no noise

    async def saved(self, saving: Saving) -> bool:
        """Did the store record it in time?"""
        done, _ = await asyncio.wait([saving.task], timeout=STORE_PATIENCE)
        error = saving.task.exception() if done else None
        if done and error is None:
            if self.dirty:
                self._events.tell(EventName.STORE_RECOVERED, revision=saving.whole.revision)
            self._unsaved.clear(saving.whole)
            self._trouble = ""
            return True
        if error is not None and not isinstance(error, StoreError):
            raise error
        why = str(error or f"no answer within {STORE_PATIENCE:g} s")
        if why != self._trouble:  # it is tried again every second, and said once
            self._events.tell(EventName.STORE_FAILED, why=why)
        self._trouble = why
        if saving.keep:
            self._unsaved.add(saving.new)
        self._unsaved.dirty.set()
        return False

    async def close(self) -> None:
        """Waits for the writes that are under way."""
        if self._writes:
            await asyncio.wait(self._writes)

"""What is in force, what was before it, and the one moment in which that changes.

    step, arrive      the state that would follow: from orders, from a table that was loaded
    commit            records a step, then takes it
    commit_at_once    takes a step, and records it as soon as the store answers

Every step is computed and taken within one turn.  Whether it is a wise one is asked elsewhere (`router.judge`), and so
is what becomes of it at the workers (`router.herald`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final

from router.answers import Refusal, refusal
from router.core.orders import Order
from router.core.place import Stamp
from router.events import Events
from router.ports import AuditEntry, Changes, Clock, Compiled, FileState, Fleet, LastGood, Revision, State, Store, Write
from router.recorder import Recorder, Saving
from router.steps import Decided, Force, Wanted, Who, decide, whole_target
from router.turns import Turns

RETRY: Final = 1.0
"""Seconds between two attempts to record what the store has refused."""
REMEMBERED: Final = 200
"""Revisions kept in memory."""
HOLDS_KNOWN: Final = 1000
"""Adopted holds that are remembered, so that none is adopted twice."""


class Course:
    """One for the life of the engine; `trace` and `look` are those of `router.live.Live`.

    Others read what stands here, and change it by `commit`, `commit_at_once` and `reword` only.
    """

    def __init__(
        self,
        *,
        store: Store,
        fleet: Fleet,
        clock: Clock,
        events: Events,
        trace: Callable[[AuditEntry], None],
        look: Callable[[Compiled], None],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._trace = trace
        self._look = look
        self._turns = Turns()
        self._recorder = Recorder(store, events)
        self.force: Force | None = None
        self.orders: tuple[Order, ...] = ()
        self.file = FileState()
        self._last_order = 0
        self._adopted: tuple[str, ...] = ()
        """Holds that are orders by now, or were."""
        self._last: Revision | None = None
        self.revisions: dict[int, Revision] = {}
        """The newest ones, by number."""

    # -- reading ------------------------------------------------------------------------------------

    @property
    def now(self) -> Force:
        if self.force is None:
            raise RuntimeError("nothing is in force yet")
        return self.force

    @property
    def persisted(self) -> bool:
        """Is everything that is in force recorded?"""
        return not self._recorder.dirty

    @property
    def file_on_trial_until(self) -> float | None:
        """Unix time at which the routes.yaml is taken back unless somebody confirms it."""
        return self.file.until if self.file.back_to else None

    def history(self, limit: int, before: int | None = None) -> list[Revision]:
        """The newest revisions first, of those in memory."""
        numbers = sorted((n for n in self.revisions if before is None or n < before), reverse=True)
        return [self.revisions[number] for number in numbers[:limit]]

    def stale(self, expected: int | None) -> Refusal | None:
        """Was this decided on another revision than the one in force?"""
        if expected is None or expected == self.now.revision:
            return None
        detail = f"revision {expected} was expected, but {self.now.revision} is in force"
        return refusal("stale-revision", detail, "look at what changed and decide again")

    def stamp(self, who: Who) -> Stamp:
        """What an order says of its origin if it is given now."""
        now = self._clock.now()
        expires = None if who.lasts is None else now + who.lasts
        return Stamp(self._last_order + 1, who.reason, who.actor, now, expires, who.trial)

    # -- what would follow --------------------------------------------------------------------------

    def turn(self, *, first: bool = False) -> AbstractAsyncContextManager[None]:
        """One change at a time; `first` goes before all others that wait."""
        return self._turns.turn(first=first)

    def step(
        self,
        orders: tuple[Order, ...],
        who: Who,
        changes: Changes,
        compiled: Compiled | None = None,
        text: bytes | None = None,
    ) -> Decided:
        """The state that follows from these orders; without a table and its text, those in force stay."""
        now = self.force
        told = now.adopted if now and who.action == "rollback" else self._adopted  # a rollback waits for no record
        wanted = Wanted(
            self.now.compiled if compiled is None else compiled, self.now.text if text is None else text, orders
        )
        return decide(now, wanted, who, changes, number=self._next_revision(), at=self._clock.now(), adopted=told)

    def arrive(
        self, compiled: Compiled, text: bytes, orders: tuple[Order, ...], who: Who, changes: Changes
    ) -> Decided | None:
        """What follows from a table that was loaded; None when it is in force already."""
        step = self.step(orders, who, changes, compiled, text)
        now = self.force
        if now is None:
            last = self._last
            if last is None or last.hash != step.force.digest or step.force.orders != self.orders:
                return step
            # After a restart with the same content the same revision goes on.
            self.force = replace(step.force, revision=last.number)
            self._look(compiled)
            self._fleet.aim(whole_target(self.force))
            return None
        same = now.digest == step.force.digest and now.orders == step.force.orders and now.table == compiled.table
        return None if same else step

    def _next_revision(self) -> int:
        """Above everything that was ever in force here or at a worker."""
        known = [worker.revision for worker in self._fleet.states()]
        return 1 + max([self._last.number if self._last else 0, *known])

    # -- changing it --------------------------------------------------------------------------------

    def spend(self, given: Iterable[Order]) -> None:
        """Their numbers are never given out again, not even if the orders cannot be recorded."""
        self._last_order = max(self._last_order, *(order.number for order in given))

    async def commit(
        self, step: Decided, *, keep: bool = False, file: FileState | None = None, last_good: LastGood | None = None
    ) -> bool:
        """Records the step and takes it; False: the store did not record it, so it is not in force, unless it is to
        be kept all the same.
        """
        file = self.file if file is None else file
        write = replace(self._write_of(step), file=file, last_good=last_good)
        if not await self._recorder.saved(self._recorder.begin(write, keep=keep)) and not keep:
            return False
        self.file = file
        self._take(step)
        return True

    def commit_at_once(self, step: Decided) -> Saving:
        """Takes the step, whatever the store says; `saved` tells what it said."""
        saving = self._recorder.begin(self._write_of(step), keep=True)
        self._take(step)
        return saving

    async def reword(self, compiled: Compiled, good: LastGood, file: FileState) -> None:
        """Another text says what is in force; its comments may have moved."""
        self.force = replace(self.now, compiled=compiled, text=good.text)
        self.file = file
        await self._recorder.saved(self._recorder.begin(replace(self._write(), last_good=good), keep=True))

    def adopted(self, hold: str) -> bool:
        """Is this hold an order by now, or was one?"""
        return hold in self._adopted

    def remember_adopted(self, hold: str) -> None:
        self._adopted = (*self._adopted[-HOLDS_KNOWN:], hold)

    def _take(self, step: Decided) -> None:
        """The one moment in which a change takes force: no await between its lines."""
        if self.force is None or self.force.compiled is not step.force.compiled:
            self._look(step.force.compiled)
        self.force = step.force
        self.orders = step.force.orders
        self._last = step.revision
        self.revisions[step.revision.number] = step.revision
        if len(self.revisions) > REMEMBERED:
            del self.revisions[min(self.revisions)]
        self._fleet.aim(step.target)
        self._trace(step.audit)

    # -- the store ----------------------------------------------------------------------------------

    async def take_up(self) -> LastGood | None:
        """What the store knows, at the start; the routes.yaml of it is for others to compile.  Raises StoreError."""
        saved = await self._store.load()
        self.orders, self._last_order = saved.orders, saved.last_order
        self.revisions = {revision.number: revision for revision in saved.revisions}
        self._last = saved.revisions[0] if saved.revisions else None
        self._adopted = tuple(made for revision in reversed(saved.revisions) for made in revision.changes.adopted)
        self.file = saved.file
        return saved.last_good

    def mend(self) -> Saving | None:
        """Tells the store the truth once more, if it may say something else."""
        return None if self.persisted else self._recorder.begin(self._write(), keep=True)

    async def saved(self, saving: Saving) -> bool:
        """Did the store record it in time?"""
        return await self._recorder.saved(saving)

    async def keep_saving(self) -> None:
        """Records, as soon as the store answers again, what it has refused.  Runs until it is cancelled."""
        while True:
            await self._recorder.until_dirty()
            await asyncio.sleep(RETRY)
            async with self.turn():
                if (saving := self.mend()) is not None:
                    await self.saved(saving)

    async def close(self) -> None:
        """Waits for the writes that are under way."""
        await self._recorder.close()

    def _write(self) -> Write:
        """The truth as it is, with nothing new."""
        return Write(self.orders, self._last_order, self._last.number if self._last else 0, file=self.file)

    def _write_of(self, step: Decided) -> Write:
        force, revision = step.force, step.revision
        state = State(revision.number, force.orders, force.text)
        return Write(
            force.orders,
            self._last_order,
            revision.number,
            (revision,),
            (step.audit,),
            states=(state,),
            file=self.file,
        )

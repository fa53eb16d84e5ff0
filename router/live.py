"""The engine of changes: what is declared, what was ordered, and what all workers have in force.

    load      a routes.yaml takes force, whole or not at all
    give      an order: a weight, a rollback, a pin, a cap, a freeze, a drain
    resume    lifts an order            confirm   an order or a file that was on trial stays
    restore   orders and routes.yaml as they were at a revision
    expire    what has had its time ends

Every change walks the same way: decide (pure, in `router.core`), ask the safety rules, record, aim the fleet, wait for
its word.  One change at a time; a rollback goes before those that wait.  A weight that cannot be recorded is refused; a
rollback holds anyway and is recorded as soon as the store answers again.  What is in force is only ever computed from
the table and the orders, so the three cannot disagree.

The walk of an order stands here (`Live._walk`), that of a routes.yaml in `router.files`, and that of time, which asks
no rule, in `router.endings`.  All three change the one `Course`; the `Judge` allows it, and the `Herald` says what
became of it.

This module knows no socket, no SQL and no YAML: it speaks to `router.ports`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

from router import wishes
from router.answers import Change, Difference, Plan, Refusal, SourceState, not_recorded, not_started, refusal
from router.archive import Archive
from router.core.hold import Hold
from router.core.model import Side, Table
from router.core.observed import Observed
from router.core.orders import EffectiveState, Kind, Order, Scope
from router.core.place import Objection, Placed
from router.core.wire import Blocks
from router.course import Course
from router.endings import Endings
from router.events import Events, Subscription
from router.files import THE_FILE, Files
from router.forecast import Outlook
from router.herald import PATIENCE, Herald
from router.judge import Judge, Local, Witness, utc
from router.ports import (
    AuditEntry,
    Changes,
    Clock,
    Compiled,
    Compiler,
    Fleet,
    Past,
    Revision,
    RouteChange,
    Store,
    Traffic,
    WorkerState,
)
from router.recorder import Saving
from router.steps import Decided, Who, headline, ids
from router.wishes import Said, Wish, who_said

__all__ = ["Change", "Difference", "Live", "Plan", "Refusal", "Revision", "RouteChange", "WorkerState"]


class Live:
    """What is in force now, and the only way to change it."""

    def __init__(
        self,
        *,
        store: Store,
        fleet: Fleet,
        compiler: Compiler,
        clock: Clock,
        traffic: Traffic,
        path: str = "routes.yaml",
        patience: float = PATIENCE,
        events: Events | None = None,
        checker: Compiler | None = None,
        local: Local = utc,
        trace: Callable[[AuditEntry], None] = lambda _: None,
        look: Callable[[Compiled], None] = lambda _: None,
    ) -> None:
        """`checker` compiles what is only asked about; `local` tells weekday and minute of a time in a time zone.

        `trace` hears of every change that takes force, whatever becomes of the store; `look` of every table, just
        before the workers do.
        """
        self.events = events or Events(clock.now)
        self._fleet = fleet
        self._clock = clock
        self._course = Course(store=store, fleet=fleet, clock=clock, events=self.events, trace=trace, look=look)
        self._judge = Judge(self._course, clock, Witness(clock, traffic, local))
        self._herald = Herald(self._course, fleet, clock, self.events, patience)
        self._archive = Archive(store, self._course)
        self._outlook = Outlook(self._course, checker or compiler, self._judge, self._archive)
        self._endings = Endings(self._course, clock, self.events)
        self._files = Files(
            self._course,
            self._judge,
            self._archive,
            self._herald,
            compiler=compiler,
            traffic=traffic,
            clock=clock,
            events=self.events,
            path=path,
        )

    # -- what is in force ---------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        return self._course.force is not None

    @property
    def in_force(self) -> Compiled:
        """The routes.yaml in force, as it was compiled."""
        return self._course.now.compiled

    @property
    def text(self) -> bytes:
        """The routes.yaml in force, as it was written."""
        return self._course.now.text

    @property
    def table(self) -> Table:
        return self._course.now.table

    @property
    def orders(self) -> tuple[Order, ...]:
        return self._course.orders

    @property
    def state(self) -> EffectiveState:
        return self._course.now.state

    @property
    def revision(self) -> int:
        return self._course.now.revision

    @property
    def digest(self) -> str:
        return self._course.now.digest

    @property
    def blocks(self) -> Blocks:
        """The counter blocks of the table in force."""
        return self._course.now.compiled.blocks

    @property
    def persisted(self) -> bool:
        """Is everything that is in force recorded?"""
        return self._course.persisted

    @property
    def rollback_ms(self) -> float | None:
        """How long the last rollback took until all workers had confirmed it."""
        return self._herald.rollback_ms

    @property
    def source(self) -> SourceState:
        """How the watched routes.yaml is."""
        return self._files.watched.state

    @property
    def reloads(self) -> Mapping[str, int]:
        """How often a routes.yaml was `ok`, `unchanged` or `refused`."""
        return self._files.watched.reloads

    @property
    def observed(self) -> Observed:
        """The third layer: what is known of the places."""
        return self._judge.observed

    def observe(self, observed: Observed) -> None:
        """Something else is known of the places; the workers place by it from now on."""
        self._judge.observed = observed
        self._fleet.observe(observed)

    def workers(self) -> tuple[WorkerState, ...]:
        return self._fleet.states()

    def subscribe(self) -> Subscription:
        """Events from now on.  Close it, or use it as a context manager."""
        return self.events.subscribe()

    # -- starting and loading -----------------------------------------------------------------------

    async def start(self, data: bytes | None, trouble: str = "", *, allow_removal: bool = False) -> Refusal | None:
        """Takes up what the store knows, then the file; None once something is in force.

        With a file that is refused, or none (`trouble` says why), the last good one is put in force.  Raises
        StoreError when the store cannot be read: without its orders a rollback would be forgotten.
        """
        last_good = await self._course.take_up()
        return await self._files.start(last_good, data, trouble, allow_removal=allow_removal)

    async def load(
        self,
        data: bytes,
        *,
        actor: str,
        source: str = "file",
        reason: str = "",
        allow_removal: bool = False,
        watched: bool = False,
        override: Mapping[str, str] | None = None,
    ) -> Change | Refusal:
        """A routes.yaml takes force, or is refused whole; what is in force stays then.

        `watched`: these are the bytes of the watched file, so their problems are the file's state until it is mended.
        With `safety.confirm` it is on trial: unless it is confirmed in time, what was in force before is so again.
        """
        who = Who(actor, source, reason, "load", self.source.path, override=override or {})
        return await self._files.load(data, who, allow_removal=allow_removal, watched=watched)

    def missing(self, why: str) -> None:
        """The watched file cannot be read; what is in force stays."""
        self._files.watched.missing(why)

    async def restore(self, number: int, **said: Unpack[Said]) -> Change | Refusal:
        """Orders and routes.yaml as they were at a revision become a new one; rollbacks and freezes in force stay.

        The watched file says something else then: it is left alone, and does not take force at the next start either,
        until somebody edits it.
        """
        return await self._files.restore(number, who_said("restore", str(number), source="restore", **said))

    # -- orders -------------------------------------------------------------------------------------

    async def give(
        self,
        kind: Kind,
        scope: Scope,
        *,
        share: int | None = None,
        side: Side | None = None,
        lasts: float | None = None,
        trial: float | None = None,
        **said: Unpack[Said],
    ) -> Change | Refusal:
        """An order of any kind; `share` (ppm) for a weight or a cap, `side` for a pin.

        After `lasts` seconds it ends; after `trial` seconds too, unless somebody confirms it.  A rollback never ends by
        itself: when its time has come it is overdue.
        """
        return await self._walk(wishes.giving(kind, scope, share, side, lasts, trial, **said))

    async def weight(
        self,
        scope: Scope,
        share: int,
        *,
        lasts: float | None = None,
        trial: float | None = None,
        **said: Unpack[Said],
    ) -> Change | Refusal:
        """A share (ppm) for all routes that the scope speaks of and that have a new side."""
        return await self._walk(wishes.giving(Kind.WEIGHT, scope, share, None, lasts, trial, **said))

    async def rollback(
        self, *scopes: Scope, lasts: float | None = None, over: float | None = None, **said: Unpack[Said]
    ) -> Change | Refusal:
        """Legacy for everything in the scopes, as one change, whatever the store says: at once, or in steps `over` so
        many seconds, which `expire` takes.
        """
        return await self._walk(wishes.rolling_back(scopes, lasts, over, **said))

    async def rollback_raised(
        self, within: float | None, *, lasts: float | None = None, over: float | None = None, **said: Unpack[Said]
    ) -> Change | Refusal:
        """The same for what was raised within so many seconds; None: by the newest change that raised something."""
        names = await self._archive.raised(None if within is None else self._clock.now() - within)
        return await self._walk(wishes.rolling_back_raised(names, within, lasts, over, **said))

    async def resume(self, order_id: str, *, share: int | None = None, **said: Unpack[Said]) -> Change | Refusal:
        """Lifts an order; with a share (ppm), a weight takes its place in the same step."""
        return await self._walk(wishes.resuming(order_id, share, **said))

    async def reopen(self, site: str, **said: Unpack[Said]) -> Change | Refusal:
        """Lifts every drain and off of a site, in one step."""
        return await self._walk(wishes.reopening(site, **said))

    async def confirm(self, order_id: str, *, reason: str, actor: str) -> Change | Refusal:
        """An order that is on trial stays; so does a routes.yaml, whose name here is "file"."""
        who = Who(actor, "order", reason, "confirm", order_id)
        return await (self._files.confirm(who) if order_id == THE_FILE else self._walk(wishes.confirming(who)))

    async def adopt(self, holds: Sequence[Hold]) -> tuple[str, ...]:
        """Makes rollback orders of what the workers were told while nobody was here; the ids that are recorded by now.

        The workers hear that they need not keep them any more with the next change that is recorded before it takes
        force: whatever happens until then, either they hold or an order does.
        """
        for hold in holds:
            if not self._course.adopted(hold.id) and isinstance(await self._walk(wishes.adopting(hold)), Change):
                self._course.remember_adopted(hold.id)
        return tuple(hold.id for hold in holds if self._course.adopted(hold.id)) if self.persisted else ()

    # -- the walk of an order -----------------------------------------------------------------------

    async def _walk(self, wish: Wish) -> Change | Refusal:
        """Placed among the orders in force, allowed, recorded, taken, confirmed.

        A rollback is taken at once, and recorded while the workers take it in.
        """
        began, who = self._clock.elapsed(), wish.who
        if wish.objection is not None:
            return self._herald.objected(who, wish.objection)
        if not self.started:
            return not_started()
        at_once = who.action == "rollback"
        step: Decided | None = None
        saving: Saving | None = None
        async with self._course.turn(first=at_once):
            placed = self._placed(wish)
            if isinstance(placed, Refusal):
                return self._herald.objected(who, placed)
            if placed.already:
                saving = self._course.mend()
            else:
                allowed = self._judge.allowed(self._step(who, placed), who, wish.again)
                if isinstance(allowed, Refusal):
                    return self._herald.objected(who, allowed)
                step = allowed
                self._course.spend(placed.given)
                if at_once:
                    saving = self._course.commit_at_once(step)
                elif not await self._course.commit(step):
                    return self._herald.objected(who, not_recorded())
        async with asyncio.TaskGroup() as both:
            confirming = both.create_task(self._herald.word(step), name="confirm")
            persisted = saving is None or await self._course.saved(saving)
        if step is not None:
            self._herald.ordered(who, placed, step, persisted=persisted)
        return self._herald.answer(
            who,
            step,
            placed.order,
            confirming.result(),
            began,
            persisted=persisted,
            notes=placed.lines,
            more=placed.more,
        )

    def _placed(self, wish: Wish) -> Placed | Refusal:
        """The orders as they would be, if it may be given at all."""
        if (stale := self._course.stale(wish.who.expected)) is not None:
            return stale
        placed = wish.place(self.table, self.orders, self._course.stamp(wish.who))
        if isinstance(placed, Objection):
            return refusal(placed.code, placed.detail, placed.instead)
        return placed

    def _step(self, who: Who, placed: Placed) -> Decided:
        adopted = (who.hold,) if who.hold else ()
        changes = Changes((headline(who, placed), *placed.lines), order=ids(placed), adopted=adopted)
        return self._course.step(placed.orders, who, changes)

    # -- time ---------------------------------------------------------------------------------------

    async def expire(self) -> None:
        """Ends what has had its time.  To be called every second or so."""
        if self.started:
            await self._files.expire()
            await self._endings.expire()

    async def keep_saving(self) -> None:
        """Records, as soon as the store answers again, what it has refused.  Runs until it is cancelled."""
        await self._course.keep_saving()

    async def close(self) -> None:
        """Waits for the writes that are under way."""
        await self._course.close()

    # -- looking back and ahead ---------------------------------------------------------------------

    def history(self, limit: int = 50, before: int | None = None) -> list[Revision]:
        """The newest revisions first, of those in memory; `past` asks the store."""
        return self._course.history(limit, before)

    def revision_detail(self, number: int) -> Revision | None:
        return self._course.revisions.get(number)

    async def past(self, limit: int = 50, before: int | None = None) -> list[Revision] | Refusal:
        """The same as `history`, from the store: as far back as there is anything."""
        return await self._archive.past(limit, before)

    async def recall(self, number: int) -> Past | Refusal:
        """One revision, with the orders and the routes.yaml that were in force, if they are kept."""
        return await self._archive.recall(number)

    async def plan(self, data: bytes) -> Plan | Refusal:
        """What this routes.yaml would change if it were loaded now; nothing is."""
        return await self._outlook.plan(data)

    async def preview(
        self, kind: Kind, scope: Scope, *, share: int | None = None, side: Side | None = None
    ) -> Plan | Refusal:
        """What this order would change if it were given now; nothing is."""
        return await self._outlook.preview(kind, scope, share, side)

    async def difference(self, first: int, second: int) -> Difference | Refusal:
        """Exactly what differs between two revisions."""
        return await self._outlook.difference(first, second)

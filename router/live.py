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

This module knows no socket, no SQL and no YAML: it speaks to `router.ports`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Unpack

from router import wishes
from router.answers import Change, Difference, Plan, Refusal, SourceState, not_recorded, not_started, refusal
from router.core.hold import Hold
from router.core.lapses import due, eased, restored, revived, soon
from router.core.model import Side, Table
from router.core.observed import UNOBSERVED, Observed
from router.core.orders import EffectiveState, Kind, Order, Scope, supersede
from router.core.place import Objection, Placed, Stamp
from router.core.safety import Facts
from router.core.wire import Blocks
from router.events import Event, EventName, Events, Subscription
from router.forecast import difference, plan, preview
from router.judge import Local, Witness, judged, largest, legacy_dead, utc, with_allowed, with_places
from router.ports import (
    AuditEntry,
    Changes,
    Clock,
    Compiled,
    Compiler,
    Confirmation,
    FileState,
    Fleet,
    LastGood,
    Past,
    Problems,
    Revision,
    RouteChange,
    State,
    Store,
    StoreError,
    Traffic,
    WorkerState,
    Write,
)
from router.recorder import Recorder, Saving
from router.steps import (
    Decided,
    Force,
    Wanted,
    Who,
    at_most,
    compare,
    decide,
    headline,
    ids,
    on_its_way,
    raised_by,
    whole_target,
)
from router.turns import Turns
from router.watched import WatchedFile, digest_of
from router.wishes import REMOVAL, Place, Said, Wish, bad_override, incomplete, placing, reasonless

__all__ = [
    "REMOVAL",
    "Change",
    "Changes",
    "Confirmation",
    "Difference",
    "Event",
    "EventName",
    "Live",
    "Plan",
    "Refusal",
    "Revision",
    "RouteChange",
    "SourceState",
    "Subscription",
    "WorkerState",
]

PATIENCE: Final = 2.0
"""Seconds a change waits for the workers' word before it is answered as unconfirmed."""
RETRY: Final = 1.0
"""Seconds between two attempts to record what the store has refused."""
REMEMBERED: Final = 200
"""Revisions kept in memory."""
PAGES: Final = 50
"""So many times as many are asked of the store at most, to find what was raised."""
LOGGED: Final = 10
"""Readable lines of a revision in one event."""
HOLDS_KNOWN: Final = 1000
"""Adopted holds that are remembered, so that none is adopted twice."""
THE_FILE: Final = "file"
"""The name by which a routes.yaml that is on trial is confirmed."""

INSIST: Final = "if that is meant, load it with --allow-removal"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A routes.yaml that is in force; no step: it was before."""

    step: Decided | None
    notes: tuple[str, ...]


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
        self._store = store
        self._fleet = fleet
        self._compiler = compiler
        self._checker = checker or compiler
        self._clock = clock
        self._witness = Witness(clock, traffic, local)
        self._traffic = traffic
        self._trace = trace
        self._look = look
        self._observed = UNOBSERVED
        self._patience = patience
        self._turns = Turns()
        self._loading = asyncio.Lock()
        self._force: Force | None = None
        self._orders: tuple[Order, ...] = ()
        self._last_order = 0
        self._adopted: tuple[str, ...] = ()
        """Holds that are orders by now, or were."""
        self._file = FileState()
        self._last: Revision | None = None
        self._history: dict[int, Revision] = {}
        self._recorder = Recorder(store, self.events)
        self._warned: set[tuple[str, str, float | None]] = set()
        """What people have been told about orders that end."""
        self._watched = WatchedFile(path, self.events)
        self.rollback_ms: float | None = None
        """How long the last rollback took until all workers had confirmed it."""

    # -- what is in force ---------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        return self._force is not None

    @property
    def _now(self) -> Force:
        if self._force is None:
            raise RuntimeError("nothing is in force yet")
        return self._force

    @property
    def in_force(self) -> Compiled:
        """The routes.yaml in force, as it was compiled."""
        return self._now.compiled

    @property
    def text(self) -> bytes:
        """The routes.yaml in force, as it was written."""
        return self._now.text

    @property
    def table(self) -> Table:
        return self._now.table

    @property
    def orders(self) -> tuple[Order, ...]:
        return self._orders

    @property
    def state(self) -> EffectiveState:
        return self._now.state

    @property
    def revision(self) -> int:
        return self._now.revision

    @property
    def digest(self) -> str:
        return self._now.digest

    @property
    def blocks(self) -> Blocks:
        """The counter blocks of the table in force."""
        return self._now.compiled.blocks

    @property
    def persisted(self) -> bool:
        """Is everything that is in force recorded?"""
        return not self._recorder.dirty

    @property
    def source(self) -> SourceState:
        """How the watched routes.yaml is."""
        return self._watched.state

    @property
    def reloads(self) -> Mapping[str, int]:
        """How often a routes.yaml was `ok`, `unchanged` or `refused`."""
        return self._watched.reloads

    @property
    def observed(self) -> Observed:
        """The third layer: what is known of the places."""
        return self._observed

    def observe(self, observed: Observed) -> None:
        """Something else is known of the places; the workers place by it from now on."""
        self._observed = observed
        self._fleet.observe(observed)

    def workers(self) -> tuple[WorkerState, ...]:
        return self._fleet.states()

    def history(self, limit: int = 50, before: int | None = None) -> list[Revision]:
        """The newest revisions first, of those in memory; `past` asks the store."""
        numbers = sorted((n for n in self._history if before is None or n < before), reverse=True)
        return [self._history[number] for number in numbers[:limit]]

    def revision_detail(self, number: int) -> Revision | None:
        return self._history.get(number)

    async def past(self, limit: int = 50, before: int | None = None) -> list[Revision] | Refusal:
        """The same as `history`, from the store: as far back as there is anything."""
        try:
            return list(await self._store.history(limit, before))
        except StoreError as error:
            return refusal("storage", str(error))

    async def recall(self, number: int) -> Past | Refusal:
        """One revision, with the orders and the routes.yaml that were in force, if they are kept."""
        try:
            past = await self._store.recall(number)
        except StoreError as error:
            return refusal("storage", str(error))
        if past is None:
            return refusal("unknown-revision", f"there is no revision {number}", "see `strangler history`")
        return past

    def subscribe(self) -> Subscription:
        """Events from now on.  Close it, or use it as a context manager."""
        return self.events.subscribe()

    # -- starting and loading -----------------------------------------------------------------------

    async def start(self, data: bytes | None, trouble: str = "", *, allow_removal: bool = False) -> Refusal | None:
        """Takes up what the store knows, then the file; None once something is in force.

        With a file that is refused, or none (`trouble` says why), the last good one is put in force.  Raises
        StoreError when the store cannot be read: without its orders a rollback would be forgotten.
        """
        saved = await self._store.load()
        self._orders, self._last_order = saved.orders, saved.last_order
        self._history = {revision.number: revision for revision in saved.revisions}
        self._last = saved.revisions[0] if saved.revisions else None
        self._adopted = tuple(made for revision in reversed(saved.revisions) for made in revision.changes.adopted)
        self._file = saved.file
        if saved.last_good is not None and saved.last_good.text != data:
            await self._take_up(saved.last_good)
        if self._force is not None and data is not None and digest_of(data) == self._file.aside:
            self._watched.seen = data
            self._watched.set_aside(self._file.why)
            return None
        if data is None:
            self.missing(trouble)
            answer: _Loaded | Refusal = refusal("missing", trouble)
        else:
            who = Who("file", "file", "", "load", self.source.path)
            answer = await self._load(data, who, allow_removal, watched=True)
        if isinstance(answer, _Loaded):
            return None
        if self._force is None:
            return answer
        self.events.tell(
            EventName.LAST_GOOD_USED, revision=self.revision, at=self.source.last_good_at, problems=self.source.problems
        )
        return None

    async def _take_up(self, last_good: LastGood) -> None:
        compiled = await self._compiler.compile(last_good.text)
        if isinstance(compiled, Compiled):
            who = Who("control", "restore", "the last good routes.yaml after a restart", "restore", "routes.yaml")
            await self._put_in_force(compiled, last_good, who, allow_removal=True, file=self._file)
            self._watched.taken_up(last_good.at)

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
        began = self._clock.elapsed()
        who = Who(actor, source, reason, "load", self.source.path, override=override or {})
        if (objection := bad_override(who)) is not None:
            return objection
        loaded = await self._load(data, who, allow_removal or REMOVAL in who.override, watched=watched)
        if isinstance(loaded, Refusal):
            return loaded
        return await self._answered(who, loaded.step, None, began, loaded.notes)

    async def _load(self, data: bytes, who: Who, allow_removal: bool, *, watched: bool) -> _Loaded | Refusal:
        async with self._loading:
            if watched:
                self._watched.seen = data
            compiled = await self._compiler.compile(data)
            if isinstance(compiled, Problems):
                refused = refusal("invalid", "routes.yaml has problems", "", compiled.lines)
                return self._watched.refused(refused, compiled.notes, watched=watched)
            good = LastGood(data, self._clock.now())
            step = await self._put_in_force(compiled, good, who, allow_removal=allow_removal)
            if isinstance(step, Refusal):
                return self._watched.refused(step, compiled.notes, watched=watched)
            self._loaded(compiled, good, step, who)
            return _Loaded(step, compiled.notes)

    def _loaded(self, compiled: Compiled, good: LastGood, step: Decided | None, who: Who) -> None:
        self._watched.taken(good.text, good.at, compiled.notes, self._trial_until(), changed=step is not None)
        self.events.tell(
            EventName.LOADED,
            changed=step is not None,
            revision=self.revision,
            actor=who.actor,
            routes=len(compiled.table.routes),
            changes=at_most(step.revision.changes.lines, LOGGED) if step else (),
            notes=at_most(compiled.notes, LOGGED),
            until=self.source.until,
        )

    def missing(self, why: str) -> None:
        """The watched file cannot be read; what is in force stays."""
        self._watched.missing(why)

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
        names = await self._raised(None if within is None else self._clock.now() - within)
        return await self._walk(wishes.rolling_back_raised(names, within, lasts, over, **said))

    async def _raised(self, since: float | None) -> tuple[str, ...]:
        """The routes that were raised; from memory, and what is older from the store, as far as it answers."""
        found: dict[str, None] = {}
        page, pages = self.history(REMEMBERED), 0
        while page and pages < PAGES:
            for revision in page:
                if since is not None and revision.at < since:
                    return tuple(found)
                found |= dict.fromkeys(raised_by(revision, ever=since is None))
                if found and since is None:
                    return tuple(found)
            older = await self.past(REMEMBERED, page[-1].number)
            page, pages = ([], pages) if isinstance(older, Refusal) else (older, pages + 1)
        return tuple(found)

    async def resume(self, order_id: str, *, share: int | None = None, **said: Unpack[Said]) -> Change | Refusal:
        """Lifts an order; with a share (ppm), a weight takes its place in the same step."""
        return await self._walk(wishes.resuming(order_id, share, **said))

    async def reopen(self, site: str, **said: Unpack[Said]) -> Change | Refusal:
        """Lifts every drain and off of a site, in one step."""
        return await self._walk(wishes.reopening(site, **said))

    async def confirm(self, order_id: str, *, reason: str, actor: str) -> Change | Refusal:
        """An order that is on trial stays; so does a routes.yaml, whose name here is "file"."""
        if order_id == THE_FILE:
            return await self._confirm_file(reason, actor)
        return await self._walk(wishes.confirming(Who(actor, "order", reason, "confirm", order_id)))

    async def adopt(self, holds: Sequence[Hold]) -> tuple[str, ...]:
        """Makes rollback orders of what the workers were told while nobody was here; the ids that are recorded by now.

        The workers hear that they need not keep them any more with the next change that is recorded before it takes
        force: whatever happens until then, either they hold or an order does.
        """
        for hold in holds:
            if hold.id not in self._adopted and isinstance(await self._walk(wishes.adopting(hold)), Change):
                self._adopted = (*self._adopted[-HOLDS_KNOWN:], hold.id)
        return () if self._recorder.dirty else tuple(hold.id for hold in holds if hold.id in self._adopted)

    # -- time and the past --------------------------------------------------------------------------

    async def expire(self) -> None:
        """Ends what has had its time.  To be called every second or so."""
        if self._force is None:
            return
        if self._file.back_to and self._file.until <= self._clock.now():
            await self._take_back()
        self._warn()
        if any(order.easing is not None for order in self._orders):
            await self._ease()
        if any(order.overdue(self._clock.now()) for order in self._orders):
            await self._lapse()

    async def _ease(self) -> None:
        """Rollbacks that are on their way go on."""
        async with self._turns.turn(first=True):
            orders, moved = eased(self._orders, self._clock.now())
            if not moved:
                return
            names = ", ".join(order.id for order in moved)
            who = Who("control", "expiry", "a rollback in steps goes on", "ease", names)
            step = self._step(self._now.compiled, orders, who, Changes(tuple(map(on_its_way, moved)), order=names))
            saving = self._recorder.begin(self._write_of(step), keep=True)
            self._take(step)
        await self._recorder.saved(saving)
        for order in moved:
            self.events.tell(EventName.EASED, order=order.id, share=order.share, revision=step.revision.number)

    async def _lapse(self) -> None:
        async with self._turns.turn():
            now = self._clock.now()
            found = due(self.table, self._orders, now)
            for order in found.overdue:
                self._tell_once(EventName.OVERDUE, order)
            if not found.gone:
                return
            names = ", ".join(order.id for order in found.gone)
            who = Who("control", "expiry", "their time has come", "expire", names)
            lines = tuple(_ending(order) for order in found.gone)
            step = self._step(self._now.compiled, found.kept, who, Changes(lines, order=found.gone[0].id))
            saving = self._recorder.begin(self._write_of(step), keep=True)
            self._take(step)
        await self._recorder.saved(saving)
        for order in found.gone:
            self.events.tell(
                EventName.LAPSED, order=order.id, provisional=order.provisional, revision=step.revision.number
            )

    def _warn(self) -> None:
        for order in soon(self._orders, self._clock.now()):
            self._tell_once(EventName.ENDS_SOON, order)

    def _tell_once(self, name: str, order: Order) -> None:
        told = (name, order.id, order.expires)
        if told not in self._warned:
            self._warned.add(told)
            scope, actor, at = str(order.scope), order.actor, order.expires
            self.events.tell(name, order=order.id, kind=order.kind.value, scope=scope, actor=actor, at=at)

    async def restore(
        self,
        number: int,
        *,
        reason: str,
        actor: str,
        override: Mapping[str, str] | None = None,
        expected: int | None = None,
    ) -> Change | Refusal:
        """Orders and routes.yaml as they were at a revision become a new one; rollbacks and freezes in force stay.

        The watched file says something else then: it is left alone, and does not take force at the next start either,
        until somebody edits it.
        """
        began = self._clock.elapsed()
        who = Who(actor, "restore", reason, "restore", str(number), override=override or {})
        objection = bad_override(who) or reasonless(reason)
        if objection is not None:
            return self._objected(who, objection)
        if self._force is None:
            return not_started()
        state = await self._state_of(number)
        if isinstance(state, Refusal):
            return self._objected(who, state)

        def then(orders: Sequence[Order]) -> tuple[Order, ...]:
            return restored(orders, state.orders, self._clock.now())

        why = f"revision {number} was restored over it by {actor}; edit the file to go on from it"
        step = await self._replace_file(state, then, who, why, expected)
        if isinstance(step, Refusal):
            return self._objected(who, step)
        self.events.tell(EventName.RESTORED, number=number, revision=self.revision, actor=actor, reason=reason)
        return await self._answered(who, step, None, began, ())

    async def _state_of(self, number: int) -> State | Refusal:
        past = await self.recall(number)
        if isinstance(past, Refusal):
            return past
        if past.state is None:
            return refusal("not-kept", f"what was in force at revision {number} is not kept any more")
        return past.state

    async def _replace_file(
        self,
        state: State,
        then: Callable[[Sequence[Order]], tuple[Order, ...]],
        who: Who,
        why: str,
        expected: int | None = None,
        trial: FileState | None = None,
    ) -> Decided | Refusal | None:
        """An old routes.yaml takes force over the one in the watched file; `trial`: only while that goes on."""
        async with self._loading:
            if trial is not None and self._file != trial:
                return None
            compiled = await self._compiler.compile(state.text)
            if isinstance(compiled, Problems):
                return refusal("invalid", "its routes.yaml has problems today", "", compiled.lines)
            step = await self._put_in_force(
                compiled,
                LastGood(state.text, self._clock.now()),
                who,
                allow_removal=REMOVAL in who.override or who.source == "expiry",
                then=then,
                file=self._watched.aside(state.text, why),
                expected=expected,
            )
            if not isinstance(step, Refusal):
                self._watched.replaced(state.text, self._clock.now(), compiled.notes, why)
            return step

    async def _take_back(self) -> None:
        """Nobody has confirmed the routes.yaml: the one before takes force again, orders given since stay."""
        trial, back_to = self._file, self._file.back_to
        state = await self._state_of(back_to)
        if isinstance(state, Refusal):
            self._cannot_take_back(state)
            return
        gone = [pair for n, rev in self._history.items() if n > back_to for pair in rev.changes.superseded]

        def then(orders: Sequence[Order]) -> tuple[Order, ...]:
            return revived(orders, state.orders, gone)

        why = (
            f"nobody confirmed it in time, so that of revision {back_to} is in force again; edit the file to try again"
        )
        who = Who("control", "expiry", "nobody confirmed the routes.yaml in time", "expire", THE_FILE)
        step = await self._replace_file(state, then, who, why, trial=trial)
        if isinstance(step, Refusal):
            self._cannot_take_back(step)
        elif step is not None:
            self.events.tell(EventName.TAKEN_BACK, revision=step.revision.number, back_to=back_to)

    def _cannot_take_back(self, refused: Refusal) -> None:
        """Said once; it is tried again with every look at the clock."""
        told = (EventName.TAKEN_BACK, refused.detail, self._file.until)
        if told not in self._warned:
            self._warned.add(told)
            self._watched.set_aside(f"nobody confirmed it in time, but what was before cannot be had: {refused.detail}")

    async def _confirm_file(self, reason: str, actor: str) -> Change | Refusal:
        began = self._clock.elapsed()
        who = Who(actor, "order", reason, "confirm", THE_FILE)
        if (objection := reasonless(reason)) is not None:
            return self._objected(who, objection)
        async with self._loading, self._turns.turn():
            if self._force is None or not self._file.back_to:
                return self._objected(who, refusal("unknown-order", "no routes.yaml is on trial"))
            changes = Changes((f"routes.yaml is confirmed, {self._file.back_to} is no longer to be gone back to",))
            step = self._step(self._now.compiled, self._orders, who, changes)
            write = replace(self._write_of(step), file=FileState())
            if not await self._recorder.saved(self._recorder.begin(write, keep=False)):
                return self._objected(who, not_recorded())
            self._file = FileState()
            self._take(step)
        self._watched.confirmed()
        self.events.tell(EventName.KEPT, order=THE_FILE, actor=actor, reason=reason, revision=step.revision.number)
        return await self._answered(who, step, None, began, ())

    def _trial_until(self) -> float | None:
        return self._file.until if self._file.back_to else None

    async def plan(self, data: bytes) -> Plan | Refusal:
        """What this routes.yaml would change if it were loaded now; nothing is."""
        if self._force is None:
            return not_started()
        compiled = await self._checker.compile(data)
        if isinstance(compiled, Problems):
            return refusal("invalid", "routes.yaml has problems", "", compiled.lines)
        return await asyncio.to_thread(plan, self._now, compiled, self._facts(compiled.table))

    async def preview(
        self, kind: Kind, scope: Scope, *, share: int | None = None, side: Side | None = None
    ) -> Plan | Refusal:
        """What this order would change if it were given now; nothing is."""
        if self._force is None:
            return not_started()
        if (objection := incomplete(kind, scope, share, side)) is not None:
            return objection
        who = Who("nobody", "order", "a preview", kind.value, str(scope))
        stamp, now = self._stamp(who), self._now
        placed = placing(kind, scope, share or 0, side)(now.table, self._orders, stamp)
        if isinstance(placed, Objection):
            return refusal(placed.code, placed.detail, placed.instead)
        facts = self._facts(now.table)
        found = await asyncio.to_thread(preview, now, placed, facts)
        if not found.violations or kind is not Kind.WEIGHT:
            return found
        allowed = largest(now, lambda other: placing(kind, scope, other, side), stamp, facts, who)
        return replace(found, allowed=allowed)

    async def difference(self, first: int, second: int) -> Difference | Refusal:
        """Exactly what differs between two revisions."""
        found: list[tuple[State, Compiled]] = []
        for number in (first, second):
            state = await self._state_of(number)
            if isinstance(state, Refusal):
                return state
            compiled = await self._checker.compile(state.text)
            if isinstance(compiled, Problems):
                return refusal(
                    "invalid", f"the routes.yaml of revision {number} has problems today", "", compiled.lines
                )
            found.append((state, compiled))
        return await asyncio.to_thread(difference, found[0], found[1])

    # -- the walk of a change -----------------------------------------------------------------------

    async def _put_in_force(
        self,
        compiled: Compiled,
        good: LastGood,
        who: Who,
        *,
        allow_removal: bool,
        then: Callable[[Sequence[Order]], tuple[Order, ...]] = tuple,
        file: FileState | None = None,
        expected: int | None = None,
    ) -> Decided | Refusal | None:
        """None: it says what is in force already.  The caller holds `_loading`, so the table stays while we compare.

        `then` makes the orders afterwards of the present ones; `file` is what is remembered of the file, if that does
        not follow from the safety section.
        """
        before = self._force.table if self._force else None
        compared = await asyncio.to_thread(compare, before, compiled.table, self._traffic.recent())
        if compared.removal and not allow_removal:
            return refusal(REMOVAL, "; ".join(compared.removal), INSIST, compared.removal)
        async with self._turns.turn():
            if (stale := self._stale(expected)) is not None:
                return stale
            orders, gone = supersede(then(self._orders), compiled.table)
            decided = self._decide(compiled, good.text, orders, who, Changes(compared.lines, superseded=gone))
            if decided is not None and before is not None and who.source != "expiry":
                allowed = self._allowed(decided, who)
                if isinstance(allowed, Refusal):
                    return with_places(allowed, compiled.table, self._watched.name)
                decided = allowed
            file = file or self._file_after(compiled.table, fresh=decided is not None and before is not None)
            if decided is None:
                self._force = replace(self._now, compiled=compiled, text=good.text)  # comments may have moved
                self._file = file
                await self._recorder.saved(self._recorder.begin(replace(self._write(), last_good=good), keep=True))
                return None
            write = replace(self._write_of(decided), last_good=good, file=file)
            must = before is None or who.source == "expiry"
            saved = await self._recorder.saved(self._recorder.begin(write, keep=must))
            if not saved and not must:
                return not_recorded()
            self._file = file
            self._take(decided)
        for order_id, route in gone:
            self.events.tell(EventName.SUPERSEDED, order=order_id, route=route, revision=decided.revision.number)
        return decided

    def _file_after(self, table: Table, *, fresh: bool) -> FileState:
        """Is the file that takes force on trial?  A second one before the first is confirmed leads back as far."""
        within = table.safety.confirm if table.safety else None
        if within is not None and fresh:
            return FileState(self._file.back_to or self.revision, self._clock.now() + within)
        return self._file if self._file.back_to and not fresh else FileState()

    async def _walk(self, wish: Wish) -> Change | Refusal:
        """An order is placed among those in force, allowed, recorded, taken and confirmed."""
        began, who = self._clock.elapsed(), wish.who
        if wish.objection is not None:
            return self._objected(who, wish.objection)
        if self._force is None:
            return not_started()
        at_once = who.action == "rollback"
        async with self._turns.turn(first=at_once):
            placed = self._place(wish)
            if isinstance(placed, Refusal):
                return placed
            step: Decided | None = None
            saving: Saving | None = None
            if placed.already:
                saving = self._recorder.begin(self._write(), keep=True) if self._recorder.dirty else None
            else:
                allowed = self._allowed(self._decide_order(who, placed), who, wish.again)
                if isinstance(allowed, Refusal):
                    return self._objected(who, allowed)
                step = allowed
                # A number is never given out twice, not even if this order cannot be recorded.
                self._last_order = max(self._last_order, *(order.number for order in placed.given))
                saving = self._recorder.begin(self._write_of(step), keep=at_once)
                if not at_once and not await self._recorder.saved(saving):
                    return self._objected(who, not_recorded())
                self._take(step)
        target = whole_target(self._now) if step is None else step.target
        async with asyncio.TaskGroup() as both:
            confirming = both.create_task(self._fleet.confirmed(target, self._patience), name="confirm")
            persisted = saving is None or await self._recorder.saved(saving)
        if step is not None:
            self._tell_order(who, placed, step, persisted)
        word = confirming.result()
        answer = self._answer(who, step, placed.order, word, began, persisted=persisted, notes=placed.lines)
        return replace(answer, more=placed.more)

    def _place(self, wish: Wish) -> Placed | Refusal:
        who = wish.who
        if (stale := self._stale(who.expected)) is not None:
            return self._objected(who, stale)
        placed = wish.place(self.table, self._orders, self._stamp(who))
        if isinstance(placed, Objection):
            return self._objected(who, refusal(placed.code, placed.detail, placed.instead))
        return placed

    def _stamp(self, who: Who) -> Stamp:
        now = self._clock.now()
        expires = None if who.lasts is None else now + who.lasts
        return Stamp(self._last_order + 1, who.reason, who.actor, now, expires, who.trial)

    def _stale(self, expected: int | None) -> Refusal | None:
        if expected is None or expected == self.revision:
            return None
        detail = f"revision {expected} was expected, but {self.revision} is in force"
        return refusal("stale-revision", detail, "look at what changed and decide again")

    def _allowed(self, step: Decided, who: Who, again: Callable[[int], Place] | None = None) -> Decided | Refusal:
        """The step, if the safety rules let it pass."""
        changed = step.changed
        if not changed:
            return step
        rising = any(each.rise > 0 for each in changed)  # a rollback does not wait for what only raises are asked
        facts = self._facts(step.force.table) if rising else Facts(self._clock.now())
        if who.source != "emergency":  # the workers do that already
            facts = replace(facts, legacy_dead=legacy_dead(step.force.table, self._observed))
        answer = judged(step, who, facts)
        if isinstance(answer, Decided) or again is None:
            return answer
        return with_allowed(answer, largest(self._now, again, self._stamp(who), facts, who))

    def _facts(self, table: Table) -> Facts:
        return self._witness.facts(table.safety, self._now, self._history.values())

    def _decide_order(self, who: Who, placed: Placed) -> Decided:
        adopted = (who.hold,) if who.hold else ()
        changes = Changes((headline(who, placed), *placed.lines), order=ids(placed), adopted=adopted)
        return self._step(self._now.compiled, placed.orders, who, changes)

    def _decide(
        self, compiled: Compiled, text: bytes, orders: tuple[Order, ...], who: Who, changes: Changes
    ) -> Decided | None:
        """What follows from a table that was loaded; None when it is in force already."""
        step = self._step(compiled, orders, who, changes, text)
        now = self._force
        if now is None:
            last = self._last
            if last is None or last.hash != step.force.digest or step.force.orders != self._orders:
                return step
            # After a restart with the same content the same revision goes on.
            self._force = replace(step.force, revision=last.number)
            self._look(compiled)
            self._fleet.aim(whole_target(self._force))
            return None
        same = now.digest == step.force.digest and now.orders == step.force.orders and now.table == compiled.table
        return None if same else step

    def _step(
        self, compiled: Compiled, orders: tuple[Order, ...], who: Who, changes: Changes, text: bytes | None = None
    ) -> Decided:
        now = self._force
        told = now.adopted if now and who.action == "rollback" else self._adopted  # a rollback waits for no record
        text = self._now.text if text is None else text
        return decide(
            now,
            Wanted(compiled, text, orders),
            who,
            changes,
            number=self._next_revision(),
            at=self._clock.now(),
            adopted=told,
        )

    def _next_revision(self) -> int:
        """Above everything that was ever in force here or at a worker."""
        known = [worker.revision for worker in self._fleet.states()]
        return 1 + max([self._last.number if self._last else 0, *known])

    def _take(self, step: Decided) -> None:
        """The one moment in which a change takes force: no await between its lines."""
        if self._force is None or self._force.compiled is not step.force.compiled:
            self._look(step.force.compiled)
        self._force = step.force
        self._orders = step.force.orders
        self._last = step.revision
        self._history[step.revision.number] = step.revision
        if len(self._history) > REMEMBERED:
            del self._history[min(self._history)]
        self._fleet.aim(step.target)
        self._trace(step.audit)

    # -- the store ----------------------------------------------------------------------------------

    async def keep_saving(self) -> None:
        """Records, as soon as the store answers again, what it has refused.  Runs until it is cancelled."""
        while True:
            await self._recorder.until_dirty()
            await asyncio.sleep(RETRY)
            async with self._turns.turn():
                if not self.persisted:
                    await self._recorder.saved(self._recorder.begin(self._write(), keep=True))

    async def close(self) -> None:
        """Waits for the writes that are under way."""
        await self._recorder.close()

    def _write(self) -> Write:
        """The truth as it is, with nothing new."""
        return Write(self._orders, self._last_order, self._last.number if self._last else 0, file=self._file)

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
            file=self._file,
        )

    # -- answers ------------------------------------------------------------------------------------

    async def _answered(
        self, who: Who, step: Decided | None, order: Order | None, began: float, notes: tuple[str, ...]
    ) -> Change:
        target = whole_target(self._now) if step is None else step.target
        workers = await self._fleet.confirmed(target, self._patience)
        return self._answer(who, step, order, workers, began, persisted=self.persisted, notes=notes)

    def _answer(
        self,
        who: Who,
        step: Decided | None,
        order: Order | None,
        workers: tuple[Confirmation, ...],
        began: float,
        *,
        persisted: bool,
        notes: tuple[str, ...],
    ) -> Change:
        """What became of a change; without a step, of what was in force already."""
        confirmed = all(worker.ms is not None for worker in workers)
        ms = (self._clock.elapsed() - began) * 1000
        revision = self.revision if step is None else step.revision.number
        missing = [{"worker": each.id, "runs": each.revision, "why": each.error} for each in workers if each.ms is None]
        more: dict[str, object] = {} if confirmed else {"missing": missing}
        name = EventName.CONFIRMED if confirmed else EventName.UNCONFIRMED
        slowest = max((worker.ms for worker in workers if worker.ms is not None), default=None)
        self.events.tell(name, revision=revision, ms=round(ms, 3), slowest_worker_ms=slowest, action=who.action, **more)
        if step is not None and who.action == "rollback" and confirmed:
            self.rollback_ms = ms
        return Change(
            order,
            step is None,
            revision,
            confirmed,
            workers,
            () if step is None else step.revision.changes.routes,
            persisted,
            ms,
            notes,
            () if step is None else step.overridden,
            self._until(who, order),
        )

    def _until(self, who: Who, order: Order | None) -> float | None:
        if who.action == "load":
            return self._trial_until()
        return order.expires if order is not None and order.provisional and who.action != "resume" else None

    def _objected(self, who: Who, refused: Refusal) -> Refusal:
        self.events.tell(
            EventName.ORDER_REFUSED,
            action=who.action,
            target=who.target,
            actor=who.actor,
            reason=who.reason,
            code=refused.code,
            detail=refused.detail,
        )
        return refused

    def _tell_order(self, who: Who, placed: Placed, step: Decided, persisted: bool) -> None:
        names = {"resume": EventName.LIFTED, "on": EventName.LIFTED, "confirm": EventName.KEPT}
        self.events.tell(
            names.get(who.action, EventName.ORDERED),
            action=who.action,
            target=who.target,
            order=ids(placed),
            share=placed.order.share if placed.order.kind in {Kind.WEIGHT, Kind.CAP} else None,
            actor=who.actor,
            reason=who.reason,
            revision=step.revision.number,
            routes=len(step.revision.changes.routes),
            persisted=persisted,
        )


def _ending(order: Order) -> str:
    ended = "was not confirmed in time" if order.provisional else "has had its time"
    again = f"; {order.before[0].id} holds again" if order.before else ""
    return f"{order.id} ({order.kind} {order.scope}) {ended}{again}"

"""The engine of changes: what is declared, what was ordered, and what all workers have in force.

    load      a routes.yaml takes force, whole or not at all
    weight    a share for some routes         rollback    legacy for a scope         resume    lifts an order

Every change walks the same way: decide (pure, in `router.core`), record, aim the fleet, wait for its word.  One
change at a time; a rollback goes before those that wait.  A weight that cannot be recorded is refused; a rollback
holds anyway and is recorded as soon as the store answers again.  What is in force is only ever computed from the
table and the orders, so the three cannot disagree.

This module knows no socket, no SQL and no YAML: it speaks to `router.ports`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.core.adopt import place_hold
from router.core.diff import diff
from router.core.guard import mass_removal
from router.core.hold import Hold
from router.core.model import Table
from router.core.orders import EffectiveState, Kind, Order, Scope, effective, supersede
from router.core.place import Objection, Placed, Stamp, lift, place_rollback, place_weight
from router.core.units import write_percent
from router.core.wire import Blocks, delta_line, state_hash
from router.events import Event, EventName, Events, Subscription
from router.ports import (
    AuditEntry,
    Changes,
    Clock,
    Compiled,
    Compiler,
    Confirmation,
    Fleet,
    LastGood,
    Problems,
    Revision,
    RouteChange,
    Store,
    StoreError,
    Target,
    Traffic,
    WorkerState,
    Write,
)
from router.recorder import Recorder
from router.turns import Turns

__all__ = [
    "Change",
    "Changes",
    "Confirmation",
    "Event",
    "EventName",
    "Live",
    "Refusal",
    "Revision",
    "RouteChange",
    "Selector",
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
SHOWN: Final = 200
"""Readable lines of a revision; the machine form names every route."""
LOGGED: Final = 10
"""Of them, in one event."""
HOLDS_KNOWN: Final = 1000
"""Adopted holds that are remembered, so that none is adopted twice."""

Selector = Scope
"""Which routes a weight is for: `Scope(Reach.ROUTE, "GET /v1/*")`, `Scope(Reach.GROUP, "catalog")`."""

Place = Callable[[Table, Sequence[Order], Stamp], Placed | Objection]
"""A decision about the orders in force."""

INSIST: Final = "if that is meant, load it with --allow-removal"


# ------------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Change:
    """A change that is in force."""

    order: Order | None
    """The order that was given or lifted."""
    already: bool
    """It was in force before; nothing changed."""
    revision: int
    confirmed: bool
    workers: tuple[Confirmation, ...]
    routes: tuple[RouteChange, ...]
    persisted: bool
    ms: float
    """From the call to the answer."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that is not in force, nor any part of it."""

    code: str
    status: int
    """The HTTP status that says the same."""
    detail: str
    instead: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceState:
    """How the watched routes.yaml is."""

    path: str
    status: str = "ok"
    """`ok`, `refused` or `missing`; the last good stays in force in the latter two."""
    problems: tuple[str, ...] = ()
    last_good_at: float = 0.0
    notes: tuple[str, ...] = ()


STATUS: Final[Mapping[str, int]] = {
    "invalid": 422,
    "mass-removal": 409,
    "missing": 422,
    "no-new-side": 409,
    "not-started": 503,
    "stale-revision": 412,
    "storage": 503,
    "unknown-group": 404,
    "unknown-order": 404,
    "unknown-route": 404,
    "unknown-site": 404,
}


def _refusal(code: str, detail: str, instead: str = "", problems: tuple[str, ...] = ()) -> Refusal:
    return Refusal(code, STATUS[code], detail, instead, problems)


def _not_recorded() -> Refusal:
    return _refusal(
        "storage", "the change could not be recorded, so it is not in force", "see the state directory's disk"
    )


# -------------------------------------------------------------------------------------------------- engine


@dataclass(frozen=True, slots=True)
class _Force:
    """Everything that is in force at one moment."""

    compiled: Compiled
    orders: tuple[Order, ...]
    state: EffectiveState
    revision: int
    digest: str
    adopted: tuple[str, ...] = ()
    """The holds of which the workers have been told that they are orders."""

    def shares(self) -> dict[str, int]:
        """By route name."""
        return {
            route.name: entry.share for route, entry in zip(self.compiled.table.routes, self.state.routes, strict=True)
        }


@dataclass(frozen=True, slots=True)
class _Who:
    """Who wants a change, by which way, and why."""

    actor: str
    source: str
    reason: str
    action: str
    target: str
    hold: str = ""
    """The hold that becomes an order."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A change that is decided but not yet in force."""

    force: _Force
    revision: Revision
    audit: AuditEntry
    target: Target


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A routes.yaml that is in force; no step: it was before."""

    step: _Step | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What a table that was loaded means for the one in force."""

    lines: tuple[str, ...]
    removal: tuple[str, ...]


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
    ) -> None:
        self.events = events or Events(clock.now)
        self._store = store
        self._fleet = fleet
        self._compiler = compiler
        self._clock = clock
        self._traffic = traffic
        self._patience = patience
        self._turns = Turns()
        self._loading = asyncio.Lock()
        self._force: _Force | None = None
        self._orders: tuple[Order, ...] = ()
        self._last_order = 0
        self._adopted: tuple[str, ...] = ()
        """Holds that are orders by now, or were."""
        self._last: Revision | None = None
        self._history: dict[int, Revision] = {}
        self._recorder = Recorder(store, self.events)
        self._seen: bytes | None = None
        self.source = SourceState(path)
        self.reloads: Counter[str] = Counter()
        """How often a routes.yaml was `ok`, `unchanged` or `refused`."""
        self.rollback_ms: float | None = None
        """How long the last rollback took until all workers had confirmed it."""

    # -- what is in force ---------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        return self._force is not None

    @property
    def _now(self) -> _Force:
        if self._force is None:
            raise RuntimeError("nothing is in force yet")
        return self._force

    @property
    def in_force(self) -> Compiled:
        """The routes.yaml in force, as it was compiled."""
        return self._now.compiled

    @property
    def table(self) -> Table:
        return self._now.compiled.table

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
            return _refusal("storage", str(error))

    def subscribe(self) -> Subscription:
        """Events from now on.  Close it, or use it as a context manager."""
        return self.events.subscribe()

    # -- changes ------------------------------------------------------------------------------------

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
        if saved.last_good is not None and saved.last_good.text != data:
            await self._restore(saved.last_good)
        if data is None:
            self.missing(trouble)
            answer: _Loaded | Refusal = _refusal("missing", trouble)
        else:
            answer = await self._load(
                data, _Who("file", "file", "", "load", self.source.path), allow_removal, watched=True
            )
        if isinstance(answer, _Loaded):
            return None
        if self._force is None:
            return answer
        self.events.tell(
            EventName.LAST_GOOD_USED, revision=self.revision, at=self.source.last_good_at, problems=self.source.problems
        )
        return None

    async def _restore(self, last_good: LastGood) -> None:
        compiled = await self._compiler.compile(last_good.text)
        if isinstance(compiled, Compiled):
            who = _Who("control", "restore", "the last good routes.yaml after a restart", "restore", "routes.yaml")
            await self._put_in_force(compiled, last_good, who, allow_removal=True)
            self.source = replace(self.source, last_good_at=last_good.at)

    async def load(
        self,
        data: bytes,
        *,
        actor: str,
        source: str = "file",
        reason: str = "",
        allow_removal: bool = False,
        watched: bool = False,
    ) -> Change | Refusal:
        """A routes.yaml takes force, or is refused whole; what is in force stays then.

        `watched`: these are the bytes of the watched file, so their problems are the file's state until it is mended.
        """
        began = self._clock.elapsed()
        who = _Who(actor, source, reason, "load", self.source.path)
        loaded = await self._load(data, who, allow_removal, watched=watched)
        if isinstance(loaded, Refusal):
            return loaded
        target = _whole_target(self._now) if loaded.step is None else loaded.step.target
        workers = await self._fleet.confirmed(target, self._patience)
        return self._answer(who, loaded.step, None, workers, began, persisted=self.persisted, notes=loaded.notes)

    async def _load(self, data: bytes, who: _Who, allow_removal: bool, *, watched: bool) -> _Loaded | Refusal:
        async with self._loading:
            if watched:
                self._seen = data
            compiled = await self._compiler.compile(data)
            if isinstance(compiled, Problems):
                refusal = _refusal("invalid", "routes.yaml has problems", "", compiled.lines)
                return self._refused(refusal, compiled.notes, watched=watched)
            good = LastGood(data, self._clock.now())
            step = await self._put_in_force(compiled, good, who, allow_removal=allow_removal)
            if isinstance(step, Refusal):
                return self._refused(step, compiled.notes, watched=watched)
            self._loaded(compiled, good, step, who)
            return _Loaded(step, compiled.notes)

    def _loaded(self, compiled: Compiled, good: LastGood, step: _Step | None, who: _Who) -> None:
        self.reloads["unchanged" if step is None else "ok"] += 1
        self.source = replace(self.source, last_good_at=good.at, notes=compiled.notes)
        if good.text == self._seen:
            self.source = replace(self.source, status="ok", problems=())
        self.events.tell(
            EventName.LOADED,
            changed=step is not None,
            revision=self.revision,
            actor=who.actor,
            routes=len(compiled.table.routes),
            changes=_at_most(step.revision.changes.lines, LOGGED) if step else (),
            notes=_at_most(compiled.notes, LOGGED),
        )

    async def weight(
        self, selector: Selector, share: int, *, reason: str, actor: str, expected: int | None = None
    ) -> Change | Refusal:
        """A share (ppm) for all routes that the selector speaks of and that have a new side."""

        def place(table: Table, orders: Sequence[Order], stamp: Stamp) -> Placed | Objection:
            return place_weight(table, orders, selector, share, stamp)

        return await self._order(place, _Who(actor, "order", reason, "weight", str(selector)), expected)

    async def rollback(self, scope: Scope, *, reason: str, actor: str, expected: int | None = None) -> Change | Refusal:
        """Legacy for everything in the scope, at once, whatever the store says."""

        def place(table: Table, orders: Sequence[Order], stamp: Stamp) -> Placed | Objection:
            return place_rollback(table, orders, scope, stamp)

        return await self._order(place, _Who(actor, "order", reason, "rollback", str(scope)), expected)

    async def resume(
        self, order_id: str, *, reason: str, actor: str, share: int | None = None, expected: int | None = None
    ) -> Change | Refusal:
        """Lifts an order; with a share (ppm), a weight takes its place in the same step."""

        def place(table: Table, orders: Sequence[Order], stamp: Stamp) -> Placed | Objection:
            return lift(table, orders, order_id, share, stamp)

        return await self._order(place, _Who(actor, "order", reason, "resume", order_id), expected)

    async def adopt(self, holds: Sequence[Hold]) -> tuple[str, ...]:
        """Makes rollback orders of what the workers were told while nobody was here; the ids that are recorded by now.

        The workers hear that they need not keep them any more with the next change that is recorded before it takes
        force: whatever happens until then, either they hold or an order does.
        """
        for hold in holds:
            if hold.id not in self._adopted:

                def place(_table: Table, orders: Sequence[Order], stamp: Stamp, hold: Hold = hold) -> Placed:
                    return place_hold(orders, hold, stamp.number)

                who = _Who(hold.actor, "emergency", hold.reason, "rollback", str(hold.scope), hold.id)
                if isinstance(await self._order(place, who, None), Change):
                    self._adopted = (*self._adopted[-HOLDS_KNOWN:], hold.id)
        return () if self._recorder.dirty else tuple(hold.id for hold in holds if hold.id in self._adopted)

    def missing(self, why: str) -> None:
        """The file cannot be read: said aloud, once per reason; what is in force stays."""
        if self.source.status == "missing" and self.source.problems == (why,):
            return
        self.source = replace(self.source, status="missing", problems=(why,))
        self.reloads["refused"] += 1
        self.events.tell(EventName.MISSING, path=self.source.path, why=why)

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

    # -- the walk of a change -----------------------------------------------------------------------

    async def _put_in_force(
        self, compiled: Compiled, good: LastGood, who: _Who, *, allow_removal: bool
    ) -> _Step | Refusal | None:
        """None: it says what is in force already.  The caller holds `_loading`, so the table stays while we compare."""
        before = self._force.compiled.table if self._force else None
        compared = await asyncio.to_thread(_compare, before, compiled.table, self._traffic.recent())
        if compared.removal and not allow_removal:
            return _refusal("mass-removal", "; ".join(compared.removal), INSIST, compared.removal)
        async with self._turns.turn():
            orders, gone = supersede(self._orders, compiled.table)
            step = self._decide(compiled, orders, who, Changes(compared.lines, superseded=gone))
            if step is None:
                self._force = replace(self._now, compiled=compiled)  # lines and comments may have moved
                await self._recorder.saved(self._recorder.begin(replace(self._write(), last_good=good), keep=True))
                return None
            write = replace(self._write_of(step), last_good=good)
            saved = await self._recorder.saved(self._recorder.begin(write, keep=before is None))
            if not saved and before is not None:
                return _not_recorded()
            self._take(step)
        for order_id, route in gone:
            self.events.tell(EventName.SUPERSEDED, order=order_id, route=route, revision=step.revision.number)
        return step

    async def _order(self, place: Place, who: _Who, expected: int | None) -> Change | Refusal:
        began = self._clock.elapsed()
        if self._force is None:
            return _refusal("not-started", "nothing is in force yet", "try again in a moment")
        at_once = who.action == "rollback"
        async with self._turns.turn(first=at_once):
            placed = self._place(place, who, expected)
            if isinstance(placed, Refusal):
                return placed
            if placed.already:
                step = None
                saving = self._recorder.begin(self._write(), keep=True) if self._recorder.dirty else None
            else:
                step = self._decide_order(who, placed)
                saving = self._recorder.begin(self._write_of(step), keep=at_once)
                if not at_once and not await self._recorder.saved(saving):
                    return self._objected(who, _not_recorded())
                self._take(step)
        target = _whole_target(self._now) if step is None else step.target
        async with asyncio.TaskGroup() as both:
            confirming = both.create_task(self._fleet.confirmed(target, self._patience), name="confirm")
            persisted = saving is None or await self._recorder.saved(saving)
        if step is not None:
            self._tell_order(who, placed, step, persisted)
        word = confirming.result()
        return self._answer(who, step, placed.order, word, began, persisted=persisted, notes=placed.lines)

    def _place(self, place: Place, who: _Who, expected: int | None) -> Placed | Refusal:
        if expected is not None and expected != self.revision:
            detail = f"revision {expected} was expected, but {self.revision} is in force"
            return self._objected(who, _refusal("stale-revision", detail, "look at what changed and decide again"))
        stamp = Stamp(self._last_order + 1, who.reason, who.actor, self._clock.now())
        placed = place(self.table, self._orders, stamp)
        if isinstance(placed, Objection):
            return self._objected(who, _refusal(placed.code, placed.detail, placed.instead))
        # A number is never given out twice, not even if this order cannot be recorded.
        self._last_order = max(self._last_order, placed.order.number)
        return placed

    def _decide_order(self, who: _Who, placed: Placed) -> _Step:
        adopted = (who.hold,) if who.hold else ()
        changes = Changes((_headline(who, placed), *placed.lines), order=placed.order.id, adopted=adopted)
        return self._step(self._now.compiled, placed.orders, who, changes)

    def _decide(self, compiled: Compiled, orders: tuple[Order, ...], who: _Who, changes: Changes) -> _Step | None:
        """What follows from a table that was loaded; None when it is in force already."""
        step = self._step(compiled, orders, who, changes)
        now = self._force
        if now is None:
            last = self._last
            if last is None or last.hash != step.force.digest or orders != self._orders:
                return step
            # After a restart with the same content the same revision goes on.
            self._force = replace(step.force, revision=last.number)
            self._fleet.aim(_whole_target(self._force))
            return None
        same = now.digest == step.force.digest and now.orders == orders and now.compiled.table == compiled.table
        return None if same else step

    def _step(self, compiled: Compiled, orders: tuple[Order, ...], who: _Who, changes: Changes) -> _Step:
        """The state that follows, with everything that has to be said about it."""
        now = self._force
        state = effective(compiled.table, orders)
        told = now.adopted if now and who.action == "rollback" else self._adopted  # a rollback waits for no record
        force = _Force(compiled, orders, state, self._next_revision(), state_hash(compiled.digest, state), told)
        routes = _route_changes(now, force)
        gave_way = tuple(f"{order} gave way to the file for {route}" for order, route in changes.superseded)
        shown = _route_lines(routes) if changes.order else ()
        changes = replace(changes, lines=_at_most((*changes.lines, *gave_way, *shown), SHOWN), routes=routes)
        at = self._clock.now()
        revision = Revision(force.revision, at, who.actor, who.source, who.reason, force.digest, changes)
        before = json.dumps({route.name: route.before for route in routes})
        after = json.dumps({route.name: route.after for route in routes})
        audit = AuditEntry(at, who.actor, who.action, who.target, who.reason, before, after, force.revision)
        return _Step(force, revision, audit, _target(now, force))

    def _next_revision(self) -> int:
        """Above everything that was ever in force here or at a worker."""
        known = [worker.revision for worker in self._fleet.states()]
        return 1 + max([self._last.number if self._last else 0, *known])

    def _take(self, step: _Step) -> None:
        """The one moment in which a change takes force: no await between its lines."""
        self._force = step.force
        self._orders = step.force.orders
        self._last = step.revision
        self._history[step.revision.number] = step.revision
        if len(self._history) > REMEMBERED:
            del self._history[min(self._history)]
        self._fleet.aim(step.target)

    # -- the store ----------------------------------------------------------------------------------

    def _write(self) -> Write:
        """The truth as it is, with nothing new."""
        return Write(self._orders, self._last_order, self._last.number if self._last else 0)

    def _write_of(self, step: _Step) -> Write:
        return Write(step.force.orders, self._last_order, step.revision.number, (step.revision,), (step.audit,))

    # -- answers ------------------------------------------------------------------------------------

    def _answer(
        self,
        who: _Who,
        step: _Step | None,
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
        routes = () if step is None else step.revision.changes.routes
        return Change(order, step is None, revision, confirmed, workers, routes, persisted, ms, notes)

    def _objected(self, who: _Who, refusal: Refusal) -> Refusal:
        self.events.tell(
            EventName.ORDER_REFUSED,
            action=who.action,
            target=who.target,
            actor=who.actor,
            reason=who.reason,
            code=refusal.code,
            detail=refusal.detail,
        )
        return refusal

    def _tell_order(self, who: _Who, placed: Placed, step: _Step, persisted: bool) -> None:
        self.events.tell(
            EventName.LIFTED if who.action == "resume" else EventName.ORDERED,
            action=who.action,
            target=who.target,
            order=placed.order.id,
            share=placed.order.share if placed.order.kind is Kind.WEIGHT else None,
            actor=who.actor,
            reason=who.reason,
            revision=step.revision.number,
            routes=len(step.revision.changes.routes),
            persisted=persisted,
        )

    def _refused(self, refusal: Refusal, notes: tuple[str, ...], *, watched: bool) -> Refusal:
        """A routes.yaml is refused; `watched`: its state says so until it is mended."""
        problems = refusal.problems or (refusal.detail,)
        if watched and (self.source.status, self.source.problems) == ("refused", problems):
            return refusal  # looked at again, and nothing new to say about it
        self.reloads["refused"] += 1
        if watched:
            self.source = replace(self.source, status="refused", problems=problems, notes=notes)
        self.events.tell(
            EventName.REFUSED, path=self.source.path, code=refusal.code, detail=refusal.detail, problems=problems
        )
        return refusal


# --------------------------------------------------------------------------------------------------- words


def _compare(before: Table | None, after: Table, traffic: Mapping[str, int]) -> _Comparison:
    """Runs in a thread: for 1,500 routes that all changed it takes longer than the event loop may stand still."""
    if before is None:
        return _Comparison((f"{len(after.routes)} routes",), ())
    return _Comparison(tuple(map(str, diff(before, after))), mass_removal(before, after, traffic))


def _target(now: _Force | None, force: _Force) -> Target:
    """How the fleet gets there: by a delta where the structure stays."""
    target = _whole_target(force)
    if now is None or now.compiled.digest != force.compiled.digest:
        return target
    delta = delta_line(force.revision, now.revision, now.state, force.state, force.digest, force.adopted)
    return replace(target, base=now.revision, delta=delta)


def _whole_target(force: _Force) -> Target:
    compiled = force.compiled
    return Target(
        force.revision,
        force.digest,
        compiled.blocks.slots,
        compiled.structure,
        force.state,
        adopted=force.adopted,
    )


def _route_changes(now: _Force | None, force: _Force) -> tuple[RouteChange, ...]:
    before, after = now.shares() if now else {}, force.shares()
    names = after if now is None or now.compiled is force.compiled else before | after
    return tuple(
        RouteChange(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )


def _route_lines(routes: tuple[RouteChange, ...]) -> tuple[str, ...]:
    return tuple(f"{route.name}: {_percent(route.before)} -> {_percent(route.after)}" for route in routes)


def _percent(share: int | None) -> str:
    return "none" if share is None else f"{write_percent(share)}%"


def _at_most(lines: tuple[str, ...], most: int) -> tuple[str, ...]:
    return lines if len(lines) <= most else (*lines[:most], f"and {len(lines) - most} more")


def _headline(who: _Who, placed: Placed) -> str:
    order = placed.order
    if who.action == "resume" and who.target == order.id:
        return f"{order.id} ({order.kind} {order.scope}) is lifted"
    share = f" {_percent(order.share)}" if order.kind is Kind.WEIGHT else ""
    return f"{order.id}: {order.kind}{share} {order.scope}"

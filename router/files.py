"""How a routes.yaml takes force: at the start, when it is loaded, on trial, and when an old one is restored.

    load      whole or not at all; with `safety.confirm` on trial
    confirm   it stays                      expire   nobody has confirmed it: the one before takes force again
    restore   orders and routes.yaml as they were at a revision

All of them end in `_put_in_force`: compare with what is in force, ask the guard against vanished routes, and in a turn
let orders give way, ask the safety rules, record and take.  The watched file itself is never written to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from router.answers import Change, Refusal, not_recorded, not_started, refusal
from router.archive import Archive
from router.core.lapses import restored, revived
from router.core.model import Table
from router.core.orders import Order, supersede
from router.course import Course
from router.events import EventName, Events
from router.herald import Herald
from router.judge import Judge, with_places
from router.ports import (
    Changes,
    Clock,
    Compiled,
    Compiler,
    FileState,
    LastGood,
    Problems,
    State,
    Traffic,
)
from router.steps import Decided, Who, at_most, compare
from router.watched import WatchedFile, digest_of
from router.wishes import REMOVAL, bad_override, reasonless

LOGGED: Final = 10
"""Readable lines of a revision in one event."""
THE_FILE: Final = "file"
"""The name by which a routes.yaml that is on trial is confirmed."""
INSIST: Final = "if that is meant, load it with --allow-removal"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A routes.yaml that is in force; no step: it was before."""

    step: Decided | None
    notes: tuple[str, ...]


class Files:
    """One for the life of the engine."""

    def __init__(
        self,
        course: Course,
        judge: Judge,
        archive: Archive,
        herald: Herald,
        *,
        compiler: Compiler,
        traffic: Traffic,
        clock: Clock,
        events: Events,
        path: str,
    ) -> None:
        self._course = course
        self._judge = judge
        self._archive = archive
        self._herald = herald
        self._compiler = compiler
        self._traffic = traffic
        self._clock = clock
        self._events = events
        self._loading = asyncio.Lock()
        """Held while a text is compiled and put in force, so that the table stays while we compare."""
        self._told: set[tuple[str, float]] = set()
        """Why a file on trial could not be taken back, as people have been told."""
        self.watched = WatchedFile(path, events)

    # -- starting and loading -----------------------------------------------------------------------

    async def start(
        self, known: LastGood | None, data: bytes | None, trouble: str, *, allow_removal: bool
    ) -> Refusal | None:
        """The last good one that the store has, then the watched file; None once something is in force."""
        if known is not None and known.text != data:
            await self._take_up(known)
        if self._course.force is not None and data is not None and digest_of(data) == self._course.file.aside:
            self.watched.seen = data
            self.watched.set_aside(self._course.file.why)
            return None
        if data is None:
            self.watched.missing(trouble)
            answer: _Loaded | Refusal = refusal("missing", trouble)
        else:
            who = Who("file", "file", "", "load", self.watched.state.path)
            answer = await self._load(data, who, allow_removal, watched=True)
        if isinstance(answer, _Loaded):
            return None
        if self._course.force is None:
            return answer
        state = self.watched.state
        self._events.tell(
            EventName.LAST_GOOD_USED,
            revision=self._course.now.revision,
            at=state.last_good_at,
            problems=state.problems,
        )
        return None

    async def _take_up(self, last_good: LastGood) -> None:
        compiled = await self._compiler.compile(last_good.text)
        if isinstance(compiled, Compiled):
            who = Who("control", "restore", "the last good routes.yaml after a restart", "restore", "routes.yaml")
            await self._put_in_force(compiled, last_good, who, allow_removal=True, file=self._course.file)
            self.watched.taken_up(last_good.at)

    async def load(self, data: bytes, who: Who, *, allow_removal: bool, watched: bool) -> Change | Refusal:
        """It takes force, or is refused whole; what is in force stays then."""
        began = self._clock.elapsed()
        if (objection := bad_override(who)) is not None:
            return objection
        loaded = await self._load(data, who, allow_removal or REMOVAL in who.override, watched=watched)
        if isinstance(loaded, Refusal):
            return loaded
        return await self._herald.answered(who, loaded.step, began, loaded.notes)

    async def _load(self, data: bytes, who: Who, allow_removal: bool, *, watched: bool) -> _Loaded | Refusal:
        async with self._loading:
            if watched:
                self.watched.seen = data
            compiled = await self._compiler.compile(data)
            if isinstance(compiled, Problems):
                refused = refusal("invalid", "routes.yaml has problems", "", compiled.lines)
                return self.watched.refused(refused, compiled.notes, watched=watched)
            good = LastGood(data, self._clock.now())
            step = await self._put_in_force(compiled, good, who, allow_removal=allow_removal)
            if isinstance(step, Refusal):
                return self.watched.refused(step, compiled.notes, watched=watched)
            self._loaded(compiled, good, step, who)
            return _Loaded(step, compiled.notes)

    def _loaded(self, compiled: Compiled, good: LastGood, step: Decided | None, who: Who) -> None:
        until, changed = self._course.file_on_trial_until, step is not None
        self.watched.taken(good.text, good.at, compiled.notes, until, changed=changed)
        self._events.tell(
            EventName.LOADED,
            changed=changed,
            revision=self._course.now.revision,
            actor=who.actor,
            routes=len(compiled.table.routes),
            changes=at_most(step.revision.changes.lines, LOGGED) if step else (),
            notes=at_most(compiled.notes, LOGGED),
            until=self.watched.state.until,
        )

    # -- on trial -----------------------------------------------------------------------------------

    async def confirm(self, who: Who) -> Change | Refusal:
        """The routes.yaml that is on trial stays."""
        began = self._clock.elapsed()
        if (objection := reasonless(who.reason)) is not None:
            return self._herald.objected(who, objection)
        async with self._loading, self._course.turn():
            back_to = self._course.file.back_to
            if self._course.force is None or not back_to:
                return self._herald.objected(who, refusal("unknown-order", "no routes.yaml is on trial"))
            changes = Changes((f"routes.yaml is confirmed, {back_to} is no longer to be gone back to",))
            step = self._course.step(self._course.orders, who, changes)
            if not await self._course.commit(step, file=FileState()):
                return self._herald.objected(who, not_recorded())
        self.watched.confirmed()
        self._events.tell(
            EventName.KEPT, order=THE_FILE, actor=who.actor, reason=who.reason, revision=step.revision.number
        )
        return await self._herald.answered(who, step, began)

    async def expire(self) -> None:
        """Nobody has confirmed the routes.yaml: the one before takes force again, orders given since stay."""
        trial, back_to = self._course.file, self._course.file.back_to
        if not back_to or trial.until > self._clock.now():
            return
        state = await self._archive.state_of(back_to)
        if isinstance(state, Refusal):
            self._cannot_take_back(state)
            return
        gone = [pair for n, rev in self._course.revisions.items() if n > back_to for pair in rev.changes.superseded]

        def then(orders: Sequence[Order]) -> tuple[Order, ...]:
            return revived(orders, state.orders, gone)

        why = (
            f"nobody confirmed it in time, so that of revision {back_to} is in force again; edit the file to try again"
        )
        who = Who("control", "expiry", "nobody confirmed the routes.yaml in time", "expire", THE_FILE)
        step = await self._replace(state, then, who, why, trial=trial)
        if isinstance(step, Refusal):
            self._cannot_take_back(step)
        elif step is not None:
            self._events.tell(EventName.TAKEN_BACK, revision=step.revision.number, back_to=back_to)

    def _cannot_take_back(self, refused: Refusal) -> None:
        """Said once; it is tried again with every look at the clock."""
        told = (refused.detail, self._course.file.until)
        if told not in self._told:
            self._told.add(told)
            self.watched.set_aside(f"nobody confirmed it in time, but what was before cannot be had: {refused.detail}")

    # -- going back ---------------------------------------------------------------------------------

    async def restore(self, number: int, who: Who) -> Change | Refusal:
        """Orders and routes.yaml as they were at a revision become a new one."""
        began = self._clock.elapsed()
        objection = bad_override(who) or reasonless(who.reason)
        if objection is not None:
            return self._herald.objected(who, objection)
        if self._course.force is None:
            return not_started()
        state = await self._archive.state_of(number)
        if isinstance(state, Refusal):
            return self._herald.objected(who, state)

        def then(orders: Sequence[Order]) -> tuple[Order, ...]:
            return restored(orders, state.orders, self._clock.now())

        why = f"revision {number} was restored over it by {who.actor}; edit the file to go on from it"
        step = await self._replace(state, then, who, why)
        if isinstance(step, Refusal):
            return self._herald.objected(who, step)
        revision = self._course.now.revision
        self._events.tell(EventName.RESTORED, number=number, revision=revision, actor=who.actor, reason=who.reason)
        return await self._herald.answered(who, step, began)

    async def _replace(
        self,
        state: State,
        then: Callable[[Sequence[Order]], tuple[Order, ...]],
        who: Who,
        why: str,
        trial: FileState | None = None,
    ) -> Decided | Refusal | None:
        """An old routes.yaml takes force over the one in the watched file; `trial`: only while that goes on."""
        async with self._loading:
            if trial is not None and self._course.file != trial:
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
                file=self.watched.aside(state.text, why),
            )
            if not isinstance(step, Refusal):
                self.watched.replaced(state.text, self._clock.now(), compiled.notes, why)
            return step

    # -- how any of them takes force ----------------------------------------------------------------

    async def _put_in_force(
        self,
        compiled: Compiled,
        good: LastGood,
        who: Who,
        *,
        allow_removal: bool,
        then: Callable[[Sequence[Order]], tuple[Order, ...]] = tuple,
        file: FileState | None = None,
    ) -> Decided | Refusal | None:
        """None: it says what is in force already.  The caller holds `_loading`, so the table stays while we compare.

        `then` makes the orders afterwards of the present ones; `file` is what is remembered of the file, if that does
        not follow from the safety section.
        """
        before = self._course.force.table if self._course.force else None
        compared = await asyncio.to_thread(compare, before, compiled.table, self._traffic.recent())
        if compared.removal and not allow_removal:
            return refusal(REMOVAL, "; ".join(compared.removal), INSIST, compared.removal)
        async with self._course.turn():
            if (stale := self._course.stale(who.expected)) is not None:
                return stale
            orders, gone = supersede(then(self._course.orders), compiled.table)
            step = self._course.arrive(compiled, good.text, orders, who, Changes(compared.lines, superseded=gone))
            by_itself = before is None or who.source == "expiry"  # nobody is there to be told that it is refused
            if step is not None and not by_itself:
                allowed = self._judge.allowed(step, who)
                if isinstance(allowed, Refusal):
                    return with_places(allowed, compiled.table, self.watched.name)
                step = allowed
            file = file or self._file_after(compiled.table, fresh=step is not None and before is not None)
            if step is None:
                await self._course.reword(compiled, good, file)
                return None
            if not await self._course.commit(step, keep=by_itself, file=file, last_good=good):
                return not_recorded()
        for order_id, route in gone:
            self._events.tell(EventName.SUPERSEDED, order=order_id, route=route, revision=step.revision.number)
        return step

    def _file_after(self, table: Table, *, fresh: bool) -> FileState:
        """Is the file that takes force on trial?  A second one before the first is confirmed leads back as far."""
        within = table.safety.confirm if table.safety else None
        now = self._course.file
        if within is not None and fresh:
            return FileState(now.back_to or self._course.now.revision, self._clock.now() + within)
        return now if now.back_to and not fresh else FileState()

"""Says what became of a change: to those who asked for it, and to everybody who listens.

An answer waits for the word of all workers, but no longer than it may; what was confirmed by then is confirmed.
"""

from __future__ import annotations

from typing import Final

from router.answers import Change, Refusal
from router.core.orders import Kind, Order
from router.core.place import Placed
from router.course import Course
from router.events import EventName, Events
from router.ports import Clock, Confirmation, Fleet
from router.steps import Decided, Who, ids, whole_target

PATIENCE: Final = 2.0
"""Seconds a change waits for the workers' word before it is answered as unconfirmed."""


class Herald:
    """One for the life of the engine."""

    def __init__(self, course: Course, fleet: Fleet, clock: Clock, events: Events, patience: float) -> None:
        self._course = course
        self._fleet = fleet
        self._clock = clock
        self._events = events
        self._patience = patience
        self.rollback_ms: float | None = None
        """How long the last rollback took until all workers had confirmed it."""

    async def word(self, step: Decided | None) -> tuple[Confirmation, ...]:
        """What the workers say to a step; without one, to what is in force."""
        target = whole_target(self._course.now) if step is None else step.target
        return await self._fleet.confirmed(target, self._patience)

    async def answered(self, who: Who, step: Decided | None, began: float, notes: tuple[str, ...] = ()) -> Change:
        """The answer to a change that is no order."""
        workers = await self.word(step)
        return self.answer(who, step, None, workers, began, persisted=self._course.persisted, notes=notes)

    def answer(
        self,
        who: Who,
        step: Decided | None,
        order: Order | None,
        workers: tuple[Confirmation, ...],
        began: float,
        *,
        persisted: bool,
        notes: tuple[str, ...],
        more: tuple[Order, ...] = (),
    ) -> Change:
        """What became of a change; without a step, of what was in force already."""
        confirmed = all(worker.ms is not None for worker in workers)
        ms = (self._clock.elapsed() - began) * 1000
        revision = self._course.now.revision if step is None else step.revision.number
        self._tell_confirmed(who, revision, workers, ms)
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
            more,
        )

    def _until(self, who: Who, order: Order | None) -> float | None:
        if who.action == "load":
            return self._course.file_on_trial_until
        return order.expires if order is not None and order.provisional and who.action != "resume" else None

    def _tell_confirmed(self, who: Who, revision: int, workers: tuple[Confirmation, ...], ms: float) -> None:
        missing = [{"worker": each.id, "runs": each.revision, "why": each.error} for each in workers if each.ms is None]
        more: dict[str, object] = {"missing": missing} if missing else {}
        name = EventName.UNCONFIRMED if missing else EventName.CONFIRMED
        slowest = max((worker.ms for worker in workers if worker.ms is not None), default=None)
        self._events.tell(
            name, revision=revision, ms=round(ms, 3), slowest_worker_ms=slowest, action=who.action, **more
        )

    def objected(self, who: Who, refused: Refusal) -> Refusal:
        """The refusal, told."""
        self._events.tell(
            EventName.ORDER_REFUSED,
            action=who.action,
            target=who.target,
            actor=who.actor,
            reason=who.reason,
            code=refused.code,
            detail=refused.detail,
        )
        return refused

    def ordered(self, who: Who, placed: Placed, step: Decided, *, persisted: bool) -> None:
        """An order was given, lifted or confirmed."""
        names = {"resume": EventName.LIFTED, "on": EventName.LIFTED, "confirm": EventName.KEPT}
        self._events.tell(
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

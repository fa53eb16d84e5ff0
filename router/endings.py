"""What time does to orders: it warns, takes a rollback in steps further down, and ends what has had its time.

It never ends a rollback.  No rule is asked: what ends was allowed to end when it was given.  A step of time is in force
although it cannot be recorded, since the recorded order carries its own end.
"""

from __future__ import annotations

from router.core.lapses import due, eased, soon
from router.core.orders import Order
from router.course import Course
from router.events import EventName, Events
from router.ports import Changes, Clock
from router.steps import Who, on_its_way


class Endings:
    """One for the life of the engine."""

    def __init__(self, course: Course, clock: Clock, events: Events) -> None:
        self._course = course
        self._clock = clock
        self._events = events
        self._told: set[tuple[str, str, float | None]] = set()
        """What people have been told about orders that end."""

    async def expire(self) -> None:
        """Looks at the clock."""
        for order in soon(self._course.orders, self._clock.now()):
            self._tell_once(EventName.ENDS_SOON, order)
        if any(order.easing is not None for order in self._course.orders):
            await self._ease()
        if any(order.overdue(self._clock.now()) for order in self._course.orders):
            await self._lapse()

    async def _ease(self) -> None:
        """Rollbacks that are on their way go on."""
        async with self._course.turn(first=True):
            orders, moved = eased(self._course.orders, self._clock.now())
            if not moved:
                return
            names = ", ".join(order.id for order in moved)
            who = Who("control", "expiry", "a rollback in steps goes on", "ease", names)
            step = self._course.step(orders, who, Changes(tuple(map(on_its_way, moved)), order=names))
            saving = self._course.commit_at_once(step)
        await self._course.saved(saving)
        for order in moved:
            self._events.tell(EventName.EASED, order=order.id, share=order.share, revision=step.revision.number)

    async def _lapse(self) -> None:
        """What has had its time ends, unless something holds it."""
        async with self._course.turn():
            found = due(self._course.now.table, self._course.orders, self._clock.now())
            for order in found.overdue:
                self._tell_once(EventName.OVERDUE, order)
            if not found.gone:
                return
            names = ", ".join(order.id for order in found.gone)
            who = Who("control", "expiry", "their time has come", "expire", names)
            lines = tuple(_ending(order) for order in found.gone)
            step = self._course.step(found.kept, who, Changes(lines, order=found.gone[0].id))
            saving = self._course.commit_at_once(step)
        await self._course.saved(saving)
        for order in found.gone:
            self._events.tell(
                EventName.LAPSED, order=order.id, provisional=order.provisional, revision=step.revision.number
            )

    def _tell_once(self, name: str, order: Order) -> None:
        told = (name, order.id, order.expires)
        if told not in self._told:
            self._told.add(told)
            scope, actor, at = str(order.scope), order.actor, order.expires
            self._events.tell(name, order=order.id, kind=order.kind.value, scope=scope, actor=actor, at=at)


def _ending(order: Order) -> str:
    ended = "was not confirmed in time" if order.provisional else "has had its time"
    again = f"; {order.before[0].id} holds again" if order.before else ""
    return f"{order.id} ({order.kind} {order.scope}) {ended}{again}"

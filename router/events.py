"""What happened: every event by its one name, and who hears of it.

The log hears everything at once; subscribers (the event stream of the admin address) hear it through bounded queues.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

EVENTS_HELD: Final = 256
"""Events that wait for one subscriber."""
EVENTS_REMEMBERED: Final = 200
"""Events for a subscriber that comes back; fewer than wait for one, so that they all fit."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for the log, the event stream and the metrics."""

    name: str
    at: float
    fields: Mapping[str, object] = field(default_factory=dict)
    number: int = 0
    """Counted from the start of the process; 0: not counted."""


class EventName:
    """Every event, named once."""

    STARTED: Final = "control.started"
    STOPPED: Final = "control.stopped"
    LOADED: Final = "config.loaded"
    """A routes.yaml took force, or said what is in force already (`changed: false`)."""
    REFUSED: Final = "config.refused"
    MISSING: Final = "config.missing"
    LAST_GOOD_USED: Final = "config.last_good_used"
    SUPERSEDED: Final = "order.superseded"
    ORDERED: Final = "order.accepted"
    ORDER_REFUSED: Final = "order.refused"
    LIFTED: Final = "order.lifted"
    KEPT: Final = "order.confirmed"
    """An order, or a routes.yaml (`file`), that was on trial stays."""
    ENDS_SOON: Final = "order.ends_soon"
    LAPSED: Final = "order.lapsed"
    EASED: Final = "order.eased"
    """A rollback in steps has come one step further."""
    OVERDUE: Final = "order.overdue"
    """Its time has come, but it goes on: a rollback until it is resumed, others while a freeze holds them back."""
    TAKEN_BACK: Final = "config.taken_back"
    """Nobody confirmed a routes.yaml in time."""
    RESTORED: Final = "revision.restored"
    CONFIRMED: Final = "change.confirmed"
    UNCONFIRMED: Final = "change.unconfirmed"
    COMPARER_RESTARTED: Final = "comparer.restarted"
    """What compares the answers of the two sides has ended, and is started anew."""
    STORE_FAILED: Final = "store.failed"
    STORE_RECOVERED: Final = "store.recovered"
    SNAPSHOT_UNWRITABLE: Final = "snapshot.unwritable"
    COMPILER_RESTARTED: Final = "compiler.restarted"
    WORKER_CONNECTED: Final = "worker.connected"
    WORKER_LOST: Final = "worker.lost"
    WORKER_REFUSED: Final = "worker.refused"
    """A worker could not take what it was sent."""
    CHILD_STARTED: Final = "process.started"
    CHILD_DIED: Final = "process.died"
    DRAINING: Final = "router.draining"
    TARGET_CHANGED: Final = "health.target"
    """A target has come up or gone down, in the view of probes and traffic."""
    SITE_OUT: Final = "health.site_out"
    """All targets of a site are down."""
    SITE_BACK: Final = "health.site_back"
    SITE_HELD: Final = "health.site_held"
    """It was taken out too often within an hour: a person has to bring it back."""
    HELD_UNREADABLE: Final = "health.held_unreadable"
    """Who waited for a person before a restart is not known: they come back by themselves."""
    PLACE_RESUMED: Final = "health.resumed"
    """A person brings back what was down there, as soon as probes succeed."""
    BREAKER_CLOSED: Final = "breaker.closed"
    """By a person."""
    NAME_UNKNOWN: Final = "name.unknown"
    """An endpoint's name cannot be looked up; its last addresses stay."""
    NAME_KNOWN: Final = "name.known"
    ADMIN_FAILED: Final = "admin.failed"
    """A request at the admin address met a mistake of ours; the caller got the id that stands here."""
    ACCESS_TROUBLE: Final = "access.trouble"
    """The tokens cannot be read, the audit cannot be written, or others may write routes.yaml."""
    PROGRESS_TROUBLE: Final = "progress.trouble"
    """The history of the migration cannot be read or written; nothing else suffers."""
    MISSED: Final = "events.missed"
    """The first event of a subscriber who asked for what is not remembered any more."""
    DROPPED: Final = "events.dropped"
    """The last event of a subscriber that did not keep up."""


class Events:
    """Where events are told and heard."""

    def __init__(self, now: Callable[[], float], log: Callable[[Event], None] | None = None) -> None:
        self._now = now
        self.log = log
        self._subscribers: set[Subscription] = set()
        self._told: deque[Event] = deque(maxlen=EVENTS_REMEMBERED)
        self._number = 0

    def tell(self, name: str, **fields: object) -> None:
        """Emits one event: to the log and to all subscribers."""
        self._number += 1
        event = Event(name, self._now(), fields, self._number)
        self._told.append(event)
        if self.log is not None:
            self.log(event)
        for subscription in tuple(self._subscribers):
            subscription.put(event)

    def subscribe(self, after: int | None = None) -> Subscription:
        """Events from now on, or those after a numbered one, as far as they are remembered."""
        subscription = Subscription(self._subscribers.discard)
        for event in () if after is None else self._since(after):
            subscription.put(event)
        self._subscribers.add(subscription)
        return subscription

    def _since(self, number: int) -> Iterator[Event]:
        missed = self._told and not self._told[0].number <= number + 1 <= self._number + 1
        if missed:
            yield Event(EventName.MISSED, self._now(), {"after": number})
        yield from (event for event in self._told if missed or event.number > number)


class Subscription:
    """The events from the moment of subscribing; an async iterator that ends when it is closed.

    A subscriber that does not keep up gets one last event that says so, and no more.
    """

    def __init__(self, leave: Callable[[Subscription], None]) -> None:
        self._leave = leave
        self._events: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._closed = False

    def put(self, event: Event) -> None:
        if self._closed:
            return
        if len(self._events) >= EVENTS_HELD:
            event = Event(EventName.DROPPED, event.at, {"held": EVENTS_HELD})
            self.close()
        self._events.append(event)
        self._ready.set()

    def close(self) -> None:
        self._closed = True
        self._ready.set()
        self._leave(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._events.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

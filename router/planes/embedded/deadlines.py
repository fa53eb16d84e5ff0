"""One coarse timer wheel for everything in a worker that may wait too long.

A timer per request would cost more than routing it.  Here whoever waits keeps a `deadline` of its own and moves it as
often as it likes, which is one assignment; the wheel only looks when the earliest time it was told has come, and puts
those back whose deadline has moved on.  Times are late by up to a tick, never early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

TICK: Final = 0.1
"""Seconds."""
NEVER: Final = float("inf")


class Waiter(Protocol):
    """What the wheel keeps: both attributes start as NEVER and belong to the wheel and the waiter alike."""

    deadline: float
    """When it is too late, in the loop's time."""
    scheduled: float
    """When the wheel will look; NEVER while it does not know the waiter."""

    def expired(self) -> None:
        """Called once the deadline has passed; may set a new one."""


class Wheel:
    """Looks after waiters; `now` is the loop's time, no older than a tick."""

    __slots__ = ("_each_turn", "_loop", "_slots", "_tick", "_timer", "now")

    def __init__(self, loop: asyncio.AbstractEventLoop, each_turn: Callable[[], None]) -> None:
        """`each_turn` is called with every tick: one timer serves all."""
        self._loop = loop
        self._each_turn = each_turn
        self._slots: dict[int, set[Waiter]] = {}
        self.now = loop.time()
        self._tick = int(self.now / TICK)
        self._timer = loop.call_later(TICK, self._turn)

    def schedule(self, waiter: Waiter) -> None:
        """Have the waiter looked at when its deadline has come; called when that is earlier than before."""
        if waiter.scheduled != NEVER:
            self.forget(waiter)
        waiter.scheduled = waiter.deadline
        self._slots.setdefault(self._slot(waiter), set()).add(waiter)

    def forget(self, waiter: Waiter) -> None:
        """Never look again: the waiter is gone."""
        if waiter.scheduled != NEVER:
            slot = self._slots.get(self._slot(waiter))
            if slot is not None:
                slot.discard(waiter)
            waiter.scheduled = NEVER

    def close(self) -> None:
        """Stop turning."""
        self._timer.cancel()

    def _slot(self, waiter: Waiter) -> int:
        return max(int(waiter.scheduled / TICK), self._tick + 1)

    def _turn(self) -> None:
        self.now = self._loop.time()
        self._timer = self._loop.call_later(TICK, self._turn)
        self._each_turn()
        until = int(self.now / TICK)
        while self._tick < until:
            self._tick += 1
            for waiter in self._slots.pop(self._tick, ()):
                self._look(waiter)

    def _look(self, waiter: Waiter) -> None:
        if waiter.scheduled == NEVER:
            return  # forgotten by a neighbour a moment ago
        waiter.scheduled = NEVER
        if waiter.deadline <= self.now:
            waiter.expired()
        elif waiter.deadline != NEVER:
            self.schedule(waiter)

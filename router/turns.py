"""One change at a time, and a rollback before all others that wait.

A plain lock serves in the order of arrival; an operator's rollback must not stand in line behind a queue of reloads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """A lock whose waiters may be let in at the front."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self, *, first: bool = False) -> AsyncIterator[None]:
        """Holds the turn for the block; `first` waits before everybody who waits already."""
        await self._take(first)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, first: bool) -> None:
        if not self._taken:
            self._taken = True
            return
        ticket = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if first else self._waiting.append)(ticket)
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self._pass_on()  # the turn came and the waiter went in the same moment
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            ticket = self._waiting.popleft()
            if not ticket.done():
                ticket.set_result(None)
                return
        self._taken = False

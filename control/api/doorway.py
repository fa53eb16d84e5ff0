"""The door of the admin address: how many may stand in it, and for how long without a word.

    a head that does not come         closes the connection after `HEAD_SECONDS`
    an answer that nobody reads       closes it after `STALL_SECONDS`
    a connection too many             closes the oldest of those that have not asked for anything yet; when all have
                                      asked for something, the new one

So a flood of connections pushes itself out, and an operator whose request is there at once gets in.  Everything behind
the door is aiohttp's; nothing here knows what is asked.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

MOST: Final = 256
"""Connections at once; event streams are bounded separately."""
HEAD_SECONDS: Final = 10.0
"""For the first head; those that follow on the same connection come within `IDLE_SECONDS`."""
STALL_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 30.0
"""Between two requests of one connection."""
HANDSHAKE_SECONDS: Final = 10.0
HEAD_SIZE: Final = 16 * 1024
"""Of a request line, and of one header line."""

_ENDS: Final = (b"\r\n\r\n", b"\n\n")


class Doorway:
    """Everybody who stands in it."""

    def __init__(self, inner: Callable[[], asyncio.Protocol], most: int = MOST) -> None:
        """`inner` makes the protocol that serves a connection."""
        self._inner = inner
        self._most = most
        self._asked: set[Visitor] = set()
        self._silent: dict[Visitor, None] = {}
        """Those who have not asked yet, the oldest first."""

    def __len__(self) -> int:
        return len(self._asked) + len(self._silent)

    async def open(self, listener: socket.socket, tls: ssl.SSLContext | None) -> asyncio.Server:
        timeout = None if tls is None else HANDSHAKE_SECONDS
        return await asyncio.get_running_loop().create_server(
            lambda: Visitor(self, self._inner()), sock=listener, ssl=tls, ssl_handshake_timeout=timeout
        )

    def enters(self, visitor: Visitor) -> bool:
        """Is there room for one more?  The oldest who has not asked yet makes it."""
        if len(self) >= self._most:
            if not self._silent:
                return False
            next(iter(self._silent)).turn_away()
        self._silent[visitor] = None
        return True

    def asks(self, visitor: Visitor) -> None:
        if visitor in self._silent:
            del self._silent[visitor]
            self._asked.add(visitor)

    def leaves(self, visitor: Visitor) -> None:
        self._silent.pop(visitor, None)
        self._asked.discard(visitor)


class Visitor(asyncio.Protocol):
    """One connection; hands everything on to the protocol behind it."""

    def __init__(self, doorway: Doorway, inner: asyncio.Protocol) -> None:
        self._doorway = doorway
        self._inner = inner
        self._admitted = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._end = b""
        """The last bytes of a head that is not complete yet."""
        self._asking = False

    def turn_away(self) -> None:
        self._doorway.leaves(self)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # what a listening socket gives
        if not self._doorway.enters(self):
            self._transport.abort()
            return
        self._admitted = True
        self._expect(HEAD_SECONDS)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._admitted:
            return
        if not self._asking:
            seen = self._end + data
            self._end = seen[-3:]
            if any(end in seen for end in _ENDS):
                self._asking = True
                self._expect(None)
                self._doorway.asks(self)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        self._expect(STALL_SECONDS)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._expect(None)
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._expect(None)
        self._doorway.leaves(self)
        if self._admitted:
            self._inner.connection_lost(error)

    def _expect(self, seconds: float | None) -> None:
        """Something has to happen within so many seconds; None: nothing has to any more."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = asyncio.get_running_loop().call_later(seconds, self.turn_away)

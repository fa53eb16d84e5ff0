"""Connections on which copies are sent, apart from those of users: their own pools, small and forgotten quickly.

One connection serves one copy at a time.  An answer is read to its end or to the size that is kept, whichever comes
first, and within a time; a connection on which anything was odd is not used again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from router.core.capture import MAX_BODY, Taken, Who
from router.core.headers import BadField
from router.planes.embedded.bodies import ChunkedReader
from router.planes.embedded.bounds import Bounds
from router.planes.embedded.heads import CHUNKED, UNTIL_CLOSE, Answer, Memory, parse_answer

_MOST_IDLE: Final = 16
"""Connections kept for each place."""
_IDLE: Final = 5.0
"""Seconds after which a kept connection is not trusted any more: upstreams close what idles."""

Place = tuple[str, int]


class AnswerTaker:
    """Takes down one answer from the bytes of an upstream, bounded."""

    def __init__(self, who: Who, method: bytes, limits: Bounds, memory: Memory) -> None:
        self.who = who
        self._method = method
        self._limits = limits
        self._memory = memory
        self._head = b""
        self.answer: Answer | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._left = 0
        self._chunks: ChunkedReader | None = None
        self.truncated = False
        self.done = False
        self.clean = False
        """Nothing is left over, and the connection may be used again."""

    def feed(self, data: bytes) -> None:
        """Raises BadField for what is no answer."""
        if self.answer is None:
            data = self._take_head(data)
            if self.answer is None:
                return
        self._take_body(self.answer, data)

    def _take_head(self, data: bytes) -> bytes:
        data = self._head + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            answer = parse_answer(data[:end], self._memory, self._limits, self._method)
            data = data[end + 4 :]
            if answer.status >= 200:
                self.begin(answer)
                return data
            if answer.status == 101:
                raise BadField("a copy is no tunnel")
        if len(data) > self._limits.head:
            raise BadField("the head is too long")
        self._head = data
        return b""

    def begin(self, answer: Answer) -> None:
        """The head is complete; an earlier answer, which was hidden, is forgotten."""
        self.answer = answer
        self._pieces = []
        self._size = 0
        self._left = answer.length
        self._chunks = ChunkedReader(self._limits) if answer.length == CHUNKED else None
        self.truncated = self.done = False
        if answer.length == 0:
            self.done = self.clean = True

    def _take_body(self, answer: Answer, data: bytes) -> None:
        if self.done:
            self.clean = self.clean and not data
            return
        if self._chunks is not None:
            for piece in self._chunks.feed(data):
                self.keep(piece)
            if self._chunks.done:
                self.done = True
                self.clean = not self._chunks.surplus
            return
        if self._left != UNTIL_CLOSE and len(data) >= self._left:
            self.clean = len(data) == self._left
            data = data[: self._left]
            self.done = True
        self.keep(data)
        if answer.length != UNTIL_CLOSE:
            self._left -= len(data)

    def keep(self, data: bytes) -> None:
        """Data of the body, as much as there is room for."""
        room = MAX_BODY - self._size
        if len(data) > room:
            self.truncated = True
            self._pieces = []  # half a body is of no use to anybody
        elif data:
            self._pieces.append(data)
            self._size += len(data)

    def at_end(self) -> bool:
        """The connection was closed: was that the end of the answer?"""
        if self.answer is not None and not self.done and self.answer.length == UNTIL_CLOSE:
            self.done = True
        return self.done

    def taken(self, seconds: float, error: str = "") -> Taken:
        """What there is of it."""
        answer = self.answer
        if error or answer is None:
            return Taken(self.who, error=error or "lost", seconds=seconds)
        headers = tuple(map(header, answer.lines))
        truncated = self.truncated or not self.done
        return Taken(self.who, answer.status, headers, b"".join(self._pieces), truncated, "", seconds)


def header(line: bytes) -> tuple[str, str]:
    """Name and value of a header line."""
    name, _, value = line.decode("latin-1").partition(":")
    return name, value.strip()


class CopyConnection(asyncio.Protocol):
    """One connection of our own to a place."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._taker: AnswerTaker | None = None
        self._finished: asyncio.Future[str] | None = None
        self.idle_since = 0.0
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP transport is one

    async def ask(self, request: bytes, taker: AnswerTaker) -> str:
        """Send a copy and take its answer down; empty, or what went wrong."""
        self._taker = taker
        self._finished = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            return await self._finished
        finally:
            self._taker = self._finished = None

    def data_received(self, data: bytes) -> None:
        taker = self._taker
        if taker is None:
            self.transport.abort()
            return
        try:
            taker.feed(data)
        except BadField:
            self._end("protocol")
            return
        if taker.done or taker.truncated:
            self._end("")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self.closed = True
        if self._taker is not None:
            self._end("" if self._taker.at_end() else "lost")

    def _end(self, error: str) -> None:
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(error)


class CopyPools:
    """Connections by place."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: defaultdict[Place, list[CopyConnection]] = defaultdict(list)
        self._sweeping: asyncio.TimerHandle | None = None

    async def ask(self, place: Place, request: bytes, taker: AnswerTaker, connect: float, whole: float) -> Taken:
        """The answer of a place to a copy, within these seconds.  Never raises but for cancellation."""
        began = self._loop.time()
        connection: CopyConnection | None = None
        error = "connect"
        try:
            async with asyncio.timeout(whole):
                connection = self._kept(place)
                if connection is None:
                    async with asyncio.timeout(connect):
                        _, connection = await self._loop.create_connection(CopyConnection, *place)
                error = "timeout"
                error = await connection.ask(request, taker)
        except (OSError, TimeoutError):
            pass
        finally:
            if connection is not None:
                self._put(place, connection, taker, fit=not error)
        return taker.taken(self._loop.time() - began, error)

    def _kept(self, place: Place) -> CopyConnection | None:
        idle = self._idle[place]
        while idle:
            connection = idle.pop()
            if not connection.closed and self._loop.time() - connection.idle_since < _IDLE:
                return connection
            connection.transport.abort()
        return None

    def _put(self, place: Place, connection: CopyConnection, taker: AnswerTaker, *, fit: bool) -> None:
        idle = self._idle[place]
        reusable = taker.answer is not None and taker.answer.keep_alive and taker.clean
        if not fit or not reusable or connection.closed or len(idle) >= _MOST_IDLE:
            connection.transport.abort()
            return
        connection.idle_since = self._loop.time()
        idle.append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_IDLE, self._sweep)

    def _sweep(self) -> None:
        """Close what has idled long enough; places that nobody asks any more are forgotten."""
        self._sweeping = None
        late = self._loop.time() - _IDLE
        for place, connections in list(self._idle.items()):
            for connection in [each for each in connections if each.closed or each.idle_since <= late]:
                connections.remove(connection)
                connection.transport.abort()
            if not connections:
                del self._idle[place]
        if self._idle:
            self._sweeping = self._loop.call_later(_IDLE, self._sweep)

    def close(self) -> None:
        """End what is idle."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connections in self._idle.values():
            for connection in connections:
                connection.transport.abort()
        self._idle.clear()

"""Thousands of small requests in seconds: pipelined over a few connections, and an upstream that tells what it saw.

For journeys whose question is where requests go, not how they look; sockets, framing and timing have their own suite.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

BATCH = 50
CONNECTIONS = 8
PATIENCE = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request without a body."""

    method: str
    target: str
    host: str

    def encoded(self) -> bytes:
        length = "Content-Length: 0\r\n" if self.method in {"POST", "PUT", "PATCH"} else ""
        return f"{self.method} {self.target} HTTP/1.1\r\nHost: {self.host}\r\n{length}\r\n".encode("latin-1")


@dataclass(frozen=True, slots=True)
class Told:
    """What came back: status, the router's headers, and the request line as the upstream saw it."""

    status: int
    route: str
    side: str
    seen: str


class Mirror(asyncio.Protocol):
    """The dumb upstream: the request's first line comes back as a header.  Its requests have no bodies."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inbox = b""

    def data_received(self, data: bytes) -> None:
        *heads, self._inbox = (self._inbox + data).split(b"\r\n\r\n")
        for head in heads:
            line = head.partition(b"\r\n")[0].removesuffix(b" HTTP/1.1")
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Seen: %b\r\n\r\n" % line)


@asynccontextmanager
async def mirror() -> AsyncIterator[int]:
    """The port of a running mirror."""
    server = await asyncio.get_running_loop().create_server(Mirror, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def told(address: tuple[str, int], asks: Sequence[Ask]) -> list[Told]:
    """Every answer, in the order of the requests."""
    share = -(-len(asks) // CONNECTIONS) or 1
    parts = [asks[start : start + share] for start in range(0, len(asks), share)]
    answers = await asyncio.wait_for(asyncio.gather(*(_connection(address, part) for part in parts)), PATIENCE)
    return [answer for part in answers for answer in part]


async def _connection(address: tuple[str, int], asks: Sequence[Ask]) -> list[Told]:
    reader, writer = await asyncio.open_connection(*address, limit=1 << 18)
    answers = []
    for start in range(0, len(asks), BATCH):
        batch = asks[start : start + BATCH]
        writer.write(b"".join(ask.encoded() for ask in batch))
        answers += [await _answer(reader, ask) for ask in batch]
    writer.close()
    return answers


async def _answer(reader: asyncio.StreamReader, ask: Ask) -> Told:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise AssertionError(f"no answer to {ask}, but {error.partial!r} and the end") from error
    length = _LENGTH.search(head)
    if length and ask.method != "HEAD":
        await reader.readexactly(int(length[1]))
    lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
    seen = fields.get("x-seen", "")
    return Told(int(lines[0][9:12]), fields.get("x-strangler-route", ""), fields.get("x-strangler-side", ""), seen)

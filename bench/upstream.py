"""An upstream in Python: for machines without nginx, and where each request's start must be logged to the microsecond.

    python -m bench.upstream SIDE:PORT [SIDE:PORT ...]

Every answer names its side in `X-Bench-Side`.  `GET /-/log` answers with `SIDE MONOTONIC-NANOSECONDS PATH` lines, one
per request begun since the last call, and forgets them; the clock is the machine's CLOCK_MONOTONIC, which all
processes share.  Logging starts with the first call.
"""

from __future__ import annotations

import asyncio
import sys
import time
from functools import cache, partial

import httptools
import uvloop

from bench.scenarios import BLOB

_MOST_LOGGED = 2_000_000
SMALL_BODY = b'{"id": 1234567, "name": "a product of the shop", "price": {"amount": "19.90", "currency": "EUR"}}'


class Log:
    """Starts of requests, while somebody asks for them; bounded."""

    def __init__(self) -> None:
        self.wanted = False
        self.lines: list[tuple[bytes, int, bytes]] = []

    def add(self, side: bytes, path: bytes) -> None:
        if self.wanted and len(self.lines) < _MOST_LOGGED:
            self.lines.append((side, time.monotonic_ns(), path))

    def take(self) -> bytes:
        self.wanted = True
        taken, self.lines = self.lines, []
        return b"".join(b"%b %d %b\n" % line for line in taken)


class _Server(asyncio.Protocol):
    """One connection; names and arguments of the callbacks are httptools'."""

    _transport: asyncio.Transport
    _url = b""

    def __init__(self, side: bytes, log: Log) -> None:
        self._side = side
        self._log = log
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_headers_complete(self) -> None:
        if self._url != b"/-/log":
            self._log.add(self._side, self._url)

    def on_message_complete(self) -> None:
        self._transport.write(self._reply())
        if not self._parser.should_keep_alive():
            self._transport.close()

    def _reply(self) -> bytes:
        if self._url == b"/-/log":
            return _answer(self._side, self._log.take())
        return _prepared(self._side, 1 << 20 if self._url.startswith(BLOB.encode()) else 0)


@cache
def _prepared(side: bytes, size: int) -> bytes:
    return _answer(side, bytes(size) or SMALL_BODY)


def _answer(side: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Bench-Side: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (side, len(body)) + body


async def main(sides: list[str]) -> None:
    log = Log()
    loop = asyncio.get_running_loop()
    for entry in sides:
        side, _, port = entry.partition(":")
        await loop.create_server(partial(_Server, side.encode(), log), "127.0.0.1", int(port), backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))

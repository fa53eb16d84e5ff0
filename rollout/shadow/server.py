"""The comparing process: captures from workers on a Unix socket, questions from control on standard input.

    python -m rollout.shadow STATE_DIR

It is slow on purpose when there is much to do: after each stretch of comparing it rests as long as it worked, and it
runs at a low priority, so that it never takes more than half of a processor from those who carry traffic.  What it
cannot take in time the workers drop and count.

    in    {"op": "follow", "levels": [...], "routes": [...]} what is compared; nothing else is
          {"op": "report", "route": "...", "n": 1}          answered as {"n": 1, "report": {...}}
          {"op": "totals", "n": 2}                          answered as {"n": 2, "totals": {...}}
    out   those answers, one a line

When standard input ends, control is gone: everything is written to disk, and the process ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from rollout.shadow.book import Book
from rollout.shadow.keeper import Keeper
from rollout.shadow.page import followed
from router.core.capture import SOCKET, Capture, FrameError, FrameReader, Message, noise_frame

MAX_QUESTION: Final = 64 * 1024 * 1024
"""Bytes of one line from control: all routes with their rules."""
KEEP: Final = 5.0
"""Seconds between two writings of what has changed."""
STRETCH: Final = 0.01
"""Seconds of comparing after which everybody else has a turn."""
NICE: Final = 10
CONNECTIONS: Final = 256


class Comparer:
    """The book with its sockets."""

    def __init__(self, book: Book, keeper: Keeper) -> None:
        self._book = book
        self._keeper = keeper
        self.links: set[_Worker] = set()

    async def run(self, state: Path, source: asyncio.StreamReader, sink: asyncio.WriteTransport) -> None:
        """Until control closes its end."""
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: _Worker(self), path=_socket(state))
        keeping = loop.create_task(self._keep(), name="keep")
        try:
            while line := await source.readline():
                self._asked(json.loads(line), sink)
        finally:
            keeping.cancel()
            server.close()
            for link in tuple(self.links):
                link.abort()
            self._keeper.write(self._book.changed())

    def _asked(self, question: dict[str, Any], sink: asyncio.WriteTransport) -> None:
        if question["op"] == "follow":
            self._book.follow(followed(question), time.time())
            for link in self.links:
                link.tell(self._book.wishes())
            return
        answer = {"n": question["n"], **self._book.answer(question, time.time())}
        sink.write(json.dumps(answer).encode() + b"\n")

    def took(self, message: Message) -> None:
        """One message of one worker; what a route wants to know of its noise concerns them all."""
        wish = self._book.take(message)
        if wish is not None and isinstance(message, Capture):
            for link in self.links:
                link.tell({message.route: wish})

    def wishes(self) -> dict[str, int]:
        return self._book.wishes()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP)
            before = self._keeper.trouble
            await asyncio.to_thread(self._keeper.write, self._book.changed())
            if self._keeper.trouble and self._keeper.trouble != before:
                print(f"strangler: comparisons are kept in memory only: {self._keeper.trouble}", file=sys.stderr)


class _Worker(asyncio.Protocol):
    """One worker's connection: read no faster than is compared."""

    def __init__(self, comparer: Comparer) -> None:
        self._comparer = comparer
        self._reader = FrameReader()
        self._messages: list[Message] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self._comparer.links) >= CONNECTIONS:
            transport.close()
            return
        self._transport = transport  # type: ignore[assignment]  # a stream transport is one
        self._comparer.links.add(self)
        self.tell(self._comparer.wishes())

    def data_received(self, data: bytes) -> None:
        idle = not self._messages
        try:
            self._messages += self._reader.feed(data)
        except FrameError:
            self.abort()
            return
        if self._messages and idle and self._transport is not None:
            self._transport.pause_reading()
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        """Some of what has come; then as long a rest."""
        began = time.perf_counter()
        while self._messages and time.perf_counter() - began < STRETCH:
            self._comparer.took(self._messages.pop(0))
        rest = time.perf_counter() - began
        if self._messages:
            self._loop.call_later(rest, self._work)
        elif self._transport is not None and not self._transport.is_closing():
            self._loop.call_later(rest, self._transport.resume_reading)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._comparer.links.discard(self)
        self._messages.clear()
        self._transport = None

    def tell(self, wishes: dict[str, int]) -> None:
        if self._transport is not None:
            self._transport.writelines([noise_frame(route, ppm) for route, ppm in wishes.items()])

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _socket(state: Path) -> str:
    # A socket's path may have 107 bytes; the folder's may have more, so it is named by a descriptor.
    descriptor = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    path = Path(f"/proc/self/fd/{descriptor}/{SOCKET}")
    path.unlink(missing_ok=True)
    return str(path)


async def serve(state: Path) -> None:
    """Over this process's standard streams."""
    loop = asyncio.get_running_loop()
    source = asyncio.StreamReader(limit=MAX_QUESTION)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(source), sys.stdin.buffer)
    sink, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout.buffer)
    keeper = Keeper(state)
    await Comparer(Book(secrets.token_bytes(32), keeper.read), keeper).run(state, source, sink)


def main(arguments: list[str]) -> int:
    os.umask(0o077)  # nobody else may hand in captures
    os.nice(NICE)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # takes no processor from whoever is at work
    asyncio.run(serve(Path(arguments[0])))
    return 0

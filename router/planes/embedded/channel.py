"""How a worker is told what to route by: lines of JSON over its own Unix socket (`router.core.wire`).

The worker is the server, so that control, its successor, and in an emergency an operator's command can all reach it,
and none of them has to be alive for it to work.  Lines are taken one per turn of the event loop: a snapshot of any
size never holds up requests for longer than one line takes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from router.core.wire import MAX_LINE, encode
from router.planes.embedded.snapshot import Receiver, Snapshot, WireError
from router.telemetry import WorkerSlot

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.planes.embedded.plane import Plane

_MOST_LINES: Final = 100_000
"""Lines that may wait to be taken; the sender of more is cut off."""


class Taker:
    """Takes snapshot lines into a plane and says how that went."""

    def __init__(self, plane: Plane, number: int, ready: Callable[[], None]) -> None:
        self._plane = plane
        self._ready = ready
        self.number = number

    def hello(self) -> dict[str, Any]:
        """What the worker says first."""
        revision, digest = self.in_force()
        return {"op": "hello", "worker": self.number, "pid": os.getpid(), "revision": revision, "hash": digest}

    def in_force(self) -> tuple[int, str]:
        """Revision and hash in force; 0 and empty before the first snapshot."""
        plane = self._plane
        return (plane.snapshot.revision, plane.snapshot.digest) if plane.ready else (0, "")

    def current(self) -> Snapshot | None:
        """The snapshot in force, if any."""
        return self._plane.snapshot if self._plane.ready else None

    def receiver(self) -> Receiver:
        """A receiver for one sender's lines."""
        return Receiver(self._plane.pools)

    def adopt(self, snapshot: Snapshot, slots: int) -> None:
        """Put a finished snapshot in force."""
        first = not self._plane.ready
        self._plane.counters.grow(slots)
        self._plane.adopt(snapshot)
        if slots:
            gc.freeze()  # a table is thousands of objects that live long: keep the collector off them
        if first:
            self._ready()

    def status(self) -> dict[str, Any]:
        """What the worker is doing."""
        plane = self._plane
        revision, digest = self.in_force()
        return {
            "op": "status",
            "worker": self.number,
            "pid": os.getpid(),
            "revision": revision,
            "hash": digest,
            "connections": len(plane.clients),
            "in_flight": plane.active,
            "tunnels": len(plane.tunnels),
            "draining": plane.draining,
        }

    def note_stall(self, seconds: float) -> None:
        """Remember the longest turn of the loop that a line has cost."""
        slots = self._plane.counters.slots
        slots[WorkerSlot.LONGEST_STALL_US] = max(slots[WorkerSlot.LONGEST_STALL_US], int(seconds * 1_000_000))


class ChannelConnection(asyncio.Protocol):
    """One sender of lines."""

    transport: asyncio.Transport

    def __init__(self, taker: Taker) -> None:
        self._taker = taker
        self._receiver = taker.receiver()
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._lines: deque[bytes] = deque()
        self._began = 0.0
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream transport is one
        self._send(self._taker.hello())

    def data_received(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = b"".join((*self._partial, whole[0]))
            self._partial = []
            self._partial_size = 0
        if rest:
            self._partial.append(rest)
            self._partial_size += len(rest)
        if self._partial_size > MAX_LINE or len(self._lines) + len(whole) > _MOST_LINES:
            self._send({"op": "refused", "revision": 0, "why": "too much"})
            self.transport.close()
            return
        idle = not self._lines
        self._lines.extend(whole)
        if idle and self._lines:
            self._loop.call_soon(self._turn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._lines.clear()

    def _turn(self) -> None:
        """Take one line; the next one has to wait for the loop's next turn."""
        if not self._lines:
            return
        began = perf_counter()
        try:
            self._handle(self._lines.popleft() + b"\n")
        finally:
            if self._lines:
                self._loop.call_soon(self._turn)
            self._taker.note_stall(perf_counter() - began)

    def _handle(self, line: bytes) -> None:
        if line.startswith(b'{"op":"ping"'):
            self._send({"op": "pong"})
        elif line.startswith(b'{"op":"status"'):
            self._send(self._taker.status())
        else:
            self._take(line)

    def _take(self, line: bytes) -> None:
        if not self._began:
            self._began = perf_counter()
        try:
            snapshot = self._receiver.take(line, self._taker.current())
            if snapshot is None:
                return
            slots, self._receiver.slots = self._receiver.slots, 0
            self._taker.adopt(snapshot, slots)
        except (WireError, OSError, MemoryError) as error:  # the disk may have no room for the counters
            self._began = 0.0
            self._send({"op": "refused", "revision": _revision(line), "why": str(error) or type(error).__name__})
            return
        milliseconds = round((perf_counter() - self._began) * 1000, 3)
        self._began = 0.0
        self._send({"op": "confirmed", "revision": snapshot.revision, "hash": snapshot.digest, "ms": milliseconds})

    def _send(self, message: dict[str, Any]) -> None:
        self.transport.write(encode(message))


def _revision(line: bytes) -> int:
    """The revision that a refused line spoke of, if that can still be read."""
    try:
        return int(json.loads(line).get("revision", 0))
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        return 0

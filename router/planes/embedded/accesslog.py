"""One JSON line per exchange, written off the hot path.

Exchanges leave a tuple in a bounded queue; a thread takes what is there now and then, formats and writes it.  When
the queue is full, because the disk stalls or the load is too high, lines are dropped and counted; traffic never waits.
The thread touches no counter: two threads that add to one slot would lose some.  It keeps sums of its own, which the
event loop carries over.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Any, Final

from router.core.decide import Reason
from router.core.model import Side
from router.telemetry import WorkerSlot

if TYPE_CHECKING:
    from router.planes.embedded.counters import Counters
    from router.planes.embedded.exchange import Exchange

_MOST: Final = 65_536
"""Lines held."""
_EVERY: Final = 0.2
"""Seconds between two writes."""

Entry = tuple[float, bytes, bytes, str, int, int, int, float, str, bytes, str, bool]


class AccessLog:
    """Writes to a file, or to standard output for `-`."""

    def __init__(self, target: str, counters: Counters) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._file = os.dup(1) if target == "-" else os.open(target, flags, 0o640)
        self._counters = counters
        self._entries: deque[Entry] = deque()
        self._written = self._lost = 0
        """What has become of lines; the thread's."""
        self._noted_written = self._noted_lost = 0
        """How many of these are in the counters; the loop's."""
        self._torn = False
        """The disk was full in the middle of a line."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def put(self, exchange: Exchange, took: float, *, broken: bool) -> None:
        """Note an exchange that is over."""
        if self._written != self._noted_written or self._lost != self._noted_lost:
            self._note()
        entries = self._entries
        if len(entries) >= _MOST:
            self._counters.slots[WorkerSlot.ACCESS_LOG_DROPPED] += 1
            return
        request = exchange.request
        entries.append(
            (
                time(), request.method, request.target, exchange.entry.name, exchange.side, exchange.reason,
                exchange.status, took, exchange.pool_key, exchange.request_id, exchange.client.address_text, broken,
            )
        )  # fmt: skip

    def close(self) -> None:
        """Write what is left, unless that takes too long."""
        self._stop.set()
        self._thread.join(timeout=5.0)
        self._note()
        if self._thread.is_alive():
            self._counters.slots[WorkerSlot.ACCESS_LOG_DROPPED] += len(self._entries)
        else:
            os.close(self._file)

    def _note(self) -> None:
        """Carry the thread's sums over into the counters."""
        slots, written, lost = self._counters.slots, self._written, self._lost
        slots[WorkerSlot.ACCESS_LOG_WRITTEN] += written - self._noted_written
        slots[WorkerSlot.ACCESS_LOG_DROPPED] += lost - self._noted_lost
        self._noted_written, self._noted_lost = written, lost

    def _run(self) -> None:
        while not self._stop.wait(_EVERY):
            self._write()
        self._write()

    def _write(self) -> None:
        entries = self._entries
        lines = [_line(entries.popleft()) for _ in range(len(entries))]
        if lines:
            written = self._send("".join(lines).encode())
            self._written += written
            self._lost += len(lines) - written

    def _send(self, data: bytes) -> int:
        """Write lines; how many of them went out whole."""
        was_torn = self._torn
        rest = memoryview(b"\n" + data if was_torn else data)
        whole = 0
        try:
            while rest:
                count = os.write(self._file, rest)
                whole += bytes(rest[:count]).count(b"\n")
                self._torn = count > 0 and rest[count - 1] != 0x0A
                rest = rest[count:]
        except OSError:
            pass
        return max(whole - was_torn, 0)


def _line(entry: Entry) -> str:
    at, method, target, route, side, reason, status, took, upstream, request_id, client, broken = entry
    event: dict[str, Any] = {
        "time": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
        "method": method.decode("latin-1"),
        "path": target.partition(b"?")[0].decode("latin-1"),
        "route": route,
        "side": Side(side).label,
        "reason": Reason(reason).label,
        "status": status,
        "ms": round(took * 1000, 3),
        "upstream": upstream,
        "request_id": request_id.decode("latin-1"),
        "client": client,
    }
    if broken:
        event["broken"] = True
    return json.dumps(event, separators=(",", ":")) + "\n"

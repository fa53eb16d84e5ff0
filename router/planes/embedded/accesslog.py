"""One JSON line per exchange, written off the hot path.

Exchanges leave a tuple in a bounded list; a thread takes the whole list now and then, formats and writes it.  When
the list is full, because the disk stalls or the load is too high, lines are dropped and counted; traffic never waits.
"""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import IO, TYPE_CHECKING, Any, Final

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
        self._stream: IO[str] = sys.stdout if target == "-" else Path(target).open("a")  # noqa: SIM115  # ours until close
        self._counters = counters
        self._entries: list[Entry] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def put(self, exchange: Exchange, took: float, *, broken: bool) -> None:
        """Note an exchange that is over."""
        entries = self._entries
        if len(entries) >= _MOST:
            self._counters.slots[WorkerSlot.ACCESS_LOG_DROPPED] += 1
            return
        request = exchange.request
        entries.append(
            (
                time(), request.method, request.target, exchange.entry.name, exchange.side, exchange.reason,
                exchange.status, took, exchange.pool_key, exchange.request_id, exchange.client_address, broken,
            )
        )  # fmt: skip

    def close(self) -> None:
        """Write what is left."""
        self._stop.set()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while not self._stop.wait(_EVERY):
            self._write()
        self._write()

    def _write(self) -> None:
        entries, self._entries = self._entries, []
        if not entries:
            return
        try:
            self._stream.write("".join(map(_line, entries)))
            self._stream.flush()
            self._counters.slots[WorkerSlot.ACCESS_LOG_WRITTEN] += len(entries)
        except OSError:
            self._counters.slots[WorkerSlot.ACCESS_LOG_DROPPED] += len(entries)


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

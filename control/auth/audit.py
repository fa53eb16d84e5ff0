"""The trace of every attempt to change something and of every login, refused ones included.

STATE/audit.ndjson, mode 0600, appended to and never rewritten.  Each line carries the hash of the line before it, so
that a line that was cut out or altered shows.  JSON escapes control characters: nothing written here can forge a
line or move a terminal's cursor.  Bodies and credentials are never written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

FILE: Final = "audit.ndjson"
START: Final = "0" * 64
_TAIL: Final = 64 * 1024


class Audit:
    """Appends; a disk that takes nothing is told of and stops nobody."""

    def __init__(self, state: Path, now: Callable[[], float], failed: Callable[[str], None] = lambda _: None) -> None:
        self._path = state / FILE
        self._now = now
        self._failed = failed
        self._last = _last(self._path)

    def write(self, what: str, **fields: object) -> None:
        entry = {"at": round(self._now(), 3), "what": what, **fields, "before": self._last}
        line = json.dumps(entry, default=str).encode()
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, line + b"\n")
            finally:
                os.close(descriptor)
        except OSError as error:
            self._failed(f"{self._path} cannot be written: {error.strerror}")
        else:
            self._last = hashlib.sha256(line).hexdigest()


def broken_at(path: Path) -> int | None:
    """The number of the first line that does not follow from the one before; None when all do."""
    last = START
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                before = json.loads(line)["before"]
            except (ValueError, KeyError, TypeError):
                return number
            if before != last:
                return number
            last = hashlib.sha256(line.rstrip(b"\n")).hexdigest()
    return None


def _last(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read().splitlines()
    except OSError:
        return START
    return hashlib.sha256(lines[-1]).hexdigest() if lines else START

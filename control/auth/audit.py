"""The trace: every revision with what it changed, every attempt to change something, every login, every refusal.

    STATE/audit.ndjson              mode 0600, appended to and never rewritten
    STATE/audit-TIME-N.ndjson       what was there before it had grown too large; the newest of these are kept

Each line carries the hash of the line before it, over all files, so that a line that was cut out or altered shows.  A
line that a kill or a full disk has torn stays as it is, and the next one (`torn`) vouches for it.  JSON escapes control
characters: nothing written here can forge a line or move a terminal's cursor.  Bodies and credentials are not written.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import islice
from pathlib import Path
from typing import Any, Final

from router.ports import AuditEntry

REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is handled; empty for what nobody asked for at the admin address."""
FILE: Final = "audit.ndjson"
START: Final = "0" * 64
"""What stands before the first line of all."""
LARGEST: Final = 16 * 2**20
"""Bytes after which a new file is begun."""
KEPT: Final = 20
"""Older files that are kept."""
ROUTES: Final = 200
"""Routes that a line names; the store has them all."""
_TAIL: Final = 2**20


class Audit:
    """Appends; a disk that takes nothing is told of and stops nobody."""

    def __init__(self, state: Path, now: Callable[[], float], failed: Callable[[str], None] = lambda _: None) -> None:
        self._path = state / FILE
        self._now = now
        self._failed = failed
        self._last = START
        self._whole = False
        """Is it known how the file ends?"""

    def revision(self, entry: AuditEntry) -> None:
        """A change that is in force, by whichever way it came."""
        before, after = json.loads(entry.before), json.loads(entry.after)
        self.write(
            "revision",
            request=REQUEST.get(),
            revision=entry.revision,
            actor=entry.actor,
            action=entry.action,
            target=entry.target,
            reason=entry.reason,
            routes={name: [before[name], after.get(name)] for name in islice(before, ROUTES)},
            routes_left_out=max(0, len(before) - ROUTES),
        )

    def write(self, what: str, **fields: object) -> None:
        try:
            if not self._whole:
                self._mend()
            self._rotate()
            self._append({"at": round(self._now(), 3), "what": what, **fields})
        except OSError as error:
            self._whole = False
            self._failed(f"{self._path} cannot be written: {error.strerror or error}")

    def _append(self, entry: dict[str, object], first: bytes = b"") -> None:
        line = json.dumps(entry | {"before": self._last}, default=str).encode()
        self._put(first + line + b"\n")
        self._last = _hash(line)

    def _put(self, data: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(0, "the disk took only a part of a line")
        finally:
            os.close(descriptor)

    def _mend(self) -> None:
        """Goes on where the file ends, and vouches for what was torn."""
        lines, rest = _tail(self._path)
        self._last = _hash(lines[-1]) if lines else _last_of_older(self._path)
        if rest and (entry := entry_of(rest)) is not None and entry["before"] == self._last:
            self._put(b"\n")  # all that is missing
            self._last = _hash(rest)
        elif rest:
            self._append({"at": round(self._now(), 3), "what": "torn", "torn": _hash(rest)}, b"\n")
        self._whole = True

    def _rotate(self) -> None:
        try:
            if self._path.stat().st_size < LARGEST:
                return
        except FileNotFoundError:
            return
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
        older = _older(self._path)
        number = 1 + max((_number(path) for path in older), default=0)
        self._path.rename(self._path.with_name(f"audit-{stamp}-{number}.ndjson"))
        for path in older[: max(0, len(older) + 1 - KEPT)]:
            path.unlink(missing_ok=True)


# -- reading -----------------------------------------------------------------------------------------------------------


def files(state: Path) -> list[Path]:
    """All that are there, the oldest first."""
    path = state / FILE
    return [*_older(path), *([path] if path.exists() else [])]


def verify(state: Path) -> tuple[int, str]:
    """How many lines follow one from the other, and the place of the first one that does not; empty: all do."""
    count, last = 0, None
    for path in files(state):
        for number, found in _chain(path, last):
            if found is None:
                return count, f"{path}:{number}"
            count, last = count + 1, found
    return count, ""


def _chain(path: Path, last: str | None) -> Iterator[tuple[int, str | None]]:
    """Of each line its number and its hash, or None for one that does not follow from that before.

    Without a `last` the first line is believed: what came before it may have been removed for its age.
    """
    torn: tuple[int, str] | None = None
    for number, line in _lines(path):
        entry, found = entry_of(line), _hash(line)
        if torn is not None and (entry is None or entry.get("torn") != torn[1]):
            yield torn[0], None
        elif entry is None:
            torn = (number, found)
            continue
        elif last is not None and entry["before"] != last:
            yield number, None
        torn, last = None, found
        yield number, found
    if torn is not None:
        yield torn[0], None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        yield from ((number, line.rstrip(b"\n")) for number, line in enumerate(file, 1))


def entry_of(line: bytes) -> dict[str, Any] | None:
    """What a line says; None when it is none of ours."""
    try:
        found = json.loads(line)
        return found if isinstance(found["before"], str) else None
    except (ValueError, KeyError, TypeError):
        return None


def _tail(path: Path) -> tuple[list[bytes], bytes]:
    """The last whole lines, and what is torn behind them."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            *lines, rest = file.read().split(b"\n")
    except FileNotFoundError:
        return [], b""
    return lines, rest


def _older(path: Path) -> list[Path]:
    return sorted((each for each in path.parent.glob("audit-*-*.ndjson") if _number(each)), key=_number)


def _number(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() else 0


def _last_of_older(path: Path) -> str:
    older = _older(path)
    lines = _tail(older[-1])[0] if older else []
    return _hash(lines[-1]) if lines else START


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()

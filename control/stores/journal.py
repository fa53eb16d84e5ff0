"""The journal of rollouts on this machine's disk: a SQLite file of its own, beside the store of orders.

Of its own, because evidence is written every second while rollouts run, and the record of a rollback must not stand in
line behind it.  The two files need no common transaction: what a run wants done has an id, and whoever takes over looks
it up among the orders (`rollout.core.run`).

The log only grows; lines older than `KEPT_SECONDS` are removed once no run needs them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from control.stores.file import SqliteFile, bring_up, transaction
from rollout.ports import Entry, JournalError, Kept, Line

T = TypeVar("T")

VERSION: Final = 1
KEPT_SECONDS: Final = 60 * 86400.0
SWEEP: Final = 5_000
"""Every so many lines, old ones are looked for."""

SCHEMA: Final = (
    """CREATE TABLE log (
        number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, route TEXT NOT NULL,
        body TEXT NOT NULL)""",
    "CREATE INDEX log_kind ON log (kind, number)",
    "CREATE INDEX log_route ON log (route, number)",
    """CREATE TRIGGER log_is_not_rewritten BEFORE UPDATE ON log
        BEGIN SELECT RAISE(ABORT, 'the log of rollouts only grows'); END""",
    "CREATE TABLE runs (route TEXT PRIMARY KEY, body TEXT NOT NULL)",
    "CREATE TABLE keep (name TEXT PRIMARY KEY, body TEXT NOT NULL)",
)


class SqliteJournal(SqliteFile):
    """A `Journal` in one file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "journal")

    async def load(self) -> Kept:
        return await self._run(_load)

    async def commit(self, entry: Entry) -> int:
        return await self._run(lambda connection: _commit(connection, entry))

    async def lines(self, *, kind: str = "", route: str = "", after: int = 0, limit: int = 1000) -> tuple[Line, ...]:
        return await self._run(lambda connection: _lines(connection, kind, route, after, limit))

    # -- in the thread ------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._open())
        except (sqlite3.Error, OSError, ValueError) as error:
            raise JournalError(f"{self._path}: {error}") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        bring_up(connection, "FULL", VERSION, lambda _: SCHEMA)


def _load(connection: sqlite3.Connection) -> Kept:
    runs = dict(connection.execute("SELECT route, body FROM runs"))
    return Kept(runs, dict(connection.execute("SELECT name, body FROM keep")))


def _commit(connection: sqlite3.Connection, entry: Entry) -> int:
    with transaction(connection):
        last = connection.execute("SELECT coalesce(max(number), 0) FROM log").fetchone()[0]
        first = last
        for line in entry.lines:
            row = (line.at, line.kind, line.route, line.body)
            last = connection.execute("INSERT INTO log (at, kind, route, body) VALUES (?, ?, ?, ?)", row).lastrowid
        connection.executemany("REPLACE INTO runs VALUES (?, ?)", entry.runs.items())
        connection.executemany("REPLACE INTO keep VALUES (?, ?)", entry.keep.items())
        if last // SWEEP != first // SWEEP:
            connection.execute("DELETE FROM log WHERE at < ?", (entry.lines[-1].at - KEPT_SECONDS,))
    return int(last)


def _lines(connection: sqlite3.Connection, kind: str, route: str, after: int, limit: int) -> tuple[Line, ...]:
    rows = connection.execute(
        "SELECT at, kind, route, body, number FROM log WHERE number > ?1 AND (?2 = '' OR kind = ?2)"
        " AND (?3 = '' OR route = ?3) ORDER BY number LIMIT ?4",
        (after, kind, route, limit),
    )
    return tuple(Line(*row) for row in rows)

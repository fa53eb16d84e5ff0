"""The store on this machine's disk: SQLite in WAL mode, every commit synced before it is answered.

One dedicated thread owns the connection and serves the calls in their order, so the event loop never waits for a
disk and no two transactions meet.  `kill -9` at any moment leaves the last commit that was answered, or one more.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from router.core.model import Side
from router.core.orders import Kind, Order, Reach, Scope
from router.ports import AuditEntry, Changes, LastGood, Revision, RouteChange, Saved, StoreError, Write

T = TypeVar("T")

VERSION: Final = 1
"""Of the schema below.  A file of a later version is refused rather than guessed at."""
REMEMBERED: Final = 200
"""Revisions that `load` brings back."""
BUSY_SECONDS: Final = 5.0

SCHEMA: Final = """
CREATE TABLE orders (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, reach TEXT NOT NULL, name TEXT NOT NULL, share INTEGER NOT NULL,
    declared TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL, created REAL NOT NULL, side INTEGER NOT NULL,
    expires REAL, provisional INTEGER NOT NULL
);
CREATE TABLE revisions (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, actor TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL,
    hash TEXT NOT NULL, changes TEXT NOT NULL
);
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    target TEXT NOT NULL, reason TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, revision INTEGER NOT NULL
);
CREATE TRIGGER audit_is_not_rewritten BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END;
CREATE TABLE last_good (id INTEGER PRIMARY KEY CHECK (id = 1), text BLOB NOT NULL, at REAL NOT NULL);
CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class SqliteStore:
    """A `Store` in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._written: dict[int, Order] | None = None
        """The orders as they are in the file; None: not known."""

    async def load(self) -> Saved:
        return await self._run(self._load)

    async def commit(self, write: Write) -> None:
        await self._run(lambda connection: self._commit(connection, write))

    async def history(self, limit: int, before: int | None = None) -> tuple[Revision, ...]:
        return await self._run(lambda connection: _revisions(connection, limit, before))

    async def audit(self, limit: int) -> tuple[AuditEntry, ...]:
        """The newest entries of the audit trail, newest first."""
        return await self._run(lambda connection: _audit(connection, limit))

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
            self._thread.shutdown()

    # -- in the thread ------------------------------------------------------------------------------

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._open())
        except (sqlite3.Error, OSError, ValueError) as error:
            self._written = None
            raise StoreError(f"{self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _load(self, connection: sqlite3.Connection) -> Saved:
        orders = _orders(connection)
        self._written = {order.number: order for order in orders}
        row = connection.execute("SELECT text, at FROM last_good").fetchone()
        last = connection.execute("SELECT value FROM numbers WHERE name = 'order'").fetchone()
        return Saved(
            orders,
            last[0] if last else 0,
            _revisions(connection, REMEMBERED, None),
            LastGood(bytes(row[0]), row[1]) if row else None,
        )

    def _commit(self, connection: sqlite3.Connection, write: Write) -> None:
        with _transaction(connection):
            known = self._written
            if known is None:
                known = {order.number: order for order in _orders(connection)}
            wanted = {order.number: order for order in write.orders}
            gone = [(number,) for number in known if number not in wanted]
            new = [_order_row(order) for order in write.orders if known.get(order.number) != order]
            connection.executemany("DELETE FROM orders WHERE number = ?", gone)
            connection.executemany("REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", new)
            connection.execute("DELETE FROM revisions WHERE number > ?", (write.revision,))
            connection.executemany(
                "REPLACE INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?)", map(_revision_row, write.revisions)
            )
            connection.executemany(
                "INSERT INTO audit (at, actor, action, target, reason, before, after, revision)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                map(_audit_row, write.audit),
            )
            connection.execute(
                "INSERT INTO numbers VALUES ('order', ?)"
                " ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
                (write.last_order,),
            )
            if write.last_good is not None:
                good = write.last_good
                connection.execute("REPLACE INTO last_good VALUES (1, ?, ?)", (good.text, good.at))
        self._written = wanted


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise ValueError(f"written by a later version of strangler (schema {version}, this one knows {VERSION})")
    if version == 0:
        with _transaction(connection):
            for statement in _statements(SCHEMA):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _statements(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit in between."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _orders(connection: sqlite3.Connection) -> tuple[Order, ...]:
    rows = connection.execute(
        "SELECT number, kind, reach, name, share, declared, reason, actor, created, side, expires, provisional"
        " FROM orders ORDER BY number"
    )
    return tuple(map(_order, rows))


def _order(row: tuple[Any, ...]) -> Order:
    number, kind, reach, name, share, declared, reason, actor, created, side, expires, provisional = row
    return Order(
        number,
        Kind(kind),
        Scope(Reach(reach), name),
        reason,
        actor,
        created,
        share,
        json.loads(declared),
        Side(side),
        expires,
        provisional=bool(provisional),
    )


def _order_row(order: Order) -> tuple[Any, ...]:
    return (
        order.number,
        order.kind.value,
        order.scope.reach.value,
        order.scope.name,
        order.share,
        json.dumps(dict(order.declared)),
        order.reason,
        order.actor,
        order.created,
        int(order.side),
        order.expires,
        order.provisional,
    )


def _revisions(connection: sqlite3.Connection, limit: int, before: int | None) -> tuple[Revision, ...]:
    rows = connection.execute(
        "SELECT number, at, actor, source, reason, hash, changes FROM revisions WHERE ? IS NULL OR number < ?"
        " ORDER BY number DESC LIMIT ?",
        (before, before, limit),
    )
    return tuple(
        Revision(number, at, actor, source, reason, digest, _changes(changes))
        for number, at, actor, source, reason, digest, changes in rows
    )


def _revision_row(revision: Revision) -> tuple[Any, ...]:
    changes = revision.changes
    text = json.dumps(
        {
            "lines": changes.lines,
            "routes": [[route.name, route.before, route.after] for route in changes.routes],
            "order": changes.order,
            "superseded": changes.superseded,
        }
    )
    return (
        revision.number,
        revision.at,
        revision.actor,
        revision.source,
        revision.reason,
        revision.hash,
        text,
    )


def _changes(text: str) -> Changes:
    found = json.loads(text)
    return Changes(
        tuple(found["lines"]),
        tuple(RouteChange(*route) for route in found["routes"]),
        found["order"],
        tuple((order, route) for order, route in found["superseded"]),
    )


def _audit_row(entry: AuditEntry) -> tuple[Any, ...]:
    return (
        entry.at,
        entry.actor,
        entry.action,
        entry.target,
        entry.reason,
        entry.before,
        entry.after,
        entry.revision,
    )


def _audit(connection: sqlite3.Connection, limit: int) -> tuple[AuditEntry, ...]:
    rows = connection.execute(
        "SELECT at, actor, action, target, reason, before, after, revision FROM audit ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return tuple(AuditEntry(*row) for row in rows)

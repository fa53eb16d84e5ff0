"""The store on this machine's disk: SQLite in WAL mode, every commit synced before it is answered.

`kill -9` at any moment leaves the last commit that was answered, or one more.

An order's row says from which revision on, and until which, it was in force with exactly these words: one table holds
the present and the past, and a change writes only the orders that it changes.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, TypeVar

from control.stores.file import SqliteFile, bring_up, transaction
from router.core.model import Side
from router.core.orders import Easing, Kind, Order, Reach, Scope
from router.ports import (
    KEPT,
    AuditEntry,
    Changes,
    FileState,
    LastGood,
    Past,
    Revision,
    RouteChange,
    Saved,
    State,
    StoreError,
    Write,
)

T = TypeVar("T")

VERSION: Final = 3
"""Of the schema below."""
REMEMBERED: Final = 200
"""Revisions that `load` brings back."""
SWEEP: Final = 50
"""Every so many revisions, what nobody can ask for any more is removed."""

ORDERS: Final = """
CREATE TABLE orders (
    number INTEGER NOT NULL, kind TEXT NOT NULL, reach TEXT NOT NULL, name TEXT NOT NULL, share INTEGER NOT NULL,
    declared TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL, created REAL NOT NULL, side INTEGER NOT NULL,
    expires REAL, provisional INTEGER NOT NULL, before TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER,
    easing TEXT NOT NULL DEFAULT '', PRIMARY KEY (number, since)
);
CREATE INDEX orders_until ON orders (until);
CREATE TABLE texts (hash TEXT PRIMARY KEY, text BLOB NOT NULL);
CREATE TABLE file (
    id INTEGER PRIMARY KEY CHECK (id = 1), back_to INTEGER NOT NULL, until REAL NOT NULL, aside TEXT NOT NULL,
    why TEXT NOT NULL
);
"""
SCHEMA: Final = """
CREATE TABLE revisions (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, actor TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL,
    hash TEXT NOT NULL, changes TEXT NOT NULL, text TEXT NOT NULL DEFAULT ''
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
FROM_VERSION_1: Final = (
    "ALTER TABLE orders RENAME TO orders_1;",
    ORDERS,
    """
INSERT INTO orders
    SELECT number, kind, reach, name, share, declared, reason, actor, created, side, expires, provisional, '[]',
        (SELECT coalesce(max(number), 0) FROM revisions), NULL, '' FROM orders_1;
DROP TABLE orders_1;
ALTER TABLE revisions ADD COLUMN text TEXT NOT NULL DEFAULT '';
""",
)


FROM_VERSION_2: Final = ("ALTER TABLE orders ADD COLUMN easing TEXT NOT NULL DEFAULT '';",)


class SqliteStore(SqliteFile):
    """A `Store` in one file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "store")
        self._written: dict[int, Order] | None = None
        """The orders in force as they are in the file; None: not known."""
        self._text: tuple[bytes, str] | None = None
        """The text that was recorded last, and its hash."""

    async def load(self) -> Saved:
        return await self._run(self._load)

    async def commit(self, write: Write) -> None:
        await self._run(lambda connection: self._commit(connection, write))

    async def history(self, limit: int, before: int | None = None) -> tuple[Revision, ...]:
        return await self._run(lambda connection: _revisions(connection, limit, before))

    async def recall(self, number: int) -> Past | None:
        return await self._run(lambda connection: _recall(connection, number))

    async def audit(self, limit: int) -> tuple[AuditEntry, ...]:
        """The newest entries of the audit trail, newest first."""
        return await self._run(lambda connection: _audit(connection, limit))

    # -- in the thread ------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._open())
        except Exception as error:
            self._written = self._text = None  # what was in the transaction is gone
            if not isinstance(error, sqlite3.Error | OSError | ValueError):
                raise
            raise StoreError(f"{self._path}: {error}") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        bring_up(connection, "FULL", VERSION, _steps)

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
            _file(connection),
        )

    def _commit(self, connection: sqlite3.Connection, write: Write) -> None:
        with transaction(connection):
            known = self._known(connection, write.revision)
            for state in write.states:
                known = _put_orders(connection, known, state.orders, state.number)
            known = _put_orders(connection, known, write.orders, write.revision)
            hashes = {state.number: self._put_text(connection, state.text) for state in write.states}
            connection.executemany(
                "REPLACE INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(*_revision_row(each), hashes.get(each.number, "")) for each in write.revisions],
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
            file = write.file
            row = (file.back_to, file.until, file.aside, file.why)
            connection.execute("REPLACE INTO file VALUES (1, ?, ?, ?, ?)", row)
            if write.revisions and write.revision % SWEEP == 0:
                self._text = None
                _sweep(connection, write.revision - KEPT)
        self._written = known

    def _known(self, connection: sqlite3.Connection, revision: int) -> dict[int, Order]:
        """The orders in force, after everything later than this revision has been undone."""
        gone = connection.execute("DELETE FROM revisions WHERE number > ?", (revision,)).rowcount
        if gone:
            connection.execute("DELETE FROM orders WHERE since > ?", (revision,))
            connection.execute("UPDATE orders SET until = NULL WHERE until > ?", (revision,))
        if gone or self._written is None:
            return {order.number: order for order in _orders(connection)}
        return self._written

    def _put_text(self, connection: sqlite3.Connection, text: bytes) -> str:
        """Its hash; the same text is kept once, however many revisions it serves."""
        if self._text is None or self._text[0] is not text:
            digest = blake2b(text, digest_size=16).hexdigest()
            if connection.execute("SELECT 1 FROM texts WHERE hash = ?", (digest,)).fetchone() is None:
                connection.execute("INSERT INTO texts VALUES (?, ?)", (digest, zlib.compress(text, 1)))
            self._text = (text, digest)
        return self._text[1]


def _steps(version: int) -> Iterator[str]:
    """From an earlier version to this one."""
    return _statements("".join({0: (SCHEMA, ORDERS), 1: FROM_VERSION_1, 2: FROM_VERSION_2}[version]))


def _statements(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit in between."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _put_orders(
    connection: sqlite3.Connection, known: dict[int, Order], orders: Sequence[Order], revision: int
) -> dict[int, Order]:
    """From this revision on, these orders are in force and no others."""
    wanted = {order.number: order for order in orders}
    new = [order for order in orders if known.get(order.number) != order]
    ended = [number for number, order in known.items() if wanted.get(number) != order]
    connection.executemany(
        "DELETE FROM orders WHERE number = ? AND until IS NULL AND since >= ?", [(n, revision) for n in ended]
    )
    connection.executemany(
        "UPDATE orders SET until = ? WHERE number = ? AND until IS NULL", [(revision, n) for n in ended]
    )
    connection.executemany(
        "REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        [(*_order_row(order), revision, _easing_text(order.easing)) for order in new],
    )
    return wanted


def _sweep(connection: sqlite3.Connection, floor: int) -> None:
    connection.execute("DELETE FROM orders WHERE until <= ?", (floor,))
    connection.execute("DELETE FROM texts WHERE hash NOT IN (SELECT text FROM revisions WHERE number > ?)", (floor,))


def _orders(connection: sqlite3.Connection) -> tuple[Order, ...]:
    rows = connection.execute("SELECT * FROM orders WHERE until IS NULL ORDER BY number")
    return tuple(map(_order, rows))


def _recall(connection: sqlite3.Connection, number: int) -> Past | None:
    found = _revisions(connection, 1, number + 1)
    if not found or found[0].number != number:
        return None
    row = connection.execute(
        "SELECT texts.text FROM revisions JOIN texts ON texts.hash = revisions.text WHERE number = ?1"
        " AND number > (SELECT max(number) FROM revisions) - ?2",
        (number, KEPT),
    ).fetchone()
    if row is None:
        return Past(found[0], None)
    rows = connection.execute(
        "SELECT * FROM orders WHERE since <= ?1 AND (until IS NULL OR until > ?1) ORDER BY number", (number,)
    )
    return Past(found[0], State(number, tuple(map(_order, rows)), zlib.decompress(row[0])))


def _file(connection: sqlite3.Connection) -> FileState:
    row = connection.execute("SELECT back_to, until, aside, why FROM file").fetchone()
    return FileState(*row) if row else FileState()


_PLAIN: Final = 13
"""Columns of an order that earlier versions wrote within another; how a rollback is on its way stands behind."""


def _order(row: Sequence[Any]) -> Order:
    number, kind, reach, name, share, declared, reason, actor, created, side, expires, provisional, before = row[
        :_PLAIN
    ]
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
        before=tuple(map(_order, json.loads(before))),
        easing=_easing(row[-1]) if len(row) > _PLAIN else None,
    )


def _easing(text: str) -> Easing | None:
    return Easing(*json.loads(text)) if text else None


def _easing_text(easing: Easing | None) -> str:
    return "" if easing is None else json.dumps([easing.peak, easing.began, easing.over])


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
        json.dumps([(*_order_row(each), _easing_text(each.easing)) for each in order.before]),
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
            "overridden": changes.overridden,
            "adopted": changes.adopted,
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
        tuple((rule, reason) for rule, reason in found.get("overridden", ())),
        tuple(found.get("adopted", ())),
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

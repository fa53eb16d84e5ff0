"""The SQLite store beyond its contract: durability, versions, and an audit trail that only grows."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from control.stores.sqlite import SqliteStore
from router.core.orders import Easing, Kind, Order, Reach, Scope
from router.ports import AuditEntry, Revision, Saved, StoreError, Write

ROOT = Path(__file__).parents[2]


def write(number: int) -> Write:
    """Order, revision and audit entry of the same number, so that a half-applied one would show."""
    order = Order(number, Kind.ROLLBACK, Scope(Reach.ROUTE, f"r{number}"), "r", "a", 1.0)
    audit = AuditEntry(1.0, "a", "rollback", f"r{number}", "r", "", "", number)
    return Write((order,), number, number, (Revision(number, 1.0, "a", "order", "r", "h"),), (audit,))


async def read(path: Path) -> tuple[Saved, tuple[AuditEntry, ...]]:
    store = SqliteStore(path)
    try:
        return await store.load(), await store.audit(10)
    finally:
        await store.close()


WRITER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from control.stores.sqlite import SqliteStore
from tests.control.test_sqlite import write

async def main():
    store = SqliteStore(Path({path!r}))
    for number in range(1, 100_000):
        await store.commit(write(number))
        print(number, flush=True)

asyncio.run(main())
"""


def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """After it the file holds the last answered change, or one more, and each of them whole."""
    path = tmp_path / "s.db"
    for _ in range(3):
        path.unlink(missing_ok=True)
        program = WRITER.format(root=str(ROOT), path=str(path))
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 20:
                break
        os.kill(process.pid, signal.SIGKILL)
        answered = max([20, *map(int, filter(str.strip, process.stdout.read().splitlines()))])
        process.stdout.close()
        process.wait()
        saved, audit = asyncio.run(read(path))
        (order,) = saved.orders
        assert answered <= order.number <= answered + 1
        assert order.number == saved.last_order == saved.revisions[0].number == audit[0].revision
        assert len(saved.revisions) == order.number


async def test_every_commit_is_synced(tmp_path: Path) -> None:
    """WAL with synchronous=FULL (2): the file says so, and the connection that writes."""
    store = SqliteStore(tmp_path / "s.db")
    await store.commit(write(1))
    modes = await store._run(
        lambda db: (db.execute("PRAGMA journal_mode").fetchone()[0], db.execute("PRAGMA synchronous").fetchone()[0])
    )
    await store.close()
    assert ("wal", 2) == modes


async def test_the_audit_trail_cannot_be_rewritten(tmp_path: Path) -> None:
    """Not even by somebody who opens the file."""
    store = SqliteStore(tmp_path / "s.db")
    await store.commit(write(1))
    await store.close()
    with sqlite3.connect(tmp_path / "s.db") as db:
        for statement in ("UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="only grows"):
                db.execute(statement)
    db.close()


async def test_a_failed_transaction_leaves_nothing_behind_and_the_next_one_works(tmp_path: Path) -> None:
    """Orders and revision of the failed one are absent; the store is not stuck."""
    store = SqliteStore(tmp_path / "s.db")
    await store.commit(write(1))
    broken = Write(write(2).orders, 2, 2, write(2).revisions, (object(),))  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        await store.commit(broken)
    saved = await store.load()
    assert (1, 1) == (saved.orders[0].number, saved.revisions[0].number)
    await store.commit(write(2))
    assert 2 == (await store.load()).orders[0].number
    await store.close()


async def test_a_store_that_somebody_else_has_locked_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a StoreError with the file's name, after a bounded time."""
    monkeypatch.setattr("control.stores.file.BUSY_SECONDS", 0.05)
    store = SqliteStore(tmp_path / "s.db")
    await store.commit(write(1))
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"s\.db: database is locked"):
        await store.commit(write(2))
    other.execute("ROLLBACK")
    other.close()
    await store.commit(write(2))
    await store.close()


@pytest.mark.parametrize("content", [b"this is no database, but long enough to be looked at" * 20, None])
async def test_a_file_that_is_no_store_is_an_error_in_words(tmp_path: Path, content: bytes | None) -> None:
    """Also one that a later version has written: nothing in it is touched."""
    path = tmp_path / "s.db"
    if content is None:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=r"s\.db"):
        await store.load()
    await store.close()
    if content is not None:
        assert before == path.read_bytes()


async def test_the_event_loop_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """Whatever SQLite does happens in the store's own thread."""
    import threading

    store = SqliteStore(tmp_path / "s.db")
    names = await asyncio.gather(*(store._run(lambda _: threading.current_thread().name) for _ in range(3)))
    await store.close()
    assert {"store_0"} == set(names)


async def test_a_thousand_orders_are_not_written_again_for_one_more(tmp_path: Path) -> None:
    """A commit costs what changed, not what is there: far below a second for a hundred changes of 2,000 orders."""
    store = SqliteStore(tmp_path / "s.db")
    orders = tuple(Order(n, Kind.ROLLBACK, Scope(Reach.ROUTE, f"r{n}"), "r", "a", 1.0) for n in range(2000))
    await store.commit(Write(orders, 2000, 1))
    before = await store._run(lambda db: db.total_changes)
    extra = Order(2001, Kind.ROLLBACK, Scope(Reach.ALL), "r", "a", time.time())
    await store.commit(Write((*orders, extra), 2001, 1))
    assert await store._run(lambda db: db.total_changes) - before <= 3
    await store.close()


VERSION_1 = """
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
CREATE TABLE last_good (id INTEGER PRIMARY KEY CHECK (id = 1), text BLOB NOT NULL, at REAL NOT NULL);
CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO orders VALUES (1, 'rollback', 'all', '', 0, '{}', 'r', 'a', 1.0, 0, NULL, 0);
INSERT INTO revisions VALUES
    (7, 1.0, 'a', 'order', 'r', 'h', '{"lines": [], "routes": [], "order": "R-1", "superseded": []}');
INSERT INTO numbers VALUES ('order', 1);
PRAGMA user_version = 1;
"""


VERSION_2 = """
DROP TABLE orders;
CREATE TABLE orders (
    number INTEGER NOT NULL, kind TEXT NOT NULL, reach TEXT NOT NULL, name TEXT NOT NULL, share INTEGER NOT NULL,
    declared TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL, created REAL NOT NULL, side INTEGER NOT NULL,
    expires REAL, provisional INTEGER NOT NULL, before TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER,
    PRIMARY KEY (number, since)
);
CREATE INDEX orders_until ON orders (until);
CREATE TABLE texts (hash TEXT PRIMARY KEY, text BLOB NOT NULL);
CREATE TABLE file (
    id INTEGER PRIMARY KEY CHECK (id = 1), back_to INTEGER NOT NULL, until REAL NOT NULL, aside TEXT NOT NULL,
    why TEXT NOT NULL
);
ALTER TABLE revisions ADD COLUMN text TEXT NOT NULL DEFAULT '';
INSERT INTO orders VALUES (1, 'rollback', 'all', '', 0, '{}', 'r', 'a', 1.0, 0, NULL, 0, '[]', 7, NULL);
INSERT INTO orders VALUES (2, 'cap', 'all', '', 5, '{}', 'r', 'a', 1.0, 0, 9.0, 0,
    '[[1, "cap", "all", "", 7, "{}", "r", "a", 1.0, 0, null, 0, "[]"]]', 7, NULL);
PRAGMA user_version = 2;
"""


async def test_a_file_of_the_second_version_is_taken_over(tmp_path: Path) -> None:
    """Its orders hold, those within others too, and new ones say how they come down."""
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.executescript(VERSION_1 + VERSION_2)
    db.close()
    store = SqliteStore(tmp_path / "s.db")
    rollback, cap = (await store.load()).orders
    assert Order(1, Kind.ROLLBACK, Scope(Reach.ALL), "r", "a", 1.0) == rollback
    assert (5, 7) == (cap.share, cap.before[0].share)
    slow = Order(3, Kind.ROLLBACK, Scope(Reach.ALL), "r", "a", 1.0, 7, easing=Easing(10, 1.0, 20.0))
    await store.commit(Write((rollback, cap, slow), 3, 8))
    await store.close()
    again = SqliteStore(tmp_path / "s.db")
    assert (rollback, cap, slow) == (await again.load()).orders
    await again.close()


async def test_a_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    """Its rollback still holds, its history is there, and new changes are recorded on top."""
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.executescript(VERSION_1)
    db.close()
    held = Order(1, Kind.ROLLBACK, Scope(Reach.ALL), "r", "a", 1.0)
    store = SqliteStore(tmp_path / "s.db")
    saved = await store.load()
    assert ((held,), 1, ["R-1"]) == (saved.orders, saved.last_order, [each.changes.order for each in saved.revisions])
    past = await store.recall(7)
    assert past is not None
    assert past.state is None
    await store.commit(write(8))
    assert (8,) == tuple(order.number for order in (await store.load()).orders)
    await store.close()

"""A SQLite file and the one thread that owns it: what the stores on disk have in common.

The thread serves the calls in their order, so the event loop never waits for a disk and no two transactions meet.  What
is in the file, and what its troubles are called, is for the stores to say.
"""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

BUSY_SECONDS: Final = 5.0


class SqliteFile(ABC):
    """One file, opened when it is first needed."""

    def __init__(self, path: Path, thread: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=thread)
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def close(self) -> None:
        """Waits for what was begun; afterwards nothing is open."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
            self._thread.shutdown()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    # -- in the thread ------------------------------------------------------------------------------

    @abstractmethod
    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Does the work on `_open()`; what goes wrong with the file becomes the store's own error."""

    @abstractmethod
    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Makes a fresh connection ready, and the schema what it should be (`bring_up`)."""

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def bring_up(
    connection: sqlite3.Connection, synchronous: str, version: int, statements: Callable[[int], Iterable[str]]
) -> None:
    """Brings the schema to `version` by what `statements` says leads there from an earlier one; 0 is an empty file.

    Raises ValueError for a file of a later version: it is refused rather than guessed at.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > version:
        raise ValueError(f"written by a later version of strangler (schema {found}, this one knows {version})")
    if found < version:
        with transaction(connection):
            for statement in statements(found):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")

"""What every `Journal` promises, asked of the real one and of its double."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from control.stores import journal as real
from control.stores.journal import SqliteJournal
from rollout.doubles import MemoryJournal
from rollout.ports import Entry, Journal, JournalError, Kept, Line

Opener = Callable[[], Journal]
"""Opens the journal; again and again the same one, as a restarted process would."""


def line(number: int, kind: str = "batch", route: str = "") -> Line:
    return Line(1000.0 + number, kind, route, '{"at": 1}')


@pytest.fixture(params=["sqlite", "memory"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    made: list[SqliteJournal] = []
    memory = MemoryJournal()

    def open_journal() -> Journal:
        if request.param == "memory":
            return memory
        made.append(SqliteJournal(tmp_path / "rollouts.db"))
        return made[-1]

    yield open_journal
    for each in made:
        await each.close()


async def test_a_new_journal_is_empty(opened: Opener) -> None:
    """No runs, no lines."""
    assert Kept({}, {}) == await opened().load()
    assert () == await opened().lines()


async def test_everything_comes_back_as_it_was_written(opened: Opener) -> None:
    """After a restart; what was not named stays as it was."""
    await opened().commit(Entry((line(1),), {"p": '{"run": 1}', "q": "{}"}, {"brake": "{}"}))
    await opened().commit(Entry((), {"p": '{"run": 2}'}, {"judged": "{}"}))
    assert Kept({"p": '{"run": 2}', "q": "{}"}, {"brake": "{}", "judged": "{}"}) == await opened().load()
    (found,) = await opened().lines()
    assert (1001.0, "batch", "", '{"at": 1}', 1) == (found.at, found.kind, found.route, found.body, found.number)


async def test_lines_are_numbered_and_read_page_by_page(opened: Opener) -> None:
    """Oldest first, of one kind, about one route; a commit tells the last number."""
    journal = opened()
    assert 0 == await journal.commit(Entry(keep={"x": "{}"}))
    lines = (line(1), line(2, "rollout.held", "p"), line(3), line(4, "rollout.held", "q"), line(5))
    assert 5 == await journal.commit(Entry(lines))
    assert 5 == await opened().commit(Entry(keep={"x": "{}"}))
    assert [1, 3] == [each.number for each in await journal.lines(kind="batch", limit=2)]
    assert [5] == [each.number for each in await journal.lines(kind="batch", after=3)]
    assert [2] == [each.number for each in await journal.lines(route="p")]
    assert [4, 5] == [each.number for each in await journal.lines(after=3)]


async def test_calls_are_served_in_their_order(opened: Opener) -> None:
    """Whoever has stopped waiting is not overtaken."""
    journal = opened()
    tasks = [asyncio.create_task(journal.commit(Entry((line(n),), {"p": str(n)}))) for n in range(20)]
    await asyncio.gather(*tasks)
    assert "19" == (await journal.load()).runs["p"]
    assert [1000.0 + n for n in range(20)] == [each.at for each in await journal.lines()]


async def test_the_log_is_not_rewritten(tmp_path: Path) -> None:
    """Not even by somebody with the file in their hands and an UPDATE."""
    journal = SqliteJournal(tmp_path / "rollouts.db")
    await journal.commit(Entry((line(1),)))
    await journal.close()
    with sqlite3.connect(tmp_path / "rollouts.db") as connection, pytest.raises(sqlite3.Error, match="only grows"):
        connection.execute("UPDATE log SET body = '{}'")
    connection.close()


async def test_a_file_that_is_none_of_ours_is_an_error(tmp_path: Path) -> None:
    """Noise, or the schema of a later version."""
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    noise = SqliteJournal(tmp_path / "noise.db")
    with pytest.raises(JournalError):
        await noise.load()
    await noise.close()
    with sqlite3.connect(tmp_path / "later.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    later = SqliteJournal(tmp_path / "later.db")
    with pytest.raises(JournalError, match="later version"):
        await later.load()
    await later.close()


async def test_old_lines_are_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After sixty days, and their numbers are never given out again."""
    monkeypatch.setattr(real, "SWEEP", 10)
    journal = SqliteJournal(tmp_path / "rollouts.db")
    await journal.commit(Entry(tuple(line(n) for n in range(9))))
    late = Line(1000.0 + real.KEPT_SECONDS + 5.0, "batch", "", "{}")
    await journal.commit(Entry((late,)))
    assert [5, 6, 7, 8] == [round(each.at - 1000.0) for each in await journal.lines()][:-1]
    assert 11 == await journal.commit(Entry((late,)))
    await journal.close()

"""The controller's side of the journal: one write at a time, no gaps, and a bounded memory."""

from __future__ import annotations

import asyncio

import pytest

from rollout import record as module
from rollout.doubles import MemoryJournal
from rollout.ports import Entry, Line
from rollout.record import Record

PATIENCE = 0.02


def line(number: int) -> Line:
    return Line(float(number), "batch", "", "{}")


class Slow(MemoryJournal):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def commit(self, entry: Entry) -> int:
        await self.gate.wait()
        return await super().commit(entry)


async def test_what_was_said_is_written_together() -> None:
    """Lines, the run as it is at that moment, and what else is kept; then nothing is missing."""
    journal, texts = MemoryJournal(), {"p": "old"}
    record = Record(journal, lambda route: texts[route])
    record.add(line(1))
    record.changed("p")
    record.keep("brake", "{}")
    texts["p"] = "new"
    assert (False, False) == (record.complete, record.has("p"))
    await record.write(PATIENCE)
    assert (True, True, 1) == (record.complete, record.has("p"), record.number)
    assert ({"p": "new"}, {"brake": "{}"}) == (journal.runs, journal.keep)


async def test_a_write_that_failed_is_made_up_for() -> None:
    """In the order in which it was said, with what came since."""
    journal = MemoryJournal(failing="the disk is full")
    record = Record(journal, lambda _route: "{}")
    record.add(line(1))
    record.changed("p")
    await record.write(PATIENCE)
    assert ("the disk is full", False) == (record.trouble, record.has("p"))
    journal.failing = ""
    record.add(line(2))
    await record.write(PATIENCE)
    assert [1.0, 2.0] == [each.at for each in journal.log]
    assert ("", True) == (record.trouble, record.complete)


async def test_a_write_that_takes_long_is_neither_repeated_nor_overtaken() -> None:
    """It goes on by itself; what came since goes with the next one, once."""
    journal = Slow()
    record = Record(journal, lambda _route: "{}")
    record.add(line(1))
    record.changed("p")
    await record.write(PATIENCE)
    assert "no answer" in record.trouble
    assert not record.has("p")
    record.add(line(2))
    await record.write(PATIENCE)
    journal.gate.set()
    await record.close(1.0)
    assert [1.0, 2.0] == [each.at for each in journal.log]
    assert record.complete


async def test_a_journal_that_is_away_for_very_long_costs_no_more_memory_than_this(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest evidence is given up."""
    monkeypatch.setattr(module, "UNSAVED", 10)
    journal = MemoryJournal(failing="away")
    record = Record(journal, lambda _route: "{}")
    for number in range(50):
        record.add(line(number))
        await record.write(PATIENCE)
    journal.failing = ""
    await record.write(PATIENCE)
    assert [float(number) for number in range(40, 50)] == [each.at for each in journal.log]


async def test_a_mistake_of_ours_is_not_taken_for_a_full_disk() -> None:
    """It ends the loop."""

    class Broken(MemoryJournal):
        async def commit(self, entry: Entry) -> int:
            raise ZeroDivisionError

    record = Record(Broken(), lambda _route: "{}")
    record.add(line(1))
    with pytest.raises(ZeroDivisionError):
        await record.write(PATIENCE)

"""A self-test from the tape to the last rollout: what is collected, when it ends, and what is kept of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from control.rollouts import aa
from control.rollouts.aa import Phase, Report, SelfTests, Wanted, answered
from rollout.core.aa import ROLLOUTS, Answered, Crowd, End, Standing
from rollout.core.counted import Counted, Outcomes
from rollout.core.evidence import Tolerance
from rollout.core.settings import Settings
from rollout.doubles import MemorySource
from tests.control.stage import StageClock

AT = 1_700_000_000.0
PATIENCE = 20.0
WANTED = Wanted("p", (10_000, 500_000), 60.0, Tolerance(), "kim")
BUCKETS = (500, 400, 90, 10)

Row = list[Any]


class Workers:
    """Two of them, with these rows to tell, as many at once as they like; time passes with every question."""

    def __init__(self, clock: StageClock, *pieces: list[Row], each: float = 1.0) -> None:
        self.clock = clock
        self.pieces = list(pieces)
        self.each = each
        self.asked: list[str | None] = []
        self.missed = self.silent = 0

    async def __call__(self, route: str | None) -> tuple[Sequence[Any], int, int]:
        begins = route is not None and (not self.asked or self.asked[-1] is None)
        self.asked.append(route)
        if begins or route is None:
            return [], 0, 0
        self.clock.time += self.each
        return (self.pieces.pop(0) if self.pieces else []), self.missed, self.silent


def rows(number: int, start: int = 0) -> list[Row]:
    return [[AT + start + index / 10, (start + index) % 50, int(index % 40 == 0), index % 4] for index in range(number)]


@asynccontextmanager
async def running(workers: Workers, monkeypatch: pytest.MonkeyPatch | None = None) -> AsyncIterator[SelfTests]:
    if monkeypatch is not None:
        monkeypatch.setattr(aa, "COLLECTS", 0.001)
    source = MemorySource()
    source.sums["p"] = Counted(legacy=Outcomes(1000, durations=BUCKETS))
    tests = SelfTests(source, Settings(), workers.clock, workers)
    task = asyncio.create_task(tests.run())
    try:
        yield tests
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_over(tests: SelfTests) -> Report:
    async with asyncio.timeout(PATIENCE):
        while (report := tests.report) is None or not report.over:
            await asyncio.sleep(0.002)
    return report


async def test_what_workers_tell_is_judged_and_the_result_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pieces together; afterwards the workers are told that nobody wants to know any more."""
    workers = Workers(StageClock(), rows(400), rows(400, 40), [["nonsense"]], each=20.0)
    async with running(workers, monkeypatch) as tests:
        assert tests.begin(WANTED) is not None
        report = await until_over(tests)
        assert (Phase.DONE, Standing.EQUAL, 800) == (report.phase, report.standing, report.answers)
        assert (800, 50, 20) == (report.counts.requests, report.counts.clients, report.counts.failures)
        assert [(10_000, ROLLOUTS), (500_000, ROLLOUTS)] == [(each.share, each.rollouts) for each in report.scores]
        assert (0, 1, 2) == report.limits
        assert ["p", "p", "p", "p", None] == workers.asked
        assert report is tests.report


async def test_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is refused until the first is over, and has a number of its own."""
    async with running(Workers(StageClock(), rows(50), each=61.0), monkeypatch) as tests:
        first = tests.begin(WANTED)
        assert None is tests.begin(WANTED)
        await until_over(tests)
        second = tests.begin(replace(WANTED, actor="ana"))
        assert first is not None and second is not None
        assert (1, 2, "ana") == (first.number, second.number, second.wanted.actor)
        await until_over(tests)


async def test_without_traffic_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no rollout is made of nothing."""
    async with running(Workers(StageClock(), each=61.0), monkeypatch) as tests:
        tests.begin(WANTED)
        report = await until_over(tests)
        assert (Phase.DONE, Standing.UNKNOWN, 0) == (report.phase, report.standing, report.scores[0].rollouts)
        assert "is there traffic" in report.text


async def test_a_full_tape_ends_the_listening(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and what came too late or was dropped."""
    monkeypatch.setattr(aa, "MOST", 100)
    workers = Workers(StageClock(), rows(60), rows(60, 6), rows(60, 12), each=0.1)
    workers.missed, workers.silent = 7, 1
    async with running(workers, monkeypatch) as tests:
        tests.begin(replace(WANTED, shares=(500_000,)))
        report = await until_over(tests)
        assert (True, 100, 14, 2) == (report.full, report.answers, report.missed, report.silent)
        assert 0.2 == pytest.approx(report.heard)


@pytest.mark.parametrize("phase", [Phase.TAPING, Phase.JUDGING])
async def test_whoever_stops_it_need_not_wait(monkeypatch: pytest.MonkeyPatch, phase: Phase) -> None:
    """There is no result then, and no tape goes on."""
    monkeypatch.setattr(aa, "ROLLOUTS", 10**6)
    workers = Workers(StageClock(), rows(50), each=61.0 if phase is Phase.JUDGING else 0.0)
    async with running(workers, monkeypatch) as tests:
        tests.begin(WANTED)
        async with asyncio.timeout(PATIENCE):
            while tests.report is None or tests.report.phase is not phase or not tests.report.answers:
                await asyncio.sleep(0.002)
        tests.stop()
        report = await until_over(tests)
        assert (Phase.STOPPED, None, "") == (report.phase, report.standing, report.text)
        assert None is workers.asked[-1]
        assert tests.begin(WANTED) is not None
        tests.stop()
        await until_over(tests)


async def test_the_end_of_control_ends_the_tapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as there is somebody to tell."""
    workers = Workers(StageClock(), each=0.0)
    async with running(workers, monkeypatch) as tests:
        tests.begin(WANTED)
        async with asyncio.timeout(PATIENCE):
            while len(workers.asked) < 3:
                await asyncio.sleep(0.002)
    assert None is workers.asked[-1]


async def test_control_is_not_held_up_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout that takes its time is made in a thread: the loop turns, and it is the loop that lets it end."""
    turned, waited = threading.Event(), list[bool]()

    def rolled(_: SelfTests, people: Crowd, number: int, wanted: Wanted) -> tuple[End, ...]:
        waited.append(turned.wait(PATIENCE))
        return tuple(End() for _ in wanted.shares)

    monkeypatch.setattr(SelfTests, "_rolled", rolled)
    async with running(Workers(StageClock(), rows(50), each=61.0), monkeypatch) as tests:
        tests.begin(WANTED)
        async with asyncio.timeout(PATIENCE):
            while tests.report is None or tests.report.phase is not Phase.JUDGING:
                await asyncio.sleep(0.001)
        turned.set()
        await until_over(tests)
    assert [True] * ROLLOUTS == waited


@pytest.mark.parametrize(
    "row",
    [
        None, [], ["x"], [AT, 1, 0], [AT, -1, 0, 3], [AT, 1 << 64, 0, 3], [AT, 1, 2, 3], [AT, 1, 0, 99], [AT, 1, 0, -1],
        ["1", 1, 0, 3], [float("nan"), 1, 0, 3], [-1, 1, 0, 3], [1e300, 1, 0, 3], [AT, 1.5, 0, 3], {"at": 1},
    ],
)  # fmt: skip
def test_a_row_that_does_not_look_like_one_is_none(row: Any) -> None:
    """Whoever said it."""
    assert None is answered(row)


def test_a_row_is_an_answer() -> None:
    """With its four values."""
    assert Answered(AT, 7, failed=True, bucket=14) == answered([AT, 7, 1, 14])

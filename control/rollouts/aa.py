"""Legacy against legacy on what comes in now: one self-test at a time, from the tape to the last rollout.

What is judged and how is the affair of `rollout.core.aa`.  The rollouts take seconds of a processor; they are made one
by one in a thread, so that control goes on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from rollout.core.aa import MOST, ROLLOUTS, Answered, Crowd, End, Score, Standing, conclusion, crowd, rollouts, standing
from rollout.core.counted import Counted, limits_of
from rollout.core.evidence import Counts, Tolerance
from rollout.core.settings import Settings
from rollout.ports import Source
from router.ports import Clock
from router.telemetry import DURATION_BOUNDS

COLLECTS: Final = 0.25
"""Seconds between two questions for the tape."""
RESTS: Final = 0.01
"""Seconds for others between two rollouts."""

Collect = Callable[[str | None], Awaitable[tuple[Sequence[Any], int, int]]]
"""Rows of `router.planes.embedded.tape` of all workers; how many were dropped; how many workers said nothing."""


async def no_tape(route: str | None) -> tuple[Sequence[Any], int, int]:  # noqa: ARG001  # a `Collect`
    """Where there are no workers."""
    return (), 0, 0


class Phase(StrEnum):
    """How far it is."""

    TAPING = "taping"
    JUDGING = "judging"
    DONE = "done"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to know."""

    route: str
    shares: tuple[int, ...]
    """Of the pretended new side, in ppm."""
    seconds: float
    tolerance: Tolerance
    actor: str


NOTHING: Final = Counts()


@dataclass(frozen=True, slots=True)
class Report:
    """What is known by now."""

    number: int
    wanted: Wanted
    began: float
    """Unix time."""
    phase: Phase = Phase.TAPING
    heard: float = 0.0
    """Seconds of the tape."""
    answers: int = 0
    missed: int = 0
    """Answers that are not on the tape, because a worker's list was full."""
    silent: int = 0
    """Questions that a worker did not answer in time."""
    full: bool = False
    """The tape was, before its time was over."""
    limits: tuple[int, ...] = ()
    """What is slow."""
    counts: Counts = NOTHING
    scores: tuple[Score, ...] = ()
    standing: Standing | None = None
    text: str = ""

    @property
    def left(self) -> float:
        """Seconds of the tape that are yet to come."""
        return max(0.0, self.wanted.seconds - self.heard) if self.phase is Phase.TAPING else 0.0

    @property
    def over(self) -> bool:
        return self.phase in {Phase.DONE, Phase.STOPPED}


class SelfTests:
    """One at a time.  `run` does the work; `report` says how the newest one stands."""

    def __init__(self, source: Source, settings: Settings, clock: Clock, collect: Collect = no_tape) -> None:
        self._source = source
        self._settings = settings
        self._clock = clock
        self._collect = collect
        self._wanted = asyncio.Event()
        self._stopped = asyncio.Event()
        self.report: Report | None = None

    def begin(self, wanted: Wanted) -> Report | None:
        """It begins; None: another one is under way (`report`)."""
        known = self.report
        if known is not None and not known.over:
            return None
        number = 1 if known is None else known.number + 1
        self.report = Report(number, wanted, self._clock.now())
        self._stopped.clear()
        self._wanted.set()
        return self.report

    def stop(self) -> None:
        """Whatever is under way ends soon, without a result."""
        self._stopped.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self.report is not None:
                self.report = await self._made(self.report)

    async def _made(self, report: Report) -> Report:
        route = report.wanted.route
        counted = (await self._source.counted([route])).get(route, Counted())
        report = replace(report, limits=limits_of(counted.legacy.durations))
        try:
            report, tape = await self._taped(report)
        finally:
            await self._collect(None)  # else the workers' tapes end by themselves, when nobody has come for a while
        if not self._stopped.is_set():
            report = await self._judged(report, tape)
        return replace(report, phase=Phase.STOPPED if self._stopped.is_set() else Phase.DONE)

    async def _taped(self, report: Report) -> tuple[Report, list[Answered]]:
        tape: list[Answered] = []
        await self._collect(report.wanted.route)
        begin = self._clock.elapsed()
        while report.left and not (self._stopped.is_set() or report.full):
            self.report = report
            await self._pause(min(COLLECTS, report.left))
            rows, missed, silent = await self._collect(report.wanted.route)
            tape += filter(None, map(answered, rows))
            report = replace(
                report,
                heard=self._clock.elapsed() - begin,
                answers=min(len(tape), MOST),
                missed=report.missed + missed,
                silent=report.silent + silent,
                full=len(tape) >= MOST,
            )
        return report, tape

    async def _pause(self, seconds: float) -> None:
        """At most so long: somebody may stop it."""
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            pass

    async def _judged(self, report: Report, tape: list[Answered]) -> Report:
        people = await asyncio.to_thread(crowd, tape, report.limits)
        tape.clear()
        scores = tuple(Score(share) for share in report.wanted.shares)
        report = replace(report, phase=Phase.JUDGING, counts=people.counts, scores=scores)
        for number in range(ROLLOUTS if people.clients else 0):
            self.report = report
            ends = await asyncio.to_thread(self._rolled, people, number, report.wanted)
            scores = tuple([score + end for score, end in zip(report.scores, ends, strict=True)])
            report = replace(report, scores=scores)
            await asyncio.sleep(RESTS)
            if self._stopped.is_set():
                return report
        alpha = self._settings.alpha
        return replace(
            report,
            standing=standing(report.counts, report.scores, alpha),
            text=conclusion(report.counts, report.limits, report.scores, alpha),
        )

    def _rolled(self, people: Crowd, number: int, wanted: Wanted) -> tuple[End, ...]:
        return tuple(rollouts(people, number, wanted.shares, wanted.tolerance, self._settings))


def answered(row: Any) -> Answered | None:
    """A worker's row; None for what does not look like one."""
    match row:
        case [int() | float() as at, int() as client, 0 | 1 as failed, int() as bucket]:
            if 0 <= at < 1 << 40 and 0 <= client < 1 << 64 and 0 <= bucket <= len(DURATION_BOUNDS):
                return Answered(float(at), client, bool(failed), bucket)
    return None

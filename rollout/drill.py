"""The drill of the judgement: a fault that somebody made up must be found, or nothing is promoted by itself.

The whole controller runs on doubles (`rollout.doubles`) with a clock of its own: a scratch route whose new side fails
half of its requests must be rolled back, and one whose sides are equal must not be.  What this finds is the worst
mistake of such machinery: an analysis that silently looks at nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from rollout.controller import Controller
from rollout.core.counted import Counted, Outcomes
from rollout.core.failures import Failure
from rollout.core.run import Objection, Phase, Run, Wanted
from rollout.core.settings import Settings
from rollout.doubles import MemoryJournal, MemoryPlatform, MemorySource
from router.core.model import PPM, Plan, PlanStep

ROUTE: Final = "scratch"
SHARE: Final = 10_000
PER_SECOND: Final = 1000
"""Requests; ten of them go to the new side."""
SECONDS: Final = 60
MOST: Final = 15
"""Failed requests after which the fault must have been found."""


@dataclass(frozen=True, slots=True)
class Drilled:
    """How it went."""

    fired: bool
    """The fault was found in time, and nothing where there was none."""
    failed: int
    """Requests of the new side that failed until the rollback."""
    why: str


@dataclass
class _Clock:
    time: float = 1_000_000.0

    def now(self) -> float:
        return self.time

    def elapsed(self) -> float:
        return self.time


async def drill(settings: Settings) -> Drilled:
    """Takes a few milliseconds."""
    faulty, failed = await _scratch(settings, every=2)
    well, _ = await _scratch(settings, every=0)
    if faulty.phase is not Phase.ROLLED_BACK:
        return Drilled(fired=False, failed=failed, why="a new side that fails half of its requests was not rolled back")
    if failed > MOST:
        why = f"a new side that fails half of its requests was rolled back after {failed} failures, not {MOST}"
        return Drilled(fired=False, failed=failed, why=why)
    if well.phase is not Phase.JUDGING:
        return Drilled(fired=False, failed=failed, why=f"a new side as good as legacy is {well.phase}")
    return Drilled(fired=True, failed=failed, why=str(faulty.verdict))


async def _scratch(settings: Settings, every: int) -> tuple[Run, int]:
    """A route at 1 % for a minute at most; of the new side each `every`-th request fails (0: none)."""
    clock, source, platform = _Clock(), MemorySource({ROUTE: Counted()}), MemoryPlatform({ROUTE: 0})
    controller = Controller(
        platform=platform,
        source=source,
        journal=MemoryJournal(),
        clock=clock,
        tell=lambda _name, **_fields: None,
        settings=settings,
    )
    plan = Plan(ROUTE, (PlanStep(SHARE), PlanStep(PPM)))
    wanted = Wanted(ROUTE, plan, plan.steps, "scratch", platform.fingerprint, 0, "drill", "a fault that was made up")
    (began,) = await controller.begin(wanted)
    if isinstance(began, Objection):
        raise TypeError(began.why)
    sums = _sums(every)
    while controller.runs[ROUTE].phase is not Phase.ROLLED_BACK and clock.time < 1_000_000.0 + SECONDS:
        clock.time += 1.0
        if platform.shares[ROUTE]:
            before, source.sums[ROUTE] = source.sums[ROUTE], next(sums)
            source.failures += _failures(before, source.sums[ROUTE], platform.revision, clock.time)
        await controller.turn()
        await asyncio.sleep(0)
    await controller.finish()
    return controller.runs[ROUTE], source.sums[ROUTE].new.failures


def _failures(before: Counted, after: Counted, revision: int, at: float) -> Iterator[Failure]:
    """What workers would tell of the last second: every failure is another client's."""
    for new, old, sums in ((False, before.legacy, after.legacy), (True, before.new, after.new)):
        for number in range(old.failures, sums.failures):
            yield Failure(ROUTE, new, SHARE, revision, 2 * number + new, f"drill-{number}", at)


def _sums(every: int) -> Iterator[Counted]:
    """Second by second; what fails at legacy is one request in a thousand."""
    counted = Counted()
    while True:
        new = PER_SECOND * SHARE // PPM
        before = counted.new.requests
        failed = sum(number % every == 0 for number in range(before, before + new)) if every else 0
        legacy = replace(
            counted.legacy,
            requests=counted.legacy.requests + PER_SECOND - new,
            failures=counted.legacy.failures + 1,
        )
        counted = Counted(legacy, Outcomes(before + new, counted.new.failures + failed))
        yield counted

"""A controller over doubles, in a world whose traffic follows the share in force."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rollout.controller import Controller
from rollout.core.counted import Counted, Outcomes
from rollout.core.failures import Failure
from rollout.core.run import Objection, Run, Wanted
from rollout.doubles import MemoryJournal, MemoryPlatform, MemorySource
from router.core.clients import client_key
from router.core.model import PPM, Plan, PlanStep

PERCENT = PPM // 100
QUICK = Plan(
    "quick", tuple(PlanStep(share * PERCENT, min_time=3.0, min_clients=0, min_sample=10) for share in (5, 50, 100))
)


class Clock:
    """Time as the test wants it."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def elapsed(self) -> float:
        return self.time


@dataclass
class World:
    """Everything that outlives a controller, and the controller of the moment."""

    routes: tuple[str, ...] = ("p",)
    rate: int = 2000
    """Requests a second to each route."""
    failing: float = 0.0
    """Of the new side's requests."""
    people: int = 0
    """Clients that the new side meets each second and has not met before."""
    clock: Clock = field(default_factory=Clock)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    source: MemorySource = field(default_factory=MemorySource)
    told: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.platform = MemoryPlatform(dict.fromkeys(self.routes, 0))
        self.source.sums = dict.fromkeys(self.routes, Counted())
        self.controller = self.make()

    def make(self) -> Controller:
        return Controller(
            platform=self.platform,
            source=self.source,
            journal=self.journal,
            clock=self.clock,
            tell=lambda name, **fields: self.told.append((name, fields)),
        )

    async def start(self, *routes: str, plan: Plan = QUICK, upstream: str = "new") -> None:
        known = self.platform.fingerprint
        wanted = [Wanted(each, plan, plan.steps, upstream, known, 0, "kim", "go") for each in routes or self.routes]
        assert not any(isinstance(each, Objection) for each in await self.controller.begin(*wanted))

    async def pass_time(self, seconds: float = 1.0) -> None:
        """So much traffic, and then a turn of the loop."""
        self.clock.time += seconds
        for route in self.routes:
            self._serve(route, seconds)
        await self.controller.turn()
        await asyncio.sleep(0)

    def _serve(self, route: str, seconds: float) -> None:
        before = self.source.sums[route]
        number = int(self.rate * seconds)
        new = number * self.platform.shares[route] // PPM
        failed = int((before.new.requests + new) * self.failing) - int(before.new.requests * self.failing)
        legacy = Outcomes(before.legacy.requests + number - new, before.legacy.failures)
        share, revision = self.platform.shares[route], self.platform.revisions.get(route, 0)
        for each in range(before.new.failures, before.new.failures + max(0, failed)):
            client, request = client_key(route, b"%d" % each), f"{route}-{each}"
            self.source.failures.append(Failure(route, True, share, revision, client, request, self.clock.time))
        met = before.new.seen + (int(self.people * seconds) if new else 0)
        outcomes = Outcomes(before.new.requests + new, before.new.failures + max(0, failed), seen=met)
        self.source.sums[route] = replace(before, legacy=legacy, new=outcomes)

    async def until(self, done: Callable[[], object], most: int = 5000) -> None:
        for _ in range(most):
            if done():
                return
            await self.pass_time()
        raise AssertionError(f"it did not come about: {self.runs()}")

    def run(self, route: str = "p") -> Run:
        return self.controller.runs[route]

    def runs(self) -> list[str]:
        return [f"{run.name}: {run.phase} {run.step} {run.waits} {run.paused}" for run in self.controller.runs.values()]

    def given(self) -> list[tuple[str, str, int]]:
        return [(command.route, command.act.value, command.share // PERCENT) for command in self.platform.given]

    def rows(self) -> list[dict[str, Any]]:
        """All rows of evidence that were recorded."""
        return [
            row for line in self.journal.log if line.kind == "batch" for row in json.loads(line.body).get("rows", ())
        ]

    def names(self) -> list[str]:
        return [name for name, _ in self.told]

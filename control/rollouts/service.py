"""Rollouts as people ask for them: by route, group or glob, with the plans of the routes.yaml in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from control.counters import CounterFiles
from control.rollouts.platform import LivePlatform
from control.rollouts.source import CounterSource
from rollout.controller import Controller, Objection, Wanted
from rollout.core.counted import Outcomes
from rollout.core.plan import Forecast, Traffic, forecast
from rollout.core.run import Ask, Asked, Run
from rollout.ports import Journal, Source
from router.core.model import PlanStep, Route
from router.core.orders import Scope
from router.core.place import covered
from router.core.plans import plan_named, steps_for
from router.core.units import write_percent
from router.live import Live
from router.ports import Clock
from router.ports import Traffic as Recent

Local = Callable[[float, str], tuple[int, int]]
MINUTE: Final = 60.0
"""What `recent` counts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish for one route."""

    route: str
    run: Run | None
    """The run afterwards; None: the wish was refused."""
    why: str = ""


def rollouts_of(
    live: Live, files: CounterFiles, journal: Journal, clock: Clock, recent: Recent, local: Local
) -> Rollouts:
    """Everything joined together; `local` tells weekday and minute of a time in a time zone."""
    platform = LivePlatform(live, local, clock.now)
    source = CounterSource(files, lambda: live.blocks.routes)
    controller = Controller(platform=platform, source=source, journal=journal, clock=clock, tell=live.events.tell)
    return Rollouts(live, controller, platform, journal, source, recent)


class Rollouts:
    """What the admin address works with."""

    def __init__(
        self,
        live: Live,
        controller: Controller,
        platform: LivePlatform,
        journal: Journal,
        source: Source,
        recent: Recent,
    ) -> None:
        self.source = source
        self.recent = recent
        self.live = live
        self.controller = controller
        self.platform = platform
        self.journal = journal

    def covered(self, scope: Scope) -> tuple[Route, ...]:
        """The routes of a scope."""
        return covered(self.live.table, scope)

    # -- before: what would it take? ----------------------------------------------------------------

    async def forecasts(self, routes: Sequence[Route], *, detail: bool) -> list[Forecast]:
        """Of those of the routes that have a plan and a new side, from their traffic of the last minute."""
        asked = [route for route in routes if route.new and plan_named(self.live.table.plans, route.rollout)]
        known = await self._traffic(asked)
        return await asyncio.to_thread(self._forecasts, asked, known, detail)

    def _forecasts(self, routes: Sequence[Route], known: Mapping[str, Traffic], detail: bool) -> list[Forecast]:
        found = []
        for route in routes:
            plan = plan_named(self.live.table.plans, route.rollout)
            if plan is not None:
                steps, settings = steps_for(plan, route), self.controller.settings
                found.append(forecast(route.name, plan, steps, known[route.name], settings, detail=detail))
        return found

    async def _traffic(self, routes: Sequence[Route]) -> dict[str, Traffic]:
        recent = self.recent.recent()
        counted = await self.source.counted([route.name for route in routes])
        found = {}
        for route in routes:
            legacy = counted[route.name].legacy if route.name in counted else Outcomes()
            failing = legacy.failures / legacy.requests if legacy.requests else 0.0
            found[route.name] = Traffic(recent.get(route.name, 0) / MINUTE, failing)
        return found

    # -- what people want ---------------------------------------------------------------------------

    async def start(self, routes: Sequence[Route], *, actor: str, reason: str, first: int | None) -> list[Outcome]:
        """A run for each route; `first` is the share of the step to begin with."""
        return [await self._start(route, actor, reason, first) for route in routes]

    async def _start(self, route: Route, actor: str, reason: str, first: int | None) -> Outcome:
        plan = plan_named(self.live.table.plans, route.rollout)
        if plan is None:
            return Outcome(route.name, None, "it names no plan; write `rollout: careful` at the route or its group")
        if route.new is None:
            return Outcome(route.name, None, "it has no new side; write `new:` at the route or its group")
        steps = steps_for(plan, route)
        number = _number(steps, first)
        if number is None:
            shares = ", ".join(write_percent(step.share) for step in steps)
            return Outcome(route.name, None, f"its plan has no such step; the steps are {shares}")
        share = dict(zip((each.name for each in self.live.table.routes), self.live.state.routes, strict=True))
        wanted = Wanted(
            route.name,
            plan,
            steps,
            route.new,
            self.platform.fingerprint(route),
            share[route.name].share,
            actor,
            reason,
            number,
        )
        return _outcome(route.name, await self.controller.begin(wanted))

    async def ask(self, routes: Sequence[str], what: Ask, *, actor: str, reason: str, unproven: bool) -> list[Outcome]:
        """The same of each run."""
        asked = Asked(what, actor, reason, unproven)
        return [_outcome(route, await self.controller.ask(route, asked)) for route in routes]


def _number(steps: Sequence[PlanStep], first: int | None) -> int | None:
    if first is None:
        return 0
    return next((number for number, step in enumerate(steps) if step.share == first), None)


def _outcome(route: str, found: Run | Objection) -> Outcome:
    return Outcome(route, None, found.why) if isinstance(found, Objection) else Outcome(route, found)

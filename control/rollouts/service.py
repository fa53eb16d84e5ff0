"""Rollouts as people ask for them: by route, group or glob, with the plans of the routes.yaml in force."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from control.counters import CounterFiles, RecentTraffic
from control.rollouts.aa import Collect, SelfTests, no_tape
from control.rollouts.failures import Ask as AskWorkers
from control.rollouts.failures import nobody
from control.rollouts.platform import LivePlatform
from control.rollouts.selftest import MOST_KNOWN, SelfTest, self_test
from control.rollouts.source import CounterSource
from rollout.controller import BATCH, PAGE, Controller
from rollout.core.counted import Outcomes
from rollout.core.evidence import Counts, Shadowed, Tolerance
from rollout.core.judge import State, current, judge
from rollout.core.plan import Forecast, Traffic, forecast
from rollout.core.records import batch_from
from rollout.core.run import Ask, Asked, Objection, Run, Told, Wanted
from rollout.core.settings import Settings
from rollout.core.verdict import Breadth, Verdict
from rollout.drill import Drilled, drill
from rollout.ports import Journal, JournalError, Source
from router.core.census import Watched
from router.core.model import PPM, PlanStep, Route
from router.core.orders import Scope
from router.core.place import covered
from router.core.plans import CAREFUL, plan_named, steps_for
from router.core.units import write_percent
from router.live import Live
from router.ports import Clock

Local = Callable[[float, str], tuple[int, int]]
Compared = Callable[[str, int], Shadowed]
"""What comparing a route's answers has found, and the first that differed since a revision."""
DAY: Final = 86_400.0
MOST_VERDICTS: Final = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish for one route."""

    route: str
    run: Run | None
    """The run afterwards; None: the wish was refused."""
    why: str = ""


def rollouts_of(
    live: Live,
    files: CounterFiles,
    journal: Journal,
    clock: Clock,
    recent: RecentTraffic,
    local: Local,
    *,
    compared: Compared = lambda _route, _since: Shadowed(),
    failures: AskWorkers = nobody,
    watch: Callable[[Mapping[str, Watched]], None] = lambda _watched: None,
    tape: Collect = no_tape,
) -> Rollouts:
    """Everything joined together; `local` tells weekday and minute of a time in a time zone."""

    def compared_in_step(route: str) -> Shadowed:
        run = controller.runs.get(route)
        return compared(route, 0 if run is None else run.revision)

    platform = LivePlatform(live, local, clock.now)
    source = CounterSource(files, lambda: live.blocks.routes, compared_in_step, failures, watch)
    controller = Controller(platform=platform, source=source, journal=journal, clock=clock, tell=live.events.tell)
    tests = SelfTests(source, controller.settings, clock, tape)
    return Rollouts(live, controller, platform, journal, source, recent, tests=tests)


class Rollouts:
    """What the admin address works with."""

    def __init__(
        self,
        live: Live,
        controller: Controller,
        platform: LivePlatform,
        journal: Journal,
        source: Source,
        recent: RecentTraffic,
        *,
        tests: SelfTests,
    ) -> None:
        self.tests = tests
        self.source = source
        self.recent = recent
        self.live = live
        self.controller = controller
        self.platform = platform
        self.journal = journal
        self.trouble = ""
        """Why no rollouts are run; empty: they are."""

    def newest(self) -> tuple[Sequence[Run], bool]:
        """The newest run of each route, and whether the last drill fired."""
        return tuple(self.controller.runs.values()), self.controller.armed

    def verdicts(self) -> list[tuple[str, Verdict]]:
        """What governs each route whose rollout goes on."""
        found = ((run.route, self._governing(run)) for run in self.controller.runs.values() if not run.over)
        return [(route, verdict) for route, verdict in found if verdict is not None]

    def _governing(self, run: Run) -> Verdict | None:
        return current(self.controller.judged, run.route, self.controller.settings)

    def covered(self, scope: Scope) -> tuple[Route, ...]:
        """The routes of a scope."""
        return covered(self.live.table, scope)

    # -- life ---------------------------------------------------------------------------------------

    async def take_up(self) -> None:
        """What the journal knows.  When that cannot be read, control goes on without rollouts: people need it."""
        try:
            await self.controller.start()
        except JournalError as error:
            self.trouble = str(error)
            self.controller.runs.clear()
            self.controller.armed = False
            self.live.events.tell(Told.UNAVAILABLE, why=self.trouble)

    async def run(self) -> None:
        """The loop of rollouts, the drills and the self-tests.  Until it is cancelled."""
        if not self.trouble:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.controller.run(), name="rollouts")
                group.create_task(self.keep_drilling(), name="drills")
                group.create_task(self.tests.run(), name="self-tests")

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
        rates = self.recent.per_second()
        counted = await self.source.counted([route.name for route in routes])
        found = {}
        for route in routes:
            legacy = counted[route.name].legacy if route.name in counted else Outcomes()
            failing = legacy.failures / legacy.requests if legacy.requests else 0.0
            copied = route.shadow.percent / PPM if route.shadow and route.shadow.compare else 0.0
            found[route.name] = Traffic(rates.get(route.name, 0.0), failing, copied)
        return found

    # -- can it be trusted? -------------------------------------------------------------------------

    async def drill(self) -> Drilled:
        """A fault that was made up; unless it is found, nothing is promoted by itself until the next drill."""
        found = await drill(self.controller.settings)
        self.controller.armed = found.fired
        if found.fired:
            self.live.events.tell(Told.DRILLED, failed=found.failed)
        else:
            self.live.events.tell(Told.DISARMED, why=found.why)
        return found

    async def keep_drilling(self) -> None:
        """At the start and every day.  Runs until it is cancelled."""
        while True:
            await self.drill()
            await asyncio.sleep(DAY)

    async def replay(self, route: str, ratio: float | None, floor: float | None) -> list[Verdict]:
        """What the recorded evidence says anew, perhaps with other tolerances.  Raises JournalError and BadRecord."""

        def amend(tolerance: Tolerance) -> Tolerance:
            return replace(tolerance, ratio=ratio or tolerance.ratio, floor=floor or tolerance.floor)

        state, number, found = State(), 0, list[Verdict]()
        while lines := await self.journal.lines(kind=BATCH, after=number, limit=PAGE):
            records = [json.loads(line.body) for line in lines]
            state, verdicts = await asyncio.to_thread(replayed, state, records, self.controller.settings, amend)
            found += (verdict for verdict in verdicts if not route or _about(verdict, route))
            found = found[-MOST_VERDICTS:]
            number = lines[-1].number
        return found

    def tolerance(self, route: Route) -> Tolerance:
        """What its plan takes for harmless."""
        plan = plan_named(self.live.table.plans, route.rollout) or CAREFUL
        return Tolerance(ratio=plan.ratio, floor=plan.floor / PPM)

    async def self_test(self, route: Route, share: int) -> SelfTest:
        """Legacy against legacy, from the evidence of the route's rollouts.  Raises JournalError and BadRecord."""
        tolerance = self.tolerance(route)
        legacy: deque[tuple[float, Counts]] = deque(maxlen=MOST_KNOWN)
        number = 0
        while lines := await self.journal.lines(kind=BATCH, after=number, limit=PAGE):
            for batch in (batch_from(json.loads(line.body)) for line in lines):
                rows = (row.legacy for row in batch.rows if row.epoch.route == route.name and row.epoch.share < PPM)
                legacy += ((batch.at, counts) for counts in rows)
            number = lines[-1].number
            await asyncio.sleep(0)
        known = tuple(legacy)
        return await asyncio.to_thread(self_test, route.name, known, share, tolerance, self.controller.settings)

    # -- what people want ---------------------------------------------------------------------------

    async def start(self, routes: Sequence[Route], *, actor: str, reason: str, first: int | None) -> list[Outcome]:
        """A run for each route; `first` is the share of the step to begin with."""
        shares = dict(zip((each.name for each in self.live.table.routes), self.live.state.routes, strict=True))
        wishes = {route.name: self._wanted(route, shares[route.name].share, actor, reason, first) for route in routes}
        wanted = [wish for wish in wishes.values() if isinstance(wish, Wanted)]
        found = dict(zip((wish.route for wish in wanted), await self.controller.begin(*wanted), strict=True))
        return [
            Outcome(name, None, wish) if isinstance(wish, str) else _outcome(name, found[name])
            for name, wish in wishes.items()
        ]

    def _wanted(self, route: Route, share: int, actor: str, reason: str, first: int | None) -> Wanted | str:
        """The wish, or why it cannot be."""
        plan = plan_named(self.live.table.plans, route.rollout)
        if plan is None:
            return "it names no plan; write `rollout: careful` at the route or its group"
        if route.new is None:
            return "it has no new side; write `new:` at the route or its group"
        steps = steps_for(plan, route)
        number = _number(steps, first)
        if number is None:
            return f"its plan has no such step; the steps are {', '.join(write_percent(step.share) for step in steps)}"
        known = self.platform.fingerprint(route)
        return Wanted(route.name, plan, steps, route.new, known, share, actor, reason, number)

    async def ask(self, routes: Sequence[str], what: Ask, *, actor: str, reason: str, unproven: bool) -> list[Outcome]:
        """The same of each run."""
        found = await self.controller.ask(Asked(what, actor, reason, unproven), *routes)
        return [_outcome(route, each) for route, each in zip(routes, found, strict=True)]


def replayed(
    state: State, records: Sequence[Mapping[str, Any]], settings: Settings, amend: Callable[[Tolerance], Tolerance]
) -> tuple[State, list[Verdict]]:
    """The judgement after more of the log, and what it said."""
    found: list[Verdict] = []
    for batch in map(batch_from, records):
        steps = tuple(replace(step, tolerance=amend(step.tolerance)) for step in batch.steps)
        state, verdicts = judge(state, replace(batch, steps=steps), settings)
        found += verdicts
    return state, found


def _about(verdict: Verdict, route: str) -> bool:
    return verdict.scope.breadth is not Breadth.ROUTE or verdict.scope.name == route


def _number(steps: Sequence[PlanStep], first: int | None) -> int | None:
    if first is None:
        return 0
    return next((number for number, step in enumerate(steps) if step.share == first), None)


def _outcome(route: str, found: Run | Objection) -> Outcome:
    return Outcome(route, None, found.why) if isinstance(found, Objection) else Outcome(route, found)

"""Rollouts: how they stand, and what people ask of them.

GET  /api/v1/rollouts          all of them, or those of a state, a group or one route
POST /api/v1/rollouts          start, pause, resume, promote, abort: for a route, a glob or a group
GET  /api/v1/rollouts/plan     what it would take, before anybody starts it
GET  /api/v1/rollouts/replay   recorded evidence judged anew
GET  /api/v1/rollouts/aa       legacy against legacy
POST /api/v1/rollouts/drill    a fault that was made up
GET  /api/v1/rollouts/log      what happened, and the evidence that was recorded
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from math import nan
from typing import Any, Final

from aiohttp import web

from control.api import body, shapes, views
from control.api.body import MOST
from control.api.problems import Problem, invalid
from control.api.reads import answer, context
from control.api.shapes_rollouts import START
from control.rollouts.service import Outcome, Rollouts
from rollout.core.advance import step_name
from rollout.core.judge import current
from rollout.core.plan import Calendar, Forecast, calendar
from rollout.core.records import BadRecord
from rollout.core.run import Ask, Phase, Run
from rollout.core.verdict import Verdict, verdict_json
from rollout.ports import JournalError, Line
from router.core.model import PPM, PlanStep

PAGE: Final = 100
_NUMBER: Final = re.compile(r"[0-9.eE+-]{1,40}", re.ASCII)

Json = dict[str, Any]


def rollouts(request: web.Request) -> Rollouts:
    """What runs them; without it every question is answered 503."""
    found = context(request).rollouts
    if found is None:
        raise Problem(503, "not-started", "no rollouts are run here", "start the whole router: `strangler run`")
    if found.trouble:
        raise Problem(
            503, "storage", f"no rollouts are run: {found.trouble}", "move the file away, then restart control"
        )
    return found


# -- how they stand ----------------------------------------------------------------------------------------------------


async def listed(request: web.Request) -> web.Response:
    """The newest run of each route; with `route` one of them."""
    body.only(request.query, ("route", "group", "phase"))
    found = rollouts(request)
    runs = list(_filtered(found, request.query.get("route"), request.query.get("group"), request.query.get("phase")))
    return answer(
        {
            "revision": found.live.revision,
            "armed": found.controller.armed,
            "rollouts": [run_view(run, _verdict(found, run)) for run in runs],
        }
    )


def _filtered(found: Rollouts, route: str | None, group: str | None, phase: str | None) -> Iterable[Run]:
    if phase is not None and phase not in set(Phase):
        raise invalid("phase", f"{phase[:40]!r} is no phase", f"write {', '.join(Phase)}")
    groups = {each.name: each.group for each in found.live.table.routes}
    for name, run in sorted(found.controller.runs.items()):
        if route in {None, name} and group in {None, groups.get(name)} and phase in {None, run.phase.value}:
            yield run


def _verdict(found: Rollouts, run: Run) -> Verdict | None:
    return run.verdict or current(found.controller.judged, run.route, found.controller.settings)


def run_view(run: Run, verdict: Verdict | None) -> Json:
    step = run.now
    return {
        "route": run.route,
        "run": run.number,
        "phase": run.phase.value,
        "plan": run.plan.name,
        "upstream": run.upstream,
        "step": run.step + 1,
        "share": views.percent(step.share),
        "steps": [step_view(each) for each in run.steps],
        "since": run.since,
        "started": run.started,
        "actor": run.actor,
        "reason": run.reason,
        "order": run.order or None,
        "revision": run.revision or None,
        "paused": run.paused or None,
        "standing": run.standing.value,
        "waits": list(run.waits),
        "approved": run.approved,
        "held": None if run.hold is None else str(run.hold),
        "verdict": None if verdict is None else verdict_json(verdict),
        "text": summary(run),
    }


def step_view(step: PlanStep) -> Json:
    return {
        "name": step_name(step),
        "share": views.percent(step.share),
        "gate": step.gate.value,
        "min_time": step.min_time,
        "min_clients": step.min_clients,
        "min_sample": step.min_sample,
    }


def summary(run: Run) -> str:
    """Where it stands, in one line."""
    where = f"step {run.step + 1} of {len(run.steps)}, {step_name(run.now)}"
    if run.paused:
        return f"paused at {where}: {run.paused}"
    if run.over or run.phase in {Phase.ROLLING_BACK, Phase.ABORTING}:
        return f"{run.phase} at {where}" + (f": {run.verdict}" if run.verdict else "")
    waits = f"; waits for {'; '.join(run.waits)}" if run.waits else ""
    return f"{run.phase} {where}, {run.standing}{waits}"


# -- what people ask ---------------------------------------------------------------------------------------------------


async def do(request: web.Request) -> web.Response:
    """`{"do": "start", "scope": {"route": "product"}, "reason": "...", "at": 25}`; `at` begins at that step."""
    found = await shapes.said(request)
    what, scope, reason = found["do"], found["scope"], found["reason"]
    running, actor = rollouts(request), body.actor(request)
    body.check_revision(request, running.live.revision)
    routes = running.covered(scope)
    if not routes:
        raise Problem(404, "unknown-route", f"{scope} names nothing in routes.yaml", "see GET /api/v1/routes")
    if what == START:
        named = [route for route in routes if route.rollout] or routes[:1]
        outcomes = await running.start(named, actor=actor, reason=reason, first=found["at"])
    else:
        names = [route.name for route in routes if _concerned(running, route.name)] or [routes[0].name]
        unproven = found.get("without_evidence", False)
        outcomes = await running.ask(names, Ask(what), actor=actor, reason=reason, unproven=unproven)
    return _outcomes(running, outcomes)


def _concerned(found: Rollouts, route: str) -> bool:
    run = found.controller.runs.get(route)
    return run is not None and not run.over


def _outcomes(found: Rollouts, outcomes: list[Outcome]) -> web.Response:
    refused = [each for each in outcomes if each.run is None]
    if len(refused) == len(outcomes):
        problem = Problem(409, "refused", refused[0].why, "see `strangler rollout status`")
        problem.problems = [f"{each.route}: {each.why}" for each in refused]
        raise problem
    return answer(
        {
            "revision": found.live.revision,
            "rollouts": [run_view(each.run, _verdict(found, each.run)) for each in outcomes if each.run is not None],
            "refused": [{"route": each.route, "why": each.why} for each in refused],
        }
    )


# -- before ------------------------------------------------------------------------------------------------------------


async def plan(request: web.Request) -> web.Response:
    """What a rollout would take, from the traffic of the last minute: of one route in detail, or of all of them."""
    body.only(request.query, ("route",))
    found = rollouts(request)
    name = request.query.get("route")
    if name is None:
        known = await found.forecasts(found.live.table.routes, detail=False)
        return answer({"revision": found.live.revision, "calendar": calendar_view(calendar(known))})
    routes = [route for route in found.live.table.routes if route.name == name]
    if not routes:
        raise Problem(404, "unknown-route", f"there is no route {name[:200]!r}", "see GET /api/v1/routes")
    known = await found.forecasts(routes, detail=True)
    if not known:
        raise Problem(404, "no-plan", f"{name[:200]} has no plan or no new side", "write `rollout:` and `new:` at it")
    return answer({"revision": found.live.revision, "forecast": forecast_view(known[0])})


def forecast_view(found: Forecast) -> Json:
    return {
        "route": found.route,
        "requests_per_second": round(found.traffic.rate, 3),
        "failing": round(100 * found.traffic.failing, 4),
        "seconds": found.seconds,
        "steps": [
            step_view(each.step)
            | {
                "requests": each.requests,
                "seconds": each.seconds,
                "detectable": None if each.detectable is None else round(100 * each.detectable, 4),
                "harm": None if each.harm is None else round(each.harm),
            }
            for each in found.steps
        ],
    }


def calendar_view(found: Calendar) -> Json:
    return {
        "routes": found.routes,
        "day": found.day,
        "week": found.week,
        "month": found.month,
        "slow": [
            {
                "route": each.route,
                "seconds": each.seconds,
                "begin": None if each.begin is None else views.percent(each.begin),
            }
            for each in found.slow
        ],
    }


# -- what was ----------------------------------------------------------------------------------------------------------


async def log(request: web.Request) -> web.Response:
    """Oldest first, behind the number `after`; `evidence=true` brings the recorded evidence instead."""
    body.only(request.query, ("route", "after", "limit", "evidence"))
    limit = body.bounded(request.query, "limit", MOST) or PAGE
    after = body.bounded(request.query, "after", 10**15) or 0
    kind = "batch" if body.flag(request.query, "evidence") else ""
    route = "" if kind else request.query.get("route", "")
    with _readable():
        lines = await rollouts(request).journal.lines(kind=kind, route=route, after=after, limit=limit)
    return answer({"lines": list(map(line_view, lines))})


# -- can it be trusted? ------------------------------------------------------------------------------------------------


async def replay(request: web.Request) -> web.Response:
    """The recorded evidence judged anew, with `ratio` and `floor` (percent) in the place of what was tolerated."""
    body.only(request.query, ("route", "ratio", "floor"))
    ratio, floor = _tolerated(request.query, "ratio", 1, 100), _tolerated(request.query, "floor", 0.01, 50)
    found = rollouts(request)
    with _readable():
        said = await found.replay(request.query.get("route", ""), ratio, None if floor is None else floor / 100)
    return answer({"verdicts": list(map(verdict_json, said))})


def _tolerated(query: Mapping[str, str], name: str, least: float, most: float) -> float | None:
    if name not in query:
        return None
    try:
        value = float(query[name]) if _NUMBER.fullmatch(query[name]) else nan
    except ValueError:
        value = nan
    if not least <= value <= most:
        raise invalid(name, f"{query[name][:40]!r} is not from {least:g} to {most:g}", "write a number such as 1.2")
    return value


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (JournalError, BadRecord) as error:
        raise Problem(503, "storage", f"the log cannot be read: {error}", "see the state directory's disk") from error


async def self_test(request: web.Request) -> web.Response:
    """Legacy against legacy: how often would identical sides have been told apart on this route's own traffic?"""
    body.only(request.query, ("route", "share"))
    name = request.query.get("route", "")
    found = rollouts(request)
    route = next((each for each in found.live.table.routes if each.name == name), None)
    if route is None:
        raise Problem(404, "unknown-route", f"there is no route {name[:200]!r}", "write `?route=NAME`")
    share = _tolerated(request.query, "share", 0.01, 99) or 1.0
    with _readable():
        said = await found.self_test(route, int(share * PPM / 100))
    return answer({"route": name, "share": share, **asdict(said)})


async def drill(request: web.Request) -> web.Response:
    """A fault that was made up, through the whole machinery."""
    await shapes.said(request)
    return answer(asdict(await rollouts(request).drill()))


def line_view(line: Line) -> Json:
    return {
        "number": line.number,
        "at": line.at,
        "kind": line.kind,
        "route": line.route or None,
        "body": json.loads(line.body),
    }

"""Legacy against legacy on present traffic: it is started, looked at and stopped here.

GET  /api/v1/rollouts/aa/live   how the newest one stands
POST /api/v1/rollouts/aa/live   start one, or stop the one that is under way
"""

from __future__ import annotations

import time
from typing import Any, Final

from aiohttp import web

from control.api import body, shapes, views
from control.api.problems import Problem, invalid
from control.api.reads import answer
from control.api.rollouts import rollouts
from control.api.shapes_rollouts import START
from control.rollouts.aa import Phase, Report, Wanted
from rollout.core.aa import ROLLOUTS, SHARES, Score, expected
from rollout.core.alpha import Alpha
from router.core.model import PPM
from router.telemetry import DURATION_BOUNDS

SECONDS: Final = 60.0
LEAST: Final = 5.0
MOST: Final = 600.0

Json = dict[str, Any]


async def show(request: web.Request) -> web.Response:
    """How the newest one stands; the result stays until the next one begins."""
    body.only(request.query, ())
    found = rollouts(request)
    return answer({"test": _known(found.tests.report, found.controller.settings.alpha)})


async def do(request: web.Request) -> web.Response:
    """`{"do": "start", "route": "product", "share": 5, "for": "60s"}`, or `{"do": "stop"}`."""
    said = await shapes.said(request)
    found = rollouts(request)
    if said["do"] == START:
        route = next((each for each in found.live.table.routes if each.name == said["route"]), None)
        if route is None:
            raise Problem(404, "unknown-route", f"there is no route {said['route'][:200]!r}", "see GET /api/v1/routes")
        shares = SHARES if said["share"] is None else (_share(said["share"]),)
        wanted = Wanted(route.name, shares, _seconds(said["for"]), found.tolerance(route), body.actor(request))
        if found.tests.begin(wanted) is None and found.tests.report is not None:
            raise _busy(found.tests.report)
    else:
        found.tests.stop()
    return answer({"test": _known(found.tests.report, found.controller.settings.alpha)})


def _share(share: int) -> int:
    if not 0 < share < PPM:
        raise invalid("share", "there are two sides only between 0 and 100 percent", "write a number such as 5")
    return share


def _seconds(seconds: float | None) -> float:
    found = SECONDS if seconds is None else seconds
    if not LEAST <= found <= MOST:
        raise invalid("for", f"it is {found:g} s", f"write {LEAST:g}s to {MOST / 60:g}m")
    return found


def _busy(report: Report) -> Problem:
    wanted, left = report.wanted, "its answers are being judged"
    if report.phase is Phase.TAPING:
        left = f"{report.left:.0f} s are left"
    who = f"{wanted.actor} tests {wanted.route} since {time.strftime('%H:%M:%S', time.gmtime(report.began))} UTC"
    return Problem(409, "busy", f"one at a time: {who}, {left}", "wait for it, or stop it")


def _known(report: Report | None, alpha: Alpha) -> Json | None:
    return None if report is None else view(report, alpha)


def view(report: Report, alpha: Alpha) -> Json:
    wanted, counts = report.wanted, report.counts
    return {
        "number": report.number,
        "route": wanted.route,
        "actor": wanted.actor,
        "began": report.began,
        "phase": report.phase.value,
        "seconds": wanted.seconds,
        "heard": round(report.heard, 3),
        "left": round(report.left, 3),
        "answers": report.answers,
        "missed": report.missed,
        "silent": report.silent,
        "full": report.full,
        "clients": counts.clients,
        "failures": counts.failures,
        "errors": counts.errors.count,
        "limits": [DURATION_BOUNDS[limit] if limit < len(DURATION_BOUNDS) else None for limit in report.limits],
        "slow": [tally.count for tally in counts.slow[: len(report.limits)]],
        "rollouts": ROLLOUTS,
        "shares": [_score(score, alpha) for score in report.scores],
        "standing": None if report.standing is None else report.standing.value,
        "text": report.text,
    }


def _score(score: Score, alpha: Alpha) -> Json:
    return {
        "share": views.percent(score.share),
        "rollouts": score.rollouts,
        "rollbacks": score.rollbacks,
        "errors": score.errors,
        "latency": score.latency,
        "expected": round(expected(score, alpha), 4),
        "breakers": score.breakers,
        "holds": score.holds,
        "sides": score.sides,
        "unruled": score.unruled,
    }

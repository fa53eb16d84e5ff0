"""Changes: each is asked of the engine, and its word is the answer.

200 says that the change is in force.  Whether every worker has confirmed it stands in `confirmed`; whether it is
recorded in `persisted` (a rollback holds even when the store does not answer).  A change that the safety rules refuse
is answered 409 with every violation: its rule, its route and line, and what would be allowed.

    for             ends the order by itself            confirm_within  ends it unless somebody confirms it
    override        rules that shall not hold this once, for the reason that is given
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from control.api import body, proof, shapes, views
from control.api.problems import Problem
from control.api.reads import answer, context
from control.api.shapes import Said
from control.api.trace import REVISION
from router.answers import Change, Refusal
from router.core.orders import Kind, Reach, Scope


def checked(request: web.Request, outcome: Change | Refusal) -> Change:
    if isinstance(outcome, Change):
        if not outcome.already:
            REVISION.set(outcome.revision)
        return outcome
    problem = Problem.of(outcome)
    if outcome.violations:
        lines = {route.name: route.line for route in context(request).live.table.routes}
        problem.more["violations"] = [views.violation_view(each, lines) for each in outcome.violations]
        problem.more["allowed"] = None if outcome.allowed is None else views.percent(outcome.allowed)
    raise problem


def _outcome(request: web.Request, outcome: Change | Refusal) -> web.Response:
    return answer(views.change_view(checked(request, outcome)))


# -- orders ------------------------------------------------------------------------------------------------------------


async def weight(request: web.Request) -> web.Response:
    """`{"weight": 25, "reason": "...", "for": "2h"}` for the route, or the glob, in the path."""
    found = await shapes.said(request)
    return await _give(request, found, Kind.WEIGHT, Scope(Reach.ROUTE, request.match_info["name"]))


async def weights(request: web.Request) -> web.Response:
    """`{"scope": {"group": "catalog"}, "weight": 25, "reason": "..."}`: many routes in one step."""
    found = await shapes.said(request)
    return await _give(request, found, Kind.WEIGHT, found["scope"])


async def pin(request: web.Request) -> web.Response:
    """`{"scope": {...}, "side": "legacy" | "new", "reason": "..."}`: one side, whatever weights say."""
    found = await shapes.said(request)
    return await _give(request, found, Kind.PIN, found["scope"])


async def cap(request: web.Request) -> web.Response:
    """`{"scope": {...}, "cap": 30, "reason": "..."}`: a ceiling for the share of each route in the scope."""
    found = await shapes.said(request)
    return await _give(request, found, Kind.CAP, found["scope"])


async def freeze(request: web.Request) -> web.Response:
    """`{"scope": {...}, "reason": "..."}`: no share in the scope may rise."""
    found = await shapes.said(request)
    return await _give(request, found, Kind.FREEZE, found["scope"])


async def drain(request: web.Request) -> web.Response:
    """`{"scope": {"site": "..."}, "reason": "..."}`: what would go to the site is drawn among the others."""
    found = await shapes.said(request)
    return await _give(request, found, Kind.DRAIN, found["scope"])


async def off(request: web.Request) -> web.Response:
    """`{"scope": {"site": "..."}, "reason": "..."}`: the same as a drain, and tunnels to the site are cut at once."""
    found = await shapes.said(request)
    return await _give(request, found, Kind.OFF, found["scope"])


async def _give(request: web.Request, found: Said, kind: Kind, scope: Scope) -> web.Response:
    outcome = await context(request).live.give(
        kind,
        scope,
        share=found.get("weight", found.get("cap")),
        side=found.get("side"),
        lasts=found["for"],
        trial=found["confirm_within"],
        override=found["override"],
        reason=found["reason"],
        actor=body.actor(request),
        expected=body.expected_revision(request),
    )
    return _outcome(request, outcome)


async def rollback(request: web.Request) -> web.Response:
    """`{"scope": {"route" | "group" | "site": "..."} | {"all": true}, "reason": "...", "over": "20s"}`.

    Instead of `scope`: `scopes`, several of them as one change; `last`, what the newest change raised; `since`, what
    was raised within a time.  The answer also says which routes were skipped and why, and what comes back to legacy.
    """
    found, asked = await shapes.said(request), context(request)
    usual: Any = {
        "lasts": found["for"],
        "over": found["over"],
        "override": found["override"],
        "reason": found["reason"],
        "actor": body.actor(request),
        "expected": body.expected_revision(request),
    }
    if "scope" in found or "scopes" in found:
        outcome = await asked.live.rollback(*(found.get("scopes") or (found["scope"],)), **usual)
    else:
        outcome = await asked.live.rollback_raised(found.get("since"), **usual)
    change = checked(request, outcome)
    return answer(views.change_view(change) | proof.consequences(asked, change))


# -- what was ordered --------------------------------------------------------------------------------------------------


async def resume(request: web.Request) -> web.Response:
    """`{"reason": "...", "weight": 5}`: lifts the order; with a weight, that one takes its place in the same step."""
    found = await shapes.said(request)
    outcome = await context(request).live.resume(
        request.match_info["id"],
        reason=found["reason"],
        actor=body.actor(request),
        share=found["weight"],
        override=found["override"],
        expected=body.expected_revision(request),
    )
    return _outcome(request, outcome)


async def confirm(request: web.Request) -> web.Response:
    """`{"reason": "..."}` (it may be missing): a trial has passed.  The id `file` is the routes.yaml in force."""
    found = await shapes.said(request)
    body.check_revision(request, context(request).live.revision)
    outcome = await context(request).live.confirm(
        request.match_info["id"], reason=found["reason"], actor=body.actor(request)
    )
    return _outcome(request, outcome)


async def restore(request: web.Request) -> web.Response:
    """`{"reason": "..."}`: what was in force with a revision takes force again, as a new one."""
    found = await shapes.said(request)
    outcome = await context(request).live.restore(
        body.whole(request.match_info["number"], "number"),
        reason=found["reason"],
        actor=body.actor(request),
        override=found["override"],
        expected=body.expected_revision(request),
    )
    return _outcome(request, outcome)

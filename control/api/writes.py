"""Changes: each is asked of the engine, and its word is the answer.

200 says that the change is in force.  Whether every worker has confirmed it stands in `confirmed`; whether it is
recorded in `persisted` (a rollback holds even when the store does not answer).  A change that the safety rules refuse
is answered 409 with every violation: its rule, its route and line, and what would be allowed.

    for             ends the order by itself            confirm_within  ends it unless somebody confirms it
    override        rules that shall not hold this once, for the reason that is given
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from control.api import body, proof, views
from control.api.problems import Problem, invalid
from control.api.reads import answer, context
from control.api.trace import REVISION
from router.answers import Change, Refusal
from router.core.orders import Kind, Reach, Scope

_USUAL: Final = ("reason", "for", "confirm_within", "override")


def _checked(request: web.Request, outcome: Change | Refusal) -> Change:
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
    return answer(views.change_view(_checked(request, outcome)))


# -- weights -----------------------------------------------------------------------------------------------------------


async def weight(request: web.Request) -> web.Response:
    """`{"weight": 25, "reason": "...", "for": "2h"}` for the route, or the glob, in the path."""
    found = await body.read_object(request, ("weight", *_USUAL))
    return await _give(request, found, Kind.WEIGHT, Scope(Reach.ROUTE, request.match_info["name"]), "weight")


async def weights(request: web.Request) -> web.Response:
    """`{"scope": {"group": "catalog"}, "weight": 25, "reason": "..."}`: many routes in one step."""
    found = await body.read_object(request, ("scope", "weight", *_USUAL))
    scope = body.scope(found)
    if scope.reach is Reach.SITE:
        raise invalid("scope.site", "a site has no weight", "name a route or a group; sites are weighed in routes.yaml")
    return await _give(request, found, Kind.WEIGHT, scope, "weight")


# -- the other orders --------------------------------------------------------------------------------------------------


async def pin(request: web.Request) -> web.Response:
    """`{"scope": {...}, "side": "legacy" | "new", "reason": "..."}`: one side, whatever weights say."""
    found = await body.read_object(request, ("scope", "side", *_USUAL))
    return await _give(request, found, Kind.PIN, _no_site(found))


async def cap(request: web.Request) -> web.Response:
    """`{"scope": {...}, "cap": 30, "reason": "..."}`: a ceiling for the share of each route in the scope."""
    found = await body.read_object(request, ("scope", "cap", *_USUAL))
    return await _give(request, found, Kind.CAP, _no_site(found), "cap")


async def freeze(request: web.Request) -> web.Response:
    """`{"scope": {...}, "reason": "..."}`: no share in the scope may rise."""
    found = await body.read_object(request, ("scope", *_USUAL))
    return await _give(request, found, Kind.FREEZE, _no_site(found))


async def drain(request: web.Request) -> web.Response:
    """`{"scope": {"site": "..."}, "reason": "..."}`: what would go to the site is drawn among the others."""
    found = await body.read_object(request, ("scope", *_USUAL))
    scope = body.scope(found)
    if scope.reach is not Reach.SITE:
        raise invalid("scope", "only a site can be drained", 'write {"site": "..."}, or roll the routes back')
    return await _give(request, found, Kind.DRAIN, scope)


def _no_site(found: body.Json) -> Scope:
    scope = body.scope(found)
    if scope.reach is Reach.SITE:
        raise invalid("scope.site", "a site has no share of its own", "drain it, or roll it back")
    return scope


async def _give(
    request: web.Request, found: body.Json, kind: Kind, scope: Scope, percent: str | None = None
) -> web.Response:
    """`percent`: the field with the order's share."""
    lasts, trial = body.ends(found)
    outcome = await context(request).live.give(
        kind,
        scope,
        share=None if percent is None else body.share(found, percent),
        side=body.side(found) if kind is Kind.PIN else None,
        lasts=lasts,
        trial=trial,
        override=body.override(found),
        reason=body.reason(found),
        actor=body.actor(request),
        expected=body.expected_revision(request),
    )
    return _outcome(request, outcome)


async def rollback(request: web.Request) -> web.Response:
    """`{"scope": {"route" | "group" | "site": "..."} | {"all": true}, "reason": "..."}`.

    The answer also says which routes of the scope were skipped and why, and what comes back to legacy.
    """
    found = await body.read_object(request, ("scope", "reason", "for", "override"))
    asked = context(request)
    scope = body.scope(found)
    outcome = await asked.live.give(
        Kind.ROLLBACK,
        scope,
        lasts=body.seconds(found, "for"),
        override=body.override(found),
        reason=body.reason(found),
        actor=body.actor(request),
        expected=body.expected_revision(request),
    )
    change = _checked(request, outcome)
    return answer(views.change_view(change) | proof.consequences(asked, scope, change))


# -- what was ordered --------------------------------------------------------------------------------------------------


async def resume(request: web.Request) -> web.Response:
    """`{"reason": "...", "weight": 5}`: lifts the order; with a weight, that one takes its place in the same step."""
    found = await body.read_object(request, ("reason", "weight", "override"))
    outcome = await context(request).live.resume(
        request.match_info["id"],
        reason=body.reason(found),
        actor=body.actor(request),
        share=body.share(found) if "weight" in found else None,
        override=body.override(found),
        expected=body.expected_revision(request),
    )
    return _outcome(request, outcome)


async def confirm(request: web.Request) -> web.Response:
    """`{"reason": "..."}` (it may be missing): a trial has passed.  The id `file` is the routes.yaml in force."""
    found = await body.read_object(request, ("reason",))
    body.check_revision(request, context(request).live.revision)
    outcome = await context(request).live.confirm(
        request.match_info["id"], reason=body.remark(found), actor=body.actor(request)
    )
    return _outcome(request, outcome)


async def restore(request: web.Request) -> web.Response:
    """`{"reason": "..."}`: what was in force with a revision takes force again, as a new one."""
    found = await body.read_object(request, ("reason", "override"))
    outcome = await context(request).live.restore(
        body.whole(request.match_info["number"], "number"),
        reason=body.reason(found),
        actor=body.actor(request),
        override=body.override(found),
        expected=body.expected_revision(request),
    )
    return _outcome(request, outcome)

"""Changes: each is asked of the engine, and its word is the answer.

200 says that the change is in force.  Whether every worker has confirmed it stands in `confirmed`; whether it is
recorded in `persisted` (a rollback holds even when the store does not answer).
"""

from __future__ import annotations

from aiohttp import web

from control.api import body, views
from control.api.problems import Problem, invalid
from control.api.reads import answer, context
from router.core.orders import Reach, Scope
from router.live import Change, Refusal


def _outcome(outcome: Change | Refusal) -> web.Response:
    if isinstance(outcome, Refusal):
        raise Problem.of(outcome)
    return answer(views.change_view(outcome))


async def weight(request: web.Request) -> web.Response:
    """`{"weight": 25, "reason": "..."}` for the route, or the glob, in the path."""
    found = await body.read_object(request, ("weight", "reason"))
    scope = Scope(Reach.ROUTE, request.match_info["name"])
    return await _weigh(request, found, scope)


async def weights(request: web.Request) -> web.Response:
    """`{"scope": {"group": "catalog"}, "weight": 25, "reason": "..."}`: many routes in one step."""
    found = await body.read_object(request, ("scope", "weight", "reason"))
    scope = body.scope(found)
    if scope.reach is Reach.SITE:
        raise invalid("scope.site", "a site has no weight", "name a route or a group; sites are weighed in routes.yaml")
    return await _weigh(request, found, scope)


async def _weigh(request: web.Request, found: body.Json, scope: Scope) -> web.Response:
    outcome = await context(request).live.weight(
        scope,
        body.share(found),
        reason=body.reason(found),
        actor=body.actor(request),
        expected=body.expected_revision(request),
    )
    return _outcome(outcome)


async def rollback(request: web.Request) -> web.Response:
    """`{"scope": {"route" | "group" | "site": "..."} | {"all": true}, "reason": "..."}`."""
    found = await body.read_object(request, ("scope", "reason"))
    outcome = await context(request).live.rollback(
        body.scope(found),
        reason=body.reason(found),
        actor=body.actor(request),
        expected=body.expected_revision(request),
    )
    return _outcome(outcome)


async def resume(request: web.Request) -> web.Response:
    """`{"reason": "...", "weight": 5}`: lifts the order; with a weight, that one takes its place in the same step."""
    found = await body.read_object(request, ("reason", "weight"))
    outcome = await context(request).live.resume(
        request.match_info["id"],
        reason=body.reason(found),
        actor=body.actor(request),
        share=body.share(found) if "weight" in found else None,
        expected=body.expected_revision(request),
    )
    return _outcome(outcome)

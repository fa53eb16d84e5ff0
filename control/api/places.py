"""Places at the admin address: sites and their targets, the ways back for a person, and the answer to an outer GSLB."""

from __future__ import annotations

from aiohttp import web

from control.api import body, places_view, shapes, views
from control.api.context import CONTEXT, Context
from control.api.places_view import Json
from control.api.problems import Problem
from control.api.reads import answer, context, seen
from control.api.writes import checked
from control.observer import Place
from router.answers import Refusal
from router.core.orders import Reach, Scope
from router.core.place import names_nothing
from router.events import EventName


async def sites(request: web.Request) -> web.Response:
    """Health, weights and orders of all places, and what is under way there."""
    found = context(request)
    live = found.live
    left = places_view.Left(await found.left_at_places(), _connections(found))
    said = places_view.sites_view(live.table, live.state, live.orders, live.observed, seen(found), left)
    return answer({"revision": live.revision, **said})


def _connections(found: Context) -> dict[str, int]:
    """Open connections by endpoint, of the workers that there are."""
    found.traffic.refresh()
    current = {worker.id for worker in found.live.workers()}
    return {key: found.traffic.endpoint_open(start, current) for key, start in found.live.blocks.endpoints.items()}


async def on(request: web.Request) -> web.Response:
    """`{"reason": "..."}`: lifts what closes a site, and brings back what waits for a person there."""
    site = request.match_info["site"]
    said = await shapes.said(request)
    found = context(request)
    outcome = await found.live.reopen(
        site,
        reason=said["reason"],
        actor=body.actor(request),
        override=said["override"],
        expected=body.expected_revision(request),
    )
    back = 0
    if found.observer is not None and (not isinstance(outcome, Refusal) or outcome.code == "not-closed"):
        back = found.observer.resume(lambda place: place.site == site)
        _tell(found, request, site, back)
    if isinstance(outcome, Refusal) and outcome.code == "not-closed" and back:
        return answer(_unchanged(found, back))
    change = views.change_view(checked(request, outcome))
    return answer(change | {"notes": [*change["notes"], *_brought_back(back)]})


async def revive(request: web.Request) -> web.Response:
    """`{"place": "http://10.0.0.7:8080", "reason": "..."}`: an endpoint, or all of an upstream, may come back."""
    said = await shapes.said(request)
    wanted = said["place"]
    found = context(request)
    body.check_revision(request, found.live.revision)
    back = 0 if found.observer is None else found.observer.resume(lambda place: _is(place, wanted))
    _tell(found, request, wanted, back)
    if not any(_is(each.place, wanted) for each in seen(found)):
        raise Problem(404, "unknown-place", f"{wanted[:200]!r} is no endpoint and no upstream", "see `strangler sites`")
    return answer(_unchanged(found, back))


def _tell(found: Context, request: web.Request, place: str, back: int) -> None:
    if back:
        found.live.events.tell(EventName.PLACE_RESUMED, place=place, targets=back, actor=body.actor(request))


def _is(place: Place, wanted: str) -> bool:
    return wanted in {place.upstream, str(place.endpoint), place.address}


def _unchanged(found: Context, back: int) -> Json:
    """The answer to a change that needed no revision."""
    live = found.live
    workers = [views.worker_view(worker, live) for worker in live.workers()]
    return {
        "order": None,
        "already": not back,
        "revision": live.revision,
        "confirmed": True,
        "persisted": live.persisted,
        "workers": [{"id": worker["id"], "revision": worker["revision"]} for worker in workers],
        "routes": [],
        "notes": _brought_back(back) or ["nothing there is down"],
        "overridden": [],
        "confirm_until": None,
        "ms": 0.0,
    }


def _brought_back(count: int) -> list[str]:
    if not count:
        return []
    which = "1 target that is down" if count == 1 else f"{count} targets that are down"
    return [f"{which} there may come back as soon as probes succeed"]


async def close_breaker(request: web.Request) -> web.Response:
    """`{"reason": "..."}`: the new side of a route is well, says a person; every worker tries it again."""
    reason = (await shapes.said(request))["reason"]
    found, name = context(request), request.match_info["name"]
    body.check_revision(request, found.live.revision)
    if (objection := names_nothing(found.live.table, Scope(Reach.ROUTE, name))) is not None:
        raise Problem(404, objection.code, objection.detail, objection.instead)
    silent = await found.close_breaker(name)
    actor = body.actor(request)
    found.live.events.tell(EventName.BREAKER_CLOSED, route=name, actor=actor, reason=reason, silent=list(silent))
    return answer({"route": name, "confirmed": not silent, "silent": list(silent)})


async def gslb(request: web.Request) -> web.Response:
    """200 while a site takes requests, 503 while it does not: for an outer GSLB that asks."""
    found = request.app[CONTEXT]
    site = request.match_info["site"]
    if not found.live.started or site not in found.live.table.sites:
        raise Problem(404, "unknown-site", f"there is no site {site[:64]!r}", "see GET /api/v1/sites")
    targets = [each for each in seen(found) if each.place.site == site]
    state = places_view.state_of(found.live.orders, site, targets)
    open_ = state in places_view.OPEN
    return answer({"site": site, "state": state}, 200 if open_ else 503)

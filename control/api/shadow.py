"""What comparing the answers of the two sides has shown."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from control.api.context import Context
from control.api.problems import Problem
from control.api.reads import answer, context
from control.shadowing import Shadowing

Json = dict[str, Any]


async def listed(request: web.Request) -> web.Response:
    """All routes that are shadowed, with their counts."""
    found = context(request)
    totals = {} if found.shadowing is None else found.shadowing.totals()
    rows = [
        {
            "route": route.name,
            "percent": route.shadow.percent / 10_000,
            "compare": route.shadow.compare,
            "verdicts": totals.get(route.name, {}).get("verdicts", {}),
            "failures": totals.get(route.name, {}).get("failures", {}),
            "copies": totals.get(route.name, {}).get("copies", {}),
        }
        for route in found.live.table.routes
        if route.shadow is not None and route.shadow.percent
    ]
    strangers = {} if found.shadowing is None else dict(found.shadowing.strangers)
    return answer({"revision": found.live.revision, "routes": rows, "strangers": strangers})


async def report(request: web.Request) -> web.Response:
    """One of them, place by place."""
    found = context(request)
    name = request.match_info["name"]
    found_report = await _comparing(found, name).report(name)
    if found_report is None:
        raise Problem(503, "comparer-silent", "the comparing process does not answer", "try again in a moment")
    return answer({"revision": found.live.revision, **found_report})


def _comparing(found: Context, name: str) -> Shadowing:
    if all(route.name != name for route in found.live.table.routes):
        raise Problem(404, "unknown-route", f"there is no route {name[:200]!r}", "see GET /api/v1/routes")
    if found.shadowing is None or name not in found.shadowing.compared:
        instead = "write `shadow: {percent: 10, compare: true}` in its route, group or the defaults"
        raise Problem(404, "not-compared", f"answers of {name[:200]!r} are not compared", instead)
    return found.shadowing

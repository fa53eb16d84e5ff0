"""The last hour of routes, groups or everything in steps of ten seconds: what the plots are made of.

    /api/v1/rates                              every route as it is now
    /api/v1/series                             everything together
    /api/v1/series?group=catalog               one group, or several
    /api/v1/series?name=product&name=search    routes; both kinds may be mixed

A key of the answer that has no traffic has zeros and no latencies; a name that nobody knows is refused.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from control.api import body
from control.api.problems import Problem, invalid
from control.api.reads import answer, context
from control.series import ALL, POINTS, STEP, Key, Series

MANY: Final = 100
"""Names of a kind in one question: what a page shows at once."""
VALUES: Final = 7200
"""Points in one answer, all names together: twenty whole hours, or 72 points of a hundred routes."""

Json = dict[str, Any]


async def rates(request: web.Request) -> web.Response:
    """Requests a second of every route that has any, over the last seconds, and its last step of the series."""
    found = context(request)
    now = found.traffic.rates()
    return answer(
        {
            "revision": found.live.revision,
            "total": [
                round(sum(rate.legacy for rate in now.values()), 2),
                round(sum(rate.new for rate in now.values()), 2),
            ],
            "routes": {name: [round(rate.legacy, 2), round(rate.new, 2)] for name, rate in now.items()},
            "latest": {} if found.series is None else await found.series.latest(),
        }
    )


async def series(request: web.Request) -> web.Response:
    found = context(request).series
    if found is None:
        raise Problem(503, "not-started", "nobody looks at the counters yet", "try again in a moment")
    points = body.bounded(request.query, "points", POINTS) or POINTS
    routes, groups = _asked(request, "name"), _asked(request, "group")
    if (len(routes) + len(groups)) * points > VALUES:
        most = max(1, VALUES // (len(routes) + len(groups)))
        raise invalid("points", f"{points} of so many names are too many", f"ask for at most {most}")
    pieces = {
        "step": json.dumps(STEP),
        "at": json.dumps([round(at, 3) for at in found.times(points)]),
        "routes": await _written(found, {name: Key(name) for name in routes}, points),
        "groups": await _written(found, {name: Key(group=name) for name in groups}, points),
        "all": "null" if routes or groups else json.dumps(found.of(ALL, points)),
    }
    text = ", ".join(f'"{name}": {piece}' for name, piece in pieces.items())
    return web.Response(body=f"{{{text}}}".encode(), content_type="application/json")


async def _written(found: Series, keys: Mapping[str, Key], points: int) -> str:
    """A JSON object; between two names everybody else has a turn."""
    pieces = []
    for name, key in keys.items():
        pieces.append(f"{json.dumps(name)}: {json.dumps(found.of(key, points))}")
        await asyncio.sleep(0)
    return f"{{{', '.join(pieces)}}}"


def _asked(request: web.Request, field: str) -> list[str]:
    names = request.query.getall(field, [])
    if len(names) > MANY:
        raise invalid(field, f"it stands {len(names)} times", f"ask for at most {MANY} at once")
    live = context(request).live
    known = live.blocks.routes if field == "name" else {"", *live.table.groups}
    for name in names:
        if name not in known:
            raise invalid(field, f"nobody knows {name[:100]!r}", "see GET /api/v1/routes")
    return list(dict.fromkeys(names))

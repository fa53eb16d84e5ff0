"""How far the migration is: for the page, for spreadsheets, and as a badge.  Values in, answers out.

/api/v1/progress            how it stands: everything, each group, each owner, what is stuck, the forecast
/api/v1/progress/routes     the same, route by route
/api/v1/progress/history    the curve: points in time, of everything or of one group
/api/v1/progress/changes    which routes came into another stage, the newest first
/api/v1/progress.csv        routes or curve as a table
/api/v1/progress/badge.svg  one line for a README
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from typing import Any, Final

from aiohttp import web

from control.api import body, views
from control.api.body import MOST
from control.api.problems import Problem, invalid
from control.api.reads import answer, context
from control.badge import badge
from rollout.core.burnup import Forecast, NoForecast
from rollout.core.progress import DAY, STAGES, Passage, Standing, Stuck, Tally
from router.core.model import PPM, Group
from router.ports import StoreError

DAYS: Final = 90
MOST_DAYS: Final = 1830
PAGE: Final = 50
_FORMULA: Final = tuple("=+-@\t\r")
"""What a spreadsheet would compute instead of showing it."""
_TIMES: Final = frozenset({"at", "since", "moved"})
_ROUTE_COLUMNS: Final = ("name", "group", "owner", "stage", "since", "moved", "share", "wish", "requests", "new")
_POINT_COLUMNS: Final = ("at", *(stage.value for stage in STAGES), "total", "finished", "share", "requests", "traffic")

Json = dict[str, Any]


# -- how it stands -----------------------------------------------------------------------------------------------------


async def progress(request: web.Request) -> web.Response:
    found = context(request)
    watch = found.progress
    look = watch.look()
    owners = watch.owned()
    stuck = [_stuck_view(each, look.at) for each in look.stuck]
    return answer(
        {
            "at": look.at,
            "revision": look.revision,
            "window": round(look.window),
            "stages": [stage.value for stage in STAGES],
            "all": standing_view(look.all) | _forecast_view(watch.forecast()),
            "groups": [
                {"group": group, "owner": _owner(found.live.table.groups, group)}
                | standing_view(tally)
                | _forecast_view(watch.forecast(frozenset({group})))
                for group, tally in look.groups.items()
            ],
            "owners": [
                {"owner": owner}
                | standing_view(sum((look.groups[group] for group in groups), Tally()))
                | _forecast_view(watch.forecast(groups))
                for owner, groups in owners.items()
            ],
            "stuck": stuck[:MOST],
            "more_stuck": max(0, len(stuck) - MOST),
        }
    )


def standing_view(tally: Tally) -> Json:
    """`percent` and `traffic` are of 100; None where there is nothing to divide by."""
    total, requests = tally.total, sum(tally.requests)
    return {
        "apis": {stage.value: count for stage, count in zip(STAGES, tally.apis, strict=True)},
        "total": total,
        "finished": tally.finished,
        "percent": _of(tally.finished, total),
        "share": _of(tally.share / PPM, total),
        "requests": requests,
        "traffic": _of(tally.new, requests),
        "traffic_by_stage": {
            stage.value: _of(count, requests) for stage, count in zip(STAGES, tally.requests, strict=True)
        },
    }


def _of(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 2) if whole else None


def _owner(groups: Mapping[str, Group], name: str) -> str:
    return groups[name].owner if name in groups else ""


def _forecast_view(found: Forecast | NoForecast) -> Json:
    if isinstance(found, NoForecast):
        return {"forecast": None, "no_forecast": found.why}
    return {
        "forecast": {
            "earliest": round(found.earliest),
            "likely": round(found.likely),
            "latest": None if found.latest is None else round(found.latest),
            "weekly": round(found.weekly, 2),
            "weeks": found.weeks,
        },
        "no_forecast": None,
    }


def _stuck_view(found: Stuck, now: float) -> Json:
    return {
        "why": found.why.value,
        "since": found.since,
        "days": max(0, int((now - found.since) / DAY)),
        "route": found.route or None,
        "order": found.order or None,
        "kind": None if found.kind is None else found.kind.value,
        "scope": None if found.scope is None else views.scope_view(found.scope),
        "group": found.group,
        "share": views.percent(found.share),
    }


async def routes(request: web.Request) -> web.Response:
    look = context(request).progress.look()
    return answer({"at": look.at, "revision": look.revision, "routes": [_route_view(each) for each in look.routes]})


def _route_view(each: Standing) -> Json:
    return {
        "name": each.route.name,
        "group": each.route.group,
        "owner": each.owner,
        "stage": each.track.stage.value,
        "since": each.track.since,
        "moved": each.track.moved,
        "share": views.percent(each.share),
        "wish": views.percent(each.track.wish),
        "requests": sum(each.requests),
        "new": each.new,
    }


# -- how it came to be so ----------------------------------------------------------------------------------------------


async def history(request: web.Request) -> web.Response:
    """Of everything, of a group, or of all groups of an owner."""
    curve = await _curve(request)
    named = {name: request.query.get(name) for name in ("group", "owner")}
    return answer(named | {"points": [_point_view(*each) for each in curve]})


async def _curve(request: web.Request) -> Sequence[tuple[float, Tally]]:
    watch = context(request).progress
    groups, since = _groups(request), watch.look().at - _days(request) * DAY
    try:
        return await watch.history(since, groups)
    except StoreError as error:
        raise _forgotten(error) from None


def _groups(request: web.Request) -> frozenset[str] | None:
    """Those that are asked for; None: all.  `""` is the group of those that have none, and the owner of no group."""
    known = context(request).live.table.groups
    if "group" in request.query and "owner" in request.query:
        raise invalid("owner", "it stands beside `group`", "ask for one of the two")
    if "owner" in request.query:
        return _owned(request.query["owner"], known)
    if "group" not in request.query:
        return None
    group = request.query["group"]
    if group and group not in known:
        raise invalid("group", f"there is no group {group[:100]!r}", "see GET /api/v1/progress")
    return frozenset({group})


def _owned(owner: str, known: Mapping[str, Group]) -> frozenset[str]:
    found = {group.name for group in known.values() if group.owner == owner}
    if not owner:
        found.add("")
    if not found:
        raise invalid("owner", f"nobody is called {owner[:100]!r} here", "see GET /api/v1/progress")
    return frozenset(found)


def _days(request: web.Request) -> int:
    return body.bounded(request.query, "days", MOST_DAYS) or DAYS


def _point_view(at: float, tally: Tally) -> Json:
    requests = sum(tally.requests)
    return {
        "at": at,
        "apis": {stage.value: count for stage, count in zip(STAGES, tally.apis, strict=True) if count},
        "total": tally.total,
        "finished": tally.finished,
        "share": _of(tally.share / PPM, tally.total),
        "requests": requests,
        "traffic": _of(tally.new, requests),
    }


async def changes(request: web.Request) -> web.Response:
    limit = body.bounded(request.query, "limit", MOST) or PAGE
    try:
        found = await context(request).progress.passages(limit, request.query.get("name"))
    except StoreError as error:
        raise _forgotten(error) from None
    return answer({"changes": list(map(_passage_view, found))})


def _passage_view(passage: Passage) -> Json:
    return {"at": passage.at, "route": passage.route, "before": passage.before or None, "after": passage.after or None}


def _forgotten(error: StoreError) -> Problem:
    return Problem(503, "storage", str(error), "look at the disk; what is in force does not depend on it")


# -- for spreadsheets and READMEs --------------------------------------------------------------------------------------


async def table(request: web.Request) -> web.Response:
    """`of=routes`, or `of=history`, one line a point."""
    what = request.query.get("of", "routes")
    if what not in {"routes", "history"}:
        raise invalid("of", f"{what[:40]!r} is neither routes nor history", "write one of the two")
    groups, _ = _groups(request), _days(request)
    if what == "routes":
        named: Sequence[str] = _ROUTE_COLUMNS
        look = context(request).progress.look()
        rows: Iterable[Json] = (
            _route_view(each) for each in look.routes if groups is None or each.route.group in groups
        )
    else:
        rows = _flat(await _curve(request))
        named = _POINT_COLUMNS
    headers = {"Content-Disposition": f'attachment; filename="progress-{what}.csv"'}
    return web.Response(text=_csv(named, rows), content_type="text/csv", headers=headers)


def _flat(curve: Iterable[tuple[float, Tally]]) -> Iterator[Json]:
    for at, tally in curve:
        view = _point_view(at, tally)
        yield view | {stage.value: view["apis"].get(stage.value, 0) for stage in STAGES}


def _csv(named: Sequence[str], rows: Iterable[Json]) -> str:
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(named)
    writer.writerows([_cell(name, row[name]) for name in named] for row in rows)
    return text.getvalue()


def _cell(column: str, value: Any) -> object:
    """Times as spreadsheets read them; a name that begins like a formula stays a name."""
    if column in _TIMES:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(value))
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


async def shield(request: web.Request) -> web.Response:
    """`12 of 40 APIs`, of everything, of a group, or of what somebody owns."""
    groups = _groups(request)
    look = context(request).progress.look()
    tally = sum((each for name, each in look.groups.items() if groups is None or name in groups), Tally())
    whose = request.query.get("group", request.query.get("owner"))
    title = "migration" if whose is None else f"migration: {whose or 'no group'}"
    svg = badge(title, f"{tally.finished} of {tally.total} APIs", tally.finished / tally.total if tally.total else 0.0)
    return web.Response(text=svg, content_type="image/svg+xml")

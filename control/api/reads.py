"""What is in force, why, and since when: handlers that change nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from aiohttp import web

from control.api import body, places_view, proof, shapes, views
from control.api.body import FARTHEST, MOST
from control.api.context import CONTEXT, Context
from control.api.problems import Problem, invalid
from control.api.served import served
from control.metrics import CONTENT_TYPE
from control.observer import Seen
from router.answers import Refusal
from router.core.explain import Asked, explain
from router.core.orders import Order
from router.live import Revision
from router.ports import Problems

MAX_YAML: Final = 16 * 1024 * 1024
ROWS: Final = 250
"""Routes that are told in one turn of the event loop."""
PAGE: Final = 50
LOOKED_BACK: Final = 5000
"""Revisions among which those of one route are looked for."""

Json = dict[str, Any]


def answer(found: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=json.dumps(found).encode(), content_type="application/json")


async def in_slices(said: Json, name: str, rows: Iterable[Json]) -> web.Response:
    """The answer `said`, with `name` for the rows in it, made with a turn for everybody else now and then."""
    told = [json.dumps(batch)[1:-1] async for batch in batches(rows)]
    text = f'{json.dumps(said)[:-1]}, "{name}": [{", ".join(told)}]}}'
    return web.Response(body=text.encode(), content_type="application/json")


async def batches(rows: Iterable[Json]) -> AsyncIterator[list[Json]]:
    """So many rows as take a few milliseconds, and then whoever waits has a turn."""
    left = iter(rows)
    while batch := list(islice(left, ROWS)):
        yield batch
        await asyncio.sleep(0)


def context(request: web.Request) -> Context:
    """With something in force; before that every question is answered 503."""
    found = request.app[CONTEXT]
    if not found.live.started:
        raise Problem(503, "not-started", "nothing is in force yet", "try again in a moment; see /readyz")
    return found


# -- health ------------------------------------------------------------------------------------------------------------


async def livez(_: web.Request) -> web.Response:
    return answer({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Ready once a worker has confirmed what is in force; a change that is on its way does not take that back."""
    found = request.app[CONTEXT]
    live = found.live
    if not live.started:
        return answer({"ready": False, "why": "no routes.yaml has been accepted yet", **_source(found)}, 503)
    workers = live.workers()
    current = sum(views.is_current(worker, live) for worker in workers)
    serving = sum(worker.connected and worker.revision > 0 for worker in workers)
    found.was_ready = bool(current) or (found.was_ready and bool(serving))
    says: Json = {
        "ready": found.was_ready,
        "revision": live.revision,
        "workers": {"confirmed": current, "connected": sum(worker.connected for worker in workers), "of": len(workers)},
        "serving": _serving(found),
        **_source(found),
    }
    return answer(says, 200 if found.was_ready else 503)


def _source(found: Context) -> Json:
    return {"source": views.source_view(found.live.source)}


def _serving(found: Context) -> str:
    source = found.live.source
    if source.status == "ok":
        return f"revision {found.live.revision}"
    good = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(source.last_good_at)) if source.last_good_at else "before"
    what = f"file refused at {source.problems[0]}" if source.status == "refused" else f"file {source.status}"
    return f"last good of {good}, {what}"


# -- what is in force --------------------------------------------------------------------------------------------------


async def status(request: web.Request) -> web.Response:
    """`?routes=false` leaves the routes out: for those who have them already."""
    found = context(request)
    routes = body.flag(request.query, "routes", otherwise=True)
    live, rates = found.live, found.traffic.rates()
    said = views.status_view(live, rates) | {"places": places_view.summary(live, seen(found))}
    if not routes:
        return answer(said)
    return await in_slices(said, "routes", views.route_views(live.table, live.state, live.orders, rates))


def seen(found: Context) -> list[Seen]:
    """Every target that is watched."""
    return [] if found.observer is None else list(found.observer.seen())


async def metrics(request: web.Request) -> web.Response:
    pieces = await request.app[CONTEXT].metrics.scrape()
    return web.Response(body=b"".join(pieces), headers={"Content-Type": CONTENT_TYPE})


async def routes(request: web.Request) -> web.Response:
    """All of them, or those that all filters let through; `name` gives one.

    `?rates=false`: without what is measured, so that the same revision is the same answer, and travels once.
    """
    if "name" in request.query:
        return answer(_route(context(request), request.query["name"]))
    side = request.query.get("side")
    if side not in {None, "new", "legacy"}:
        raise invalid("side", f"{side!r} is no side", "new: some of its traffic; legacy: none of it is new")
    limit, offset = _page(request)
    rates = body.flag(request.query, "rates", otherwise=True)
    live = context(request).live
    tag = f"{live.revision}-{live.digest[:16]}"
    if not rates and any(known.value == tag for known in request.if_none_match or ()):
        return web.Response(status=304, headers={"ETag": f'"{tag}"', "Cache-Control": "no-cache"})
    head = {"revision": live.revision}
    found: list[Json] = []
    async for batch in batches(_views(context(request), rates=rates)):
        found += _filtered(batch, request.query.get("group"), request.query.get("q"), side)
    page = found[offset:] if limit is None else found[offset : offset + limit]
    said = await in_slices(head | {"total": len(found)}, "routes", page)
    if not rates:
        said.headers.update({"ETag": f'"{tag}"', "Cache-Control": "no-cache"})
    return said


def _page(request: web.Request) -> tuple[int | None, int]:
    """`limit` and `offset`; without a limit everything is answered."""
    limit = body.bounded(request.query, "limit", MOST)
    offset = 0 if request.query.get("offset") == "0" else body.bounded(request.query, "offset", FARTHEST)
    return limit, offset or 0


def _views(found: Context, *, rates: bool = True) -> Iterable[Json]:
    live = found.live
    if rates:
        return views.route_views(live.table, live.state, live.orders, found.traffic.rates())
    return map(_unmeasured, views.route_views(live.table, live.state, live.orders, {}))


def _unmeasured(view: Json) -> Json:
    """A route without what changes although nobody changes anything."""
    return {name: value for name, value in view.items() if name not in {"measured", "requests_per_second"}}


def _filtered(routes: Iterable[Json], group: str | None, part: str | None, side: str | None) -> Iterable[Json]:
    for route in routes:
        if group is not None and route["group"] != group:
            continue
        if part is not None and part.lower() not in f"{route['name']}\n{route['path']}\n{route['host']}".lower():
            continue
        if side is not None and (side == "new") is not (route["effective"] > 0):
            continue
        yield route


async def route(request: web.Request) -> web.Response:
    return answer(_route(context(request), request.match_info["name"]))


def _route(found: Context, name: str) -> Json:
    for view in _views(found):
        if view["name"] == name:
            return {"revision": found.live.revision, **view}
    raise Problem(404, "unknown-route", f"there is no route {name[:200]!r}", "see GET /api/v1/routes")


async def orders(request: web.Request) -> web.Response:
    live = context(request).live
    return answer({"revision": live.revision, "orders": [views.order_view(order) for order in live.orders]})


async def order(request: web.Request) -> web.Response:
    return answer(views.order_view(_order(request)))


async def order_traffic(request: web.Request) -> web.Response:
    """What is on the new side within the order's scope at this moment: two looks prove that a rollback has taken."""
    given = _order(request)
    return answer({"order": given.id, **await proof.left_on_new(context(request), given.scope)})


def _order(request: web.Request) -> Order:
    wanted = request.match_info["id"]
    for each in context(request).live.orders:
        if each.id == wanted:
            return each
    raise Problem(404, "unknown-order", f"no order {wanted[:40]!r} is in force", "see GET /api/v1/orders")


# -- what was ----------------------------------------------------------------------------------------------------------


async def revisions(request: web.Request) -> web.Response:
    """`?route=NAME`: only those that changed its share, with that one route; among the newest few thousand."""
    body.only(request.query, ("limit", "before", "whole", "route"))
    whole = body.flag(request.query, "whole")
    limit = body.bounded(request.query, "limit", MOST) or PAGE
    before = body.whole(request.query["before"], "before") if "before" in request.query else None
    if "route" in request.query:
        past = await _past_of(context(request), request.query["route"], limit, before)
        whole = True
    else:
        past = await _past(context(request), limit, before)
    found = [views.revision_view(revision, whole=whole) for revision in past]
    return answer({"revision": context(request).live.revision, "revisions": found})


async def revision(request: web.Request) -> web.Response:
    number = body.whole(request.match_info["number"], "number")
    live = context(request).live
    found = live.revision_detail(number)
    if found is None:
        older = await _past(context(request), 1, number + 1)
        found = next((each for each in older if each.number == number), None)
    if found is None:
        raise Problem(404, "unknown-revision", f"there is no revision {number}", "see GET /api/v1/revisions")
    return answer(views.revision_view(found, whole=True))


async def difference(request: web.Request) -> web.Response:
    """From one revision to another: routes.yaml, shares in force, orders."""
    first, second = (body.whole(request.match_info[name], name) for name in ("number", "other"))
    said = await context(request).live.difference(first, second)
    if isinstance(said, Refusal):
        raise Problem.of(said)
    return answer(views.difference_view(said))


async def _past(found: Context, limit: int, before: int | None) -> list[Revision]:
    """From the store, as far back as there is anything; without it, what is still in memory."""
    past = await found.live.past(limit, before)
    return found.live.history(limit, before) if isinstance(past, Refusal) else past


async def _past_of(found: Context, name: str, limit: int, before: int | None) -> list[Revision]:
    """Revisions that changed one route, each with what it did to that route alone."""
    kept: list[Revision] = []
    for _ in range(LOOKED_BACK // MOST):
        page = await _past(found, MOST, before)
        for each in page:
            own = tuple(route for route in each.changes.routes if route.name == name)
            if own:
                kept.append(replace(each, changes=replace(each.changes, routes=own)))
        if len(kept) >= limit or len(page) < MOST:
            break
        before = page[-1].number
    return kept[:limit]


# -- questions ---------------------------------------------------------------------------------------------------------


async def explained(request: web.Request) -> web.Response:
    """`?method=GET&path=/v1/products/7&header=X-User-Id:%20u-1&client=10.0.0.1`; `header` may stand several times.

    Or `?request-id=...`: what became of a finished exchange.
    """
    if "request-id" in request.query:
        return await served(request)
    body.only(request.query, ("method", "path", "header", "client"))
    asked = Asked(
        request.query.get("method", "GET").upper(),
        _path(request.query.get("path", "")),
        tuple(_header(line) for line in request.query.getall("header", ())),
        request.query.get("client", ""),
    )
    if not asked.method.isascii() or not asked.method.isalpha():
        raise invalid("method", f"{asked.method[:40]!r} is no method", "write one such as GET")
    found = context(request)
    live = found.live
    said = explain(asked, live.table, live.state, live.orders, found.matcher(), live.observed)
    return answer({"revision": live.revision, **views.explanation_view(said)})


def _path(path: str) -> str:
    if not path.startswith(("/", "http://", "https://")) and path != "*":
        what = f"{path[:100]!r} is no path" if path else "it is missing"
        raise invalid("path", what, "write it as a client sends it, from the first slash on")
    return path


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or not (name.isascii() and line.isprintable()):
        raise invalid("header", f"{line[:100]!r} is no header line", "write it as 'Name: value'")
    return name.strip(), value.strip()


async def check(request: web.Request) -> web.Response:
    """Would this routes.yaml be accepted?  Nothing takes force."""
    found = await request.app[CONTEXT].checker.compile(await body.read_bytes(request, MAX_YAML))
    if isinstance(found, Problems):
        problem = Problem(422, "invalid", f"{len(found.lines)} problems", "mend them and check again")
        problem.problems = found.lines
        return problem.answer()
    return answer({"ok": True, "routes": len(found.table.routes), "notes": list(found.notes)})


async def preview(request: web.Request) -> web.Response:
    """`{"kind": "weight", "scope": {...}, "weight": 25}`: what would it change, and against which rules?"""
    asked = await shapes.said(request)
    found = context(request)
    share = asked.get("weight", asked.get("cap"))
    said = await found.live.preview(asked["kind"], asked["scope"], share=share, side=asked.get("side"))
    if isinstance(said, Refusal):
        raise Problem.of(said)
    traffic = any(found.traffic.recent().values())
    return answer(views.plan_view(said, found.live.revision, found.live.table, traffic=traffic))


async def plan(request: web.Request) -> web.Response:
    """What would this routes.yaml change against what is in force, and would the safety rules let it pass?"""
    found = context(request)
    said = await found.live.plan(await body.read_bytes(request, MAX_YAML))
    if isinstance(said, Refusal):
        raise Problem.of(said)
    traffic = any(found.traffic.recent().values())
    return answer(views.plan_view(said, found.live.revision, found.live.table, traffic=traffic))

"""What a rollback means for traffic: what it skips, what comes back to legacy, and what is left on the new side.

Counters are read here and nowhere changed.  What is in flight is told as the workers' gauges have it; exchanges that
began before the rollback end where they began.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from control.api.context import Context
from control.counters import sliced
from router.answers import Change
from router.core.model import Route, Side
from router.core.orders import Covering, Kind, Order, Reach, Scope
from router.core.place import covered

Json = dict[str, Any]

TOLERANCE: Final = 1.1
"""So far above what it has served lately legacy may come without a warning: rates waver."""


def consequences(found: Context, change: Change) -> Json:
    """Of a rollback that has just taken force."""
    return {"skipped": list(_skipped(found, change)), "legacy": _legacy(found, change)}


def _skipped(found: Context, change: Change) -> Iterator[Json]:
    """The routes of its scopes that it does not move, each with the reason."""
    given = given_by(change)
    if change.already or not given:
        return
    live = found.live
    moved = {route.name for route in change.routes}
    left = {route.name for route, entry in zip(live.table.routes, live.state.routes, strict=True) if entry.share}
    holding = [order for order in live.orders if _holds(order) and order not in given]
    named = {order.scope.name: order for order in holding if order.scope.reach is Reach.ROUTE}
    wide = [order for order in holding if order.scope.reach is not Reach.ROUTE]
    covering = Covering(given)
    for route in live.table.routes:
        if route.name not in moved and not covering.none_over(route) and covering.over(route):
            held = next((order for order in wide if order.scope.covers(route)), named.get(route.name))
            later = "it comes down with a later step" if route.name in left else ""
            yield {"name": route.name, "why": later or _why(route, held)}


def given_by(change: Change) -> tuple[Order, ...]:
    """The orders of a change that gave some."""
    return () if change.order is None else (change.order, *change.more)


def _holds(order: Order) -> bool:
    """Does it send what it covers to legacy?"""
    return order.kind is Kind.ROLLBACK or (order.kind is Kind.PIN and order.side is Side.LEGACY)


def _why(route: Route, held: Order | None) -> str:
    if route.new is None:
        return "it has no new side"
    return "it was at 0 % already" if held is None else f"{held.id} holds it on legacy already"


def _legacy(found: Context, change: Change) -> Json:
    """What legacy serves, what comes back to it, and the most it has served lately: requests a second."""
    rates = found.traffic.rates()
    moved = {route.name for route in change.routes if (route.after or 0) < (route.before or 0)}
    slow = [order for order in given_by(change) if order.easing is not None]
    moved |= {route.name for order in slow for route in covered(found.live.table, order.scope)}
    now = sum(rate.legacy for rate in rates.values())
    returning = sum(rates[name].new for name in moved if name in rates)
    peak = found.traffic.legacy_peak()
    highest = max(peak.rate, now)
    return {
        "requests_per_second": round(now, 2),
        "returning": round(returning, 2),
        "highest": round(highest, 2),
        "highest_over": round(peak.seconds),
        "above_highest": bool(returning) and now + returning > highest * TOLERANCE,
    }


async def left_on_new(found: Context, scope: Scope) -> Json:
    """What is on the new side within a scope right now, and how much was answered there up to now.

    Two looks, and the difference of `answered` between them, prove that nothing goes there any more.  For a site the
    requests sent to its endpoints are counted, since routes are not counted by place.
    """
    found.traffic.refresh()
    left = await (_left_at_site(found, scope.name) if scope.reach is Reach.SITE else _left(found, scope))
    return left | {"at": found.traffic.elapsed(), "tunnel_drain": found.live.table.limits.tunnel_drain}


async def _left(found: Context, scope: Scope) -> Json:
    live = found.live
    current = {worker.id for worker in live.workers()}
    blocks = {route.name: live.blocks.routes[route.name] for route in covered(live.table, scope)}
    answered = in_flight = tunnels = 0
    async for _, start in sliced(blocks):
        now = found.traffic.now(start, Side.NEW, current)
        answered, in_flight, tunnels = answered + now.answered, in_flight + now.in_flight, tunnels + now.tunnels
    return {"answered": answered, "in_flight": in_flight, "tunnels": tunnels}


async def _left_at_site(found: Context, site: str) -> Json:
    """In flight and tunnels are None where the workers do not say."""
    left = await found.left_at_places()
    live = found.live
    keys = {
        f"{upstream.name} {endpoint}"
        for upstream in live.table.upstreams.values()
        for endpoint in upstream.sites.get(site, ())
    }
    starts = [start for key, start in live.blocks.endpoints.items() if key in keys]
    under_way = None if left is None else [left.get(key, (0, 0)) for key in keys]
    return {
        "answered": sum(map(found.traffic.endpoint_requests, starts)),
        "in_flight": None if under_way is None else sum(each[0] for each in under_way),
        "tunnels": None if under_way is None else sum(each[1] for each in under_way),
    }

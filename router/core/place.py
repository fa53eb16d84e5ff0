"""May this order be given, and what are the orders in force afterwards?

    weight     the newest order wins; one with the same scope replaces its predecessor, so lifting it leads back to
               what is declared or what an order of another scope says, never through a pile of old numbers
    rollback   holds besides everything else; giving the same one again changes nothing
    resume     lifts one order, and may put a weight in its place in the same step

An order that would do nothing because it names nothing is an `Objection`: a rollback with a typing error must never
look like one that worked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from router.core.model import PPM, Route, Table
from router.core.orders import Kind, Order, Reach, Scope, rules


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an order is refused, and what to do instead."""

    code: str
    detail: str
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who gives an order, when and why, and the number it gets if it becomes one."""

    number: int
    reason: str
    actor: str
    at: float


@dataclass(frozen=True, slots=True)
class Placed:
    """The orders afterwards, and the one that was given or lifted."""

    orders: tuple[Order, ...]
    order: Order
    already: bool = False
    """It was in force before, word for word: nothing changes."""
    lines: tuple[str, ...] = ()
    """What else people should know."""


def covered(table: Table, scope: Scope) -> tuple[Route, ...]:
    """The routes that a scope speaks of as a whole."""
    return tuple(route for route in table.routes if scope.covers(route))


def place_weight(table: Table, orders: Sequence[Order], scope: Scope, share: int, stamp: Stamp) -> Placed | Objection:
    """A weight for all routes of a scope that have a new side."""
    if not 0 <= share <= PPM:
        return Objection("invalid", f"a share of {share} ppm is outside 0..{PPM}", "give a weight from 0 to 100")
    if scope.reach is Reach.SITE:
        return Objection("invalid", "a site has no weight for orders", "change the site's weight in routes.yaml")
    objection = _reasonless(stamp) or names_nothing(table, scope)
    if objection:
        return objection
    routes = [route for route in covered(table, scope) if route.new]
    if not routes:
        return Objection("no-new-side", f"{scope} has no new side to send traffic to", "give it `new:` in routes.yaml")
    declared = {route.name: route.weight for route in routes}
    same = next((order for order in orders if order.kind is Kind.WEIGHT and order.scope == scope), None)
    if same and same.share == share and same.declared == declared and _is_newest_for(same, orders, routes):
        return Placed(tuple(orders), same, already=True)
    order = Order(stamp.number, Kind.WEIGHT, scope, stamp.reason, stamp.actor, stamp.at, share, declared)
    kept = tuple(other for other in orders if other is not same)
    replaced = (f"{order.id} replaces {same.id}",) if same else ()
    return Placed((*kept, order), order, lines=(*replaced, *_overruled(table, orders, routes, share)))


def place_rollback(table: Table, orders: Sequence[Order], scope: Scope, stamp: Stamp) -> Placed | Objection:
    """Legacy for everything in the scope."""
    for order in orders:
        if order.kind is Kind.ROLLBACK and order.scope == scope:
            return Placed(tuple(orders), order, already=True)
    objection = _reasonless(stamp) or names_nothing(table, scope)
    if objection:
        return objection
    order = Order(stamp.number, Kind.ROLLBACK, scope, stamp.reason, stamp.actor, stamp.at)
    return Placed((*orders, order), order)


def lift(table: Table, orders: Sequence[Order], order_id: str, share: int | None, stamp: Stamp) -> Placed | Objection:
    """Takes an order back; with a share, a weight order of the same scope takes its place in the same step."""
    order = next((order for order in orders if order.id == order_id), None)
    if order is None:
        return Objection("unknown-order", f"no order {order_id} is in force", _known_orders(orders))
    if objection := _reasonless(stamp):
        return objection
    left = tuple(other for other in orders if other is not order)
    if share is None:
        return Placed(left, order, lines=_still_held(table, left, order))
    placed = place_weight(table, left, order.scope, share, stamp)
    if isinstance(placed, Objection):
        return placed
    lines = (f"{order.id} is lifted", *placed.lines, *_still_held(table, left, order))
    return Placed(placed.orders, placed.order, lines=lines)


def names_nothing(table: Table, scope: Scope) -> Objection | None:
    """The objection to a scope that speaks of nothing in this table."""
    match scope.reach:
        case Reach.ALL:
            return None
        case Reach.GROUP:
            known = {*table.groups, *(route.group for route in table.routes if route.group)}
            return None if scope.name in known else _unknown("group", scope.name, known)
        case Reach.SITE:
            known = {*table.sites, *(site for upstream in table.upstreams.values() for site in upstream.sites if site)}
            return None if scope.name in known else _unknown("site", scope.name, known)
        case Reach.ROUTE:
            found = any(scope.covers(route) for route in table.routes)
            return None if found else _unknown("route", scope.name, {route.name for route in table.routes})


def _unknown(what: str, name: str, known: set[str]) -> Objection:
    close = get_close_matches(name, sorted(known), n=3, cutoff=0.5) if len(name) <= 200 else []
    instead = f"did you mean {' or '.join(map(repr, close))}?" if close else f"see the {what}s in `strangler status`"
    return Objection(f"unknown-{what}", f"there is no {what} {name!r}", instead)


def _reasonless(stamp: Stamp) -> Objection | None:
    if stamp.reason.strip():
        return None
    return Objection("invalid", "an order needs a reason", "say why, for those who read the history at 3 a.m.")


def _is_newest_for(order: Order, orders: Sequence[Order], routes: Sequence[Route]) -> bool:
    newer = [other for other in orders if other.kind is Kind.WEIGHT and other.number > order.number]
    return not any(rules(other, route) for other in newer for route in routes)


def _overruled(table: Table, orders: Sequence[Order], routes: Sequence[Route], share: int) -> tuple[str, ...]:
    """What keeps some of these routes below the share that is asked for."""
    held = [
        f"{order.id} ({order.scope}) still holds legacy: the weight counts once it is lifted"
        for order in orders
        if order.kind is Kind.ROLLBACK and any(order.scope.covers(route) for route in routes)
    ]
    caps = {route.group: table.groups[route.group].cap for route in routes if route.group in table.groups}
    capped = [
        f"the cap of group {group} holds its routes at {cap / 10_000:g} %"
        for group, cap in caps.items()
        if cap is not None and cap < share
    ]
    return (*held, *capped)


def _still_held(table: Table, left: Sequence[Order], lifted: Order) -> tuple[str, ...]:
    """Other rollbacks over what was lifted: resuming one does not resume the others."""
    if lifted.kind is not Kind.ROLLBACK:
        return ()
    routes = covered(table, lifted.scope)
    return tuple(
        f"{order.id} ({order.scope}) still holds legacy"
        for order in left
        if order.kind is Kind.ROLLBACK and any(order.scope.covers(route) for route in routes)
    )


def _known_orders(orders: Sequence[Order]) -> str:
    if not orders:
        return "no orders are in force"
    shown = ", ".join(order.id for order in orders[-10:])
    return f"in force: {shown}" + (" and others" if len(orders) > 10 else "")

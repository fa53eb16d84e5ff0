"""May this order be given, and what are the orders in force afterwards?

    weight     the newest order wins; one with the same scope replaces its predecessor, so lifting it leads back to
               what is declared or what an order of another scope says, never through a pile of old numbers; one that
               ends by itself only stands in for its predecessor, which holds again afterwards
    rollback   holds besides everything else; giving the same one again changes nothing, unless that one is still on
               its way: then it is at 0 at once.  Several in one step are given as one change
    pin, cap, freeze, drain, off
               hold besides everything else; one of the same kind and scope replaces its predecessor likewise
    on         lifts every drain and off of one site
    resume     lifts one order, and may put a weight in its place in the same step
    confirm    an order that was given for a trial stays

An order that would do nothing because it names nothing is an `Objection`: a rollback with a typing error must never
look like one that worked.  Whether a change that is placed is also *wise* is for `router.core.safety` to say.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

from router.core.model import PPM, Route, Side, Table
from router.core.orders import Covering, Easing, EffectiveState, Kind, Order, Reach, Scope, effective, rules, shares_of

_SINGLE: Final = 200
"""Routes that are rolled back one by one; for more a scope has to be named."""
_NAMED: Final = 5
"""Routes that are named in a line."""
_STACKED: Final = 8
"""Orders that one may stand in for; the newest of them and the oldest are kept."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an order is refused, and what to do instead."""

    code: str
    detail: str
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who gives an order, when and why, the number it gets if it becomes one, and when it ends."""

    number: int
    reason: str
    actor: str
    at: float
    expires: float | None = None
    """Unix time; None: when somebody lifts it."""
    provisional: bool = False
    """It ends then unless somebody confirms it before."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The orders afterwards, and the one that was given or lifted."""

    orders: tuple[Order, ...]
    order: Order
    already: bool = False
    """It was in force before, word for word: nothing changes."""
    lines: tuple[str, ...] = ()
    """What else people should know."""
    more: tuple[Order, ...] = ()
    """Those that were given in the same step."""

    @property
    def given(self) -> tuple[Order, ...]:
        return (self.order, *self.more)


def covered(table: Table, scope: Scope) -> tuple[Route, ...]:
    """The routes that a scope speaks of as a whole."""
    if one := scope.one:
        return tuple(route for route in table.routes if route.name == one)
    if scope.reach is Reach.GROUP and (group := scope.name):
        return tuple(route for route in table.routes if route.group == group)
    return tuple(route for route in table.routes if scope.covers(route))


def place_weight(table: Table, orders: Sequence[Order], scope: Scope, share: int, stamp: Stamp) -> Placed | Objection:
    """A weight for all routes of a scope that have a new side."""
    if not 0 <= share <= PPM:
        return Objection("invalid", f"a share of {share} ppm is outside 0..{PPM}", "give a weight from 0 to 100")
    objection = _no_share_of_a_site(scope) or _reasonless(stamp) or names_nothing(table, scope)
    if objection:
        return objection
    routes = [route for route in covered(table, scope) if route.new]
    if not routes:
        return Objection("no-new-side", f"{scope} has no new side to send traffic to", "give it `new:` in routes.yaml")
    declared = {route.name: route.weight for route in routes}
    same = next((order for order in orders if order.kind is Kind.WEIGHT and order.scope == scope), None)
    order = replace(_order(Kind.WEIGHT, scope, stamp), share=share, declared=declared)
    if same and _says_the_same(same, order) and _is_newest_for(same, orders, routes):
        return Placed(tuple(orders), same, already=True)
    placed = _in_place_of(orders, same, order)
    return replace(placed, lines=(*placed.lines, *_overruled(table, orders, routes, share)))


def place_rollback(
    table: Table, orders: Sequence[Order], scope: Scope, stamp: Stamp, over: float | None = None
) -> Placed | Objection:
    """Legacy for everything in the scope: at once, or in steps `over` so many seconds."""
    for order in orders:
        if order.kind is Kind.ROLLBACK and order.scope == scope:
            return overtaken(orders, order) if over is None else Placed(tuple(orders), order, already=True)
    objection = _reasonless(stamp) or names_nothing(table, scope) or (_no_steps_at_a_site(scope) if over else None)
    if objection:
        return objection
    order = _order(Kind.ROLLBACK, scope, stamp)
    if over:
        order = _in_steps(table, orders, order, over)
    return Placed((*orders, order), order, lines=_old_data(table, scope))


def _old_data(table: Table, scope: Scope) -> tuple[str, ...]:
    """What a person has to know who sends finalised routes to legacy: an order is obeyed all the same."""
    names = [route.name for route in covered(table, scope) if route.finalised]
    if not names:
        return ()
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (f"finalised: legacy has old data for {', '.join(names[:_NAMED])}{more}",)


def overtaken(orders: Sequence[Order], order: Order) -> Placed:
    """A rollback that holds already; if it is still on its way, it is at 0 now."""
    if order.easing is None:
        return Placed(tuple(orders), order, already=True)
    done = replace(order, share=0, easing=None)
    line = f"{order.id} was on its way, and is at 0 now"
    return Placed(tuple(done if other is order else other for other in orders), done, lines=(line,))


def place_rollbacks(
    table: Table, orders: Sequence[Order], scopes: Sequence[Scope], stamp: Stamp, over: float | None = None
) -> Placed | Objection:
    """Several in one step: all of them, or none."""
    given: list[Placed] = []
    for scope in scopes:
        placed = place_rollback(table, orders, scope, stamp, over)
        if isinstance(placed, Objection):
            return placed
        if not placed.already and placed.order.number == stamp.number:
            stamp = replace(stamp, number=stamp.number + 1)
        orders = placed.orders
        given.append(placed)
    if not given:
        return Objection("invalid", "no scope is named", "name a route, a group, a site or all")
    made = [placed for placed in given if not placed.already] or given
    held = [f"{placed.order.scope} is held by {placed.order.id} already" for placed in given if placed not in made]
    lines = (*(line for placed in given for line in placed.lines), *held)
    return Placed(
        tuple(orders),
        made[0].order,
        already=made is given,
        lines=lines,
        more=tuple(placed.order for placed in made[1:]),
    )


def raised_scopes(table: Table, state: EffectiveState, names: Collection[str]) -> tuple[Scope, ...] | Objection:
    """What was raised and still has a share: groups that are raised as a whole, and single routes."""
    shares = shares_of(table, state)
    known = frozenset(names)
    raised = [route for route in table.routes if route.name in known and shares[route.name]]
    if not raised and names:
        some = ", ".join(list(names)[:5])
        return Objection(
            "nothing-raised", f"what was raised is at 0 % again already: {some}", "see `strangler history`"
        )
    if not raised:
        return Objection("nothing-raised", "no change in that time has raised a share", "name a route or a group")
    in_part = {route.group for route in table.routes if shares[route.name] and route.name not in known}
    groups = [group for group in dict.fromkeys(route.group for route in raised) if group and group not in in_part]
    if len(raised) == 1:
        groups = []
    whole = frozenset(groups)
    single = [route.name for route in raised if route.group not in whole]
    if len(single) > _SINGLE:
        detail = f"{len(single)} routes were raised that are no whole groups: {', '.join(single[:5])} ..."
        return Objection("nothing-raised", detail, "name a glob or a group, or roll back everything (--all)")
    return (*(Scope(Reach.GROUP, group) for group in groups), *(Scope(Reach.ROUTE, name) for name in single))


def _in_steps(table: Table, orders: Sequence[Order], order: Order, over: float) -> Order:
    """The same on its way, if there is anything to take away."""
    state = effective(table, orders)
    shares = (entry.share for route, entry in zip(table.routes, state.routes, strict=True) if order.scope.covers(route))
    easing = Easing(max(shares, default=0), order.created, over)
    share = easing.ceiling(order.created)
    return replace(order, share=share, easing=easing) if share else order


def _no_steps_at_a_site(scope: Scope) -> Objection | None:
    if scope.reach is not Reach.SITE:
        return None
    return Objection("invalid", "a site has no share of its own that could come down in steps", "roll it back at once")


def place_pin(table: Table, orders: Sequence[Order], scope: Scope, side: Side, stamp: Stamp) -> Placed | Objection:
    """One side for everything in the scope, whatever weights and overrides say."""
    if objection := _no_share_of_a_site(scope):
        return objection
    if side is Side.NEW and not any(route.new for route in covered(table, scope)):
        return names_nothing(table, scope) or Objection(
            "no-new-side", f"{scope} has no new side to send traffic to", "give it `new:` in routes.yaml"
        )
    return _replace(table, orders, replace(_order(Kind.PIN, scope, stamp), side=side), stamp)


def place_cap(table: Table, orders: Sequence[Order], scope: Scope, share: int, stamp: Stamp) -> Placed | Objection:
    """A ceiling for the share of each route in the scope."""
    if not 0 <= share <= PPM:
        return Objection("invalid", f"a share of {share} ppm is outside 0..{PPM}", "give a cap from 0 to 100")
    if objection := _no_share_of_a_site(scope):
        return objection
    return _replace(table, orders, replace(_order(Kind.CAP, scope, stamp), share=share), stamp)


def place_freeze(table: Table, orders: Sequence[Order], scope: Scope, stamp: Stamp) -> Placed | Objection:
    """No share in the scope may rise."""
    if objection := _no_share_of_a_site(scope):
        return objection
    return _replace(table, orders, _order(Kind.FREEZE, scope, stamp), stamp)


def place_drain(table: Table, orders: Sequence[Order], site: str, stamp: Stamp) -> Placed | Objection:
    """A site takes no more requests; those that would be drawn to it are drawn again among the others."""
    return _replace(table, orders, _order(Kind.DRAIN, Scope(Reach.SITE, site), stamp), stamp)


def place_off(table: Table, orders: Sequence[Order], site: str, stamp: Stamp) -> Placed | Objection:
    """The same at once: tunnels are cut."""
    return _replace(table, orders, _order(Kind.OFF, Scope(Reach.SITE, site), stamp), stamp)


def place_on(table: Table, orders: Sequence[Order], site: str, stamp: Stamp) -> Placed | Objection:
    """Lifts whatever keeps requests from a site, but a rollback, and what such orders stand in for."""
    scope = Scope(Reach.SITE, site)
    closing = [order for order in orders if order.kind in {Kind.DRAIN, Kind.OFF} and order.scope == scope]
    if not closing:
        return names_nothing(table, scope) or _not_closed(orders, scope)
    if objection := _reasonless(stamp):
        return objection
    left = tuple(order for order in orders if order not in closing)
    lines = tuple(f"{order.id} is lifted" for order in closing[:-1])
    return Placed(left, closing[-1], lines=(*lines, *_still_rolled_back(orders, scope)))


def _not_closed(orders: Sequence[Order], scope: Scope) -> Objection:
    rolled_back = "; ".join(_still_rolled_back(orders, scope))
    instead = rolled_back or "see `strangler sites`"
    return Objection("not-closed", f"the site {scope.name} is neither drained nor off", instead)


def _still_rolled_back(orders: Sequence[Order], scope: Scope) -> tuple[str, ...]:
    held = [order.id for order in orders if order.kind is Kind.ROLLBACK and order.scope == scope]
    return tuple(f"{each} goes on sending to legacy what is drawn to it: strangler resume {each}" for each in held)


def confirm(orders: Sequence[Order], order_id: str) -> Placed | Objection:
    """A trial has passed: the order stays until somebody lifts it."""
    order = next((order for order in orders if order.id == order_id), None)
    if order is None:
        return Objection("unknown-order", f"no order {order_id} is in force", _known_orders(orders))
    if not order.provisional:
        return Placed(tuple(orders), order, already=True)
    stays = replace(order, provisional=False, expires=None, before=())
    return Placed(tuple(stays if other is order else other for other in orders), stays)


def _order(kind: Kind, scope: Scope, stamp: Stamp) -> Order:
    return Order(
        stamp.number,
        kind,
        scope,
        stamp.reason,
        stamp.actor,
        stamp.at,
        expires=stamp.expires,
        provisional=stamp.provisional,
    )


def _replace(table: Table, orders: Sequence[Order], order: Order, stamp: Stamp) -> Placed | Objection:
    """The order in force, in the place of one of the same kind and scope."""
    if objection := _reasonless(stamp) or names_nothing(table, order.scope):
        return objection
    same = next((other for other in orders if other.kind is order.kind and other.scope == order.scope), None)
    if same is not None and _says_the_same(same, order):
        return Placed(tuple(orders), same, already=True)
    return _in_place_of(orders, same, order)


def _in_place_of(orders: Sequence[Order], same: Order | None, order: Order) -> Placed:
    """The order in force in the place of another, for good or until it ends."""
    kept = tuple(other for other in orders if other is not same)
    if same is None:
        return Placed((*kept, order), order)
    if order.expires is None:
        return Placed((*kept, order), order, lines=(f"{order.id} replaces {same.id}",))
    earlier = (replace(same, before=()), *same.before)
    left = [each for each in earlier if each.expires is None or each.expires > order.expires]
    order = replace(order, before=(*left[: _STACKED - 1], *left[_STACKED - 1 :][-1:]))
    return Placed((*kept, order), order, lines=(f"{order.id} stands in for {same.id} until it ends",))


def _says_the_same(one: Order, two: Order) -> bool:
    """Would giving the second in the presence of the first change nothing?"""
    said = [(o.kind, o.scope, o.share, o.side, dict(o.declared), o.expires, o.provisional) for o in (one, two)]
    return said[0] == said[1]


def _no_share_of_a_site(scope: Scope) -> Objection | None:
    if scope.reach is not Reach.SITE:
        return None
    return Objection("invalid", "a site has no share of its own", "drain it, roll it back, or change its weight")


def lift(table: Table, orders: Sequence[Order], order_id: str, share: int | None, stamp: Stamp) -> Placed | Objection:
    """Takes an order back; with a share, a weight order of the same scope takes its place in the same step."""
    order = next((order for order in orders if order.id == order_id), None)
    if order is None:
        return Objection("unknown-order", f"no order {order_id} is in force", _known_orders(orders))
    if objection := _reasonless(stamp):
        return objection
    left = tuple(other for other in orders if other is not order)
    if share is None:
        again = order.successor(stamp.at)
        lines = _still_held(table, left, order)
        if again is None:
            return Placed(left, order, lines=lines)
        return Placed((*left, again), order, lines=(f"{again.id} holds again", *lines))
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
            if scope.name in table.groups:
                return None
            known = {*table.groups, *(route.group for route in table.routes if route.group)}
            return None if scope.name in known else _unknown("group", scope.name, known)
        case Reach.SITE:
            known = {*table.sites, *(site for upstream in table.upstreams.values() for site in upstream.sites if site)}
            return None if scope.name in known else _unknown("site", scope.name, known)
        case Reach.ROUTE:
            return (
                None if covered(table, scope) else _unknown("route", scope.name, {route.name for route in table.routes})
            )


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
    known = {route.name: route for route in routes}
    return not any(rules(other, known[name]) for other in newer for name in other.declared if name in known)


def _overruled(table: Table, orders: Sequence[Order], routes: Sequence[Route], share: int) -> tuple[str, ...]:
    """What keeps some of these routes below the share that is asked for."""
    covering = Covering(order for order in orders if order.kind in {Kind.ROLLBACK, Kind.PIN, Kind.CAP})
    touching = {order.number for route in routes for order in covering.over(route)}
    held = [
        f"{order.id} ({order.scope}) still holds legacy: the weight counts once it is lifted"
        for order in orders
        if order.kind is Kind.ROLLBACK and order.number in touching
    ]
    held += [
        f"{order.id} ({order.scope}) pins to {order.side.label}: the weight counts once it is lifted"
        for order in orders
        if order.kind is Kind.PIN and order.number in touching
    ]
    held += [
        f"{order.id} ({order.scope}) caps at {order.share / 10_000:g} %"
        for order in orders
        if order.kind is Kind.CAP and order.share < share and order.number in touching
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
    rollbacks = [order for order in left if order.kind is Kind.ROLLBACK]
    covering = Covering(rollbacks)
    touching = {order.number for route in covered(table, lifted.scope) for order in covering.over(route)}
    return tuple(f"{order.id} ({order.scope}) still holds legacy" for order in rollbacks if order.number in touching)


def _known_orders(orders: Sequence[Order]) -> str:
    if not orders:
        return "no orders are in force"
    shown = ", ".join(order.id for order in orders[-10:])
    return f"in force: {shown}" + (" and others" if len(orders) > 10 else "")

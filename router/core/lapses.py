"""What time and the past do to orders.

    due        orders whose time has come, but for those that a freeze holds back
    eased      the orders with the rollbacks that are on their way a step further
    soon       orders whose end people should hear of before
    restored   the orders of an old revision, with what must not be lost of the present
    revived    the weights that had given way to a routes.yaml which is taken back

An order that ends may let a share rise again (a cap, a pin to legacy).  That is what was asked for when it was given,
so the rules about steps do not stop it; a freeze does: under it the order goes on, overdue, until the freeze is lifted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.core.model import Table
from router.core.orders import Kind, Order, effective, lapse
from router.core.safety import Facts, Rule, check, steps

WARNING: Final = 1800.0
"""Seconds before its end at which people hear of it."""

_STAYING: Final = frozenset((Kind.ROLLBACK, Kind.FREEZE))
"""Kinds that a restored revision does not take away."""


@dataclass(frozen=True, slots=True)
class Due:
    """What ends now."""

    kept: tuple[Order, ...]
    """The orders afterwards."""
    gone: tuple[Order, ...]
    overdue: tuple[Order, ...]
    """Those whose time has come but that go on: rollbacks, and what a freeze holds back."""


def due(table: Table, orders: Sequence[Order], now: float) -> Due:
    """What ends at this time."""
    late = tuple(order for order in orders if order.overdue(now))
    if not late:
        return Due(tuple(orders), (), ())
    held: set[str] = set()
    before = (table, effective(table, orders))
    while True:
        staying = tuple(order for order in orders if order.id in held)
        kept, gone = lapse([order for order in orders if order.id not in held], now)
        kept = (*kept, *staying)
        raised = steps(before, (table, effective(table, kept)))
        frozen = {one.route for one in check(table, kept, raised, Facts(now)) if one.rule is Rule.FROZEN}
        if not frozen:
            return Due(kept, gone, tuple(order for order in late if order not in gone))
        held |= {order.id for order in _covering(table, gone, frozen)}


def _covering(table: Table, orders: Sequence[Order], routes: Collection[str]) -> list[Order]:
    known = {route.name: route for route in table.routes if route.name in routes}
    found = [order for order in orders if order.scope.touches(known)]
    return found or list(orders)


def eased(orders: Sequence[Order], now: float) -> tuple[tuple[Order, ...], tuple[Order, ...]]:
    """The orders at this time, and the rollbacks among them that have come a step further."""
    after = tuple(_eased(order, now) for order in orders)
    return after, tuple(new for old, new in zip(orders, after, strict=True) if new is not old)


def _eased(order: Order, now: float) -> Order:
    if order.easing is None or (left := order.easing.ceiling(now)) >= order.share:
        return order
    return replace(order, share=left, easing=order.easing if left else None)


def soon(orders: Iterable[Order], now: float) -> tuple[Order, ...]:
    """Orders that end within the time of a warning, but for those that were given for less."""
    return tuple(
        order
        for order in orders
        if order.expires is not None and 0 < order.expires - now <= WARNING < order.expires - order.created
    )


def restored(present: Sequence[Order], then: Sequence[Order], now: float) -> tuple[Order, ...]:
    """The orders of an old revision; rollbacks and freezes in force stay, and what ran out meanwhile does not return.

    An order that is still in force is taken as it is now: it may have been confirmed since.
    """
    known = {order.number: order for order in present}
    back, _ = lapse([known.get(order.number, order) for order in then], now)
    returned = {order.number for order in back}
    scopes = {(order.kind, order.scope) for order in back}
    staying = [
        order
        for order in present
        if order.kind in _STAYING and order.number not in returned and (order.kind, order.scope) not in scopes
    ]
    return tuple(sorted((*back, *staying), key=lambda order: order.number))


def revived(
    present: Sequence[Order], before: Sequence[Order], superseded: Iterable[tuple[str, str]]
) -> tuple[Order, ...]:
    """The present orders, with the weights back that gave way (`superseded`) to a file which is taken back now.

    What has been lifted or replaced by hand since stays so.
    """
    lost: dict[str, set[str]] = {}
    for order_id, route in superseded:
        lost.setdefault(order_id, set()).add(route)
    here = {order.number for order in present}
    back = {
        order.number: order
        for order in before
        if order.id in lost and (order.number in here or lost[order.id].issuperset(order.declared))
    }
    scopes = {order.scope for order in present if order.kind is Kind.WEIGHT and order.number not in back}
    again = {number: order for number, order in back.items() if order.scope not in scopes}
    kept = {order.number: order for order in present}
    return tuple(order for _, order in sorted((kept | again).items()))

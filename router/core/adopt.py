"""A hold that the workers were given becomes a rollback order: with its own actor, reason and time.

Unlike an order that is given now, it may name what the table does not know (any more): the workers hold it, so there
must be an order that a person can lift.
"""

from __future__ import annotations

from collections.abc import Sequence

from router.core.hold import Hold
from router.core.orders import Kind, Order
from router.core.place import Placed, overtaken


def place_hold(orders: Sequence[Order], hold: Hold, number: int) -> Placed:
    """The orders with the hold among them; a rollback of the same scope that is in force already stands for it."""
    for order in orders:
        if order.kind is Kind.ROLLBACK and order.scope == hold.scope:
            return overtaken(orders, order)
    order = Order(number, Kind.ROLLBACK, hold.scope, hold.reason, hold.actor, hold.at)
    return Placed((*orders, order), order, lines=(f"given to the workers as {hold.id} while control did not answer",))

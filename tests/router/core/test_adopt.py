"""A hold becomes an order."""

from __future__ import annotations

from router.core.adopt import place_hold
from router.core.hold import Hold
from router.core.orders import Easing, Kind, Order, Reach, Scope

HOLD = Hold("E-aaaa", Scope(Reach.GROUP, "shop"), "3 a.m.", "kim", 5.0)


def test_a_hold_keeps_its_actor_reason_and_time() -> None:
    """The history says who did it and when, not when control came back."""
    before = (Order(3, Kind.WEIGHT, Scope(Reach.ALL), "r", "lee", 1.0),)
    placed = place_hold(before, HOLD, 4)
    assert Order(4, Kind.ROLLBACK, HOLD.scope, "3 a.m.", "kim", 5.0) == placed.order
    assert (*before, placed.order) == placed.orders
    assert not placed.already
    assert "E-aaaa" in placed.lines[0]


def test_a_rollback_of_the_same_scope_stands_for_the_hold() -> None:
    """Two of them would have to be lifted twice."""
    known = Order(3, Kind.ROLLBACK, HOLD.scope, "r", "lee", 1.0)
    placed = place_hold((known,), HOLD, 4)
    assert (placed.already, placed.order, placed.orders) == (True, known, (known,))


def test_a_hold_overtakes_a_rollback_that_is_on_its_way() -> None:
    """The workers are at 0 already, and must not go back up when control takes over."""
    slow = Order(3, Kind.ROLLBACK, HOLD.scope, "r", "lee", 1.0, 750_000, easing=Easing(1_000_000, 1.0, 20.0))
    placed = place_hold((slow,), HOLD, 4)
    assert (False, 3, 0, None) == (placed.already, placed.order.number, placed.order.share, placed.order.easing)

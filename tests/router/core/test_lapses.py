"""What ends, what comes back, and what stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.core.lapses import WARNING, due, eased, restored, revived, soon
from router.core.model import Route, Side, Table
from router.core.orders import Easing, Kind, Order, Reach, Scope

TABLE = Table(
    legacy="old",
    upstreams={},
    routes=tuple(Route(name, f"/{name}", "old", new="new", weight=500_000) for name in "ab"),
)
ALL = Scope(Reach.ALL)
A = Scope(Reach.ROUTE, "a")


def order(number: int, kind: Kind, scope: Scope = A, expires: float | None = None, **more: object) -> Order:
    return Order(number, kind, scope, "why", "who", 0.0, expires=expires, **more)  # type: ignore[arg-type]


def weight(number: int, share: int, expires: float | None = None, before: tuple[Order, ...] = ()) -> Order:
    return order(number, Kind.WEIGHT, expires=expires, share=share, declared={"a": 500_000}, before=before)


def ids(orders: tuple[Order, ...]) -> list[str]:
    return [each.id for each in orders]


def test_the_moment_itself_is_the_end() -> None:
    """Until then it holds."""
    cap = order(1, Kind.CAP, expires=10.0, share=1)
    assert (["C-1"], []) == (ids(due(TABLE, (cap,), 9.99).kept), ids(due(TABLE, (cap,), 9.99).gone))
    assert ([], ["C-1"]) == (ids(due(TABLE, (cap,), 10.0).kept), ids(due(TABLE, (cap,), 10.0).gone))


def test_what_an_order_stood_in_for_holds_again_unless_its_own_time_has_come() -> None:
    """The newest of those that are left, with the rest behind it."""
    chain = (weight(3, 3, expires=15.0), weight(2, 2, expires=30.0), weight(1, 1))
    (first,) = due(TABLE, (weight(4, 4, expires=10.0, before=chain),), 10.0).kept
    assert ("W-3", ["W-2", "W-1"]) == (first.id, ids(first.before))
    (later,) = due(TABLE, (weight(4, 4, expires=10.0, before=chain),), 20.0).kept
    assert ("W-2", ["W-1"]) == (later.id, ids(later.before))
    (last,) = due(TABLE, (later,), 30.0).kept
    assert ("W-1", []) == (last.id, ids(last.before))


def test_a_freeze_holds_back_only_what_would_raise_what_it_covers() -> None:
    """The cap on the frozen route goes on, the one on the other ends."""
    caps = (order(1, Kind.CAP, expires=1.0, share=1), order(2, Kind.CAP, Scope(Reach.ROUTE, "b"), expires=1.0, share=1))
    freeze = order(3, Kind.FREEZE)
    found = due(TABLE, (*caps, freeze), 2.0)
    assert (["C-2"], ["C-1"]) == (ids(found.gone), ids(found.overdue))
    assert {"C-1", "F-3"} == set(ids(found.kept))


def test_a_freeze_that_ends_at_the_same_time_holds_nothing_back() -> None:
    """The state afterwards counts."""
    pin = order(1, Kind.PIN, expires=1.0, side=Side.LEGACY)
    assert ["P-1", "F-2"] == ids(due(TABLE, (pin, order(2, Kind.FREEZE, ALL, expires=1.0)), 1.0).gone)


def test_an_overdue_rollback_is_said_and_kept() -> None:
    """Whatever else ends."""
    held = order(1, Kind.ROLLBACK, ALL, expires=1.0)
    found = due(TABLE, (held, weight(2, 5, expires=1.0)), 1.0)
    assert (["R-1"], ["W-2"], ["R-1"]) == (ids(found.kept), ids(found.gone), ids(found.overdue))


@pytest.mark.parametrize(
    ("now", "expires", "expected"),
    [
        (2 * WARNING, 3 * WARNING, True),
        (2 * WARNING - 1, 3 * WARNING, False),
        (3 * WARNING, 3 * WARNING, False),
        (1.0, WARNING, False),
        (1.0, None, False),
    ],
)
def test_a_warning_comes_before_the_end_of_what_lasts_longer(now: float, expires: float | None, expected: bool) -> None:
    """Not for orders that were given for less than the warning, nor after the end."""
    assert expected is bool(soon((order(1, Kind.ROLLBACK, expires=expires),), now))


def test_restored_orders_are_those_of_then_with_the_holds_of_now() -> None:
    """Rollbacks and freezes stay, the same ones once; other orders of now go; what ran out does not return."""
    then = (weight(1, 5), order(2, Kind.CAP, expires=9.0, share=1), order(3, Kind.ROLLBACK, A))
    present = (order(4, Kind.ROLLBACK, A), order(5, Kind.ROLLBACK, ALL), order(6, Kind.FREEZE), weight(7, 6))
    assert ["W-1", "R-3", "R-5", "F-6"] == ids(restored(present, then, 10.0))


def test_an_order_that_is_still_there_is_restored_as_it_is_now() -> None:
    """It was on trial then, and somebody has confirmed it since."""
    then = weight(1, 5, expires=9.0)
    now = replace(then, expires=None)
    assert (now,) == restored((now,), (replace(then, provisional=True),), 10.0)


def test_weights_that_gave_way_come_back_unless_somebody_has_spoken_since() -> None:
    """Whole ones and partly overtaken ones; not those that were lifted or replaced by hand."""
    both = replace(weight(1, 5), declared={"a": 500_000, "b": 500_000}, scope=Scope(Reach.ROUTE, "[ab]"))
    gone = weight(2, 6)
    half = replace(both, declared={"b": 500_000})
    superseded = (("W-1", "a"), ("W-2", "a"))
    assert (both, gone) == revived((half,), (both, gone), superseded)
    assert (gone,) == revived((), (both, gone), superseded), "the half that was left has been lifted"
    replaced = weight(3, 7)
    assert (both, replaced) == revived((half, replaced), (both, gone), superseded)


def test_what_a_step_leaves_is_a_share_that_people_can_write() -> None:
    """Two decimals of a percent, rounded to legacy; of next to nothing nothing is left."""
    assert [9_300, 6_200, 3_100] == [Easing(12_400, 0.0, 3.0).ceiling(now) for now in (0.0, 1.0, 2.0)]
    assert [900, 600, 300] == [Easing(1_299, 0.0, 3.0).ceiling(now) for now in (0.0, 1.0, 2.0)]
    assert 0 == Easing(100, 0.0, 3.0).ceiling(0.0)


def test_a_rollback_in_steps_comes_down_to_nothing() -> None:
    """A third of the time at each step; late or early, and when the clock is set back, never up again."""
    slow = Order(3, Kind.ROLLBACK, Scope(Reach.ALL), "r", "lee", 100.0, 450_000, easing=Easing(600_000, 100.0, 30.0))
    shares = {}
    for now in (100.0, 109.9, 110.0, 119.9, 120.0, 129.9, 130.0, 10_000.0, 99.0):
        (after,), moved = eased((slow,), now)
        assert moved == (() if after is slow else (after,))
        shares[now] = after.share
        assert (after.share == 0) is (after.easing is None)
    assert [450_000, 450_000, 300_000, 300_000, 150_000, 150_000, 0, 0, 0] == list(shares.values())

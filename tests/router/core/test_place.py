"""May an order be given, and what stands in force afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import PPM, Group, Route, Table
from router.core.orders import Kind, Order, Reach, Scope, effective
from router.core.place import Objection, Placed, Stamp, lift, place_rollback, place_weight
from tests.router.core.tables import orders, scopes, shares, tables

STAMP = Stamp(100, "because", "sre", 5.0)
TABLE = Table(
    "old",
    {},
    (
        Route("a", "/a", "old", new="new", weight=100_000, group="g"),
        Route("b", "/b", "old", new="new", weight=200_000),
        Route("only-legacy", "/c", "old"),
    ),
    {"g": Group("g", cap=400_000)},
)


def named(name: str) -> Scope:
    return Scope(Reach.ROUTE, name)


def placed(outcome: Placed | Objection) -> Placed:
    assert isinstance(outcome, Placed), outcome
    return outcome


def objection(outcome: Placed | Objection) -> Objection:
    assert isinstance(outcome, Objection), outcome
    return outcome


def test_a_weight_remembers_what_was_declared() -> None:
    """Of each route that it rules; routes without a new side are not among them."""
    order = placed(place_weight(TABLE, (), named("*"), 500_000, STAMP)).order
    assert {"a": 100_000, "b": 200_000} == order.declared
    assert ("W-100", "because", "sre", 5.0) == (order.id, order.reason, order.actor, order.created)


def test_a_weight_replaces_the_one_of_the_same_scope_only() -> None:
    """Lifting it leads back to the wider order, not to a pile of old numbers."""
    wide = placed(place_weight(TABLE, (), named("*"), 10, replace(STAMP, number=1)))
    first = placed(place_weight(TABLE, wide.orders, named("a"), 20, replace(STAMP, number=2)))
    second = placed(place_weight(TABLE, first.orders, named("a"), 30, replace(STAMP, number=3)))
    assert (1, 3) == tuple(order.number for order in second.orders)
    assert ("W-3 replaces W-2",) == second.lines
    lifted = placed(lift(TABLE, second.orders, "W-3", None, STAMP))
    assert 10 == effective(TABLE, lifted.orders).routes[0].share


def test_the_same_weight_again_changes_nothing() -> None:
    """But it does when another order has spoken since, or the file has."""
    first = placed(place_weight(TABLE, (), named("a"), 20, STAMP))
    again = replace(STAMP, number=101)
    assert placed(place_weight(TABLE, first.orders, named("a"), 20, again)).already
    wide = placed(place_weight(TABLE, first.orders, named("*"), 70, again))
    assert not placed(place_weight(TABLE, wide.orders, named("a"), 20, replace(STAMP, number=102))).already


@pytest.mark.parametrize(
    ("scope", "share", "code"),
    [
        (named("nope"), 1, "unknown-route"),
        (Scope(Reach.GROUP, "nope"), 1, "unknown-group"),
        (Scope(Reach.SITE, "pangyo"), 1, "invalid"),
        (named("only-legacy"), 1, "no-new-side"),
        (named("a"), PPM + 1, "invalid"),
        (named("a"), -1, "invalid"),
    ],
)
def test_a_weight_for_nothing_is_refused(scope: Scope, share: int, code: str) -> None:
    """With a code, and with what to do instead."""
    found = objection(place_weight(TABLE, (), scope, share, STAMP))
    assert code == found.code
    assert found.instead


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        (named("nope*"), "unknown-route"),
        (Scope(Reach.GROUP, ""), "unknown-group"),
        (Scope(Reach.SITE, "x"), "unknown-site"),
    ],
)
def test_a_rollback_of_nothing_is_refused(scope: Scope, code: str) -> None:
    """A typing error must not look like a rollback."""
    assert code == objection(place_rollback(TABLE, (), scope, STAMP)).code


def test_a_rollback_may_cover_routes_without_a_new_side() -> None:
    """They are on legacy already; it holds for them once they get one."""
    assert not placed(place_rollback(TABLE, (), named("only-legacy"), STAMP)).already


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_every_order_needs_a_reason(reason: str) -> None:
    """Weight, rollback and resume alike."""
    stamp, held = replace(STAMP, reason=reason), placed(place_rollback(TABLE, (), Scope(Reach.ALL), STAMP))
    outcomes = (
        place_weight(TABLE, (), named("a"), 1, stamp),
        place_rollback(TABLE, (), named("a"), stamp),
        lift(TABLE, held.orders, held.order.id, None, stamp),
    )
    assert ["invalid"] * 3 == [objection(outcome).code for outcome in outcomes]


def test_lifting_what_is_not_there_names_what_is() -> None:
    """So that the next attempt finds it."""
    held = placed(place_rollback(TABLE, (), named("a"), STAMP))
    found = objection(lift(TABLE, held.orders, "R-7", None, STAMP))
    assert ("unknown-order", "in force: R-100") == (found.code, found.instead)


@given(st.data())
def test_a_rollback_of_any_scope_comes_to_0_and_lifting_it_brings_back_what_was(data: st.DataObject) -> None:
    """Whatever else is in force."""
    drawn = data.draw(tables())
    given_orders = tuple(order for order in data.draw(orders(drawn)) if order.number < STAMP.number)
    scope = data.draw(scopes(drawn))
    outcome = place_rollback(drawn, given_orders, scope, STAMP)
    if isinstance(outcome, Objection) or outcome.already:
        return
    state = effective(drawn, outcome.orders)
    pairs = zip(drawn.routes, state.routes, strict=True)
    assert all(entry.share == 0 for route, entry in pairs if scope.covers(route))
    lifted = placed(lift(drawn, outcome.orders, outcome.order.id, None, STAMP))
    assert effective(drawn, given_orders) == effective(drawn, lifted.orders)


@given(st.data())
def test_a_weight_is_in_force_unless_something_above_it_holds(data: st.DataObject) -> None:
    """Exactly its share, or less under a cap or a rollback; other routes stay as they were."""
    drawn, share = data.draw(tables()), data.draw(shares)
    given_orders: tuple[Order, ...] = tuple(o for o in data.draw(orders(drawn)) if o.number < STAMP.number)
    scope = data.draw(scopes(drawn))
    outcome = place_weight(drawn, given_orders, scope, share, STAMP)
    if isinstance(outcome, Objection):
        return
    before, after = effective(drawn, given_orders).routes, effective(drawn, outcome.orders).routes
    held = [order for order in given_orders if order.kind is Kind.ROLLBACK]
    for route, was, now in zip(drawn.routes, before, after, strict=True):
        if route.name not in outcome.order.declared:
            assert was == now
        elif any(order.scope.covers(route) for order in held):
            assert now.share == 0
        else:
            cap = drawn.groups[route.group].cap if route.group else None
            assert now.share == min(share, PPM if cap is None else cap)

"""May an order be given, and what stands in force afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import PPM, Group, Route, Side, Site, Table
from router.core.orders import EffectiveState, Kind, Order, Reach, Scope, effective
from router.core.place import (
    Objection,
    Placed,
    Stamp,
    confirm,
    lift,
    place_cap,
    place_drain,
    place_freeze,
    place_off,
    place_on,
    place_pin,
    place_rollback,
    place_rollbacks,
    place_weight,
    raised_scopes,
)
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
SITE, OTHER = "pangyo", "pyeongchon"
SITED = replace(TABLE, sites={name: Site(name) for name in (SITE, OTHER)})


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
    replaced = {name for order in given_orders if order.scope == scope for name in order.declared}
    for route, was, now in zip(drawn.routes, before, after, strict=True):
        if route.name not in outcome.order.declared:
            assert was == now or route.name in replaced
        elif any(order.scope.covers(route) for order in held):
            assert now.share == 0
        else:
            cap = drawn.groups[route.group].cap if route.group else None
            assert now.share == min(share, PPM if cap is None else cap)


# ------------------------------------------------------------------------------------ orders that end


def ending(number: int, expires: float | None) -> Stamp:
    return replace(STAMP, number=number, expires=expires, provisional=expires is not None)


def weighed(given_orders: tuple[Order, ...], number: int, expires: float | None) -> Placed:
    return placed(place_weight(TABLE, given_orders, named("a"), number, ending(number, expires)))


def test_an_order_that_ends_stands_in_for_its_predecessor() -> None:
    """Lifting it leads back to that; one without an end takes the place of all of them."""
    first = weighed((), 1, None)
    second = weighed(first.orders, 2, 60.0)
    third = weighed(second.orders, 3, 30.0)
    (order,) = third.orders
    assert ("W-3", ["W-2", "W-1"]) == (order.id, [each.id for each in order.before])
    assert ("W-3 stands in for W-2 until it ends",) == third.lines
    lifted = placed(lift(TABLE, third.orders, "W-3", None, STAMP))
    assert (second.orders, ("W-2 holds again",)) == (lifted.orders, lifted.lines)
    (last,) = weighed(third.orders, 4, None).orders
    assert ("W-4", ()) == (last.id, last.before)


def test_what_ends_earlier_anyway_is_not_stood_in_for() -> None:
    """It could never hold again."""
    (order,) = weighed(weighed(weighed((), 1, None).orders, 2, 30.0).orders, 3, 60.0).orders
    assert ["W-1"] == [each.id for each in order.before]


def test_only_so_many_orders_are_stood_in_for_and_the_lasting_one_is_never_lost() -> None:
    """A script that gives one trial after the other does not fill the store."""
    orders_now = weighed((), 1, None).orders
    for number in range(2, 40):
        orders_now = weighed(orders_now, number, 1000.0 - number).orders
    (order,) = orders_now
    assert (8, "W-38", "W-1") == (len(order.before), order.before[0].id, order.before[-1].id)


def test_a_confirmed_order_has_no_end_and_no_predecessor() -> None:
    """It is as if it had been given without a trial."""
    trial = weighed(weighed((), 1, None).orders, 2, 60.0)
    (order,) = placed(confirm(trial.orders, "W-2")).orders
    assert ((), None, False) == (order.before, order.expires, order.provisional)
    assert placed(confirm((order,), "W-2")).already
    assert "unknown-order" == objection(confirm((order,), "W-1")).code


@pytest.mark.parametrize(
    "place",
    [
        lambda scope, stamp: place_pin(TABLE, (), scope, Side.NEW, stamp),
        lambda scope, stamp: place_cap(TABLE, (), scope, 5, stamp),
        lambda scope, stamp: place_freeze(TABLE, (), scope, stamp),
    ],
)
def test_orders_of_other_kinds_need_a_scope_of_routes_and_a_reason(
    place: Callable[[Scope, Stamp], Placed | Objection],
) -> None:
    """A typing error, a site or an empty reason is refused; the same order twice is one order."""
    assert placed(place(named("a"), STAMP)).order.reason == "because"
    assert "unknown-route" == objection(place(named("nothing"), STAMP)).code
    assert "invalid" == objection(place(Scope(Reach.SITE, "pangyo"), STAMP)).code
    assert "invalid" == objection(place(named("a"), replace(STAMP, reason=" "))).code


def test_the_same_freeze_twice_is_one_and_another_cap_replaces_the_first() -> None:
    """One order of a kind for a scope, so that one resume ends it."""
    first = placed(place_freeze(TABLE, (), named("a"), STAMP))
    assert placed(place_freeze(TABLE, first.orders, named("a"), replace(STAMP, number=101))).already
    cap = placed(place_cap(TABLE, first.orders, named("a"), 5, STAMP))
    other = placed(place_cap(TABLE, cap.orders, named("a"), 6, replace(STAMP, number=101)))
    assert [("F-100", 0), ("C-101", 6)] == [(order.id, order.share) for order in other.orders]
    assert "invalid" == objection(place_cap(TABLE, (), named("a"), PPM + 1, STAMP)).code


def test_a_drain_names_a_site_that_exists() -> None:
    """What is not there cannot be drained."""
    assert "unknown-site" == objection(place_drain(TABLE, (), "nowhere", STAMP)).code
    assert "unknown-site" == objection(place_off(TABLE, (), "nowhere", STAMP)).code
    assert "unknown-site" == objection(place_on(TABLE, (), "nowhere", STAMP)).code


def test_a_site_that_is_on_again_has_no_order_left_that_closes_it() -> None:
    """Drain and off, and what they stand in for; other sites and a rollback stay, and the latter is named."""
    lasting = replace(STAMP, expires=50.0)
    found: tuple[Order, ...] = ()
    for number, (place, site, stamp) in enumerate(
        ((place_drain, SITE, STAMP), (place_off, SITE, STAMP), (place_off, SITE, lasting), (place_off, OTHER, STAMP))
    ):
        found = placed(place(SITED, found, site, replace(stamp, number=101 + number))).orders
    rollback = placed(place_rollback(SITED, found, Scope(Reach.SITE, SITE), replace(STAMP, number=105)))
    again = placed(place_on(SITED, rollback.orders, SITE, replace(STAMP, number=106)))
    assert ["O-104", "R-105"] == [order.id for order in again.orders]
    assert "O-103" == again.order.id
    assert again.lines == (
        "D-101 is lifted",
        "R-105 goes on sending to legacy what is drawn to it: strangler resume R-105",
    )


def test_a_site_that_nothing_closes_cannot_be_switched_on() -> None:
    """Whoever wants it must hear that something else is the matter."""
    assert "not-closed" == objection(place_on(SITED, (), SITE, STAMP)).code
    rollback = placed(place_rollback(SITED, (), Scope(Reach.SITE, SITE), STAMP))
    assert "strangler resume R-100" in objection(place_on(SITED, rollback.orders, SITE, STAMP)).instead


# ------------------------------------------------------------------------------------- several, and in steps


def test_several_rollbacks_are_one_change_with_an_order_each() -> None:
    """What is held already stays as it is and is named; each can be lifted by itself."""
    first = placed(place_rollback(TABLE, (), named("a"), STAMP))
    outcome = placed(
        place_rollbacks(
            TABLE, first.orders, (named("a"), named("b"), Scope(Reach.GROUP, "g")), replace(STAMP, number=101)
        )
    )
    assert ["R-101", "R-102"] == [order.id for order in outcome.given]
    assert ["R-100", "R-101", "R-102"] == [order.id for order in outcome.orders]
    assert ("route=a is held by R-100 already",) == outcome.lines
    again = placed(place_rollbacks(TABLE, outcome.orders, (named("a"), named("b")), replace(STAMP, number=103)))
    assert (True, outcome.orders, "R-100") == (again.already, again.orders, again.order.id)


def test_several_rollbacks_are_given_all_or_none() -> None:
    """A typing error in one of them must not look like one that worked."""
    assert "unknown-route" == objection(place_rollbacks(TABLE, (), (named("a"), named("x")), STAMP)).code
    assert "invalid" == objection(place_rollbacks(TABLE, (), (), STAMP)).code


def test_a_rollback_in_steps_begins_below_the_highest_share_of_its_scope() -> None:
    """What is lower already stays, and nothing rises."""
    outcome = placed(place_rollback(TABLE, (), Scope(Reach.ALL), STAMP, over=20.0))
    assert (150_000, 200_000) == (outcome.order.share, outcome.order.easing.peak if outcome.order.easing else 0)
    assert [100_000, 150_000, 0] == [entry.share for entry in effective(TABLE, outcome.orders).routes]
    assert placed(place_rollback(TABLE, outcome.orders, Scope(Reach.ALL), STAMP, over=20.0)).already


def test_an_immediate_rollback_overtakes_one_that_is_on_its_way() -> None:
    """The same order is at 0 then; asked once more, it was before."""
    slow = placed(place_rollback(TABLE, (), Scope(Reach.ALL), STAMP, over=20.0))
    fast = placed(place_rollback(TABLE, slow.orders, Scope(Reach.ALL), replace(STAMP, number=101)))
    assert (False, "R-100", 0, None) == (fast.already, fast.order.id, fast.order.share, fast.order.easing)
    assert [0, 0, 0] == [entry.share for entry in effective(TABLE, fast.orders).routes]
    assert placed(place_rollback(TABLE, fast.orders, Scope(Reach.ALL), STAMP)).already


def test_a_rollback_in_steps_of_nothing_is_at_zero_at_once() -> None:
    """There is nothing to take away gently; and a site has no share that could come down."""
    outcome = placed(place_rollback(TABLE, (), named("only-legacy"), STAMP, over=20.0))
    assert (0, None) == (outcome.order.share, outcome.order.easing)
    sited = replace(TABLE, sites={"s": Site("s")})
    assert "invalid" == objection(place_rollback(sited, (), Scope(Reach.SITE, "s"), STAMP, over=20.0)).code


def test_what_was_raised_is_named_by_whole_groups_and_single_routes() -> None:
    """As few scopes as say exactly that, and only what still has a share."""
    wide = replace(TABLE, routes=(*TABLE.routes, Route("a2", "/a2", "old", new="new", weight=1, group="g")))

    def found(*names: str, given: tuple[Order, ...] = ()) -> tuple[str, ...] | Objection:
        scopes = raised_scopes(wide, effective(wide, given), names)
        return scopes if isinstance(scopes, Objection) else tuple(map(str, scopes))

    assert ("group=g", "route=b") == found("a", "a2", "b")
    assert ("route=a", "route=b") == found("a", "b")
    assert ("route=a",) == found("a")
    held = placed(place_rollback(wide, (), Scope(Reach.ALL), STAMP)).orders
    for nothing in (found(), found("a", given=held)):
        assert isinstance(nothing, Objection) and nothing.code == "nothing-raised"


@pytest.mark.parametrize("kind", [Kind.ROLLBACK, Kind.PIN, Kind.CAP])
def test_what_holds_each_route_does_not_cost_routes_times_orders(kind: Kind) -> None:
    """A weight for everything says what overrules it; a rollback waits while it does."""

    def seconds(count: int) -> float:
        routes = tuple(Route(f"r{number}", f"/r{number}", "old", new="new") for number in range(count))
        held = tuple(
            Order(number, kind, Scope(Reach.ROUTE, each.name), "r", "a", 1.0) for number, each in enumerate(routes)
        )
        whole = Table("old", {}, routes)
        return min(_timed(lambda: _all_at_half(whole, held)) for _ in range(5))

    assert seconds(1600) < 10 * seconds(400)


def test_what_was_raised_is_found_without_comparing_names() -> None:
    """A rollback of what was raised lately waits for it; thousands of routes may have been."""

    def seconds(count: int) -> float:
        groups = {f"g{number}": Group(f"g{number}") for number in range(count // 20)}
        routes = tuple(
            Route(f"r{number}", f"/r{number}", "old", new="new", weight=5, group=f"g{number % len(groups)}")
            for number in range(count)
        )
        whole = Table("old", {}, routes, groups)
        state, names = effective(whole, ()), [route.name for route in routes]
        assert len(groups) == len(raised(whole, state, names))
        return min(_timed(lambda: raised_scopes(whole, state, names)) for _ in range(5))

    assert seconds(3200) < 10 * seconds(800)


def raised(table: Table, state: EffectiveState, names: list[str]) -> tuple[Scope, ...]:
    found = raised_scopes(table, state, names)
    assert not isinstance(found, Objection), found
    return found


def _all_at_half(whole: Table, held: tuple[Order, ...]) -> None:
    assert len(held) == len(
        placed(place_weight(whole, held, Scope(Reach.ALL), PPM // 2, replace(STAMP, number=9999))).lines
    )


def _timed(work: Callable[[], object]) -> float:
    began = thread_time()
    work()
    return thread_time() - began


def test_a_rollback_says_for_which_routes_legacy_has_old_data() -> None:
    """It is obeyed all the same: an operator may know what we do not."""
    done = replace(TABLE.routes[0], finalised=True)
    placed = place_rollback(replace(TABLE, routes=(done, *TABLE.routes[1:])), (), Scope(Reach.ALL), STAMP)
    assert isinstance(placed, Placed)
    assert (f"finalised: legacy has old data for {done.name}",) == placed.lines

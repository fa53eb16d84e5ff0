"""Declared and ordered, laid over each other: what any table and any orders come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from time import thread_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import PPM, Group, Route, Table
from router.core.orders import Cause, Covering, Effective, Kind, Order, Reach, Scope, effective, rules, supersede
from tests.router.core.tables import GROUPS, SITES, orders, scopes, shares, tables


def route(name: str = "a", **settings: Any) -> Route:
    return Route(name, f"/{name}", "old", **({"new": "new", "weight": 250_000} | settings))


def table(*routes: Route, **groups: Group) -> Table:
    return Table(legacy="old", upstreams={}, routes=routes, groups=groups)


def weight(number: int, share: int, **declared: int) -> Order:
    return Order(number, Kind.WEIGHT, Scope(Reach.ROUTE, "a"), "raise", "lee", 0.0, share, declared)


def rollback(number: int, reach: Reach, name: str = "") -> Order:
    return Order(number, Kind.ROLLBACK, Scope(reach, name), "trouble", "kim", 0.0)


@given(st.data())
def test_every_share_is_whole_in_range_and_under_its_cap(data: st.DataObject) -> None:
    """One entry a route, 0..1,000,000, never above its group's ceiling, never above 0 without a new side."""
    drawn = data.draw(tables())
    state = effective(drawn, data.draw(orders(drawn)))
    assert len(drawn.routes) == len(state.routes)
    for each, entry in zip(drawn.routes, state.routes, strict=True):
        cap = GROUPS[each.group].cap if each.group else None
        assert 0 <= entry.share <= (PPM if cap is None else cap)
        assert each.new is not None or entry.share == 0


@given(st.data())
def test_any_scope_rolled_back_means_zero(data: st.DataObject) -> None:
    """A rollback that covers a route leaves it nothing, whatever else is ordered before or after."""
    drawn = data.draw(tables())
    given_orders = data.draw(orders(drawn))
    scope = data.draw(scopes(drawn))
    order = Order(99, Kind.ROLLBACK, scope, "trouble", "kim", 0.0)
    where = data.draw(st.integers(0, len(given_orders)))
    state = effective(drawn, (*given_orders[:where], order, *given_orders[where:]))
    covered = [entry for each, entry in zip(drawn.routes, state.routes, strict=True) if scope.covers(each)]
    assert all(entry.share == 0 and entry.cause is Cause.ROLLBACK for entry in covered)
    assert scope.reach is not Reach.SITE or scope.name in state.held_sites


@given(st.data())
def test_a_rollback_never_raises_a_share(data: st.DataObject) -> None:
    """Adding one can only take traffic from the new side."""
    drawn = data.draw(tables())
    before = data.draw(orders(drawn))
    order = Order(99, Kind.ROLLBACK, data.draw(scopes(drawn)), "trouble", "kim", 0.0)
    for old, new in zip(effective(drawn, before).routes, effective(drawn, (*before, order)).routes, strict=True):
        assert new.share in {0, old.share}


@given(st.data())
def test_without_orders_the_file_rules(data: st.DataObject) -> None:
    """The declared weight, under the group's ceiling."""
    drawn = data.draw(tables())
    for each, entry in zip(drawn.routes, effective(drawn, ()).routes, strict=True):
        cap = GROUPS[each.group].cap if each.group else None
        assert entry.share == min(each.weight, PPM if cap is None else cap)
        assert entry.order == ""


@given(st.data())
def test_the_order_of_orders_never_matters(data: st.DataObject) -> None:
    """Numbers tell which weight is newer, not the place in a list."""
    drawn = data.draw(tables())
    given_orders = data.draw(orders(drawn))
    shuffled = data.draw(st.permutations(given_orders))
    one, two = effective(drawn, given_orders), effective(drawn, shuffled)
    assert [entry.share for entry in one.routes] == [entry.share for entry in two.routes]
    assert one.held_sites == two.held_sites


@pytest.mark.parametrize(
    ("given_orders", "cap", "expected"),
    [
        ((), None, Effective(250_000)),
        ((), 100_000, Effective(100_000, Cause.CAP)),
        ((weight(1, 500_000, a=250_000),), None, Effective(500_000, Cause.ORDER, "W-1")),
        ((weight(1, 500_000, a=250_000), weight(2, 0, a=250_000)), None, Effective(0, Cause.ORDER, "W-2")),
        ((weight(1, 500_000, a=250_000),), 400_000, Effective(400_000, Cause.CAP, "W-1")),
        ((weight(1, 500_000, a=240_000),), None, Effective(250_000)),
        ((weight(1, 500_000, b=250_000),), None, Effective(250_000)),
        ((weight(1, 500_000, a=250_000), rollback(2, Reach.ALL)), None, Effective(0, Cause.ROLLBACK, "R-2")),
        ((rollback(1, Reach.ROUTE, "a"), weight(2, 500_000, a=250_000)), None, Effective(0, Cause.ROLLBACK, "R-1")),
        ((rollback(1, Reach.ROUTE, "?"),), None, Effective(0, Cause.ROLLBACK, "R-1")),
        ((rollback(1, Reach.GROUP, "g"),), None, Effective(0, Cause.ROLLBACK, "R-1")),
        ((rollback(1, Reach.GROUP, ""),), None, Effective(250_000)),
        ((rollback(1, Reach.SITE, "pangyo"),), None, Effective(250_000)),
    ],
)
def test_each_layer_by_an_example(given_orders: tuple[Order, ...], cap: int | None, expected: Effective) -> None:
    """File, order, ceiling, rollback: which one speaks, and how much it says."""
    entry = effective(table(route(group="g"), g=Group("g", cap=cap)), given_orders).routes[0]
    assert expected == entry


@pytest.mark.parametrize("reach", [Reach.GROUP, Reach.ROUTE])
def test_an_empty_name_rolls_back_nothing(reach: Reach) -> None:
    """Routes without a group are not a group."""
    assert not Scope(reach, "").covers(route(group=""))


@given(st.data())
def test_only_an_edited_weight_makes_an_order_give_way(data: st.DataObject) -> None:
    """A reload that leaves the weights alone drops no order that ruled, and never a rollback."""
    drawn = data.draw(tables())
    before = data.draw(orders(drawn))
    kept, gone = supersede(before, drawn)
    assert effective(drawn, before) == effective(drawn, kept)
    assert [each for each in before if each.kind is Kind.ROLLBACK] == [
        each for each in kept if each.kind is Kind.ROLLBACK
    ]
    by_name = {each.name: each for each in drawn.routes}
    assert all(not rules(each, by_name[name]) for each in before for order, name in gone if each.id == order)


@given(st.data(), shares)
def test_editing_the_file_back_does_not_revive_an_order(data: st.DataObject, edited: int) -> None:
    """Once the file has had the newer word it keeps it."""
    drawn = data.draw(tables().filter(lambda each: each.routes[0].new is not None))
    first = drawn.routes[0]
    order = weight(1, data.draw(shares), **{first.name: first.weight})
    other = replace(drawn, routes=(replace(first, weight=edited), *drawn.routes[1:]))
    after, _ = supersede((order,), other)
    back, _ = supersede(after, drawn)
    assert (back == (order,)) is (edited == first.weight)


def test_a_partly_overtaken_order_still_rules_the_rest() -> None:
    """An order over two routes gives way for the edited one alone, and says so."""
    order = weight(3, 500_000, a=250_000, b=250_000)
    edited = table(route("a", weight=100_000), route("b"))
    kept, gone = supersede((order,), edited)
    assert (("W-3", "a"),) == gone
    assert [100_000, 500_000] == [entry.share for entry in effective(edited, kept).routes]


def test_an_order_waits_for_a_route_that_has_vanished() -> None:
    """A route that comes back as it was finds its order again."""
    order = weight(3, 500_000, a=250_000)
    kept, gone = supersede((order,), table())
    assert ((order,), ()) == (kept, gone)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(Reach.ALL), "all"),
        (Scope(Reach.GROUP, "catalog"), "group=catalog"),
        (Scope(Reach.ROUTE, "GET /a"), "route=GET /a"),
    ],
)
def test_a_scope_reads_like_the_option_that_made_it(scope: Scope, expected: str) -> None:
    """What is printed tells what was asked for."""
    assert expected == str(scope)


def test_sites_are_held_by_rollbacks_of_their_own() -> None:
    """A site's rollback leaves shares alone and names the site."""
    state = effective(table(route()), (rollback(1, Reach.SITE, "pangyo"),))
    assert frozenset({"pangyo"}) == state.held_sites
    assert "pangyo" in SITES


@given(st.data())
def test_orders_are_found_by_what_they_cover(data: st.DataObject) -> None:
    """The same ones as by asking each of them."""
    drawn = data.draw(tables())
    given_orders = data.draw(orders(drawn))
    covering = Covering(given_orders)
    for each in drawn.routes:
        covered = {order.number for order in given_orders if order.scope.covers(each)}
        assert covered == {order.number for order in covering.over(each)}
        assert covered == set() or not covering.none_over(each)
        assert covered == set() or covering.named() is None or each.name in (covering.named() or ())


@pytest.mark.parametrize("name", ["r{}", "GET /r{}/*"])
@pytest.mark.parametrize("kind", [Kind.WEIGHT, Kind.ROLLBACK, Kind.CAP, Kind.PIN])
def test_an_order_for_each_route_does_not_cost_routes_times_orders(kind: Kind, name: str) -> None:
    """A rollback waits for this: twice the routes and orders take about twice as long, not four times."""

    def seconds(count: int) -> float:
        given_routes = tuple(Route(name.format(number), f"/r{number}", "old", new="new") for number in range(count))
        one_each = tuple(
            Order(number, kind, Scope(Reach.ROUTE, each.name), "r", "a", 1.0, 5, {each.name: 0})
            for number, each in enumerate(given_routes)
        )
        whole = Table("old", {}, given_routes)
        return min(_timed(lambda: effective(whole, one_each)) for _ in range(5))

    assert seconds(1600) < 10 * seconds(400)


@pytest.mark.parametrize("name", ["r1", "r*", "r[12]", "r?", "", "r[", "*"])
def test_a_name_is_looked_up_where_it_can_be_one_routes_only(name: str) -> None:
    """Found by name or by looking at each, the answer is the same."""
    given_routes = [route(each) for each in ("r1", "r2", "r", "r[", "x")]
    scope = Scope(Reach.ROUTE, name)
    covered = [each.name for each in given_routes if scope.covers(each)]
    assert [each.name for each in given_routes if fnmatchcase(each.name, name) or each.name == name] == covered
    assert [each.name for each in given_routes if scope.touches({each.name: each})] == covered
    assert scope.one in {"", name}
    assert not scope.one or covered in ([], [name])
    assert [each.name for each in given_routes if Covering([replace(weight(1, 5), scope=scope)]).over(each)] == covered


def _timed(work: Callable[[], object]) -> float:
    began = thread_time()
    work()
    return thread_time() - began

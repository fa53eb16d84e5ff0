"""A stage follows from what is in force and from when the wish moved; sums and stuck things follow from stages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.progress import (
    DAY,
    FORGOTTEN,
    SETTLED,
    STAGES,
    STANDS,
    Point,
    Stage,
    Standing,
    Tally,
    Track,
    Why,
    by_group,
    standings,
    stuck,
    tally,
    unlisted,
)
from router.core.model import PPM, Endpoint, Group, Route, Shadow, Side, Table, Upstream
from router.core.orders import Kind, Order, Reach, Scope, effective

NOW = 1_700_000_000.0
ROUTE = Route("product", "/p", "monolith", new="catalog", group="catalog")
SCOPE = Scope(Reach.ROUTE, "product")


def table(*routes: Route) -> Table:
    place = (Endpoint("127.0.0.1", 1),)
    upstreams = {name: Upstream(name, {"": place}) for name in ("monolith", "catalog")}
    return Table("monolith", upstreams, routes, {"catalog": Group("catalog", "team-catalog")})


def order(kind: Kind, scope: Scope = SCOPE, **more: object) -> Order:
    fields: dict[str, object] = {"reason": "why", "actor": "kim", "created": NOW, **more}
    return Order(7, kind, scope, **fields)  # type: ignore[arg-type]


def stand(route: Route, *orders: Order, before: Track | None = None, now: float = NOW) -> Standing:
    """The one route of a table with these orders in force."""
    made = table(route)
    known = {} if before is None else {route.name: before}
    return standings(made, effective(made, orders), orders, known, {}, now)[0]


def later(first: Standing, seconds: float, *orders: Order) -> Standing:
    return stand(first.route, *orders, before=first.track, now=NOW + seconds)


def weighted(weight: int) -> Route:
    return replace(ROUTE, weight=weight)


# -- stages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "stage"),
    [
        (weighted(0), Stage.LEGACY),
        (replace(ROUTE, new=None), Stage.LEGACY),
        (replace(ROUTE, shadow=Shadow(10_000)), Stage.SHADOWING),
        (replace(ROUTE, shadow=Shadow(0)), Stage.LEGACY),
        (weighted(100), Stage.RAMPING),
        (weighted(PPM - 100), Stage.RAMPING),
        (weighted(PPM), Stage.DONE),
        (replace(ROUTE, legacy="catalog", weight=PPM), Stage.RETIRED),
        (replace(ROUTE, legacy="catalog", weight=0), Stage.RETIRED),
        (replace(ROUTE, finalised=True, weight=PPM), Stage.RETIRED),
        (replace(ROUTE, finalised=True, weight=PPM // 2), Stage.RAMPING),
    ],
)
def test_a_route_that_has_just_been_seen(route: Route, stage: Stage) -> None:
    """Weight, shadow and the two upstreams decide; a smallest share counts as begun, all but the last as not done."""
    assert stage == stand(route).track.stage


def test_a_route_that_does_not_move_holds() -> None:
    """It ramps for a week after its weight has moved, then it stands."""
    first = stand(weighted(500_000))
    assert Stage.RAMPING == later(first, SETTLED - 1).track.stage
    assert Stage.HOLDING == later(first, SETTLED).track.stage


def test_a_new_weight_makes_it_ramp_again() -> None:
    """The week begins anew."""
    old = later(stand(weighted(500_000)), SETTLED)
    moved = stand(weighted(600_000), before=old.track, now=NOW + SETTLED + 10)
    assert (Stage.RAMPING, NOW + SETTLED + 10) == (moved.track.stage, moved.track.moved)


@pytest.mark.parametrize("kind", [Kind.ROLLBACK, Kind.PIN])
def test_what_is_held_on_legacy_holds(kind: Kind) -> None:
    """A rollback or a pin to legacy holds back what had begun, and leaves on legacy what had not."""
    assert Stage.HOLDING == stand(weighted(PPM), order(kind)).track.stage
    assert Stage.HOLDING == stand(weighted(250_000), order(kind)).track.stage
    assert Stage.LEGACY == stand(weighted(0), order(kind)).track.stage


def test_a_rollback_and_its_resume_are_no_movement() -> None:
    """A route that stood at 50 % before stands there afterwards, since when it did."""
    first = stand(weighted(500_000))
    back = later(first, 10 * DAY, order(Kind.ROLLBACK))
    again = stand(first.route, before=back.track, now=NOW + 11 * DAY)
    assert (NOW, Stage.HOLDING) == (again.track.moved, again.track.stage)


def test_what_is_rolled_back_is_not_retired() -> None:
    """Whatever the file says about legacy, it answers now."""
    assert Stage.HOLDING == stand(replace(ROUTE, finalised=True, weight=PPM), order(Kind.ROLLBACK)).track.stage


def test_a_frozen_route_holds() -> None:
    """By name, by glob, by group or all; another route's freeze does not."""
    for scope in (SCOPE, Scope(Reach.ROUTE, "prod*"), Scope(Reach.GROUP, "catalog"), Scope(Reach.ALL)):
        assert Stage.HOLDING == stand(weighted(500_000), order(Kind.FREEZE, scope)).track.stage
    assert Stage.RAMPING == stand(weighted(500_000), order(Kind.FREEZE, Scope(Reach.ROUTE, "other"))).track.stage


def test_a_pin_to_new_is_done_while_it_lasts() -> None:
    """The new side answers everything."""
    assert Stage.DONE == stand(weighted(0), order(Kind.PIN, side=Side.NEW)).track.stage


def test_the_time_of_a_stage_begins_with_it() -> None:
    """And goes on until another one begins."""
    first = stand(weighted(PPM))
    assert NOW == later(first, 100 * DAY).track.since
    assert NOW + 50 == later(first, 50, order(Kind.ROLLBACK)).track.since


def test_a_clock_that_runs_backwards_makes_nothing_stuck() -> None:
    """The route has just moved, as far as anybody can tell."""
    found = later(stand(weighted(500_000)), -90 * DAY)
    assert (Stage.RAMPING, ()) == (found.track.stage, stuck([found], (), NOW - 90 * DAY))


# -- sums --------------------------------------------------------------------------------------------------------------


def test_a_tally_counts_routes_and_weighs_them_with_their_traffic() -> None:
    """By stage; the ratio is what did not need the old system."""
    done, begun = stand(weighted(PPM)), stand(weighted(250_000))
    found = tally([replace(done, requests=(10, 50)), replace(begun, requests=(30, 10))])
    assert (2, 1, PPM + 250_000) == (found.total, found.finished, found.share)
    assert (60, 40) == (found.requests[STAGES.index(Stage.DONE)], found.requests[STAGES.index(Stage.RAMPING)])
    assert 0.6 == found.ratio


def test_a_retired_route_needs_no_legacy_whatever_its_weight() -> None:
    """Both of its sides are the new system."""
    found = tally([replace(stand(replace(ROUTE, legacy="catalog")), requests=(100, 0))])
    assert (1, 1.0, PPM) == (found.finished, found.ratio, found.share)


def test_unlisted_traffic_weighs_but_is_no_route() -> None:
    """How many APIs hide there nobody knows; it is one entry, and not in the total."""
    found = by_group([replace(stand(weighted(PPM)), requests=(0, 60))], 40)
    assert ["catalog", ""] == list(found)
    whole = sum(found.values(), Tally())
    assert (1, 1, 0.6) == (whole.total, whole.finished, whole.ratio)
    assert 1 == found[""].apis[STAGES.index(Stage.UNLISTED)]
    assert Tally() == unlisted(0)


def test_without_traffic_there_is_no_ratio() -> None:
    """Not zero, and no division by it."""
    assert tally([stand(weighted(PPM))]).ratio is None


@given(st.lists(st.tuples(st.integers(0, PPM), st.integers(0, 9), st.integers(0, 9), st.sampled_from("ab"))))
def test_groups_add_up_to_the_whole(rows: list[tuple[int, int, int, str]]) -> None:
    """However the routes are shared among groups."""
    found = [
        replace(stand(replace(ROUTE, weight=weight, group=group)), requests=(legacy, new))
        for weight, legacy, new, group in rows
    ]
    assert tally(found) == Point(NOW, by_group(found)).all


# -- what has been left lying ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "why"),
    [
        (weighted(500_000), Why.PARTIAL),
        (replace(ROUTE, shadow=Shadow(10_000)), Why.SHADOW),
        (weighted(0), Why.NOT_BEGUN),
    ],
)
def test_sixty_days_without_movement_are_stuck(route: Route, why: Why) -> None:
    """Half-way, shadowing, or with a new side that nobody uses; a second less is not."""
    first = stand(route)
    found = later(first, STANDS)
    assert [(why, NOW, "product")] == [(each.why, each.since, each.route) for each in stuck([found], (), NOW + STANDS)]
    assert () == stuck([later(first, STANDS - 1)], (), NOW + STANDS - 1)


@pytest.mark.parametrize("route", [weighted(PPM), replace(ROUTE, new=None), replace(ROUTE, legacy="catalog")])
def test_what_is_finished_or_has_no_new_side_is_never_stuck(route: Route) -> None:
    """There is nothing to do about it."""
    assert () == stuck([later(stand(route), 10 * STANDS)], (), NOW + 10 * STANDS)


@pytest.mark.parametrize("kind", list(Kind))
def test_orders_that_nothing_ends_look_forgotten_after_a_while(kind: Kind) -> None:
    """Each kind has its time; one that ends by itself is not forgotten."""
    given_ = order(kind)
    when = NOW + FORGOTTEN[kind]
    assert [(Why.ORDER, given_.id, SCOPE)] == [(each.why, each.order, each.scope) for each in stuck([], [given_], when)]
    assert () == stuck([], [given_], when - 1)
    assert () == stuck([], [replace(given_, expires=when + 1)], when)


def test_an_overdue_order_waits_for_a_person_at_once() -> None:
    """Since its time has come."""
    (found,) = stuck([], [order(Kind.ROLLBACK, expires=NOW + 60)], NOW + 61)
    assert (Why.OVERDUE, NOW + 60) == (found.why, found.since)


def test_the_oldest_stands_first() -> None:
    """Routes and orders in one list."""
    routes = [later(stand(replace(weighted(500_000), name=name)), STANDS + 9) for name in ("b", "a")]
    found = stuck(routes, [order(Kind.ROLLBACK, created=NOW - DAY)], NOW + STANDS + 9)
    assert ["R-7", "a", "b"] == [each.order or each.route for each in found]


def test_each_of_many_freezes_finds_its_route() -> None:
    """As many orders as there are routes, each for one."""
    routes = [replace(weighted(500_000), name=f"r{number}") for number in range(1500)]
    orders = [order(Kind.FREEZE, Scope(Reach.ROUTE, route.name)) for route in routes]
    made = table(*routes)
    found = standings(made, effective(made, orders), orders, {}, {}, NOW)
    assert {Stage.HOLDING} == {each.track.stage for each in found}

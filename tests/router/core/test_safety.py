"""Is a change wise?  Each rule by examples, and what holds for all of them."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import PPM, Route, Safety, Table, Window
from router.core.orders import Kind, Order, Reach, Scope, effective
from router.core.safety import Facts, Rise, Rule, Step, Violation, check, moved, moved_to_new, points, steps
from tests.router.core.tables import orders, tables
from tests.strategies import safeties

ROUTES = tuple(Route(name, f"/{name}", "old", new="new") for name in "abc")
NOW = Facts(1000.0)
UP = (Step("a", 100_000, 300_000),)
DOWN = (Step("a", 300_000, 100_000), Step("b", 5, 0))


def table(**rules: object) -> Table:
    return Table(legacy="old", upstreams={}, routes=ROUTES, safety=Safety(**rules))  # type: ignore[arg-type]


def found(changed: tuple[Step, ...], facts: Facts = NOW, given_orders: tuple[Order, ...] = (), **rules: object) -> str:
    return "\n".join(map(str, check(table(**rules), given_orders, changed, facts)))


def test_without_rules_nothing_is_refused() -> None:
    """Neither without the section nor with an empty one."""
    leap = (Step("a", 0, PPM), Step("b", PPM, 0))
    assert () == check(replace(table(), safety=None), (), leap, NOW)
    assert () == check(table(), (), leap, NOW)


def test_the_largest_step() -> None:
    """The limit itself is allowed; what would be allowed is named per route."""
    assert "" == found(UP, max_step=200_000)
    expected = "max-step: a: 10 % to 30 % is more than 19.99 points at once; 29.99 % would be allowed"
    assert expected == found(UP, max_step=199_900)


def test_the_largest_rise_within_a_time() -> None:
    """All rises of the route within the span count, others and older ones do not."""
    rises = (Rise("a", 50_000, 950.0), Rise("a", 60_000, 940.0), Rise("b", PPM, 999.0))
    facts = replace(NOW, rises=rises)
    assert "" == found(UP, facts, max_rise=250_000, max_rise_span=60.0)
    assert "max-rise: a: it would rise by 31 points within 61 s; 25 points may be; 24 % would be allowed" == found(
        UP, facts, max_rise=250_000, max_rise_span=61.0
    )
    assert "10 % would be allowed" in found(UP, facts, max_rise=100_000, max_rise_span=61.0)


def test_the_largest_part_of_the_traffic() -> None:
    """Of what really ran lately, towards new only; without traffic there is nothing to move."""
    facts = replace(NOW, traffic={"a": 50, "b": 50})
    assert "" == found(UP, facts, max_moved=100_000)
    assert "max-moved: 10 % of the recent traffic would move to new; 9.99 % may at once" == found(
        UP, facts, max_moved=99_900
    )
    assert "" == found(UP, NOW, max_moved=0)
    assert "" == found(DOWN, replace(NOW, traffic={"a": 1}), max_moved=0)
    both = (*UP, Step("b", 400_000, 0))
    assert (300_000, 100_000) == (moved(both, facts.traffic), moved_to_new(both, facts.traffic))


def test_the_most_routes_at_once() -> None:
    """Those that rise; lowered ones do not count."""
    changed = (*UP, Step("b", 0, 1), Step("c", 9, 3))
    assert "" == found(changed, max_raised=2)
    assert "max-raised: 2 routes would rise at once; 1 may" == found(changed, max_raised=1)


def test_a_frozen_route_does_not_rise() -> None:
    """Whoever froze it is named, with the reason, and what it may have."""
    freeze = Order(7, Kind.FREEZE, Scope(Reach.ROUTE, "[ab]"), "peak hours", "kim", 0.0)
    expected = "frozen: a: F-7 (route=[ab], kim: peak hours) allows no rise; 10 % would be allowed"
    assert expected == found((*UP, Step("c", 0, 5)), given_orders=(freeze,))
    assert "" == found(DOWN, given_orders=(freeze,))


@pytest.mark.parametrize(
    ("weekday", "minute", "allowed"),
    [(0, 540, True), (0, 539, False), (4, 1019, True), (4, 1020, False), (5, 600, True), (6, 600, False)],
)
def test_shares_rise_within_a_window_only(weekday: int, minute: int, allowed: bool) -> None:
    """The first minute belongs to it, the last does not; any window will do."""
    windows = (Window(frozenset(range(5)), 540, 1020), Window(frozenset({5}), 0, 1440))
    facts = replace(NOW, weekday=weekday, minute=minute)
    assert allowed is (found(UP, facts, windows=windows) == "")
    assert "" == found(DOWN, facts, windows=windows)


def test_only_a_dead_legacy_stands_in_the_way_of_legacy() -> None:
    """And it can be overridden like every other rule."""
    facts = replace(NOW, legacy_dead=True)
    (violation,) = check(table(), (), DOWN, facts)
    assert Violation(Rule.LEGACY_ALIVE, "", violation.detail) == violation
    assert () == check(table(), (), UP, facts)
    assert () == check(table(), (), DOWN, facts, {"legacy-alive"})


def test_one_point_is_one_point() -> None:
    """People read these lines."""
    assert ("1 point", "25 points", "0.5 points") == (points(10_000), points(250_000), points(5_000))


facts_of_any_kind = st.builds(
    Facts,
    st.just(1000.0),
    st.integers(0, 6),
    st.integers(0, 1439),
    st.dictionaries(st.sampled_from([f"route {n}" for n in range(8)]), st.integers(0, 1000)),
    st.lists(st.builds(Rise, st.just("route 0"), st.integers(1, PPM), st.floats(0, 1000)), max_size=3),
)


@given(st.data())
def test_no_rule_stands_in_the_way_of_lowering(data: st.DataObject) -> None:
    """Whatever the rules, the hour and the freezes: a rollback of anything passes."""
    drawn = replace(data.draw(tables()), safety=data.draw(st.none() | safeties))
    before = data.draw(orders(drawn))
    held = Order(99, Kind.ROLLBACK, Scope(Reach.ALL), "trouble", "kim", 0.0)
    freeze = Order(98, Kind.FREEZE, Scope(Reach.ALL), "peak", "kim", 0.0)
    after = (*before, freeze, held)
    changed = steps((drawn, effective(drawn, before)), (drawn, effective(drawn, after)))
    assert () == check(drawn, after, changed, data.draw(facts_of_any_kind))


@given(st.data())
def test_what_is_said_to_be_allowed_is_allowed(data: st.DataObject) -> None:
    """With every step cut to the least that its rules allow, the rules about single routes are content."""
    drawn = replace(data.draw(tables()), safety=data.draw(safeties))
    known = {route.name: data.draw(st.integers(0, PPM)) for route in drawn.routes}
    changed = tuple(Step(name, share, data.draw(st.integers(share, PPM))) for name, share in known.items())
    facts = data.draw(facts_of_any_kind)
    found_once = check(drawn, (), changed, facts)
    allowed = {
        each.route: min(one.allowed for one in found_once if one.route == each.route and one.allowed is not None)
        for each in found_once
        if each.route
    }
    cut = tuple(replace(step, after=allowed.get(step.route, step.after)) for step in changed)
    assert all(step.after >= step.before for step in cut)
    assert not [one for one in check(drawn, (), [step for step in cut if step.rise], facts) if one.route]


@given(st.data())
def test_overriding_every_rule_allows_everything(data: st.DataObject) -> None:
    """By their names; overriding none changes nothing."""
    drawn = replace(data.draw(tables()), safety=data.draw(safeties))
    changed = tuple(Step(route.name, 0, PPM) for route in drawn.routes)
    facts = replace(data.draw(facts_of_any_kind), legacy_dead=True)
    assert () == check(drawn, (), changed, facts, set(map(str, Rule)))
    assert check(drawn, (), changed, facts) == check(drawn, (), changed, facts, ())


def test_every_rule_of_the_section_is_asked() -> None:
    """A field that is added to `Safety` has to be looked at by `check`."""
    strict = Safety(0, 0, 60.0, 0, 0, (Window(frozenset(), 0, 1),), "UTC", 1.0)
    facts = replace(NOW, traffic={"a": 1})
    broken = {one.rule for one in check(replace(table(), safety=strict), (), UP, facts)}
    assert {Rule.MAX_STEP, Rule.MAX_RISE, Rule.MAX_MOVED, Rule.MAX_RAISED, Rule.WINDOW} == broken
    rules = ["max_step", "max_rise", "max_rise_span", "max_moved", "max_raised", "windows", "timezone", "confirm"]
    assert rules == [field.name for field in fields(Safety)]

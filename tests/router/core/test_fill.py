"""Filling the sites: the examples that operators know by heart, and what holds for every configuration."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.fill import PANIC_BELOW, Filled, Policy, Room, Why, fill, rooms
from router.core.model import PPM, Endpoint, Panic, Upstream
from router.core.observed import Observed, target_key

PERCENT = PPM // 100
VM = (Room("vm", PPM),)


def new(pangyo: int = 100, pyeongchon: int = 100, *, sized: int = 100) -> tuple[Room, Room]:
    """The two regions 60 : 40, with so many percent healthy; the second sized for so many percent of the traffic."""
    return (
        Room("pangyo", 600_000, healthy=pangyo * PERCENT),
        Room("pyeongchon", 400_000, sized * PERCENT, healthy=pyeongchon * PERCENT),
    )


def ten_thousandths(filled: Filled) -> list[int]:
    """Legacy, then the new sites, as the runbook's table has them."""
    return [round(part / 100) for _, part in (*filled.legacy, *filled.new)]


@pytest.mark.parametrize(
    ("expected", "why", "want", "sites", "policy"),
    [
        ([7000, 1800, 1200], Why.WEIGHTS, 30, new(), Policy()),
        ([7000, 1800, 1200], Why.WEIGHTS, 30, new(80), Policy()),
        ([7000, 1537, 1463], Why.SITES, 30, new(50), Policy()),
        ([7000, 0, 3000], Why.SITES, 30, new(0), Policy()),
        ([8000, 0, 2000], Why.FAILOVER, 30, new(0, sized=20), Policy()),
        ([10000, 0, 0], Why.FAILOVER, 30, new(0, 0), Policy()),
        ([0, 6000, 4000], Why.OVERLOAD_NEW, 100, new(0, 0), Policy(finalised=True)),
        ([7000, 1800, 1200], Why.OVERLOAD_NEW, 30, new(0, 0), Policy(overflow=False)),
        ([10000, 0, 0], Why.WEIGHTS, 0, new(), Policy()),
    ],
)
def test_the_table_of_the_runbook(
    expected: list[int], why: Why, want: int, sites: tuple[Room, ...], policy: Policy
) -> None:
    """Weights, site failover before side failover, overflow only where it is allowed."""
    filled = fill(want * PERCENT, sites, VM, policy)
    assert (expected, why) == (ten_thousandths(filled), filled.why)


def test_a_dead_legacy_opens_nothing() -> None:
    """Health never opens a route whose share is 0; the few that belong to new stay there."""
    dead = (Room("vm", PPM, healthy=0),)
    assert [10000, 0, 0] == ten_thousandths(fill(0, new(), dead, Policy()))
    assert [9500, 300, 200] == ten_thousandths(fill(5 * PERCENT, new(), dead, Policy()))


def test_a_dead_legacy_is_no_refuge() -> None:
    """What the living half of new has no room for is pressed into it rather than sent to the dead."""
    filled = fill(30 * PERCENT, new(0, sized=20), (Room("vm", PPM, healthy=0),), Policy())
    assert (Why.OVERLOAD_NEW, 30 * PERCENT) == (filled.why, filled.share)


def test_when_both_sides_look_dead_the_prober_is_distrusted() -> None:
    """As configured, but never against the operator; or 503, where the route says so."""
    dead = (Room("vm", PPM, healthy=0),)
    assert [7000, 1800, 1200] == ten_thousandths(fill(30 * PERCENT, new(0, 0), dead, Policy()))
    closed = (Room("pangyo", 600_000, healthy=0, closed=True), Room("pyeongchon", 400_000, healthy=0))
    filled = fill(30 * PERCENT, closed, dead, Policy())
    assert ([7000, 0, 3000], Why.PANIC) == (ten_thousandths(filled), filled.why)
    assert fill(30 * PERCENT, new(0, 0), dead, Policy(panic=Panic.CLOSED)).refused


def test_a_finalised_route_with_every_place_closed_is_refused() -> None:
    """Old data is no answer, and a closed place gets nothing."""
    closed = (Room("a", PPM, closed=True),)
    assert fill(PPM, closed, VM, Policy(finalised=True)).refused
    assert [10000, 0] == ten_thousandths(fill(PPM, closed, VM, Policy()))


def test_legacy_takes_more_than_it_is_sized_for_and_says_so() -> None:
    """There is nobody else."""
    small = (Room("vm", PPM, 40 * PERCENT),)
    filled = fill(30 * PERCENT, new(), small, Policy())
    assert (Why.OVERLOAD_LEGACY, 70 * PERCENT) == (filled.why, dict(filled.legacy)["vm"])


def test_a_site_that_returns_takes_its_part_little_by_little() -> None:
    """At a tenth it pulls a tenth of its weight."""
    back = (Room("pangyo", 600_000, back=100_000), Room("pyeongchon", 400_000))
    assert {"pangyo": 130_434, "pyeongchon": 869_566} == pytest.approx(dict(fill(PPM, back, VM, Policy()).new), abs=2)


def test_rooms_are_made_of_what_is_observed() -> None:
    """Healthy parts by endpoints and their weights, addresses of names each for themselves, operators first."""
    one, two, named = Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2, 3), Endpoint("svc", 3)
    upstream = Upstream("u", {"a": (one, two), "b": (named,), "c": (one,), "d": (two,)})
    spread = (("a", 400_000), ("b", 200_000), ("c", 200_000), ("d", 200_000))
    addresses = {target_key("u", named): ("127.0.0.1", "127.0.0.2")}
    levels = {target_key("u", one): 0, target_key("u", named, "127.0.0.2"): 250_000, target_key("u", two): 500_000}
    found = rooms(upstream, spread, {"b": 50}, Observed(levels, addresses), closed={"c"}, held={"d"})
    assert [
        Room("a", 400_000, PPM, 750_000, 500_000),
        Room("b", 200_000, 500_000, PPM, 625_000),
        Room("c", 200_000, PPM, 0, PPM, closed=True),
        Room("d", 200_000),
    ] == list(found)


# ---------------------------------------------------------------------------------------------- properties

parts = st.integers(0, PPM)
healths = st.one_of(st.sampled_from([0, PANIC_BELOW, PPM // 2, PPM]), parts)


@st.composite
def places(draw: st.DrawFn, fewest: int = 1) -> tuple[Room, ...]:
    """Up to four sites whose weights sum to a whole."""
    weights = draw(st.lists(st.integers(0, 100), min_size=fewest, max_size=4))
    total = sum(weights) or 1
    spread = [weight * PPM // total for weight in weights]
    if spread:
        spread[0] += PPM - sum(spread)
    return tuple(
        Room(str(n), weight, draw(st.integers(1, 100)) * PERCENT, draw(healths), draw(parts), draw(st.booleans()))
        for n, weight in enumerate(spread)
    )


policies = st.builds(Policy, st.booleans(), st.booleans(), st.sampled_from(Panic))


def check(want: int, sites: tuple[Room, ...], legacy: tuple[Room, ...], policy: Policy) -> None:
    """A whole; nothing opened; nothing at a closed place; no more than wanted; finalised stays; room is respected."""
    want = want if sites else 0
    filled = fill(want, sites, legacy, policy)
    assert PPM == sum(part for _, part in (*filled.new, *filled.legacy))
    assert all(part >= 0 for _, part in (*filled.new, *filled.legacy))
    assert filled.share <= want
    assert not any(part for room, (_, part) in zip(sites, filled.new, strict=False) if room.closed)
    if not all(room.closed for room in legacy):
        assert not any(part for room, (_, part) in zip(legacy, filled.legacy, strict=True) if room.closed)
    if policy.finalised:
        assert filled.share == want or filled.refused
    if filled.why in {Why.WEIGHTS, Why.SITES, Why.FAILOVER}:
        assert all(part <= room.room for room, (_, part) in zip(sites, filled.new, strict=True))
    if filled.share < want and not filled.refused and filled.why is not Why.PANIC:
        assert policy.may_fall_back


@settings(max_examples=1_000, deadline=None)
@given(want=st.one_of(st.sampled_from([0, 1, PPM]), parts), sites=places(0), legacy=places(), policy=policies)
def test_what_holds_whatever_is_observed(
    want: int, sites: tuple[Room, ...], legacy: tuple[Room, ...], policy: Policy
) -> None:
    """The invariants, where Hypothesis looks for trouble."""
    check(want, sites, legacy, policy)


def test_what_holds_in_sixty_thousand_configurations() -> None:
    """The same invariants, in breadth."""
    chance = Random(4)
    healthy = (0, PANIC_BELOW, PPM // 2, PPM)

    def some(fewest: int) -> tuple[Room, ...]:
        weights = [chance.randrange(101) for _ in range(chance.randint(fewest, 4))]
        spread = [weight * PPM // (sum(weights) or 1) for weight in weights]
        if spread:
            spread[0] += PPM - sum(spread)
        return tuple(
            Room(
                str(number),
                weight,
                chance.randint(1, 100) * PERCENT,
                chance.choice((*healthy, chance.randint(0, PPM))),
                chance.choice((PPM, chance.randint(0, PPM))),
                chance.random() < 0.2,
            )
            for number, weight in enumerate(spread)
        )

    for _ in range(60_000):
        policy = Policy(chance.random() < 0.7, chance.random() < 0.3, chance.choice(tuple(Panic)))
        check(chance.choice((0, 1, PPM, chance.randint(0, PPM))), some(0), some(1), policy)


@settings(max_examples=1_000, deadline=None)
@given(wants=st.tuples(parts, parts), sites=places(), legacy=places(), policy=policies)
def test_more_wanted_is_never_less_given(
    wants: tuple[int, int], sites: tuple[Room, ...], legacy: tuple[Room, ...], policy: Policy
) -> None:
    """The share in force rises with the share that was asked for, whatever is sick."""
    less, more = sorted(wants)
    low, high = (fill(want, sites, legacy, policy) for want in (less, more))
    if low.refused == high.refused and less:
        assert low.share <= high.share

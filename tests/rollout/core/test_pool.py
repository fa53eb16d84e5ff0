"""Routes of one upstream are judged together, and one bad route stays its own affair."""

from __future__ import annotations

from dataclasses import replace
from math import log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.evidence import Evidence, Tolerance
from rollout.core.ledger import Ledger, enter
from rollout.core.mixture import count, log_e, renewed
from rollout.core.pool import EVEN, Pool, absorb, again, assess, fresh, reading, tilted
from rollout.core.sequential import Ratio
from rollout.core.settings import Settings
from rollout.core.verdict import Breadth, Kind, Scope
from router.core.model import PPM
from tests.rollout.core.traffic import binomial, counts, row, split

SETTINGS = Settings()
UPSTREAM = Scope(Breadth.UPSTREAM, "catalog")
TOLERANCE = Tolerance()


def pooled(pool: Pool, *rows: Evidence, at: float = 0.0) -> Pool:
    for one in rows:
        pool = absorb(pool, one, TOLERANCE, (), at, SETTINGS)
    return pool


def failing(route: str, errors: int = 8) -> Evidence:
    return row(route, 10_000, counts(20, errors, marked=True), counts(1_980, 2))


@given(share=st.integers(1, PPM - 1), ratio=st.floats(1.0, 10.0), new=st.integers(0, 9), legacy=st.integers(0, 9))
def test_each_error_counts_against_the_tolerance_of_its_own_route(
    share: int, ratio: float, new: int, legacy: int
) -> None:
    """A tilted share and a ratio of 1 give the E of the share and the ratio, so that one test serves all routes."""
    own = Ratio(ratio)
    expected = log_e(count(renewed(own), own, share, (new, legacy)), own)
    assert pytest.approx(expected, rel=1e-6, abs=1e-6) == log_e(
        count(renewed(EVEN), EVEN, tilted(share, ratio), (new, legacy)), EVEN
    )


@pytest.mark.parametrize("share", [1, 999_999])
def test_no_tolerance_is_too_large_to_be_judged(share: int) -> None:
    """Whoever tolerates anything hears nothing, and nobody divides by zero."""
    harmless = row("a", share, counts(100, 100), counts(100, 1))
    pool = fresh(UPSTREAM, 0.0, SETTINGS)
    assert reading(absorb(pool, harmless, Tolerance(ratio=1e15), (), 0.0, SETTINGS)) < 0


def test_a_client_that_fails_everywhere_brings_nothing_down() -> None:
    """Its first error counts, on thirty routes to which it is known it is none; thirty clients are another matter."""
    first = row("a", 10_000, counts(20, 1), counts(1_980, 2))
    known = [
        replace(first, epoch=first.epoch._replace(route=str(n)), new=replace(first.new, elsewhere=1)) for n in range(30)
    ]
    begun = fresh(UPSTREAM, 0.0, SETTINGS)
    pool, verdict = assess(pooled(begun, first, *known), 1.0, SETTINGS)
    assert (Kind.NONE, 1, ("a",)) == (verdict.kind, pool.spans[0].new_bad, pool.failing)
    others = [replace(each, new=replace(each.new, elsewhere=0)) for each in known]
    assert Kind.ROLLBACK is assess(pooled(begun, first, *others), 1.0, SETTINGS)[1].kind


def test_two_bad_routes_bring_down_their_upstream() -> None:
    """With all that counted, and the requests that spoke against it."""
    pool, verdict = assess(pooled(fresh(UPSTREAM, 0.0, SETTINGS), failing("a"), failing("b")), 1.0, SETTINGS)
    assert (Kind.ROLLBACK, UPSTREAM) == (verdict.kind, verdict.scope)
    assert verdict == pool.final
    assert (16, 40, 4) == (verdict.spans[0].new_bad, verdict.spans[0].new_all, verdict.spans[0].legacy_bad)
    assert verdict.first is not None and "first" == verdict.first.request


def test_one_bad_route_does_not() -> None:
    """However bad it is: its own verdict has the smaller scope."""
    pool, verdict = assess(pooled(fresh(UPSTREAM, 0.0, SETTINGS), *[failing("a")] * 50), 1.0, SETTINGS)
    assert reading(pool) > 100
    assert Kind.NONE is verdict.kind


def test_everything_is_held_and_never_rolled_back() -> None:
    """On evidence about all routes together no person's work of weeks is undone."""
    pool, verdict = assess(pooled(fresh(Scope(Breadth.ALL), 0.0, SETTINGS), failing("a"), failing("b")), 1.0, SETTINGS)
    assert (Kind.HOLD, None) == (verdict.kind, pool.final)


def test_an_alarming_upstream_is_held_until_it_has_calmed_down() -> None:
    """From E 20 on, and until it is below 10."""
    pool = pooled(fresh(UPSTREAM, 0.0, SETTINGS), failing("a", 2), failing("b", 1))
    pool, verdict = assess(pool, 1.0, SETTINGS)
    assert Kind.HOLD is verdict.kind
    between = False
    while Kind.HOLD is verdict.kind:
        pool, verdict = assess(pooled(pool, row("a", 10_000, counts(0), counts(100, 1))), 1.0, SETTINGS)
        between = between or (log(10) < reading(pool) < log(20) and Kind.HOLD is verdict.kind)
    assert between
    assert reading(pool) < log(10)


def test_a_pool_that_begins_again_has_forgotten_and_asks_for_more() -> None:
    """Its k-th beginning has the alpha of a k-th run."""
    pool = again(pooled(fresh(UPSTREAM, 0.0, SETTINGS), failing("a"), failing("b")), 5.0, SETTINGS)
    assert (2, (), ()) == (pool.start, pool.spans, pool.failing)
    first = assess(pooled(fresh(UPSTREAM, 0.0, SETTINGS), failing("a"), failing("b")), 1.0, SETTINGS)[1]
    second = assess(pooled(pool, failing("a"), failing("b")), 6.0, SETTINGS)[1]
    assert first.log_threshold is not None and second.log_threshold is not None
    assert second.log_threshold > first.log_threshold


def hours_until_rollback(chance: Random, times: float, limit: float = 24.0) -> float:
    """60 routes with three requests a minute each at 5 %, 0.5 % of errors on legacy, so many times that on new."""
    pool, ledgers, at = fresh(UPSTREAM, 0.0, SETTINGS), [()] * 60, 0.0
    step = 600.0 if times < 5 else 120.0
    while at < limit * 3600:
        at += step
        for number in range(60):
            ledger: Ledger = ledgers[number]
            new, legacy = split(chance, 0.05 * step, 50_000)
            answers = counts(new, binomial(chance, new, 0.005 * times)), counts(legacy, binomial(chance, legacy, 0.005))
            one = row(f"route-{number}", 50_000, *answers)
            pool = absorb(pool, one, TOLERANCE, ledger, at, SETTINGS)
            ledgers[number] = enter(ledger, one)
        pool, verdict = assess(pool, at, SETTINGS)
        if verdict.kind is Kind.ROLLBACK:
            return at / 3600
    return limit


@pytest.mark.parametrize(("times", "published"), [(3.0, 4.3), (10.0, 0.3)])
def test_a_common_fault_of_quiet_routes_is_found_within_hours(times: float, published: float) -> None:
    """As the table says, where a single route would need a day or more."""
    chance = Random(1)
    assert sorted(hours_until_rollback(chance, times) for _ in range(7))[3] <= published * 1.25 + 1 / 30


def test_equal_sides_of_many_routes_bring_down_nothing() -> None:
    """Half a day of the same routes, equally bad on both sides."""
    assert 12.0 == hours_until_rollback(Random(2), 1.0, limit=12.0)

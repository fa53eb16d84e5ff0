"""A test is a small value: counts while conditions stay, logarithms for what is settled, fresh copies by the hour."""

from __future__ import annotations

from math import exp, isclose, isfinite, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.mixture import (
    MOST_OPEN,
    Process,
    count,
    log_add,
    log_e,
    log_mean,
    log_sum,
    plain,
    renew,
    renewed,
    settle,
    totals,
)
from rollout.core.sequential import RATE_ABOVE, Ratio

RATIO = Ratio(1.2)
SHARE = 10_000
LOGS = st.floats(-1e4, 1e4)
OUTCOMES = st.tuples(st.sampled_from([10_000, 50_000, 250_000]), st.integers(0, 50), st.integers(0, 50))


def after(process: Process, *outcomes: tuple[int, int, int]) -> Process:
    for share, new, legacy in outcomes:
        process = count(process, RATIO, share, (new, legacy))
    return process


@given(outcomes=st.lists(OUTCOMES, max_size=20), seed=st.integers(0, 1000))
def test_the_order_of_batches_within_an_hour_does_not_change_a_bit(
    outcomes: list[tuple[int, int, int]], seed: int
) -> None:
    """Equal, not merely close: the log of a run gives the same verdict wherever it is read."""
    shuffled = Random(seed).sample(outcomes, len(outcomes))
    assert after(renewed(RATIO), *outcomes) == after(renewed(RATIO), *shuffled)


@given(outcomes=st.lists(OUTCOMES, min_size=1, max_size=20))
def test_one_batch_or_many_is_the_same(outcomes: list[tuple[int, int, int]]) -> None:
    """An error after the other, or all of a second at once."""
    single = [(share, 1, 0) for share, new, _ in outcomes for _ in range(new)]
    single += [(share, 0, 1) for share, _, legacy in outcomes for _ in range(legacy)]
    assert after(plain(RATIO), *outcomes) == after(plain(RATIO), *single)


@given(outcomes=st.lists(OUTCOMES, max_size=20))
def test_settling_changes_nothing_but_the_form(outcomes: list[tuple[int, int, int]]) -> None:
    """Up to rounding."""
    process = after(renewed(RATIO), *outcomes)
    assert isclose(log_e(process, RATIO), log_e(settle(process, RATIO), RATIO), rel_tol=1e-9, abs_tol=1e-9)
    assert () == settle(process, RATIO).open


def test_open_conditions_are_bounded() -> None:
    """A share that changes every second costs no more memory than one that does not."""
    process = after(renewed(RATIO), *((share, 1, 1) for share in range(1, 100)))
    assert len(process.open) <= MOST_OPEN


def test_nothing_counted_is_nothing_known() -> None:
    """E is 1 for a plain test, and 1/2 for one that keeps the other half for later."""
    assert pytest.approx(0.0) == log_e(plain(RATIO), RATIO)
    assert pytest.approx(-log(2)) == log_e(renewed(RATIO), RATIO)
    assert plain(RATIO) == count(plain(RATIO), RATIO, SHARE, (0, 0))


def test_the_weights_of_all_copies_add_up_to_one() -> None:
    """However many hours it takes, the stake is never more than what was there at the beginning."""
    process, staked = renewed(RATIO), []
    for _ in range(1000):
        # An outcome that ruins everybody leaves of the next total what the fresh copy has brought.
        process = renew(Process((-1e9,) * 7, process.copies, ((SHARE, (0, 1)),)), RATIO)
        staked.append(exp(process.scores[0]))
    assert isclose(1.0, 0.5 + sum(staked), rel_tol=2e-3)
    assert 0.5 + sum(staked) < 1


def test_an_hour_in_which_nothing_happened_costs_no_copy() -> None:
    """A route with a request a day does not waste its stakes on nights."""
    process = renewed(RATIO)
    assert process == renew(process, RATIO)
    counted = count(process, RATIO, SHARE, (0, 1))
    assert 2 == renew(counted, RATIO).copies


def test_a_test_for_promotion_gets_no_copies() -> None:
    """It begins anew at every step instead."""
    process = count(plain(RATIO), RATIO, SHARE, (0, 1))
    assert process is renew(process, RATIO)


def test_a_fresh_copy_bounds_what_a_good_week_can_take() -> None:
    """After a million good requests the next bad ones count nearly as in the first hour."""
    tired = count(renewed(RATE_ABOVE), RATE_ABOVE, 0.002, (500, 1_000_000))
    assert log_e(tired, RATE_ABOVE) < -100
    assert pytest.approx(-log(6), abs=1e-6) == log_e(renew(tired, RATE_ABOVE), RATE_ABOVE)


@pytest.mark.parametrize("counts", [(0, 1_000_000), (1_000_000, 0), (10**12, 10**12), (0, 10**15)])
@pytest.mark.parametrize("share", [1, 500_000, 999_999])
def test_millions_of_errors_stay_finite(counts: tuple[int, int], share: int) -> None:
    """E itself would be 10^(10^12); its logarithm is a number like others."""
    process = count(renewed(RATIO), RATIO, share, counts)
    assert isfinite(log_e(process, RATIO)) and all(map(isfinite, totals(renew(process, RATIO), RATIO)))


@given(a=LOGS, b=LOGS)
def test_sums_are_made_without_leaving_logarithms(a: float, b: float) -> None:
    """Where numbers are small enough to check, they agree with plain addition; elsewhere nothing overflows."""
    assert isclose(log_add(a, b), log_sum([b, a]), rel_tol=1e-12, abs_tol=1e-12)
    assert max(a, b) <= log_add(a, b) <= max(a, b) + log(2) + 1e-9
    if max(abs(a), abs(b)) < 100:
        assert isclose(exp(a) + exp(b), exp(log_add(a, b)), rel_tol=1e-9)


def test_a_mean_lies_between() -> None:
    """The mean of 1, 1 and 100 is 34."""
    assert pytest.approx(log(34)) == log_mean((0.0, 0.0, log(100)))

"""What may go wrong by chance adds up to what was promised, over all routes and runs."""

from __future__ import annotations

from math import isclose, log

import pytest

from rollout.core.alpha import Alpha, expected_false_rollbacks, of_run, threshold


def test_fifteen_hundred_routes_expect_one_and_a_half_false_rollbacks() -> None:
    """One run each, whatever the routes have in common."""
    assert isclose(1.5, expected_false_rollbacks(Alpha(), [1] * 1500))


def test_the_thresholds_of_a_first_run_are_the_published_ones() -> None:
    """2,500 for errors and for latency, 5,000 for the rest, 1,000 for an upstream."""
    alpha = Alpha()
    expected = [log(2500), log(2500), log(5000), log(1000)]
    assert pytest.approx(expected) == [*map(threshold, (alpha.errors, alpha.latency, alpha.other, alpha.upstream))]


def test_every_further_run_has_to_be_surer() -> None:
    """Whoever tries again and again gets no free throws."""
    levels = [threshold(1e-3, run) for run in range(1, 50)]
    assert levels == sorted(levels)
    assert isclose(log(1000 * 9.8696 / 6 * 4), levels[1], rel_tol=1e-4)


def test_endless_tries_spend_a_bounded_alpha() -> None:
    """A thousand runs of one route spend less than 1.4 times what one may."""
    spent = expected_false_rollbacks(Alpha(), [1000])
    assert 1e-3 < spent < 1.4e-3
    assert sum(of_run(1.0, run) for run in range(1, 100_000)) < 1


def test_upstreams_have_their_own() -> None:
    """Twenty upstreams add twenty thousandths."""
    assert isclose(0.02, expected_false_rollbacks(Alpha(), [], upstreams=20))

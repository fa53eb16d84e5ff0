"""Legacy against legacy: equal sides are not told apart, and sides that are not equal would be."""

from __future__ import annotations

from random import Random

from control.rollouts.selftest import REPEATS, ROWS, SelfTest, _drawn, gathered, self_test
from rollout.core.evidence import Counts, Tally, Tolerance
from rollout.core.settings import Settings

SHARE = 100_000


def history(seconds: int, failing: float, outage: range = range(0)) -> list[tuple[float, Counts]]:
    """Second by second a hundred requests; all of those of an outage fail."""
    found = []
    for second in range(seconds):
        failed = 100 if second in outage else int((second + 1) * 100 * failing) - int(second * 100 * failing)
        found.append((float(second), Counts(100, failed, 100, Tally(failed))))
    return found


def test_equal_sides_are_left_alone_even_over_an_outage() -> None:
    """Both sides fail together, again and again."""
    found = self_test("p", history(300, 0.01, range(100, 110)), SHARE, Tolerance(), Settings())
    assert (100, 30_000, 0) == (found.rows, found.requests, found.rollbacks)
    assert REPEATS == found.repeats


def test_a_loud_client_is_drawn_once_like_anybody_else() -> None:
    """Of what the client rule left, each error and each success is on either side; what it left out is on none."""
    loud = [(float(second), Counts(100, 90, 11, Tally(1))) for second in range(100)]
    found = self_test("p", loud, SHARE, Tolerance(), Settings())
    assert (9_000, 0) == (found.failures, found.rollbacks)
    for number in range(200):
        drawn = _drawn(Counts(100, 3, 98, Tally(5)), SHARE, Random(number))
        assert drawn.errors.count <= min(5, drawn.trials)
        assert drawn.trials - drawn.errors.count <= 93


def test_it_says_the_same_every_time() -> None:
    """Chance has a seed."""
    once = self_test("p", history(10, 0.02), SHARE, Tolerance(), Settings())
    assert once == self_test("p", history(10, 0.02), SHARE, Tolerance(), Settings())


def test_a_long_history_is_gathered() -> None:
    """It takes a few seconds, whatever there is; no request is lost."""
    rows = history(1050, 0.01)
    found = gathered(rows)
    assert len(found) <= ROWS
    assert (rows[-1][0], 105_000) == (found[-1][0], sum(counts.requests for _, counts in found))
    assert rows[:50] == gathered(rows[:50])


def test_without_a_history_nothing_is_claimed() -> None:
    """No requests, no alarms."""
    assert SelfTest(0, 0, 0, REPEATS, 0, 0) == self_test("p", [], SHARE, Tolerance(), Settings())

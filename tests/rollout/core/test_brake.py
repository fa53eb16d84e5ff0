"""How many automatic rollbacks there may be."""

from __future__ import annotations

from rollout.core.brake import HOUR, MOST, Brake, let_through, must_freeze, what
from rollout.core.verdict import Breadth, Kind, Metric, Scope, Standing, Verdict


def test_so_many_an_hour_and_no_more() -> None:
    """The next one waits until the first is an hour old."""
    brake = Brake()
    for number in range(MOST):
        brake, free = let_through(brake, f"route r{number}", 100.0 + number)
        assert free
    assert not let_through(brake, "route another", 200.0)[1]
    assert let_through(brake, "route another", 100.0 + HOUR + 0.5)[1]


def test_the_same_is_counted_once() -> None:
    """A rollback that is tried again, and all routes to one upstream."""
    brake = Brake()
    for number in range(MOST * 3):
        brake, free = let_through(brake, "upstream catalog", 100.0 + number)
        assert free
    assert 1 == len(brake.done)


def test_what_it_is_counted_as() -> None:
    """A verdict on the upstream speaks of all its routes."""
    wide = Verdict(Kind.ROLLBACK, Standing.FAILED, Scope(Breadth.UPSTREAM, "catalog"), Metric.ERRORS, 0.0)
    narrow = Verdict(Kind.ROLLBACK, Standing.FAILED, Scope(Breadth.ROUTE, "p"), Metric.ERRORS, 0.0)
    assert ["upstream catalog", "route p", "route p"] == [what(wide, "p"), what(narrow, "p"), what(None, "p")]


def test_everything_is_frozen_once_an_hour() -> None:
    """Not with every rollback that has to wait."""
    assert must_freeze(Brake(), 10_000.0)
    assert not must_freeze(Brake(frozen=9_000.0), 10_000.0)
    assert must_freeze(Brake(frozen=9_000.0), 9_000.0 + HOUR)

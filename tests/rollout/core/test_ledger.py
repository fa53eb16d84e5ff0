"""Sums by share, and what they say about how often legacy fails."""

from __future__ import annotations

from rollout.core.evidence import Counts, Evidence
from rollout.core.ledger import HIGHEST_FLOOR, MOST_SPANS, Ledger, comparable, enter, enter_span, lifted, spans, usual
from rollout.core.verdict import Span
from tests.rollout.core.traffic import counts, row


def learnt(errors: int, trials: int) -> Ledger:
    return enter((), row("a", 10_000, Counts(), counts(trials, errors)))


def entered(*rows: Evidence) -> Ledger:
    ledger: Ledger = ()
    for one in rows:
        ledger = enter(ledger, one)
    return ledger


def test_the_same_share_is_one_span_under_its_first_revision() -> None:
    """Other routes' revisions come and go meanwhile."""
    ledger = entered(
        row("a", 10_000, counts(10, 1), counts(90), revision=3),
        row("a", 50_000, counts(5), counts(5), revision=4),
        row("a", 10_000, counts(20, 2), counts(80, 1), revision=5),
    )
    expected = (Span(10_000, 3, 3, 30, 1, 170), Span(50_000, 4, 0, 5, 0, 5))
    assert expected == spans(ledger, lambda one: one.errors.count, lambda one: one.trials)


def test_sums_for_many_routes_come_to_the_same() -> None:
    """The short form that pools keep."""
    rows = [row("a", 10_000, counts(10, 1), counts(90), revision=3), row("b", 10_000, counts(20, 2), counts(80, 1))]
    kept: tuple[Span, ...] = ()
    for one in rows:
        kept = enter_span(kept, one)
    assert (Span(10_000, 3, 3, 30, 1, 170),) == kept


def test_a_share_that_wanders_costs_bounded_memory_and_loses_no_count() -> None:
    """A thousand different shares: what is more is added to the nearest."""
    rows = [row("a", share, counts(1), counts(1)) for share in range(1, 1_001)]
    assert MOST_SPANS == len(entered(*rows))
    assert 1_000 == sum(span.new.requests for span in entered(*rows))
    kept: tuple[Span, ...] = ()
    for one in rows:
        kept = enter_span(kept, one)
    assert (MOST_SPANS, 1_000) == (len(kept), sum(span.new_all for span in kept))


def test_only_drawn_sides_can_be_compared() -> None:
    """Not at no or the whole share, and not where the request chose."""
    shares = (0, 1, 999_999, 1_000_000)
    assert [False, True, True, False] == [comparable(row("a", share, Counts(), Counts())) for share in shares]
    assert not comparable(row("a", 10_000, Counts(), Counts(), random=False))


def test_a_legacy_that_never_failed_lifts_no_floor() -> None:
    """Nothing known, nothing lifted."""
    assert (0.002, 0.002) == (lifted(0.002, 1.2, ()), usual(0.002, 1.2, learnt(0, 10_000)))


def test_a_legacy_that_fails_often_lifts_the_floor_above_its_rate() -> None:
    """A route where every tenth answer is an error is not rolled back at 100 % for going on like that."""
    assert 0.12 <= lifted(0.002, 1.2, learnt(1_000, 10_000)) <= 0.2
    assert 0.12 <= usual(0.002, 1.2, learnt(1_000, 10_000)) <= 0.2


def test_where_little_is_known_the_bound_is_wide_and_the_guess_is_not() -> None:
    """One error in twenty requests may be bad luck; a pool that believed the bound would be blind."""
    assert HIGHEST_FLOOR >= lifted(0.002, 1.2, learnt(1, 20)) >= 0.2
    assert usual(0.002, 1.2, learnt(1, 20)) <= 0.006


def test_no_floor_is_lifted_out_of_sight() -> None:
    """A legacy that always fails leaves room for a new side that is even worse."""
    assert HIGHEST_FLOOR == lifted(0.002, 1.2, learnt(10_000, 10_000))
    assert 0.9 == lifted(0.9, 1.2, learnt(10_000, 10_000))

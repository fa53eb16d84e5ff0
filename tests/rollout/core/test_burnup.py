"""A forecast is a range drawn from what was achieved, or the reason why there is none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollout.core.burnup import (
    FINISHED,
    NO_SLOPE,
    TOO_FAR,
    TOO_YOUNG,
    WEEK,
    Forecast,
    Mark,
    NoForecast,
    forecast,
)

NOW = 100 * WEEK


def weekly(*finished: int, total: int = 100) -> list[Mark]:
    """One mark a week, the last one now."""
    first = NOW - (len(finished) - 1) * WEEK
    return [Mark(first + number * WEEK, total, done) for number, done in enumerate(finished)]


def foreseen(marks: list[Mark]) -> Forecast:
    found = forecast(marks, NOW)
    assert isinstance(found, Forecast)
    return found


def test_a_steady_pace_arrives_when_division_says() -> None:
    """Ten a week with forty left are four weeks."""
    found = foreseen(weekly(20, 30, 40, 50, 60))
    assert (NOW + 4 * WEEK, 10.0, 4) == (found.likely, found.weekly, found.weeks)


def test_the_likely_date_lies_within_the_range() -> None:
    """A wavering pace makes the range wide on both sides."""
    found = foreseen(weekly(0, 2, 20, 21, 40, 60))
    assert found.latest is not None
    assert NOW < found.earliest < found.likely < found.latest


def test_even_a_pace_that_never_wavered_is_uncertain() -> None:
    """Counts that were alike by chance are no promise."""
    found = foreseen(weekly(0, 1, 2, 3, 4))
    assert found.earliest < found.likely
    assert found.latest is None or found.latest > found.likely


def test_a_pace_that_may_be_none_has_no_latest_date() -> None:
    """When the slow end of the range does not get there, nobody pretends."""
    assert foreseen(weekly(0, 0, 0, 12)).latest is None


def test_without_slope_there_is_no_forecast() -> None:
    """Standing still, or losing ground, leads nowhere."""
    assert NO_SLOPE == forecast(weekly(5, 5, 5, 5, 5), NOW)
    assert NO_SLOPE == forecast(weekly(9, 8, 7, 6, 5), NOW)


def test_new_routes_count_against_the_pace() -> None:
    """Five finished and five added each week are no progress."""
    marks = [Mark(NOW - (4 - week) * WEEK, 100 + 5 * week, 5 * week) for week in range(5)]
    assert NO_SLOPE == forecast(marks, NOW)


def test_too_little_history_says_so() -> None:
    """Two weeks are no trend, and nothing is none."""
    assert TOO_YOUNG == forecast([], NOW)
    assert TOO_YOUNG == forecast(weekly(1, 20, 40), NOW)
    assert isinstance(forecast(weekly(1, 20, 40, 50), NOW), Forecast)


def test_what_is_finished_needs_no_forecast() -> None:
    """Nor does a file without routes."""
    assert FINISHED == forecast(weekly(100), NOW)
    assert FINISHED == forecast([Mark(NOW, 0, 0)], NOW)


def test_a_date_in_another_decade_is_not_told() -> None:
    """One route in twelve weeks with ten thousand left."""
    assert TOO_FAR == forecast(weekly(*[0] * 12, 1, total=10_000), NOW)


def test_what_was_long_ago_does_not_count() -> None:
    """Twelve weeks are looked at; a sprint before them makes no pace."""
    assert NO_SLOPE == forecast(weekly(0, 50, *[50] * 12), NOW)


def test_marks_at_odd_times_are_read_as_they_stood_at_each_week() -> None:
    """Daily marks give the same answer as weekly ones of the same curve."""
    days = [Mark(NOW - day * WEEK / 7, 100, 60 - 10 * -(-day // 7)) for day in range(34, -1, -1)]
    assert foreseen(weekly(20, 30, 40, 50, 60)) == foreseen(days)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_any_history_gives_a_range_in_order_or_a_reason(finished: list[int]) -> None:
    """Never a date in the past, never a range upside down."""
    found = forecast(weekly(*finished, total=50), NOW)
    if isinstance(found, NoForecast):
        assert found.why
    else:
        assert NOW < found.earliest <= found.likely <= (found.latest or found.likely)

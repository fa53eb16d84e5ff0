"""rollout.core.compare.instants: whether two texts mean one time."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.compare.instants import apart, read_instant


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_instants_are_those_of_the_calendar(moment: dt.datetime) -> None:
    """Leap years, centuries and the years before 1970 included."""
    found = read_instant(moment.isoformat())
    assert found is not None
    assert (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(
        microseconds=1
    ) == found.nanoseconds // 1000


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ("2026-11-22T07:10:16Z", "2026-11-22T16:10:16+09:00", 0.0),
        ("2026-11-22T07:10:16Z", "2026-11-22T03:40:16-0330", 0.0),
        ("2026-11-22T07:10:16.235983Z", "2026-11-22T07:10:16.235Z", 0.000983),
        ("2026-11-22", "2026-11-23", 86400.0),
        ("2026-11-22T07:10:16", "2026-11-22T07:10:16Z", None),
        ("2026-13-22", "2026-11-22", None),
        ("2026-11-22T25:00:00Z", "2026-11-22T07:10:16Z", None),
        ("1795331416", "2026-11-22T07:10:16Z", None),
    ],
)
def test_the_time_between_is_known_or_it_is_not(one: str, two: str, expected: float | None) -> None:
    """Zones and fractions count; a time without a zone, or no time at all, is apart from none."""
    assert expected == apart(one, two)

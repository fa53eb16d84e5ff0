"""Durations, sizes and percents are read exactly or not at all."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import PPM
from router.core.units import (
    read_date,
    read_duration,
    read_percent,
    read_size,
    write_date,
    write_duration,
    write_percent,
    write_size,
)


@pytest.mark.parametrize(("seconds", "text"), [(0.25, "250ms"), (2.0, "2s"), (300.0, "5m"), (3600.0, "1h")])
def test_a_duration_is_a_number_and_its_unit(seconds: float, text: str) -> None:
    """Each of the four units means what it says, both ways."""
    assert seconds == read_duration(text)
    assert text == write_duration(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "2", "2 s", "-2s", "+2s", "0s", "0ms", "1.5s", "1h30m", "2S", "2sec", "٢s", "2s\n", "169h", "9" * 400 + "s"],
)
def test_other_notations_of_a_duration_are_refused(text: str) -> None:
    """Nothing is guessed: no unit, no sign, no fraction, no zero, no sums, nothing beyond a week."""
    assert read_duration(text) is None


@given(st.integers(1, 168 * 3_600_000))
def test_a_written_duration_reads_as_the_same(milliseconds: int) -> None:
    """Writing loses nothing that reading can say."""
    assert milliseconds / 1000 == read_duration(write_duration(milliseconds / 1000))


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (65536, "64KiB"), (1000, "1000"), (2**20, "1MiB"), (2**31, "2GiB"), (2**40, "1TiB")]
)
def test_a_size_is_bytes_with_or_without_a_binary_unit(size: int, text: str) -> None:
    """Plain numbers are bytes; the units are powers of 1,024."""
    assert size == read_size(text)
    assert text == write_size(size)


@pytest.mark.parametrize("text", ["", "-1", "1.5KiB", "16KB", "16k", "16 KiB", "010", "1_000", "2TiB", "9" * 5000])
def test_other_notations_of_a_size_are_refused(text: str) -> None:
    """Decimal units, fractions, blanks, octal looks and absurd sizes are not sizes."""
    assert read_size(text) is None


@given(st.integers(0, 2**40))
def test_a_written_size_reads_as_the_same(size: int) -> None:
    """Writing loses nothing."""
    assert size == read_size(write_size(size))


@pytest.mark.parametrize(
    ("ppm", "text"),
    [(0, "0"), (PPM, "100"), (250_000, "25"), (5_000, "0.5"), (123_400, "12.34"), (700, "0.07"), (PPM, "100.00")],
)
def test_a_percent_has_up_to_two_decimals(ppm: int, text: str) -> None:
    """Percent becomes whole parts per million without any rounding."""
    assert ppm == read_percent(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "101",
        "100.01",
        "-0",
        "-1",
        "+1",
        "0.001",
        "25.000",
        "1e1",
        ".5",
        "5.",
        "010",
        "nan",
        "inf",
        "25%",
        "1_0",
        "٣",
    ],
)
def test_other_notations_of_a_percent_are_refused(text: str) -> None:
    """Out of range, too fine, or written so that two programs could read two numbers."""
    assert read_percent(text) is None


@given(st.integers(0, 10_000))
def test_a_written_percent_reads_as_the_same(hundredths: int) -> None:
    """Every percent that can be declared survives writing and reading."""
    assert hundredths * 100 == read_percent(write_percent(hundredths * 100))


@given(st.integers(0, PPM))
def test_a_share_is_written_exactly(ppm: int) -> None:
    """Shares that only the code can set are shown with all their digits."""
    whole, _, decimals = write_percent(ppm).partition(".")
    assert ppm == int(whole) * 10_000 + int(decimals.ljust(4, "0"))


@given(st.dates(min_value=dt.date(1970, 1, 1)))
def test_a_day_is_its_beginning_and_is_written_by_its_end(day: dt.date) -> None:
    """As the calendar has it."""
    begins = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp()
    assert begins == read_date(day.isoformat())
    assert day.isoformat() == write_date(begins + 86_400)


@pytest.mark.parametrize("text", ["2027-02-29", "2027-13-01", "2027-00-01", "2027-01-00", "1969-12-31", "2027-1-1", ""])
def test_what_is_no_day_is_refused(text: str) -> None:
    """Days that never come, and other notations."""
    assert read_date(text) is None

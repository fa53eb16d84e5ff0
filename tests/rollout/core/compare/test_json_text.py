"""rollout.core.compare.json_text: JSON as exact values."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.compare.json_text import Parsed, Trouble, deeper_than, parse_exactly, parse_pair
from rollout.core.compare.values import MAX_DEPTH


def parsed(text: bytes) -> Parsed:
    found = parse_pair(text, text)[0]
    assert isinstance(found, Parsed)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1e2", 100.0),
        (b"12345678901234567890", 12345678901234567890),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"0.1000000000000000055", Decimal("0.1000000000000000055")),
        (b"1e400", Decimal("1e400")),
        (b"1e-400", Decimal("1e-400")),
        (b"9" * 5000, Decimal("9" * 5000)),
        (b'"\\ud800"', "\ud800"),
        (b'"\\u0022"', '"'),
        (b"\xef\xbb\xbf[]", []),
    ],
)
def test_no_digit_and_no_character_is_lost(text: bytes, expected: Any) -> None:
    """Large, long, tiny and enormous numbers, half a surrogate pair, an escaped quote, a byte order mark."""
    assert expected == parsed(text).value


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b"[Infinity]", b"01", b"\xff", b"'a'", b"1 2", b"[1,]"])
def test_what_is_no_json_is_told_as_that(text: bytes) -> None:
    """Whatever other readers make of it."""
    assert Trouble.NOT_JSON is parse_pair(text, b"1")[0]


@pytest.mark.parametrize(("extra", "expected"), [(0, Parsed), (1, Trouble), (100_000, Trouble)])
def test_depth_has_a_limit_and_beyond_it_a_name(extra: int, expected: type) -> None:
    """As deep as the limit is fine, one more is not, a hundred thousand more cost nothing."""
    text = b"[" * (MAX_DEPTH + extra) + b"]" * (MAX_DEPTH + extra)
    found = parse_pair(text, b"1")[0]
    assert isinstance(found, expected)
    if expected is Trouble:
        assert Trouble.TOO_DEEP is found


def test_depth_is_counted_in_values_and_not_in_brackets() -> None:
    """Many arrays beside each other, and brackets in a text, are not deep."""
    assert isinstance(parse_pair(b'["' + b"[" * 1000 + b'",1e400]', b"1")[0], Parsed)
    assert not deeper_than([[1]] * 1000, 2)
    assert deeper_than([[[1]]], 2)


def test_keys_that_stand_twice_are_told() -> None:
    """Also where both values are equal, and in an object inside."""
    assert frozenset({"a"}) == parsed(b'{"b":{"a":1,"a":1}}').duplicates
    assert frozenset() == parsed(b'{"b":{"a":1},"a":1}').duplicates


def test_a_key_that_stands_twice_is_not_hidden_by_escaped_quotes() -> None:
    """As many quotes in the text as in the value is no proof when some are written as escapes."""
    assert frozenset({"a"}) == parsed(b'{"a":"\\u0022\\u0022","a":"\\u0022\\u0022"}').duplicates


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(_values)
def test_the_quick_reader_and_the_exact_one_read_the_same(value: Any) -> None:
    """Where the quick one is trusted its doubles are what the text says, to the last digit."""
    text = json.dumps(value).encode()
    quick, exact = parsed(text), parse_exactly(text)
    assert isinstance(exact, Parsed)
    assert _as_decimals(exact.value) == _as_decimals(quick.value)


def _as_decimals(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_decimals(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_decimals(each) for each in value]
    if isinstance(value, float | int | Decimal) and not isinstance(value, bool):
        return Decimal(repr(value) if isinstance(value, float) else value)
    return [type(value).__name__, value]

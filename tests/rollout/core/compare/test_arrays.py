"""rollout.core.compare.arrays: items without their order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.compare.arrays import canonical, differ_in_order_only, matched_as_set, unequal_items


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (1, "1", False),
        (1, "\0n1e0", False),
        (100, Decimal("1e2"), True),
        (0, -0.0, True),
        (10**30, Decimal("1e30"), True),
        (0.1, Decimal("0.1"), False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ("é", "e\u0301", False),
        ("\ud800", "\ufffd", False),
    ],
)
def test_two_values_have_one_canonical_text_exactly_when_they_are_equal(one: Any, two: Any, same: bool) -> None:
    """Numbers by value and not by form; a text never looks like a number."""
    assert same is (canonical(one) == canonical(two))


def test_what_is_too_deep_has_no_canonical_text() -> None:
    """And is found equal to nothing."""
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    assert None is canonical(deep)
    assert ([deep], [deep], False) == matched_as_set([deep], [deep])


@given(st.lists(st.integers(0, 3) | st.booleans() | st.text(max_size=1), max_size=6))
def test_only_the_order_differs_in_a_list_and_its_reverse(items: list[Any]) -> None:
    """Unless the list reads the same both ways."""
    reverse = items[::-1]
    palindrome = [canonical(each) for each in items] == [canonical(each) for each in reverse]
    assert (not palindrome) is differ_in_order_only(items, reverse, unequal_items(items, reverse)[0])


def test_true_is_no_one() -> None:
    """Python says `True == 1`; the position is found unequal all the same."""
    assert ([0, 2], 7) == unequal_items([True, 1, {"a": 0}], [1, 1, {"a": False}])


def test_what_cannot_be_written_out_is_looked_at() -> None:
    """An exact decimal or a huge number makes every position suspect, and none is lost."""
    assert ([0, 1], 0) == unequal_items([[Decimal("1.5")], [1]], [[Decimal("1.5")], [1], 2])

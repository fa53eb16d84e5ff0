"""rollout.core.compare.shapes: what is left of a value when its content does not matter."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rollout.core.compare.shapes import shape_of, type_of, weight_of
from rollout.core.compare.values import MISSING


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("3f0b7b1e-58a3-4b0c-9a53-1f6f0a1b2c3d", "0A1B2C3D-58a3-4b0c-9a53-3f0b7b1e1f6f", True),
        ("3f0b7b1e-58a3-4b0c-9a53-1f6f0a1b2c3d", "none", False),
        ("2026-11-22T07:10:16Z", "2026-11-22 07:10:16.123", True),
        ("2026-11-22T07:10:16Z", "soon", False),
        ("deadbeef", "cafebabe", True),
        ("deadbeef", "cafebabe00", False),
        ("", "x", False),
        ("x", "y" * 60, True),
        ("x", "y" * 100, False),
        (7, 9999, True),
        (1795331416, 1795331417, True),
        (1795331416, 1795331416000, False),
        (1, True, False),
        (1, 1.5, False),
        ([], [1], True),
        (None, MISSING, False),
    ],
)
def test_shapes_are_coarse_and_yet_tell_a_uuid_from_nothing(one: Any, two: Any, same: bool) -> None:
    """Two of a kind are of one shape; a text that is gone, or seconds that became milliseconds, are not."""
    assert same is (shape_of(one) == shape_of(two))


def test_types_are_those_of_json() -> None:
    """True is no number, whatever Python thinks."""
    values = [None, True, 1, 1.5, Decimal(1), "a", [], {}, MISSING, b""]
    expected = ["null", "boolean", "number", "number", "number", "string", "array", "object", "missing", "bytes"]
    assert expected == [type_of(value) for value in values]


def test_weights_say_no_more_than_a_size() -> None:
    """Texts and collections by length, the others not at all."""
    assert ["empty", "short", "medium", "long", ""] == [weight_of(each) for each in ("", "a", "a" * 99, [1] * 2000, 7)]

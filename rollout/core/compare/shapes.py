"""What a value looks like, when what it says does not matter; and what it weighs.

Types and shapes are what is left of a value when it is stored or when its place is known as noisy.  A shape is coarse
on purpose: two uuids are of one shape, a uuid and an empty text are not.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from rollout.core.compare.values import MISSING

_LONGEST: Final = 64
"""Characters of a text that any of the named shapes may have."""

_SHAPES: Final = (
    ("uuid", re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")),
    ("time", re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?")),
    ("digits", re.compile(r"-?\d+(?:\.\d+)?")),
    ("hex", re.compile(r"[0-9a-fA-F]{8,}")),
)


def type_of(value: Any) -> str:
    """The JSON type."""
    if value is None:
        return "null"
    if value is MISSING:
        return "missing"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object" if isinstance(value, dict) else "bytes"


def shape_of(value: Any) -> str:
    """Type, and for texts and numbers what they look like."""
    if isinstance(value, str):
        return _shape_of_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        size = (value.bit_length() + 7) // 8
        return f"integer of {size} bytes" if size > 2 else "small integer"
    return type_of(value)


def _shape_of_text(text: str) -> str:
    if len(text) <= _LONGEST:
        for name, pattern in _SHAPES:
            if pattern.fullmatch(text):
                return f"{name} of {len(text)}" if name == "hex" else name
    return f"text, {length_class(len(text))}"


def length_class(length: int) -> str:
    """Lengths told apart no more than a report needs."""
    for limit, name in ((0, "empty"), (64, "short"), (1024, "medium")):
        if length <= limit:
            return name
    return "long"


def weight_of(value: Any) -> str:
    """How long a value is, coarsely."""
    return length_class(len(value)) if isinstance(value, str | bytes | list | dict) else ""

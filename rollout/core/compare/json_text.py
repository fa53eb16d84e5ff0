"""JSON text as Python values, exactly: numbers keep their digits, no key is lost, nothing deep or broken raises.

The quick reader (orjson) makes doubles of decimals and lets the last of two equal keys win.  So its result is taken
only when the text cannot have suffered from either: no number of sixteen digits or more, no exponent that underflows,
and as many quotes in the value written out again as in the text.  Everything else is read a second time by the reader
of the standard library, with exact decimals.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final

import orjson

from rollout.core.compare.values import MAX_DEPTH

_BOM: Final = b"\xef\xbb\xbf"
_DIGITS: Final = bytes.maketrans(b"123456789E+", b"000000000e-")
_LONG: Final = b"0" * 16
_TINY: Final = b"0e-000"


class Trouble(Enum):
    """Why there is no value."""

    NOT_JSON = 1
    TOO_DEEP = 2


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value, and what was odd about its text."""

    value: Any = field(repr=False)
    bom: bool = False
    duplicates: frozenset[str] = frozenset()
    """Keys that stood twice in one object."""
    sorted_text: bytes = field(default=b"", repr=False)
    """The value written out again, the same for the same value; empty when it was read exactly."""


def parse_pair(one: bytes, two: bytes) -> tuple[Parsed | Trouble, Parsed | Trouble]:
    """Both values, read in one way: an exact decimal and a double would never be equal."""
    quick = _quick(one), _quick(two)
    if quick[0] is not None and quick[1] is not None:
        return quick[0], quick[1]
    return parse_exactly(one), parse_exactly(two)


def _quick(raw: bytes) -> Parsed | None:
    """None: better read it exactly."""
    bom = raw.startswith(_BOM)
    text = raw[3:] if bom else raw
    digits = text.translate(_DIGITS, b".")
    if _LONG in digits or _TINY in digits or b"\\u0022" in text:
        return None
    try:
        value = orjson.loads(text)
        again = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    if text.count(b'"') != again.count(b'"'):
        return None
    return Parsed(value, bom, sorted_text=again)


def parse_exactly(raw: bytes) -> Parsed | Trouble:
    """As the standard library reads it, with decimals, and with every key that stands twice told of."""
    bom = raw.startswith(_BOM)
    duplicates: set[str] = set()

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(members)
        if len(built) != len(members):
            seen: set[str] = set()
            duplicates.update(key for key, _ in members if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return built

    try:
        text = (raw[3:] if bom else raw).decode("utf-8")
        value = json.loads(
            text, parse_float=_decimal, parse_int=_integer, parse_constant=_refuse, object_pairs_hook=pairs
        )
    except RecursionError:
        return Trouble.TOO_DEEP
    except (ValueError, InvalidOperation):
        return Trouble.NOT_JSON
    if text.count("[") + text.count("{") > MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        return Trouble.TOO_DEEP
    return Parsed(value, bom, frozenset(duplicates))


def deeper_than(value: Any, limit: int) -> bool:
    """Level by level, so that depth costs no stack."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _decimal(text: str) -> Decimal:
    return Decimal(text)


def _integer(text: str) -> int | Decimal:
    """A decimal when it is so long that making an int of it would cost more than reading it."""
    return int(text) if len(text) <= 100 else Decimal(text)


def _refuse(text: str) -> Any:
    raise ValueError(text)

"""Arrays whose order may not matter: as many of each, told by a key, or the same but for the order.

Items are told apart by their canonical text, in which 1 and 1.0 are one number.  A set is a multiset: two of one thing
and one of another are not one and two.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson

from rollout.core.compare.values import MAX_DEPTH

_MARK: Final = "\0"
_ORDER_CHECKED: Final = 1_000
"""Items of an array up to which another order is recognised."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """Two arrays matched by a member of their items; the lists run in step."""

    legacy: list[Any]
    new: list[Any]
    missing: list[Any]
    added: list[Any]
    reordered: bool


def canonical(value: Any) -> bytes | None:
    """Equal for equal values; None when it is too deep for that."""
    try:
        return orjson.dumps(_plain(value, MAX_DEPTH), option=orjson.OPT_SORT_KEYS)
    except (RecursionError, orjson.JSONEncodeError):
        return None


def _plain(value: Any, depth: int) -> Any:
    """A marked text for every number, since 1, 1.0 and an exact decimal are one, and orjson writes no decimals.

    And for every text that orjson may refuse, or that looks marked already: no two values become one.
    """
    if depth < 0:
        raise RecursionError
    if isinstance(value, dict):
        return {key: _plain(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, depth - 1) for each in value]
    if isinstance(value, float | Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        return f"{_MARK}n{_number(value)}"
    if isinstance(value, str) and (value.startswith(_MARK) or not value.isascii()):
        return f"{_MARK}s{value.encode('utf-8', 'surrogatepass').hex()}"
    return value


def _number(value: Any) -> str:
    exact = Decimal(value)
    sign, digits, exponent = exact.as_tuple()
    text = "".join(map(str, digits))
    kept = text.rstrip("0")
    if not kept:
        return "0"
    return f"{'-' * sign}{kept}e{int(exponent) + len(text) - len(kept)}"


def unequal_items(legacy: list[Any], new: list[Any]) -> tuple[list[int], int]:
    """The positions at which items may differ: where writing them out gives other texts, or cannot be done.

    Many times cheaper than walking items that are equal, and unlike `==` it takes no true for a 1.  What was written
    is told, in bytes: arrays inside of arrays would write the same things again and again.
    """
    write, option = orjson.dumps, orjson.OPT_SORT_KEYS
    unequal: list[int] = []
    written = 0
    try:
        for index, (one, two) in enumerate(zip(legacy, new, strict=False)):
            kind = type(one)
            if kind is not type(two):
                unequal.append(index)
            elif kind is dict or kind is list:
                ours = write(one, None, option)
                written += len(ours)
                if ours != write(two, None, option):
                    unequal.append(index)
            elif one != two:
                unequal.append(index)
    except orjson.JSONEncodeError:
        return list(range(min(len(legacy), len(new)))), written
    return unequal, written


def differ_in_order_only(legacy: list[Any], new: list[Any], unequal: list[int]) -> bool:
    """The same items, and not in the same order."""
    if len(unequal) < 2 or len(legacy) != len(new) or len(legacy) > _ORDER_CHECKED:
        return False
    if legacy[unequal[0]] not in new:  # cheap, and true of nearly all arrays that really differ
        return False
    ours, theirs = list(map(canonical, legacy)), list(map(canonical, new))
    return ours != theirs and None not in ours and Counter(ours) == Counter(theirs)


def matched_as_set(legacy: list[Any], new: list[Any]) -> tuple[list[Any], list[Any], bool]:
    """What no equal item was found for, in order; and whether order made a difference."""
    ours, theirs = list(map(canonical, legacy)), list(map(canonical, new))
    common = Counter(ours) & Counter(theirs)
    del common[None]
    left, right = _without(legacy, ours, common), _without(new, theirs, common)
    return left, right, _kept_order(ours, common) != _kept_order(theirs, common)


def _without(items: list[Any], names: list[bytes | None], taken: Counter[bytes | None]) -> list[Any]:
    budget = Counter(taken)
    left = []
    for item, name in zip(items, names, strict=True):
        if budget[name] > 0:
            budget[name] -= 1
        else:
            left.append(item)
    return left


def _kept_order(names: list[bytes | None], common: Counter[bytes | None]) -> list[bytes | None]:
    return [name for name in names if name in common]


def matched_by_key(legacy: list[Any], new: list[Any], key: str) -> Keyed | None:
    """None when the key does not tell the items apart."""
    ours, theirs = _by_key(legacy, key), _by_key(new, key)
    if ours is None or theirs is None:
        return None
    both = [name for name in ours if name in theirs]
    return Keyed(
        legacy=[ours[name] for name in both],
        new=[theirs[name] for name in both],
        missing=[item for name, item in ours.items() if name not in theirs],
        added=[item for name, item in theirs.items() if name not in ours],
        reordered=both != [name for name in theirs if name in ours],
    )


def _by_key(items: list[Any], key: str) -> dict[bytes, Any] | None:
    found: defaultdict[bytes | None, list[Any]] = defaultdict(list)
    for item in items:
        if not isinstance(item, dict) or key not in item:
            return None
        found[canonical(item[key])].append(item)
    unique = {name: each[0] for name, each in found.items() if name is not None and len(each) == 1}
    return unique if len(unique) == len(items) else None

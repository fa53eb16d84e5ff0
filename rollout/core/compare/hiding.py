"""Does a rule hide this difference?  One small function per treatment, all of them symmetric in the sides."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from rollout.core.compare.instants import apart
from rollout.core.compare.policy import Applying
from rollout.core.compare.shapes import type_of
from rollout.core.compare.values import MISSING
from router.core.comparing import Rule, Treat

_LONGEST_TEXT: Final = 1024
"""Characters that an expression of a rule is tried on."""
_LONGEST_NUMBER: Final = 64
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}://[^/?#]*")


def hiding(rules: Iterable[Applying], legacy: Any, new: Any) -> tuple[int, ...]:
    """The numbers of the rules that hide a difference, together or alone; empty: it stays.

    Rules about texts work one upon the other's result, so that `trim` and `case` may both be needed.
    """
    rewritten: list[int] = []
    for each in rules:
        rewrite = _REWRITES.get(each.rule.treat)
        if rewrite is None:
            if _hides(each, legacy, new):
                return (*rewritten, each.number)
        elif isinstance(legacy, str) and isinstance(new, str):
            legacy, new = rewrite(legacy), rewrite(new)
            rewritten.append(each.number)
            if legacy == new:
                return tuple(rewritten)
    return ()


def _hides(applying: Applying, legacy: Any, new: Any) -> bool:
    rule = applying.rule
    match rule.treat:
        case Treat.IGNORE:
            return True
        case Treat.PRESENCE:
            return not applying.here or (legacy is not MISSING and new is not MISSING)
        case Treat.TYPE_ONLY:
            return type_of(legacy) == type_of(new)
        case Treat.NULL_EQUALS_MISSING:
            return (legacy is MISSING and new is None) or (new is MISSING and legacy is None)
        case Treat.EMPTY_EQUALS_MISSING:
            return _empty(legacy) and _empty(new)
        case Treat.NUMERIC_STRING:
            return _number(legacy) is not None and _number(legacy) == _number(new)
        case Treat.TOLERANCE:
            return _near(legacy, new, rule)
        case Treat.TIME_TOLERANCE:
            between = apart(legacy, new) if isinstance(legacy, str) and isinstance(new, str) else None
            return between is not None and between <= rule.seconds
        case Treat.REGEX_SHAPE:
            return _matches(rule.pattern, legacy) and _matches(rule.pattern, new)
        case _:
            return False


def _origin_removed(text: str) -> str:
    return _ORIGIN.sub("", text, count=1) if text.find("://", 0, 20) > 0 else text


_REWRITES: Final[dict[Treat, Callable[[str], str]]] = {
    Treat.CASE: str.casefold,
    Treat.TRIM: str.strip,
    Treat.URL_HOST: _origin_removed,
}


def _empty(value: Any) -> bool:
    return value is MISSING or value is None or (isinstance(value, str | list | dict) and not value)


def _number(value: Any) -> Decimal | None:
    """Exact, from a number or a text that is nothing but one."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    text = value if isinstance(value, str) else str(value)
    if len(text) > _LONGEST_NUMBER or not re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?", text, re.ASCII):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _near(legacy: Any, new: Any, rule: Rule) -> bool:
    if type_of(legacy) != "number" or type_of(new) != "number":
        return False
    try:
        one, two = float(legacy), float(new)
    except OverflowError:
        return False
    # 19.99 and 20.00 are one cent apart, whatever binary fractions say
    allowed = max(rule.absolute, rule.relative * max(abs(one), abs(two))) * (1 + 1e-9)
    return abs(one - two) <= allowed


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _matches(pattern: str, value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and _compiled(pattern).fullmatch(value) is not None

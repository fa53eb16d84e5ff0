"""What routes.yaml says about comparing the answers of the two sides: the values alone.

A rule names a place in an answer and how a difference there is to be treated.  It stands on one of three levels, for
all (`compare:` at the top), for a group, for a route, and the levels add up.  Whoever writes one says who owns it, why,
and until when: a rule hides something, and nobody shall have to guess why ten years later.

The rules are applied in `rollout.core.compare`; nothing here compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_RULES: Final = 200
"""On one level."""


class Treat(StrEnum):
    """What a rule does with a difference at its path."""

    IGNORE = "ignore"
    """Hide it, and all below."""
    TYPE_ONLY = "type_only"
    """Hide it where both values are of one type; likewise below."""
    PRESENCE = "presence"
    """Hide it where both sides have something there; what stands below does not matter."""
    TOLERANCE = "tolerance"
    TIME_TOLERANCE = "time_tolerance"
    REGEX_SHAPE = "regex_shape"
    """Hide it where both texts match the expression."""
    CASE = "case"
    TRIM = "trim"
    NULL_EQUALS_MISSING = "null_equals_missing"
    EMPTY_EQUALS_MISSING = "empty_equals_missing"
    """null, "", [], {} and nothing at all are the same."""
    ARRAY = "array"
    NUMERIC_STRING = "numeric_string"
    """"10.00" and 10 are the same."""
    URL_HOST = "url_host"
    """The same but for the scheme and host in front."""
    EXACT = "exact"
    """No rule of an outer level holds here."""


class ArrayMode(StrEnum):
    """What the order of an array means."""

    ORDERED = "ordered"
    SET = "set"
    """As many of each, in any order."""
    KEYED = "keyed"
    """Items are told by one of their members."""
    AUTO = "auto"
    """Another order is counted but is no mismatch."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One treatment of one place."""

    path: str
    """`$.items[*].price`, `$..traceId` for any depth, `header:Location`."""
    treat: Treat
    owner: str
    reason: str
    expires: float
    """Unix time from which the rule is not applied any more."""
    absolute: float = 0.0
    relative: float = 0.0
    seconds: float = 0.0
    pattern: str = ""
    array: ArrayMode = ArrayMode.ORDERED
    key: str = ""
    """The member by which the items of a keyed array are told."""


@dataclass(frozen=True, slots=True)
class Comparing:
    """The `compare` section of one level."""

    headers: tuple[str, ...] = ()
    """Fields compared besides the usual ones; lower case."""
    rules: tuple[Rule, ...] = ()


ANY: Final = "*"
"""In a path: any member."""
ITEM: Final = "[*]"
"""In a path: any item of an array."""
DEEP: Final = ".."
"""In a path: the next segment at any depth."""

_STEP = re.compile(r"\.\.([A-Za-z_@$][\w@$-]*)|\.(\*|[A-Za-z_@$][\w@$-]*)|\[(\*)\]|\['([^']+)'\]")


def read_path(text: str) -> tuple[str, ...] | None:
    """The segments of `$.items[*].price`, `$['odd name']` or `$..traceId`; None when it is no path."""
    if not text.startswith("$"):
        return None
    segments: list[str] = []
    position = 1
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            return None
        deep, name, item, quoted = step.groups()
        if deep is not None and DEEP in segments:
            return None
        segments += [DEEP, deep] if deep is not None else [ITEM if item else quoted or name]
        position = step.end()
    return tuple(segments)


def read_header_path(text: str) -> str | None:
    """The lower-case field name of `header:Location`."""
    kind, colon, name = text.partition(":")
    return name.lower() if kind == "header" and colon and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) else None

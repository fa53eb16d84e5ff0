"""ISO 8601 instants as whole nanoseconds, without a calendar module: enough to ask whether two texts mean one time.

A time with a zone and one without never mean the same: nobody knows the zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from router.core.units import days_since_1970

_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:([Zz])|([+-])(\d\d):?(\d\d))?)?"
)


@dataclass(frozen=True, slots=True)
class Instant:
    """Nanoseconds since 1970; whether the text named a zone."""

    nanoseconds: int
    zoned: bool


def read_instant(text: str) -> Instant | None:
    found = _INSTANT.fullmatch(text) if len(text) <= 40 else None
    if found is None:
        return None
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    hour, minute, second = (int(found[index] or 0) for index in (4, 5, 6))
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 24 and minute <= 59 and second <= 60):
        return None
    seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
    if found[9]:
        seconds -= (int(found[10]) * 3600 + int(found[11]) * 60) * (1 if found[9] == "+" else -1)
    return Instant(seconds * 1_000_000_000 + int((found[7] or "0").ljust(9, "0")), bool(found[8] or found[9]))


def apart(one: str, two: str) -> float | None:
    """Seconds between two instants; None when that cannot be said."""
    first, second = read_instant(one), read_instant(two)
    if first is None or second is None or first.zoned is not second.zoned:
        return None
    return abs(first.nanoseconds - second.nanoseconds) / 1e9

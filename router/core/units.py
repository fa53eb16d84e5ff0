"""Durations, sizes and percents: what people write, and the numbers the code uses.

Every reading function answers None for text that is not exactly the notation; the caller knows the place and says
what is wrong.  Writing gives back the shortest text that reads as the same number.
"""

from __future__ import annotations

import re
from typing import Final

from router.core.model import PPM

DURATION_HELP: Final = "write a whole number above zero and its unit, such as 250ms, 2s, 5m or 1h (at most 168h)"
PERCENT_HELP: Final = "write a number from 0 to 100 with at most two decimals, such as 25 or 0.5"
SIZE_HELP: Final = "write bytes as a whole number, or with a unit such as 16KiB, 1MiB or 2GiB (at most 1TiB)"

DATE_HELP: Final = "write a day such as 2027-06-30"

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

MAX_DURATION: Final = 168 * 3600
MAX_SIZE: Final = 2**40

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h)")
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_SIZE = re.compile(r"(0|[1-9][0-9]{0,12})(KiB|MiB|GiB|TiB)?")
_BYTES = {None: 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_PERCENT = re.compile(r"(0|[1-9][0-9]{0,2})(?:\.([0-9]{1,2}))?")


def read_duration(text: str) -> float | None:
    """Seconds; `250ms`, `2s`, `5m`, `1h`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    seconds = int(found[1]) * _MILLISECONDS[found[2]] / 1000
    return seconds if 0 < seconds <= MAX_DURATION else None


def write_duration(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    for unit in ("h", "m", "s"):
        if milliseconds and milliseconds % _MILLISECONDS[unit] == 0:
            return f"{milliseconds // _MILLISECONDS[unit]}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0"


def read_size(text: str) -> int | None:
    """Bytes; `65536`, `64KiB`."""
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    size = int(found[1]) * _BYTES[found[2]]
    return size if size <= MAX_SIZE else None


def write_size(size: int) -> str:
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size)


def read_percent(text: str) -> int | None:
    """Parts per million, exactly: the digits are counted, no float is ever involved."""
    found = _PERCENT.fullmatch(text)
    if found is None:
        return None
    ppm = int(found[1]) * 10_000 + int((found[2] or "0").ljust(2, "0")) * 100
    return ppm if ppm <= PPM else None


def write_percent(ppm: int) -> str:
    """The number alone, with as many decimals as it needs (shares computed inside may need four)."""
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0") if rest else str(whole)


def write_minutes(minutes: int) -> str:
    """Minutes of the day as a clock shows them; the end of the day is 24:00."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def read_date(text: str) -> int | None:
    """Unix time of the beginning of a day in UTC."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day = map(int, found.groups())
    if not (year >= 1970 and 1 <= month <= 12):
        return None
    following = days_since_1970(year + month // 12, month % 12 + 1, 1)
    begins = days_since_1970(year, month, day)
    return begins * 86_400 if day >= 1 and begins < following else None


def days_since_1970(year: int, month: int, day: int) -> int:
    """The proleptic Gregorian calendar; years begin in March, so that the leap day is the last."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def write_date(end: float) -> str:
    """The day that ends at this time: the inverse of what `expires` becomes."""
    days = int(end // 86_400) - 1
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    return f"{year + era * 400 + (month >= 10):04d}-{(month + 2) % 12 + 1:02d}-{day:02d}"

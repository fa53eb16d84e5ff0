"""Failures from one address: so many a minute are answered and recorded, the rest is turned away.

    Throttle    answers and records so many
    Seldom      of what is refused, lets so much into the trace, and counts the rest

A valid token passes all the same.  Nobody guesses 256 random bits, and an operator behind the same address as a
broken script must get in at 3 a.m.; what is limited is the noise.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

SPAN: Final = 60.0
FAILURES: Final = 10
ADDRESSES: Final = 4096


class Throttle:
    """Counts failures by address; bounded."""

    def __init__(self, now: Callable[[], float], failures: int = FAILURES) -> None:
        self._now = now
        self._failures = failures
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, address: str) -> float:
        """One more; the seconds until the address is heard again, 0 when it is."""
        now = self._now()
        times = self._failed.setdefault(address, deque())
        self._failed.move_to_end(address)
        while len(self._failed) > ADDRESSES:
            self._failed.popitem(last=False)
        while times and now - times[0] >= SPAN:
            times.popleft()
        if len(times) >= self._failures:
            return SPAN - (now - times[0])
        times.append(now)
        return 0.0


class Seldom:
    """So many lines a minute for one key, and so many for all together; bounded."""

    def __init__(self, now: Callable[[], float], each: int = 10, together: int = 300) -> None:
        self._now = now
        self._each = each
        self._together = together
        self._minute = 0
        self._counts: dict[str, int] = {}
        self._total = 0
        self._left_out = 0

    def let(self, key: str) -> int | None:
        """How many were left out since the last one that was let in; None: this one is left out too."""
        minute = int(self._now() // SPAN)
        if minute != self._minute:
            self._minute, self._total, self._counts = minute, 0, {}
        count = self._counts.get(key, 0)
        if count >= self._each or self._total >= self._together:
            self._left_out += 1
            return None
        self._counts[key] = count + 1  # at most `together` keys a minute
        self._total += 1
        left_out, self._left_out = self._left_out, 0
        return left_out

"""Failures from one address: so many a minute are answered and recorded, the rest is turned away.

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

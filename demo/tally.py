"""Who answered what, as the demo's users saw it: plain counting, no I/O; the time comes in as an argument."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

WINDOW = 5.0
"""Seconds over which rates are shown: short enough to see an order take effect, long enough to be calm."""

_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer that a user got.  `route` and `side` are what the router said in its headers."""

    at: float
    route: str
    side: str
    status: int
    ms: float
    """How long the user waited; 0 for a stream, which takes as long as it takes."""

    @property
    def failed(self) -> bool:
        """What a shopper would call an error; 0 stands for no answer at all."""
        return self.status == 0 or self.status >= 500


@dataclass(frozen=True, slots=True)
class Rate:
    """Answers per second of one route, by side."""

    route: str
    legacy: float
    new: float

    @property
    def total(self) -> float:
        return self.legacy + self.new

    @property
    def share(self) -> float:
        return self.new / self.total if self.total else 0.0


@dataclass(slots=True)
class Tally:
    """Collects what the users saw; everything shown on the screen is computed from it."""

    started: float
    total: int = 0
    failed: int = 0
    sides: Counter[str] = field(default_factory=Counter)
    routes: set[str] = field(default_factory=set)
    last_failure: str = ""
    chat_lines: int = 0
    order_events: int = 0
    _recent: deque[Seen] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def add(self, seen: Seen) -> None:
        self.total += 1
        self.sides[seen.side] += 1
        self.routes.add(seen.route)
        self._recent.append(seen)
        if seen.failed:
            self.failed += 1
            self.last_failure = f"{seen.status or 'no answer'} on {seen.route}"

    def rates(self, now: float) -> list[Rate]:
        """Every route ever seen, in a fixed order, so that lines do not jump about on the screen."""
        counts = Counter((seen.route, seen.side) for seen in self._window(now))
        span = min(WINDOW, max(now - self.started, 1.0))
        return [
            Rate(route, counts[route, "legacy"] / span, counts[route, "new"] / span) for route in sorted(self.routes)
        ]

    def median_ms(self, now: float) -> float:
        times = sorted(seen.ms for seen in self._window(now) if seen.ms)
        return times[len(times) // 2] if times else 0.0

    def _window(self, now: float) -> list[Seen]:
        while self._recent and self._recent[0].at < now - WINDOW:
            self._recent.popleft()
        return list(self._recent)

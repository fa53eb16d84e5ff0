"""One API is sick while its neighbours on the same hosts are well: a breaker pulls just that API to legacy.

    CLOSED     failures are counted against the requests of the window; too many, and it trips
    OPEN       legacy answers, for as long as the hold lasts
    HALF_OPEN  one real and safe request at a time tries the new side again; some in a row close it, one failure trips
               it again for twice as long

Only first tries of the new side count: lost connections, timeouts, answers of 500 and above, never 4xx.  Requests that
go well cost nothing here: how many there were is asked, of the counters, only when one has failed.

A breaker belongs to one worker and one route, and lives as long as the route does.  Times are the caller's seconds.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, final

from router.core.model import PPM, Breaker, Resume

MOST_HOLD: Final = 300.0
"""Seconds; the hold doubles up to this."""
TRIALS: Final = 3
"""Safe requests that have to go well, one after the other, for a breaker to close."""
_FORGET: Final = 600.0
"""Seconds after closing within which another trip counts as the same trouble, and holds longer."""


class State(IntEnum):
    """What a breaker does at the moment."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


@final
class RouteBreaker:
    """The breaker of one route's new side in one worker."""

    def __init__(self, settings: Breaker) -> None:
        self.settings = settings
        self.state = State.CLOSED
        self.tripped = False
        """Not closed: the one thing that every request looks at."""
        self.trips = 0
        self.until = 0.0
        """When it may be tried again."""
        self._hold = settings.hold
        self._closed_at = -_FORGET
        self._window_end = 0.0
        self._base = 0
        self._failures = 0
        self._passed = 0
        self._trying = False

    def failed(self, now: float, finished: int, *, trial: bool = False) -> bool:
        """A first try has failed; `finished` requests have ended on the new side so far.  True: it has just tripped."""
        if trial:
            self._trip(now)
            return True
        if self.tripped:
            return False
        settings = self.settings
        if now >= self._window_end:
            self._window_end = now + settings.window
            self._base, self._failures = finished, 0
        self._failures += 1
        # Those that have failed may not have been counted as finished yet.
        volume = max(finished - self._base, self._failures)
        if volume < settings.minimum or self._failures * PPM < settings.ratio * volume:
            return False
        self._trip(now)
        return True

    def try_again(self, now: float, *, safe: bool) -> bool:
        """May this request try the new side although the breaker has tripped?"""
        if not safe or self._trying or now < self.until or self.settings.resume is Resume.MANUAL:
            return False
        if self.state is State.OPEN:
            self.state, self._passed = State.HALF_OPEN, 0
        self._trying = True
        return True

    def passed(self, now: float) -> bool:
        """The trial has gone well.  True: it has just closed."""
        self._trying = False
        self._passed += 1
        if self._passed < TRIALS or not self.tripped:
            return False
        self.close(now)
        return True

    def undecided(self) -> None:
        """The trial has ended without saying anything, for instance because the client has gone."""
        self._trying = False

    def close(self, now: float) -> None:
        """Back to normal, by trials or by a person."""
        self.state, self.tripped, self._trying = State.CLOSED, False, False
        self._closed_at, self._window_end = now, 0.0

    def take(self, settings: Breaker) -> None:
        """The route has other settings now; what has happened stays."""
        self.settings = settings
        self._hold = max(self._hold, settings.hold) if self.tripped else settings.hold

    def _trip(self, now: float) -> None:
        again = self.tripped or now - self._closed_at < _FORGET
        self._hold = min(self._hold * 2, MOST_HOLD) if again else self.settings.hold
        self.state, self.tripped, self._trying = State.OPEN, True, False
        self.until = now + self._hold
        self._window_end = 0.0
        self.trips += 1

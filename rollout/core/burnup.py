"""When will it be finished?  An honest range from what was achieved week by week, or the reason why nobody can say.

What is left (routes that are not finished, new ones included) is looked at once a week.  The falls of the last weeks
give a mean and how uncertain it is; fast and slow at the ends of an 80 % interval give the earliest and the latest
date.  When the slow end does not get there, there is no latest date, and when the mean does not fall there is no
forecast at all.  That weeks to come are like weeks that were is the whole assumption.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean, variance
from typing import Final

WEEK: Final = 7 * 86_400.0
LEAST: Final = 3
"""Weeks without which nothing is said."""
MOST: Final = 12
"""Weeks that are looked at: what was before says little about now."""
FARTHEST: Final = 520
"""Weeks beyond which a date means nothing."""
_T: Final = (1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372, 1.363)
"""Student's t for an 80 % interval, from 2 degrees of freedom on."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How much there was, and how much of it was finished, at a time."""

    at: float
    total: int
    finished: int

    @property
    def left(self) -> int:
        return self.total - self.finished


@dataclass(frozen=True, slots=True)
class Forecast:
    """When what is left will be finished."""

    earliest: float
    likely: float
    latest: float | None
    """None: on a bad run, never."""
    weekly: float
    """Routes that left the rest each week."""
    weeks: int
    """How many weeks this is drawn from."""


@dataclass(frozen=True, slots=True)
class NoForecast:
    """Why there is none."""

    why: str


FINISHED: Final = NoForecast("everything is finished")
TOO_YOUNG: Final = NoForecast(f"there are no {LEAST} weeks of history yet")
NO_SLOPE: Final = NoForecast("what is left has not become less")
TOO_FAR: Final = NoForecast("at this pace it takes more than ten years")


def forecast(marks: Sequence[Mark], now: float) -> Forecast | NoForecast:
    """From marks in the order of time; the last one is how it stands."""
    if not marks:
        return TOO_YOUNG
    left = marks[-1].left
    if not left:
        return FINISHED
    falls = _falls(marks, now)
    if len(falls) < LEAST:
        return TOO_YOUNG
    mean = fmean(falls)
    if mean <= 0:
        return NO_SLOPE
    if left / mean > FARTHEST:
        return TOO_FAR
    # Counts are at least as uncertain as Poisson's, even when by chance all weeks were alike.
    spread = _T[len(falls) - LEAST] * sqrt(max(variance(falls), mean) / len(falls))
    slow = mean - spread
    latest = now + left / slow * WEEK if slow > 0 and left / slow <= FARTHEST else None
    return Forecast(now + left / (mean + spread) * WEEK, now + left / mean * WEEK, latest, mean, len(falls))


def _falls(marks: Sequence[Mark], now: float) -> list[int]:
    """By how much the rest fell in each of the last whole weeks, the newest first."""
    times = [mark.at for mark in marks]
    left = [marks[-1].left]
    for week in range(1, MOST + 1):
        index = bisect_right(times, now - week * WEEK)
        if not index:
            break
        left.append(marks[index - 1].left)
    return [earlier - later for later, earlier in pairwise(left)]

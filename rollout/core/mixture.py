"""A bet that only pays when the null hypothesis is wrong, kept as a small value.

A test fixes a grid of alternatives.  Each is a bettor that stakes on it with every outcome; `scores` are the logarithms
of what they have made of their stakes, and E is the weighted mean of their capitals.  Under the null nobody can expect
to gain, so the chance that E ever reaches 1/alpha is at most alpha (Ville), at whatever times one looks and whatever
one does upon it.

Two things make this fit for traffic.  *Open counts*: while the conditions (the share, or the floor) stay the same, an
outcome only adds 1 to a number, so that batches may be split, merged and reordered without changing a bit of E.
*Fresh copies*: all bettors lose a little while all is well, and after a quiet week they would have nothing left to
notice anything with.  So a fresh copy with weight 1/((j+1)(j+2)) joins with every hour and step; the weights add up to
one, hence the promise stays the same.

Never leaves logarithms: E itself may be 10^400.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, log1p
from typing import Final, Protocol

MOST_OPEN: Final = 8
"""Conditions with open counts; with one more they are settled."""


class Family(Protocol):
    """A null hypothesis and the bets against it."""

    @property
    def log_weights(self) -> tuple[float, ...]:
        """Of the bettors; their exponentials add up to 1."""
        ...

    def factors(self, condition: float) -> tuple[tuple[float, ...], ...]:
        """For each kind of outcome, what it adds to each bettor's score under this condition."""
        ...


@dataclass(frozen=True, slots=True)
class Process:
    """The state of one test."""

    scores: tuple[float, ...]
    """Logarithms of the bettors' capitals, without what is open."""
    copies: int = 0
    """Fresh copies that have joined; 0: a plain product, which never gets any."""
    open: tuple[tuple[float, tuple[int, ...]], ...] = ()
    """Counts by condition, ordered; not in the scores yet."""


def plain(family: Family) -> Process:
    """Starts with everything at stake."""
    return Process((0.0,) * len(family.log_weights))


def renewed(family: Family) -> Process:
    """Starts with half of it; fresh copies bring in the rest."""
    return Process((-log(2),) * len(family.log_weights), 1)


def log_sum(logarithms: Sequence[float]) -> float:
    """ln(exp(a) + exp(b) + ...), for numbers that exp would not survive."""
    largest = max(logarithms)
    return largest + log(sum([exp(one - largest) for one in logarithms]))


def log_add(a: float, b: float) -> float:
    high, low = (a, b) if a > b else (b, a)
    return high + log1p(exp(low - high))


def count(process: Process, family: Family, condition: float, counts: Sequence[int]) -> Process:
    """With so many outcomes of each kind more."""
    if not any(counts):
        return process
    opened = dict(process.open)
    known = opened.get(condition)
    opened[condition] = tuple(counts) if known is None else tuple(map(int.__add__, known, counts))
    grown = Process(process.scores, process.copies, tuple(sorted(opened.items())))
    return grown if len(opened) <= MOST_OPEN else settle(grown, family)


def totals(process: Process, family: Family) -> tuple[float, ...]:
    """The bettors' scores, with what is open."""
    scores = process.scores
    for condition, counts in process.open:
        for number, gains in zip(counts, family.factors(condition), strict=True):
            if number:
                scores = tuple([score + number * gain for score, gain in zip(scores, gains, strict=True)])
    return scores


def settle(process: Process, family: Family) -> Process:
    """Puts what is open into the scores."""
    return Process(totals(process, family), process.copies) if process.open else process


def renew(process: Process, family: Family) -> Process:
    """A fresh copy joins, unless nothing has happened since the last one: it would be the same copy again."""
    if not process.open or not process.copies:
        return process
    joins = -log((process.copies + 1) * (process.copies + 2))
    return Process(tuple([log_add(score, joins) for score in totals(process, family)]), process.copies + 1)


def log_e(process: Process, family: Family) -> float:
    """The logarithm of E."""
    scores = totals(process, family)
    return log_sum([score + weight for score, weight in zip(scores, family.log_weights, strict=True)])


def log_mean(logarithms: Sequence[float]) -> float:
    """The mean of several E of the same data is an E again."""
    return log_sum(logarithms) - log(len(logarithms))

"""The null hypotheses, and what the bets against them gain with every outcome.

**Ratio.**  Given that a request failed, which side was it?  Under a share of rho and if new fails r times as often as
legacy, it was new with probability theta(r) = rho r / (rho r + 1 - rho): legacy's own rate, which changes by the hour
and jumps with every shared outage, has cancelled out.  So E against "new fails at most r0 times as often" is a product
over errors alone, with theta(r)/theta(r0) for one on new and (1-theta(r))/(1-theta(r0)) for one on legacy; successes
say nothing, and a share that moves is only another theta.  Needs that the sides were drawn: it says nothing at a share
of 0 or 1, and must not be used where the request itself decides its side.

**Rate.**  New alone against a fixed rate: above it (rollback), or below it (promotion).

**Sides.**  Are the sides as large as the share says?  If not, something is wrong with the data, not with new.

**Excess.**  Shadow answers: new against legacy's first answer (d1), and legacy's second answer against its first (d0).
Only where the two disagree does a pair of comparisons speak; what is noisy by itself makes them disagree as often in
one direction as in the other.

What is *harmless* is one or the other: at most `ratio` times legacy's errors, or at most `floor` of them.  Evidence
against a union is the smaller of the two E.  What is *harmful* for a promotion is both at once, and evidence against
either part is enough; the mean of the two E is evidence against both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log, log1p
from typing import Final

from router.core.model import PPM

HIGHEST: Final = 0.95
"""No alternative rate is higher: a single success would ruin whoever had bet on certainty."""

WORSE: Final = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
WORSE_WEIGHTS: Final = (2.0, 2.0, 2.0, 1.5, 1.0, 0.75, 0.75)
BETTER: Final = (0.2, 0.4, 0.6, 0.8)
ABOVE: Final = (1.5, 3.0, 10.0, 30.0, 100.0, 300.0)
BELOW: Final = (0.6, 0.3, 0.1, 0.01)
UNEVEN: Final = (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)
STAKES: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.9)

_Gains = tuple[tuple[float, ...], ...]


def shared(weights: Sequence[float]) -> tuple[float, ...]:
    """Logarithms of the weights, scaled to add up to one."""
    return tuple(log(weight / sum(weights)) for weight in weights)


def _uniform(number: int) -> tuple[float, ...]:
    return (-log(number),) * number


@dataclass(frozen=True, slots=True)
class Ratio:
    """Null: new's rate is at most (for promotion: at least) `tolerated` times legacy's.

    Outcomes: a bad one on new, a bad one on legacy.  Condition: the share in ppm, strictly between none and all.
    """

    tolerated: float
    multiples: tuple[float, ...] = WORSE
    log_weights: tuple[float, ...] = shared(WORSE_WEIGHTS)
    highest: float = float("inf")
    """No alternative ratio is above this one: 90 % of requests cannot be more than twice as often slow as 45 %."""

    def factors(self, condition: float) -> _Gains:
        return _ratio_gains(self, condition)


@lru_cache(maxsize=4096)
def _ratio_gains(family: Ratio, share: float) -> _Gains:
    rho = share / PPM
    odds = [rho * ratio / (1 - rho) for ratio in (family.tolerated, *_alternatives(family))]
    null, *others = [(log(one) - log1p(one), -log1p(one)) for one in odds]
    return tuple(new - null[0] for new, _ in others), tuple(legacy - null[1] for _, legacy in others)


def _alternatives(family: Ratio) -> list[float]:
    # Who tolerates more than there can be has nobody betting against it, rather than somebody betting for it.
    highest = max(family.highest, family.tolerated)
    return [min(family.tolerated * multiple, highest) for multiple in family.multiples]


@dataclass(frozen=True, slots=True)
class Rate:
    """Null: new's rate is at most the condition (with multiples below 1: at least).

    Outcomes: a bad one, a good one.  Condition: the rate.
    """

    multiples: tuple[float, ...] = ABOVE
    log_weights: tuple[float, ...] = _uniform(len(ABOVE))

    def factors(self, condition: float) -> _Gains:
        return _rate_gains(self.multiples, condition)


@lru_cache(maxsize=4096)
def _rate_gains(multiples: tuple[float, ...], rate: float) -> _Gains:
    highest = max(HIGHEST, rate)  # as for ratios: nobody bets for what is to be refuted
    others = [min(rate * multiple, highest) for multiple in multiples]
    return tuple(log(one / rate) for one in others), tuple(log1p(-one) - log1p(-rate) for one in others)


@dataclass(frozen=True, slots=True)
class Sides:
    """Null: a client is on new with the share's probability.  Outcomes: on new, on legacy.  Condition: the share."""

    log_weights: tuple[float, ...] = _uniform(len(UNEVEN))

    def factors(self, condition: float) -> _Gains:
        return _ratio_gains(Ratio(1.0, UNEVEN, self.log_weights), condition)


@dataclass(frozen=True, slots=True)
class Excess:
    """Null: new differs by at most the condition more often than legacy from itself; `passes`: by at least that.

    Outcomes: only new differed, only legacy's second answer differed, neither or both.  Condition: the margin.
    """

    passes: bool = False
    log_weights: tuple[float, ...] = _uniform(len(STAKES))

    def factors(self, condition: float) -> _Gains:
        return _excess_gains(self.passes, condition)


@lru_cache(maxsize=1024)
def _excess_gains(passes: bool, margin: float) -> _Gains:
    sign, largest = (-1, 1 / (1 - margin)) if passes else (1, 1 / (1 + margin))
    stakes = [sign * largest * stake for stake in STAKES]
    return tuple(tuple(log1p(stake * (outcome - margin)) for stake in stakes) for outcome in (1, -1, 0))


def better(tolerated: float) -> Ratio:
    """For promotion: evidence that new's rate is below `tolerated` times legacy's."""
    return Ratio(tolerated, BETTER, _uniform(len(BETTER)))


@lru_cache(maxsize=256)
def slower(tolerated: float, quantile: float) -> Ratio:
    """For slow bits: what legacy exceeds with probability 1 - quantile cannot be exceeded with more than 98 %."""
    return Ratio(tolerated, highest=0.98 / (1 - quantile))


RATE_ABOVE: Final = Rate()
RATE_BELOW: Final = Rate(BELOW, _uniform(len(BELOW)))
SIDES: Final = Sides()
DIFFERS: Final = Excess()
SAME: Final = Excess(passes=True)
QUANTILES: Final = (0.5, 0.9, 0.99)

"""How much may go wrong by chance, and how that is shared out.

Controlled is the *expected number of false rollbacks of the whole migration*: at most the sum of what every run may
spend, whatever the routes have in common.  1,500 routes with a first run each: 1,500 x 1e-3 = 1.5.  A run after a
mended one gets less (6/pi^2 of the whole over k^2, which sums to the whole however many runs there are), and within a
run errors, latency and the rest have their own part, so that none has to wait for the others.

False discovery rates are not used: e-values may be ranked by them, but a rollback that is taken back an hour later
because some other route looks better is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log, pi


@dataclass(frozen=True, slots=True)
class Alpha:
    """Chances of a false alarm: of a route's runs all together, of an upstream's, and of promoting what is harmful."""

    errors: float = 4e-4
    latency: float = 4e-4
    other: float = 2e-4
    """Errors where the sides cannot be compared (a rollback), and mismatches (a hold)."""
    upstream: float = 1e-3
    sides: float = 1e-4
    promotion: float = 0.05
    """Per step: the chance to go on although new is as bad as the step's margin."""
    last_promotion: float = 0.01

    @property
    def route(self) -> float:
        """What a route may spend on false rollbacks in all its runs together."""
        return self.errors + self.latency + self.other


def of_run(alpha: float, run: int) -> float:
    """The part of `alpha` that the k-th run may spend; all runs together spend no more than `alpha`."""
    return alpha * 6 / (pi * run) ** 2


def threshold(alpha: float, run: int = 1) -> float:
    """The logarithm of E from which a verdict is due.

    The first run gets all of alpha, as if there were never to be another: a route whose rollout goes well spends
    exactly that, and one that is tried again and again for ever at most 1.4 times as much.
    """
    return -log(alpha if run == 1 else of_run(alpha, run))


def expected_false_rollbacks(alpha: Alpha, runs: Iterable[int], upstreams: int = 0) -> float:
    """Upper bound for routes that have had so many runs each, none of which was harmful."""
    spent = sum(alpha.route * (1 if run == 1 else of_run(1, run)) for last in runs for run in range(1, last + 1))
    return spent + alpha.upstream * upstreams

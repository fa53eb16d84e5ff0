"""What was counted in a run, share by share: it stands in the verdicts, and says how often legacy fails.

No test reads it for E; a bounded list of sums is all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import sqrt
from typing import Final

from rollout.core.evidence import Counts, Evidence, Mark, Tally
from rollout.core.verdict import Span
from router.core.model import PPM

MOST_SPANS: Final = 32
"""Different shares that are kept apart; what is more is added to the nearest share."""

LIFTS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
HIGHEST_FLOOR: Final = 0.5

Ledger = tuple[Evidence, ...]


def comparable(row: Evidence) -> bool:
    """Were both sides drawn from the same requests?"""
    return row.epoch.random and 0 < row.epoch.share < PPM


def enter(ledger: Ledger, row: Evidence) -> Ledger:
    """With one row more, under the first revision that had its share."""
    share, random = row.epoch.share, row.epoch.random
    same = [span for span in ledger if span.epoch.random == random]
    nearest = min(same, key=lambda span: abs(span.epoch.share - share), default=None)
    if nearest is None or (nearest.epoch.share != share and len(ledger) < MOST_SPANS):
        return (*ledger, row)
    grown = nearest + Evidence(nearest.epoch, row.legacy, row.new, row.shadow)
    return tuple([grown if span is nearest else span for span in ledger])


def enter_span(known: tuple[Span, ...], row: Evidence) -> tuple[Span, ...]:
    """The same where only errors are of interest, of many routes together."""
    share, new, legacy = row.epoch.share, row.new, row.legacy
    nearest = min(known, key=lambda span: abs(span.share - share), default=None)
    if nearest is None or (nearest.share != share and len(known) < MOST_SPANS):
        begun = Span(share, row.epoch.revision, new.errors.count, new.trials, legacy.errors.count, legacy.trials)
        return (*known, begun)
    grown = Span(
        nearest.share,
        nearest.revision,
        nearest.new_bad + new.errors.count,
        nearest.new_all + new.trials,
        nearest.legacy_bad + legacy.errors.count,
        nearest.legacy_all + legacy.trials,
    )
    return tuple([grown if span is nearest else span for span in known])


def spans(ledger: Iterable[Evidence], bad: Callable[[Counts], int], total: Callable[[Counts], int]) -> tuple[Span, ...]:
    """The ledger as a verdict shows it."""
    return tuple(
        Span(row.epoch.share, row.epoch.revision, bad(row.new), total(row.new), bad(row.legacy), total(row.legacy))
        for row in ledger
    )


def marks(tallies: Iterable[Tally]) -> tuple[Mark | None, Mark | None]:
    """The first and the last request of all of them."""
    whole = sum(tallies, Tally())
    return whole.first, whole.last


def lifted(floor: float, ratio: float, ledger: Ledger) -> float:
    """The floor where new is judged alone: not below `ratio` times the rate at which legacy was seen to fail.

    Takes an upper bound of that rate (of a Poisson count, about 97.5 % sure): nothing else protects new there.
    """
    errors, trials = _legacy(ledger)
    return _lift(floor, ratio * (sqrt(errors + 1) + 1) ** 2 / trials) if errors else floor


def usual(floor: float, ratio: float, ledger: Ledger) -> float:
    """The same where routes are judged together: takes what is likely, not what is possible.

    As if legacy had been seen to fail once at the rate of the floor, which fades as more is seen.  A bound would blind
    the pool, since the routes that need one are those of which little is known.
    """
    errors, trials = _legacy(ledger)
    return _lift(floor, ratio * (errors + 1) / (trials + 1 / floor)) if errors else floor


def _legacy(ledger: Ledger) -> tuple[int, int]:
    errors = sum(row.legacy.errors.count for row in ledger)
    return errors, sum(row.legacy.trials for row in ledger)


def _lift(floor: float, rate: float) -> float:
    """The next of a few fixed lifts, so that the condition of a test seldom changes."""
    lift = next((lift for lift in LIFTS if floor * lift >= rate), LIFTS[-1])
    return max(floor, min(floor * lift, HIGHEST_FLOOR))

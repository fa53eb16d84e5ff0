"""Legacy against legacy: would identical sides be told apart on this route's own traffic?

Legacy's outcomes, as they came second by second, are split by chance into two sides that are equal by construction, and
judged by the whole machinery, many times over.  Each alarm is a false one; the share of them must stay near what the
settings allow.  What this does not show is the effect of clients who stick to one side: counters do not know them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random
from typing import Final

from rollout.core.evidence import Batch, Counts, Epoch, Evidence, Step, Tally, Tolerance
from rollout.core.judge import State, judge
from rollout.core.settings import Settings
from rollout.core.verdict import Kind
from router.core.model import PPM

REPEATS: Final = 100
ROWS: Final = 100
"""Rows into which a history is gathered, so that all repeats take a few seconds."""
MOST_KNOWN: Final = 20_000
"""Rows of a history that are looked at, the newest ones."""
EXACT: Final = 500
"""Up to so many requests are drawn one by one."""
SEED: Final = 20_251


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What came of it."""

    rows: int
    requests: int
    failures: int
    repeats: int
    rollbacks: int
    """False ones."""
    holds: int
    """Repeats in which something was held at some time."""


def self_test(
    route: str, legacy: Sequence[tuple[float, Counts]], share: int, tolerance: Tolerance, settings: Settings
) -> SelfTest:
    """`legacy`: what it answered, by time; `share`: of the pretended new side, in ppm."""

    def chance(number: int) -> Random:
        return Random(SEED + number)  # noqa: S311 - a draw that can be repeated, no secret

    legacy = gathered(legacy)
    outcomes = [_once(route, legacy, share, tolerance, settings, chance(number)) for number in range(REPEATS)]
    return SelfTest(
        len(legacy),
        sum(counts.requests for _, counts in legacy),
        sum(counts.failures for _, counts in legacy),
        REPEATS,
        sum(Kind.ROLLBACK in kinds for kinds in outcomes),
        sum(Kind.HOLD in kinds for kinds in outcomes),
    )


def gathered(legacy: Sequence[tuple[float, Counts]]) -> Sequence[tuple[float, Counts]]:
    """At most so many rows: neighbours are added up, and stand where the last of them stood."""
    size = -(-len(legacy) // ROWS)
    if size <= 1:
        return legacy
    groups = (legacy[start : start + size] for start in range(0, len(legacy), size))
    return [(group[-1][0], sum((counts for _, counts in group), Counts())) for group in groups]


def _once(
    route: str,
    legacy: Iterable[tuple[float, Counts]],
    share: int,
    tolerance: Tolerance,
    settings: Settings,
    chance: Random,
) -> set[Kind]:
    state, kinds = State(), set()
    steps: tuple[Step, ...] = (Step(route, 1, share, tolerance=tolerance),)
    for at, counts in legacy:
        new = _drawn(counts, share, chance)
        rest = Counts(
            max(0, counts.requests - new.requests),
            max(0, counts.failures - new.failures),
            counts.trials - new.trials,
            Tally(counts.errors.count - new.errors.count),
        )
        state, verdicts = judge(state, Batch(at, steps, (Evidence(Epoch(route, 1, share), rest, new),)), settings)
        kinds |= {verdict.kind for verdict in verdicts}
        steps = ()
    return kinds


def _drawn(counts: Counts, share: int, chance: Random) -> Counts:
    """Each request is on the pretended new side with the share's probability; errors are so by the client rule."""
    part, errors = share / PPM, counts.errors.count
    mine = _binomial(errors, part, chance)
    trials = mine + _binomial(counts.trials - errors, part, chance)
    failures = mine + _binomial(max(0, counts.failures - errors), part, chance)
    requests = trials + _binomial(max(0, counts.requests - counts.trials), part, chance)
    return Counts(requests, failures, trials, Tally(mine))


def _binomial(number: int, probability: float, chance: Random) -> int:
    """How many of so many; of very many, about how many."""
    if number <= EXACT:
        return sum(chance.random() < probability for _ in range(number))
    mean = number * probability
    return min(number, max(0, round(chance.gauss(mean, sqrt(mean * (1 - probability))))))

"""Traffic as the judgement sees it, drawn from a seeded source of chance: counts, never single requests."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from rollout.core.evidence import Batch, Counts, Epoch, Evidence, Mark, Shadowed, Step, Tally
from rollout.core.judge import State, judge
from rollout.core.settings import Settings
from rollout.core.verdict import Kind, Verdict
from router.core.model import PPM

DEFAULTS = Settings()


def binomial(chance: Random, trials: int, probability: float) -> int:
    """Exact, in logarithmic time: the middle one of so many uniform numbers is beta distributed."""
    if probability > 0.5:
        return trials - binomial(chance, trials, 1 - probability)
    hits = 0
    while trials * probability > 8:
        middle = (trials + 1) // 2
        value = chance.betavariate(middle, trials + 1 - middle)
        if value > probability:
            trials, probability = middle - 1, probability / value
            continue
        hits, trials, probability = hits + middle, trials - middle, (probability - value) / (1 - value)
    if probability > 0.5:
        return hits + trials - binomial(chance, trials, 1 - probability)
    return hits + _few(chance, trials, probability)


def _few(chance: Random, trials: int, probability: float) -> int:
    """By adding up the probabilities of none, one, two ... until they exceed a random number."""
    if trials <= 0 or probability <= 0:
        return 0
    rest, hits = chance.random(), 0
    mass, odds = (1 - probability) ** trials, probability / (1 - probability)
    while rest > mass and hits < trials:
        rest -= mass
        mass *= odds * (trials - hits) / (hits + 1)
        hits += 1
    return hits


def split(chance: Random, requests: float, share: int) -> tuple[int, int]:
    """New's and legacy's requests among so many; a fraction is a chance of one more."""
    whole = int(requests) + (chance.random() < requests % 1)
    new = binomial(chance, whole, share / PPM)
    return new, whole - new


def counts(requests: int, errors: int = 0, *, marked: bool = False) -> Counts:
    """So many requests of as many clients, each of its own."""
    tally = Tally(errors, Mark(1.0, "first"), Mark(2.0, "last")) if marked and errors else Tally(errors)
    return Counts(requests, errors, requests, tally, requests, clients=requests)


def row(route: str, share: int, new: Counts, legacy: Counts, *, revision: int = 1, random: bool = True) -> Evidence:
    return Evidence(Epoch(route, revision, share, random), legacy, new)


def compared(route: str, shadow: Shadowed, *, share: int = 0, revision: int = 1) -> Evidence:
    return Evidence(Epoch(route, revision, share), shadow=shadow)


class Court:
    """A judgement that goes on, with its clock, its log and what it has said."""

    def __init__(self, settings: Settings = DEFAULTS, at: float = 1_000_000.0) -> None:
        self.settings = settings
        self.state = State()
        self.at = at
        self.log: list[Batch] = []
        self.said: list[Verdict] = []

    def hear(
        self, *rows: Evidence, steps: tuple[Step, ...] = (), ended: tuple[str, ...] = (), after: float = 1.0
    ) -> list[Verdict]:
        """The verdicts upon one batch, that many seconds after the last one."""
        self.at += after
        batch = Batch(self.at, steps, rows, ended)
        self.log.append(batch)
        self.state, verdicts = judge(self.state, batch, self.settings)
        self.said += verdicts
        return list(verdicts)

    def begin(
        self, *routes: str, share: int = 10_000, revision: int = 1, run: int = 1, upstream: str = ""
    ) -> list[Verdict]:
        steps = tuple(Step(route, revision, share, upstream, run) for route in routes)
        return self.hear(steps=steps)

    def kinds(self) -> list[Kind]:
        return [verdict.kind for verdict in self.said]


def marked(counted: Counts, first: Mark, last: Mark) -> Counts:
    return replace(counted, errors=Tally(counted.errors.count, first, last))

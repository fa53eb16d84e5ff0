"""What a plan will take on a route, from its real traffic: before anybody starts it.

The tests of a rollout are followed along the path of what is to be expected (every count at its mean), with the very
families that will judge.  Against simulations the figures are the medians or somewhat more, up to one and a half times;
a route's own luck differs.

    requests    of the new side, until a step is proven if new fails as often as legacy does; copies at the shadow step,
                if both sides answer the same
    seconds     what these take at the route's rate, or the least time of the step if that is longer
    detectable  the least rate of failures that the same number of requests would find out
    harm        failed requests until then
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Final

from rollout.core.alpha import threshold
from rollout.core.evidence import Tolerance
from rollout.core.mixture import Family, log_mean, log_sum
from rollout.core.sequential import RATE_ABOVE, RATE_BELOW
from rollout.core.settings import Settings
from rollout.core.watch import errors_family, promotion_family
from router.core.model import PPM, Plan, PlanStep

MOST: Final = 10**9
"""Requests beyond which nothing is promised."""
MULTIPLES: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
UNSEEN: Final = 1e-4
"""Taken for legacy's rate of failures where none was ever seen."""
DAY: Final = 86_400.0
WEEK: Final = 7 * DAY


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is known of a route."""

    rate: float
    """Requests a second, both sides together."""
    failing: float
    """Legacy's rate of failures."""
    copied: float = 0.0
    """The part of the requests that is copied, and compared."""


@dataclass(frozen=True, slots=True)
class StepForecast:
    """One step.  None: not within any time that makes sense."""

    step: PlanStep
    requests: int | None
    seconds: float | None
    detectable: float | None
    """A rate of failures, 0 to 1."""
    harm: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """A whole plan on one route."""

    route: str
    traffic: Traffic
    steps: tuple[StepForecast, ...]

    @property
    def seconds(self) -> float | None:
        """From the first step to the last; None: never."""
        known = [step.seconds for step in self.steps]
        return None if None in known else sum(each for each in known if each is not None)

    @property
    def harm(self) -> float:
        """The most that a step costs before a bad new side is found out."""
        return max((step.harm for step in self.steps if step.harm is not None), default=0.0)


def forecast(
    route: str, plan: Plan, steps: Sequence[PlanStep], traffic: Traffic, settings: Settings, *, detail: bool = True
) -> Forecast:
    """Without `detail` only requests and times, which is quick."""
    tolerance = Tolerance(ratio=plan.ratio, floor=plan.floor / PPM, mismatch=plan.mismatch / PPM)
    numbers = range(len(steps))
    found = (_step(steps, number, traffic, tolerance, settings, detail=detail) for number in numbers)
    return Forecast(route, traffic, tuple(found))


def _step(
    steps: Sequence[PlanStep], number: int, traffic: Traffic, tolerance: Tolerance, settings: Settings, *, detail: bool
) -> StepForecast:
    step = steps[number]
    last = number == len(steps) - 1
    alpha = settings.alpha.last_promotion if number >= len(steps) - 2 else settings.alpha.promotion
    if step.shadow:
        return _shadow_step(step, traffic, comparisons(tolerance.mismatch, alpha, settings))
    failing = float(f"{max(traffic.failing, UNSEEN):.1e}")  # rounded: what is asked for once is known for many routes
    proven = 0 if last else proof(step.share, failing, alpha, settings)
    requests = None if proven is None else max(proven, step.min_sample)
    on_new = traffic.rate * step.share / PPM
    seconds = None if requests is None or not on_new else max(step.min_time, requests / on_new)
    seen = (requests or MOST) if seconds is None else int(max(requests or 0, seconds * on_new))
    rate = detectable(step.share, failing, seen, tolerance, settings) if detail else None
    found = None if rate is None else discovery(step.share, failing, rate, tolerance, settings)
    return StepForecast(step, requests, seconds, rate, None if found is None or rate is None else found * rate)


def _shadow_step(step: PlanStep, traffic: Traffic, proven: int | None) -> StepForecast:
    """It costs no user anything, and finds out nothing about failures of users."""
    copies = traffic.rate * traffic.copied
    requests = None if proven is None else max(proven, step.min_sample)
    seconds = None if requests is None or not copies else max(step.min_time, requests / copies)
    return StepForecast(step, requests, seconds, None, None)


@lru_cache(maxsize=256)
def comparisons(mismatch: float, alpha: float, settings: Settings) -> int | None:
    """Copies until the shadow step is proven, if none differs and none fails.

    As if legacy were never asked twice: it seldom is, and what that adds is little.
    """

    def evidence(number: int) -> float:
        rarely = _expected(RATE_BELOW, mismatch, (0, number))
        below = _expected(RATE_BELOW, settings.margin(0).rate, (0, number)) - log(2)
        return min(log_mean((rarely, 0.0)), below)

    return _least(evidence, threshold(alpha))


@lru_cache(maxsize=4096)
def proof(share: int, failing: float, alpha: float, settings: Settings) -> int | None:
    """Requests of the new side until a step at this share is proven, if new fails as often as legacy."""
    margin = settings.margin(share)
    ratio = promotion_family(margin.ratio)

    def evidence(number: int) -> float:
        below = _expected(RATE_BELOW, margin.rate, (number * failing, number * (1 - failing)))
        if share >= PPM:
            return log_mean((below, 0.0))
        errors = (number * failing, number * failing * (PPM - share) / share)
        return log_mean((_expected(ratio, share, errors), below))

    return _least(evidence, threshold(alpha))


def discovery(share: int, failing: float, rate: float, tolerance: Tolerance, settings: Settings) -> int | None:
    """Requests of the new side until one that fails at this rate is rolled back."""
    family = errors_family(tolerance.ratio)

    def evidence(number: int) -> float:
        above = _expected(RATE_ABOVE, tolerance.floor, (number * rate, number * (1 - rate))) - log(2)
        if share >= PPM:
            return above
        errors = (number * rate, number * failing * (PPM - share) / share)
        return min(_expected(family, share, errors) - log(2), above)

    return _least(evidence, threshold(settings.alpha.errors))


def detectable(share: int, failing: float, requests: int, tolerance: Tolerance, settings: Settings) -> float | None:
    """The least rate of failures that so many requests of the new side find out."""
    for multiple in MULTIPLES:
        rate = min(failing * multiple, 0.95)
        found = discovery(share, failing, rate, tolerance, settings)
        if found is not None and found <= requests:
            return rate
    return None


def _expected(family: Family, condition: float, outcomes: Sequence[float]) -> float:
    """The logarithm of E when every outcome has come exactly as often as is to be expected."""
    scores = list(family.log_weights)
    for number, gains in zip(outcomes, family.factors(condition), strict=True):
        scores = [score + number * gain for score, gain in zip(scores, gains, strict=True)]
    return log_sum(scores)


def _least(evidence: Callable[[int], float], enough: float) -> int | None:
    """The least number with enough evidence; evidence only grows from some number on."""
    high = 1
    while evidence(high) < enough:
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if evidence(middle) >= enough else (middle, high)
    return high


# ----------------------------------------------------------------------------------------------- calendar


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do with a route that would take longer than a week."""

    route: str
    seconds: float | None
    begin: int | None
    """Begin at this step's share, in ppm; None: no step of its plan would be proven within a week."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """All routes with a plan."""

    routes: int
    day: int
    week: int
    month: int
    slow: tuple[Advice, ...]
    """Those that take longer than a week, the slowest last."""


def calendar(forecasts: Iterable[Forecast]) -> Calendar:
    """How many would be done by when, each for itself, and what to do with the rest."""
    known = list(forecasts)

    def within(seconds: float) -> int:
        return sum(each.seconds is not None and each.seconds <= seconds for each in known)

    slow = [each for each in known if each.seconds is None or each.seconds > WEEK]
    slow.sort(key=lambda each: (each.seconds is None, each.seconds or 0.0, each.route))
    advice = tuple(Advice(each.route, each.seconds, _begin(each)) for each in slow)
    return Calendar(len(known), within(DAY), within(WEEK), within(30 * DAY), advice)


def _begin(found: Forecast) -> int | None:
    """The first step from which on all the rest fits into a week."""
    for number, step in enumerate(found.steps):
        rest = [each.seconds for each in found.steps[number:]]
        if None not in rest and sum(each or 0.0 for each in rest) <= WEEK:
            return step.step.share
    return None

"""What a rollout will take, said before it starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.core.evidence import Epoch, Evidence, Shadowed, Step, Tolerance
from rollout.core.opinion import passes, read
from rollout.core.plan import DAY, WEEK, StepForecast, Traffic, calendar, comparisons, discovery, forecast, proof
from rollout.core.settings import Settings
from rollout.core.watch import absorb, begin
from router.core.model import PPM, Plan, PlanStep
from router.core.plans import CAREFUL

SETTINGS = Settings()
PERCENT = PPM // 100
PLAN = Plan("p", tuple(PlanStep(share * PERCENT, min_time=60.0) for share in (1, 5, 25, 100)))


@pytest.mark.parametrize(
    ("share", "medians"),
    [
        (1, {1e-4: 450, 1e-3: 450, 5e-3: 350, 2e-2: 100}),
        (5, {1e-4: 900, 1e-3: 1475, 5e-3: 1000, 2e-2: 275}),
        (25, {1e-4: 2250, 1e-3: 10_900, 5e-3: 3725, 2e-2: 1000}),
        (50, {1e-4: 2250, 1e-3: 10_950, 5e-3: 19_200, 2e-2: 5125}),
    ],
)
def test_requests_are_near_the_medians_of_simulation(share: int, medians: dict[float, int]) -> None:
    """Never much less, and at most one and a half times as many (1.55 with rounding)."""
    for failing, median in medians.items():
        found = proof(share * PERCENT, failing, 0.05, SETTINGS)
        assert found is not None
        assert 0.9 <= found / median <= 1.55, (share, failing, found)


@pytest.mark.parametrize(("times", "median"), [(2, 8070), (5, 529), (10, 143)])
def test_what_a_regression_costs_is_near_the_simulations(times: int, median: int) -> None:
    """At 1 %, legacy failing half a percent."""
    found = discovery(PERCENT, 0.005, 0.005 * times, Tolerance(ratio=1.25), SETTINGS)
    assert found is not None
    assert 0.9 <= found / median <= 1.4


def test_half_of_all_requests_failing_is_found_after_a_few() -> None:
    """At every step but the one at which legacy answers hardly anything to compare with."""
    for share in (1, 5, 25, 50, 100):
        found = discovery(share * PERCENT, 0.005, 0.5, Tolerance(), SETTINGS)
        assert found is not None
        assert found <= 40


def test_times_follow_from_traffic() -> None:
    """Ten times the requests, a tenth of the time, down to the least time of each step."""
    slow = forecast("r", PLAN, PLAN.steps, Traffic(1.0, 0.001), SETTINGS)
    fast = forecast("r", PLAN, PLAN.steps, Traffic(10.0, 0.001), SETTINGS)
    first, second = slow.steps[0].seconds, fast.steps[0].seconds
    assert first is not None and second is not None
    assert pytest.approx(10.0) == first / second
    busy = forecast("r", PLAN, PLAN.steps, Traffic(1e6, 0.001), SETTINGS)
    assert [60.0] * 4 == [step.seconds for step in busy.steps]


def test_without_traffic_nothing_is_promised() -> None:
    """Not even zero."""
    found = forecast("r", CAREFUL, CAREFUL.steps, Traffic(0.0, 0.0), SETTINGS)
    assert found.seconds is None
    assert all(step.seconds is None for step in found.steps)


def test_a_shadow_step_costs_no_user_anything() -> None:
    """It has a least time, and takes as many comparisons as judgement asks for: of the requests that are copied."""
    plan = replace(PLAN, steps=(PlanStep(0, min_time=600.0, min_sample=50), *PLAN.steps))

    def first(traffic: Traffic, sample: int = 50) -> StepForecast:
        steps = (replace(plan.steps[0], min_sample=sample), *plan.steps[1:])
        return forecast("r", plan, steps, traffic, SETTINGS).steps[0]

    found = first(Traffic(5.0, 0.001, 0.1))
    assert found.requests is not None and found.seconds is not None
    assert found.requests / 0.5 == pytest.approx(found.seconds)
    assert None is found.harm
    assert 600.0 == first(Traffic(1000.0, 0.001, 1.0)).seconds
    assert 20_000 == first(Traffic(5.0, 0.001, 0.1), sample=20_000).requests
    assert None is first(Traffic(5.0, 0.001)).seconds, "nothing is compared there"


@pytest.mark.parametrize("mismatch", [0.0005, 0.001, 0.01, 0.05])
def test_so_many_comparisons_pass_the_shadow_step_and_not_many_fewer(mismatch: float) -> None:
    """The very judgement promotes after them, and does not after four fifths."""
    found = comparisons(mismatch, SETTINGS.alpha.promotion, SETTINGS)
    assert found is not None
    step = Step("r", 1, 0, tolerance=Tolerance(mismatch=mismatch))

    def passed(number: int) -> bool:
        evidence = Evidence(Epoch("r", 1, 0), shadow=Shadowed(number, tripled=number // 20))
        watch = absorb(begin(None, step, 0.0, SETTINGS), evidence, 1.0, SETTINGS)
        return passes(watch, read(watch), SETTINGS)

    assert (True, False) == (passed(found), passed(found * 4 // 5))


def test_the_calendar_says_who_is_too_slow_and_what_to_do() -> None:
    """Done in a day, a week, a month; the others begin higher up, or cannot prove anything alone."""
    rates = {"busy": 1000.0, "fair": 3.0, "slow": 0.2, "dead": 0.0}
    found = calendar(
        forecast(name, PLAN, PLAN.steps, Traffic(rate, 0.001), SETTINGS, detail=False) for name, rate in rates.items()
    )
    assert (4, 2, 3) == (found.routes, found.day, found.month)
    by_name = {each.route: each for each in found.slow}
    assert None is by_name["dead"].begin
    assert by_name["dead"].seconds is None
    assert by_name["slow"].begin in {5 * PERCENT, 25 * PERCENT}
    assert list(by_name)[-1] == "dead"
    assert DAY < WEEK

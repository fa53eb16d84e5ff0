"""How many requests it takes until harm is proven: Monte Carlo with fixed seeds against the published tables.

A delay may be shorter than in the table, and longer by a quarter at most.  Every row of these tables was simulated once
by somebody else, with other code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log, sqrt
from random import Random
from statistics import NormalDist, median

import pytest

from rollout.core.mixture import Family, Process, count, log_e, log_mean, plain, renew, renewed
from rollout.core.sequential import DIFFERS, QUANTILES, RATE_ABOVE, RATE_BELOW, SAME, Ratio, better, slower
from rollout.core.settings import Settings
from router.core.model import PPM
from tests.rollout.core.traffic import binomial

NEVER = 10**9
SLACK = 1.25
Begin = Callable[[Family], Process]


def beside(new: int, share: int, chance: Random) -> int:
    """Legacy's requests beside so many of new."""
    exact = new * (PPM - share) / share
    return int(exact) + (chance.random() < exact % 1)


def errors(
    chance: Random,
    share: int,
    legacy_rate: float,
    new_rate: float,
    *,
    begin: Begin = plain,
    tolerated: float = 1.25,
    due: float = log(1000),
    floor: float | None = None,
    most: int = 100_000,
) -> tuple[int, int]:
    """New's requests and failures until the ratio test, and the floor's if there is one, are past their threshold."""
    family = Ratio(tolerated)
    ratio, above = begin(family), begin(RATE_ABOVE)
    requests = failures = 0
    size = max(1, int(0.25 / new_rate))
    while requests < most:
        bad = binomial(chance, size, new_rate)
        ratio = count(ratio, family, share, (bad, binomial(chance, beside(size, share, chance), legacy_rate)))
        above = count(above, RATE_ABOVE, floor or 0.002, (bad, size - bad))
        requests, failures = requests + size, failures + bad
        if bad and min(log_e(ratio, family), log_e(above, RATE_ABOVE) if floor else NEVER) >= due:
            return requests, failures
    return NEVER, NEVER


def medians(pairs: list[tuple[int, int]]) -> tuple[float, float]:
    return median(one for one, _ in pairs), median(other for _, other in pairs)


@pytest.mark.parametrize(
    ("share", "times", "published", "runs"),
    [
        (10_000, 2, 8_070, 40),
        (10_000, 5, 500, 100),
        (10_000, 10, 143, 100),
        (10_000, 100, 11, 100),
        (50_000, 5, 560, 100),
        (250_000, 5, 850, 100),
        (500_000, 5, 1_400, 100),
    ],
)
def test_a_regression_is_proven_as_fast_as_the_table_says(share: int, times: int, published: int, runs: int) -> None:
    """Legacy fails at 0.5 %, new so many times as often; the ratio test alone, at alpha 0.001."""
    chance = Random(share + times)
    requests, _ = medians([errors(chance, share, 0.005, 0.005 * times) for _ in range(runs)])
    assert requests <= published * SLACK


def test_a_clean_legacy_makes_one_percent_of_errors_obvious() -> None:
    """0.01 % against 1 %: about 312 requests and three failures."""
    chance = Random(3)
    requests, failures = medians([errors(chance, 10_000, 0.0001, 0.01) for _ in range(100)])
    assert (requests, failures) <= (312 * SLACK, 4)


def test_five_times_worse_at_one_percent_takes_at_most_700_requests_with_all_defaults() -> None:
    """0.5 % to 2.5 %: both conditions of a rollback, half of the stakes kept back, threshold 2,500."""
    chance = Random(4)
    runs = [
        errors(chance, 10_000, 0.005, 0.025, begin=renewed, tolerated=1.2, due=log(2500), floor=0.002)
        for _ in range(200)
    ]
    requests, failures = medians(runs)
    assert requests <= 700
    assert failures <= 20


def test_a_broken_new_side_costs_at_most_fifteen_failed_requests_with_all_defaults() -> None:
    """Half of its answers are errors, at 1 %: in 300 runs not one needed more than fifteen."""
    chance = Random(5)
    runs = [
        errors(chance, 10_000, 0.005, 0.5, begin=renewed, tolerated=1.2, due=log(2500), floor=0.002) for _ in range(300)
    ]
    assert max(failures for _, failures in runs) <= 15
    assert median(failures for _, failures in runs) <= 6


def late(chance: Random, good: int, begin: Begin) -> int:
    """New's requests until proof when it turns five times worse after `good` requests at 25 %, 3,600 of new an hour."""
    family, share, legacy_rate, hour = Ratio(1.25), 250_000, 0.005, 3_600
    process, new = begin(family), good // 4
    for done in range(0, new, hour):
        size = min(hour, new - done)
        bad = binomial(chance, size, legacy_rate), binomial(chance, 3 * size, legacy_rate)
        process = renew(count(process, family, share, bad), family)
    for requests in range(50, 40_000, 50):
        bad = binomial(chance, 50, 5 * legacy_rate), binomial(chance, 150, legacy_rate)
        process = count(process, family, share, bad)
        if log_e(process, family) >= log(1000):
            return requests
    return NEVER


@pytest.mark.parametrize(("good", "published"), [(0, 1_000), (14_000, 1_100), (144_000, 1_400), (1_440_000, 1_800)])
def test_a_late_regression_is_found_nearly_as_soon_as_an_early_one(good: int, published: int) -> None:
    """Fresh copies by the hour: after more than a million good requests it takes less than twice as long."""
    chance = Random(good)
    assert median(late(chance, good, renewed) for _ in range(50)) <= published * SLACK


def test_without_fresh_copies_a_late_regression_would_never_be_found() -> None:
    """The reason for having them: a plain product has lost everything by then."""
    chance = Random(9)
    assert NEVER == median(late(chance, 1_440_000, plain) for _ in range(5))
    assert 5_000 < median(late(chance, 144_000, plain) for _ in range(15)) < 7_300 * SLACK


# --------------------------------------------------------------------------------------------------- latency

NORMAL = NormalDist()


def slow_rates(factor: float, part: float) -> list[float]:
    """How often new is beyond legacy's quantiles, when a part of its answers takes `factor` times as long."""
    beyond = [1 - NORMAL.cdf(NORMAL.inv_cdf(quantile) - log(factor) / 0.6) for quantile in QUANTILES]
    return [part * rate + (1 - part) * (1 - quantile) for rate, quantile in zip(beyond, QUANTILES, strict=True)]


def nested(chance: Random, requests: int, rates: list[float]) -> Iterator[int]:
    """Whoever is beyond the 99th percentile is beyond the median as well."""
    before = 1.0
    for rate in rates:
        requests = binomial(chance, requests, rate / before)
        before = rate
        yield requests


def latency(chance: Random, factor: float, part: float, size: int, most: int = 7_200) -> int:
    """New's requests at 1 % until the mean of the three tests is past 1,000."""
    families = [slower(ratio, quantile) for ratio, quantile in zip((1.2, 1.2, 1.5), QUANTILES, strict=True)]
    processes, rates = [renewed(family) for family in families], slow_rates(factor, part)
    for requests in range(size, most, size):
        pairs = zip(nested(chance, size, rates), nested(chance, 99 * size, [0.5, 0.1, 0.01]), strict=True)
        processes = [
            count(process, family, 10_000, pair)
            for process, family, pair in zip(processes, families, pairs, strict=True)
        ]
        if log_mean([log_e(process, family) for process, family in zip(processes, families, strict=True)]) >= log(1000):
            return requests
    return NEVER


@pytest.mark.parametrize(
    ("factor", "part", "published", "size"),
    [(1.2, 1.0, 1_694, 40), (1.5, 1.0, 141, 3), (2.0, 1.0, 39, 1), (10.0, 0.05, 292, 8)],
)
def test_slowness_is_proven_as_fast_as_the_table_says(factor: float, part: float, published: int, size: int) -> None:
    """All answers a little slower, or a few much slower: one mean of three tests finds both."""
    chance = Random(int(factor * 100))
    assert median(latency(chance, factor, part, size) for _ in range(50)) <= published * SLACK


@pytest.mark.parametrize("factor", [1.0, 0.8])
def test_answers_as_fast_or_faster_are_never_called_slow(factor: float) -> None:
    """7,200 requests, forty times over."""
    chance = Random(8)
    assert {NEVER} == {latency(chance, factor, 1.0, 40) for _ in range(40)}


# ------------------------------------------------------------------------------------------ promotion and shadow


def promotion(chance: Random, share: int, legacy_rate: float, new_rate: float, most: int) -> int:
    """New's requests until a step at this share may end."""
    margin = Settings().margin(share)
    family, size = better(margin.ratio), most // 200
    ratio, below = plain(family), plain(RATE_BELOW)
    for requests in range(size, most, size):
        bad = binomial(chance, size, new_rate)
        ratio = count(ratio, family, share, (bad, binomial(chance, beside(size, share, chance), legacy_rate)))
        below = count(below, RATE_BELOW, margin.rate, (bad, size - bad))
        if log_mean((log_e(ratio, family), log_e(below, RATE_BELOW))) >= log(20):
            return requests
    return NEVER


@pytest.mark.parametrize(
    ("share", "legacy_rate", "published"),
    [
        (10_000, 0.0001, 450),
        (10_000, 0.005, 350),
        (50_000, 0.001, 1_475),
        (250_000, 0.0001, 2_250),
        (250_000, 0.005, 3_725),
        (500_000, 0.02, 5_125),
    ],
)
def test_a_step_asks_for_no_more_requests_than_the_table_says(share: int, legacy_rate: float, published: int) -> None:
    """Equal sides; what a plan promises for a step is what it takes."""
    chance = Random(published)
    found = median(promotion(chance, share, legacy_rate, legacy_rate, 10 * published) for _ in range(50))
    assert published / 1.5 <= found <= published * SLACK


@pytest.mark.parametrize("share", [10_000, 50_000, 250_000, 500_000])
@pytest.mark.parametrize("legacy_rate", [0.001, 0.02])
def test_a_new_side_at_the_margin_is_promoted_by_chance_only(share: int, legacy_rate: float) -> None:
    """As harmful as the step tolerates, and looked at a hundred times: at most one in twenty."""
    margin, chance = Settings().margin(share), Random(share)
    rate = max(margin.rate, margin.ratio * legacy_rate)
    runs = [promotion(chance, share, legacy_rate, rate, 10_000) for _ in range(80)]
    assert sum(run < NEVER for run in runs) <= 0.05 * len(runs)


def comparison(chance: Random, noise: float, extra: float, margin: float, most: int = 20_000) -> int:
    """Compared answers until new is found to differ; each legacy answer may be odd by itself."""
    odd, process, size = 1 - sqrt(1 - noise), renewed(DIFFERS), 50
    for compared in range(size, most, size):
        plainly = size - binomial(chance, size, odd)
        second = binomial(chance, plainly, odd)
        differs = 1 - (1 - odd) * (1 - extra)
        only_new = binomial(chance, plainly - second, differs)
        only_legacy = second - binomial(chance, second, differs)
        counted = (only_new, only_legacy, size - only_new - only_legacy)
        process = count(process, DIFFERS, margin, counted)
        if log_e(process, DIFFERS) >= log(1000):
            return compared
    return NEVER


@pytest.mark.parametrize(
    ("noise", "extra", "margin", "published"),
    [(0.0, 0.005, 0.001, 4_150), (0.01, 0.01, 0.002, 5_200), (0.2, 0.05, 0.005, 2_650), (0.0, 0.05, 0.001, 350)],
)
def test_true_differences_are_found_under_noise(noise: float, extra: float, margin: float, published: int) -> None:
    """Also five in a hundred under twenty in a hundred of noise, which a rule of thumb on the totals misses."""
    chance = Random(published)
    assert median(comparison(chance, noise, extra, margin) for _ in range(40)) <= published * SLACK


@pytest.mark.parametrize(("noise", "extra", "margin"), [(0.01, 0.0, 0.001), (0.01, 0.001, 0.002), (0.2, 0.0, 0.001)])
def test_noise_alone_is_never_called_a_difference(noise: float, extra: float, margin: float) -> None:
    """20,000 comparisons, thirty times over."""
    chance = Random(6)
    assert {NEVER} == {comparison(chance, noise, extra, margin) for _ in range(30)}


def test_clean_comparisons_pass_after_six_thousand() -> None:
    """No difference at all, a tenth of a percent tolerated; three times as few with half a percent."""

    def needed(margin: float) -> int:
        same, rarely = plain(SAME), plain(RATE_BELOW)
        for compared in range(50, 20_000, 50):
            same, rarely = count(same, SAME, margin, (0, 0, 50)), count(rarely, RATE_BELOW, margin, (0, 50))
            if log_mean((log_e(same, SAME), log_e(rarely, RATE_BELOW))) >= log(20):
                return compared
        return NEVER

    assert needed(0.001) <= 6_000
    assert needed(0.005) <= 1_200

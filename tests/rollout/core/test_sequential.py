"""The promise of every test, step by step and exactly: under its null hypothesis no bettor can expect to gain.

That is all Ville's inequality needs; the Monte Carlo next door checks that nothing was forgotten.
"""

from __future__ import annotations

from math import exp, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.mixture import Family, count, log_e, plain, renewed
from rollout.core.sequential import (
    DIFFERS,
    HIGHEST,
    QUANTILES,
    RATE_ABOVE,
    RATE_BELOW,
    SAME,
    SIDES,
    Ratio,
    better,
    slower,
)
from router.core.model import PPM

SHARES = st.integers(1, PPM - 1)
TOLERATED = st.floats(1.0, 10.0)
PARTS = st.floats(0.0, 1.0)
NEARLY = 1e-9


def expected(family: Family, condition: float, chances: tuple[float, ...]) -> list[float]:
    """What each bettor has on average after one outcome, of a stake of 1."""
    gains = family.factors(condition)
    return [
        sum(chance * exp(gain[k]) for chance, gain in zip(chances, gains, strict=True)) for k in range(len(gains[0]))
    ]


def side_of_an_error(share: int, ratio: float) -> tuple[float, float]:
    odds = share / PPM * ratio / (1 - share / PPM)
    return odds / (1 + odds), 1 / (1 + odds)


@given(share=SHARES, tolerated=TOLERATED, part=PARTS)
def test_errors_within_tolerance_earn_nothing_at_any_share(share: int, tolerated: float, part: float) -> None:
    """For every true ratio up to the tolerated one, whatever legacy's own rate is at that moment."""
    for family in (Ratio(tolerated), slower(tolerated, 0.9)):
        assert max(expected(family, share, side_of_an_error(share, tolerated * part))) <= 1 + NEARLY


@given(share=SHARES, tolerated=TOLERATED)
def test_at_the_tolerated_ratio_the_game_is_fair(share: int, tolerated: float) -> None:
    """Exactly 1: nothing is given away either."""
    odds = side_of_an_error(share, tolerated)
    assert pytest.approx([1.0] * 7) == expected(Ratio(tolerated), share, odds)
    assert pytest.approx([1.0] * 4) == expected(better(tolerated), share, odds)


@given(share=SHARES, tolerated=TOLERATED, times=st.floats(1.0, 50.0))
def test_a_promotion_earns_nothing_while_new_is_harmful(share: int, tolerated: float, times: float) -> None:
    """For every true ratio from the margin on."""
    assert max(expected(better(tolerated), share, side_of_an_error(share, tolerated * times))) <= 1 + NEARLY


@given(floor=st.floats(1e-5, 0.999), part=PARTS)
def test_a_rate_up_to_the_floor_earns_nothing(floor: float, part: float) -> None:
    """Above: for each rate from none to the floor."""
    rate = floor * part
    assert max(expected(RATE_ABOVE, floor, (rate, 1 - rate))) <= 1 + NEARLY


@given(floor=st.floats(1e-5, 0.999), part=PARTS)
def test_a_rate_from_the_margin_on_earns_nothing_for_a_promotion(floor: float, part: float) -> None:
    """Below: for each rate from the margin to 1."""
    rate = floor + (1 - floor) * part
    assert max(expected(RATE_BELOW, floor, (rate, 1 - rate))) <= 1 + NEARLY


@given(share=SHARES)
def test_sides_of_the_right_size_earn_nothing(share: int) -> None:
    """A client is on new with the share's probability, and the guard stays where it is."""
    assert pytest.approx([1.0] * 6) == expected(SIDES, share, (share / PPM, 1 - share / PPM))


@given(margin=st.floats(1e-4, 0.3), noise=PARTS, extra=PARTS, both=PARTS)
def test_noise_of_any_size_earns_nothing(margin: float, noise: float, extra: float, both: float) -> None:
    """Whatever legacy differs from itself by, up to the margin beyond it new may differ."""
    only_legacy = noise * (1 - margin) / 2
    only_new = only_legacy + margin * extra
    chances = (only_new, only_legacy, 1 - only_new - only_legacy)
    assert max(expected(DIFFERS, margin, chances)) <= 1 + NEARLY
    only_new = min(only_legacy + margin + both * (1 - margin), 1 - only_legacy)
    if only_new - only_legacy >= margin:
        assert max(expected(SAME, margin, (only_new, only_legacy, 1 - only_new - only_legacy))) <= 1 + NEARLY


@given(share=SHARES, tolerated=TOLERATED)
def test_every_weight_is_a_part_of_one(share: int, tolerated: float) -> None:
    """The mixtures neither lose nor invent capital."""
    for family in (Ratio(tolerated), better(tolerated), RATE_ABOVE, RATE_BELOW, SIDES, DIFFERS, SAME):
        assert pytest.approx(1.0) == sum(map(exp, family.log_weights))
        assert len({len(gains) for gains in family.factors(min(0.3, share / PPM))} | {len(family.log_weights)}) == 1


def test_no_alternative_is_beyond_what_can_be() -> None:
    """Nobody bets on a rate above 95 %, nor on 98 % of new being slow where legacy's bound leaves no room for it."""
    errors, successes = RATE_ABOVE.factors(0.4)
    assert HIGHEST == pytest.approx(0.4 * exp(max(errors)))
    assert min(successes) > -inf
    assert [slower(1.2, quantile).highest for quantile in QUANTILES] == pytest.approx([1.96, 9.8, 98.0])
    assert 0.98 == pytest.approx(0.5 * slower(1.2, 0.5).highest)


def test_a_total_outage_at_one_percent_is_proven_by_a_handful_of_failures() -> None:
    """Legacy is clean: E is past 1,000 after three failures, and past 2,500 after four with half the stakes kept."""
    family = Ratio(1.2)
    assert log_e(count(plain(family), family, 10_000, (3, 0)), family) > 6.9
    assert log_e(count(renewed(family), family, 10_000, (4, 0)), family) > 7.83


def test_a_shared_outage_proves_nothing() -> None:
    """At 1 % one error in a hundred is new's: a million of them leave E where it was, or lower."""
    family = Ratio(1.2)
    assert log_e(count(renewed(family), family, 10_000, (10_000, 990_000)), family) < 0


def test_where_legacy_is_clean_the_floor_protects_new() -> None:
    """Which is why there is a floor: four errors in 50,000 requests are past every ratio, and harmless."""
    ratio, floor = Ratio(1.2), 0.002
    assert log_e(count(renewed(ratio), ratio, 10_000, (4, 0)), ratio) > 7.83
    assert log_e(count(renewed(RATE_ABOVE), RATE_ABOVE, floor, (4, 49_996)), RATE_ABOVE) < 0

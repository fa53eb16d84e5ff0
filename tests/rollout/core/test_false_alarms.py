"""How often healthy sides are accused: Monte Carlo with fixed seeds, looked at after every batch.

The seeds are fixed, so a run that passes passes always; what is asserted is the promise itself, not an interval around
what was seen.
"""

from __future__ import annotations

from math import log, pi, sin
from random import Random
from typing import NamedTuple

import pytest

from rollout.core.mixture import count, log_e, plain, renew, renewed
from rollout.core.sequential import RATE_ABOVE, SIDES, Ratio
from router.core.clients import Firsts, client_key
from router.core.model import PPM
from tests.rollout.core.traffic import binomial, split

HALF_HOURS = 48


def baseline(half_hour: int) -> float:
    """Legacy's rate of errors: 0.2 % at night, 0.8 % by day."""
    return 0.005 - 0.003 * sin(2 * pi * half_hour / HALF_HOURS)


def stressed(chance: Random, ratio: float, tolerated: float) -> bool:
    """Two million requests with five shares, days and nights, and a shared outage right after the first rise.

    Is E ever past 20?  At every rise and every hour a fresh copy joins, as in the judgement.
    """
    family = Ratio(tolerated)
    process = renewed(family)
    shares = (10_000, 50_000, 250_000, 500_000, 950_000)
    for part in range(240):
        share = shares[part // 48]
        legacy_rate = 0.2 if 48 <= part < 52 else baseline(part % 48)
        new, legacy = split(chance, 8_400, share)
        bad = binomial(chance, new, min(1.0, ratio * legacy_rate)), binomial(chance, legacy, legacy_rate)
        process = count(process, family, share, bad)
        if log_e(process, family) >= log(20):
            return True
        if part % 2 or part % 48 == 47:
            process = renew(process, family)
    return False


@pytest.mark.parametrize(("ratio", "tolerated"), [(0.8, 1.0), (1.0, 1.0), (1.0, 1.25), (1.25, 1.25), (2.0, 2.0)])
def test_peeking_steps_nights_and_a_shared_outage_accuse_no_more_often_than_alpha(
    ratio: float, tolerated: float
) -> None:
    """At alpha 5 %, new exactly as bad as tolerated or better: at most 5 of a hundred rollouts."""
    chance, runs = Random(int(100 * (ratio + tolerated))), 100
    assert sum(stressed(chance, ratio, tolerated) for _ in range(runs)) <= 0.05 * runs


def peeked(chance: Random, tolerated: float, share: int, errors: int) -> bool:
    """Exactly as bad as tolerated, E looked at after every single error."""
    family, process = Ratio(tolerated), plain(Ratio(tolerated))
    odds = share / PPM * tolerated / (1 - share / PPM)
    for _ in range(errors):
        new = chance.random() < odds / (1 + odds)
        process = count(process, family, share, (new, not new))
        if new and log_e(process, family) >= log(20):
            return True
    return False


@pytest.mark.parametrize("share", [10_000, 250_000])
def test_looking_after_every_error_accuses_no_more_often_than_alpha(share: int) -> None:
    """The worst case, without half of the stakes kept back, at alpha 5 %: 200 runs of 1,000 errors."""
    chance = Random(share)
    assert sum(peeked(chance, 1.2, share, 1_000) for _ in range(200)) <= 0.05 * 200


def test_a_new_side_at_the_floor_is_accused_no_more_often_than_alpha() -> None:
    """The absolute test, at alpha 5 % and exactly at the floor: 200 runs of 20,000 requests."""
    chance, accused = Random(11), 0
    for _ in range(200):
        process = plain(RATE_ABOVE)
        for _ in range(100):
            bad = binomial(chance, 200, 0.002)
            process = count(process, RATE_ABOVE, 0.002, (bad, 200 - bad))
            if log_e(process, RATE_ABOVE) >= log(20):
                accused += 1
                break
    assert accused <= 0.05 * 200


def test_sides_of_the_right_size_are_believed_and_wrong_ones_are_not() -> None:
    """10,000 clients at 5 %: a hundred times right, and found out each time when a fifth of new's are missing."""
    chance = Random(12)

    def highest(share: int, truth: int) -> float:
        process, best = plain(SIDES), 0.0
        for _ in range(100):
            process = count(process, SIDES, share, split(chance, 100, truth))
            best = max(best, log_e(process, SIDES))
        return best

    assert max(highest(50_000, 50_000) for _ in range(100)) < log(1e4)
    assert min(highest(50_000, 35_000) for _ in range(20)) > log(1e4)


# ------------------------------------------------------------------------------------------------- the client rule


class Crowd(NamedTuple):
    """Who sends requests, and what goes wrong with it, on both sides alike."""

    clients: int = 2_000
    requests: int = 60_000
    failing: float = 0.002
    retries: int = 0
    """So often on average a client repeats what has failed, in vain."""
    broken: float = 0.0
    """Part of the clients whose every request fails, and who send a third of all."""


def accused(chance: Random, crowd: Crowd, share: int, *, rule: bool) -> bool:
    """Sticky clients for three hours, both sides identical: is E ever past 1,000?"""
    family, firsts = Ratio(1.2), Firsts()
    process = renewed(family)
    new_side = [chance.random() < share / PPM for _ in range(crowd.clients)]
    broken = int(crowd.broken * crowd.clients)
    for number in range(crowd.requests):
        sick = broken > 0 and chance.random() < 1 / 3
        client = chance.randrange(broken) if sick else chance.randrange(broken, crowd.clients)
        if not sick and chance.random() >= crowd.failing:
            continue
        tries = 1 + (int(chance.expovariate(1 / crowd.retries)) if crowd.retries else 0)
        now = number * 3 * 3600 / crowd.requests
        key = client_key("route", str(client).encode())
        counted = sum(not rule or firsts.admits(key, now, failed=True) for _ in range(tries))
        process = count(process, family, share, (counted, 0) if new_side[client] else (0, counted))
        if new_side[client] and counted and log_e(process, family) >= log(1000):
            return True
    return False


STORM = Crowd(retries=9)
BROKEN = Crowd(broken=0.005, requests=20_000)


@pytest.mark.parametrize(("crowd", "share"), [(STORM, 10_000), (STORM, 250_000), (BROKEN, 10_000), (BROKEN, 50_000)])
def test_storms_and_broken_clients_accuse_nobody_under_the_client_rule(crowd: Crowd, share: int) -> None:
    """Identical sides; the first error of a client within the hour counts, whichever side it was."""
    chance = Random(share)
    assert 0 == sum(accused(chance, crowd, share, rule=True) for _ in range(20))


@pytest.mark.parametrize(("crowd", "share"), [(STORM, 250_000), (BROKEN, 50_000)])
def test_without_the_client_rule_they_would(crowd: Crowd, share: int) -> None:
    """The reason for having it, and the proof that the claim above can fail."""
    chance = Random(share)
    assert 2 <= sum(accused(chance, crowd, share, rule=False) for _ in range(20))

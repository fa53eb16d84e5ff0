"""rollout.core.compare.noise: what legacy itself does not answer twice alike."""

from __future__ import annotations

import random

from rollout.core.compare.noise import ENOUGH, LEARNING, LIMIT, Noise, evidence
from rollout.core.compare.values import Difference, Kind, Severity
from router.core.model import PPM

PLACE = Difference("$.id", Kind.VALUE, Severity.MAJOR)


def taught(differing: int, alike: int) -> Noise:
    noise = Noise()
    for _ in range(differing):
        noise.learn([PLACE])
    for _ in range(alike):
        noise.learn([])
    return noise


def test_one_pair_is_never_enough_and_two_in_a_row_are() -> None:
    """Evidence reaches its threshold with the second."""
    assert frozenset() == taught(1, 0).noisy
    assert {("$.id", Kind.VALUE)} == taught(2, 0).noisy


def test_what_differs_in_less_than_one_pair_of_a_hundred_is_not_noisy() -> None:
    """Also after many pairs."""
    assert frozenset() == taught(3, 900).noisy


def test_false_alarms_stay_below_one_in_twenty_under_constant_looking() -> None:
    """A place that differs in exactly one pair of a hundred, looked at after each of 2,000 pairs, 400 times over."""
    chance = random.Random(7)
    alarms = 0
    for _ in range(400):
        differing = 0
        for pairs in range(1, 2001):
            if chance.random() < 0.01:
                differing += 1
                if evidence(differing, pairs) >= ENOUGH:
                    alarms += 1
                    break
    assert alarms <= 400 / 20


def test_pairs_are_asked_for_always_then_seldom_then_rarely() -> None:
    """And more often again when what is known changes."""
    noise = taught(0, LEARNING - 1)
    rates = [noise.wanted]
    noise.learn([])
    rates.append(noise.wanted)
    for _ in range(1000):
        noise.learn([])
    rates.append(noise.wanted)
    while not noise.noisy:
        noise.learn([PLACE])
    rates.append(noise.wanted)
    assert [PPM, 50_000, 20_000, 50_000] == rates


def test_what_stops_being_noisy_is_looked_at_sharply_again() -> None:
    """Old pairs weigh less and less."""
    noise = taught(100, 0)
    assert noise.noisy
    for _ in range(30_000):
        noise.learn([])
    assert not noise.noisy


def test_memory_is_bounded() -> None:
    """A thousand places that differ once are not all remembered."""
    noise = Noise()
    for index in range(1000):
        noise.learn([Difference(f"$.{index}", Kind.VALUE, Severity.MAJOR)])
    assert LIMIT == len(noise._differing)


def test_what_was_learned_survives_being_written_down() -> None:
    """The same places, the same rate, the same wish for more."""
    noise = taught(5, 300)
    again = Noise.from_message(noise.as_message())
    assert (noise.noisy, noise.pairs, noise.wanted) == (again.noisy, again.pairs, again.wanted)

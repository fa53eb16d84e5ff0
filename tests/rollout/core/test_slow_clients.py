"""Clients that are always slow, and the whole path: workers mark and count, and the judgement hears the rows.

Monte Carlo with fixed seeds: identical sides, three hours of sticky clients, and the marks of a real worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import pytest

from rollout.core.counted import Counted, Outcomes, Track, track
from rollout.core.verdict import Kind, Metric
from router.core.census import AREA, LIMITS, Watched
from router.core.model import PPM
from router.planes.embedded.census import Watch
from router.telemetry import DURATION_BOUNDS, RouteBlock
from tests.rollout.core.traffic import Court

AT = 1_700_000_000.0
HOURS = 3
READING = 5.0
RUNS = 5
BOUNDS = (5, 8, 10)
"""Buckets of legacy's median, 90th and 99th percentile."""


class Crowd(NamedTuple):
    """Who sends requests, on both sides alike."""

    clients: int = 2_000
    requests: int = 60_000
    slow: float = 0.005
    """Part of the clients that are always slow ..."""
    sending: float = 0.05
    """... and their part of the requests."""


@dataclass
class Path:
    """A worker's marks and counters, and what becomes of them."""

    share: int
    chance: Random
    by_chance: bool = False
    """Every slow answer is told as another client's."""
    court: Court = field(default_factory=lambda: Court(at=AT))
    slots: memoryview = field(default_factory=lambda: memoryview(bytearray(8 * RouteBlock.SIZE)).cast("Q"))
    durations: tuple[list[int], list[int]] = field(
        default_factory=lambda: ([0] * (len(DURATION_BOUNDS) + 1), [0] * (len(DURATION_BOUNDS) + 1))
    )
    known: Track | None = None
    at: float = AT

    def __post_init__(self) -> None:
        watched = Watched(1, self.share, BOUNDS)
        self.watch = Watch("p", watched, memoryview(bytearray(AREA)))
        self.court.begin("p", share=self.share, revision=1)
        self.look()

    def ask(self, client: int, bucket: int, *, on_new: bool) -> None:
        name = b"%d" % client
        self.watch.began(self.slots, 0, name, on_new=on_new, fair=True)
        self.durations[on_new][bucket] += 1
        if bucket > self.watch.fastest:
            self.watch.slow(self.slots, 0, name, bucket, self.at, on_new=on_new, by_chance=self.by_chance)

    def look(self) -> None:
        self.at += READING
        legacy, new = (self._side(side) for side in (0, 1))
        after, row = track(
            self.known, Counted(legacy, new), route="p", share=self.share, revision=1, settled=True, at=self.at,
            hurry=False, span=3600.0,
        )  # fmt: skip
        self.known = after
        if row is not None:
            self.court.hear(row, after=max(0.0, self.at - self.court.at))

    def _side(self, side: int) -> Outcomes:
        place = side * RouteBlock.SIDE
        slow = tuple(self.slots[place + RouteBlock.SLOW + limit] for limit in range(LIMITS))
        first, seen = self.slots[place + RouteBlock.FIRST_SEEN], self.slots[place + RouteBlock.SEEN]
        durations = tuple(self.durations[side])
        return Outcomes(sum(durations), durations=durations, first_seen=first, seen=seen, slow=slow)

    def rolled_back(self) -> bool:
        return any(verdict.kind is Kind.ROLLBACK for verdict in self.court.said)

    def doubted(self) -> bool:
        return any(verdict.metric is Metric.SIDES for verdict in self.court.said)


def usual(chance: Random) -> int:
    """A duration's bucket: of 2,000 answers 1,000 within the median, 800 more within the 90th percentile ..."""
    drawn = chance.random()
    return 5 if drawn < 0.5 else 8 if drawn < 0.9 else 10 if drawn < 0.99 else 11


def three_hours(chance: Random, crowd: Crowd, share: int, *, by_chance: bool = False) -> Path:
    """Until the end, or until somebody is accused."""
    path = Path(share, chance, by_chance)
    new_side = [chance.random() < share / PPM for _ in range(crowd.clients)]
    slow = int(crowd.slow * crowd.clients)
    readings = int(HOURS * 3600 / READING)
    for _ in range(readings):
        for _ in range(crowd.requests // readings):
            sick = chance.random() < crowd.sending
            client = chance.randrange(slow) if sick else chance.randrange(slow, crowd.clients)
            path.ask(client, 12 if sick else usual(chance), on_new=new_side[client])
        path.look()
        if path.rolled_back():
            break
    return path


@pytest.mark.parametrize("share", [10_000, 50_000, 250_000])
def test_clients_that_are_always_slow_accuse_nobody(share: int) -> None:
    """Identical sides; nor does anybody doubt that the sides were drawn as the share says."""
    chance = Random(share)
    for _ in range(RUNS):
        path = three_hours(chance, Crowd(), share)
        assert (False, False) == (path.rolled_back(), path.doubted())


def test_without_the_client_rule_they_would() -> None:
    """The proof that the claim above can fail: the same path, where each slow answer counts."""
    chance = Random(3)
    assert 1 <= sum(three_hours(chance, Crowd(), 50_000, by_chance=True).rolled_back() for _ in range(RUNS))


def _until_left(path: Path, clients: int) -> Iterator[int]:
    """Numbers of requests of the new side, until it is rolled back."""
    requests = 0
    for number in range(100_000):
        client = path.chance.randrange(clients)
        on_new = client * PPM < clients * path.share
        requests += on_new
        path.ask(client, 12 if on_new else usual(path.chance), on_new=on_new)
        if number % 50 == 0:
            path.look()
        if path.rolled_back():
            return
        yield requests


def test_a_side_that_is_slow_is_left_all_the_same() -> None:
    """At 5 %, after a quarter of an hour of good service to the same clients."""
    path = Path(50_000, Random(7))
    for _ in range(180):
        for _ in range(20):
            client = path.chance.randrange(1_000)
            path.ask(client, usual(path.chance), on_new=client < 50)
        path.look()
    assert not path.rolled_back()
    *_, requests = _until_left(path, 1_000)
    assert path.rolled_back()
    assert requests < 400


def test_sides_that_are_not_drawn_as_the_share_says_are_doubted() -> None:
    """Three of a hundred clients on a side that should have one; nobody is rolled back for that."""
    path = Path(10_000, Random(1))
    for client in range(3_000):
        path.ask(client, 5, on_new=client % 100 < 3)
        if client % 50 == 0:
            path.look()
    path.look()
    assert (False, True) == (path.rolled_back(), path.doubted())

"""Loud clients and the whole path: workers count and tell, both is joined, and the judgement hears the rows.

Monte Carlo with fixed seeds.  Both sides are identical unless it is said; three hours of sticky clients, several
workers, of which some answer late and one dies now and then.  A request whose first try has failed ends up to half a
minute later, as behind a fallback.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import NamedTuple

import pytest

from control.rollouts.failures import failed_from
from rollout.core.counted import Counted, Outcomes, Track, track
from rollout.core.evidence import Epoch, Evidence
from rollout.core.failures import NOTHING, Failure, Heard, hear
from rollout.core.verdict import Kind, Verdict
from router.core.clients import Firsts
from router.core.model import PPM
from router.planes.embedded import failures as planes
from router.planes.embedded.untold import MOST
from tests.rollout.core.traffic import Court

WORKERS = 4
HOURS = 3
READING = 5.0
AT = 1_000_000.0
RUNS = 4


class Crowd(NamedTuple):
    """Who sends requests, and what goes wrong with them, on both sides alike."""

    clients: int = 2_000
    requests: int = 60_000
    failing: float = 0.002
    retries: int = 0
    """So often on average a client repeats what has failed, in vain, over any of its connections."""
    broken: float = 0.0
    """Part of the clients whose every request fails, and who send a third of all."""
    outage: bool = False
    """Twenty minutes in which four of five requests fail."""


STORM = Crowd(retries=9)
BROKEN = Crowd(broken=0.005, requests=20_000)
OUTAGE = Crowd(requests=30_000, retries=9, outage=True)


@dataclass
class Path:
    """Several workers, their counters and lists, and what becomes of both."""

    share: int
    chance: Random
    rule: bool = True
    room: int = MOST
    """Failures that fit into all lists together."""
    waiting: int = 0
    full: int = 0
    """Those that did not, since the last reading."""
    court: Court = field(default_factory=lambda: Court(at=AT))
    lists: list[planes.Failures] = field(default_factory=lambda: [planes.Failures() for _ in range(WORKERS)])
    sums: Counter[tuple[int, str]] = field(default_factory=Counter)
    firsts: Firsts = field(default_factory=Firsts)
    heard: Heard = NOTHING
    known: Track | None = None
    at: float = AT
    numbers: Iterator[int] = field(default_factory=count)
    later: dict[int, Counter[int]] = field(default_factory=dict)
    """By reading and side, failures whose requests have yet to end."""
    reading: int = 0
    said: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.court.begin("p", share=self.share, revision=1)
        self.look()

    def succeed(self, side: int, requests: int) -> None:
        self.sums[side, "requests"] += requests

    def fail(self, side: int, client: int) -> None:
        """At a worker: its list has it at once."""
        number = next(self.numbers)
        who = client if self.rule else number
        names = self.chance.choice(self.lists)
        if self.waiting < self.room:
            names.put("p", b"%d" % who, b"%d" % number, on_new=bool(side), share=self.share, revision=1)
            self.waiting += 1
        else:
            self.full += 1
        ends = self.reading + self.chance.choice((0, 0, 0, 1, 2, 6))
        self.later.setdefault(ends, Counter())[side] += 1

    def look(self) -> None:
        """A reading: counters first, then the lists of those that answer."""
        for side, ended in self.later.pop(self.reading, Counter()).items():
            self.sums[side, "requests"] += ended
            self.sums[side, "failures"] += ended
        found, dropped = self._told()
        if self.known is not None:
            heard = hear(self.heard, found, Epoch("p", 1, self.share), "new", self.firsts, self.at)
            self.heard = replace(heard, dropped=heard.dropped + dropped)
        row = self._row()
        if row is not None:
            self.said += self.court.hear(row, after=max(0.0, self.at - self.court.at))
        self.reading += 1
        self.at += READING

    def _told(self) -> tuple[tuple[Failure, ...], int]:
        rows, dropped = [], self.full
        self.waiting = self.full = 0
        for each in self.lists:
            more = self.chance.random() < 0.9  # one in ten does not answer this time
            while more:
                told = each.take()
                rows, dropped, more = [*rows, *told["found"]], dropped + told["dropped"], told["more"]
        if self.chance.random() < 0.002:  # a death, and control sees the channel end
            self.lists[0], dropped = planes.Failures(), dropped + 1
        return failed_from(rows, 0).found, dropped

    def _row(self) -> Evidence | None:
        legacy, new = (Outcomes(self.sums[side, "requests"], self.sums[side, "failures"]) for side in (0, 1))
        after, row = track(
            self.known,
            Counted(legacy, new),
            route="p", share=self.share, revision=1, settled=True, at=self.at, hurry=False, span=3600.0,
            heard=self.heard,
        )  # fmt: skip
        if after is not self.known:
            self.known, self.heard = after, NOTHING
        return row

    @property
    def accused(self) -> bool:
        return any(verdict.kind is Kind.ROLLBACK for verdict in self.said)

    @property
    def tripped(self) -> bool:
        return any(verdict.kind is Kind.BREAKER for verdict in self.said)


def three_hours(chance: Random, crowd: Crowd, share: int, *, rule: bool = True, room: int = MOST) -> Path:
    """Until the end, or until somebody is accused."""
    path = Path(share, chance, rule, room)
    new_side = [chance.random() < share / PPM for _ in range(crowd.clients)]
    broken = int(crowd.broken * crowd.clients)
    readings = int(HOURS * 3600 / READING)
    for reading in range(readings):
        failing = 0.8 if crowd.outage and 400 <= reading < 640 else crowd.failing
        requests = crowd.requests // readings
        well = Counter[int]()
        for _ in range(requests):
            sick = broken > 0 and chance.random() < 1 / 3
            client = chance.randrange(broken) if sick else chance.randrange(broken, crowd.clients)
            if not sick and chance.random() >= failing:
                well[new_side[client]] += 1
                continue
            for _ in range(1 + (int(chance.expovariate(1 / crowd.retries)) if crowd.retries else 0)):
                path.fail(new_side[client], client)
        for side, number in well.items():
            path.succeed(side, number)
        path.look()
        if path.accused:
            break
    return path


CROWDS = [(STORM, 10_000), (STORM, 250_000), (BROKEN, 10_000), (BROKEN, 50_000), (OUTAGE, 10_000), (OUTAGE, 250_000)]


@pytest.mark.parametrize(("crowd", "share"), CROWDS)
def test_loud_clients_accuse_nobody(crowd: Crowd, share: int) -> None:
    """Identical sides: storms of retries, broken clients, and both in an outage of everything."""
    chance = Random(share)
    for _ in range(RUNS):
        path = three_hours(chance, crowd, share)
        assert (False, False) == (path.accused, path.tripped)


@pytest.mark.parametrize(("crowd", "share"), [(STORM, 250_000), (BROKEN, 50_000)])
def test_without_the_client_rule_they_would(crowd: Crowd, share: int) -> None:
    """The proof that the claim above can fail: the same path, where every failure is told as another client's."""
    chance = Random(share)
    assert 1 <= sum(three_hours(chance, crowd, share, rule=False).accused for _ in range(RUNS))


@pytest.mark.parametrize("share", [10_000, 250_000])
def test_full_lists_in_an_outage_accuse_nobody(share: int) -> None:
    """Nine of ten of its failures are in no list."""
    chance = Random(share)
    assert 0 == sum(three_hours(chance, OUTAGE, share, room=10).accused for _ in range(RUNS))


def test_full_lists_prevent_no_rollback() -> None:
    """A new side that is down, loudly, at half of the traffic: what is in the lists is enough."""
    path = Path(500_000, Random(1), room=10)
    for number in range(20):
        path.succeed(0, 100)
        for client in range(100):
            path.fail(1, 100 * number + client)
        path.look()
    assert path.accused


@pytest.mark.parametrize("told", [True, False])
def test_a_side_that_fails_half_of_the_time_is_left_at_once(told: bool) -> None:
    """At 1 %, within 15 failed requests of as many clients; later, but all the same, where nobody names them."""
    for seed in range(20):
        chance = Random(seed)
        path = Path(10_000, chance)
        failed = 0
        for number in range(200):
            path.succeed(0, 99)
            if chance.random() < 0.5:
                path.fail(1, number)
                failed += 1
            else:
                path.succeed(1, 1)
            if not told:
                path.lists = [planes.Failures() for _ in range(WORKERS)]
            path.look()
            if path.accused:
                break
        assert path.accused
        (verdict,) = (each for each in path.said if each.kind is Kind.ROLLBACK)
        if told:
            assert failed <= 15
            assert verdict.first is not None
            assert verdict.last is not None
            assert 0 <= int(verdict.first.request) <= int(verdict.last.request) < failed

"""What every `Fleet` promises, asked of the one over Unix sockets and of the one in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from control.channel import WorkerFleet
from control.main import SystemClock
from router.core.model import Endpoint, Route, Table, Upstream
from router.core.observed import UNOBSERVED, Observed
from router.core.orders import Cause, Effective, EffectiveState
from router.core.wire import Blocks, delta_line, endpoint_key, state_hash, structure_digest, structure_lines
from router.events import Events
from router.planes.pretend import MemoryFleet, PretendWorker
from router.ports import Fleet, Target
from tests.control.workers import SocketWorker

PATIENCE = 20.0
"""Seconds; only a broken fleet needs them."""


def table(routes: int) -> Table:
    upstream = Upstream("m", {"": (Endpoint("127.0.0.1", 9001),)})
    return Table("m", {"m": upstream}, tuple(Route(f"r{number}", f"/r{number}", "m") for number in range(routes)))


def whole(revision: int, *shares: int) -> Target:
    made = table(len(shares))
    routes = {"unlisted": 64, **{route.name: 99 for route in made.routes}}
    blocks = Blocks(routes, {_key(made): 64}, {64: 8, 99: 16}, 1024)
    lines = tuple(structure_lines(made, blocks))
    state = EffectiveState(tuple(Effective(share, Cause.DECLARED) for share in shares))
    return Target(revision, state_hash(structure_digest(lines), state), 1024, lines, state)


def _key(made: Table) -> str:
    return endpoint_key("m", made.upstreams["m"].endpoints[0])


def step(before: Target, revision: int, *shares: int) -> Target:
    after = whole(revision, *shares)
    delta = delta_line(revision, before.revision, before.state, after.state, after.digest)
    return replace(after, base=before.revision, delta=delta)


class Handle(Protocol):
    """A fleet of two, and power over its workers."""

    fleet: Fleet

    async def stop(self, number: int) -> None: ...

    async def start(self, number: int) -> None: ...

    def worker(self, number: int) -> PretendWorker: ...


class InMemory:
    """The double."""

    def __init__(self) -> None:
        self.fleet = MemoryFleet(2)

    async def stop(self, number: int) -> None:
        self.fleet.stop(number)

    async def start(self, number: int) -> None:
        self.fleet.start(number)

    def worker(self, number: int) -> PretendWorker:
        return self.fleet.workers[number]


class OverSockets:
    """The real one, with pretended workers at the other end."""

    def __init__(self, state: Path) -> None:
        (state / "workers").mkdir()
        clock = SystemClock()
        self.fleet = WorkerFleet(state, 2, clock, Events(clock.now))
        self._servers = [SocketWorker(state, number) for number in range(2)]

    async def stop(self, number: int) -> None:
        await self._servers[number].stop()
        while self.fleet.states()[number].connected:
            await asyncio.sleep(0.001)

    async def start(self, number: int) -> None:
        await self._servers[number].start()

    def worker(self, number: int) -> PretendWorker:
        return self._servers[number].worker


@pytest.fixture(params=["sockets", "memory"])
async def handle(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Handle]:
    if request.param == "memory":
        yield InMemory()
        return
    real = OverSockets(tmp_path)
    async with AsyncExitStack() as stack:
        running = asyncio.create_task(real.fleet.run())
        for number in range(2):
            await real.start(number)
            stack.push_async_callback(real.stop, number)
        try:
            yield real
        finally:
            await stack.aclose()
            running.cancel()
            await asyncio.wait([running])


async def test_what_is_aimed_at_is_confirmed_by_every_worker(handle: Handle) -> None:
    """With a time each, and it really is in force there."""
    target = whole(1, 10, 20)
    handle.fleet.aim(target)
    answers = await handle.fleet.confirmed(target, PATIENCE)
    assert [(0, 1, ""), (1, 1, "")] == [(answer.id, answer.revision, answer.error) for answer in answers]
    assert all(answer.ms is not None for answer in answers)
    assert [[10, 20], [10, 20]] == [handle.worker(number).shares for number in range(2)]


async def test_states_say_what_each_worker_runs(handle: Handle) -> None:
    """By id, with revision and hash."""
    target = whole(3, 10)
    handle.fleet.aim(target)
    await handle.fleet.confirmed(target, PATIENCE)
    states = handle.fleet.states()
    assert [(number, 3, target.digest, True) for number in range(2)] == [
        (state.id, state.revision, state.hash, state.connected) for state in states
    ]


async def test_a_step_reaches_workers_that_have_its_base_and_those_that_do_not(handle: Handle) -> None:
    """The delta to the one, the whole snapshot to the other that was away meanwhile."""
    first = whole(1, 10, 20)
    handle.fleet.aim(first)
    await handle.fleet.confirmed(first, PATIENCE)
    await handle.stop(1)
    second = step(first, 2, 10, 30)
    handle.fleet.aim(second)
    answers = await handle.fleet.confirmed(second, 0.2)
    assert [True, False] == [answer.ms is not None for answer in answers]
    await handle.start(1)
    answers = await handle.fleet.confirmed(second, PATIENCE)
    assert [2, 2] == [answer.revision for answer in answers]
    third = step(second, 3, 0, 30)
    handle.fleet.aim(third)
    await handle.fleet.confirmed(third, PATIENCE)
    assert [[0, 30], [0, 30]] == [handle.worker(number).shares for number in range(2)]


async def test_a_worker_that_is_not_there_has_not_confirmed(handle: Handle) -> None:
    """Nobody knows what it runs; the answer comes after the patience and says so."""
    await handle.stop(0)
    target = whole(1, 10)
    handle.fleet.aim(target)
    answers = await handle.fleet.confirmed(target, 0.2)
    assert (None, "not connected") == (answers[0].ms, answers[0].error)
    assert answers[1].ms is not None


async def test_a_worker_that_starts_later_is_brought_to_the_target(handle: Handle) -> None:
    """Without anybody aiming again."""
    await handle.stop(0)
    target = whole(1, 10)
    handle.fleet.aim(target)
    await handle.start(0)
    answers = await handle.fleet.confirmed(target, PATIENCE)
    assert all(answer.ms is not None for answer in answers)
    assert [10] == handle.worker(0).shares


async def test_a_change_that_a_later_one_has_overtaken_is_confirmed_by_the_later_one(handle: Handle) -> None:
    """It was made from it; nobody waits for a revision that no worker will stop at."""
    first = whole(1, 10)
    second, third = step(first, 2, 20), whole(3, 20, 30)
    for target in (first, second, third):
        handle.fleet.aim(target)
    answers = await handle.fleet.confirmed(second, PATIENCE)
    assert all(answer.ms is not None for answer in answers)


async def test_a_wrong_hash_is_never_confirmed(handle: Handle) -> None:
    """A worker judges by what it has in hand, not by the number that it was told."""
    wrong = replace(whole(1, 10), digest="0" * 32)
    handle.fleet.aim(wrong)
    answers = await handle.fleet.confirmed(wrong, 0.2)
    assert [None, None] == [answer.ms for answer in answers]
    assert [0, 0] == [handle.worker(number).revision for number in range(2)]


async def until_observed(handle: Handle, expected: Observed, *numbers: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while any(handle.worker(number).observed != expected for number in numbers):
            await asyncio.sleep(0.001)


async def test_an_observation_reaches_every_worker_and_the_next_one_stands_in_its_place(handle: Handle) -> None:
    """Whole, without a revision; nobody has to confirm it."""
    for observed in (Observed({"m http://a:1": 0}), Observed({}, {"m http://a:1": ("10.0.0.1",)}), UNOBSERVED):
        handle.fleet.observe(observed)
        await until_observed(handle, observed, 0, 1)
    assert [0, 0] == [handle.worker(number).revision for number in range(2)]


async def test_a_worker_that_starts_later_hears_of_the_newest_observation(handle: Handle) -> None:
    """Also when there is no target yet."""
    await handle.stop(1)
    newest = Observed({"m http://a:1": 500_000})
    for observed in (Observed({"m http://a:1": 0}), newest):
        handle.fleet.observe(observed)
    await handle.start(1)
    await until_observed(handle, newest, 0, 1)
    await handle.stop(1)
    await handle.start(1)
    await until_observed(handle, newest, 0, 1)

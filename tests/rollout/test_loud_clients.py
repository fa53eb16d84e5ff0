"""The controller and clients that fail again and again: one error an hour, also for the controller's successor."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rollout.core.counted import Counted, Outcomes
from rollout.core.failures import GRACE, Failure
from rollout.core.run import Phase
from router.core.clients import client_key
from tests.rollout.stage import QUICK, World

SLOW = replace(QUICK, steps=(replace(QUICK.steps[0], min_time=1e6), QUICK.steps[-1]))
"""It stays at its first step."""


class LoudWorld(World):
    """A world with one client that fails on the new side, as often as it is told to."""

    def shout(self, times: int, client: str = "ana", *, told: bool = True) -> None:
        sums = self.source.sums["p"]
        new = Outcomes(sums.new.requests + times, sums.new.failures + times)
        self.source.sums["p"] = Counted(sums.legacy, new)
        share, revision = self.platform.shares["p"], self.platform.revisions["p"]
        for number in range(times if told else 0):
            who = client_key("p", client.encode())
            self.source.failures.append(Failure("p", True, share, revision, who, f"{client}-{number}", self.clock.time))

    def errors(self) -> int:
        """In all rows that were recorded."""
        found: list[Any] = [row.get("new", {}).get("errors", 0) for row in self.rows()]
        return sum(each[0] if isinstance(each, list) else each for each in found)

    def known(self) -> list[int]:
        """Who has been counted, by what is kept every few minutes."""
        kept = json.loads(self.journal.keep.get("judged", "{}"))
        return list(kept["firsts"]["young"]) if "firsts" in kept else []

    async def judging(self) -> None:
        await self.start(plan=SLOW)
        await self.until(lambda: self.run().phase is Phase.JUDGING)

    async def succeed(self) -> None:
        """The controller is killed, and another one takes over."""
        self.source.failures.clear()  # what it had been told and not recorded is gone with it
        self.controller = self.make()
        await self.controller.start()


async def test_a_loud_client_is_one_error_and_rolls_nothing_back() -> None:
    """A thousand failures, and the verdict knows the first of them."""
    world = LoudWorld(rate=100)
    await world.judging()
    for _ in range(10):
        world.shout(100)
        await world.pass_time()
    assert (1, Phase.JUDGING) == (world.errors(), world.run().phase)
    (marked,) = (row["new"]["errors"] for row in world.rows() if "errors" in row.get("new", {}))
    assert [1, "ana-0", "ana-0"] == [marked[0], marked[1][1], marked[2][1]]


@pytest.mark.parametrize("kept", [False, True])
async def test_whoever_takes_over_knows_who_has_been_counted(kept: bool) -> None:
    """From the log, or from what is kept every few minutes: killed twenty times, it is still one error."""
    world = LoudWorld(rate=10)
    await world.judging()
    world.shout(1)
    await world.until(lambda: world.known() if kept else world.errors())
    for _ in range(20):
        await world.succeed()
        world.shout(3)
        await world.pass_time()
        await world.pass_time()
    assert (1, kept) == (world.errors(), bool(world.known()))


async def test_what_a_killed_controller_had_heard_and_not_recorded_counts_all_the_same() -> None:
    """A restart makes no failure vanish: what nobody can name any more counts each."""
    world = LoudWorld(rate=10)
    await world.judging()
    for _ in range(60):
        await world.pass_time()
    world.shout(5, told=False)
    await world.succeed()
    for _ in range(int(GRACE) + 6):
        await world.pass_time()
    assert 5 == world.errors()


async def test_failures_of_other_routes_are_nobodys_error() -> None:
    """Nor do they use up a client of this one."""
    world = LoudWorld(rate=10)
    await world.judging()
    share, revision = world.platform.shares["p"], world.platform.revisions["p"]
    world.source.failures += [Failure("q", True, share, revision, number, "r", 1.0) for number in range(50)]
    for _ in range(6):
        await world.pass_time()
    assert 0 == world.errors()
    assert all("clients" not in json.loads(line.body) for line in world.journal.log if line.kind == "batch")

"""The loop of rollouts over doubles: what it orders, what it records, and that being killed changes nothing."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from rollout.core import brake
from rollout.core.evidence import Shadowed
from rollout.core.judge import replay
from rollout.core.records import batch_from
from rollout.core.run import Ask, Asked, Command, Objection, Ordered, Phase, Refused, Told, Wanted
from rollout.core.settings import Settings
from rollout.core.verdict import Breadth, Kind
from rollout.ports import JournalError, Kept
from router.core.census import Watched
from router.core.model import PlanStep
from tests.rollout.stage import QUICK, World

WAY = [("p", "weight", 5), ("p", "weight", 50), ("p", "weight", 100)]
SEED = random.SystemRandom().randrange(1, 10**6)


async def test_a_good_new_side_is_moved_step_by_step() -> None:
    """Each step once, in order, then it is done; the way stands in the log."""
    world = World()
    await world.start()
    await world.until(lambda: world.run().over)
    assert Phase.DONE is world.run().phase
    assert WAY == world.given()
    assert [Told.STARTED, Told.STEP, Told.STEP, Told.STEP, Told.DONE] == [
        name for name in world.names() if name != Told.WAITING
    ]
    logged = [line.kind for line in world.journal.log if line.kind not in {"batch", Told.WAITING}]
    assert [name for name in world.names() if name != Told.WAITING] == logged


async def test_a_bad_new_side_is_rolled_back_once_and_found_within_a_few_failures() -> None:
    """Whatever comes afterwards."""
    world = World(rate=200, failing=0.5)
    await world.start()
    await world.until(lambda: world.run().over)
    assert [("p", "weight", 5), ("p", "rollback", 0)] == world.given()
    assert world.source.sums["p"].new.failures <= 15
    verdict = world.run().verdict
    assert verdict is not None
    assert (Kind.ROLLBACK, Breadth.ROUTE) == (verdict.kind, verdict.scope.breadth)


async def test_a_step_waits_for_its_clients() -> None:
    """However many requests there are; clients of an earlier step are no clients of this one."""
    steps = tuple(replace(step, min_clients=20) for step in QUICK.steps)
    world = World(people=0)
    await world.start(plan=replace(QUICK, steps=steps))
    for _ in range(60):
        await world.pass_time()
    assert (1, ("clients: at least 20",)) == (len(world.given()), world.run().waits)
    world.people = 1
    await world.until(lambda: len(world.given()) == 2)
    began = world.clock.time
    await world.until(lambda: len(world.given()) == 3)
    assert world.clock.time - began > 20


async def test_the_workers_watch_what_is_judged_and_nothing_else() -> None:
    """With the share's revision and the limits of the run; whoever takes over says it again."""
    world = World()
    await world.start()
    await world.until(lambda: world.run().phase is Phase.JUDGING)
    await world.pass_time()
    expected = {"p": Watched(world.platform.revisions["p"], 50_000, world.run().limits)}
    assert expected == world.source.watched
    world.source.watched = {}
    world.controller = world.make()
    await world.controller.start()
    await world.pass_time()
    assert expected == world.source.watched
    await world.until(lambda: world.run().over)
    await world.pass_time()
    assert {} == world.source.watched


async def test_it_is_rolled_back_while_it_is_paused() -> None:
    """Evidence comes in all the same."""
    world = World(rate=1000)
    await world.start()
    await world.until(lambda: world.run().phase is Phase.JUDGING)
    (paused,) = await world.controller.ask(Asked(Ask.PAUSE, "kim", "lunch"), "p")
    assert not isinstance(paused, Objection)
    world.failing = 0.5
    await world.until(lambda: world.run().over, 100)
    assert Phase.ROLLED_BACK is world.run().phase


async def test_routes_to_one_bad_upstream_go_back_together() -> None:
    """None of them has enough evidence alone; together they have."""
    routes = tuple(f"r{number}" for number in range(20))
    world = World(routes, rate=20, failing=0.04)
    await world.start(plan=replace(QUICK, ratio=1.2))
    await world.until(lambda: all(world.run(route).over for route in routes), 400)
    scopes = {run.verdict.scope.breadth for run in world.controller.runs.values() if run.verdict is not None}
    assert Breadth.UPSTREAM in scopes
    assert all(run.phase is Phase.ROLLED_BACK for run in world.controller.runs.values())


async def test_a_persons_order_pauses_and_resuming_takes_the_step_again() -> None:
    """The share that the person gave stays until then."""
    world = World()
    await world.start()
    await world.until(lambda: world.run().phase is Phase.JUDGING)
    world.platform.set("p", 700_000, "W-kim")
    await world.pass_time()
    assert "W-kim" in world.run().paused
    for _ in range(10):
        await world.pass_time()
    assert 700_000 == world.platform.shares["p"]
    await world.controller.ask(Asked(Ask.RESUME, "kim", "go on"), "p")
    await world.until(lambda: world.run().phase is Phase.JUDGING)
    assert (0, 50_000) == (world.run().step, world.platform.shares["p"])


async def test_an_abort_takes_it_back_to_where_it_began() -> None:
    """And a second run is number two."""
    world = World()
    await world.start()
    await world.until(lambda: world.run().step == 1 and world.run().phase is Phase.JUDGING)
    await world.controller.ask(Asked(Ask.ABORT, "kim", "no"), "p")
    await world.until(lambda: world.run().over)
    assert (Phase.ABORTED, 0) == (world.run().phase, world.platform.shares["p"])
    await world.start()
    assert 2 == world.run().number


async def test_what_cannot_be_is_said() -> None:
    """Two runs of a route at once, or a wish without one."""
    world = World()
    assert "no rollout of it was ever started" in str(await world.controller.ask(Asked(Ask.PAUSE, "kim", "x"), "p"))
    await world.start()
    again = Wanted("p", QUICK, QUICK.steps, "new", "same", 0, "kim", "again")
    assert "is under way" in str(await world.controller.begin(again))
    assert "not paused" in str(await world.controller.ask(Asked(Ask.RESUME, "kim", "x"), "p"))


async def test_an_order_that_takes_longer_than_a_turn_is_given_once_and_heard() -> None:
    """Its answer comes while another turn is under way."""
    world = World()
    gate, asked, order = asyncio.Event(), 0, world.platform.order

    async def slow(command: Command) -> Ordered | Refused:
        nonlocal asked
        asked += 1
        await gate.wait()
        return await order(command)

    world.platform.order = slow  # type: ignore[method-assign]
    await world.start()
    for _ in range(5):
        await world.pass_time()
    assert (1, Phase.RAISING) == (asked, world.run().phase)
    gate.set()
    await world.until(lambda: world.run().phase is Phase.JUDGING, 5)
    assert 1 == asked


async def test_the_shadow_step_is_passed_by_comparisons_and_costs_nobody_anything() -> None:
    """Nobody is on the new side until enough answers were the same; without comparisons it waits for ever."""
    plan = replace(QUICK, steps=(PlanStep(0, min_time=3.0, min_clients=0, min_sample=100), *QUICK.steps))
    world = World()
    await world.start(plan=plan)
    for _ in range(50):
        await world.pass_time()
    assert ("sample: at least 100 comparisons", "evidence: no-data") == world.run().waits
    assert 0 == world.source.sums["p"].new.requests
    for number in range(200):
        compared = Shadowed(100 * number, tripled=100 * number)
        world.source.sums["p"] = replace(world.source.sums["p"], shadow=compared)
        await world.pass_time()
        if world.run().step:
            break
    assert 1 == world.run().step
    assert [("p", "weight", 0), ("p", "weight", 5)] == world.given()


# --------------------------------------------------------------------------------------------- the record


async def test_without_the_record_nothing_rises_but_a_rollback_goes_on() -> None:
    """The disk is full: said once; evidence is not lost, it is recorded later."""
    world = World()
    await world.start()
    await world.until(lambda: world.run().phase is Phase.JUDGING)
    world.journal.failing = "the disk is full"
    for _ in range(30):
        await world.pass_time()
    assert [("p", "weight", 5)] == world.given()
    assert 1 == world.names().count(Told.NOT_RECORDED)
    world.failing = 0.5
    await world.until(lambda: ("p", "rollback", 0) in world.given(), 60)
    world.journal.failing = ""
    await world.until(lambda: world.run().over, 60)
    await world.controller.finish()
    recorded = sum(row["new"].get("failures", 0) for row in world.rows() if "new" in row)
    assert recorded > 0


async def test_nothing_is_written_while_there_is_nothing_to_judge() -> None:
    """A router without rollouts has no use for a log."""
    world = World()
    for _ in range(100):
        await world.pass_time()
    assert [] == world.journal.log
    await world.start()
    await world.until(lambda: world.run().over)
    await world.pass_time()
    written = len(world.journal.log)
    for _ in range(100):
        await world.pass_time()
    assert written == len(world.journal.log)


async def test_the_log_judged_anew_says_the_same() -> None:
    """Bit for bit: the rollback's verdict is among the replayed ones."""
    world = World(rate=300, failing=0.3)
    await world.start()
    await world.until(lambda: world.run().over)
    await world.controller.finish()
    records = [line for line in world.journal.log if line.kind == "batch"]
    found = list(replay((json.loads(line.body) for line in records), Settings()))
    assert world.run().verdict in found
    assert all(batch_from(json.loads(line.body)) for line in records)


async def test_too_many_rollbacks_within_an_hour_freeze_everything() -> None:
    """The first ones are done, the rest waits for a person or the hour; told loudly, frozen once."""
    routes = tuple(f"r{number}" for number in range(brake.MOST + 3))
    world = World(routes, rate=200, failing=0.5)
    for number, route in enumerate(routes):
        await world.start(route, upstream=f"new-{number}")
    await world.until(lambda: Told.WITHHELD in world.names(), 200)
    for _ in range(5):
        await world.pass_time()
    rollbacks = [given for given in world.given() if given[1] == "rollback"]
    assert brake.MOST == len(rollbacks)
    assert world.platform.frozen
    waiting = [run for run in world.controller.runs.values() if run.phase is Phase.ROLLING_BACK]
    assert waiting
    world.clock.time += brake.HOUR
    await world.until(lambda: all(world.run(run.route).over for run in waiting), 200)


# ----------------------------------------------------------------------------------------------- killed


class Killed(BaseException):
    """The process is gone."""


class Fate:
    """Lets a controller die before a step: in a read, a write or an order, before or after it was done."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.dead = False

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.dead = True
        if self.dead:
            raise Killed

    def around(self, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def stepped(*args: Any, **more: Any) -> Any:
            self.step()
            result = await work(*args, **more)
            self.step()
            return result

        return stepped


class MortalWorld(World):
    """Its controller dies after so many steps; another takes over at once."""

    killed = 0

    def arm(self, steps: int) -> None:
        fate = Fate(steps)
        controller = self.make()
        controller._source = Around(self.source, "counted", fate)  # type: ignore[assignment]
        controller._acting._platform = Around(self.platform, "order", fate)  # type: ignore[assignment]
        record = controller._record
        record._journal = Around(self.journal, "commit", fate)  # type: ignore[assignment]
        controller._journal = Around(self.journal, "lines", fate)  # type: ignore[assignment]
        self.controller, self.fate = controller, fate

    async def again(self, steps: int) -> None:
        """A new one, until one lives long enough to take up the record."""
        while True:
            self.arm(steps)
            try:
                await self.controller.start()
            except Killed:
                self.killed += 1
                steps += 1
                continue
            return

    async def live(self, steps: Callable[[], int]) -> None:
        """Second by second, until the run is over."""
        await self.again(steps())
        for _ in range(3000):
            try:
                if not self.controller.runs:
                    await self.start()
                await self.pass_time()
                if self.controller._acting._broken is not None:
                    raise self.controller._acting._broken
            except Killed:
                await self._bury()
                await self.again(steps())
            if self.controller.runs and self.run().over and self.controller._record.complete:
                return
        raise AssertionError(self.runs())

    async def _bury(self) -> None:
        self.killed += 1
        tasks = [*self.controller._acting._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Around:
    """A port whose one method may be where the process dies."""

    def __init__(self, inner: Any, name: str, fate: Fate) -> None:
        self._inner = inner
        setattr(self, name, fate.around(getattr(inner, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def assert_nothing_twice(world: World) -> None:
    """Every order once; what was recorded is no more than what was counted; every run tells one story."""
    ids = [command.id for command in world.platform.given]
    assert len(ids) == len(set(ids)), SEED
    counted = world.source.sums["p"].new
    recorded = [row.get("new", {}) for row in world.rows()]
    assert sum(row.get("requests", 0) for row in recorded) <= counted.requests, SEED
    assert sum(row.get("failures", 0) for row in recorded) <= counted.failures, SEED


@pytest.mark.parametrize("bad", [False, True])
async def test_a_controller_killed_before_any_step_goes_on_as_if_nothing_had_happened(bad: bool) -> None:
    """Once in each life, at each of the first hundred steps: same orders, none twice, none skipped."""
    way, deaths = ([("p", "weight", 5), ("p", "rollback", 0)] if bad else WAY), 0
    for steps in range(1, 101):
        world = MortalWorld(rate=400 if bad else 4000, failing=0.5 if bad else 0.0)
        lives = iter([steps])
        await world.live(lambda lives=lives: next(lives, 10**9))  # type: ignore[misc]
        deaths += bool(world.killed)
        assert way == world.given(), (steps, world.runs())
        assert_nothing_twice(world)
    assert deaths >= (25 if bad else 80)


async def test_a_controller_killed_a_hundred_times_during_one_rollout_takes_the_same_steps() -> None:
    """At steps that chance has chosen, one rollout from its beginning to its end."""
    chance = random.Random(SEED)
    world = MortalWorld(rate=60)
    await world.live(lambda: chance.randrange(3, 14))
    assert world.killed >= 100, (SEED, world.killed)
    assert WAY == world.given(), (SEED, world.runs())
    assert_nothing_twice(world)


async def test_a_journal_that_cannot_be_understood_is_no_empty_one() -> None:
    """It refuses to begin rather than to forget a rollout."""
    world = World()
    world.journal.runs["p"] = '{"run": {"route": "p"}, "track": null}'
    with pytest.raises(JournalError, match="cannot be understood"):
        await world.controller.start()
    assert isinstance(await world.journal.load(), Kept)

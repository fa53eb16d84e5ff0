"""What the workers' counters say about the sides, in terms of outcomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.rollouts.source import CounterSource, outcomes
from rollout.core.counted import Counted
from rollout.core.failures import Failed, Failure
from router.core.attempt import Stage as TryStage
from router.core.decide import Reason
from router.telemetry import RouteBlock
from tests.control.stage import Stage, Worker


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    await made.start()
    return made


async def counted(stage: Stage) -> Counted:
    source = CounterSource(stage.files, stage.route_blocks)
    return (await source.counted(["product"]))["product"]


def fallback(worker: Worker, stage: Stage, cause: int, times: int) -> None:
    start = stage.live.blocks.routes["product"]
    worker.counters.slots[start + RouteBlock.FALLBACKS + cause] += times


async def test_drawn_requests_are_outcomes_of_their_side(stage: Stage) -> None:
    """All workers together; 5xx is a failure, 4xx is not, and without an answer the client went first."""
    for worker in (stage.worker(0), stage.worker(1)):
        worker.count("product", side=0, code="2xx", times=10)
        worker.count("product", side=0, code="5xx", times=2)
        worker.count("product", side=1, code="4xx", times=3)
        worker.count("product", side=1, code="5xx", times=4)
        worker.count("product", side=1, code="none", times=5)
    found = await counted(stage)
    assert (24, 4, 0) == (found.legacy.requests, found.legacy.failures, found.legacy.aborted)
    assert (14, 8, 10) == (found.new.requests, found.new.failures, found.new.aborted)
    assert (24, 24) == (sum(found.legacy.durations), sum(found.new.durations))


@pytest.mark.parametrize(
    "reason", [each for each in Reason if each not in {Reason.WEIGHT, Reason.FALLBACK}], ids=lambda each: each.label
)
async def test_whose_side_was_not_drawn_is_no_outcome(stage: Stage, reason: Reason) -> None:
    """An override, a pin, no subject, a sick place: the sides cannot be compared by it."""
    worker = stage.worker()
    for side in (0, 1):
        worker.count("product", side=side, code="5xx", reason=reason, times=7)
    found = await counted(stage)
    assert (0, 0) == (found.legacy.requests, found.new.requests)


async def test_what_a_fallback_hid_is_the_new_sides_failure(stage: Stage) -> None:
    """Whatever legacy then answered; legacy is not charged with it."""
    worker = stage.worker()
    worker.count("product", side=0, code="2xx", reason=Reason.FALLBACK, times=5)
    worker.count("product", side=0, code="5xx", reason=Reason.FALLBACK, times=1)
    fallback(worker, stage, RouteBlock.STATUS_CAUSE, 6)
    found = await counted(stage)
    assert (0, 6, 6) == (found.legacy.requests, found.new.requests, found.new.failures)


async def test_a_fallback_for_want_of_a_connection_is_nobodys_failure(stage: Stage) -> None:
    """The router had no room: that says nothing about the new side."""
    worker = stage.worker()
    worker.count("product", side=0, code="2xx", reason=Reason.FALLBACK, times=5)
    fallback(worker, stage, TryStage.OVERLOAD, 3)
    fallback(worker, stage, TryStage.CONNECT, 2)
    found = await counted(stage)
    assert (2, 2) == (found.new.requests, found.new.failures)


async def test_a_503_for_want_of_a_connection_is_no_outcome(stage: Stage) -> None:
    """Of either side: the router had no room.  Told before the request is counted, it takes nothing away."""
    worker = stage.worker()
    start = stage.live.blocks.routes["product"] + RouteBlock.OURS
    for side in (0, 1):
        worker.count("product", side=side, code="5xx", times=3)
        worker.counters.slots[start + side * RouteBlock.SIDE] = 2 + 2 * side
    found = await counted(stage)
    assert (1, 1) == (found.legacy.requests, found.legacy.failures)
    assert (0, 0) == (found.new.requests, found.new.failures)


async def test_clients_and_slow_answers_are_added_up_over_workers(stage: Stage) -> None:
    """By side."""
    start = stage.live.blocks.routes["product"]
    for worker in (stage.worker(0), stage.worker(1)):
        for side in (0, 1):
            place = start + side * RouteBlock.SIDE
            worker.counters.slots[place + RouteBlock.FIRST_SEEN] = 10 + side
            for limit in range(3):
                worker.counters.slots[place + RouteBlock.SLOW + limit] = 3 - limit + side
        worker.counters.slots[start + RouteBlock.SIDE + RouteBlock.SEEN] = 4
    found = await counted(stage)
    assert (20, 0, (6, 4, 2)) == (found.legacy.first_seen, found.legacy.seen, found.legacy.slow)
    assert (22, 8, (8, 6, 4)) == (found.new.first_seen, found.new.seen, found.new.slow)


async def test_a_route_without_a_request_has_counted_nothing(stage: Stage) -> None:
    """That is a reading; one of a route that nobody knows is none."""
    assert outcomes([0] * RouteBlock.SIZE) == await counted(stage)
    assert {} == await CounterSource(stage.files, stage.route_blocks).counted(["nobody"])


async def test_what_workers_tell_is_passed_on_and_what_they_dropped(stage: Stage) -> None:
    """What is no failure was lost; where there are no workers there are no failures."""

    async def told() -> tuple[list[list[object]], int]:
        return [["product", 1, 10_000, 3, 7, "r-1", 5.0], ["nonsense"]], 4

    source = CounterSource(stage.files, stage.route_blocks, failures=told)
    assert Failed((Failure("product", True, 10_000, 3, 7, "r-1", 5.0),), 5) == await source.failed()
    assert Failed() == await CounterSource(stage.files, stage.route_blocks).failed()

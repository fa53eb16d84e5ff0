"""What is told of an exchange that is over: once, and of the endpoint that answered."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import pytest

from router.core.model import PPM, Side
from router.planes.embedded import exchange, witness
from router.telemetry import DURATION_BOUNDS, BusyBlock, EndpointBlock, RouteBlock
from tests.router.planes.embedded.stage import BAD, NEW, OK, Log, Stage, falling_back, route, table

MakeStage = Callable[..., Stage]


def test_an_original_answer_is_logged_with_the_endpoint_that_gave_it(make_stage: MakeStage) -> None:
    """Not with the one that was asked last and had nothing to say."""
    log = Log()
    stage = make_stage(falling_back(), log)
    stage.old.refuses = True
    stage.ask()
    stage.new.wire.say(BAD)
    stage.settle()
    assert ["new http://10.0.0.2:80"] == log.endpoints


def test_an_original_answer_is_one_answer_of_its_endpoint(make_stage: MakeStage) -> None:
    """Hidden at first and delivered after all, it is counted once, as one that a bad gateway gave."""
    stage = make_stage(falling_back())
    stage.old.refuses = True
    stage.ask()
    stage.new.wire.say(BAD)
    stage.settle()
    stage.advance(0.2)  # written down with the next tick
    block = stage.pool(NEW).block
    assert (1, 1) == (stage.slot(block + EndpointBlock.ANSWERS), stage.slot(block + EndpointBlock.BAD_GATEWAYS))


@pytest.mark.parametrize("bucket", range(len(DURATION_BOUNDS) + 1))
@pytest.mark.parametrize("side", Side)
def test_a_duration_is_counted_in_its_bucket(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch, side: Side, bucket: int
) -> None:
    """Of its own side and in no other; the quick ones in the busy block, the others in the route's."""
    took = (0.0, *DURATION_BOUNDS)[bucket] + 0.0005
    stage = make_stage(table(route(weight=side * PPM)))
    started = perf_counter()
    monkeypatch.setattr(exchange, "perf_counter", lambda: started)
    monkeypatch.setattr(witness, "perf_counter", lambda: started + took)
    stage.ask()
    (stage.old, stage.new)[side].wire.say(OK)
    stage.settle()
    slots = stage.route_slots(stage.ledger.routes["api"])
    first = side * RouteBlock.SIDE + RouteBlock.DURATIONS
    assert [number == bucket for number in range(15)] == slots[first + 1 : first + 16]
    assert took * 1_000_000 == pytest.approx(slots[first], abs=1)
    assert (bucket < BusyBlock.BUCKETS) == (stage.slot(stage.ledger.routes["api"] + first + 1 + bucket) == 0)

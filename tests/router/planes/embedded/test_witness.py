"""What is told of an exchange that is over: once, and of the endpoint that answered."""

from __future__ import annotations

from collections.abc import Callable

from router.telemetry import EndpointBlock
from tests.router.planes.embedded.stage import BAD, NEW, Log, Stage, falling_back

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

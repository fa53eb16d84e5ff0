"""A tape of what legacy answers: whose requests are on it, what it says of them, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from router.core.census import Watched
from router.core.clients import client_number
from router.core.model import PPM, Fallback, Source, SubjectSource
from router.planes.embedded.tape import PATIENCE, Tape
from router.planes.embedded.untold import AT_ONCE, MOST
from router.telemetry import RouteBlock
from tests.router.planes.embedded.stage import BAD, OK, SMALL, Service, Stage, rollback, route, table

MakeStage = Callable[..., Stage]
USER = (SubjectSource(Source.HEADER, "X-User-Id"),)
KIM = b"X-User-Id: kim"


def declared(**settings: object) -> object:
    return table(route(**{"weight": 0, "subject": USER, **settings}), route("other", "/other"))  # type: ignore[arg-type]


def ask(stage: Stage, *lines: bytes, answer: bytes = OK, method: bytes = b"GET") -> None:
    stage.ask(method, b"/api/1", *lines)
    for service in (stage.new, stage.new_too, stage.old):
        for wire in service.open:
            if wire.take():
                wire.say(answer)
    stage.settle()


def told(stage: Stage, name: str = "api") -> list[tuple[int, int]]:
    """(client, failed) of all on the tape."""
    return [(client, failed) for _, client, failed, _ in stage.plane.tape(name)["found"]]


KIM_WELL, KIM_ILL = (client_number(b"kim", b""), 0), (client_number(b"kim", b""), 1)


def test_what_legacy_answers_is_on_the_tape_from_the_first_question_on(make_stage: MakeStage) -> None:
    """Each once, with its client, its outcome, its time and how long it took; others' requests are not on it."""
    stage = make_stage(declared())
    ask(stage, KIM)
    assert [] == told(stage)
    ask(stage, KIM)
    ask(stage, KIM, answer=BAD)
    stage.ask(b"GET", b"/other", KIM)
    stage.old.wire.say(OK)
    assert [KIM_WELL, KIM_ILL] == told(stage)
    ask(stage, KIM)
    ((at, _, _, bucket),) = stage.plane.tape("api")["found"]
    assert (True, True) == (at > 1_600_000_000, 0 <= bucket <= 14)
    assert [] == told(stage)


def test_whatever_has_sent_them_to_legacy(make_stage: MakeStage) -> None:
    """A rollback for one; what new answers is not on it."""
    stage = make_stage(declared(weight=PPM))
    told(stage)
    ask(stage, KIM)
    assert [] == told(stage)
    stage.adopt(declared(weight=PPM), rollback())  # type: ignore[arg-type]
    ask(stage, KIM)
    assert [KIM_WELL] == told(stage)


def test_what_no_share_would_draw_is_not_on_it(make_stage: MakeStage) -> None:
    """Without a subject, a preflight, an override; nor what legacy answered in the place of new."""
    stage = make_stage(declared(weight=PPM // 2, fallback=Fallback(on_connect=True)))
    told(stage)
    ask(stage)
    ask(stage, KIM, b"Origin: http://a", b"Access-Control-Request-Method: GET", method=b"OPTIONS")
    stage.new.refuses = True
    for number in range(20):
        ask(stage, b"X-User-Id: %d" % number)
    moved = stage.counts()["api", "legacy", "2xx", "fallback"]
    assert 0 < moved < 20
    assert 20 - moved == len(told(stage))


def test_a_random_client_is_another_one_each_time(make_stage: MakeStage) -> None:
    """As it is when it is drawn."""
    stage = make_stage(declared(subject=(SubjectSource(Source.RANDOM, ""),)))
    told(stage)
    for _ in range(3):
        ask(stage, KIM)
    assert 3 == len({client for client, _ in told(stage)})


def test_a_side_that_gives_no_answer_has_failed_and_our_own_refusals_are_no_outcome(make_stage: MakeStage) -> None:
    """Refused and broken off on the one hand, no connection left and a client that goes on the other."""
    stage = make_stage(replace(declared(), limits=SMALL))  # type: ignore[type-var]
    told(stage)
    clients = [stage.ask(b"GET", b"/api/1", KIM) for _ in range(3)]
    assert 1 == stage.counts()["api", "legacy", "5xx", "weight"]
    assert [] == told(stage)
    clients[0].reset()
    stage.settle()
    assert [] == told(stage)
    stage.old.wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
    stage.old.wire.reset()
    stage.settle()
    stage.old.refuses = True
    ask(stage, KIM)
    assert [KIM_ILL, KIM_ILL] == told(stage)


def test_a_tape_outlives_a_reload_and_a_rollout_that_begins_and_ends(make_stage: MakeStage) -> None:
    """Both count then, each what it counts."""
    stage = make_stage(declared())
    told(stage)
    stage.adopt(table(route(weight=PPM // 2, subject=USER)))
    stage.plane.watch({"api": Watched(stage.revision, PPM // 2, (-1, -1, -1))}, (), anew=False)
    for number in range(20):
        ask(stage, b"X-User-Id: %d" % number)
    legacy = stage.counts()["api", "legacy", "2xx", "weight"]
    block = stage.ledger.routes["api"]
    assert (legacy, legacy) == (len(told(stage)), stage.slot(block + RouteBlock.SLOW))
    stage.plane.watch({}, ("api",), anew=False)
    stage.adopt(declared(), rollback())  # type: ignore[arg-type]
    ask(stage, KIM)
    assert [KIM_WELL] == told(stage)
    assert legacy == stage.slot(block + RouteBlock.SLOW)


def test_a_tape_ends_when_it_is_said_when_another_begins_and_when_nobody_collects_it(make_stage: MakeStage) -> None:
    """Afterwards its route costs what it did before, and a rollout on it goes on."""
    stage = make_stage(declared())
    entry = stage.plane.snapshot.by_name["api"]
    told(stage)
    stage.plane.tape(None)
    assert None is entry.watch
    told(stage)
    told(stage, "other")
    assert None is entry.watch
    told(stage)
    stage.advance(PATIENCE + 1)
    ask(stage, KIM)
    assert None is entry.watch
    assert [] == told(stage)
    stage.plane.watch({"api": Watched(1, 0, (3, 4, 5))}, (), anew=False)
    assert (True, -1) == (entry.watch is not None, entry.watch and entry.watch.fastest)
    stage.plane.tape(None)
    assert (3, None) == (entry.watch and entry.watch.fastest, entry.watch and entry.watch.tape)


def test_a_tape_of_no_route_waits_for_it(make_stage: MakeStage) -> None:
    """A worker may be told of a route later than it is asked for its tape."""
    stage = make_stage(declared())
    assert [] == told(stage, "later")
    stage.adopt(table(route("later", weight=0, subject=USER)))
    ask(stage, KIM)
    assert [KIM_WELL] == told(stage, "later")


def test_a_full_tape_drops_the_newest_and_counts_them() -> None:
    """It is taken in pieces that fit into a line."""
    tape = Tape("api", 0.0)
    for number in range(MOST + 7):
        assert tape.put(b"%d" % number, 3, 0.0, failed=False)
    pieces = [tape.take(0.0) for _ in range(3)]
    assert [(AT_ONCE, 7, True), (AT_ONCE, 0, True), (MOST - 2 * AT_ONCE, 0, False)] == [
        (len(piece["found"]), piece["dropped"], piece["more"]) for piece in pieces
    ]
    assert client_number(b"0", b"") == pieces[0]["found"][0][1]


@pytest.mark.parametrize("service", ["old", "new"])
def test_nobody_pays_for_a_tape_that_is_not_there(make_stage: MakeStage, service: str) -> None:
    """No watch, no look."""
    stage = make_stage(declared(weight=PPM if service == "new" else 0))
    ask(stage, KIM)
    found: Service = getattr(stage, service)
    assert found.wires
    assert None is stage.plane.snapshot.by_name["api"].watch

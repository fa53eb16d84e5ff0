"""The channel: lines from whoever connects, one a turn, each answered; a bad sender harms nobody but itself."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.core.hold import hold_of
from router.core.model import Source, SubjectSource
from router.core.orders import effective
from router.core.wire import MAX_LINE, delta_line, encode, state_hash, structure_digest, structure_lines
from router.planes.embedded.channel import ChannelConnection, Taker
from router.planes.embedded.counters import Counters
from router.planes.embedded.holds import write
from router.planes.embedded.plane import Plane
from router.telemetry import WorkerSlot
from tests.router.planes.embedded.stage import OK, Stage, StageLoop, Wire, rollback, route, table

BIG = table(*(route(f"r{number}", f"/r{number}", weight=1000) for number in range(100)))


@pytest.fixture(autouse=True)
def _thaw() -> Iterator[None]:
    """A worker freezes what it has adopted; a test process must not."""
    yield
    gc.unfreeze()


class Sender:
    """Somebody who has connected to a worker's channel."""

    def __init__(self, stage: Stage, taker: Taker | None = None) -> None:
        self._loop = stage.loop
        taker = taker or Taker(stage.plane, 3, lambda: None)

        async def make() -> ChannelConnection:
            return ChannelConnection(taker)

        self.connection = self._loop.run_until_complete(make())
        self.wire = Wire(self._loop, self.connection)

    def say(self, *lines: bytes) -> list[dict[str, Any]]:
        """Send lines; returns all answers, the greeting included if it is new."""
        self.wire.say(b"".join(lines))
        for _ in range(len(self.connection._lines) + 2):
            turn(self._loop)
        return self.answers()

    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.wire.take().splitlines()]


def turn(loop: StageLoop) -> None:
    """Exactly one turn of the loop."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def lines(stage: Stage, revision: int = 2, *orders: Any) -> list[bytes]:
    return stage.ledger.lines(revision, BIG, orders)


def delta(stage: Stage, *orders: Any, revision: int = 3) -> bytes:
    structure = structure_digest(structure_lines(BIG, stage.ledger.blocks(BIG)))
    after = effective(BIG, orders)
    return delta_line(revision, revision - 1, effective(BIG, ()), after, state_hash(structure, after))


# ------------------------------------------------------------------------------------------------- the dialogue


def test_a_worker_says_first_who_it_is_and_what_is_in_force(stage: Stage) -> None:
    """So that control knows what it has to send."""
    greeting = Sender(stage).answers()
    digest = stage.plane.snapshot.digest
    assert [{"op": "hello", "worker": 3, "pid": os.getpid(), "revision": 1, "hash": digest}] == greeting


def test_a_snapshot_is_confirmed_with_revision_and_hash(stage: Stage) -> None:
    """Of what was understood, once, after it is in force."""
    sender = Sender(stage)
    sender.answers()
    answers = sender.say(*lines(stage))
    assert 1 == len(answers)
    assert ("confirmed", 2, stage.plane.snapshot.digest) == (
        answers[0]["op"],
        answers[0]["revision"],
        answers[0]["hash"],
    )
    assert answers[0]["ms"] >= 0
    assert (2, 100) == (stage.plane.snapshot.revision, len(stage.plane.snapshot.entries))
    assert stage.ledger.registry.end <= len(stage.counters.slots)


def test_a_rollback_takes_one_line(stage: Stage) -> None:
    """And holds for the very next request."""
    sender = Sender(stage)
    sender.say(*lines(stage))
    assert ["confirmed"] == [answer["op"] for answer in sender.say(delta(stage, rollback("*")))]
    stage.ask(target=b"/r7")
    stage.old.wire.say(OK)
    assert {("r7", "legacy", "2xx", "rollback"): 1} == stage.counts()


def test_pings_and_questions_are_answered(stage: Stage) -> None:
    """Also in the middle of a snapshot, which goes on."""
    sender = Sender(stage)
    sender.answers()
    stage.ask()
    some = lines(stage)
    answers = sender.say(some[0], encode({"op": "ping"}), some[1], encode({"op": "status"}), *some[2:])
    assert ["pong", "status", "confirmed"] == [answer["op"] for answer in answers]
    status = answers[1]
    assert (3, 1, 1, 1, 0, False) == tuple(
        status[name] for name in ("worker", "revision", "connections", "in_flight", "tunnels", "draining")
    )


def test_the_first_snapshot_opens_the_worker(stage: Stage) -> None:
    """Before it, nothing is in force: revision 0; after it, requests are accepted; the second one opens nothing."""
    opened: list[bool] = []
    plane = Plane(stage.loop, Counters(None))
    sender = Sender(stage, Taker(plane, 1, lambda: opened.append(plane.ready)))
    greeting = sender.answers()[0]
    assert (0, "") == (greeting["revision"], greeting["hash"])
    sender.say(*lines(stage, 5))
    sender.say(*lines(stage, 6))
    assert ([True], 6) == (opened, plane.snapshot.revision)
    stage.loop.run_until_complete(plane.close())


def test_several_senders_do_not_mix(stage: Stage) -> None:
    """Control, its successor and an operator's command: each has its own beginning and gets its own answers."""
    one, other = Sender(stage), Sender(stage)
    one.answers()
    other.answers()
    some = lines(stage)
    assert [] == one.say(*some[:3])
    assert ["confirmed"] == [answer["op"] for answer in other.say(*some)]
    assert ["confirmed"] == [answer["op"] for answer in other.say(delta(stage, rollback("*")))]
    assert 3 == stage.plane.snapshot.revision
    assert ["confirmed"] == [answer["op"] for answer in one.say(*some[3:])]
    assert 2 == stage.plane.snapshot.revision


# ----------------------------------------------------------------------------------------------- a line a turn


def test_each_line_costs_one_turn_of_the_loop(stage: Stage) -> None:
    """However many come at once: requests are served between any two of them."""
    sender = Sender(stage)
    turn(stage.loop)
    sender.wire.say(b"".join(lines(stage)))
    many = len(sender.connection._lines)
    left = []
    for _ in range(many):
        turn(stage.loop)
        left.append(len(sender.connection._lines))
    assert list(range(many - 1, -1, -1)) == left
    assert 2 == stage.plane.snapshot.revision


def test_requests_go_on_by_the_old_snapshot_until_the_commit(stage: Stage) -> None:
    """Halfway through a reload the route of yesterday still answers."""
    sender = Sender(stage)
    some = lines(stage)
    sender.say(*some[:-1])
    stage.ask()
    stage.new.wire.say(OK)
    sender.say(some[-1])
    stage.ask()
    stage.old.wire.say(OK)
    assert {("api", "new", "2xx", "weight"): 1, ("unlisted", "legacy", "2xx", "unlisted"): 1} == stage.counts()


def test_lines_may_be_cut_anywhere(stage: Stage) -> None:
    """A stream has no borders."""
    sender = Sender(stage)
    sender.answers()
    stream = b"".join(lines(stage))
    for start in range(0, len(stream), 997):
        sender.wire.say(stream[start : start + 997])
    assert ["confirmed"] == [answer["op"] for answer in sender.say()]


def test_the_longest_turn_is_noted(stage: Stage) -> None:
    """Where everybody can see it."""
    Sender(stage).say(*lines(stage))
    assert 0 < stage.slot(WorkerSlot.LONGEST_STALL_US) < 10_000_000


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "line",
    [b"", b"nonsense", b"\xff\xfe", b'{"op":"sing"}', b'{"op":"commit","revision":2,"hash":""}', b"[" * 100_000, b"7",
     b'{"op":"delta","revision":1e999}', b'{"op":"delta","revision":"x","base":1}', b'{"op":"ping'],
)  # fmt: skip
def test_a_bad_line_is_refused_and_the_next_snapshot_taken(stage: Stage, line: bytes) -> None:
    """The old state stays in force, the connection stays open, and the sender hears why."""
    sender = Sender(stage)
    sender.answers()
    before = stage.plane.snapshot
    answers = sender.say(line + b"\n")
    assert ["refused"] == [answer["op"] for answer in answers]
    assert answers[0]["why"]
    assert stage.plane.snapshot is before
    assert ["confirmed"] == [answer["op"] for answer in sender.say(*lines(stage))]


def test_a_refusal_names_the_revision_it_speaks_of(stage: Stage) -> None:
    """A delta on a base that is not in force: control then sends the whole snapshot."""
    sender = Sender(stage)
    sender.answers()
    answers = sender.say(delta(stage, rollback("*"), revision=8))
    assert [{"op": "refused", "revision": 8, "why": "base"}] == answers


def test_a_hash_that_does_not_fit_is_refused(stage: Stage) -> None:
    """What is in force is never something that control did not mean."""
    sender = Sender(stage)
    sender.answers()
    some = lines(stage)
    answers = sender.say(*some[:-1], encode({"op": "commit", "revision": 2, "hash": "0" * 32}))
    assert [{"op": "refused", "revision": 2, "why": "hash"}] == answers
    assert 1 == stage.plane.snapshot.revision


def test_without_room_for_the_counters_a_snapshot_is_refused(stage: Stage) -> None:
    """A full disk must not cost a worker its channel: the old state stays, and a rollback still works."""
    sender = Sender(stage)
    sender.say(*lines(stage))
    begin = encode({"op": "begin", "revision": 9, "slots": 2**56})
    answers = sender.say(begin, *lines(stage, 9)[1:])
    assert [("refused", 9)] == [(answer["op"], answer["revision"]) for answer in answers]
    assert 2 == stage.plane.snapshot.revision
    assert ["confirmed"] == [answer["op"] for answer in sender.say(delta(stage, rollback("*")))]


def test_a_line_without_an_end_is_cut_off(stage: Stage) -> None:
    """Nothing is collected beyond the limit of a line."""
    sender = Sender(stage)
    sender.answers()
    for _ in range(MAX_LINE // 65_536):
        sender.wire.say(b"x" * 65_536)
    assert [] == sender.answers()
    sender.wire.say(b"x")
    assert ["refused"] == [answer["op"] for answer in sender.answers()]
    assert sender.wire.closed


def test_a_sender_of_too_many_lines_is_cut_off(stage: Stage) -> None:
    """A queue that grows faster than a line a turn has to end somewhere."""
    sender = Sender(stage)
    sender.answers()
    sender.wire.say(b"\n" * 100_000)
    assert not sender.wire.closed
    sender.wire.say(b"\n")
    assert ["refused"] == [answer["op"] for answer in sender.answers()]
    assert sender.wire.closed


def test_a_sender_that_goes_takes_its_lines_with_it(stage: Stage) -> None:
    """Half a snapshot of somebody who died is never put in force."""
    sender = Sender(stage)
    sender.wire.say(b"".join(lines(stage)))
    sender.wire.reset()
    for _ in range(20):
        turn(stage.loop)
    assert 1 == stage.plane.snapshot.revision


# --------------------------------------------------------------------------------------------------------- holds


def hold(scope: dict[str, Any], made: str = "E-0a1b") -> bytes:
    return encode({"op": "hold", "id": made, "scope": scope, "reason": "errors", "actor": "kim", "at": 1_700_000_000.0})


def state_line(some: list[bytes], **more: Any) -> list[bytes]:
    """The lines of a snapshot with more in its state."""
    changed = [json.loads(line) | more if b'"op":"state"' in line else json.loads(line) for line in some]
    return [encode(message) for message in changed]


def test_what_no_route_takes_is_told_to_whoever_asks(stage: Stage) -> None:
    """Also a second time: nothing is forgotten by telling it."""
    sender = Sender(stage)
    sender.answers()
    stage.ask(target=b"/nowhere?secret=1")
    stage.old.wire.say(OK)
    stage.settle()
    said = {"op": "unlisted", "found": [["GET", "/nowhere", 200, 1]], "more": 0}
    question = encode({"op": "unlisted"})
    assert [said, said] == sender.say(question, question)


def test_a_tape_is_told_to_whoever_asks_for_it_with_the_number_of_the_question(stage: Stage) -> None:
    """The first question begins it, and one without a route ends it; what is no question is refused."""
    sender = Sender(stage)
    sender.answers()
    stage.adopt(table(route(weight=0, subject=(SubjectSource(Source.CLIENT_IP),))))
    (first,) = sender.say(encode({"op": "tape", "id": 7, "route": "api"}))
    assert {"op": "tape", "id": 7, "found": [], "dropped": 0, "more": False} == first
    stage.ask()
    stage.old.wire.say(OK)
    stage.settle()
    (second,) = sender.say(encode({"op": "tape", "id": 8, "route": "api"}))
    assert (8, 1) == (second["id"], len(second["found"]))
    sender.say(encode({"op": "tape", "id": 9, "route": None}))
    assert None is stage.plane.snapshot.by_name["api"].watch
    for bad in ({"id": 1}, {"route": "api"}, {"id": "x", "route": "api"}, {"id": 1e999, "route": "api"}):
        assert ["refused"] == [answer["op"] for answer in sender.say(encode({"op": "tape", **bad}))]


def test_a_hold_needs_no_control(stage: Stage) -> None:
    """One line from anybody, and the very next request goes to legacy."""
    sender = Sender(stage)
    sender.answers()
    answers = sender.say(hold({"route": "api"}))
    assert [("held", "E-0a1b", 1, False)] == [
        (answer["op"], answer["id"], answer["revision"], answer["already"]) for answer in answers
    ]
    assert stage.plane.snapshot.digest == answers[0]["hash"]
    stage.ask()
    stage.old.wire.say(OK)
    assert {("api", "legacy", "2xx", "rollback"): 1} == stage.counts()


def test_a_hold_lies_over_every_later_state(stage: Stage) -> None:
    """Snapshots and deltas are taken as they come, and what is held stays held: the hash says that it differs."""
    sender = Sender(stage)
    sender.say(*lines(stage))
    sender.say(hold({"all": True}))
    whole = sender.say(*lines(stage, 3))[0]
    assert ("confirmed", 3) == (whole["op"], whole["revision"])
    assert json.loads(lines(stage, 3)[-1])["hash"] != whole["hash"]
    assert {0} == set(stage.plane.snapshot.shares)
    small = sender.say(delta(stage, rollback("r7"), revision=4))[0]
    assert ("confirmed", 4, stage.plane.snapshot.digest) == (small["op"], small["revision"], small["hash"])
    assert {0} == set(stage.plane.snapshot.shares)


def test_an_adopted_hold_is_no_longer_ours(stage: Stage) -> None:
    """While control's state has the rollback the hashes agree; once it is lifted, the traffic is free."""
    sender = Sender(stage)
    sender.say(*lines(stage))
    sender.say(hold({"route": "*"}))
    with_rollback = delta(stage, rollback("*"))
    answer = sender.say(with_rollback)[0]
    assert json.loads(with_rollback)["hash"] == answer["hash"]
    free = sender.say(*state_line(lines(stage, 4), adopted=["E-0a1b"]))[0]
    assert json.loads(lines(stage, 4)[-1])["hash"] == free["hash"]
    assert {1000} == set(stage.plane.snapshot.shares)
    assert "holds" not in Sender(stage).answers()[0]


def test_everybody_else_hears_of_a_hold(stage: Stage) -> None:
    """Control may be connected all the while, and only slow: it has to adopt it."""
    taker = Taker(stage.plane, 3, lambda: None)
    control, command = Sender(stage, taker), Sender(stage, taker)
    control.answers()
    command.answers()
    assert ["held"] == [answer["op"] for answer in command.say(hold({"all": True}))]
    (told,) = control.answers()
    assert ("holds", [json.loads(hold({"all": True}))]) == (told["op"], told["holds"])


def test_the_greeting_names_what_is_held() -> None:
    """So that whoever is control next adopts it."""
    stage = Stage()
    taker = Taker(stage.plane, 3, lambda: None)
    Sender(stage, taker).say(hold({"all": True}))
    greeting = Sender(stage, taker).answers()[0]
    assert [json.loads(hold({"all": True}))] == greeting["holds"]
    stage.close()


def test_the_same_scope_is_held_once(stage: Stage) -> None:
    """The second SRE is told the first one's id."""
    sender = Sender(stage)
    sender.answers()
    sender.say(hold({"all": True}))
    (answer,) = sender.say(hold({"all": True}, "E-0a1c"))
    assert ("E-0a1b", True) == (answer["id"], answer["already"])


@pytest.mark.parametrize(
    "line",
    [hold({"route": "no such"}), hold({"site": "nowhere"}), hold({"all": 1}), hold({}), b'{"op":"hold"}\n'],
)
def test_a_hold_that_names_nothing_is_refused(stage: Stage, line: bytes) -> None:
    """A rollback with a typing error must not look like one that worked."""
    sender = Sender(stage)
    sender.answers()
    before = stage.plane.snapshot
    (answer,) = sender.say(line)
    assert "refused" == answer["op"]
    assert answer["why"]
    assert stage.plane.snapshot is before


def test_a_successor_holds_what_lies_on_disk(stage: Stage, tmp_path: Path) -> None:
    """Also when the snapshot on disk knows nothing of it, and not when that says it is an order by now."""
    write(tmp_path, hold_of(json.loads(hold({"all": True}))))
    taker = Taker(Plane(stage.loop, Counters(None)), 1, lambda: None, tmp_path)
    sender = Sender(stage, taker)
    sender.say(*lines(stage))
    assert {0} == set(taker._plane.snapshot.shares)
    sender.say(*state_line(lines(stage, 3), adopted=["E-0a1b"]))
    assert {1000} == set(taker._plane.snapshot.shares)
    stage.loop.run_until_complete(taker._plane.close())


def test_a_worker_catches_up_with_what_the_others_were_told(stage: Stage, tmp_path: Path) -> None:
    """It may have stood still while the command went round; what is an order by now it leaves to control."""
    taker = Taker(stage.plane, 3, lambda: None, tmp_path)
    sender = Sender(stage, taker)
    some = lines(stage)
    sender.say(*state_line(some, adopted=["E-0a1c"]))
    write(tmp_path, hold_of(json.loads(hold({"route": "r7"}))))
    write(tmp_path, hold_of(json.loads(hold({"all": True}, "E-0a1c"))))

    async def a_moment() -> None:
        watching = asyncio.create_task(taker.watch())
        while not stage.plane.snapshot.recalls("r7", ""):
            await asyncio.sleep(0.01)
        watching.cancel()

    stage.loop.run_until_complete(a_moment())
    assert {0: 1, 1000: 99} == Counter(stage.plane.snapshot.shares)


# ------------------------------------------------------------------------------------------------------- questions


def test_a_recent_exchange_can_be_asked_for(stage: Stage) -> None:
    """By its id, which the answer repeats."""
    stage.ask(b"GET", b"/api/1", b"X-Request-Id: abc-1")
    stage.new.wire.say(OK)
    sender = Sender(stage)
    sender.answers()
    known, unknown = sender.say(encode({"op": "recent", "id": "abc-1"}), encode({"op": "recent", "id": "한"}))
    assert ("recent", "abc-1", ["api"]) == (known["op"], known["id"], [each["route"] for each in known["found"]])
    assert ("recent", "한", []) == (unknown["op"], unknown["id"], unknown["found"])
    assert ["refused"] == [answer["op"] for answer in sender.say(b'{"op":"recent"}\n')]
    assert ["refused"] == [answer["op"] for answer in sender.say(b'{"op":"recent","id":7}\n')]

"""What the connections of a worker share: the snapshot, the date, request ids, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from router.core.model import Limits, Source, SubjectSource
from router.telemetry import WorkerSlot
from tests.router.planes.embedded.stage import OK, Stage, route, table

MakeStage = Callable[..., Stage]


def test_a_snapshot_is_in_force_from_the_next_request_on(stage: Stage) -> None:
    """One assignment; the revision is told in a gauge."""
    stage.adopt(table(route(weight=0)))
    stage.ask()
    assert 1 == len(stage.old.wires)
    assert (2, 2) == (stage.plane.snapshot.revision, stage.slot(WorkerSlot.REVISION))


def test_lines_are_judged_anew_when_the_subjects_change(stage: Stage) -> None:
    """A line that was only passed on may now decide the side."""
    stage.ask(b"GET", b"/api/1", b"X-User-Id: u1")
    chain = (SubjectSource(Source.HEADER, "X-User-Id"),)
    stage.adopt(table(route(weight=999_999, subject=chain)))
    stage.new.wire.say(OK)
    client = stage.ask(b"GET", b"/api/1", b"X-User-Id: u1")
    stage.new.wire.say(OK)
    assert client.heard.endswith(b"ok")
    assert {("api", "new", "2xx", "weight"): 2} == stage.counts()


def test_lines_are_judged_anew_when_the_limits_change(stage: Stage) -> None:
    """A line that was short enough yesterday is not remembered as good."""
    line = b"X-Long: " + b"a" * 200
    first = stage.ask(b"GET", b"/api/1", line)
    stage.adopt(table(limits=Limits(request_line=100)))
    second = stage.ask(b"GET", b"/api/1", line)
    assert b"" == first.heard
    assert second.heard.startswith(b"HTTP/1.1 431 ")


def test_weights_alone_keep_what_is_remembered_and_the_pools(stage: Stage) -> None:
    """An order must cost nothing."""
    memory, pools = stage.plane.memory, stage.plane.pools.all()
    stage.adopt(table(route(weight=5)))
    assert stage.plane.memory is memory
    assert pools == stage.plane.pools.all()


def test_request_ids_are_never_given_twice(make_stage: MakeStage) -> None:
    """Not within a worker, and not by two workers."""
    one, other = make_stage().plane, make_stage().plane
    made = [plane.next_request_id() for plane in (one, other) for _ in range(1000)]
    assert 2000 == len(set(made))
    assert {32} == {len(request_id) for request_id in made}
    assert all(int(request_id, 16) for request_id in made)


def test_the_date_is_made_once_a_second(stage: Stage) -> None:
    """As RFC 9110 wants it; nobody formats a date for a request."""
    line = stage.plane.date_line
    assert line.startswith(b"Date: ")
    assert line.endswith(b" GMT")
    assert parsedate_to_datetime(line[6:].decode()).tzinfo is not None
    stage.plane.date_line = b""
    stage.advance(1.1)
    assert stage.plane.date_line.startswith(b"Date: ")


def test_an_answer_without_a_date_gets_ours(stage: Stage) -> None:
    """RFC 9110 section 6.6.1: a recipient with a clock adds it; a date that is there stays."""
    client = stage.ask()
    stage.new.wire.say(OK)
    assert stage.plane.date_line in client.heard
    client = stage.ask()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\nDate: theirs\r\nContent-Length: 0\r\n\r\n")
    assert 1 == client.heard.count(b"\r\nDate: ")
    assert b"\r\nDate: theirs\r\n" in client.heard


def test_the_budget_grows_with_what_is_under_way(stage: Stage) -> None:
    """A fifth of the active requests, and three at least."""
    plane = stage.plane
    plane.repeats = 2
    assert plane.in_budget()
    plane.repeats = 3
    assert not plane.in_budget()
    plane.active = 20
    assert plane.in_budget()
    plane.repeats = plane.active = 0


def test_a_drained_plane_is_deserted_when_the_last_client_has_gone(stage: Stage) -> None:
    """That is when a worker may end."""
    busy = stage.ask()
    stage.client()
    stage.plane.drain()
    waiting = stage.loop.create_task(stage.plane.deserted())
    stage.settle()
    assert not waiting.done()
    stage.new.wire.say(OK)
    stage.settle()
    assert busy.closed
    assert waiting.done()


def test_a_plane_without_clients_is_deserted_already(stage: Stage) -> None:
    """Nobody waits for an event that has been."""
    stage.plane.drain()
    stage.loop.run_until_complete(asyncio.wait_for(stage.plane.deserted(), 1))


def test_a_client_that_goes_twice_is_counted_once(stage: Stage) -> None:
    """A gauge that went below zero would be a huge number."""
    client = stage.client()
    protocol = client._protocol
    client.reset()
    stage.plane.gone(protocol)
    assert 0 == stage.slot(WorkerSlot.CONNECTIONS)


def test_closing_ends_everything_that_is_under_way(make_stage: MakeStage) -> None:
    """Clients are cut off, connects under way are given up, no timer is left."""
    stage = make_stage()
    stage.new.hangs = True
    client = stage.ask()
    stage.loop.run_until_complete(stage.plane.close())
    stage.settle()
    assert client.aborted
    assert set() == stage.plane._tasks

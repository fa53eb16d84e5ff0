"""Bodies on their way: framed anew, kept only while they may have to be sent again, no faster than who takes them."""

from __future__ import annotations

from collections.abc import Callable

from router.core.model import (
    Limits,
    Timeouts,
)
from router.telemetry import WorkerSlot
from tests.router.planes.embedded.stage import OK, Stage, code, falling_back, once, status, table

MakeStage = Callable[..., Stage]


def test_a_body_streams_and_is_kept_only_while_it_may_be_sent_again(make_stage: MakeStage) -> None:
    """Past the replay limit it is gone, so a lost connection is the client's to hear of."""
    stage = make_stage(falling_back(idempotent=True, timeouts=Timeouts()))
    for size, expected in ((1000, "legacy"), (200_000, "")):
        client = stage.client()
        client.say(b"PUT /api/1 HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % size)
        stage.settle()
        client.say(b"a" * size)
        wire = stage.new.wire
        assert wire.heard.endswith(b"a" * size)
        wire.reset()
        stage.settle()
        if expected:
            assert stage.old.wire.take().endswith(b"a" * size)
            stage.old.wire.say(OK)
            assert 200 == status(client)
        else:
            assert 502 == status(client)


def test_a_chunked_body_is_framed_anew_with_its_trailers(stage: Stage) -> None:
    """Extensions do not pass; data and trailers do."""
    client = stage.ask(b"POST", b"/api/1", b"Transfer-Encoding: chunked")
    client.say(b"3;x=y\r\nabc\r\n")
    client.say(b"0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n")
    head, _, body = stage.new.wire.heard.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n" == body
    stage.new.wire.say(OK)
    assert once() == stage.counts()


def test_a_bad_chunk_ends_both_connections(stage: Stage) -> None:
    """The upstream never sees the end of the message; the client hears why; it is counted once, as refused."""
    client = stage.ask(b"POST", b"/api/1", b"Transfer-Encoding: chunked")
    client.say(b"3\r\nabcX")
    assert (400, b"bad-request") == (status(client), code(client))
    assert stage.new.wire.aborted
    assert client.ended
    assert once("4xx") == stage.counts()


def test_a_body_that_is_too_long_is_refused(make_stage: MakeStage) -> None:
    """With 413, counted, and without waiting for the rest."""
    stage = make_stage(table(limits=Limits(max_body=10)))
    client = stage.ask(b"POST", b"/api/1", body=b"a" * 11)
    assert (413, b"body-too-large", 1) == (status(client), code(client), stage.slot(WorkerSlot.TOO_LARGE))


def test_who_cannot_keep_up_makes_the_other_side_pause(stage: Stage) -> None:
    """Backpressure both ways, and both ways back."""
    client = stage.client()
    client.say(b"POST /api/1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nhello")
    stage.settle()
    wire = stage.new.wire
    wire.full()
    assert not client.reading
    wire.drained()
    assert client.reading
    client.say(b"hello")
    wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    client.full()
    assert not wire.reading
    client.drained()
    assert wire.reading
    wire.say(b"hello")
    assert once() == stage.counts()


def test_a_body_waits_in_a_bounded_buffer_for_its_connection(make_stage: MakeStage) -> None:
    """Whoever sends fast to an upstream that is slow to connect is not read from meanwhile."""
    stage = make_stage(table(limits=Limits(buffer=1000)))
    stage.new.hangs = True
    client = stage.ask(b"POST", b"/api/1", b"Content-Length: 5000")
    client.say(b"a" * 900)
    assert client.reading
    client.say(b"a" * 200)
    assert not client.reading
    stage.advance(4)
    assert (502, once("5xx")) == (status(client), stage.counts())

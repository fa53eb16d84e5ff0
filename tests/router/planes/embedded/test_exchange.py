"""The walk of one request: what is decided is carried out, and every exchange is counted exactly once.

Each test leaves its stage balanced: `Stage.close` checks that no gauge is off zero and that every exchange that was
counted was timed too.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from router.core.model import (
    Limits,
    Timeouts,
)
from router.telemetry import EndpointBlock, WorkerSlot
from tests.router.planes.embedded.stage import (
    BAD,
    NEW,
    OK,
    Log,
    Stage,
    code,
    falling_back,
    once,
    rollback,
    route,
    status,
    table,
)

MakeStage = Callable[..., Stage]
WORSE = b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nworse"
CHUNKS = b"2\r\nab\r\n0\r\n\r\n"


# ------------------------------------------------------------------------------------------------ the good walk


def test_a_request_costs_one_write_each_way(stage: Stage) -> None:
    """Head and body go out in one write, and so does the answer: four system calls an exchange."""
    client = stage.ask(b"POST", b"/api/1?q=1", b"X-A: 1", body=b"hello")
    assert 1 == stage.new.wire.writes
    head, _, body = stage.new.wire.heard.partition(b"\r\n\r\n")
    assert b"hello" == body
    assert b"POST /api/1?q=1 HTTP/1.1" == head.split(b"\r\n")[0]
    assert {b"Host: shop", b"X-A: 1", b"Content-Length: 5", b"X-Forwarded-For: 192.0.2.7"} <= set(head.split(b"\r\n"))
    stage.new.wire.say(OK)
    assert 1 == client.writes
    assert client.heard.endswith(b"\r\n\r\nok")
    assert b"X-Strangler-Side: new\r\nX-Strangler-Route: api\r\n" in client.heard
    assert once() == stage.counts()
    stage.advance(0.2)  # written down with the next tick
    block = stage.pool(NEW).block
    counted = stage.counters.slots[block + EndpointBlock.REQUESTS], stage.counters.slots[block + EndpointBlock.ANSWERS]
    assert (1, (1, 1)) == (len(stage.new.open), counted)


def test_the_next_request_uses_the_idle_connection(stage: Stage) -> None:
    """Pools are what keep-alive is for, whoever the client is."""
    wire = stage.warm(stage.new)
    client = stage.ask()
    assert 1 == len(stage.new.wires)
    wire.say(OK)
    assert 200 == status(client)
    assert {("api", "new", "2xx", "weight"): 2} == stage.counts()


def test_a_connection_that_a_slow_client_made_wait_is_fit_for_the_next_one(stage: Stage) -> None:
    """The last piece of an answer fills the client's buffer: who uses the connection next must get an answer."""
    client = stage.ask()
    wire = stage.new.wire
    wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
    client.full()
    assert not wire.reading
    wire.say(b"cd")  # it had been read already
    stage.ask()
    assert (1, True) == (len(stage.new.wires), wire.reading)
    client.drained()


def test_a_rollback_is_stronger_than_everything(make_stage: MakeStage) -> None:
    """Share, override: from the next request on all of the route is legacy's, and says why."""
    stage = make_stage(table(trusted=("192.0.2.0/24",)))
    stage.adopt(table(trusted=("192.0.2.0/24",)), rollback())
    stage.ask(b"GET", b"/api/1", b"X-Strangler-Side: new")
    stage.old.wire.say(OK)
    assert once(side="legacy", reason="rollback") == stage.counts()


def test_the_revision_of_its_first_moment_serves_a_request_to_its_end(stage: Stage) -> None:
    """A rollback while the body is still coming changes the next request, not this one."""
    client = stage.client()
    client.say(b"POST /api/1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhe")
    stage.settle()
    stage.adopt(table(), rollback())
    client.say(b"llo")
    stage.new.wire.say(OK)
    assert once() == stage.counts()


# -------------------------------------------------------------------------------------------- the answer's end


@pytest.mark.parametrize(
    ("pieces", "body", "reusable"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"ab", b"cd"], b"abcd", True),
        ([b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 4\r\n\r", b"\nab", b"cd"], b"abcd", True),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r", b"\n0\r\n\r\n"], CHUNKS, True),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab"], b"ab", False),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab"], b"ab", False),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabX"], b"ab", False),
        ([b"HTTP/1.1 204 No\r\n\r\n"], b"", True),
        ([b"HTTP/1.1 204 No\r\n\r\nX"], b"", False),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"ab"], b"ab", True),
    ],
)  # fmt: skip
def test_an_answer_ends_where_it_says(stage: Stage, pieces: list[bytes], body: bytes, reusable: bool) -> None:
    """And the connection comes back only when nothing is left over and nobody wants to close it."""
    client = stage.ask()
    wire = stage.new.wire
    for piece in pieces:
        wire.say(piece)
    assert client.heard.rpartition(b"\r\n\r\n" if b"chunked" not in client.heard else b"chunked")[2].endswith(body)
    assert reusable is not wire.closed
    assert reusable is (len(stage.pool(NEW).idle) == 1)
    assert once() == stage.counts()


def test_an_answer_without_length_ends_with_its_connection(stage: Stage) -> None:
    """Towards HTTP/1.1 clients it is framed in chunks, so that they can tell the end from a cut."""
    client = stage.ask()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\n\r\nab")
    stage.new.wire.end()
    assert client.heard.endswith(b"2\r\nab\r\n0\r\n\r\n")
    assert once() == stage.counts()


def test_head_is_answered_without_a_body(stage: Stage) -> None:
    """Its length describes what GET would have sent; the connection stays fit."""
    client = stage.ask(b"HEAD")
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    assert client.heard.endswith(b"\r\n\r\n")
    assert b"Content-Length: 100\r\n" in client.heard
    assert 1 == len(stage.pool(NEW).idle)


def test_an_early_answer_ends_the_clients_connection(stage: Stage) -> None:
    """The rest of a request that nobody reads any more cannot be told from the next one."""
    client = stage.ask(b"POST", b"/api/1", b"Content-Length: 100")
    stage.new.wire.say(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
    assert b"Connection: close\r\n" in client.heard
    assert client.ended
    assert stage.new.wire.closed
    assert once("4xx") == stage.counts()


# ------------------------------------------------------------------------------------------------ broken answers


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_seen_as_cut(make_stage: MakeStage, head: bytes) -> None:
    """No clean end: fewer bytes than promised or no last chunk, then the end; counted as it began, logged as broken."""
    log = Log()
    stage = make_stage(table(), log)
    client = stage.ask()
    stage.new.wire.say(head + b"abc")
    stage.new.wire.reset()
    stage.settle()
    assert client.closed
    assert not client.heard.endswith(b"0\r\n\r\n")
    assert (once(), {("10.0.0.2", "body"): 1}) == (stage.counts(), stage.errors())
    assert [True] == log.broken


def test_where_the_end_of_the_connection_is_the_end_of_the_answer_a_cut_is_a_reset(stage: Stage) -> None:
    """HTTP/1.0 knows no chunks: a plain close would look like the proper end."""
    client = stage.client()
    client.say(b"GET /api/1 HTTP/1.0\r\nHost: shop\r\n\r\n")
    stage.settle()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\n\r\nabc")
    stage.new.wire.reset()
    stage.settle()
    assert client.aborted
    assert client.heard.endswith(b"\r\n\r\nabc")


def test_a_bad_chunk_in_an_answer_cuts_it(stage: Stage) -> None:
    """What came before it has gone out; nothing behind it does."""
    client = stage.ask()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    stage.new.wire.say(b"zz\r\n")
    stage.settle()
    assert client.heard.endswith(b"2\r\nab\r\n")
    assert client.closed
    assert {("10.0.0.2", "protocol"): 1} == stage.errors()
    assert once() == stage.counts()


def test_an_answer_that_stalls_is_cut_after_the_idle_time(make_stage: MakeStage) -> None:
    """Each byte starts the wait anew."""
    stage = make_stage(table(route(timeouts=Timeouts(idle=5.0))))
    client = stage.ask()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    for _ in range(3):
        stage.advance(4)
        stage.new.wire.say(b"a")
    stage.advance(4.9)
    assert not client.closed
    stage.advance(0.5)
    assert client.closed
    assert {("10.0.0.2", "body"): 1} == stage.errors()


def test_a_client_that_does_not_read_is_reset_in_the_end(make_stage: MakeStage) -> None:
    """Unless it takes something now and then."""
    stage = make_stage(table(limits=Limits(send_stall=10.0)))
    client = stage.ask()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 1000)
    client.full()
    for _ in range(4):
        stage.advance(9)
        client.unsent -= 1000
    stage.advance(12)
    assert not client.closed
    stage.advance(12)
    assert client.closed
    assert 1 == stage.slot(WorkerSlot.SEND_STALLS)
    assert once() == stage.counts()


def test_a_body_that_stops_coming_is_refused(make_stage: MakeStage) -> None:
    """408, the upstream is let go, and it is counted as the client's stall."""
    stage = make_stage(table(limits=Limits(body_stall=5.0)))
    client = stage.ask(b"POST", b"/api/1", b"Content-Length: 10")
    client.say(b"a")
    stage.advance(5.3)
    assert (408, b"body-stall", 1) == (status(client), code(client), stage.slot(WorkerSlot.BODY_STALLS))
    assert stage.new.wire.aborted
    assert once("4xx") == stage.counts()


@pytest.mark.parametrize("moment", ["connecting", "waiting", "answering"])
def test_a_client_that_goes_takes_its_exchange_with_it(stage: Stage, moment: str) -> None:
    """The upstream is let go at once, whatever the moment; counted once, with what the client had been told."""
    stage.new.hangs = moment == "connecting"
    client = stage.ask()
    if moment == "answering":
        stage.new.wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    client.reset()
    stage.settle()
    assert [] == stage.new.open
    assert 1 == stage.slot(WorkerSlot.CLIENT_GONE)
    assert once("2xx" if moment == "answering" else "none") == stage.counts()
    assert [] == list(stage.pool(NEW).waiting)


def test_a_client_that_goes_during_a_fallback_leaves_nothing(make_stage: MakeStage) -> None:
    """Neither the hidden answer's connection nor the one to legacy."""
    stage = make_stage(falling_back())
    client = stage.ask()
    stage.new.wire.say(BAD[:-1])
    stage.settle()
    client.reset()
    stage.settle()
    assert [] == stage.new.open + stage.old.open
    assert once("none", "legacy", "fallback") == stage.counts()

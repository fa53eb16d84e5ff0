"""Bodies flow: at once, both ways at the same time, no faster than the reader, and until somebody goes."""

from __future__ import annotations

import select
import time

import pytest

from tests.journeys.http.claims import cases, let_go
from tests.journeys.http.stage import Stage, Wire
from tests.journeys.http.wire import partial_chunks, read_request_head
from tests.journeys.rig import Router

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MIB = 1 << 20
PIECE = bytes(range(256)) * 1024  # 256 KiB


def upload(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length


CHUNKED_UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


# -- at once -----------------------------------------------------------------------------------------

STREAMS = {
    "chunked": (b"Transfer-Encoding: chunked\r\n", lambda data: b"%x\r\n%s\r\n" % (len(data), data)),
    "length": (b"Content-Length: 1000\r\n", bytes),
    "until the end": (b"", bytes),
    "server-sent events": (
        b"Content-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n",
        lambda data: b"%x\r\n%s\r\n" % (len(data), data),
    ),
    "server-sent events until the end": (b"Content-Type: text/event-stream\r\n", bytes),
}


@cases(STREAMS)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_an_answer_passes_piece_by_piece(stage: Stage, version: bytes, case) -> None:  # type: ignore[no-untyped-def]
    """The head before the first piece exists, and every piece before the next one exists."""
    fields, frame = case
    client = stage.client(b"GET / " + version + b"\r\nHost: a\r\n\r\n")
    peer = stage.arrival().peer
    stage.send(peer, b"HTTP/1.1 200 OK\r\nX: y\r\n" + fields + b"\r\n")
    stage.until(lambda: b"\r\nX: y\r\n" in client.inbox and b"\r\n\r\n" in client.inbox, "the head at the client")
    for number in range(5):
        event = b"data: %d\n\n" % number
        stage.send(peer, frame(event))
        stage.until(lambda event=event: event in client.inbox, "the piece at the client")  # type: ignore[misc]
    peer.busy = True


def test_a_request_passes_piece_by_piece(stage: Stage) -> None:
    """The upstream sees the head, then every piece, before the next one exists."""
    client = stage.client(upload(50))
    peer = stage.head().peer
    for number in range(5):
        piece = b"%010d" % number
        stage.send(client, piece)
        stage.until(lambda piece=piece: peer.inbox.endswith(piece), "the piece at the upstream")  # type: ignore[misc]
    peer.inbox.clear()
    stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert b"ok" == stage.answer(client).body


def test_a_chunked_request_passes_piece_by_piece(stage: Stage) -> None:
    """Nothing waits for the last chunk."""
    client = stage.client(CHUNKED_UPLOAD)
    peer = stage.head().peer
    for number in range(5):
        stage.send(client, b"a\r\n%010d\r\n" % number)
        stage.until(lambda number=number: b"%010d" % number in peer.inbox, "the chunk")  # type: ignore[misc]
    stage.send(client, b"0\r\n\r\n")
    stage.until(lambda: peer.inbox.endswith(b"0\r\n\r\n"), "the end at the upstream")
    peer.inbox.clear()
    stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert b"ok" == stage.answer(client).body


def test_one_piece_of_a_chunk_passes_before_the_chunk_is_whole(stage: Stage) -> None:
    """Chunks are not collected."""
    client = stage.client(GET)
    peer = stage.arrival().peer
    stage.send(peer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\nhello")
    stage.until(lambda: b"hello" in client.inbox, "the beginning of the chunk")
    peer.busy = True


def test_question_and_answer_take_turns_inside_one_exchange(stage: Stage) -> None:
    """Both directions are open at the same time."""
    client = stage.client(CHUNKED_UPLOAD)
    peer = stage.head().peer
    stage.send(peer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(5):
        stage.send(client, b"6\r\nping-%d\r\n" % number)
        stage.until(lambda number=number: b"ping-%d" % number in peer.inbox, "the ping")  # type: ignore[misc]
        stage.send(peer, b"6\r\npong-%d\r\n" % number)
        stage.until(lambda number=number: b"pong-%d" % number in client.inbox, "the pong")  # type: ignore[misc]
    stage.send(client, b"0\r\n\r\n")
    stage.until(lambda: peer.inbox.endswith(b"0\r\n\r\n"), "the end at the upstream")
    peer.inbox.clear()
    stage.send(peer, b"0\r\n\r\n")
    assert b"pong-0pong-1pong-2pong-3pong-4" == stage.answer(client).body


# -- early answers -----------------------------------------------------------------------------------


@cases({"length": upload(100 * MIB), "chunked": CHUNKED_UPLOAD + b"6400000\r\n"})
@pytest.mark.parametrize("fields", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
def test_an_early_answer_reaches_a_client_that_is_still_sending(stage: Stage, fields: bytes, case: bytes) -> None:
    """At once, and neither connection is used as if the body had come."""
    client = stage.client(case + b"x" * 1000)
    peer = stage.head().peer
    stage.send(peer, b"HTTP/1.1 413 Too Large\r\n" + fields + b"Content-Length: 2\r\n\r\nno")
    if fields:
        peer.close()
    answer = stage.answer(client)
    assert (413, b"no", True) == (answer.status, answer.body, answer.complete)
    peer.busy = True
    stage.fence()


def test_an_early_answer_does_not_end_an_upload_that_the_upstream_still_reads(stage: Stage) -> None:
    """The answer comes first and the body goes on to its end, or the router closes: it never cuts in silence."""
    client = stage.client(upload(10) + b"hello")
    peer = stage.head().peer
    stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert b"ok" == stage.answer(client).body
    stage.send(client, b"world")
    stage.until(lambda: peer.inbox == b"helloworld" or client.ended or peer.ended, "the rest, or an end")
    peer.inbox.clear()
    peer.busy = True
    stage.fence()


@cases({"length": upload(len(GET) + 5) + b"hello", "chunked": CHUNKED_UPLOAD + b"%x\r\nhello" % (len(GET) + 5)})
def test_the_rest_of_a_body_behind_an_early_answer_is_no_request(stage: Stage, case: bytes) -> None:
    """It belongs to the body that was announced, however late it comes and whatever it looks like."""
    client = stage.client(case)
    peer = stage.head().peer
    stage.send(peer, b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    assert 413 == stage.answer(client).status
    peer.busy = True
    stage.send(client, GET.replace(b"/", b"/smuggled", 1))
    stage.quiet(0.05)
    assert not [one for one in stage.peers if one is not peer and b"smuggled" in one.inbox]
    assert b"" == client.inbox or stage.answer(client).status == 400
    stage.fence()


@cases({"closes": False, "resets": True})
def test_an_answer_is_not_lost_when_the_upstream_stops_reading(stage: Stage, case: bool) -> None:
    """Answer, then close, with megabytes of the body unread: the client still gets the answer."""
    client = stage.client(upload(64 * MIB))
    peer = stage.head().peer
    flood(client, 4 * MIB)
    stage.send(peer, b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    stage.until(lambda: b"\r\n\r\nno" in client.inbox, "the answer at the client")
    if case:
        peer.abort()
    else:
        peer.close()
    assert 413 == stage.answer(client).status
    stage.fence()


# -- no faster than the reader -----------------------------------------------------------------------


def flood(source: Wire, limit: int) -> int:
    """Send until nothing has been taken for half a second, or the limit; how much was taken."""
    taken = 0
    quiet_since = time.monotonic()
    while taken < limit and time.monotonic() - quiet_since < 0.5:
        try:
            done = source.give(memoryview(PIECE)[taken % len(PIECE) :])
        except OSError:
            break
        taken += done
        if done:
            quiet_since = time.monotonic()
        else:
            select.select([], [source.sock], [], 0.05)
    return taken


TOTAL = 64 * MIB
BOUND = 24 * MIB
"""What two kernels' socket buffers and the router's own may hold; without backpressure all 64 MiB are taken."""


def test_a_slow_reader_slows_the_upstream(stage: Stage, own: Router) -> None:
    """The router does not take what the client does not; afterwards not a byte is missing."""
    stage.peer_send_buffer = 64 * 1024
    for idle in stage.peers:
        idle.close()
    client = stage.client(GET, receive_buffer=64 * 1024)
    peer = stage.arrival().peer
    before = own.resident_kib()
    stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % TOTAL)
    taken = flood(peer, TOTAL)
    assert taken < BOUND, f"{taken} bytes were taken for a client that reads nothing"
    assert own.resident_kib() - before < 8 * 1024
    assert TOTAL == _drain(stage, client, peer, taken, own, before)


def _drain(stage: Stage, client: Wire, peer: Wire, sent: int, own: Router, before: int) -> int:
    """The client reads, the upstream goes on to its end; how much of the body arrived, every byte as it was."""
    received = -1
    deadline = time.monotonic() + 60
    while received < TOTAL and not client.ended and time.monotonic() < deadline:
        if sent < TOTAL:
            rest = memoryview(PIECE)[sent % len(PIECE) :]
            sent += peer.give(rest[: TOTAL - sent])
        stage.turn(0.001 if sent < TOTAL else 1)
        if received < 0 and b"\r\n\r\n" in client.inbox:
            del client.inbox[: client.inbox.index(b"\r\n\r\n") + 4]
            received = 0
        if received >= 0 and client.inbox:
            offset = received % len(PIECE)
            assert _expected(offset, len(client.inbox)) == client.inbox
            received += len(client.inbox)
            client.inbox.clear()
    assert own.resident_kib() - before < 16 * 1024
    return received


def _expected(offset: int, size: int) -> bytes:
    return (PIECE * (2 + size // len(PIECE)))[offset : offset + size]


def test_an_answer_whose_upstream_has_gone_already_reaches_a_slow_reader_whole(stage: Stage) -> None:
    """What was received is delivered: the end of the upstream's connection hurries nobody."""
    client = stage.client(GET, receive_buffer=16 * 1024)
    peer = stage.arrival().peer
    size = 4 * len(PIECE)
    client.ended = True  # it does not read for the time being
    stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + PIECE * 4)
    peer.close()
    stage.fence()
    client.ended = False
    answer = stage.answer(client)
    assert answer.complete
    assert PIECE * 4 == answer.body


def test_pipelined_requests_are_not_collected_without_end(stage: Stage, own: Router) -> None:
    """While the first waits for its answer, the others wait in the kernel."""
    stage.clear()
    client = stage.client(GET)
    peer = stage.arrival().peer
    before = own.resident_kib()
    taken, data = 0, GET.replace(b"/", b"/" + b"x" * 1000, 1) * 64
    quiet = 0
    while quiet < 5 and taken < TOTAL:
        done = client.give(memoryview(data)[taken % len(data) :])
        taken, quiet = taken + done, 0 if done else quiet + 1
        stage.turn(0 if done else 0.05)
    assert taken < BOUND
    assert own.resident_kib() - before < 4 * 1024
    client.abort()
    stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    stage.quiet(0.1)


@pytest.mark.parametrize("pipelined", [1, 100, 30_000])
def test_a_pipelining_client_that_goes_is_noticed(stage: Stage, own: Router, pipelined: int) -> None:
    """Also when the router has stopped reading from it."""
    client = stage.client(GET * (1 + pipelined))
    peer = stage.arrival().peer
    client.abort()
    let_go(stage, [peer])
    stage.fence()


@cases({"length": upload(TOTAL), "chunked": CHUNKED_UPLOAD + b"%x\r\n" % TOTAL})
def test_a_slow_upstream_slows_the_client(stage: Stage, own: Router, case: bytes) -> None:
    """The router does not take what the upstream does not read."""
    stage.clear()
    client = stage.client(case)
    peer = stage.head().peer
    before = own.resident_kib()
    taken = flood(client, TOTAL)
    assert taken < BOUND, f"{taken} bytes were taken for an upstream that reads nothing"
    assert own.resident_kib() - before < 8 * 1024
    client.abort()
    stage.until(lambda: _swallow(peer), "the upstream connection ends", 20)
    peer.busy = True


def _swallow(peer: Wire) -> bool:
    peer.inbox.clear()
    return peer.ended


def test_a_slow_reader_does_not_slow_others(stage: Stage) -> None:
    """One worker, many connections."""
    slow = stage.client(GET, receive_buffer=64 * 1024)
    peer = stage.arrival().peer
    stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % TOTAL)
    slow.ended = True  # nobody reads there any more
    flood(peer, TOTAL)
    peer.busy = True
    peer.inbox.clear()
    outcome = stage.play(GET, [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])
    assert b"ok" == outcome.answer.body


def test_a_large_upload_arrives_whole(stage: Stage) -> None:
    """16 MiB, every byte as it was."""
    size = 64 * len(PIECE)
    client = stage.client(upload(size))
    peer = stage.head().peer
    received = bytearray()

    def take() -> bool:
        received.extend(peer.inbox)
        peer.inbox.clear()
        return len(received) >= size

    for _ in range(64):
        rest = memoryview(PIECE)
        while rest:
            rest = rest[client.give(rest) :]
            stage.turn(0.001)
            take()
    stage.until(take, "the whole body at the upstream", 20)
    assert PIECE * 64 == received
    stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert b"ok" == stage.answer(client).body


# -- until somebody goes -----------------------------------------------------------------------------

WAITING = {
    "waiting for the head": b"",
    "inside a length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
    "inside chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "idle events": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
}


@cases(WAITING)
@pytest.mark.parametrize("how", ["closes", "resets"])
def test_the_upstream_is_let_go_when_the_client_goes(stage: Stage, how: str, case: bytes) -> None:
    """Also while nothing flows."""
    client = stage.client(GET)
    peer = stage.arrival().peer
    stage.send(peer, case)
    if case:
        stage.until(lambda: client.inbox.endswith((b"hello", b"hello\r\n", b"\n\n", b"\n\n\r\n")), "the beginning")
    if how == "closes":
        client.close()
    else:
        client.abort()
    let_go(stage, [peer])
    stage.fence()


@pytest.mark.parametrize("how", ["closes", "resets"])
def test_an_upload_is_cut_when_the_client_goes(stage: Stage, how: str) -> None:
    """The upstream must not take the half for the whole."""
    client = stage.client(upload(100) + b"hello")
    peer = stage.head().peer
    stage.until(lambda: peer.inbox == b"hello", "the beginning at the upstream")
    if how == "closes":
        client.close()
    else:
        client.abort()
    let_go(stage, [peer])
    assert b"hello" == peer.inbox
    stage.fence()


def test_a_chunked_upload_is_cut_when_the_client_goes(stage: Stage) -> None:
    """Without a last chunk."""
    client = stage.client(CHUNKED_UPLOAD + b"5\r\nhello\r\n")
    peer = stage.head().peer
    stage.until(lambda: b"hello" in peer.inbox, "the beginning at the upstream")
    client.abort()
    let_go(stage, [peer])
    assert b"hello" == partial_chunks(bytes(peer.inbox), 0)
    assert not peer.inbox.endswith(b"0\r\n\r\n")
    stage.fence()


@cases(
    {
        "GET": GET,
        "POST": upload(5) + b"hello",
        "chunked": CHUNKED_UPLOAD + b"5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    }
)
def test_a_half_closed_client_gets_its_answer(stage: Stage, case: bytes) -> None:
    """It has said all it had to say, and still listens."""
    outcome = stage.play(case, [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello"], half_close=True)
    assert (200, b"hello", True) == (outcome.answer.status, outcome.answer.body, outcome.answer.complete)
    stage.fence()


def test_a_half_closed_client_gets_an_answer_that_takes_a_while(stage: Stage) -> None:
    """Half a second is no reason to think that it has gone."""
    client = stage.client(GET)
    client.end()
    peer = stage.arrival().peer
    stage.quiet(0.5)
    assert not peer.ended
    stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert b"ok" == stage.answer(client).body


@pytest.mark.parametrize("apart", [False, True], ids=["one write", "several writes"])
def test_half_closed_pipelined_requests_all_get_their_answers(stage: Stage, apart: bool) -> None:
    """The end of the client's direction stands behind all of them, whenever it is noticed: hence many rounds."""
    script = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
    for number in [2, 3, 5] * 20:
        sent = [GET] * number if apart else GET * number
        outcome = stage.play(sent, script, methods=["GET"] * number, half_close=True)
        assert (number, number) == (len(outcome.requests), len(outcome.answers))


def test_an_upstream_that_stops_reading_the_body_is_not_waited_for(stage: Stage) -> None:
    """It resets in the middle of an upload: 502 or a cut for the client, at once."""
    client = stage.client(upload(100 * MIB))
    peer = stage.head().peer
    flood(client, MIB)
    peer.abort()
    stage.until(lambda: client.inbox or client.ended, "a sign at the client")
    found = client.inbox and stage.answer(client)
    assert not found or found.status == 502
    stage.fence()


def test_a_head_stays_together_with_the_small_body_behind_it(stage: Stage) -> None:
    """One write upwards for a small request: the upstream never sees a head alone that needs no waiting."""
    client = stage.client(upload(5) + b"hello")
    stage.until(lambda: any(peer.inbox for peer in stage.peers), "the request at the upstream")
    peer = next(peer for peer in stage.peers if peer.inbox)
    head = read_request_head(bytes(peer.inbox))
    assert head is not None
    stage.until(lambda: peer.inbox.endswith(b"hello"), "the body at the upstream")
    peer.inbox.clear()
    stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert b"ok" == stage.answer(client).body

"""Nobody is waited for for ever: the router's deadlines, on a router whose deadlines are short."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.journeys.http.claims import cases, own_answer
from tests.journeys.http.conftest import listening
from tests.journeys.http.stage import Stage
from tests.journeys.rig import Router

ROUTES = """
version: 1
upstreams:
  scripted: {{endpoints: [http://127.0.0.1:{scripted}]}}
  full: {{endpoints: [http://127.0.0.1:{full}]}}
legacy: scripted
defaults: {{subject: [client-ip], fallback: off, timeout: 500ms, connect_timeout: 500ms, idle_timeout: 500ms}}
limits:
  head_timeout: 500ms
  body_stall: 500ms
  keepalive_idle: 500ms
  keepalive_requests: 5
  send_stall: 2s
  pool_idle: 500ms
  tunnel_idle: 500ms
routes:
  - {{path: "/full/{{rest...}}", legacy: full}}
"""

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
pytestmark = pytest.mark.usefixtures("own")


UNHURRIED = ROUTES.replace("idle_timeout: 500ms", "idle_timeout: 2s").replace("send_stall: 2s", "send_stall: 15s")
"""A transfer of megabytes over loopback may stand still for a while on a busy machine, in both directions."""


@pytest.fixture(scope="module")
def hasty() -> Iterator[Stage]:
    """A router that waits half a second for everything."""
    with _staged(ROUTES) as stage:
        yield stage


@contextmanager
def _staged(routes: str) -> Iterator[Stage]:
    with ExitStack() as stack:
        upstream = stack.enter_context(listening())
        full = stack.enter_context(_full_queue(stack))
        ports = {"scripted": upstream.getsockname()[1], "full": full.getsockname()[1]}
        router = stack.enter_context(Router(routes.format(**ports)))
        stage = Stage(router.address, upstream)
        yield stage
        stage.clear()
        for peer in stage.peers:
            peer.close()


def _full_queue(stack: ExitStack) -> socket.socket:
    """A listening socket whose queue is full: the kernel answers no further connect, neither yes nor no."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(2):
        filler = stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    return listener


@pytest.fixture(autouse=True)
def _swept(hasty: Stage) -> Iterator[None]:
    yield
    hasty.clear()


@cases(
    {
        "nothing": b"",
        "an empty line": b"\r\n",
        "half a request line": b"GET / HT",
        "a request line": b"GET / HTTP/1.1\r\n",
        "fields": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n",
        "all but the last byte": GET[:-1],
    }
)
def test_a_head_that_does_not_come_is_not_waited_for(hasty: Stage, case: bytes) -> None:
    """408 and close, or just close."""
    client = hasty.client(case)
    hasty.until(lambda: client.ended, "the router closes")
    if client.inbox:
        answer = hasty.answer(client)
        assert 408 == answer.status
        own_answer(answer)


def test_a_head_that_trickles_is_not_waited_for(hasty: Stage) -> None:
    """The deadline is for the whole head: a byte now and then does not move it."""
    client = hasty.client(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
    sent = 0
    while not client.ended and sent < 100:
        hasty.send(client, b"y")
        sent += 1
        hasty.turn(0.05)
    assert client.ended, "5 s of trickling"
    assert [] == [peer for peer in hasty.peers if peer.inbox]


def test_a_second_head_that_trickles_is_not_waited_for(hasty: Stage) -> None:
    """On a kept connection, too."""
    client = hasty.client(GET)
    hasty.send(hasty.arrival().peer, OK)
    assert b"ok" == hasty.answer(client).body
    sent = 0
    hasty.send(client, b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
    while not client.ended and sent < 100:
        hasty.send(client, b"y")
        sent += 1
        hasty.turn(0.05)
    assert client.ended, "5 s of trickling"


def test_an_idle_connection_is_closed_in_silence(hasty: Stage) -> None:
    """A 408 here could be taken for the answer to a request that is on its way."""
    client = hasty.client(GET)
    hasty.send(hasty.arrival().peer, OK)
    assert b"ok" == hasty.answer(client).body
    hasty.until(lambda: client.ended, "the router closes")
    assert (b"", False) == (bytes(client.inbox), client.reset)


def test_an_idle_upstream_connection_is_closed(hasty: Stage) -> None:
    """Before the upstream does it."""
    client = hasty.client(GET)
    peer = hasty.arrival().peer
    hasty.send(peer, OK)
    assert b"ok" == hasty.answer(client).body
    hasty.until(lambda: peer.ended, "the router closes")


@cases(
    {
        "length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
        "nothing of it": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
        "chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "inside a chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhello",
        "trailers": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
    }
)
def test_a_body_that_stalls_is_not_waited_for(hasty: Stage, case: bytes) -> None:
    """408 and close; the upstream never sees a whole message and is let go."""
    client = hasty.client(case)
    arrival = hasty.head()
    hasty.until(lambda: client.ended, "the router closes")
    answer = hasty.answer(client)
    assert 408 == answer.status
    own_answer(answer)
    hasty.until(lambda: arrival.peer.ended, "the upstream connection ends")
    assert not arrival.peer.inbox.endswith(b"0\r\n\r\n")


@cases({"nothing": b"", "half a status line": b"HTTP/1.1 2", "half a head": b"HTTP/1.1 200 OK\r\nX: y\r\n"})
def test_an_answer_that_does_not_come_becomes_a_504(hasty: Stage, case: bytes) -> None:
    """The upstream connection is not used again, the client's is."""
    client = hasty.client(GET)
    arrival = hasty.arrival()
    hasty.send(arrival.peer, case)
    answer = hasty.answer(client)
    assert 504 == answer.status
    own_answer(answer)
    hasty.until(lambda: arrival.peer.ended, "the upstream connection ends")
    if not client.ended:
        hasty.send(client, GET)
        hasty.send(hasty.arrival().peer, OK)
        assert b"ok" == hasty.answer(client).body


def test_an_answer_that_trickles_becomes_a_504(hasty: Stage) -> None:
    """The deadline is for the whole head."""
    client = hasty.client(GET)
    peer = hasty.arrival().peer
    hasty.send(peer, b"HTTP/1.1 200 OK\r\nX: ")
    sent = 0
    while not client.inbox and sent < 100:
        hasty.send(peer, b"y")
        sent += 1
        hasty.turn(0.05)
    assert 504 == hasty.answer(client).status


def test_an_interim_answer_does_not_replace_the_answer(hasty: Stage) -> None:
    """It has not come until the final one has."""
    client = hasty.client(GET)
    hasty.send(hasty.arrival().peer, b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert 504 == hasty.answer(client).status


def test_a_slow_upload_does_not_use_up_the_time_for_the_answer(hasty: Stage) -> None:
    """The upstream cannot answer what it has not got: an upload of twice the deadline gets its answer."""
    client = hasty.client(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\n")
    peer = hasty.head().peer
    for _ in range(14):
        hasty.send(client, b"x")
        hasty.quiet(0.08)
    hasty.until(lambda: len(peer.inbox) == 14, "the body at the upstream")
    peer.inbox.clear()
    hasty.send(peer, OK)
    assert (200, b"ok") == ((answer := hasty.answer(client)).status, answer.body)


def test_a_slow_reader_does_not_use_up_the_upstreams_time() -> None:
    """While the router itself does not read from the upstream, the upstream is not silent."""
    with _staged(UNHURRIED) as stage:
        client = stage.client(GET, receive_buffer=256 * 1024)
        peer = stage.arrival().peer
        size = 48 << 20
        stage.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        client.ended = True  # from here on the stage does not read it
        rest = memoryview(bytes(size))
        blocked = 0
        while blocked < 4:  # the router has been full for a while, so that what follows is not the upstream's silence
            done = peer.give(rest[: 1 << 18])
            rest, blocked = rest[done:], 0 if done else blocked + 1
            stage.turn(0 if done else 0.05)
        stage.quiet(2.6)  # longer than the deadline of a silent upstream
        client.ended = False
        while rest:
            rest = rest[peer.give(rest[: 1 << 18]) :]
            stage.turn(0.001)
        stage.until(lambda: len(client.inbox) > size or client.ended, "the body at the client", 30)
        answer = stage.answer(client)
        assert (size, True) == (len(answer.body), answer.complete)


def test_a_504_is_not_tried_again(hasty: Stage) -> None:
    """The request was delivered and may be at work."""
    client = hasty.client(GET)
    hasty.arrival()
    assert 504 == hasty.answer(client).status
    assert [] == [peer for peer in hasty.peers if peer.inbox]


@cases(
    {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "until the end": b"HTTP/1.1 200 OK\r\n\r\nhello",
    }
)
def test_an_answer_that_stalls_is_cut(hasty: Stage, case: bytes) -> None:
    """The client can tell that it is not whole."""
    client = hasty.client(GET)
    peer = hasty.arrival().peer
    hasty.send(peer, case)
    hasty.until(lambda: client.ended, "the client's connection is cut")
    answer = hasty.answer(client)
    assert (200, b"hello", False) == (answer.status, answer.body, answer.complete)
    hasty.until(lambda: peer.ended, "the upstream connection ends")


def test_an_answer_that_flows_may_take_long(hasty: Stage) -> None:
    """Only silence is limited: an answer of twice the deadline arrives whole."""
    client = hasty.client(GET)
    peer = hasty.arrival().peer
    hasty.send(peer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(14):
        hasty.send(peer, b"1\r\nx\r\n")
        hasty.quiet(0.08)
    hasty.send(peer, b"0\r\n\r\n")
    answer = hasty.answer(client)
    assert (b"x" * 14, True) == (answer.body, answer.complete)


def test_a_connect_that_hangs_becomes_an_error_of_the_router(hasty: Stage) -> None:
    """Neither yes nor no within the deadline."""
    answer = hasty.answer(hasty.client(b"GET /full/1 HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert answer.status in {502, 503, 504}
    own_answer(answer)


def test_a_reader_that_takes_nothing_is_not_waited_for(hasty: Stage) -> None:
    """The upstream is let go although the client is still there."""
    hasty.clear()
    hasty.peer_send_buffer = 64 * 1024
    client = hasty.client(GET, receive_buffer=256 * 1024)
    peer = hasty.arrival().peer
    client.ended = True  # from here on the stage does not read it
    hasty.send(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    data = b"x" * 65536

    def pressed() -> bool:
        try:
            peer.give(data)
        except OSError:
            return True
        return peer.ended

    while not pressed():
        hasty.turn(0.01)
    client.ended = False


def test_a_connection_serves_a_bounded_number_of_requests(hasty: Stage) -> None:
    """The last answer says that it is the last."""
    client = hasty.client()
    for number in range(5):
        hasty.send(client, GET)
        hasty.send(hasty.arrival().peer, OK)
        answer = hasty.answer(client)
        assert (b"close" in answer.elements("connection")) is (number == 4)
    hasty.until(lambda: client.ended, "the router closes")


def test_a_tunnel_without_traffic_is_closed(hasty: Stage) -> None:
    """After its own, usually longer, time."""
    client = hasty.client(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    peer = hasty.head().peer
    hasty.send(peer, b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello")
    hasty.until(lambda: client.ended, "the client's side ends")
    hasty.until(lambda: peer.ended, "the upstream's side ends")
    assert b"hello" == client.inbox[-5:]

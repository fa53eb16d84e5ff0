"""Bodies of a gibibyte pass, whole and unharmed, through a worker that does not grow with them."""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.journeys.bulk import PIECE, bulk_upstream, checksum, pattern
from tests.journeys.memory import MIB, growth
from tests.journeys.rig import Router

GIB = 1 << 30
ROUTES = """
version: 1
upstreams: {bulk: {endpoints: ["http://127.0.0.1:%d"]}}
legacy: bulk
routes:
  - {path: /stream, new: bulk, weight: 50}
  - {path: /sink, new: bulk, weight: 50}
"""
Figure = Callable[[str, str], None]


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    with bulk_upstream() as port:
        yield port


@pytest.fixture
def router(upstream: int) -> Iterator[Router]:
    """A worker that has already carried some bytes both ways: what it allocates once does not count as growth."""
    with Router(ROUTES % upstream) as router:
        assert MIB == download(router.address, MIB)[0]
        assert MIB == upload(router.address, MIB)["size"]
        yield router


def download(address: tuple[str, int], size: int, *, chunked: bool = False) -> tuple[int, int]:
    """Size and checksum of what came."""
    with closing(http.client.HTTPConnection(*address, timeout=60)) as connection:
        connection.request("GET", f"/stream?bytes={size}" + "&chunked=1" * chunked)
        answer = connection.getresponse()
        assert 200 == answer.status
        total = found = 0
        while piece := answer.read(PIECE):
            total += len(piece)
            found = zlib.crc32(piece, found)
        return total, found


def upload(address: tuple[str, int], size: int, *, chunked: bool = False) -> dict[str, int]:
    """What the upstream says it got."""
    with closing(http.client.HTTPConnection(*address, timeout=60)) as connection:
        headers = {} if chunked else {"Content-Length": str(size)}
        connection.request("POST", "/sink", pattern(size), headers, encode_chunked=chunked)
        return told(connection)


def told(connection: http.client.HTTPConnection) -> dict[str, int]:
    answer = connection.getresponse()
    assert 200 == answer.status
    found: dict[str, int] = json.loads(answer.read())
    return found


def ask(port: int, path: str) -> dict[str, int]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        return told(connection)


def test_a_gibibyte_down(router: Router, figure: Figure) -> None:
    """Every byte arrives, and the worker grows by less than 32 MiB."""
    with growth(router.pid) as grown:
        began = time.monotonic()
        assert GIB == download(router.address, GIB)[0]
        took = time.monotonic() - began
    figure("1 GiB download", f"worker grew {grown.text}, {took:.1f} s")
    assert grown.bytes < 32 * MIB


def test_a_gibibyte_up(router: Router, figure: Figure) -> None:
    """Every byte arrives, and the worker grows by less than 32 MiB."""
    with growth(router.pid) as grown:
        began = time.monotonic()
        assert GIB == upload(router.address, GIB)["size"]
        took = time.monotonic() - began
    figure("1 GiB upload", f"worker grew {grown.text}, {took:.1f} s")
    assert grown.bytes < 32 * MIB


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_no_byte_is_harmed(router: Router, chunked: bool) -> None:
    """Size and checksum are the same behind the router as before it, both ways, at a size that divides by nothing."""
    size = 64 * MIB + 12345
    expected = checksum(size)
    assert (size, expected) == download(router.address, size, chunked=chunked)
    assert {"size": size, "checksum": expected} == upload(router.address, size, chunked=chunked)


def test_a_client_that_does_not_read_stops_the_upstream(router: Router, upstream: int, figure: Figure) -> None:
    """What is under way stays far below the body; when the client reads again, it gets all of it."""
    size = 96 * MIB
    sent_before = ask(upstream, "/sent")["sent"]
    with growth(router.pid) as grown, socket.create_connection(router.address, timeout=60) as client:
        client.sendall(b"GET /stream?bytes=%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
        under_way = settled(lambda: ask(upstream, "/sent")["sent"] - sent_before)
        assert 0 < under_way < size // 2
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert (size, checksum(size)) == drained(answer)
    figure("slow reader", f"worker grew {grown.text}, {under_way / MIB:.1f} MiB under way in kernel buffers too")
    assert grown.bytes < 32 * MIB


def test_an_upstream_that_does_not_read_stops_the_client(router: Router, upstream: int, figure: Figure) -> None:
    """The client can hand over a bounded part; when the upstream reads, it gets all of it."""
    size = 96 * MIB
    with growth(router.pid) as grown, socket.create_connection(router.address, timeout=60) as client:
        client.sendall(b"POST /sink?gate=slow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        body = b"".join(pattern(size))
        given = give_until_it_stops(client, body)
        assert 0 < given < size // 2
        ask(upstream, "/open?gate=slow")
        client.setblocking(True)
        client.sendall(memoryview(body)[given:])
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert {"size": size, "checksum": checksum(size)} == json.loads(answer.read())
    figure("slow upstream", f"worker grew {grown.text}, {given / MIB:.1f} MiB taken by kernel buffers too")
    assert grown.bytes < 32 * MIB


@pytest.mark.parametrize("upwards", [True, False], ids=["up", "down"])
def test_a_tunnel_waits_for_whoever_does_not_read(upwards: bool) -> None:
    """The end that sends is stopped, the worker does not grow, and nothing is lost when the other end reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener, Router(ROUTES % listener.getsockname()[1]) as router:
        with socket.create_connection(router.address, timeout=60) as client:
            client.sendall(b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            peer, _ = listener.accept()
            with peer:
                assert peer.recv(PIECE).startswith(b"GET /chat ")
                peer.sendall(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                assert client.recv(PIECE).startswith(b"HTTP/1.1 101 ")
                giver, taker = (client, peer) if upwards else (peer, client)
                body = b"".join(pattern(96 * MIB))
                with growth(router.pid) as grown:
                    given = give_until_it_stops(giver, body)
                assert 0 < given < len(body) // 2
                assert grown.bytes < 32 * MIB
                assert zlib.crc32(memoryview(body)[:given]) == taken(taker, given)


def taken(taker: socket.socket, size: int) -> int:
    """The checksum of so many bytes."""
    taker.settimeout(60)
    found = 0
    while size:
        piece = taker.recv(min(size, PIECE))
        assert piece, f"cut with {size} bytes missing"
        size -= len(piece)
        found = zlib.crc32(piece, found)
    return found


def settled(count: Callable[[], int], still: float = 0.5, patience: float = 20.0) -> int:
    """A growing number once it has not changed for a while."""
    deadline = time.monotonic() + patience
    seen, since = count(), time.monotonic()
    while time.monotonic() - since < still or not seen:
        assert time.monotonic() < deadline, f"still growing: {seen}"
        select.select([], [], [], 0.02)
        now = count()
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


def give_until_it_stops(client: socket.socket, body: bytes, still: float = 0.5) -> int:
    """How many bytes were taken before nothing was taken for a while."""
    client.setblocking(False)
    given = 0
    while given < len(body) and select.select([], [client], [], still)[1]:
        given += client.send(memoryview(body)[given : given + PIECE])
    return given


def drained(answer: http.client.HTTPResponse) -> tuple[int, int]:
    total = found = 0
    while piece := answer.read(PIECE):
        total += len(piece)
        found = zlib.crc32(piece, found)
    return total, found


def test_the_measure_sees_growth() -> None:
    """A claim about little growth needs a measure that would see much."""
    with growth(os.getpid()) as grown:
        assert bytearray(b"x") * (64 * MIB)
    assert 60 * MIB < grown.bytes

"""Thousands of keep-alive connections that do nothing cost the worker little, and are all still usable."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.journeys.memory import resident
from tests.journeys.pipelines import mirror
from tests.journeys.rig import Router

CONNECTIONS = 5000
MOST_EACH = 12 * 1024
ROUTES = """
version: 1
upstreams: {mirror: {endpoints: ["http://127.0.0.1:%d"]}}
legacy: mirror
limits: {connections: 6000}
routes:
  - {path: "/v1/products/{id}", new: mirror, weight: 50}
"""
REQUEST = (
    b"GET /v1/products/%d HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: a-browser/1.0 (with a long name)\r\n"
    b"Accept: application/json, text/plain;q=0.5\r\nCookie: sid=0123456789abcdef%d\r\nX-User-Id: u-%d\r\n\r\n"
)


@contextmanager
def many_files(wanted: int) -> Iterator[None]:
    """As many open files as this needs; the worker inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.fail(f"needs {wanted} open files, but the machine allows {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def asked(connection: socket.socket, number: int) -> None:
    connection.sendall(REQUEST % (number, number, number))
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = connection.recv(4096)
        assert piece, f"connection {number} was closed after {answer!r}"
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200 "), answer


def opened(stack: ExitStack, address: tuple[str, int], number: int) -> socket.socket:
    connection = stack.enter_context(socket.create_connection(address, timeout=30))
    asked(connection, number)
    return connection


def measure(address: tuple[str, int], pid: int) -> float:
    """Bytes of the worker per idle connection, after each has had one request; every one answers a second time."""
    with ExitStack() as stack:
        for number in range(100):
            opened(stack, address, number)
        before = resident(pid)
        connections = [opened(stack, address, number) for number in range(CONNECTIONS)]
        each = (resident(pid) - before) / CONNECTIONS
        for number, connection in enumerate(connections):
            asked(connection, number + CONNECTIONS)
        return each


async def test_five_thousand_idle_connections_cost_less_than_12_kib_each(figure: Callable[[str, str], None]) -> None:
    """Measured as the worker's resident memory; afterwards each of them still answers."""
    with many_files(2 * CONNECTIONS + 1000):
        async with mirror() as port:
            with Router(ROUTES % port) as router:
                each = await asyncio.to_thread(measure, router.address, router.pid)
    figure("5,000 idle keep-alive connections", f"{each / 1024:.1f} KiB each")
    assert each <= MOST_EACH

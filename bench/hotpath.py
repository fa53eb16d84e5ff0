"""What the router's own code costs per request, without any socket: `python -m bench.hotpath [--profile]`.

A client connection and a pooled upstream connection on transports that swallow what is written; one turn is one
request and its answer.  The kernel's share is missing on purpose: this is the part that Python can make smaller.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
from time import perf_counter
from typing import Any

import uvloop

from router.blocks import Registry, extended
from router.core.model import Endpoint, Group, Limits, Route, Source, SubjectSource, Table, Upstream
from router.core.orders import effective
from router.core.wire import snapshot_lines, state_hash, structure_digest, structure_lines
from router.planes.embedded.client import ClientConnection
from router.planes.embedded.counters import Counters
from router.planes.embedded.plane import Plane
from router.planes.embedded.snapshot import Receiver
from router.planes.embedded.upstream import UpstreamConnection

ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Wed, 25 Nov 2026 15:58:47 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 7\r\nConnection: keep-alive\r\n\r\nlegacy\n"
)
_SLICE = 2_000
"""Turns timed at once; the quickest slice counts, since whatever else the machine does only ever adds."""


class Sink:
    """A transport that is always ready and remembers nothing."""

    def write(self, data: bytes) -> None:
        """Swallow it."""

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 40000) if name == "peername" else None

    def abort(self) -> None:
        """Nothing to end."""

    close = abort


def plane_for(routes: int) -> Plane:
    """A plane in which each of these routes is split in halves by user."""
    upstreams = {name: Upstream(name, {"": (Endpoint("127.0.0.1", port),)}) for name, port in (("old", 1), ("new", 2))}
    chain = (SubjectSource(Source.HEADER, "X-User-Id"),)
    table = Table(
        legacy="old",
        upstreams=upstreams,
        groups={"g": Group("g")},
        routes=tuple(
            Route(
                f"r{number}", f"/v1/t{number}/{{id}}", "old", ("GET",), new="new", weight=500_000, group="g",
                seed=f"r{number}", subject=chain,
            )
            for number in range(routes)
        ),
        limits=Limits(keepalive_requests=2**31),
    )  # fmt: skip
    blocks = extended(Registry(), table).blocks()
    structure = structure_lines(table, blocks)
    state = effective(table, ())
    plane = Plane(asyncio.get_running_loop(), Counters(None))
    receiver = Receiver(plane.pools)
    for line in snapshot_lines(1, blocks.slots, structure, state, state_hash(structure_digest(structure), state)):
        snapshot = receiver.take(line, None)
        if snapshot is not None:
            plane.counters.grow(blocks.slots)
            plane.adopt(snapshot)
    return plane


def requests(routes: int, count: int) -> list[bytes]:
    """Different users on different paths in no order, so that no memory helps more than it would in life."""
    some = [
        b"GET /v1/t%d/%d HTTP/1.1\r\nHost: shop.example.com\r\nX-User-Id: u%d\r\n\r\n"
        % (number % routes, number, number)
        for number in range(count)
    ]
    random.Random(7).shuffle(some)
    return some


async def measure(routes: int, turns: int, *, profile: bool) -> float:
    """Microseconds per request."""
    plane = plane_for(routes)
    client = ClientConnection(plane)
    client.connection_made(Sink())  # type: ignore[arg-type]  # as much of a transport as is needed
    upstreams = []
    for pool in plane.pools.all():
        connection = UpstreamConnection(plane, pool)
        connection.connection_made(Sink())  # type: ignore[arg-type]
        pool.put(connection)
        upstreams.append(connection)
    heads = requests(routes, 60_000)
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    best = float("inf")
    for start in range(0, turns, _SLICE):
        some = [heads[turn % len(heads)] for turn in range(start, start + _SLICE)]
        began = perf_counter()
        for head in some:
            client.data_received(head)
            for connection in upstreams:
                if connection.exchange is not None:
                    connection.data_received(ANSWER)
        best = min(best, perf_counter() - began)
    if profile:
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    await plane.close()
    return best / _SLICE * 1e6


def main() -> None:
    """Print the figure for a small and a large table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--turns", type=int, default=100_000)
    arguments = parser.parse_args()
    for routes in (1, 1500, 15_000):
        best = uvloop.run(measure(routes, arguments.turns, profile=arguments.profile))
        print(f"{routes:>6} routes: {best:.2f} µs per request")


if __name__ == "__main__":
    main()

"""Connections to upstreams: one pool an endpoint, one destination an upstream.

A pool hands out its most recently used idle connection, makes new ones up to a limit, and lets a bounded line of
exchanges wait for the next free one.  A connection comes back only when both messages are complete and nothing is left
unread; everything else is closed.  Pools live as long as some snapshot names their endpoint, whatever else
changes in it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from router.core.attempt import Stage
from router.core.wire import Settings, endpoint_key
from router.planes.embedded.upstream import UpstreamConnection
from router.telemetry import EndpointBlock

if TYPE_CHECKING:
    from router.core.model import Endpoint
    from router.planes.embedded.exchange import Exchange
    from router.planes.embedded.plane import Plane

_SICK_FIRST: Final = 0.5
_SICK_MOST: Final = 8.0
"""Seconds for which an endpoint that refused a connection is passed over while others are there; doubles."""


@final
class EndpointPool:
    """The connections of one worker to one endpoint."""

    def __init__(self, plane: Plane, key: str, endpoint: Endpoint, block: int) -> None:
        self._plane = plane
        self.key = key
        self.endpoint = endpoint
        self.block = block
        self.idle: list[UpstreamConnection] = []
        self.waiting: deque[Exchange] = deque()
        self.open = 0
        """Connections that exist, idle ones included."""
        self._connecting = 0
        self.retired = False
        self.sick_until = 0.0
        self._sick_span = _SICK_FIRST

    @property
    def busy(self) -> int:
        """Exchanges that use this endpoint or wait for it."""
        return self.open - len(self.idle) + len(self.waiting)

    def get(self) -> UpstreamConnection | None:
        """An idle connection, if there is one that has not been closed meanwhile."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
        return None

    def wait(self, exchange: Exchange) -> bool:
        """Queue for a connection and see to it that one comes; False when the line is full."""
        limits = self._plane.snapshot.settings.limits
        room = self.open + self._connecting < limits.endpoint_connections
        if not room and len(self.waiting) >= limits.endpoint_waiting:
            return False
        self.waiting.append(exchange)
        if room and self._connecting < len(self.waiting):
            self._connecting += 1
            self._plane.spawn(self._connect(exchange.entry.connect_timeout), f"connect {self.endpoint}")
        return True

    @property
    def connecting(self) -> bool:
        """Is a connection on its way?"""
        return self._connecting > 0

    def leave(self, exchange: Exchange) -> None:
        """The exchange does not want a connection any more."""
        try:
            self.waiting.remove(exchange)
        except ValueError:
            pass

    def put(self, connection: UpstreamConnection) -> None:
        """A connection that is fit for another exchange."""
        while self.waiting:
            exchange = self.waiting.popleft()
            exchange.connected(connection, fresh=False)
            return
        plane = self._plane
        limits = plane.snapshot.settings.limits
        if self.retired or plane.draining or len(self.idle) >= limits.pool_size:
            connection.close()
            return
        self.idle.append(connection)
        connection.deadline = deadline = plane.wheel.now + limits.pool_idle
        if deadline < connection.scheduled:
            plane.wheel.schedule(connection)

    def opened(self) -> None:
        """A connection has come to be."""
        self.open += 1
        self._plane.count(self.block + EndpointBlock.CONNECTS, 1)
        self._plane.count(self.block + EndpointBlock.OPEN, 1)

    def lost(self, connection: UpstreamConnection) -> None:
        """A connection is gone: forget it, and give its place to somebody who waits."""
        self.open -= 1
        self._plane.count(self.block + EndpointBlock.OPEN, -1)
        if connection in self.idle:
            self.idle.remove(connection)
        self._connect_for_those_who_wait()

    def _connect_for_those_who_wait(self) -> None:
        """A place has come free: nobody may wait for a connection that nobody is making."""
        room = self.open + self._connecting < self._plane.snapshot.settings.limits.endpoint_connections
        if room and self._connecting < len(self.waiting):
            self._connecting += 1
            self._plane.spawn(self._connect(self.waiting[0].entry.connect_timeout), f"connect {self.endpoint}")

    def retire(self) -> None:
        """No snapshot names the endpoint any more: close what is idle, keep what is busy until it is done."""
        self.retired = True
        while self.idle:
            self.idle.pop().close()

    async def _connect(self, seconds: float) -> None:
        """Make one connection and give it to the first in line, or tell the first in line that it failed."""
        plane = self._plane
        try:
            async with asyncio.timeout(seconds):
                connection = UpstreamConnection(plane, self)
                made: Any = lambda: connection  # noqa: E731  # a protocol by shape, which has no type
                await plane.loop.create_connection(made, self.endpoint.host, self.endpoint.port)
        except OSError:  # TimeoutError is one
            self._connecting -= 1
            self._failed()
            return
        self._connecting -= 1
        if connection.closed:
            self._failed()
            return
        self.sick_until = 0.0
        self._sick_span = _SICK_FIRST
        if self.waiting:
            self.waiting.popleft().connected(connection, fresh=True)
        else:
            self.put(connection)

    def _failed(self) -> None:
        self.sick_until = self._plane.wheel.now + self._sick_span
        self._sick_span = min(self._sick_span * 2, _SICK_MOST)
        if self.waiting:
            self.waiting.popleft().failed(Stage.CONNECT)
        self._connect_for_those_who_wait()


@final
class Destination:
    """An upstream: its sites, and in each the pools of its endpoints."""

    def __init__(self, name: str, sites: dict[str, list[EndpointPool]], spread: tuple[tuple[str, int], ...]) -> None:
        self.name = name
        self.sites = sites
        self.spread = spread
        # A single site that has a name can be rolled back like any other, so it is asked for by name.
        self.only = sites[""] if sites.keys() == {""} else None
        self._turn = 0

    def choose(self, pools: Sequence[EndpointPool], now: float, tried: Sequence[EndpointPool]) -> EndpointPool:
        """The least busy endpoint that is not known to refuse connections and was not tried; ties in turn."""
        if len(pools) == 1:
            return pools[0]
        self._turn += 1
        start = self._turn % len(pools)
        best = pools[start]
        best_rank = (best in tried, best.sick_until > now, best.busy)
        for offset in range(1, len(pools)):
            pool = pools[start - offset]
            rank = (pool in tried, pool.sick_until > now, pool.busy)
            if rank < best_rank:
                best, best_rank = pool, rank
        return best


class PoolStore:
    """All pools of a worker, by endpoint, and the destinations built from them."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._pools: dict[str, EndpointPool] = {}

    def destination(self, settings: Settings, upstream: str) -> Destination:
        """The destination of that name under these settings, on the pools that exist already."""
        sites = {
            site: [self._pool(settings, upstream, endpoint) for endpoint in endpoints]
            for site, endpoints in settings.upstreams[upstream].sites.items()
        }
        return Destination(upstream, sites, settings.spread[upstream])

    def _pool(self, settings: Settings, upstream: str, endpoint: Endpoint) -> EndpointPool:
        key = endpoint_key(upstream, endpoint)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = EndpointPool(self._plane, key, endpoint, settings.blocks[key])
        return pool

    def keep_only(self, destinations: Iterable[Destination]) -> None:
        """Retire all pools but those of these destinations.

        A pool that was retired while these were being built, for the sake of another snapshot, is taken back.
        """
        kept = {pool.key: pool for one in destinations for pools in one.sites.values() for pool in pools}
        for key, pool in self._pools.items():
            if kept.get(key) is not pool:
                pool.retire()
        for pool in kept.values():
            pool.retired = False
        self._pools = kept

    def all(self) -> list[EndpointPool]:
        """Every pool in use."""
        return list(self._pools.values())

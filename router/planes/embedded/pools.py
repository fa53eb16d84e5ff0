"""Connections to upstreams: one pool an endpoint, one destination an upstream.

A pool hands out its most recently used idle connection, makes new ones up to a limit, and lets a bounded line of
exchanges wait for the next free one.  A connection comes back only when both messages are complete and nothing is left
unread; everything else is closed.  Pools live as long as some snapshot names their endpoint, whatever else
changes in it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from random import random
from typing import TYPE_CHECKING, Any, Final, final

from router.core.addresses import forbidden_address, is_address
from router.core.attempt import Stage
from router.core.model import PPM
from router.core.observed import target_key
from router.core.wire import Settings
from router.planes.embedded.upstream import UpstreamConnection
from router.telemetry import EndpointBlock

if TYPE_CHECKING:
    from router.core.model import Endpoint
    from router.core.observed import Observed
    from router.planes.embedded.exchange import Exchange
    from router.planes.embedded.plane import Plane

_SICK_FIRST: Final = 0.5
_SICK_MOST: Final = 8.0
"""Seconds for which an endpoint that refused a connection is passed over while others are there; doubles."""
_TRIES_AT_A_SITE: Final = 2
"""Failed tries after which an exchange looks for another site: what fails twice in a place may be the place."""


@final
class EndpointPool:
    """The connections of one worker to one endpoint, or to one address of an endpoint that is written as a name."""

    def __init__(self, plane: Plane, key: str, endpoint: Endpoint, block: int, address: str = "") -> None:
        self._plane = plane
        self.key = key
        """Its `target_key`."""
        self.written = key.partition(" at ")[0]
        """That of the endpoint, whatever its address."""
        self.endpoint = endpoint
        self.block = block
        self.address = address or endpoint.host
        self.level = PPM
        """The part of its weight that it may take, in ppm; 0: control has seen that it is down."""
        self.pull = endpoint.weight * PPM
        """What it takes relative to its neighbours."""
        self.by_name = False
        """A name is connected to, and nobody has said that it may lead to a link-local address."""
        self.most = 0
        """Connections it may have; 0: `limits.endpoint_connections`."""
        self.idle: list[UpstreamConnection] = []
        self.waiting: deque[Exchange] = deque()
        self.open = 0
        """Connections that exist, idle ones included."""
        self._connecting = 0
        self.requests = 0
        """Sent since the last tick."""
        self.answers = 0
        """Heads of answers since the last tick."""
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
        limits = self._plane.snapshot.limits
        room = self._has_room()
        if not room and len(self.waiting) >= limits.endpoint_waiting:
            return False
        self.waiting.append(exchange)
        if room and self._connecting < len(self.waiting):
            self._connecting += 1
            self._plane.spawn(self._connect(exchange.handling.connect_timeout), f"connect {self.endpoint}")
        return True

    def _has_room(self) -> bool:
        most = self.most or self._plane.snapshot.limits.endpoint_connections
        return self.open + self._connecting < most

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
        limits = plane.snapshot.limits
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
        if self._has_room() and self._connecting < len(self.waiting):
            self._connecting += 1
            self._plane.spawn(self._connect(self.waiting[0].handling.connect_timeout), f"connect {self.endpoint}")

    def tally(self) -> None:
        """Write down what has been counted since the last time."""
        if self.requests or self.answers:
            slots = self._plane.counters.slots
            slots[self.block + EndpointBlock.REQUESTS] += self.requests
            slots[self.block + EndpointBlock.ANSWERS] += self.answers
            self.requests = self.answers = 0

    def retire(self) -> None:
        """No snapshot names the endpoint any more: close what is idle, keep what is busy until it is done."""
        self.retired = True
        self.tally()
        while self.idle:
            self.idle.pop().close()

    async def _connect(self, seconds: float) -> None:
        """Make one connection and give it to the first in line, or tell the first in line that it failed."""
        plane = self._plane
        try:
            async with asyncio.timeout(seconds):
                connection = UpstreamConnection(plane, self)
                made: Any = lambda: connection  # noqa: E731  # a protocol by shape, which has no type
                await plane.loop.create_connection(made, self.address, self.endpoint.port)
        except OSError:  # TimeoutError is one
            self._connecting -= 1
            self._failed()
            return
        self._connecting -= 1
        if self.by_name and not connection.closed and forbidden_address(connection.peer()) is not None:
            connection.abort()  # wherever the name has led: nobody may send anything there
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

    def choose(self, pools: Sequence[EndpointPool], now: float, tried: Sequence[EndpointPool]) -> EndpointPool:
        """The less busy, for its weight, of two that are drawn by weight from those that are fit to be asked.

        When none is, one that was not tried comes first, then one that is not known to refuse connections.
        """
        if len(pools) == 1:
            return pools[0]
        fit = [pool for pool in pools if pool.level and pool.sick_until <= now and pool not in tried]
        if not fit:
            return min(pools, key=lambda pool: (pool in tried, pool.sick_until > now, not pool.level, pool.busy))
        first = _drawn(fit)
        if len(fit) == 1:
            return first
        fit.remove(first)
        second = _drawn(fit)
        return second if second.busy * first.pull < first.busy * second.pull else first

    def elsewhere(
        self, site: str, open_sites: Collection[str], now: float, tried: Sequence[EndpointPool]
    ) -> list[EndpointPool] | None:
        """The endpoints of another site, if this one has failed the exchange and another has not.

        So it has when all of its endpoints are known to refuse connections or were tried, or two of them were.
        """
        here = self.sites[site]
        fit = any(pool.sick_until <= now and pool not in tried for pool in here)
        if fit and sum(pool in tried for pool in here) < _TRIES_AT_A_SITE:
            return None
        for name in open_sites:
            if name != site and any(pool.sick_until <= now and pool not in tried for pool in self.sites[name]):
                return self.sites[name]
        return None

    def observe(self, settings: Settings, observed: Observed, pools: PoolStore) -> None:
        """Brings pools in line with what is known of their endpoints; the lists stay, since others hold them."""
        for site, endpoints in settings.upstreams[self.name].sites.items():
            self.sites[site][:] = pools.of(settings, self.name, endpoints, observed)


def _drawn(pools: Sequence[EndpointPool]) -> EndpointPool:
    """One of them, by weight."""
    left = random() * sum(pool.pull for pool in pools)  # noqa: S311  chance, not a secret
    for pool in pools:
        left -= pool.pull
        if left < 0:
            return pool
    return pools[-1]


class PoolStore:
    """All pools of a worker, by endpoint, and the destinations built from them."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._pools: dict[str, EndpointPool] = {}
        self._retired: list[EndpointPool] = []

    def destination(self, settings: Settings, upstream: str) -> Destination:
        """The destination of that name under these settings, on the pools that exist already."""
        observed = self._plane.observed
        sites = {
            site: self.of(settings, upstream, endpoints, observed)
            for site, endpoints in settings.upstreams[upstream].sites.items()
        }
        return Destination(upstream, sites, settings.spread[upstream])

    def of(
        self, settings: Settings, upstream: str, endpoints: Sequence[Endpoint], observed: Observed
    ) -> list[EndpointPool]:
        """The pools of these endpoints: one each, or one for each address of those that are written as names."""
        most, allowed = settings.upstreams[upstream].max_requests, settings.upstreams[upstream].allow_link_local
        found = []
        for endpoint in endpoints:
            written = target_key(upstream, endpoint)
            for address in observed.addresses.get(written, ("",)):
                key = target_key(upstream, endpoint, address)
                pool = self._pools.get(key)
                if pool is None:
                    pool = EndpointPool(self._plane, key, endpoint, settings.blocks[written], address)
                    self._pools[key] = pool
                pool.level, pool.most = observed.level(key), most
                pool.by_name = not (allowed or is_address(pool.address))
                pool.pull = endpoint.weight * (pool.level or 1)
                found.append(pool)
        return found

    def keep_only(self, destinations: Iterable[Destination]) -> None:
        """Retire all pools but those of these destinations.

        A pool that was retired while these were being built, for the sake of another snapshot, is taken back.
        """
        kept = {pool.key: pool for one in destinations for pools in one.sites.values() for pool in pools}
        self._retired = [pool for pool in self._retired if pool.busy]
        for key, pool in self._pools.items():
            if kept.get(key) is not pool:
                pool.retire()
                self._retired.append(pool)
        for pool in kept.values():
            pool.retired = False
        self._pools = kept

    def known(self) -> list[EndpointPool]:
        """Every pool in use, and those that are not but have something under way."""
        return [*self._pools.values(), *(pool for pool in self._retired if pool.retired)]

    def all(self) -> list[EndpointPool]:
        """Every pool in use."""
        return list(self._pools.values())

"""What all connections of one worker share: the snapshot in force, pools, counters, the wheel, the limits' ledgers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Iterable, Mapping
from email.utils import formatdate
from math import inf
from time import time
from typing import TYPE_CHECKING, Any, Final

from router.core.attempt import in_budget
from router.core.breaker import RouteBreaker
from router.core.model import Side
from router.core.observed import UNOBSERVED, Observed
from router.core.override import permits
from router.planes.embedded.census import Census
from router.planes.embedded.deadlines import Wheel
from router.planes.embedded.failures import Failures
from router.planes.embedded.heads import Memory
from router.planes.embedded.pools import PoolStore
from router.planes.embedded.recent import Recent
from router.planes.embedded.tape import Tape
from router.planes.embedded.unlisted import Unlisted
from router.telemetry import DURATION_BOUNDS, BusyBlock, EndpointBlock, RouteBlock, WorkerSlot

if TYPE_CHECKING:
    from router.core.census import Watched
    from router.planes.embedded.accesslog import AccessLog
    from router.planes.embedded.client import ClientConnection
    from router.planes.embedded.counters import Counters
    from router.planes.embedded.exchange import Exchange
    from router.planes.embedded.heads import Request
    from router.planes.embedded.mirror import Mirror
    from router.planes.embedded.snapshot import RouteEntry, Snapshot

_TOO_LARGE: Final = frozenset({413, 414, 431})
_BAD: Final = frozenset({400, 405, 501, 505})
_BUCKETS: Final = len(DURATION_BOUNDS) + 1
_LAST_DIGITS: Final = [b"%02x" % number for number in range(0x100)]


class Plane:
    """One worker's data plane, without its listening socket and its control channel."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, counters: Counters, access_log: AccessLog | None = None
    ) -> None:
        self.loop = loop
        self.counters = counters
        self.access_log = access_log
        self.wheel = Wheel(loop, self._tally)
        self.memory = Memory()
        self.recent = Recent()
        self.failures = Failures()
        self.unlisted = Unlisted()
        self.census = Census()
        self.observed: Observed = UNOBSERVED
        """What control has seen of the endpoints; whole until it says otherwise."""
        self.pools = PoolStore(self)
        self.snapshot: Snapshot
        self.ready = False
        self.draining = False
        self.active = 0
        """Exchanges under way."""
        self.repeats = 0
        """Of these, how many are being tried again."""
        self.clients: set[ClientConnection] = set()
        self.tunnels: set[Exchange] = set()
        self._recalled: dict[Exchange, asyncio.TimerHandle] = {}
        """Tunnels that will be closed, and when."""
        self.date_line = b""
        self.room = sys.maxsize
        """Clients that there are file descriptors for."""
        self.override_key = b""
        """Signs permissions to choose a side; empty: nobody may by token."""
        self.mirror: Mirror | None = None
        """Copies requests to the other side; None for a worker that stands alone."""
        self._deserted: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._own_gauges: set[int] = set()
        """Blocks whose gauges are this process's, not those of one that has died."""
        self._id_prefix = os.urandom(8).hex().encode()
        self._id_begin = b""
        """What the ids of 256 requests in a row have in common."""
        self._id_count = 0
        self._tell_date()

    # ------------------------------------------------------------------ snapshots

    def adopt(self, snapshot: Snapshot) -> None:
        """Route by this snapshot from the next request on."""
        changed = not self.ready or snapshot.structure != self.snapshot.structure
        anew = not self.ready or snapshot.by_name is not self.snapshot.by_name  # also where it says the same
        if changed:  # what is remembered of lines holds for these subjects and limits
            self.memory = Memory(snapshot.subject_names)
            self.unlisted.clear()
            self._take_over_gauges(snapshot)
        if anew and self.ready:
            self._keep_breakers(snapshot)
        snapshot.observe(self.observed)
        self.snapshot = snapshot
        self.ready = True
        if anew:
            self.census.take(snapshot)
        self.counters.slots[WorkerSlot.REVISION] = snapshot.revision
        if changed:
            self.pools.keep_only(snapshot.destinations)
        self._recall_tunnels(snapshot)

    def observe(self, observed: Observed) -> None:
        """Place by this observation from the next request on."""
        named = observed.addresses != self.observed.addresses
        self.observed = observed
        if not self.ready:
            return
        snapshot = self.snapshot
        for destination in snapshot.destinations:
            destination.observe(snapshot.settings, observed, self.pools)
        if named:
            self.pools.keep_only(snapshot.destinations)
        snapshot.observe(observed)

    def watch(self, changed: Mapping[str, Watched], gone: Iterable[str], *, anew: bool) -> None:
        """Count the clients of these routes from now on, and of those no more; `anew`: of nothing else either."""
        self.census.watch(changed, gone, anew=anew)
        if self.ready:
            self.census.take(self.snapshot)

    def tape(self, route: str | None) -> dict[str, Any]:
        """What legacy has answered on a route since the last call, the first of which begins it; None: no more."""
        known, now = self.census.tape, self.wheel.now
        if route is not None and known is not None and known.route == route:
            return known.take(now)
        self.census.tape = None if route is None else Tape(route, now, self.override_key)
        if self.ready:
            self.census.take(self.snapshot)
        return {"found": [], "dropped": 0, "more": False}

    def _take_over_gauges(self, snapshot: Snapshot) -> None:
        """What a predecessor that was killed had under way is under way no more."""
        for entry in (*snapshot.entries, snapshot.unlisted):
            if entry.block not in self._own_gauges:
                self._own_gauges.add(entry.block)
                for side in Side:
                    for gauge in (RouteBlock.IN_FLIGHT, RouteBlock.TUNNELS, RouteBlock.BREAKER_OPEN):
                        self.counters.slots[entry.block + side * RouteBlock.SIDE + gauge] = 0
                    self.counters.slots[entry.busy + side * BusyBlock.SIDE + BusyBlock.IN_FLIGHT] = 0
        for block in snapshot.settings.blocks.values():
            if block not in self._own_gauges:
                self._own_gauges.add(block)
                self.counters.zero(block + EndpointBlock.OPEN, 1)

    # ------------------------------------------------------------------ breakers of routes

    def _keep_breakers(self, snapshot: Snapshot) -> None:
        """What routes have met does not end with a reload."""
        for before in self.snapshot.entries:
            breaker = before.breaker
            if breaker is None:
                continue
            after = snapshot.by_name.get(before.name)
            settings = None if after is None else after.route.breaker
            if after is None or settings is None:
                self.counters.slots[before.block + RouteBlock.SIDE + RouteBlock.BREAKER_OPEN] = 0
            else:
                breaker.take(settings)
                after.breaker = breaker
                after.trip(breaker.tripped)

    def new_side_failed(self, entry: RouteEntry, *, trial: bool) -> None:
        """A first try at the new side of this route has failed."""
        settings = entry.route.breaker
        if settings is None:
            return
        if entry.breaker is None:
            entry.breaker = RouteBreaker(settings)
        slots = self.counters.slots
        quick = entry.busy + BusyBlock.SIDE + BusyBlock.DURATIONS + 1
        durations = entry.block + RouteBlock.SIDE + RouteBlock.DURATIONS + 1
        finished = sum(slots[quick : quick + BusyBlock.BUCKETS]) + sum(slots[durations : durations + _BUCKETS])
        if entry.breaker.failed(self.wheel.now, finished, trial=trial):
            self.count(entry.block + RouteBlock.SIDE + RouteBlock.BREAKER_TRIPS, 1)
            self._show_breaker(entry, tripped=True)

    def may_try_again(self, entry: RouteEntry, *, safe: bool) -> bool:
        """May a request try the new side although the route's breaker has tripped?"""
        return entry.breaker is not None and entry.breaker.try_again(self.wheel.now, safe=safe)

    def trial_ended(self, entry: RouteEntry, *, well: bool) -> None:
        """A request that tried has ended: well, or without saying anything."""
        breaker = entry.breaker
        if breaker is None:
            return
        if not well:
            breaker.undecided()
        elif breaker.passed(self.wheel.now):
            self._show_breaker(entry, tripped=False)

    def close_breaker(self, name: str) -> bool:
        """A person says that the new side of this route is well; False when there is no such route."""
        entry = self.snapshot.by_name.get(name) if self.ready else None
        if entry is None:
            return False
        if entry.breaker is not None:
            entry.breaker.close(self.wheel.now)
            self._show_breaker(entry, tripped=False)
        return True

    def _show_breaker(self, entry: RouteEntry, *, tripped: bool) -> None:
        # An exchange may hold the entry of an older snapshot; what is in force is what counts.
        inforce = self.snapshot.by_name.get(entry.name)
        for each in (entry,) if inforce is None else (entry, inforce):
            each.trip(tripped)
        self.counters.slots[entry.block + RouteBlock.SIDE + RouteBlock.BREAKER_OPEN] = int(tripped)

    # ------------------------------------------------------------------ tunnels

    def _recall_tunnels(self, snapshot: Snapshot) -> None:
        """Tunnels on a new side that is held drain, and after a while they are closed; a resume lets them be."""
        drain = snapshot.limits.tunnel_drain
        for exchange in self.tunnels:
            recalled = exchange.on_new and snapshot.recalls(exchange.entry.name, exchange.site)
            timer = self._recalled.get(exchange)
            if exchange.site in snapshot.off_sites:
                self.loop.call_soon(exchange.cut_tunnel)
            elif recalled and timer is None and drain != inf:
                self._recalled[exchange] = self.loop.call_later(drain, exchange.cut_tunnel)
            elif not recalled and timer is not None:
                timer.cancel()
                del self._recalled[exchange]

    # ------------------------------------------------------------------ connections

    def admit(self, client: ClientConnection) -> bool:
        """Count a new connection; False when there are too many."""
        self.bump(WorkerSlot.ACCEPTED)
        self.clients.add(client)
        self.count(WorkerSlot.CONNECTIONS, 1)
        if len(self.clients) > min(self.snapshot.limits.connections, self.room):
            self.bump(WorkerSlot.REFUSED_CONNECTIONS)
            return False
        return True

    def gone(self, client: ClientConnection) -> None:
        """A client connection is closed."""
        if client in self.clients:
            self.clients.discard(client)
            self.count(WorkerSlot.CONNECTIONS, -1)
            if self.draining and not self.clients and self._deserted is not None:
                self._deserted.set()

    def open_tunnel(self, exchange: Exchange) -> bool:
        """Count a new tunnel; False when there are too many."""
        if len(self.tunnels) >= self.snapshot.limits.tunnels:
            self.bump(WorkerSlot.TUNNELS_REFUSED)
            return False
        self.tunnels.add(exchange)
        self.count(exchange.entry.block + RouteBlock.TUNNELS + exchange.side * RouteBlock.SIDE, 1)
        return True

    def close_tunnel(self, exchange: Exchange) -> None:
        """A tunnel is closed."""
        if exchange in self.tunnels:
            self.tunnels.discard(exchange)
            timer = self._recalled.pop(exchange, None)
            if timer is not None:
                timer.cancel()
            self.count(exchange.entry.block + RouteBlock.TUNNELS + exchange.side * RouteBlock.SIDE, -1)

    def in_budget(self) -> bool:
        """Does the budget allow one more repeat?"""
        return in_budget(self.repeats, self.active)

    def permits_override(self, request: Request) -> bool:
        """Does the request carry a signed permission to choose its side?"""
        token = request.override_token
        return bool(token) and permits(token, request.override, self.override_key, time())

    def left_at_places(self) -> dict[str, list[int]]:
        """Exchanges and tunnels under way at each endpoint, by its key in the counters; those with none are missing."""
        found: dict[str, list[int]] = {}
        for pool in self.pools.known():
            if pool.busy:
                found.setdefault(pool.written, [0, 0])[0] += pool.busy
        for exchange in self.tunnels:
            place = found.setdefault(exchange.written_place, [0, 0])
            place[0] -= 1
            place[1] += 1
        return found

    # ------------------------------------------------------------------ counting

    def bump(self, slot: WorkerSlot) -> None:
        """One more of this."""
        self.counters.slots[slot] += 1

    def count(self, slot: int, change: int) -> None:
        """Move a gauge."""
        self.counters.slots[slot] += change

    def _tally(self) -> None:
        """Write down what the pools have counted: every tick, since a slot costs more than a number of one's own."""
        self.recent.turn()
        for pool in self.pools.all():
            pool.tally()

    def count_refusal(self, status: int) -> None:
        """The router refused a request by itself."""
        if status in _BAD:
            self.bump(WorkerSlot.BAD_REQUESTS)
        elif status in _TOO_LARGE:
            self.bump(WorkerSlot.TOO_LARGE)

    def next_request_id(self) -> bytes:
        """32 hexadecimal digits that no other worker makes."""
        low = self._id_count & 0xFF
        if not low:
            self._id_begin = b"%b%014x" % (self._id_prefix, self._id_count >> 8)
        self._id_count += 1
        return self._id_begin + _LAST_DIGITS[low]

    # ------------------------------------------------------------------ tasks

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine that this plane owns and waits for at the end."""
        task = self.loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell_date(self) -> None:
        now = time()
        self.date_line = b"Date: " + formatdate(now, usegmt=True).encode()
        self._date_timer = self.loop.call_later(1.0 - now % 1.0, self._tell_date)

    def drain(self) -> None:
        """Take no more requests on open connections; those under way are finished."""
        self.draining = True
        for client in list(self.clients):
            client.drain()
        for pool in self.pools.all():
            pool.retire()

    async def deserted(self) -> None:
        """Wait until the last client of a draining plane has gone."""
        if self.clients:
            self._deserted = asyncio.Event()
            await self._deserted.wait()

    async def close(self) -> None:
        """End everything at once."""
        self.wheel.close()
        self._tally()
        self._date_timer.cancel()
        if self.mirror is not None:
            self.mirror.close()
        for client in list(self.clients):
            client.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

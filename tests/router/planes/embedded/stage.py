"""A whole data plane without a socket: its clock, its clients and its endpoints are in the test's hands.

`StageLoop` is an asyncio loop whose time passes only when nothing else is left to do, and whose connections lead to
`Service`s that accept, refuse or keep waiting as they are told.  Everything above is the real thing.  A `Stage` that is
closed checks its books: whatever a test did, every exchange was counted once and every gauge is back at zero.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from router.blocks import Registry, extended
from router.core.attempt import Stage as Trouble
from router.core.decide import Reason
from router.core.model import PPM, Endpoint, Fallback, Limits, Route, Side, Table, Upstream
from router.core.orders import Kind, Order, Reach, Scope, effective
from router.core.wire import Blocks, endpoint_key, snapshot_lines, state_hash, structure_digest, structure_lines
from router.planes.embedded.client import ClientConnection
from router.planes.embedded.counters import Counters
from router.planes.embedded.exchange import Exchange
from router.planes.embedded.plane import Plane
from router.planes.embedded.pools import EndpointPool
from router.planes.embedded.snapshot import Receiver
from router.telemetry import (
    BUSY_SLOTS,
    CODE_CLASSES,
    DURATION_BOUNDS,
    FALLBACK_CAUSES,
    REASON_SLOTS,
    EndpointBlock,
    RouteBlock,
    WorkerSlot,
    requests_of,
)

OLD = Endpoint("10.0.0.1", 80)
NEW = Endpoint("10.0.0.2", 80)
NEW_TOO = Endpoint("10.0.0.3", 80)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

# --------------------------------------------------------------------------------------------- time and wires


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]  # which class it is depends on the system
    """Lets time pass instead of waiting for it."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            assert timeout is not None, "nothing will ever happen again"
            self.now += max(timeout, 0)
        return ready


class StageLoop(asyncio.SelectorEventLoop):
    """An event loop on a stage: its own time, its own network."""

    def __init__(self) -> None:
        self.clock = _Selector()
        self.services: dict[tuple[str, int], Service] = {}
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> Any:  # type: ignore[override]
        return await self.services[host, port].connect(self, factory)


class Wire:
    """A transport that keeps what is written; its far end is played by the test."""

    def __init__(self, loop: StageLoop, protocol: Any) -> None:
        self._loop = loop
        self._protocol = protocol
        self.heard = b""
        self.writes = 0
        self.reading = True
        self.ended = False
        """Nothing more will be written."""
        self.closed = False
        self.aborted = False
        self.unsent = 0
        self._lost = False
        protocol.connection_made(self)

    # what the router asks of a transport

    def write(self, data: bytes) -> None:
        if not self.closed:
            assert not self.ended, "written behind the end"
            self.heard += data
            self.writes += 1

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str) -> Any:
        return ("192.0.2.7", 40000) if name == "peername" else None

    # what the far end does

    def say(self, data: bytes) -> None:
        """Bytes arrive."""
        assert not self.closed, "said to a closed connection"
        self._protocol.data_received(data)

    def end(self) -> None:
        """The far end has said its last."""
        if not self._protocol.eof_received():
            self.close()

    def reset(self) -> None:
        """The far end is gone."""
        self.closed = True
        self._lose(ConnectionResetError("reset"))

    def full(self) -> None:
        """The far end does not keep up."""
        self.unsent = 100_000
        self._protocol.pause_writing()

    def drained(self) -> None:
        self.unsent = 0
        self._protocol.resume_writing()

    def take(self) -> bytes:
        """What was heard since the last look."""
        heard, self.heard = self.heard, b""
        return heard

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(error)


class Service:
    """An endpoint: what becomes of those who connect, and the connections it has."""

    def __init__(self) -> None:
        self.refuses = False
        self.hangs = False
        self.wires: list[Wire] = []

    async def connect(self, loop: StageLoop, factory: Callable[[], Any]) -> tuple[Wire, Any]:
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses:
            raise ConnectionRefusedError("refused")
        protocol = factory()
        wire = Wire(loop, protocol)
        self.wires.append(wire)
        return wire, protocol

    @property
    def wire(self) -> Wire:
        """The newest connection."""
        assert self.wires, "nobody has connected"
        return self.wires[-1]

    @property
    def open(self) -> list[Wire]:
        return [wire for wire in self.wires if not wire.closed]


# ------------------------------------------------------------------------------------------------------ tables


def route(name: str = "api", path: str = "/api/{id}", **settings: Any) -> Route:
    """A route that is all on the new side and falls back for nothing, unless it says otherwise."""
    given: dict[str, Any] = {"legacy": "old", "new": "new", "weight": PPM, "seed": name}
    return Route(name=name, path=path, **(given | settings))


def table(*routes: Route, new: Iterable[Endpoint] = (NEW,), old: Iterable[Endpoint] = (OLD,), **settings: Any) -> Table:
    upstreams = {"old": Upstream("old", {"": tuple(old)}), "new": Upstream("new", {"": tuple(new)})}
    return Table(legacy="old", upstreams=upstreams, routes=routes or (route(),), **settings)


def rollback(name: str = "api") -> Order:
    return Order(1, Kind.ROLLBACK, Scope(Reach.ROUTE, name), "test", "test", 0.0)


class Ledger:
    """Gives out blocks and never moves one, like control."""

    def __init__(self) -> None:
        self.registry = Registry()

    @property
    def routes(self) -> Mapping[str, int]:
        return self.registry.routes

    @property
    def endpoints(self) -> Mapping[str, int]:
        return self.registry.endpoints

    def blocks(self, declared: Table) -> Blocks:
        self.registry = extended(self.registry, declared)
        return self.registry.blocks()

    def lines(self, revision: int, declared: Table, orders: Iterable[Order] = ()) -> list[bytes]:
        """The lines of a snapshot."""
        blocks = self.blocks(declared)
        structure = structure_lines(declared, blocks)
        state = effective(declared, tuple(orders))
        digest = state_hash(structure_digest(structure), state)
        return list(snapshot_lines(revision, blocks.slots, structure, state, digest))


# ------------------------------------------------------------------------------------------------------- stage


class Stage:
    """A plane, its endpoints and its clients."""

    def __init__(self, declared: Table | None = None, access_log: Any = None) -> None:
        random.seed(1)  # endpoints are drawn by chance, which has to be the same in each run
        self.loop = StageLoop()
        self.counters = Counters(None)
        self.plane = Plane(self.loop, self.counters, access_log)
        self.ledger = Ledger()
        self.revision = 0
        self.clients: list[Wire] = []
        self.old, self.new, self.new_too = Service(), Service(), Service()
        for endpoint, service in ((OLD, self.old), (NEW, self.new), (NEW_TOO, self.new_too)):
            self.loop.services[endpoint.host, endpoint.port] = service
        self.adopt(declared or table())

    def adopt(self, declared: Table, *orders: Order) -> None:
        """Put a table and orders in force."""
        self.revision += 1
        receiver = Receiver(self.plane.pools)
        for line in self.ledger.lines(self.revision, declared, orders):
            snapshot = receiver.take(line, None)
            if snapshot is not None:
                self.counters.grow(receiver.slots)
                self.plane.adopt(snapshot)

    def client(self) -> Wire:
        """A new client's connection."""
        self.clients.append(Wire(self.loop, ClientConnection(self.plane)))
        return self.clients[-1]

    def settle(self) -> None:
        """Let everything happen that can happen without time passing."""
        for _ in range(12):
            self.loop.run_until_complete(asyncio.sleep(0))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.settle()

    def ask(self, method: bytes = b"GET", target: bytes = b"/api/1", *lines: bytes, body: bytes = b"") -> Wire:
        """A new client sends a request; returns its connection."""
        client = self.client()
        self.send(client, method, target, *lines, body=body)
        return client

    def send(self, client: Wire, method: bytes, target: bytes, *lines: bytes, body: bytes = b"") -> None:
        if body:
            lines = (*lines, b"Content-Length: %d" % len(body))
        client.say(b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), b"Host: shop", *lines, b"", body]))
        self.settle()

    def warm(self, service: Service, target: bytes = b"/api/1") -> Wire:
        """Have an idle connection in the pool of this service; returns its wire."""
        client = self.ask(target=target)
        wire = service.wire
        wire.say(OK)
        client.end()
        self.settle()
        wire.take()
        return wire

    def pool(self, endpoint: Endpoint, upstream: str = "new") -> EndpointPool:
        key = endpoint_key(upstream, endpoint)
        return next(pool for pool in self.plane.pools.all() if pool.key == key)

    # the books

    def slot(self, slot: int) -> int:
        """What a slot says; a block that no snapshot has needed yet says nothing."""
        return self.counters.slots[slot] if slot < len(self.counters.slots) else 0

    def route_slots(self, block: int) -> list[int]:
        """A route's block, with what its busy block counts put in."""
        busy = self.ledger.registry.blocks().busy[block]
        found = [self.slot(block + slot) for slot in range(RouteBlock.SIZE)]
        for slot, second in BUSY_SLOTS.items():
            found[slot] += self.slot(busy + second)
        return found

    def counts(self) -> dict[tuple[str, str, str, str], int]:
        """(route, side, code class, reason) of every exchange that is over, and how many."""
        found = {}
        for name, block in self.ledger.routes.items():
            requests = requests_of(self.route_slots(block))
            for side in Side:
                for index, code in enumerate(CODE_CLASSES):
                    for reason in Reason:
                        place = side * RouteBlock.SIDE_REQUESTS + index * REASON_SLOTS + reason
                        if number := requests[place]:
                            found[name, side.label, code, reason.label] = number
        return found

    def fallbacks(self) -> dict[str, int]:
        """Fallbacks of all routes by cause."""
        found: dict[str, int] = {}
        for block in self.ledger.routes.values():
            for index, cause in enumerate(FALLBACK_CAUSES):
                if number := self.slot(block + RouteBlock.FALLBACKS + index):
                    found[cause] = found.get(cause, 0) + number
        return found

    def errors(self) -> dict[tuple[str, str], int]:
        """(endpoint's host, stage) of every failed try."""
        found = {}
        for key, block in self.ledger.endpoints.items():
            for stage in Trouble:
                if number := self.slot(block + EndpointBlock.ERRORS + stage):
                    found[key.partition("//")[2].partition(":")[0], stage.label] = number
        return found

    def gauges(self) -> dict[str, int]:
        """Every gauge that is not at zero."""
        found = {"active": self.plane.active, "repeats": self.plane.repeats, "tunnels": len(self.plane.tunnels)}
        found["connections"] = self.slot(WorkerSlot.CONNECTIONS)
        for name, block in self.ledger.routes.items():
            slots = self.route_slots(block)
            for side in Side:
                half = side * RouteBlock.SIDE
                found[f"in flight {name} {side.label}"] = slots[half + RouteBlock.IN_FLIGHT]
                found[f"tunnels {name} {side.label}"] = slots[half + RouteBlock.TUNNELS]
        for key, block in self.ledger.endpoints.items():
            found[f"open {key}"] = self.slot(block + EndpointBlock.OPEN)
        return {name: value for name, value in found.items() if value}

    def timed(self) -> int:
        """How many durations were noted."""
        per_side = (
            slots[RouteBlock.DURATIONS + side * RouteBlock.SIDE + 1 + bucket]
            for slots in map(self.route_slots, self.ledger.routes.values())
            for side in Side
            for bucket in range(len(DURATION_BOUNDS) + 1)
        )
        return sum(per_side)

    def close(self) -> None:
        """Everybody goes home; then the books must balance."""
        try:
            self._send_home()
            gauges, timed, counted = self.gauges(), self.timed(), sum(self.counts().values())
            self.loop.run_until_complete(self.plane.close())
        finally:
            self.loop.close()
        assert {} == gauges
        assert timed == counted

    def _send_home(self) -> None:
        for client in self.clients:
            if not client.closed:
                client.reset()
        self.advance(31)  # a pool keeps idle connections for 30 s
        for service in (self.old, self.new, self.new_too):
            for wire in service.open:
                wire.reset()
        self.settle()


BAD = b"HTTP/1.1 503 No\r\nX-From: new\r\nContent-Length: 3\r\n\r\nbad"
FALLBACK = Fallback(on_connect=True, statuses=frozenset({502, 503, 504}))
SMALL = Limits(endpoint_connections=1, endpoint_waiting=1)


# what was heard, and what is counted


def status(client: Wire) -> int:
    """The status of the first answer that a client has heard."""
    assert client.heard.startswith(b"HTTP/1.1 "), client.heard
    return int(client.heard[9:12])


def code(client: Wire) -> bytes:
    """The router's word for what went wrong."""
    return client.heard.partition(b"X-Strangler-Error: ")[2].partition(b"\r\n")[0]


def once(code_class: str = "2xx", side: str = "new", reason: str = "weight", name: str = "api") -> object:
    return {(name, side, code_class, reason): 1}


def falling_back(fallback: Fallback = FALLBACK, **settings: object) -> object:
    return table(route(fallback=fallback, **settings))


class Log:
    """An access log that keeps what an exchange says about itself at its end."""

    def __init__(self) -> None:
        self.endpoints: list[str] = []
        self.broken: list[bool] = []

    def put(self, exchange: Exchange, took: float, *, broken: bool) -> None:
        assert took >= 0
        self.endpoints.append(exchange.pool_key)
        self.broken.append(broken)

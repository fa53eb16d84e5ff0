"""Copies of users' requests to the side that does not answer them, and what both sides said.

A user's exchange offers itself once, when its side is decided, and tells what it sees of its own answer; it never
waits for anything here, and nothing that goes wrong here reaches it.  Copies have their own connections, a bounded
line, and a bounded number on their way.  They are the first thing to go when there is much to do: a worker with many
exchanges, one whose loop is late, or an endpoint that users wait for, gets no copies.

    offer -> (the request's body) -> the line -> one or two copies at once, in random order -> answers -> the courier

The user's own answer is the one that is compared with, taken down as it passes by, never more of it than is kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from random import random, shuffle
from time import perf_counter, time
from typing import TYPE_CHECKING, Final

from router.core.capture import MAX_BODY, Capture, Count, Taken, Who
from router.core.copies import copied_lines, has_credentials, unfit
from router.core.headers import BadField
from router.core.model import PPM, Credentials, Shadow, Side
from router.core.orders import Cause
from router.planes.embedded.copying import AnswerTaker, CopyPools, header
from router.planes.embedded.heads import Answer

if TYPE_CHECKING:
    from router.planes.embedded.courier import Courier
    from router.planes.embedded.exchange import Exchange
    from router.planes.embedded.plane import Plane
    from router.planes.embedded.pools import Destination, EndpointPool

RUNNING: Final = 32
"""Copies on their way, at most."""
OF_ONE_ROUTE: Final = 16
"""Of these, copies of one route: a new side that hangs must not keep others from being copied."""
WAITING: Final = 64
"""Copies that wait for one of those places."""
ALIVE: Final = 256
"""Copies of which anything is kept in memory, those included whose user waits for an answer."""
PATIENCE: Final = 0.2
"""Seconds that one may wait: later it would be asked about another world."""
ACTIVE: Final = 500
"""Users' exchanges under way, above which no copies are made."""
LATE: Final = 0.3
"""Seconds by which the loop's timers may be late."""
LONGEST: Final = 60.0
"""Seconds that a copy may take, whatever its route allows."""
_WITH_BODY: Final = frozenset((b"POST", b"PUT", b"PATCH"))


class Copy:
    """One request that is being copied, and the user's answer as it passes by."""

    def __init__(self, mirror: Mirror, exchange: Exchange, shadow: Shadow) -> None:
        request = exchange.request
        self._mirror = mirror
        self._exchange: Exchange | None = exchange
        self.shadow = shadow
        self.on_new = exchange.on_new
        self.entry = exchange.entry
        self.snapshot = exchange.snapshot
        self.request_id = exchange.request_id
        self.request = request
        self._forwarding = exchange.client.forwarding_lines(request)
        self._site = ""
        self.body: list[bytes] = []
        self._size = 0
        self._time = exchange.plane.loop.time
        self.offered = self._time()
        self.launched = 0.0
        who = Who.NEW if self.on_new else Who.LEGACY
        self.ours = AnswerTaker(who, request.method, exchange.snapshot.limits, exchange.plane.memory)
        self._ours: Taken | None = None
        self._theirs: list[Taken] | None = None
        self.over = False
        """Dropped or done: nothing is kept any more."""

    @property
    def lines(self) -> list[bytes]:
        """What the user's upstream was told."""
        request = self.request
        lines = [*request.lines, *self._forwarding]
        if not request.sized and request.method in _WITH_BODY:
            lines.append(b"Content-Length: 0")
        return lines

    @property
    def site(self) -> str:
        """Where the user is answered."""
        return self._site if self._exchange is None else self._exchange.site

    # what the exchange tells, in its order

    def request_data(self, data: bytes) -> None:
        """Bytes of the request's body, framed as they are sent on."""
        if self.over:
            return
        self._size += len(data)
        if self._size > MAX_BODY:
            self.drop(Count.BODY)
        else:
            self.body.append(data)

    def request_complete(self) -> None:
        """All of the request has come in."""
        if not self.over:
            self.offered = self._time()
            self._mirror.enqueue(self)

    def head(self, answer: Answer) -> None:
        """The head of the user's answer."""
        self.ours.begin(answer)

    def data(self, data: bytes) -> None:
        """Bytes of its body, as they came from the upstream."""
        if self.over or self.ours.truncated:
            return
        try:
            self.ours.feed(data)
        except BadField:
            self.ours.truncated = True

    def ended(self, exchange: Exchange, *, broken: bool) -> None:
        """The exchange is over."""
        self._site = exchange.site
        self._exchange = None
        if exchange.on_new != self.on_new:
            self.drop(Count.SWITCHED)
        elif self.ours.answer is None or not (self.launched or self._mirror.waits(self)):
            self.drop(Count.UNANSWERED)
        else:
            if not broken:
                self.ours.at_end()
            self._ours = self.ours.taken(perf_counter() - exchange.started)
            self._settle()

    # what becomes of it

    def answered(self, theirs: list[Taken]) -> None:
        """The copies have their answers."""
        self._theirs = theirs
        if self.shadow.compare:
            self._settle()
        else:
            self._end()

    def drop(self, why: Count) -> None:
        """Nothing comes of it."""
        if not self.over:
            self._end()
            self._mirror.count(self, why)

    def _settle(self) -> None:
        if self._ours is not None and self._theirs is not None and not self.over:
            self._end()
            self._mirror.captured(self, (self._ours, *self._theirs))

    def _end(self) -> None:
        self.over = True
        self.body = []
        self._mirror.alive -= 1


def _unfit(copy: Copy) -> Count | None:
    """Looked at only here, when its user waits for an upstream and no longer for us."""
    if not copy.on_new and copy.snapshot.causes[copy.entry.index] == Cause.ROLLBACK:
        return Count.HELD
    request = copy.request
    return unfit(copy.shadow, request.target, request.lines, upgrade=bool(request.upgrade))


def _crowded(pool: EndpointPool) -> bool:
    """Do users wait for this endpoint, and not just until a connection is made?"""
    return bool(pool.waiting) and not pool.connecting


class Mirror:
    """One worker's copies.  `offer` is all that the hot path knows of it."""

    def __init__(self, plane: Plane, courier: Courier) -> None:
        self._plane = plane
        self._courier = courier
        self._pools = CopyPools(plane.loop)
        self._waiting: deque[Copy] = deque()
        self._running: Counter[str] = Counter()
        """Copies on their way, by route."""
        self._pumping = False
        self.alive = 0

    def offer(self, exchange: Exchange) -> Copy | None:
        """A request on a route with a shadow, its side decided.  None: the exchange has nothing more to tell."""
        shadow = exchange.entry.shadow
        request = exchange.request
        if shadow is None or random() * PPM >= shadow.percent:  # noqa: S311  # a sample, not a secret
            return None
        if request.method.decode("latin-1") not in shadow.methods:
            return None
        why = Count.BODY if request.length > MAX_BODY else self._overloaded()
        if why is not None:
            self._courier.count(exchange.entry.name, why)
            return None
        copy = Copy(self, exchange, shadow)
        self.alive += 1
        if request.length == 0:
            self.enqueue(copy)
        return copy if not copy.over and (shadow.compare or request.length) else None

    def _overloaded(self) -> Count | None:
        plane = self._plane
        if plane.draining or plane.active > ACTIVE or plane.loop.time() - plane.wheel.now > LATE:
            return Count.LOAD
        return Count.FULL if len(self._waiting) >= WAITING or self.alive >= ALIVE else None

    def enqueue(self, copy: Copy) -> None:
        """In line; it is launched in a later turn of the loop, behind what its user waits for."""
        if len(self._waiting) >= WAITING:
            copy.drop(Count.FULL)
            return
        self._waiting.append(copy)
        self._pump_soon()

    def waits(self, copy: Copy) -> bool:
        return copy in self._waiting

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            self._plane.loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        late = self._plane.loop.time() - PATIENCE
        while self._waiting and self._running.total() < RUNNING:
            copy = self._waiting.popleft()
            if copy.over:
                continue
            if copy.offered < late:
                copy.drop(Count.LATE)
            elif (why := _unfit(copy)) is not None:
                copy.drop(why)
            elif self._running[copy.entry.name] >= OF_ONE_ROUTE:
                copy.drop(Count.FULL)
            else:
                self._launch(copy)

    def _launch(self, copy: Copy) -> None:
        """The copy to the other side, and now and then a second one to legacy, to learn what differs by itself."""
        other = Who.LEGACY if copy.on_new else Who.NEW
        pool = self._pool(copy, Side.LEGACY if copy.on_new else Side.NEW)
        if pool is None or _crowded(pool):
            copy.drop(Count.NOWHERE if pool is None else Count.LOAD)
            return
        asked = [(other, pool)]
        if copy.shadow.compare and random() * PPM < self._courier.noise_wanted(copy.entry.name):  # noqa: S311
            again = self._pool(copy, Side.LEGACY)
            if again is not None and not _crowded(again):  # noise can be learned later
                asked.append((Who.AGAIN, again))
        shuffle(asked)
        copy.launched = self._plane.loop.time()
        self._running[copy.entry.name] += 1
        self._courier.count(copy.entry.name, Count.COPIED)
        self._plane.spawn(self._run(copy, asked), "copy")

    def _pool(self, copy: Copy, side: Side) -> EndpointPool | None:
        """An endpoint of a side, at the user's site where that side is there as well."""
        destination: Destination | None = copy.entry.handling.destinations[side]
        if destination is None:
            return None
        snapshot = copy.snapshot
        closed = snapshot.drained_sites | (snapshot.held_sites if side is Side.NEW else frozenset())
        open_sites = [name for name in destination.sites if name not in closed]
        if not open_sites:
            return None
        site = copy.site if copy.site in open_sites else open_sites[0]
        pools = [pool for pool in destination.sites[site] if pool.level]
        return destination.choose(pools, self._plane.wheel.now, ()) if pools else None

    async def _run(self, copy: Copy, asked: list[tuple[Who, EndpointPool]]) -> None:
        """To the end of the last answer."""
        name = copy.entry.name
        try:
            if len(asked) == 1:
                copy.answered([await self._ask(copy, *asked[0])])
            else:
                copy.answered(list(await asyncio.gather(*(self._ask(copy, who, pool) for who, pool in asked))))
        finally:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]
            if self._waiting:
                self._pump_soon()

    async def _ask(self, copy: Copy, who: Who, pool: EndpointPool) -> Taken:
        lines = copied_lines(copy.lines, copy.shadow.credentials, copy.request_id)
        if not copy.request.host:
            lines.append(b"Host: " + pool.endpoint.authority.encode())
        request = b"\r\n".join((copy.request.first_line, *lines, b"", b"".join(copy.body)))
        handling = copy.entry.handling
        taker = AnswerTaker(who, copy.request.method, copy.snapshot.limits, self._plane.memory)
        place = pool.address, pool.endpoint.port
        whole = min(2 * handling.head_timeout, LONGEST)
        return await self._pools.ask(place, request, taker, handling.connect_timeout, whole)

    def count(self, copy: Copy, why: Count) -> None:
        """Nothing came of a copy."""
        self._courier.count(copy.entry.name, why)

    def captured(self, copy: Copy, answers: tuple[Taken, ...]) -> None:
        """Everybody has answered."""
        request = copy.request
        strip = copy.shadow.credentials is Credentials.STRIP
        self._courier.carry(
            Capture(
                route=copy.entry.name,
                revision=copy.snapshot.revision,
                share=copy.snapshot.shares[copy.entry.index],
                at=time(),
                request_id=copy.request_id.decode("latin-1"),
                method=request.method.decode("latin-1"),
                host=request.host.decode("latin-1"),
                target=request.target.decode("latin-1"),
                served_by=copy.ours.who,
                answers=answers,
                headers=tuple(map(header, request.lines)) if copy.shadow.samples else (),
                stripped=strip and has_credentials(request.lines),
                skew=max(0.0, copy.launched - copy.offered),
            )
        )

    def close(self) -> None:
        """No more copies; those on their way are tasks of the plane and end with it."""
        self._waiting.clear()
        self._pools.close()
        self._courier.close()

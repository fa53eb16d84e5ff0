"""The walk of one request: from its head to the last byte of its answer.

    route and decide -> a connection -> the request goes out -> the answer's head -> its body -> the last step

An exchange stands between one client connection and, one at a time, upstream connections.  Both tell it what happened;
it decides nothing that `router.core` decides.  Beside it stand, each a story of its own: `routing` (where it goes),
`passing` (bodies), `writing` (heads), `trouble` (when a try fails), `tunnels`, `witness` (what it is evidence of).
Whatever happens, `_finish` runs exactly once and counts.

Requests and answers stream: what arrives on one side is written to the other at once, and whoever cannot keep up
makes the other side's reading pause.  Only two things are ever kept: the head and the beginning of a request's body
(`limits.replay`), while it may have to be sent again, and the head of an answer that a fallback hides.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final, final

from router.core.attempt import Stage
from router.core.decide import NO_SUBJECT, Reason, decide
from router.core.headers import BadField
from router.core.model import Side
from router.planes.embedded import routing, trouble, tunnels, witness, writing
from router.planes.embedded.heads import HEAD_END, UNTIL_CLOSE, Answer, Refused, Request, answer_of
from router.planes.embedded.passing import Passage, RequestBody
from router.telemetry import BusyBlock, EndpointBlock, ErrorCode, WorkerSlot

if TYPE_CHECKING:
    from router.planes.embedded.client import ClientConnection
    from router.planes.embedded.mirror import Copy
    from router.planes.embedded.plane import Plane
    from router.planes.embedded.pools import EndpointPool
    from router.planes.embedded.snapshot import RouteEntry, Snapshot
    from router.planes.embedded.upstream import UpstreamConnection

_LEGACY: Final = Side.LEGACY
_NEW: Final = Side.NEW
_WEIGHT: Final = Reason.WEIGHT
_BREAKER: Final = Reason.BREAKER

_IN_FLIGHT: Final = int(BusyBlock.IN_FLIGHT)
_SIDE: Final = int(BusyBlock.SIDE)


@final
class Exchange:
    """One request and its answer.  Attributes have defaults here so that making one costs little."""

    on_new: bool = False
    """The side, as cheap as it gets."""
    reason: int = 3
    """A `Reason`; the default is UNLISTED."""
    drawn: int = NO_SUBJECT
    """The subject's bucket, if it was computed."""
    status: int = 0
    """What the client was told; 0 while it was told nothing."""
    place: int = 0
    """Of the route's card in the packed tree; 0 for a request without a route."""
    index: int = -1
    """The route's number in the table; -1 for a request without one."""
    name: bytes = b""
    """The route's, if the client is to be told and it is at hand."""
    special: bool = False
    """The route asks for more than its card says."""
    site: str = ""
    """Where the endpoint is, if its upstream names its places."""
    tunnel: tunnels.Tunnel | None = None
    prepared: bool = False
    """It has a route and a side."""
    _counted: bool = False
    """In the gauges, and not yet in the counters."""

    connection: UpstreamConnection | None = None
    pool: EndpointPool | None = None
    """Where the connection came from, or is to come from."""
    tries: int = 0
    """On this side, not counting those that met a stale connection."""
    stales: int = 0
    tried: tuple[EndpointPool, ...] = ()
    repeating: bool = False
    _stale_possible: bool = False
    """The connection has served before, so the upstream may just have closed it."""
    sent: bool = False
    hidden: trouble.Hidden | None = None

    _copy: Copy | None = None
    """What is to be told of this exchange, where it is copied to the other side."""
    judged: bool = False
    """The first try has failed, and is known to have."""
    trial: bool = False
    """It tries the new side of a route whose breaker has tripped."""

    _body: RequestBody | None = None
    request_done: bool = True
    """The whole request has come in."""
    answer: Answer | None = None
    _passage: Passage | None = None
    """Of an answer that comes in pieces."""
    _head_buffer: bytes = b""
    _seen_answer: bool = False
    _interims: int = 0
    _unsent: int = 0
    """What the client had not taken when its buffer was looked at last."""

    def __init__(self, client: ClientConnection, plane: Plane, request: Request) -> None:
        self.client = client
        self.plane = plane
        self.request = request
        self.started = perf_counter()
        self.snapshot: Snapshot = plane.snapshot
        self.keep_alive: bool = request.keep_alive
        self.request_id: bytes = request.request_id or plane.next_request_id()
        unlisted = self.snapshot.unlisted
        self.busy = unlisted.busy
        self.handling = unlisted.handling
        if request.length:
            self.request_done = False
            self._body = RequestBody(request.length, self.snapshot.limits)

    # ------------------------------------------------------------------ route and decide

    def start(self) -> None:
        """Find the route, decide the side, and ask for a connection.  Raises `Refused` for an unroutable path."""
        self.prepare()
        self.dispatch()
        if self.special and (watch := self.entry.watch) is not None:
            witness.began(self, watch)

    def prepare(self) -> None:
        """Everything of `start` that needs no connection; harmless to do twice."""
        if self.prepared:
            return
        place = routing.route_of(self.request, self.snapshot)
        if place:
            self.place = place
            self.index, self.busy, self.handling = self.snapshot.card(place)
            self.special = self.snapshot.specials.has(self.index)
            if self.handling.shown:
                self.name = self.snapshot.name(place)  # now, while its neighbourhood is at hand
            self._decide()
        plane = self.plane
        plane.active += 1
        slots = plane.counters.slots
        slots[self.busy + _IN_FLIGHT + self.on_new * _SIDE] += 1
        self._counted = self.prepared = True
        if self.special and self.entry.shadow is not None and plane.mirror is not None:
            self._copy = plane.mirror.offer(self)

    def _decide(self) -> None:
        """Legacy or new, and why.  A breaker that has tripped lets only one now and then try."""
        terms = self.snapshot.terms.of(self.index)
        override = routing.wanted_side(self) if self.request.override else None
        self.drawn = routing.draw(self, terms.share, terms.live)
        side, reason = decide(terms.share, terms.live, terms.cause, override, self.drawn)
        if self.special and reason is _WEIGHT and side is _NEW and self.entry.tripped:
            self.trial = routing.may_try_again(self)
            if not self.trial:
                side, reason = _LEGACY, _BREAKER
        self.on_new = side is _NEW
        self.reason = reason

    # ------------------------------------------------------------------ a connection

    def dispatch(self) -> None:
        """Take an idle connection or wait for one."""
        destination = self.handling.destinations[1 if self.on_new else 0]
        if destination is None:  # never: without a new side the share is 0
            destination = self.handling.destinations[0]
        placing = self.snapshot.placing(self.index) if self.snapshot.unlisted_placing is not None else None
        if placing is not None:
            if placing.refuses(self.side):
                self.client.refuse(Refused(503, ErrorCode.NO_PLACE, "no place may answer this request"))
                return
            if destination.only is None:
                site, moved = routing.site_of(self, destination, placing)
                if moved is not None:
                    self.move_to(_LEGACY, int(moved))
                    self.dispatch()
                    return
                self.site = site
        pools = destination.only
        if pools is None:
            pools = destination.sites[self.site]
        pool = pools[0] if len(pools) == 1 else destination.choose(pools, self.plane.wheel.now, self.tried)
        self.pool = pool
        self.tries += 1
        connection = pool.get()
        if connection is not None:
            self.connected(connection, fresh=False)
        else:
            self.wait_for(pool)

    def move_to(self, side: Side, reason: int) -> None:
        """Another side is asked from now on."""
        slots = self.plane.counters.slots
        busy = self.busy + _IN_FLIGHT
        slots[busy + self.on_new * _SIDE] -= 1
        self.on_new = side is _NEW
        self.reason = reason
        slots[busy + self.on_new * _SIDE] += 1
        self.tries = 0
        self.tried = ()

    def wait_for(self, pool: EndpointPool) -> None:
        """Wait for the next connection to this endpoint."""
        if pool.wait(self):
            self.client.wait_until(self.plane.wheel.now + self.handling.connect_timeout + 0.2)
        else:
            self.failed(Stage.OVERLOAD)

    def connected(self, connection: UpstreamConnection, *, fresh: bool) -> None:
        """A connection is ours: send the head and what there is of the body, in one write."""
        connection.exchange = self
        self.connection = connection
        self._stale_possible = not fresh
        self.sent = True
        self._seen_answer = False
        self._head_buffer = b""
        pool = connection.pool
        pool.requests += 1
        client = self.client
        lines = writing.request_head(self.request, client, self.request_id, pool.endpoint)
        lines.append(b"")
        body = self._body
        if body is None:
            lines.append(b"")
        else:
            lines.append(body.at_hand())
            self._forget_if_long(body)
        connection.transport.write(b"\r\n".join(lines))
        now = self.plane.wheel.now
        if self.request_done:
            client.wait_until(now + self.handling.head_timeout)
        else:
            client.wait_until(now + self.snapshot.limits.body_stall)
            client.resume_reading()

    # ------------------------------------------------------------------ the request's body

    def client_data(self, data: bytes) -> bytes:
        """Pass on what belongs to the body; gives back what lies behind it.  Raises `Refused`."""
        body = self._body
        if body is None:
            return data
        try:
            wire = body.feed(data)
        except BadField as bad:
            raise Refused(400, ErrorCode.BAD_REQUEST, str(bad)) from None
        limits = self.snapshot.limits
        if body.size > limits.max_body:
            raise Refused(413, ErrorCode.BODY_TOO_LARGE, f"the body is longer than {limits.max_body} bytes")
        if wire:
            self._send_body(body, wire)
        if body.done:
            self.request_done = True
            if self._copy is not None:
                self._copy.request_complete()
        if self.answer is None and self.connection is not None:
            patience = self.handling.head_timeout if body.done else limits.body_stall
            self.client.wait_until(self.plane.wheel.now + patience)
        return body.surplus

    def _send_body(self, body: RequestBody, wire: bytes) -> None:
        if self._copy is not None:
            self._copy.request_data(wire)
        connection = self.connection
        if body.replayable or connection is None:
            body.keep(wire)
        if connection is not None:
            self._forget_if_long(body)
            connection.transport.write(wire)
        elif body.kept > self.snapshot.limits.buffer:
            self.client.pause_reading()

    def _forget_if_long(self, body: RequestBody) -> None:
        """Past the replay limit, or once the answer has begun, the body cannot be sent again."""
        if self.answer is not None or body.kept > self.snapshot.limits.replay:
            body.forget()

    @property
    def replayable(self) -> bool:
        """Is all that was sent of the request still at hand?"""
        return self._body is None or self._body.replayable

    def upstream_full(self) -> None:
        """The upstream does not keep up with the request."""
        self.client.pause_reading()

    def upstream_drained(self) -> None:
        """The upstream takes more of the request."""
        self.client.resume_reading()

    # ------------------------------------------------------------------ the answer's head

    def upstream_data(self, data: bytes) -> None:
        """Bytes from the upstream that holds this exchange."""
        if self.tunnel is not None:
            self.tunnel.upstream_data(data)
        elif self.answer is None:
            self._seen_answer = True
            self._answer_head(data)
        elif self._passage is not None:
            self._answer_body(self._passage, data)

    def _answer_head(self, data: bytes) -> None:
        if self._head_buffer:
            data = self._head_buffer + data
            self._head_buffer = b""
        limits = self.snapshot.limits
        while data:
            head, end, rest = data.partition(HEAD_END)
            try:
                answer = answer_of(head, self.plane.memory, limits, self.request.method, whole=bool(end))
            except BadField as bad:
                self.failed(Stage.PROTOCOL, str(bad))
                return
            if answer is None:
                self._head_buffer = data
                return
            data = rest
            if answer.status >= 200:
                self._final_head(answer, data)
                return
            if answer.status == 101:
                tunnels.switch(self, answer, data)
                return
            self._interims += 1
            if self._interims > limits.interim:
                self.failed(Stage.PROTOCOL, "too many interim answers")
                return
            self._pass_interim(answer)

    def _pass_interim(self, answer: Answer) -> None:
        """1xx goes to HTTP/1.1 clients only (RFC 9110 section 15.2)."""
        if self.request.minor:
            self.client.transport.write(b"\r\n".join((answer.status_line, *answer.lines, b"", b"")))
        self.client.wait_until(self.plane.wheel.now + self.handling.head_timeout)

    def _final_head(self, answer: Answer, rest: bytes) -> None:
        """The head is whole: it is judged, and is passed on unless a fallback hides it."""
        if self.pool is not None:
            self.pool.answers += 1
        if answer.status >= 500 or self.trial:
            witness.answered(self, answer.status)
        if self.on_new and answer.status in self.handling.fallback_statuses and trouble.hide(self, answer, rest):
            return
        if self.hidden is not None:
            trouble.drop_hidden(self)
        self.begin_answer(answer, rest)

    def begin_answer(self, answer: Answer, rest: bytes) -> None:
        """Pass on the head and what came with it; if that is all, in one write."""
        self.answer = answer
        self.status = answer.status
        copy = self._copy
        if copy is not None:
            copy.head(answer)
        client = self.client
        length = answer.length
        limits = self.snapshot.limits
        in_sight = length >= 0 or self.request.minor > 0  # the client will see the answer's end before the connection's
        if not (self.request_done and in_sight) or self.plane.draining or client.requests >= limits.keepalive_requests:
            self.keep_alive = False
        lines = writing.answer_head(self, answer)
        lines.append(b"")
        if length == len(rest):  # the common case: all of it is here
            lines.append(rest)
            client.transport.write(b"\r\n".join(lines))
            if copy is not None:
                copy.data(rest)
            self._complete(b"")
            return
        lines.append(b"")
        client.transport.write(b"\r\n".join(lines))
        if self._body is not None:
            self._body.forget()
        client.wait_until(self.plane.wheel.now + self.handling.idle_timeout)
        if length == 0:
            self._complete(rest)
            return
        passage = self._passage = Passage(length, limits, chunked=length < 0 and self.request.minor > 0)
        if rest:
            self._answer_body(passage, rest)

    # ------------------------------------------------------------------ the answer's body

    def _answer_body(self, passage: Passage, data: bytes) -> None:
        if self._copy is not None:
            self._copy.data(data)
        client = self.client
        client.wait_until(self.plane.wheel.now + self.handling.idle_timeout)
        try:
            wire = passage.feed(data)
        except BadField as bad:
            self.failed(Stage.PROTOCOL, str(bad))
            return
        if wire:
            client.transport.write(wire)
        if passage.done:
            self._complete(passage.surplus)

    def client_full(self) -> None:
        """The client does not keep up with the answer."""
        if self.connection is not None:
            self.connection.pause_reading()
        self._await_client()

    def _await_client(self) -> None:
        self._unsent = self.client.unsent()
        self.client.wait_until(self.plane.wheel.now + self.snapshot.limits.send_stall)

    def client_drained(self) -> None:
        """The client takes more of the answer."""
        if self.connection is not None:
            self.connection.resume_reading()
        if self.tunnel is not None:
            self.tunnel.moved()
        else:
            self.client.wait_until(self.plane.wheel.now + self.handling.idle_timeout)

    def _complete(self, surplus: bytes) -> None:
        """The answer is whole.  The connection is fit for another exchange only if the request was sent whole too."""
        connection, self.connection = self.connection, None
        answer = self.answer
        if connection is not None and answer is not None:
            fit = answer.keep_alive and self.request_done and not surplus and answer.length != UNTIL_CLOSE
            if fit and not connection.closed:
                connection.release()
            else:
                connection.close()
        self._finish()
        self.client.answered(self)

    def upstream_eof(self) -> bool:
        """The upstream has said its last.  True keeps the other direction open."""
        if self.tunnel is not None:
            return self.tunnel.upstream_eof()
        last = None if self._passage is None else self._passage.ended()
        if last is not None:
            if last:
                self.client.transport.write(last)
            self._complete(b"")
        return False

    # ------------------------------------------------------------------ trouble

    def upstream_lost(self, connection: UpstreamConnection, error: Exception | None) -> None:
        """The connection is gone, and we had not finished with it."""
        if connection is not self.connection:
            return  # a hidden answer's connection: whoever delivers that will see that it is closed
        if self.tunnel is not None:
            self.connection = None
            self.tunnel.upstream_lost(error)
        elif self.answer is not None:
            self.failed(Stage.BODY)
        else:
            self.failed(Stage.HEAD if self.request_done else Stage.SEND)

    def expired(self) -> None:
        """The deadline of what this exchange waits for has passed."""
        client = self.client
        if self.tunnel is not None:
            client.close()
        elif self.connection is None:
            pool = self.pool
            self.failed(Stage.CONNECT if pool is not None and pool.connecting else Stage.OVERLOAD)
        elif self.answer is not None:
            if client.write_paused:
                self._client_stalled()
            else:
                self.failed(Stage.BODY)
        elif self.request_done or self.connection.write_paused:
            self.failed(Stage.TIMEOUT)
        else:
            self.plane.bump(WorkerSlot.BODY_STALLS)
            client.refuse(Refused(408, ErrorCode.BODY_STALL, "the request's body stopped coming"))

    def _client_stalled(self) -> None:
        """The client has not drained its buffer in time; if it took anything at all, it gets as much time again."""
        if self.client.unsent() < self._unsent:
            self._await_client()
        else:
            self.plane.bump(WorkerSlot.SEND_STALLS)
            self.client.reset()

    def failed(self, stage: Stage, detail: str = "") -> None:
        """A try has failed: count it, and do what the rule says."""
        pool = self.pool
        if pool is not None:
            self.plane.counters.slots[pool.block + EndpointBlock.ERRORS + stage] += 1
        lost = self._let_go()
        what = trouble.failed_try(self, stage, lost_early=lost and self._stale_possible and not self._seen_answer)
        if not what.stale and stage is not Stage.OVERLOAD:
            witness.failed(self)
        if what.answered:
            self._cut()
        else:
            trouble.go_on(self, stage, what, detail)

    def _let_go(self) -> bool:
        """Drop the connection or the place in the line; was there a connection?"""
        connection, self.connection = self.connection, None
        if connection is not None:
            if not connection.closed:
                connection.abort()
            return True
        if self.pool is not None:
            self.pool.leave(self)
        return False

    def _cut(self) -> None:
        """The answer broke off: the client must be able to see it."""
        passage = self._passage
        self._finish(broken=True)
        self.client.cut(clean_end_possible=passage is not None and passage.ends_with_connection)

    def abandon(self, status: int = 0) -> None:
        """The client is gone or was refused: let the upstream go at once, and count."""
        self._let_go()
        trouble.drop_hidden(self)
        if status:
            self.status = status
        self._finish()

    # ------------------------------------------------------------------ the last step

    def _finish(self, *, broken: bool = False) -> None:
        """Every path ends here, once."""
        if not self._counted:
            return  # refused before it had a route
        self._counted = False
        witness.ended(self, broken=broken)
        plane = self.plane
        plane.active -= 1
        if self.repeating:
            self.repeating = False
            plane.repeats -= 1
        if self.trial:
            plane.trial_ended(self.entry, well=False)
        if self.tunnel is not None:
            plane.close_tunnel(self)
        if self._copy is not None:
            copy, self._copy = self._copy, None
            copy.ended(self, broken=broken)

    # ------------------------------------------------------------------ what it says about itself

    @property
    def entry(self) -> RouteEntry:
        """All that is known of its route, or of having none; far away in memory."""
        return self.snapshot.entry(self.index)

    @property
    def answering(self) -> bool:
        """Has the client seen some of an answer?"""
        return self.answer is not None

    def uses(self, connection: UpstreamConnection) -> bool:
        """Is that its connection now?  Asked by a call, since types do not know that it may have changed."""
        return self.connection is connection

    @property
    def side(self) -> Side:
        """Who is asked, or answered."""
        return _NEW if self.on_new else _LEGACY

    @property
    def shown(self) -> bool:
        """Is the client told which side answered?"""
        handling = self.handling
        return handling.shown or (handling.shown_to_trusted and self.client.trusted)

    @property
    def pool_key(self) -> str:
        """The endpoint that was asked last, for the access log."""
        return "" if self.pool is None else self.pool.key

    @property
    def written_place(self) -> str:
        """The endpoint that was asked last, as its counters are named."""
        return "" if self.pool is None else self.pool.written

    def cut_tunnel(self) -> None:
        """A rolled-back tunnel's time is over."""
        self.plane.bump(WorkerSlot.TUNNELS_CLOSED_BY_ROLLBACK)
        self.client.close()

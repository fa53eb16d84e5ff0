"""The walk of one request: from its head to the last byte of its answer.

    route and decide -> a connection -> the request goes out -> the answer's head -> its body -> the last step

An exchange stands between one client connection and, one at a time, upstream connections.  Both tell it what happened;
it decides nothing that `router.core` decides: `Matcher.find`, `subject`, `bucket`, `decide` and the rules of
`attempt` are called at one place each.  Whatever happens, `_finish` runs exactly once and counts.

Requests and answers stream: what arrives on one side is written to the other at once, and whoever cannot keep up
makes the other side's reading pause.  Only two things are ever kept: the head and the beginning of a request's body
(`limits.replay`), while it may have to be sent again, and the head of an answer that a fallback hides.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, Final, final

from router.core.attempt import IDEMPOTENT, MAX_TRIES, SAFE, Next, Stage, Try, after_failure, after_status
from router.core.decide import NO_SUBJECT, PREFLIGHT, Reason, decide, place_at_site
from router.core.headers import BadField, bare_host, tokens, without
from router.core.model import PPM, DotRule, Side, Source
from router.core.split import bucket, subject
from router.core.template import has_dots, normalise
from router.planes.embedded.answers import STAGE_CODES, stage_detail
from router.planes.embedded.bodies import LAST_CHUNK, ChunkedReader, chunk, last_chunk
from router.planes.embedded.heads import BARE_LF, CHUNKED, UNTIL_CLOSE, Answer, Refused, Request, parse_answer
from router.telemetry import (
    CODE_CLASSES,
    DURATION_BOUNDS,
    REASON_SLOTS,
    EndpointBlock,
    ErrorCode,
    RouteBlock,
    WorkerSlot,
)

if TYPE_CHECKING:
    from router.core.places import Placing
    from router.planes.embedded.census import Watch
    from router.planes.embedded.client import ClientConnection
    from router.planes.embedded.mirror import Copy
    from router.planes.embedded.plane import Plane
    from router.planes.embedded.pools import Destination, EndpointPool
    from router.planes.embedded.snapshot import RouteEntry, Snapshot
    from router.planes.embedded.tape import Tape
    from router.planes.embedded.upstream import UpstreamConnection

_GET: Final = b"GET"
_HEAD: Final = b"HEAD"
_OPTIONS: Final = b"OPTIONS"
_WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
"""Methods whose requests say that they have no body (RFC 9110 section 8.6)."""
_LEGACY: Final = Side.LEGACY
_NEW: Final = Side.NEW
_WEIGHT: Final = Reason.WEIGHT
_ANY: Final = ("GET",)
_LEGACY_LABEL: Final = b"X-Strangler-Side: legacy"
_NEW_LABEL: Final = b"X-Strangler-Side: new"

_IN_FLIGHT: Final = int(RouteBlock.IN_FLIGHT)
_SIDE_REQUESTS: Final = int(RouteBlock.SIDE_REQUESTS)
_DURATIONS: Final = int(RouteBlock.DURATIONS)
_USUAL: Final = int(RouteBlock.USUAL)
_WELL: Final = CODE_CLASSES.index("2xx")
_BY_WEIGHT: Final = int(Reason.WEIGHT)
_SIDE: Final = int(RouteBlock.SIDE)
_REASON_SLOTS: Final = int(REASON_SLOTS)
_BAD_GATEWAYS: Final = frozenset({502, 503, 504})
"""Statuses that speak of the endpoint rather than of the request."""
_ITS_FAILURES: Final = frozenset({502, 504})
"""What the client is told of a side that gave no answer."""
_NOT_DRAWN: Final = frozenset({int(Reason.OVERRIDE), int(Reason.FALLBACK), int(Reason.NO_SUBJECT)})
"""Requests that legacy had, though not as one of those that the share left to it."""


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
    site: str = ""
    """Where the endpoint is, if its upstream names its places."""
    tunnel: bool = False

    _prepared: bool = False
    _counted: bool = False
    """In the gauges, and not yet in the counters."""

    _connection: UpstreamConnection | None = None
    _pool: EndpointPool | None = None
    """Where the connection came from, or is to come from."""
    _tries: int = 0
    """On this side, not counting those that met a stale connection."""
    _stales: int = 0
    _tried: tuple[EndpointPool, ...] = ()
    _repeating: bool = False
    _stale_possible: bool = False
    """The connection has served before, so the upstream may just have closed it."""
    _sent: bool = False
    _held: tuple[UpstreamConnection, Answer, bytes, int] | None = None
    """An answer of the new side that a fallback hides, and all it takes to deliver it after all."""

    _copy: Copy | None = None
    """What is to be told of this exchange, where it is copied to the other side."""
    _judged: bool = False
    """The first try has failed, and is known to have."""
    _trial: bool = False
    """It tries the new side of a route whose breaker has tripped."""

    _body: list[bytes] | None = None
    """What came of the body, as it is sent: all of it while it can be sent again, else what waits for a connection."""
    _body_kept: int = 0
    """Bytes in `_body`."""
    _body_size: int = 0
    _body_left: int = 0
    _body_reader: ChunkedReader | None = None
    _replayable: bool = True
    request_done: bool = True
    """The whole request has come in."""

    _answer: Answer | None = None
    _answer_left: int = 0
    _answer_reader: ChunkedReader | None = None
    _chunk_answer: bool = False
    """The answer is framed in chunks towards the client."""
    _head_buffer: bytes = b""
    _seen_answer: bool = False
    _interims: int = 0
    _unsent: int = 0
    """What the client had not taken when its buffer was looked at last."""

    _tunnel_client_eof: bool = False
    _tunnel_upstream_eof: bool = False

    def __init__(self, client: ClientConnection, plane: Plane, request: Request) -> None:
        self._client = client
        self.plane = plane
        self.request = request
        self.started = perf_counter()
        self.snapshot: Snapshot = plane.snapshot
        self.keep_alive: bool = request.keep_alive
        self.request_id: bytes = request.request_id or plane.next_request_id()
        self.entry: RouteEntry = self.snapshot.unlisted
        length = request.length
        if length:
            self.request_done = False
            self._body_left = length
            if length == CHUNKED:
                self._body_reader = ChunkedReader(self.snapshot.settings.limits)

    # ------------------------------------------------------------------ route and decide

    def start(self) -> None:
        """Find the route, decide the side, and ask for a connection.  Raises `Refused` for an unroutable path."""
        self.prepare()
        self._dispatch()
        if self.entry.watch is not None:
            self._note_client(self.entry.watch)

    def prepare(self) -> None:
        """Everything of `start` that needs no connection; harmless to do twice."""
        if self._prepared:
            return
        snapshot = self.snapshot
        entry = self.entry = self._find(snapshot)
        if not entry.unlisted:
            side, reason = self._decide(snapshot, entry)
            self.on_new = side is _NEW
            self.reason = int(reason)
        plane = self.plane
        plane.active += 1
        slots = plane.counters.slots
        slots[entry.block + _IN_FLIGHT + self.on_new * _SIDE] += 1
        self._counted = self._prepared = True
        if entry.shadow is not None and plane.mirror is not None:
            self._copy = plane.mirror.offer(self)

    def _find(self, snapshot: Snapshot) -> RouteEntry:
        request = self.request
        path = request.target.partition(b"?")[0]
        if path[:1] != b"/":
            return snapshot.unlisted
        if b"%" in path or not path.isascii():
            path = normalise(path)
        segments = path[1:].split(b"/")
        if b"/." in path and has_dots(segments):
            if snapshot.settings.dot_segments is DotRule.REFUSE:
                raise Refused(400, ErrorCode.BAD_REQUEST, "the path has dot segments; send the path they resolve to")
            return snapshot.unlisted
        method = request.method
        also = None
        if method == _HEAD:
            also = _GET
        elif method == _OPTIONS:
            also = self._preflight_for()
        matcher = snapshot.matcher
        host = bare_host(request.host) if matcher.hosts and request.host else b""
        return matcher.find(host, segments, method, also) or snapshot.unlisted

    def _preflight_for(self) -> bytes | None:
        """The method that a CORS preflight asks about, else None."""
        asked = origin = None
        for line in self.request.lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"access-control-request-method":
                asked = value.strip(b" \t")
            elif name == b"origin":
                origin = value
        return asked if origin is not None else None

    def _decide(self, snapshot: Snapshot, entry: RouteEntry) -> tuple[Side, Reason]:
        request = self.request
        index = entry.index
        share = snapshot.shares[index]
        live = snapshot.live[index]
        override = None
        if request.override:
            override = self._override(entry)
        drawn = NO_SUBJECT
        if share > 0 and live < PPM:
            if request.method == _OPTIONS and self._preflight_for() is not None:
                drawn = PREFLIGHT
            elif (found := self._subject(entry)) is not None:
                drawn = bucket(found, entry.handling.seed)
            self.drawn = drawn
        side, reason = decide(share, live, snapshot.causes[index], override, drawn)
        if entry.tripped and reason is _WEIGHT and side is _NEW:
            return self._past_the_breaker(entry)
        return side, reason

    def _past_the_breaker(self, entry: RouteEntry) -> tuple[Side, Reason]:
        """Legacy, but for one safe request now and then that tries whether the new side is well again."""
        safe = self.request.method in SAFE or not SAFE.intersection(map(str.encode, entry.route.methods or _ANY))
        if self.plane.may_try_again(entry, safe=safe):
            self._trial = True
            return _NEW, _WEIGHT
        return _LEGACY, Reason.BREAKER

    def _override(self, entry: RouteEntry) -> Side | None:
        request = self.request
        wanted = request.override
        if not (self._client.trusted or self.plane.permits_override(request)):
            return None
        if wanted == b"legacy":
            return _LEGACY
        return _NEW if wanted == b"new" and entry.handling.destinations[_NEW] is not None else None

    def _subject(self, entry: RouteEntry) -> bytes | None:
        request = self.request
        found = subject(entry.handling.chain, request.named, self._client.subject_address(request), self.request_id)
        return None if found is None else found[0]

    def _client_of_route(self) -> tuple[bytes, bool]:
        """Who this is to whoever judges the sides: the subject, else the address; and is it another one each time?"""
        request = self.request
        address = self._client.subject_address(request)
        found = subject(self.entry.handling.chain, request.named, address, self.request_id)
        return (address, False) if found is None else (found[0], found[1].source is Source.RANDOM)

    def _under(self, watch: Watch) -> bool:
        """Is this evidence for the watched share?"""
        snapshot = self.snapshot
        drawn = self.reason == _WEIGHT or (self.reason == Reason.FALLBACK and not self.on_new)
        return drawn and snapshot.revision >= watch.revision and snapshot.shares[self.entry.index] == watch.share

    def _note_client(self, watch: Watch) -> None:
        """A request of a watched route is on its way."""
        if not self._under(watch):
            return
        entry, snapshot = self.entry, self.snapshot
        on_new = self.on_new or self.reason != _WEIGHT
        fair = snapshot.live[entry.index] == watch.share and not entry.tripped and not snapshot.held_sites
        client, _ = self._client_of_route()
        watch.began(self.plane.counters.slots, entry.block, client, on_new=on_new, fair=fair)

    def _note_end(self, watch: Watch, bucket: int, *, broken: bool) -> None:
        """A request of a watched route was slow, or all of them are taped."""
        if watch.tape is not None and not self.on_new:
            self._note_answer(watch.tape, bucket, broken=broken)
        if self.reason == _WEIGHT and self._under(watch):
            client, by_chance = self._client_of_route()
            slots, block = self.plane.counters.slots, self.entry.block
            watch.slow(slots, block, client, bucket, time(), on_new=self.on_new, by_chance=by_chance)

    def _note_answer(self, tape: Tape, bucket: int, *, broken: bool) -> None:
        """What legacy has made of a request that a share might draw; what we refused ourselves is no outcome."""
        known = self._answer is not None or self.status in _ITS_FAILURES
        preflight = self.request.method == _OPTIONS and self._preflight_for() is not None
        client = self._subject(self.entry)
        if not known or preflight or client is None or self.reason in _NOT_DRAWN:
            return
        failed = broken or self.status >= 500 or self._tries > 1
        if not tape.put(client, bucket, self.plane.wheel.now, failed=failed):
            self.plane.tape(None)

    # ------------------------------------------------------------------ a connection

    def _dispatch(self) -> None:
        """Take an idle connection or wait for one."""
        entry = self.entry
        destination = entry.handling.destinations[1 if self.on_new else 0]
        if destination is None:  # never: without a new side the share is 0
            destination = entry.handling.destinations[0]
        plane = self.plane
        pools = destination.only
        placing = self.snapshot.placing(entry) if self.snapshot.unlisted_placing is not None else None
        if placing is not None:
            if placing.refuses(self.side):
                self._client.refuse(Refused(503, ErrorCode.NO_PLACE, "no place may answer this request"))
                return
            if pools is None:
                pools = self._site_pools(destination, placing)
        if pools is None:  # `_site_pools` has moved us to legacy
            self._dispatch()
            return
        pool = pools[0] if len(pools) == 1 else destination.choose(pools, plane.wheel.now, self._tried)
        self._pool = pool
        self._tries += 1
        connection = pool.get()
        if connection is not None:
            self.connected(connection, fresh=False)
        elif pool.wait(self):
            client = self._client
            client.wait_until(plane.wheel.now + entry.handling.connect_timeout + 0.2)
        else:
            self.failed(Stage.OVERLOAD)

    def _site_pools(self, destination: Destination, placing: Placing) -> list[EndpointPool] | None:
        """The endpoints of this subject's site; None when the new side has none for it, and legacy is asked instead."""
        key = self._subject(self.entry) or self.request_id
        held = self.snapshot.held_sites
        site, moved = place_at_site(self.side, placing, key, self.entry.handling.site_seed, held)
        if moved is not None:
            self._move_to(_LEGACY, int(moved))
            return None
        now = self.plane.wheel.now
        found = destination.elsewhere(site, self._open_sites(placing), now, self._tried)
        if found is not None:
            site = next(name for name, pools in destination.sites.items() if pools is found)
        self.site = site
        return destination.sites[site]

    def _open_sites(self, placing: Placing) -> list[str]:
        """The sites that may take over for another one."""
        if not self.on_new:
            return [name for name, part in placing.legacy if part]
        held = self.snapshot.held_sites
        return [name for name, part in placing.new if part and name not in held]

    def _move_to(self, side: Side, reason: int) -> None:
        slots = self.plane.counters.slots
        block = self.entry.block + _IN_FLIGHT
        slots[block + self.on_new * _SIDE] -= 1
        self.on_new = side is _NEW
        self.reason = reason
        slots[block + self.on_new * _SIDE] += 1
        self._tries = 0
        self._tried = ()

    def connected(self, connection: UpstreamConnection, *, fresh: bool) -> None:
        """A connection is ours: send the head and what there is of the body, in one write."""
        connection.exchange = self
        self._connection = connection
        self._stale_possible = not fresh
        self._sent = True
        self._seen_answer = False
        self._head_buffer = b""
        plane = self.plane
        connection.pool.requests += 1
        request = self.request
        lines = [request.first_line]
        lines += request.lines
        lines += self._client.forwarding_lines(request)
        if not request.request_id:
            lines.append(b"X-Request-Id: " + self.request_id)
        if not request.sized and request.method in _WITH_BODY:
            lines.append(b"Content-Length: 0")
        if request.upgrade:
            lines.append(b"Connection: Upgrade\r\nUpgrade: " + request.upgrade)
        elif request.trailers_wanted:
            lines.append(b"Connection: TE\r\nTE: trailers")
        if not request.host:
            lines.append(b"Host: " + connection.pool.endpoint.authority.encode())
        lines.append(b"")
        if self._body is not None:
            lines.append(b"".join(self._body))
            self._forget_body_if_long()
        else:
            lines.append(b"")
        connection.transport.write(b"\r\n".join(lines))
        client = self._client
        limits = self.snapshot.settings.limits
        if self.request_done:
            client.wait_until(plane.wheel.now + self.entry.handling.head_timeout)
        else:
            client.wait_until(plane.wheel.now + limits.body_stall)
            client.resume_reading()

    # ------------------------------------------------------------------ the request's body

    def client_data(self, data: bytes) -> bytes:
        """Pass on what belongs to the body; gives back what lies behind it.  Raises `Refused`."""
        surplus = b""
        if self._body_reader is None:
            left = self._body_left
            if len(data) > left:
                data, surplus = data[:left], data[left:]
            self._body_left = left - len(data)
            self._body_size += len(data)
            wire = data
            done = self._body_left == 0
        else:
            wire, done, surplus = self._chunked_body(self._body_reader, data)
        limit = self.snapshot.settings.limits.max_body
        if self._body_size > limit:
            raise Refused(413, ErrorCode.BODY_TOO_LARGE, f"the body is longer than {limit} bytes")
        if wire:
            self._send_body(wire)
        if done:
            self.request_done = True
            if self._copy is not None:
                self._copy.request_complete()
            if self._answer is None and self._connection is not None:
                self._client.wait_until(self.plane.wheel.now + self.entry.handling.head_timeout)
        elif self._answer is None and self._connection is not None:
            self._client.wait_until(self.plane.wheel.now + self.snapshot.settings.limits.body_stall)
        return surplus

    def _chunked_body(self, reader: ChunkedReader, data: bytes) -> tuple[bytes, bool, bytes]:
        try:
            pieces = reader.feed(data)
        except BadField as bad:
            raise Refused(400, ErrorCode.BAD_REQUEST, str(bad)) from None
        wire = b""
        if pieces:
            whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._body_size += len(whole)
            wire = chunk(whole)
        if reader.done:
            wire += last_chunk(reader.trailers)
        return wire, reader.done, reader.surplus

    def _send_body(self, wire: bytes) -> None:
        if self._copy is not None:
            self._copy.request_data(wire)
        connection = self._connection
        if self._replayable or connection is None:
            if self._body is None:
                self._body = []
            self._body.append(wire)
            self._body_kept += len(wire)
        if connection is not None:
            self._forget_body_if_long()
            connection.transport.write(wire)
        elif self._body_kept > self.snapshot.settings.limits.buffer:
            self._client.pause_reading()

    def _forget_body_if_long(self) -> None:
        """Past the replay limit, or once the answer has begun, the body cannot be sent again."""
        if self._answer is not None or self._body_kept > self.snapshot.settings.limits.replay:
            self._forget_body()

    def _forget_body(self) -> None:
        self._replayable = False
        self._body = None
        self._body_kept = 0

    def upstream_full(self) -> None:
        """The upstream does not keep up with the request."""
        self._client.pause_reading()

    def upstream_drained(self) -> None:
        """The upstream takes more of the request."""
        self._client.resume_reading()

    # ------------------------------------------------------------------ the answer's head

    def upstream_data(self, data: bytes) -> None:
        """Bytes from the upstream that holds this exchange."""
        if self.tunnel:
            self._client.transport.write(data)
            self._tunnel_moved()
        elif self._answer is None:
            self._seen_answer = True
            self._answer_head(data)
        else:
            self._answer_body(data)

    def _answer_head(self, data: bytes) -> None:
        if self._head_buffer:
            data = self._head_buffer + data
            self._head_buffer = b""
        limits = self.snapshot.settings.limits
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0 or end > limits.head:
                self._partial_head(data, too_long=len(data) > limits.head)
                return
            try:
                answer = parse_answer(data[:end], self.plane.memory, limits, self.request.method)
            except BadField as bad:
                self.failed(Stage.PROTOCOL, str(bad))
                return
            rest = data[end + 4 :]
            if answer.status >= 200:
                self._final_head(answer, rest)
                return
            if answer.status == 101:
                self._switch(answer, rest)
                return
            self._interims += 1
            if self._interims > limits.interim:
                self.failed(Stage.PROTOCOL, "too many interim answers")
                return
            self._pass_interim(answer)
            if not rest:
                return
            data = rest

    def _partial_head(self, data: bytes, *, too_long: bool) -> None:
        if too_long:
            self.failed(Stage.PROTOCOL, "the head of the answer is too long")
        elif BARE_LF.search(data):
            self.failed(Stage.PROTOCOL, "a bare CR or LF in the head of the answer")
        else:
            self._head_buffer = data

    def _pass_interim(self, answer: Answer) -> None:
        """1xx goes to HTTP/1.1 clients only (RFC 9110 section 15.2)."""
        if self.request.minor:
            self._client.transport.write(b"\r\n".join((answer.status_line, *answer.lines, b"", b"")))
        self._client.wait_until(self.plane.wheel.now + self.entry.handling.head_timeout)

    def _final_head(self, answer: Answer, rest: bytes) -> None:
        """The head is whole: it is judged, and is passed on unless a fallback hides it."""
        if self._pool is not None:
            self._pool.answers += 1
        if answer.status >= 500 or self._trial:
            self._judge_answer(answer.status)
        hidden = self.on_new and answer.status in self.entry.handling.fallback_statuses
        if hidden and self._fall_back_from(answer, rest):
            return
        if self._held is not None:
            self._drop_held()
        self._begin_answer(answer, rest)

    def _begin_answer(self, answer: Answer, rest: bytes) -> None:
        entry = self.entry
        self._answer = answer
        self.status = answer.status
        copy = self._copy
        if copy is not None:
            copy.head(answer)
        client = self._client
        plane = self.plane
        lines = [answer.status_line]
        lines += answer.lines
        length = answer.length
        self._frame_answer(answer, lines)
        if not answer.dated:
            lines.append(plane.date_line)
        if entry.handling.shown or self.shown:
            lines.append(_NEW_LABEL if self.on_new else _LEGACY_LABEL)
            lines.append(entry.label)
        lines.append(b"X-Request-Id: " + self.request_id)
        self._say_how_it_ends(lines)
        lines.append(b"")
        if length == len(rest) and not self._chunk_answer:  # the common case: all of it is here
            lines.append(rest)
            client.transport.write(b"\r\n".join(lines))
            if copy is not None:
                copy.data(rest)
            self._complete(b"")
            return
        lines.append(b"")
        self._answer_left = length
        if length == CHUNKED:
            self._answer_reader = ChunkedReader(self.snapshot.settings.limits)
        client.transport.write(b"\r\n".join(lines))
        self._forget_body()
        client.wait_until(plane.wheel.now + entry.handling.idle_timeout)
        if length == 0:
            self._complete(rest)
        elif rest:
            self._answer_body(rest)

    def _judge_answer(self, status: int) -> None:
        """What a bad answer, or any to a trial, says about the endpoint and about this API."""
        connection = self._connection
        if status in _BAD_GATEWAYS and connection is not None:
            self.plane.counters.slots[connection.pool.block + EndpointBlock.BAD_GATEWAYS] += 1
        if status >= 500:
            self._first_failure()
        elif self._trial:
            self._trial = False
            self.plane.trial_ended(self.entry, well=True)

    def _first_failure(self) -> None:
        """The first try has failed: those who judge the sides hear of it, once, and the new side's breaker."""
        if self._judged or self.reason != _WEIGHT:
            return
        self._judged = True
        trial, self._trial = self._trial, False
        entry, snapshot = self.entry, self.snapshot
        client, _ = self._client_of_route()
        self.plane.failures.put(
            entry.name,
            client,
            self.request_id,
            on_new=self.on_new,
            share=snapshot.shares[entry.index],
            revision=snapshot.revision,
        )
        if self.on_new:
            self.plane.new_side_failed(entry, trial=trial)

    def _frame_answer(self, answer: Answer, lines: list[bytes]) -> None:
        """The line that tells the client where the body ends; HTTP/1.0 knows no chunks, so there the end tells."""
        if answer.length >= 0:
            return  # a Content-Length stands among the lines
        if self.request.minor:
            self._chunk_answer = True
            if answer.length == UNTIL_CLOSE:
                lines.append(b"Transfer-Encoding: chunked")
        else:
            self.keep_alive = False
            if answer.length == CHUNKED:
                lines[:] = without(lines, {b"transfer-encoding"})

    def _say_how_it_ends(self, lines: list[bytes]) -> None:
        """Decide whether the client may send another request on this connection, and say so."""
        limit = self.snapshot.settings.limits.keepalive_requests
        if not self.request_done or self.plane.draining or self._client.requests >= limit:
            self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"Connection: close")
        elif not self.request.minor:
            lines.append(b"Connection: keep-alive")

    # ------------------------------------------------------------------ the answer's body

    def _answer_body(self, data: bytes) -> None:
        if self._copy is not None:
            self._copy.data(data)
        client = self._client
        client.wait_until(self.plane.wheel.now + self.entry.handling.idle_timeout)
        if self._answer_reader is not None:
            self._chunked_answer(self._answer_reader, data)
            return
        left = self._answer_left
        if left == UNTIL_CLOSE:
            client.transport.write(chunk(data) if self._chunk_answer else data)
            return
        if len(data) < left:
            self._answer_left = left - len(data)
            client.transport.write(data)
            return
        surplus = data[left:]
        client.transport.write(data[:left] if surplus else data)
        self._complete(surplus)

    def _chunked_answer(self, reader: ChunkedReader, data: bytes) -> None:
        try:
            pieces = reader.feed(data)
        except BadField as bad:
            self.failed(Stage.PROTOCOL, str(bad))
            return
        wire = b""
        if pieces:
            whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            wire = chunk(whole) if self._chunk_answer else whole
        if reader.done and self._chunk_answer:
            wire += last_chunk(reader.trailers)
        if wire:
            self._client.transport.write(wire)
        if reader.done:
            self._complete(reader.surplus)

    def client_full(self) -> None:
        """The client does not keep up with the answer."""
        if self._connection is not None:
            self._connection.transport.pause_reading()
        self._await_client()

    def _await_client(self) -> None:
        self._unsent = self._client.unsent()
        self._client.wait_until(self.plane.wheel.now + self.snapshot.settings.limits.send_stall)

    def client_drained(self) -> None:
        """The client takes more of the answer."""
        if self._connection is not None:
            self._connection.transport.resume_reading()
        if self.tunnel:
            self._tunnel_moved()
        else:
            self._client.wait_until(self.plane.wheel.now + self.entry.handling.idle_timeout)

    def _complete(self, surplus: bytes) -> None:
        """The answer is whole.  The connection is fit for another exchange only if the request was sent whole too."""
        connection, self._connection = self._connection, None
        answer = self._answer
        if connection is not None and answer is not None:
            fit = answer.keep_alive and self.request_done and not surplus and answer.length != UNTIL_CLOSE
            if fit and not connection.closed:
                connection.release()
            else:
                connection.close()
        self._finish()
        self._client.answered(self)

    # ------------------------------------------------------------------ WebSocket

    def _switch(self, answer: Answer, rest: bytes) -> None:
        """101: from here on bytes go through as they are, those that came with it included."""
        wanted = self.request.upgrade.lower()
        if not wanted or tokens([answer.upgrade]) != [wanted]:
            self.failed(Stage.PROTOCOL, "the upstream switched protocols unasked")
            return
        if not self.plane.open_tunnel(self):
            self.failed(Stage.OVERLOAD)
            return
        client = self._client
        self._answer = answer
        self.status = 101
        self.keep_alive = False
        lines = [answer.status_line, *answer.lines, b"Connection: Upgrade", b"Upgrade: " + answer.upgrade]
        if self.shown:
            lines.append(self.exposed_label())
        lines += [b"X-Request-Id: " + self.request_id, b"", rest]
        self.tunnel = True
        client.transport.write(b"\r\n".join(lines))
        self._tunnel_moved()
        client.tunnelled(self)

    def tunnel_data(self, data: bytes) -> None:
        """Bytes from the client of a tunnel."""
        if self._connection is not None:
            self._connection.transport.write(data)
            self._tunnel_moved()

    def _tunnel_moved(self) -> None:
        """A tunnel may idle for long; one of whose ends has said its last, only as long as a body may stall."""
        limits = self.snapshot.settings.limits
        half = self._tunnel_client_eof or self._tunnel_upstream_eof
        self._client.wait_until(self.plane.wheel.now + (limits.body_stall if half else limits.tunnel_idle))

    def tunnel_client_eof(self) -> None:
        """The client has said its last; the upstream may go on."""
        self._tunnel_client_eof = True
        self._tunnel_moved()
        if self._connection is None or self._tunnel_upstream_eof:
            self._client.close()
        else:
            self._connection.transport.write_eof()

    # ------------------------------------------------------------------ trouble

    def upstream_eof(self) -> bool:
        """The upstream has said its last.  True keeps the other direction open."""
        if self.tunnel:
            self._tunnel_upstream_eof = True
            self._tunnel_moved()
            if self._tunnel_client_eof:
                self._client.close()
                return False
            self._client.transport.write_eof()
            return True
        if self._answer is not None and self._answer_left == UNTIL_CLOSE:
            if self._chunk_answer:
                self._client.transport.write(LAST_CHUNK)
            self._complete(b"")
        return False

    def upstream_lost(self, connection: UpstreamConnection, error: Exception | None) -> None:
        """The connection is gone, and we had not finished with it."""
        if connection is not self._connection:
            return  # a hidden answer's connection: `_deliver_held` will see that it is closed
        if self.tunnel:
            self._connection = None
            if error is None:
                self._client.close()
            else:
                self._client.reset()
            return
        if self._answer is not None:
            self.failed(Stage.BODY)
        else:
            self.failed(Stage.HEAD if self.request_done else Stage.SEND)

    def expired(self) -> None:
        """The deadline of what this exchange waits for has passed."""
        client = self._client
        if self.tunnel:
            client.close()
        elif self._connection is None:
            pool = self._pool
            self.failed(Stage.CONNECT if pool is not None and pool.connecting else Stage.OVERLOAD)
        elif self._answer is not None:
            if client.write_paused:
                self._client_stalled()
            else:
                self.failed(Stage.BODY)
        elif self.request_done or self._connection.write_paused:
            self.failed(Stage.TIMEOUT)
        else:
            self.plane.bump(WorkerSlot.BODY_STALLS)
            client.refuse(Refused(408, ErrorCode.BODY_STALL, "the request's body stopped coming"))

    def _client_stalled(self) -> None:
        """The client has not drained its buffer in time; if it took anything at all, it gets as much time again."""
        if self._client.unsent() < self._unsent:
            self._await_client()
        else:
            self.plane.bump(WorkerSlot.SEND_STALLS)
            self._client.reset()

    def failed(self, stage: Stage, detail: str = "") -> None:
        """A try has failed: count it, and do what the rule says."""
        pool = self._pool
        if pool is not None:
            self.plane.counters.slots[pool.block + EndpointBlock.ERRORS + stage] += 1
        connection = self._let_go()
        answered = self._answer is not None
        stale = self._stale_possible and not self._seen_answer and stage in {Stage.HEAD, Stage.SEND} and connection
        stale = stale and self._stales < MAX_TRIES
        what = Try(
            side=self.side,
            tries=self._tries,
            repeatable=self.request.method in IDEMPOTENT or self.entry.handling.idempotent,
            replayable=self._replayable,
            delivered=self._sent,
            answered=answered,
            stale=bool(stale),
            in_budget=self._repeating or self.plane.in_budget(),
            other_endpoint=self._other_endpoint(),
            fallback=self.entry.handling.fallback,
        )
        if not what.stale and stage is not Stage.OVERLOAD:
            self._first_failure()
        if answered:
            self._cut()
            return
        found = after_failure(stage, what)
        if found is Next.TELL and after_failure(stage, replace(what, in_budget=True)) is not Next.TELL:
            self.plane.bump(WorkerSlot.BUDGET_REFUSALS)
        match found:
            case Next.AGAIN:
                self._again(stale=what.stale)
            case Next.FALLBACK:
                self._fall_back(stage)
            case Next.TELL:
                if self._held is not None:
                    self._deliver_held()
                else:
                    if stage is Stage.OVERLOAD and not self._judged and self.reason == _WEIGHT:
                        ours = self.entry.block + RouteBlock.OURS + self.on_new * _SIDE
                        self.plane.counters.slots[ours] += 1
                    self._client.refuse(Refused(stage.status, STAGE_CODES[stage], detail or stage_detail(stage)))

    def _let_go(self) -> bool:
        """Drop the connection or the place in the line; was there a connection?"""
        connection, self._connection = self._connection, None
        if connection is not None:
            if not connection.closed:
                connection.abort()
            return True
        if self._pool is not None:
            self._pool.leave(self)
        return False

    def _other_endpoint(self) -> bool:
        pool = self._pool
        if pool is None:
            return False
        destination = self.entry.handling.destinations[1 if self.on_new else 0]
        tried = self._tried = (*self._tried, pool)
        if destination is None:
            return False
        placing = self.snapshot.placing(self.entry)
        sites = [self.site] if placing is None or destination.only is not None else self._open_sites(placing)
        return any(other not in tried for site in sites for other in destination.sites.get(site, ()))

    def _again(self, *, stale: bool) -> None:
        plane = self.plane
        if stale:
            plane.bump(WorkerSlot.STALE_RETRIES)
            self._stales += 1
            self._tried = self._tried[:-1]
        else:
            self._count_repeat()
            if self.on_new and self._tries == 1:
                plane.counters.slots[self.entry.block + RouteBlock.SIDE + RouteBlock.REPEATED] += 1
        self._sent = False
        pool = self._pool
        if stale and pool is not None:
            # What else is idle there is probably as dead: ask for a connection of its own.
            if pool.wait(self):
                self._client.wait_until(plane.wheel.now + self.entry.handling.connect_timeout + 0.2)
            else:
                self.failed(Stage.OVERLOAD)
            return
        self._dispatch()

    def _count_repeat(self) -> None:
        """Every repeat is counted; only what was delivered before counts against the budget."""
        self.plane.bump(WorkerSlot.RETRIES)
        if self._sent and not self._repeating:
            self._repeating = True
            self.plane.repeats += 1

    def _fall_back(self, cause: int) -> None:
        self.plane.counters.slots[self.entry.block + RouteBlock.FALLBACKS + cause] += 1
        self._count_repeat()
        self._sent = False
        self._move_to(_LEGACY, Reason.FALLBACK)
        self._dispatch()

    def _fall_back_from(self, answer: Answer, rest: bytes) -> bool:
        """Hide a bad answer of the new side if the rule allows; it is kept until legacy has a better one."""
        what = Try(
            side=self.side,
            tries=self._tries,
            repeatable=self.request.method in IDEMPOTENT or self.entry.handling.idempotent,
            replayable=self._replayable and self.request_done,
            delivered=True,
            in_budget=self._repeating or self.plane.in_budget(),
            fallback=self.entry.handling.fallback,
        )
        if after_status(answer.status, what) is not Next.FALLBACK:
            if after_status(answer.status, replace(what, in_budget=True)) is Next.FALLBACK:
                self.plane.bump(WorkerSlot.BUDGET_REFUSALS)
            return False
        connection, self._connection = self._connection, None
        if connection is None:
            return False
        connection.transport.pause_reading()
        self._held = (connection, answer, rest, self.reason)
        self._fall_back(RouteBlock.STATUS_CAUSE)
        return True

    def _drop_held(self) -> None:
        held, self._held = self._held, None
        if held is not None and not held[0].closed:
            held[0].abort()

    def _deliver_held(self) -> None:
        """Legacy could do no better: the client gets the original answer."""
        held, self._held = self._held, None
        if held is None:
            return
        connection, answer, rest, reason = held
        self._move_to(_NEW, reason)
        self._connection = connection
        self._pool = connection.pool
        connection.exchange = self
        self._begin_answer(answer, rest)
        if not self._uses(connection):
            return  # all of the answer was at hand
        if connection.closed:
            self.failed(Stage.BODY)
        else:
            connection.transport.resume_reading()

    def _uses(self, connection: UpstreamConnection) -> bool:
        return self._connection is connection

    def _cut(self) -> None:
        """The answer broke off: the client must be able to see it."""
        self._finish(broken=True)
        self._client.cut(clean_end_possible=self._answer_left < 0 and not self._chunk_answer)

    def abandon(self, status: int = 0) -> None:
        """The client is gone or was refused: let the upstream go at once, and count."""
        self._let_go()
        self._drop_held()
        if status:
            self.status = status
        self._finish()

    # ------------------------------------------------------------------ the last step

    def _finish(self, *, broken: bool = False) -> None:
        """Every path ends here, once."""
        if not self._counted:
            return  # refused before it had a route
        self._counted = False
        plane = self.plane
        entry = self.entry
        on_new = self.on_new
        took = perf_counter() - self.started
        slots = plane.counters.slots
        block = entry.block
        slots[block + _IN_FLIGHT + on_new * _SIDE] -= 1
        kind = self.status // 100
        if kind == _WELL and self.reason == _BY_WEIGHT:
            slots[block + _USUAL + on_new * _SIDE] += 1
        else:
            slots[block + on_new * _SIDE_REQUESTS + kind * _REASON_SLOTS + self.reason] += 1
        durations = block + _DURATIONS + on_new * _SIDE
        slots[durations] += int(took * 1_000_000)
        slots[durations + 1 + (bucket := bisect_left(DURATION_BOUNDS, took))] += 1
        if entry.watch is not None and bucket > entry.watch.fastest:
            self._note_end(entry.watch, bucket, broken=broken)
        plane.active -= 1
        if self._repeating:
            self._repeating = False
            plane.repeats -= 1
        if self._trial:
            plane.trial_ended(entry, well=False)
        if self.tunnel:
            plane.close_tunnel(self)
        if self._copy is not None:
            copy, self._copy = self._copy, None
            copy.ended(self, broken=broken)
        if plane.access_log is not None:
            plane.access_log.put(self, took, broken=broken)
        request = self.request
        if entry.unlisted and entry is plane.snapshot.unlisted:  # a newer table may have a route for it
            plane.unlisted.put(request.method, request.target, self.status)
        pool = self._pool
        index = entry.index
        shares: list[Any] = self.snapshot.shares  # Any: what lies there is passed on as it is
        plane.recent.put(
            self.request_id,
            request.method,
            request.target,
            entry.label,
            on_new,
            self.reason,
            self.drawn,
            shares[index] if index >= 0 else None,
            self.snapshot.number,
            pool.key if pool is not None else "",
            self.status,
            self.started,
            took,
            broken,
        )

    def forwarding_lines(self) -> list[bytes]:
        """The lines that tell an upstream where the request came from."""
        return self._client.forwarding_lines(self.request)

    @property
    def answering(self) -> bool:
        """Has the client seen some of an answer?"""
        return self._answer is not None

    def exposed(self) -> bytes:
        """The lines that tell the client who was asked, each with its CRLF; empty when it is not to know."""
        if not self._prepared or not self.shown:
            return b""
        return self.exposed_label() + b"\r\n"

    def exposed_label(self) -> bytes:
        """The lines that name side and route."""
        return (_NEW_LABEL if self.on_new else _LEGACY_LABEL) + b"\r\n" + self.entry.label

    @property
    def side(self) -> Side:
        """Who is asked, or answered."""
        return _NEW if self.on_new else _LEGACY

    @property
    def shown(self) -> bool:
        """Is the client told which side answered?"""
        entry = self.entry
        return entry.handling.shown or (entry.handling.shown_to_trusted and self._client.trusted)

    @property
    def client_address(self) -> str:
        """Who asked, for the access log."""
        return self._client.address_text

    @property
    def pool_key(self) -> str:
        """The endpoint that was asked last, for the access log."""
        return "" if self._pool is None else self._pool.key

    @property
    def written_place(self) -> str:
        """The endpoint that was asked last, as its counters are named."""
        return "" if self._pool is None else self._pool.written

    def cut_tunnel(self) -> None:
        """A rolled-back tunnel's time is over."""
        self.plane.bump(WorkerSlot.TUNNELS_CLOSED_BY_ROLLBACK)
        self._client.close()

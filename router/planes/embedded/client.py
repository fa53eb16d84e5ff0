"""The client side of the data plane: one connection, one request at a time, answers in order.

What a connection is doing is one `Mode`; the events of asyncio mean something else in each.  Requests that
come while one is being answered wait unparsed.  After a message that is not one unambiguous request nothing more
of the connection is interpreted: the client gets a status, its further bytes are thrown away, and the connection ends.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import Enum, auto
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Any, Final, final

from router.planes.embedded.answers import problem
from router.planes.embedded.deadlines import NEVER
from router.planes.embedded.exchange import Exchange
from router.planes.embedded.heads import BARE_LF, HEAD_END, Refused, Request, parse_request
from router.planes.embedded.writing import exposed
from router.telemetry import ErrorCode, WorkerSlot

if TYPE_CHECKING:
    from router.planes.embedded.plane import Plane
    from router.planes.embedded.tunnels import Tunnel


class Mode(Enum):
    """What a client connection is doing."""

    HEAD = auto()
    """Waiting for a request, or in the middle of its head."""
    BODY = auto()
    """The request is under way and more of its body is to come."""
    WAIT = auto()
    """The request is here; its answer is not complete."""
    TUNNEL = auto()
    DRAIN = auto()
    """Refused or cut short: what still comes is thrown away until the client has seen the answer."""
    CLOSED = auto()


_HEAD: Final = Mode.HEAD
_BODY: Final = Mode.BODY
_WAIT: Final = Mode.WAIT
_LINGER: Final = 1.0
"""Seconds for which a refused client may go on sending before it is cut off."""
_GLANCE: Final = 0.5
"""Seconds between two looks at a connection that is not being read from."""
_TCP_CLOSE: Final = 7
"""State of a connection that the peer has reset (linux/tcp_states.h)."""
_INT: Final = struct.Struct("i")
_NO_LINGER: Final = struct.pack("ii", 1, 0)
_PRIVATE: Final = frozenset({b"cookie", b"authorization", b"proxy-authorization"})


@final
class ClientConnection:
    """One TCP connection from a client; an asyncio protocol by shape rather than by name."""

    transport: asyncio.Transport

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._mode = _HEAD
        self._buffer = b""
        self._scanned = 0
        self._eof = False
        self._reading = True
        self._next_is_due = False
        self.write_paused = False
        self.exchange: Exchange | None = None
        self._tunnel: Tunnel | None = None
        self.requests = 0
        self.deadline = NEVER
        self.scheduled = NEVER
        self._due = NEVER
        self._address = b""
        self.address_text = ""
        self._trusted = False
        self._trusted_by: Any = None
        self._forward_host: bytes | None = None
        self._forward_lines: list[bytes] = []

    # ------------------------------------------------------------------ events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP transport is one
        peer = transport.get_extra_info("peername")
        self.address_text = peer[0] if peer else "unknown"
        self._address = self.address_text.encode()
        if not self._plane.admit(self):
            self._mode = Mode.DRAIN
            self.refuse(Refused(503, ErrorCode.OVERLOAD, "too many connections"))
            return
        self.wait_until(self._plane.wheel.now + self._plane.snapshot.limits.head_timeout)

    def data_received(self, data: bytes) -> None:
        mode = self._mode
        if mode is _HEAD:
            self._head(data)
        elif mode is _BODY:
            self._body(data)
        elif mode is _WAIT:
            self._buffer += data
            if len(self._buffer) > self._plane.snapshot.limits.buffer:
                self.pause_reading()
        elif mode is Mode.TUNNEL and self._tunnel is not None:
            self._tunnel.client_data(data)

    def eof_received(self) -> bool:
        """True keeps our sending side open: a client may close its own and still wait for the answer."""
        self._eof = True
        mode = self._mode
        if mode is _WAIT or self._next_is_due:
            self.wait_until(self._due)
            return True
        if mode is Mode.TUNNEL and self._tunnel is not None:
            self._tunnel.client_eof()
            return self._mode is Mode.TUNNEL
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._mode = Mode.CLOSED
        self._plane.wheel.forget(self)
        self._plane.gone(self)
        self._buffer = b""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            if self._tunnel is None:
                self._plane.bump(WorkerSlot.CLIENT_GONE)
            exchange.abandon()
        self._tunnel = None

    def pause_writing(self) -> None:
        self.write_paused = True
        if self.exchange is not None:
            self.exchange.client_full()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.exchange is not None:
            self.exchange.client_drained()

    def expired(self) -> None:
        """What this connection waits for has not come in time, or it is time to see whether the client is there."""
        if self._due > self._plane.wheel.now:
            if self._hung_up():
                self.transport.abort()
            else:
                self.wait_until(self._due)
        elif self._mode is _HEAD:
            self._head_expired()
        elif self.exchange is None:
            self.transport.abort()
        elif self._eof and self._mode is not Mode.TUNNEL:
            self.transport.abort()  # it closed its side and nothing has moved since: nobody is there
        else:
            self.exchange.expired()

    def _hung_up(self) -> bool:
        """Has the client reset the connection?  The kernel tells only those who read, or ask."""
        sock = self.transport.get_extra_info("socket")
        return sock is not None and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE

    def unsent(self) -> int:
        """Bytes of answers that the client has not acknowledged yet, ours and the kernel's."""
        size: int = self.transport.get_write_buffer_size()
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            size += int(_INT.unpack(ioctl(sock.fileno(), TIOCOUTQ, bytes(_INT.size)))[0])
        return size

    # ------------------------------------------------------------------ requests

    def _head(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if data.startswith(b"\r\n"):  # one empty line before a request is forgiven (RFC 9112 section 2.2)
            data = data[2:]
            self._scanned = 0
        if self._scanned and data.find(HEAD_END, self._scanned) < 0:  # what was looked at is not looked at again
            self._partial_head(data)
            return
        head, end, rest = data.partition(HEAD_END)
        snapshot = self._plane.snapshot
        if not end or len(head) > snapshot.limits.head:
            self._partial_head(data)
            return
        self._scanned = 0
        try:
            request = parse_request(
                head, self._plane.memory, snapshot.limits, non_ascii_target=snapshot.non_ascii_target
            )
            self._begin(request, rest)
        except Refused as refused:
            self.refuse(refused)

    def _begin(self, request: Request, rest: bytes) -> None:
        """The head is complete: an exchange begins, with whatever came along of the body."""
        self.requests += 1
        if request.last_hop:
            self._answer_last_hop(request, rest)
            return
        exchange = self.exchange = Exchange(self, self._plane, request)
        if exchange.request_done:
            self._mode = _WAIT
            self._buffer = rest
            exchange.start()
            return
        self._mode = _BODY
        exchange.prepare()
        if rest:
            self._body(rest)
        if self._serves(exchange):  # a bad body may have ended it already
            exchange.start()

    def _serves(self, exchange: Exchange) -> bool:
        return self.exchange is exchange

    def _body(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        try:
            surplus = exchange.client_data(data)
        except Refused as refused:
            self.refuse(refused)
            return
        if exchange.request_done and self._mode is _BODY:
            self._mode = _WAIT
            self._buffer = surplus

    def _partial_head(self, data: bytes) -> None:
        """Not a whole head yet: refuse early what can never become one."""
        limits = self._plane.snapshot.limits
        if BARE_LF.search(data, max(self._scanned - 1, 0)):
            self.refuse(Refused(400, ErrorCode.BAD_REQUEST, "a bare CR or LF in the head of the request"))
            return
        line_end = data.find(b"\r\n")
        if (line_end if line_end >= 0 else len(data)) > limits.request_line:
            detail = f"the request line is longer than {limits.request_line} bytes"
            self.refuse(Refused(414, ErrorCode.TARGET_TOO_LONG, detail))
            return
        if len(data) > limits.head:
            detail = f"the head of the request is longer than {limits.head} bytes"
            self.refuse(Refused(431, ErrorCode.HEAD_TOO_LARGE, detail))
            return
        if self._eof:  # the rest of it will never come
            self.close()
            return
        if not self._scanned and data:
            self.wait_until(self._plane.wheel.now + limits.head_timeout)
        self._scanned = max(len(data) - 3, 0)
        self._buffer = data

    def _head_expired(self) -> None:
        if self._buffer:
            self._plane.bump(WorkerSlot.HEAD_TIMEOUTS)
            self.refuse(Refused(408, ErrorCode.HEAD_TIMEOUT, "the head of the request did not come in time"))
        else:
            self._plane.bump(WorkerSlot.IDLE_CLOSED)
            self.close()

    def answered(self, exchange: Exchange) -> None:
        """The exchange is over and its answer is written."""
        self.exchange = None
        if not exchange.keep_alive or (self._eof and not self._buffer):
            if exchange.request_done:
                self.close()
            else:
                self._linger()
            return
        self._mode = _HEAD
        plane = self._plane
        self.wait_until(plane.wheel.now + plane.snapshot.limits.keepalive_idle)
        self._take_next()
        if not self._reading:
            self.resume_reading()

    def _take_next(self) -> None:
        """Take a request that waits behind the last one in the loop's next turn: a long row must not recurse."""
        if self._buffer:
            self._next_is_due = True
            self._plane.loop.call_soon(self._next)

    def _next(self) -> None:
        self._next_is_due = False
        if self._mode is _HEAD and self._buffer:
            self._head(b"")

    def tunnelled(self, tunnel: Tunnel) -> None:
        """The exchange has become a tunnel; what the client sent too early goes through now."""
        self._mode = Mode.TUNNEL
        self._tunnel = tunnel
        early, self._buffer = self._buffer, b""
        if early:
            tunnel.client_data(early)
        self.resume_reading()
        if self._eof:
            tunnel.client_eof()

    # ------------------------------------------------------------------ endings

    def refuse(self, refused: Refused) -> None:
        """The router's own answer.  Anything but an upstream's failure ends the connection."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None and exchange.answering:
            exchange.abandon()
            self.cut(clean_end_possible=False)
            return
        self._plane.count_refusal(refused.status)
        request = None if exchange is None else exchange.request
        keep = request is not None and refused.status >= 502 and exchange is not None and exchange.request_done
        keep = keep and exchange is not None and exchange.keep_alive and not self._plane.draining and not self._eof
        if exchange is not None:
            exchange.abandon(refused.status)
        self.transport.write(
            problem(
                refused.status,
                refused.code,
                refused.detail,
                request_id=b"" if exchange is None else exchange.request_id,
                lines=self._plane.date_line + b"\r\n" + (b"" if exchange is None else exposed(exchange)),
                head_only=request is not None and request.method == b"HEAD",
                close=not keep,
            )
        )
        if keep and exchange is not None:
            self.answered(exchange)
        else:
            self._linger()

    def _answer_last_hop(self, request: Request, rest: bytes) -> None:
        """Max-Forwards has run out: OPTIONS is answered, TRACE mirrored without what is private."""
        lines = [self._plane.date_line, b"X-Strangler-Error: none"]
        body = b""
        if request.method == b"TRACE":
            kept = [line for line in request.lines if line.partition(b":")[0].lower() not in _PRIVATE]
            body = b"\r\n".join([request.first_line, *kept, b"", b""])
            lines.append(b"Content-Type: message/http")
        keep = request.keep_alive and request.length == 0 and not self._eof
        lines += [b"Content-Length: %d" % len(body), *([] if keep else [b"Connection: close"]), b"", body]
        self.transport.write(b"\r\n".join([b"HTTP/1.1 200 OK", *lines]))
        if not keep:
            self._linger()
            return
        self._buffer = rest
        self._take_next()

    def _linger(self) -> None:
        """Say that we are done, and read on for a moment: a close now could destroy the answer on its way."""
        self._mode = Mode.DRAIN
        self._buffer = b""
        if self._eof:
            self.close()
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.resume_reading()
        self.wait_until(self._plane.wheel.now + _LINGER)

    def close(self) -> None:
        """No more; what is still in the buffer goes out first, for a limited time."""
        if self._mode is Mode.CLOSED:
            return
        self._mode = Mode.DRAIN
        self._buffer = b""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abandon()
        self.wait_until(self._plane.wheel.now + self._plane.snapshot.limits.send_stall)
        self.transport.close()

    def cut(self, *, clean_end_possible: bool) -> None:
        """The answer broke off.  Where a plain close would look like its proper end, reset instead."""
        self.exchange = None
        if clean_end_possible:
            self.reset()
        else:
            self.close()

    def reset(self) -> None:
        """End with a TCP reset."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def drain(self) -> None:
        """The worker is stopping: an idle connection ends now, a busy one after its answer."""
        if self._mode is _HEAD and not self._buffer:
            self.close()

    # ------------------------------------------------------------------ for the exchange

    @property
    def trusted(self) -> bool:
        """May this client name sides and addresses?"""
        snapshot = self._plane.snapshot
        if self._trusted_by is not snapshot.networks:
            self._trusted_by = snapshot.networks
            self._trusted = snapshot.trusts(self.address_text)
        return self._trusted

    def subject_address(self, request: Request) -> bytes:
        """The client's address: behind trusted proxies the last one in X-Forwarded-For that is not theirs."""
        if not request.forwarded_for or not self.trusted:
            return self._address
        snapshot = self._plane.snapshot
        for address in reversed(request.forwarded_for.split(b",")):
            address = address.strip(b" \t")
            if not snapshot.trusts(address.decode("latin-1")):
                return address
        return self._address

    def forwarding_lines(self, request: Request) -> list[bytes]:
        """The lines that tell an upstream where the request came from."""
        if request.forwarded_for or request.forwarded_host or request.forwarded_proto:
            return self._forwarding(request)
        if request.host != self._forward_host:
            self._forward_host = request.host
            self._forward_lines = self._forwarding(request)
        return self._forward_lines

    def _forwarding(self, request: Request) -> list[bytes]:
        chain = b"%b, %b" % (request.forwarded_for, self._address) if request.forwarded_for else self._address
        proto, host = b"http", request.host
        if self.trusted:
            proto = request.forwarded_proto if request.forwarded_proto in {b"http", b"https"} else proto
            host = request.forwarded_host or host
        lines = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b" % (chain, proto)
        if host:
            lines += b"\r\nX-Forwarded-Host: " + host
        via = self._plane.snapshot.settings.via
        if via:
            lines += b"\r\nVia: 1.%d %b" % (request.minor, via.encode())
        return [lines]

    def wait_until(self, deadline: float) -> None:
        """Wait until then at most; a client that has closed its side gets only a little time without progress."""
        if self._eof and self._mode is not Mode.TUNNEL:
            deadline = min(deadline, self._plane.wheel.now + self._plane.snapshot.limits.half_close)
        self._due = deadline
        if not self._reading:
            deadline = min(deadline, self._plane.wheel.now + _GLANCE)
        self.deadline = deadline
        if deadline < self.scheduled:
            self._plane.wheel.schedule(self)

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self.transport.pause_reading()
            self.wait_until(self._due)

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()

"""The stage of the conformance suite: raw clients in front of the router and a scripted upstream behind it.

Everything runs in the test's own thread over non-blocking sockets: `turn` waits for the next thing to happen on any
socket, `until` turns until a condition holds or a deadline has passed.  So a test is a script in which every step
waits for the one before, and nothing sleeps.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tests.journeys.http.wire import Answer, Malformed, Request, read_answer, read_request, read_request_head

PATIENCE = 5.0
"""Seconds that anything may take before it counts as never."""


class Step(Enum):
    """What an upstream does with its connection between two pieces of an answer."""

    CLOSE = "close"
    """It closes the connection cleanly."""
    RESET = "reset"
    """It resets the connection."""
    END = "end"
    """It sends its FIN and goes on reading."""


CLOSE, RESET, END = Step.CLOSE, Step.RESET, Step.END
Script = Sequence[bytes | Step]


class Wire:
    """One non-blocking socket and everything that has come out of it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.inbox = bytearray()
        self.ended = False
        self.reset = False
        self.closed = False
        self.busy = False
        """As a peer: its script has been played, so nobody answers on it any more."""

    def read(self) -> int:
        """Take in what has come; how many bytes it was."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return 0
        except OSError:
            self.reset = self.ended = True
            return 0
        self.ended = not data
        self.inbox += data
        return len(data)

    def give(self, data: bytes | memoryview) -> int:
        """Hand over what fits now."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def end(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.reset = True

    def close(self) -> None:
        self.sock.close()
        self.closed = True

    def abort(self) -> None:
        if not self.closed:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


@dataclass
class Outcome:
    """What one played exchange looked like from both ends."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    garbage: list[str] = field(default_factory=list)
    """Why something that reached the upstream is no HTTP message."""
    unfinished: list[Wire] = field(default_factory=list)
    """Upstream connections on which a request has begun and not ended."""
    answered: list[Wire] = field(default_factory=list)
    """Upstream connections on which the script was played."""
    raw: bytes = b""
    """What reached the client and is not part of `answers`."""
    ended: bool = False
    reset: bool = False

    @property
    def answer(self) -> Answer:
        assert self.answers, f"no answer; the client saw {self.raw[:200]!r}, ended={self.ended} reset={self.reset}"
        return self.answers[0]

    @property
    def request(self) -> Request:
        assert len(self.requests) == 1, f"{len(self.requests)} requests reached the upstream; answers {self.answers}"
        return self.requests[0]


@dataclass(frozen=True)
class Arrival:
    """A request that has reached the upstream, and the connection it came on."""

    peer: Wire
    request: Request


class Stage:
    """Clients, the router's address and the upstream's listening socket."""

    def __init__(self, target: tuple[str, int], upstream: socket.socket, *, strict: bool = True) -> None:
        upstream.setblocking(False)
        self.target = target
        self.listener = upstream
        self.strict = strict
        """False when another intermediary is on the stage: its own statuses and closing habits are let pass."""
        self.peers: list[Wire] = []
        self.clients: list[Wire] = []
        self.peer_send_buffer = 0
        self.heard = 0
        """How many bytes have reached the upstream."""
        self._fences = 0

    # -- time ---------------------------------------------------------------------------------------

    def turn(self, seconds: float) -> None:
        """Wait until something happens, at most so long, and take it in."""
        self._forget()
        wires = {wire.sock.fileno(): wire for wire in (*self.peers, *self.clients) if not wire.ended}
        poll = select.poll()
        for number in (self.listener.fileno(), *wires):
            poll.register(number, select.POLLIN)
        for number, _ in poll.poll(max(0.0, seconds) * 1000):
            if number == self.listener.fileno():
                self._accept()
            else:
                self._read(wires[number])

    def _read(self, wire: Wire) -> None:
        count = wire.read()
        if wire in self.peers:
            self.heard += count

    def until(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not within {seconds} s: {what}")
            self.turn(left)

    def quiet(self, seconds: float) -> None:
        """Take in whatever happens during this time; for claims that something does not happen."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.turn(left)

    def _accept(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        if self.peer_send_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.peer_send_buffer)
        self.peers.append(Wire(sock))

    def _forget(self) -> None:
        self.peers = [peer for peer in self.peers if not peer.closed]
        self.clients = [client for client in self.clients if not client.closed]

    # -- the client's side ---------------------------------------------------------------------------

    def client(self, sent: bytes = b"", *, receive_buffer: int = 0) -> Wire:
        """A new connection to the router, and the first bytes on it."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        sock.connect(self.target)
        wire = Wire(sock)
        self.clients.append(wire)
        self.send(wire, sent)
        return wire

    def send(self, wire: Wire, data: bytes) -> None:
        """Send all of it, turning while it does not fit; stops when the other side has gone."""
        rest = memoryview(data)
        deadline = time.monotonic() + PATIENCE
        while rest and not wire.closed:
            try:
                done = wire.give(rest)
            except OSError:
                return
            rest = rest[done:]
            if rest and not done:
                assert time.monotonic() < deadline, f"{len(rest)} of {len(data)} bytes were not taken in {PATIENCE} s"
                select.select([], [wire.sock], [], 0.05)
                self.turn(0)

    def answer(self, client: Wire, method: str = "GET") -> Answer:
        """The next final answer on this connection, whole or cut."""
        self.until(lambda: self._has_answer(client, method), f"an answer to {method}")
        answer = self._take_answer(client, method)
        assert answer is not None, f"the client saw only {bytes(client.inbox[:300])!r}"
        return answer

    def _has_answer(self, client: Wire, method: str) -> bool:
        return client.ended or read_answer(bytes(client.inbox), method, client.ended, client.reset) is not None

    def _take_answer(self, client: Wire, method: str) -> Answer | None:
        found = read_answer(bytes(client.inbox), method, client.ended, client.reset)
        if found is None:
            return None
        answer, end = found
        del client.inbox[:end]
        return answer

    # -- the upstream's side -------------------------------------------------------------------------

    def arrival(self, seconds: float = PATIENCE) -> Arrival:
        """The next whole request at the upstream."""
        return self._arrival(read_request, "a whole request at the upstream", seconds)

    def head(self, seconds: float = PATIENCE) -> Arrival:
        """The next request of which the head has come; what follows the head stays in the peer's inbox."""
        return self._arrival(read_request_head, "a request head at the upstream", seconds)

    def _arrival(self, reader: Callable[[bytes], tuple[Request, int] | None], what: str, seconds: float) -> Arrival:
        self.until(lambda: self._ready_peer(reader), what, seconds)
        peer = self._ready_peer(reader)
        assert peer is not None
        found = reader(bytes(peer.inbox))
        assert found is not None
        request, end = found
        del peer.inbox[:end]
        return Arrival(peer, request)

    def _ready_peer(self, reader: Callable[[bytes], tuple[Request, int] | None]) -> Wire | None:
        return next((peer for peer in self.peers if not peer.closed and peer.inbox and reader(bytes(peer.inbox))), None)

    def play_script(self, peer: Wire, script: Script) -> None:
        """Play an answer: pieces of bytes in separate writes, and what happens to the connection."""
        for step in script:
            if isinstance(step, bytes):
                self.send(peer, step)
            elif step is END:
                peer.end()
            elif step is CLOSE:
                peer.close()
            else:
                peer.abort()

    # -- a whole exchange ----------------------------------------------------------------------------

    def play(
        self,
        sent: bytes | Sequence[bytes],
        script: Script,
        *,
        methods: Sequence[str] = ("GET",),
        early: bool = False,
        half_close: bool = False,
        to_the_end: bool = False,
    ) -> Outcome:
        """Send, let the upstream answer every request with the script, and watch until the client has its answers.

        `early` answers as soon as a head has come; `half_close` ends the client's direction behind what it sent;
        `to_the_end` watches until the router has closed.  Ends as well when the router closes before its answers.
        """
        outcome = Outcome()
        client = self.client()
        for piece in [sent] if isinstance(sent, bytes) else sent:
            if client.ended or (client.inbox and len(methods) == 1):
                break
            self.send(client, piece)
            self.turn(0)
            self.serve(outcome, script, early)
        if half_close:
            client.end()
        deadline = time.monotonic() + PATIENCE
        while not self._settled(outcome, client, methods, to_the_end) and time.monotonic() < deadline:
            self.turn(0.5)
            self.serve(outcome, script, early)
        outcome.raw, outcome.ended, outcome.reset = bytes(client.inbox), client.ended, client.reset
        outcome.unfinished = [peer for peer in self.peers if peer.inbox and not peer.busy]
        client.close()
        return outcome

    def serve(self, outcome: Outcome, script: Script, early: bool = False) -> None:
        """Answer with the script whatever whole requests (or heads, if `early`) have come."""
        for peer in self.peers:
            try:
                self._serve_peer(peer, outcome, script, early)
            except Malformed as problem:
                outcome.garbage.append(f"{problem}: {bytes(peer.inbox[:300])!r}")
                peer.inbox.clear()
                peer.close()

    def _serve_peer(self, peer: Wire, outcome: Outcome, script: Script, early: bool) -> None:
        while peer.inbox and not peer.closed and not peer.busy:
            found = (read_request_head if early else read_request)(bytes(peer.inbox))
            if found is None:
                return
            request, end = found
            outcome.requests.append(request)
            if peer not in outcome.answered:
                outcome.answered.append(peer)
            del peer.inbox[:end]
            peer.busy = early
            self.play_script(peer, script)

    def _settled(self, outcome: Outcome, client: Wire, methods: Sequence[str], to_the_end: bool) -> bool:
        self.collect(outcome, client, methods)
        return client.ended or (len(outcome.answers) == len(methods) and not to_the_end)

    def collect(self, outcome: Outcome, client: Wire, methods: Sequence[str]) -> None:
        """Take the answers that have come to requests with these methods."""
        while len(outcome.answers) < len(methods):
            answer = self._take_answer(client, methods[len(outcome.answers)])
            if answer is None:
                return
            outcome.answers.append(answer)

    # -- afterwards ----------------------------------------------------------------------------------

    def fence(self) -> None:
        """Prove that the router still works and that nothing of what came before is still in the air.

        A fresh client sends one request; it alone must reach the upstream, and the client must get its very answer.
        """
        self._fences += 1
        token = b"fence-%d" % self._fences
        self._drop_busy_peers()
        sent = b"GET /%s HTTP/1.1\r\nHost: fence\r\n\r\n" % token
        outcome = self.play(sent, [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(token), token)])
        assert [b"/" + token] == [request.target for request in outcome.requests], outcome
        assert (200, token) == (outcome.answer.status, outcome.answer.body)
        assert ([], []) == (outcome.garbage, outcome.unfinished)

    def _drop_busy_peers(self) -> None:
        for peer in self.peers:
            if peer.busy:
                peer.abort()

    def clear(self) -> None:
        """Between two tests: no client is left, and no upstream connection that is not clean and idle."""
        for client in self.clients:
            if not client.closed:
                client.abort()
        self.turn(0)
        for peer in self.peers:
            if peer.inbox or peer.busy or peer.ended:
                peer.abort()
        self._forget()
        self.peer_send_buffer = 0

"""WebSocket: a 101 makes a tunnel, anything else leaves plain HTTP (RFC 6455; RFC 9110, 7.8)."""

from __future__ import annotations

import pytest

from tests.journeys.http.claims import OK, SMUGGLED, cases, let_go, own_answer, refused
from tests.journeys.http.stage import Stage, Wire
from tests.journeys.http.wire import Answer, Request
from tests.journeys.rig import Router

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
ASK = b"GET /ws HTTP/1.1\r\nHost: a\r\n"
HANDSHAKE = ASK + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + KEY + b"\r\n"
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + ACCEPT + b"\r\n"


def tunnel(stage: Stage, handshake: bytes = HANDSHAKE, switch: bytes = SWITCH) -> tuple[Wire, Wire]:
    """Both ends of an open tunnel."""
    client = stage.client(handshake)
    arrival = stage.head()
    arrival.peer.busy = True
    stage.send(arrival.peer, switch)
    answer = stage.answer(client)
    assert 101 == answer.status, answer
    return client, arrival.peer


def handshake(stage: Stage, sent: bytes) -> tuple[Request, Answer]:
    client = stage.client(sent)
    arrival = stage.head()
    arrival.peer.busy = True
    stage.send(arrival.peer, SWITCH)
    return arrival.request, stage.answer(client)


@cases(
    {
        "usual": HANDSHAKE,
        "lower case": HANDSHAKE.replace(b"Connection: Upgrade", b"connection: upgrade"),
        "upper case": HANDSHAKE.replace(b"Upgrade: websocket", b"UPGRADE: WEBSOCKET"),
        "in a list": HANDSHAKE.replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),
        "on a second line": HANDSHAKE.replace(b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: Upgrade"),
        "a length of 0": HANDSHAKE.replace(b"Host: a", b"Host: a\r\nContent-Length: 0"),
    }
)
def test_a_handshake_reaches_the_upstream_and_its_101_the_client(stage: Stage, case: bytes) -> None:
    """With all that both sides need for it."""
    request, answer = handshake(stage, case)
    assert [b"websocket"] == [value.lower() for value in request.elements("upgrade")]
    assert b"upgrade" in [value.lower() for value in request.elements("connection")]
    assert [b"dGhlIHNhbXBsZSBub25jZQ=="] == request.values("sec-websocket-key")
    assert (101, [b"websocket"]) == (answer.status, answer.values("upgrade"))
    assert [b"upgrade"] == [value.lower() for value in answer.elements("connection")]
    assert [b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="] == answer.values("sec-websocket-accept")


def test_websocket_fields_pass_unchanged(stage: Stage) -> None:
    """Protocols and extensions are between the ends."""
    offers = b"Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://b\r\n"
    request, _ = handshake(stage, HANDSHAKE.replace(b"Host: a\r\n", b"Host: a\r\n" + offers))
    assert [b"chat, superchat"] == request.values("sec-websocket-protocol")
    assert [b"permessage-deflate"] == request.values("sec-websocket-extensions")
    assert [b"http://b"] == request.values("origin")


def test_bytes_flow_both_ways_untouched(stage: Stage) -> None:
    """Whatever they look like."""
    client, peer = tunnel(stage)
    every = bytes(range(256)) * 10 + SMUGGLED
    for _ in range(3):
        stage.send(client, every)
        stage.until(lambda: peer.inbox == every, "the bytes at the upstream")
        peer.inbox.clear()
        stage.send(peer, every)
        stage.until(lambda: client.inbox == every, "the bytes at the client")
        client.inbox.clear()


def test_bytes_right_behind_the_101_are_not_lost(stage: Stage) -> None:
    """In the same segment."""
    client, _ = tunnel(stage, switch=SWITCH + b"\x81\x05hello")
    stage.until(lambda: client.inbox == b"\x81\x05hello", "the first frame at the client")


def test_bytes_right_behind_the_handshake_are_not_lost(stage: Stage) -> None:
    """They wait for the 101, and are no request."""
    client, peer = tunnel(stage, HANDSHAKE + b"\x81\x85early")
    stage.until(lambda: peer.inbox == b"\x81\x85early", "the early bytes at the upstream")
    stage.send(peer, b"x")
    stage.until(lambda: client.inbox == b"x", "an answer to them")


def test_a_101_may_come_byte_by_byte(stage: Stage) -> None:
    """Segments are no boundaries."""
    client = stage.client(HANDSHAKE)
    arrival = stage.head()
    arrival.peer.busy = True
    for byte in SWITCH + b"hi":
        stage.send(arrival.peer, bytes([byte]))
        stage.turn(0)
    assert 101 == stage.answer(client).status
    stage.until(lambda: client.inbox == b"hi", "the first bytes")


def test_a_103_may_come_before_the_101(stage: Stage) -> None:
    """Interim answers stay interim answers."""
    client = stage.client(HANDSHAKE)
    arrival = stage.head()
    arrival.peer.busy = True
    stage.send(arrival.peer, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SWITCH + b"hi")
    answer = stage.answer(client)
    assert (101, 1) == (answer.status, len(answer.interim))
    stage.until(lambda: client.inbox == b"hi", "the first bytes")


@cases({"client": True, "upstream": False})
def test_the_end_of_one_side_is_told_to_the_other(stage: Stage, case: bool) -> None:
    """What was sent before the end arrives before it."""
    ends = tunnel(stage)
    near, far = ends if case else ends[::-1]
    stage.send(near, b"bye")
    near.close()
    stage.until(lambda: far.ended, "the end at the other side")
    assert b"bye" == far.inbox
    stage.fence()


@cases({"client": True, "upstream": False})
def test_a_half_closed_tunnel_still_carries_the_other_way(stage: Stage, case: bool) -> None:
    """One direction ended, the other goes on until it ends, too."""
    ends = tunnel(stage)
    near, far = ends if case else ends[::-1]
    stage.send(near, b"last")
    near.end()
    stage.until(lambda: far.ended, "the end at the other side")
    stage.send(far, b"more")
    stage.until(lambda: near.inbox == b"more", "bytes against the end")
    far.close()
    stage.until(lambda: near.ended, "the other end")


@cases({"client": True, "upstream": False})
def test_a_reset_of_one_side_ends_the_other(stage: Stage, case: bool) -> None:
    """As a reset or as an end."""
    ends = tunnel(stage)
    near, far = ends if case else ends[::-1]
    near.abort()
    stage.until(lambda: far.ended, "the end at the other side")
    stage.fence()


def test_a_tunnel_carries_megabytes_and_waits_for_its_reader(stage: Stage) -> None:
    """Every byte arrives, in order."""
    client, peer = tunnel(stage)
    piece = bytes(range(256)) * 1024
    received = bytearray()
    for _ in range(32):
        rest = memoryview(piece)
        while rest:
            rest = rest[peer.give(rest) :]
            stage.turn(0.001)
        received += client.inbox
        client.inbox.clear()

    def whole() -> bool:
        received.extend(client.inbox)
        client.inbox.clear()
        return len(received) >= 32 * len(piece)

    stage.until(whole, "all of it at the client", 20)
    assert piece * 32 == received


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 426, 500])
def test_any_other_answer_leaves_plain_http(stage: Stage, status: int) -> None:
    """The next request on the same connection is a request again."""
    client = stage.client(HANDSHAKE)
    stage.send(stage.arrival().peer, b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nno" % status)
    answer = stage.answer(client)
    assert (status, b"no") == (answer.status, answer.body)
    stage.send(client, b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    arrival = stage.arrival()
    stage.play_script(arrival.peer, OK)
    assert (b"/next", 200) == (arrival.request.target, stage.answer(client).status)


def test_bytes_behind_a_refused_handshake_are_no_tunnel(stage: Stage) -> None:
    """They are read as requests, or not at all: never passed on as they are."""
    client = stage.client(HANDSHAKE + b"\x81\x85early\r\n\r\n")
    first = stage.head()
    stage.send(first.peer, b"HTTP/1.1 403 X\r\nContent-Length: 2\r\n\r\nno")
    assert 403 == stage.answer(client).status
    stage.until(lambda: client.ended or client.inbox, "a refusal or the end")
    assert b"early" not in first.peer.inbox
    stage.fence()


NO_UPGRADE = {
    "no Connection": ASK + b"Upgrade: websocket\r\n" + KEY + b"\r\n",
    "Connection names something else": ASK + b"Connection: keep-alive\r\nUpgrade: websocket\r\n" + KEY + b"\r\n",
    "no Upgrade": ASK + b"Connection: upgrade\r\n" + KEY + b"\r\n",
    "HTTP/1.0": HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "h2c": ASK + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    "TLS": ASK + b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n",
}


@cases(NO_UPGRADE)
def test_what_is_no_websocket_handshake_is_a_plain_request(stage: Stage, case: bytes) -> None:
    """Upgrade is dropped and the answer is a plain one."""
    outcome = stage.play(case, OK)
    assert [] == outcome.request.values("upgrade")
    assert b"upgrade" not in [value.lower() for value in outcome.request.elements("connection")]
    assert 200 == outcome.answer.status
    stage.fence()


@cases(NO_UPGRADE)
def test_a_101_to_what_is_no_handshake_is_a_502(stage: Stage, case: bytes) -> None:
    """Or an upstream could open a tunnel past the router."""
    outcome = stage.play(case, [SWITCH])
    assert 502 == outcome.answer.status
    let_go(stage, outcome.answered)
    stage.fence()


@cases(
    {
        "no Upgrade": SWITCH.replace(b"Upgrade: websocket\r\n", b""),
        "another protocol": SWITCH.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        "no Connection": SWITCH.replace(b"Connection: Upgrade\r\n", b""),
        "malformed": SWITCH.replace(b"Connection:", b"Connection :"),
    }
)
def test_a_101_that_is_no_websocket_is_a_502(stage: Stage, case: bytes) -> None:
    """It must say what it switches to, and to what was asked for."""
    client = stage.client(HANDSHAKE)
    arrival = stage.head()
    arrival.peer.busy = True
    stage.send(arrival.peer, case)
    answer = stage.answer(client)
    if case.find(b"Connection") < 0 and answer.status == 101:
        return  # sloppy, but unmistakable
    assert 502 == answer.status or not stage.strict
    assert 101 != answer.status
    let_go(stage, [arrival.peer])


@cases(
    {
        "length": HANDSHAKE.replace(b"Host: a", b"Host: a\r\nContent-Length: 5") + b"hello",
        "chunked": HANDSHAKE.replace(b"Host: a", b"Host: a\r\nTransfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
        "POST": HANDSHAKE.replace(b"GET", b"POST").replace(b"Host: a", b"Host: a\r\nContent-Length: 5") + b"hello",
    }
)
def test_a_handshake_with_a_body_is_refused_or_sent_with_its_body(stage: Stage, case: bytes) -> None:
    """The body is a body, not the beginning of the tunnel."""
    outcome = stage.play(case, OK, methods=("POST",))
    assert [] == outcome.garbage
    assert not outcome.requests or b"hello" == outcome.request.body
    assert outcome.answer.status in {200, 400}
    stage.fence()


@cases(
    {
        "websocket and another": HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: websocket, h2c"),
        "another and websocket": HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: h2c, websocket"),
        "with a version": HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: websocket/13"),
        "with Connection: close": HANDSHAKE.replace(b"Connection: Upgrade", b"Connection: Upgrade, close"),
        "no key": HANDSHAKE.replace(KEY, b""),
        "two Upgrade lines": HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: websocket\r\nUpgrade: h2c"),
        "POST": HANDSHAKE.replace(b"GET", b"POST"),
        "HEAD": HANDSHAKE.replace(b"GET", b"HEAD"),
    }
)
def test_an_unusual_handshake_never_offers_more_than_websocket(stage: Stage, case: bytes) -> None:
    """Refused, forwarded as a plain request, or as a handshake for websocket alone."""
    outcome = stage.play(case, OK, methods=(case.split()[0].decode(),))
    for request in outcome.requests:
        assert {value.lower() for value in request.elements("upgrade")} <= {b"websocket"}
        asked = b"upgrade" in [value.lower() for value in request.elements("connection")]
        assert asked is bool(request.values("upgrade"))
    assert outcome.answer.status in {200, 400}
    stage.fence()


def test_a_handshake_behind_another_request_waits_for_its_turn(stage: Stage) -> None:
    """Pipelined: first the answer, then the tunnel."""
    client = stage.client(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" + HANDSHAKE + b"early")
    stage.play_script(stage.arrival().peer, OK)
    assert 200 == stage.answer(client).status
    arrival = stage.head()
    arrival.peer.busy = True
    stage.send(arrival.peer, SWITCH)
    assert 101 == stage.answer(client).status
    stage.until(lambda: arrival.peer.inbox == b"early", "the early bytes")


@cases({"client": True, "upstream": False})
def test_a_tunnel_is_no_faster_than_its_reader(stage: Stage, own: Router, case: bool) -> None:
    """Nothing is collected in between."""
    ends = tunnel(stage)
    near, far = ends if case else ends[::-1]
    before = own.resident_kib()
    far.ended = True  # the stage does not read it
    taken, quiet, data = 0, 0, bytes(1 << 18)
    while quiet < 5 and taken < 64 << 20:
        done = near.give(data)
        taken, quiet = taken + done, 0 if done else quiet + 1
        stage.turn(0 if done else 0.05)
    assert taken < 24 << 20
    assert own.resident_kib() - before < 8 * 1024


def test_a_malformed_handshake_is_refused_like_any_request(stage: Stage) -> None:
    """Upgrade excuses nothing."""
    refused(stage, HANDSHAKE.replace(b"Host: a\r\n", b"Host: a\r\nHost: b\r\n"))


def test_an_upstream_that_dies_in_the_handshake_is_a_502(stage: Stage) -> None:
    """The client's connection is still plain HTTP."""
    client = stage.client(HANDSHAKE)
    for _ in range(3):
        stage.until(lambda: client.inbox or any(peer.inbox for peer in stage.peers), "an attempt or the answer")
        if client.inbox:
            break
        arrival = stage.head()
        arrival.peer.close()
    answer = stage.answer(client)
    assert answer.status in ({502} if stage.strict else {502, 503})
    if stage.strict:
        own_answer(answer)
    stage.fence()


def test_the_client_goes_during_the_handshake(stage: Stage) -> None:
    """The upstream is let go."""
    client = stage.client(HANDSHAKE)
    peer = stage.head().peer
    client.abort()
    let_go(stage, [peer])
    stage.fence()

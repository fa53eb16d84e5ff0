"""The client's connection: one request at a time, answers in order, and what the router says by itself."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from router.core.model import Limits, Source, SubjectSource, Timeouts
from router.core.split import bucket, seed_of
from router.telemetry import WorkerSlot
from tests.router.planes.embedded.stage import OK, Stage, Wire, route, table

MakeStage = Callable[..., Stage]
GET = b"GET /api/1 HTTP/1.1\r\nHost: shop\r\n\r\n"


def statuses(client: Wire) -> list[int]:
    """The statuses of everything that a client has heard."""
    return [int(piece[:3]) for piece in client.heard.split(b"HTTP/1.1 ")[1:]]


def sent(stage: Stage) -> list[bytes]:
    """The header lines that reached the new side last."""
    return stage.new.wire.take().partition(b"\r\n\r\n")[0].split(b"\r\n")


def ask_after(number: int) -> bytes:
    return b"GET /api/%d HTTP/1.1\r\nHost: shop\r\n\r\n" % number


# ------------------------------------------------------------------------------------------------- in pieces


def test_a_request_may_come_in_any_pieces(stage: Stage) -> None:
    """One byte at a time, and cut at every single place."""
    wire = stage.warm(stage.new)
    heads = set()
    for place in range(1, len(GET)):
        client = stage.client()
        client.say(GET[:place])
        client.say(GET[place:])
        heads.add(wire.take().partition(b"X-Request-Id")[0])
        wire.say(OK)
        client.end()
        stage.settle()
    client = stage.client()
    for byte in GET:
        client.say(bytes([byte]))
    heads.add(wire.take().partition(b"X-Request-Id")[0])
    wire.say(OK)
    assert ([200], 1) == (statuses(client), len(heads))


@pytest.mark.parametrize("behind", [b"hello", b"hello" + GET, b"hello" + GET[:9]])
def test_a_body_ends_where_its_length_says(stage: Stage, behind: bytes) -> None:
    """What lies behind it is the next request, which waits for the answer to this one."""
    client = stage.client()
    client.say(b"POST /api/1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\n" + behind)
    stage.settle()
    wire = stage.new.wire
    assert wire.take().endswith(b"\r\n\r\nhello")
    wire.say(OK)
    client.say((b"hello" + GET)[len(behind) :])
    stage.settle()
    wire.say(OK)
    assert [200, 200] == statuses(client)


def test_one_empty_line_before_a_request_is_forgiven(stage: Stage) -> None:
    """RFC 9112 section 2.2; in one piece or in two."""
    for pieces in ((b"\r\n" + GET,), (b"\r\n", GET), (b"\r", b"\n" + GET)):
        client = stage.client()
        for piece in pieces:
            client.say(piece)
        stage.settle()
        stage.new.wire.say(OK)
        assert [200] == statuses(client)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\rX", 400),
        (b"G" * 16_385, 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 11_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\n", 400),
        (b"GET /\r\n\r\n", 400),
    ],
)
def test_what_can_never_become_a_request_is_refused_at_once(stage: Stage, data: bytes, status: int) -> None:
    """Without waiting for the end of a head that may never come; whatever follows is thrown away unread."""
    client = stage.client()
    client.say(data)
    assert [status] == statuses(client)
    assert client.ended
    client.say(GET)
    stage.settle()
    assert ([status], []) == (statuses(client), stage.new.wires)
    stage.advance(1.3)
    assert client.closed


# ------------------------------------------------------------------------------------------------- pipelining


def test_pipelined_requests_are_answered_in_order_one_at_a_time(stage: Stage) -> None:
    """The second one is not even sent before the first is answered."""
    client = stage.client()
    client.say(b"".join(map(ask_after, range(5))))
    stage.settle()
    wire = stage.new.wire
    seen = []
    while asked := wire.take():
        seen.append(asked.split(b" ")[1])
        wire.say(OK.replace(b"ok", b"%02d" % len(seen)))
        stage.settle()
    assert [b"/api/%d" % number for number in range(5)] == seen
    assert [b"%02d" % number for number in range(1, 6)] == [
        piece[-2:] for piece in client.heard.split(b"HTTP/1.1 ")[1:]
    ]
    assert 1 == len(stage.new.wires)


def test_a_long_row_of_requests_does_not_recurse(make_stage: MakeStage) -> None:
    """Refused by the router itself one after the other, a thousand of them in one write."""
    stage = make_stage(table(limits=Limits(buffer=1_000_000)))
    stage.new.refuses = True
    client = stage.client()
    client.say(ask_after(1) * 1000)
    for _ in range(600):
        stage.settle()
    assert [502] * 1000 == statuses(client)


def test_requests_that_wait_are_kept_in_a_bounded_buffer(make_stage: MakeStage) -> None:
    """Then the client is not read from until it is its turn."""
    stage = make_stage(table(limits=Limits(buffer=1000)))
    client = stage.client()
    client.say(GET)
    client.say(b"GET /api/1 HTTP/1.1\r\nHost: shop\r\nX: " + b"a" * 2000)
    assert not client.reading
    stage.settle()
    stage.new.wire.say(OK)
    stage.settle()
    assert client.reading


def test_behind_a_refused_request_nothing_is_read_any_more(stage: Stage) -> None:
    """What follows a message that nobody understands cannot be told from a part of it."""
    client = stage.client()
    client.say(GET + b"BAD\r\n\r\n" + GET)
    stage.settle()
    stage.new.wire.say(OK)
    stage.settle()
    assert [200, 400] == statuses(client)
    assert (1, b"GET /api/1") == (stage.new.wire.writes, stage.new.wire.heard[:10])


# ------------------------------------------------------------------------------------------------ persistence


def test_an_upstreams_failure_does_not_end_the_clients_connection(stage: Stage) -> None:
    """A 502 is an answer like any other: the next request may follow."""
    stage.new.refuses = True
    client = stage.client()
    client.say(GET)
    stage.settle()
    client.say(GET)
    stage.settle()
    assert [502, 502] == statuses(client)
    assert b"Connection: close" not in client.heard
    assert not client.closed


@pytest.mark.parametrize(
    ("request_lines", "says"),
    [
        (b"GET /api/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"close"),
        (b"GET /api/1 HTTP/1.0\r\nHost: a\r\n\r\n", b"close"),
        (b"GET /api/1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", b"keep-alive"),
        (b"GET /api/1 HTTP/1.1\r\nHost: a\r\n\r\n", b""),
    ],
)
def test_the_answer_says_whether_the_connection_stays(stage: Stage, request_lines: bytes, says: bytes) -> None:
    """And then it does what it says."""
    client = stage.client()
    client.say(request_lines)
    stage.settle()
    stage.new.wire.say(OK)
    assert says == client.heard.partition(b"\r\nConnection: ")[2].partition(b"\r\n")[0]
    assert client.closed is (says == b"close")


def test_a_connection_serves_a_limited_number_of_requests(make_stage: MakeStage) -> None:
    """So that clients spread again over restarted workers; the last answer says it."""
    stage = make_stage(table(limits=Limits(keepalive_requests=3)))
    client = stage.client()
    for number in range(1, 4):
        client.say(GET)
        stage.settle()
        stage.new.wire.say(OK)
        assert client.closed is (number == 3)
    assert client.heard.count(b"Connection: close") == 1


def test_an_idle_client_is_closed(make_stage: MakeStage) -> None:
    """After its time, without a word, and counted."""
    stage = make_stage(table(limits=Limits(keepalive_idle=20.0)))
    client = stage.client()
    client.say(GET)
    stage.settle()
    stage.new.wire.say(OK)
    client.take()
    stage.advance(19.5)
    assert not client.closed
    stage.advance(1)
    assert (True, b"", 1) == (client.closed, client.heard, stage.slot(WorkerSlot.IDLE_CLOSED))


@pytest.mark.parametrize(
    "pieces", [[b"GET /api"], [b"G", b"E", b"T", b" ", b"/"], [b"GET /api/1 HTTP/1.1\r\nHost: a\r\n"]]
)
def test_a_head_has_to_come_within_its_time(make_stage: MakeStage, pieces: list[bytes]) -> None:
    """From its first byte, however it trickles; 408, and counted."""
    stage = make_stage(table(limits=Limits(head_timeout=10.0)))
    client = stage.client()
    for piece in pieces:
        client.say(piece)
    for _ in range(9):
        stage.advance(1)
        client.say(b"x")
    assert b"" == client.heard
    stage.advance(1.3)
    assert ([408], 1) == (statuses(client), stage.slot(WorkerSlot.HEAD_TIMEOUTS))


def test_a_client_that_never_says_anything_is_closed(make_stage: MakeStage) -> None:
    """A connection alone is no reason to keep it."""
    stage = make_stage(table(limits=Limits(head_timeout=10.0)))
    client = stage.client()
    stage.advance(10.3)
    assert (True, b"") == (client.closed, client.heard)


def test_a_client_that_closed_its_side_still_gets_its_answer(make_stage: MakeStage) -> None:
    """If that comes soon; a client that has vanished looks the same."""
    stage = make_stage(table(limits=Limits(half_close=2.0)))
    client = stage.ask()
    client.end()
    assert not client.closed
    stage.advance(1.5)
    stage.new.wire.say(OK)
    stage.settle()
    assert ([200], True) == (statuses(client), client.closed)
    client = stage.ask()
    client.end()
    stage.advance(2.3)
    assert (True, []) == (client.closed, statuses(client))


@pytest.mark.parametrize("said", [b"", b"GET /", b"POST /api/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"])
def test_a_client_that_closes_before_its_request_is_whole_is_let_go(stage: Stage, said: bytes) -> None:
    """The rest of it will never come; the upstream is not left waiting."""
    client = stage.client()
    if said:
        client.say(said)
    stage.settle()
    client.end()
    stage.settle()
    assert client.closed
    assert [] == stage.new.open


# -------------------------------------------------------------------------------------------------- admission


def test_connections_have_a_limit(make_stage: MakeStage) -> None:
    """One too many is told so, 503, and counted; when one goes there is room again."""
    stage = make_stage(table(limits=Limits(connections=2)))
    first, _ = stage.client(), stage.client()
    third = stage.client()
    assert ([503], 1) == (statuses(third), stage.slot(WorkerSlot.REFUSED_CONNECTIONS))
    assert b"X-Strangler-Error: overload" in third.heard
    third.say(GET)
    third.end()
    first.end()
    stage.settle()
    fourth = stage.client()
    assert ([], 4, 2) == (statuses(fourth), stage.slot(WorkerSlot.ACCEPTED), stage.slot(WorkerSlot.CONNECTIONS))


def test_a_draining_worker_closes_who_is_idle_and_finishes_who_is_not(stage: Stage) -> None:
    """A client in the middle of a head counts as busy: its request is answered, with Connection: close."""
    idle, busy, half = stage.client(), stage.ask(), stage.client()
    half.say(GET[:10])
    stage.plane.drain()
    stage.settle()
    assert (True, False, False) == (idle.closed, busy.closed, half.closed)
    stage.new.wire.say(OK)
    half.say(GET[10:])
    stage.settle()
    stage.new.wire.say(OK)
    stage.settle()
    assert ([200], [200]) == (statuses(busy), statuses(half))
    assert (True, True) == (busy.closed, half.closed)


# ------------------------------------------------------------------------------------------------- forwarding

FORWARDED = (b"X-Forwarded-For: 198.51.100.9, 10.9.9.9", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: public")


def test_forwarding_lines_tell_where_a_request_came_from(stage: Stage) -> None:
    """For each host of a connection its own; a stranger's claims about scheme and host are not believed."""
    client = stage.client()
    for host in (b"one", b"one", b"two"):
        client.say(b"GET /api/1 HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
        stage.settle()
        lines = sent(stage)
        assert {b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Proto: http", b"X-Forwarded-Host: " + host} <= set(lines)
        assert b"Via: 1.1 strangler" in lines
        stage.new.wire.say(OK)
    stage.send(client, b"GET", b"/api/1", *FORWARDED)
    lines = sent(stage)
    assert b"X-Forwarded-For: 198.51.100.9, 10.9.9.9, 192.0.2.7" in lines
    assert {b"X-Forwarded-Proto: http", b"X-Forwarded-Host: shop"} <= set(lines)
    stage.new.wire.say(OK)
    client.say(GET)
    assert b"X-Forwarded-For: 192.0.2.7" in sent(stage)


def test_a_trusted_proxy_is_believed(make_stage: MakeStage) -> None:
    """Scheme and host as it says; nonsense for a scheme is not passed on."""
    stage = make_stage(table(trusted=("192.0.2.0/24",)))
    client = stage.ask(b"GET", b"/api/1", *FORWARDED)
    assert {b"X-Forwarded-Proto: https", b"X-Forwarded-Host: public"} <= set(sent(stage))
    stage.new.wire.say(OK)
    stage.send(client, b"GET", b"/api/1", b"X-Forwarded-Proto: gopher")
    assert b"X-Forwarded-Proto: http" in sent(stage)


@pytest.mark.parametrize(
    ("trusted", "address"),
    [
        ((), b"192.0.2.7"),
        (("192.0.2.0/24",), b"10.9.9.9"),
        (("192.0.2.0/24", "10.0.0.0/8"), b"198.51.100.9"),
        (("0.0.0.0/0",), b"192.0.2.7"),
    ],
)
def test_the_clients_address_is_the_last_one_that_is_not_ours(
    make_stage: MakeStage, trusted: tuple[str, ...], address: bytes
) -> None:
    """Counted from the right, so that nobody can choose a side by inventing addresses on the left."""
    chain = (SubjectSource(Source.CLIENT_IP),)
    drawn = bucket(address, seed_of("api"))
    stage = make_stage(table(route(weight=drawn, subject=chain), trusted=trusted))
    stage.ask(b"GET", b"/api/1", *FORWARDED)
    assert (1, 0) == (len(stage.old.wires), len(stage.new.wires))
    stage.adopt(table(route(weight=drawn + 1, subject=chain), trusted=trusted))
    stage.ask(b"GET", b"/api/1", *FORWARDED)
    assert (1, 1) == (len(stage.old.wires), len(stage.new.wires))


def test_whom_we_trust_follows_the_snapshot(make_stage: MakeStage) -> None:
    """Also on a connection that has been there before."""
    stage = make_stage(table(route(weight=0)))
    client = stage.client()
    for trusted, service in (((), stage.old), (("192.0.2.7/32",), stage.new), ((), stage.old)):
        stage.adopt(table(route(weight=0), trusted=trusted))
        stage.send(client, b"GET", b"/api/1", b"X-Strangler-Side: new")
        assert service.wire.take()
        service.wire.say(OK)


def test_without_a_pseudonym_there_is_no_via(make_stage: MakeStage) -> None:
    """`via: ""` in routes.yaml."""
    stage = make_stage(table(via=""))
    stage.ask()
    assert [] == [line for line in sent(stage) if line.lower().startswith(b"via")]


# --------------------------------------------------------------------------------------------------- own answers


def test_the_routers_own_answers_are_problems_with_a_code(stage: Stage) -> None:
    """RFC 9457, with what a service team needs to ask about it: code, request id, side and route."""
    stage.new.refuses = True
    client = stage.ask()
    head, _, body = client.heard.partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert (502, "upstream-connect", "Bad Gateway") == (problem["status"], problem["code"], problem["title"])
    assert b"X-Request-Id: " + problem["request_id"].encode() in head
    assert b"X-Strangler-Side: new\r\nX-Strangler-Route: api" in head
    assert b"\r\nDate: " in head


def test_head_gets_the_head_of_a_problem(stage: Stage) -> None:
    """No body, or the next answer would begin with it."""
    stage.new.refuses = True
    client = stage.ask(b"HEAD")
    assert client.heard.endswith(b"\r\n\r\n")


def test_the_last_hop_answers_itself(stage: Stage) -> None:
    """Max-Forwards: 0 on OPTIONS and TRACE; a mirror that shows no secrets; the connection goes on."""
    client = stage.client()
    client.say(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
    client.say(
        b"TRACE /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nCookie: sid=1\r\nAuthorization: x\r\nX-A: 1\r\n\r\n" + GET
    )
    stage.settle()
    assert [200, 200] == statuses(client)
    assert client.heard.endswith(b"TRACE /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n")
    stage.new.wire.say(OK)
    assert [200, 200, 200] == statuses(client)


def test_each_route_has_its_own_patience(make_stage: MakeStage) -> None:
    """A short wait here does not shorten a long one there."""
    quick, slow = Timeouts(head=2.0), Timeouts(head=50.0)
    stage = make_stage(table(route(timeouts=quick), route("slow", "/slow", timeouts=slow)))
    one, two = stage.ask(), stage.ask(target=b"/slow")
    stage.advance(2.3)
    assert ([504], []) == (statuses(one), statuses(two))
    stage.advance(45)
    assert [] == statuses(two)
    stage.advance(5)
    assert [504] == statuses(two)

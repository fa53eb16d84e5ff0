"""The walk of one request: what is decided is carried out, and every exchange is counted exactly once.

Each test leaves its stage balanced: `Stage.close` checks that no gauge is off zero and that every exchange that was
counted was timed too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import time

import pytest

from router.core.model import (
    PPM,
    Expose,
    Fallback,
    Limits,
    Side,
    Site,
    Source,
    SubjectSource,
    Table,
    Timeouts,
    Upstream,
)
from router.core.orders import Kind, Order, Reach, Scope
from router.core.override import sign
from router.core.split import bucket, seed_of
from router.planes.embedded.exchange import Exchange
from router.telemetry import EndpointBlock, WorkerSlot
from tests.router.planes.embedded.stage import FALLBACK, NEW, NEW_TOO, OK, OLD, Stage, Wire, rollback, route, table

MakeStage = Callable[..., Stage]
BAD = b"HTTP/1.1 503 No\r\nX-From: new\r\nContent-Length: 3\r\n\r\nbad"
WORSE = b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nworse"
CHUNKS = b"2\r\nab\r\n0\r\n\r\n"
UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


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


# ------------------------------------------------------------------------------------------------ the good walk


def test_a_request_costs_one_write_each_way(stage: Stage) -> None:
    """Head and body go out in one write, and so does the answer: four system calls an exchange."""
    client = stage.ask(b"POST", b"/api/1?q=1", b"X-A: 1", body=b"hello")
    assert 1 == stage.new.wire.writes
    head, _, body = stage.new.wire.heard.partition(b"\r\n\r\n")
    assert b"hello" == body
    assert b"POST /api/1?q=1 HTTP/1.1" == head.split(b"\r\n")[0]
    assert {b"Host: shop", b"X-A: 1", b"Content-Length: 5", b"X-Forwarded-For: 192.0.2.7"} <= set(head.split(b"\r\n"))
    stage.new.wire.say(OK)
    assert 1 == client.writes
    assert client.heard.endswith(b"\r\n\r\nok")
    assert b"X-Strangler-Side: new\r\nX-Strangler-Route: api\r\n" in client.heard
    assert once() == stage.counts()
    stage.advance(0.2)  # written down with the next tick
    block = stage.pool(NEW).block
    counted = stage.counters.slots[block + EndpointBlock.REQUESTS], stage.counters.slots[block + EndpointBlock.ANSWERS]
    assert (1, (1, 1)) == (len(stage.new.open), counted)


def test_the_next_request_uses_the_idle_connection(stage: Stage) -> None:
    """Pools are what keep-alive is for, whoever the client is."""
    wire = stage.warm(stage.new)
    client = stage.ask()
    assert 1 == len(stage.new.wires)
    wire.say(OK)
    assert 200 == status(client)
    assert {("api", "new", "2xx", "weight"): 2} == stage.counts()


@pytest.mark.parametrize("path", [b"/other", b"/api", b"/api/1/2", b"/api/%2e%2e%2fx/y", b"/"])
def test_who_matches_no_route_goes_to_legacy_as_unlisted(stage: Stage, path: bytes) -> None:
    """The monolith answers whatever is not listed, and that is counted apart."""
    client = stage.ask(target=path)
    stage.old.wire.say(OK)
    assert b"X-Strangler-Side: legacy\r\nX-Strangler-Route: unlisted\r\n" in client.heard
    assert once(side="legacy", reason="unlisted", name="unlisted") == stage.counts()


def test_dot_segments_are_refused_before_anybody_is_asked(stage: Stage) -> None:
    """Two servers could resolve them differently; nothing is routed, so nothing is counted as an exchange."""
    client = stage.ask(target=b"/api/../admin")
    assert (400, b"bad-request") == (status(client), code(client))
    assert ([], {}, 1) == (stage.old.wires + stage.new.wires, stage.counts(), stage.slot(WorkerSlot.BAD_REQUESTS))


def test_a_subject_stays_on_its_side_of_the_share(make_stage: MakeStage) -> None:
    """The same bucket that `split` computes decides, and a request without a subject stays on legacy."""
    chain = (SubjectSource(Source.HEADER, "X-User-Id"),)
    stage = make_stage(table(route(weight=500_000, subject=chain)))
    for number in range(20):
        user = b"u%d" % number
        client = stage.ask(b"GET", b"/api/1", b"X-User-Id: " + user)
        side = b"new" if bucket(user, seed_of("api")) < 500_000 else b"legacy"
        (stage.new if side == b"new" else stage.old).wire.say(OK)
        assert b"X-Strangler-Side: " + side in client.heard
    client = stage.ask()
    stage.old.wire.say(OK)
    assert 1 == stage.counts()["api", "legacy", "2xx", "no-subject"]
    assert 21 == sum(stage.counts().values())


@pytest.mark.parametrize(("peers", "side"), [(("192.0.2.0/24",), b"new"), ((), b"legacy")])
def test_an_override_is_for_trusted_clients(make_stage: MakeStage, peers: tuple[str, ...], side: bytes) -> None:
    """From others it is not even passed on."""
    stage = make_stage(table(route(weight=0), trusted=peers))
    client = stage.ask(b"GET", b"/api/1", b"X-Strangler-Side: new")
    wire = (stage.new if side == b"new" else stage.old).wire
    assert b"X-Strangler-Side" not in wire.heard
    wire.say(OK)
    assert b"X-Strangler-Side: " + side in client.heard


@pytest.mark.parametrize(
    ("key", "side", "seconds", "allowed"),
    [(b"key", Side.NEW, 60, True), (b"other", Side.NEW, 60, False), (b"key", Side.LEGACY, 60, False),
     (b"key", Side.NEW, -60, False)],
)  # fmt: skip
def test_a_signed_token_allows_one_side_for_a_time(
    make_stage: MakeStage, key: bytes, side: Side, seconds: int, allowed: bool
) -> None:
    """To whoever holds it; neither header reaches the upstream."""
    stage = make_stage(table(route(weight=0)))
    stage.plane.override_key = b"key"
    token = sign(side, int(time()) + seconds, key).encode()
    stage.ask(b"GET", b"/api/1", b"X-Strangler-Side: NEW", b"X-Strangler-Token: " + token)
    wire = (stage.new if allowed else stage.old).wire
    assert b"strangler-" not in wire.heard.lower().replace(b"via: 1.1 strangler", b"")
    wire.say(OK)
    assert once(side="new" if allowed else "legacy", reason="override" if allowed else "weight") == stage.counts()


def test_without_a_key_no_token_is_believed(make_stage: MakeStage) -> None:
    """Not even one that was signed with nothing."""
    stage = make_stage(table(route(weight=0)))
    token = sign(Side.NEW, int(time()) + 60, b"").encode()
    stage.ask(b"GET", b"/api/1", b"X-Strangler-Side: new", b"X-Strangler-Token: " + token)
    assert 1 == len(stage.old.wires)


def test_a_rollback_is_stronger_than_everything(make_stage: MakeStage) -> None:
    """Share, override: from the next request on all of the route is legacy's, and says why."""
    stage = make_stage(table(trusted=("192.0.2.0/24",)))
    stage.adopt(table(trusted=("192.0.2.0/24",)), rollback())
    stage.ask(b"GET", b"/api/1", b"X-Strangler-Side: new")
    stage.old.wire.say(OK)
    assert once(side="legacy", reason="rollback") == stage.counts()


def test_the_revision_of_its_first_moment_serves_a_request_to_its_end(stage: Stage) -> None:
    """A rollback while the body is still coming changes the next request, not this one."""
    client = stage.client()
    client.say(b"POST /api/1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhe")
    stage.settle()
    stage.adopt(table(), rollback())
    client.say(b"llo")
    stage.new.wire.say(OK)
    assert once() == stage.counts()


@pytest.mark.parametrize(("expose", "shown"), [(Expose.ALWAYS, True), (Expose.TRUSTED, False), (Expose.NEVER, False)])
def test_a_route_says_who_is_told_the_side(make_stage: MakeStage, expose: Expose, shown: bool) -> None:
    """A stranger is told only where everybody is."""
    stage = make_stage(table(route(expose=expose)))
    client = stage.ask()
    stage.new.wire.say(OK)
    assert shown is (b"X-Strangler-Side: new" in client.heard)


def test_a_request_id_is_kept_or_made(stage: Stage) -> None:
    """The same one towards both ends; one that is too long is replaced."""
    for given in (b"abc", b"x" * 129, b""):
        client = stage.ask(b"GET", b"/api/1", b"X-Request-Id: " + given)
        sent = stage.new.wire.take().partition(b"X-Request-Id: ")[2].partition(b"\r\n")[0]
        stage.new.wire.say(OK)
        assert b"X-Request-Id: " + sent + b"\r\n" in client.heard
        assert (sent == given) is (given == b"abc")
        assert sent


# ------------------------------------------------------------------------------------------------------ bodies


def test_a_body_streams_and_is_kept_only_while_it_may_be_sent_again(make_stage: MakeStage) -> None:
    """Past the replay limit it is gone, so a lost connection is the client's to hear of."""
    stage = make_stage(falling_back(idempotent=True, timeouts=Timeouts()))
    for size, expected in ((1000, "legacy"), (200_000, "")):
        client = stage.client()
        client.say(b"PUT /api/1 HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % size)
        stage.settle()
        client.say(b"a" * size)
        wire = stage.new.wire
        assert wire.heard.endswith(b"a" * size)
        wire.reset()
        stage.settle()
        if expected:
            assert stage.old.wire.take().endswith(b"a" * size)
            stage.old.wire.say(OK)
            assert 200 == status(client)
        else:
            assert 502 == status(client)


def test_a_chunked_body_is_framed_anew_with_its_trailers(stage: Stage) -> None:
    """Extensions do not pass; data and trailers do."""
    client = stage.ask(b"POST", b"/api/1", b"Transfer-Encoding: chunked")
    client.say(b"3;x=y\r\nabc\r\n")
    client.say(b"0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n")
    head, _, body = stage.new.wire.heard.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n" == body
    stage.new.wire.say(OK)
    assert once() == stage.counts()


def test_a_bad_chunk_ends_both_connections(stage: Stage) -> None:
    """The upstream never sees the end of the message; the client hears why; it is counted once, as refused."""
    client = stage.ask(b"POST", b"/api/1", b"Transfer-Encoding: chunked")
    client.say(b"3\r\nabcX")
    assert (400, b"bad-request") == (status(client), code(client))
    assert stage.new.wire.aborted
    assert client.ended
    assert once("4xx") == stage.counts()


def test_a_body_that_is_too_long_is_refused(make_stage: MakeStage) -> None:
    """With 413, counted, and without waiting for the rest."""
    stage = make_stage(table(limits=Limits(max_body=10)))
    client = stage.ask(b"POST", b"/api/1", body=b"a" * 11)
    assert (413, b"body-too-large", 1) == (status(client), code(client), stage.slot(WorkerSlot.TOO_LARGE))


def test_who_cannot_keep_up_makes_the_other_side_pause(stage: Stage) -> None:
    """Backpressure both ways, and both ways back."""
    client = stage.client()
    client.say(b"POST /api/1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nhello")
    stage.settle()
    wire = stage.new.wire
    wire.full()
    assert not client.reading
    wire.drained()
    assert client.reading
    client.say(b"hello")
    wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    client.full()
    assert not wire.reading
    client.drained()
    assert wire.reading
    wire.say(b"hello")
    assert once() == stage.counts()


def test_a_body_waits_in_a_bounded_buffer_for_its_connection(make_stage: MakeStage) -> None:
    """Whoever sends fast to an upstream that is slow to connect is not read from meanwhile."""
    stage = make_stage(table(limits=Limits(buffer=1000)))
    stage.new.hangs = True
    client = stage.ask(b"POST", b"/api/1", b"Content-Length: 5000")
    client.say(b"a" * 900)
    assert client.reading
    client.say(b"a" * 200)
    assert not client.reading
    stage.advance(4)
    assert (502, once("5xx")) == (status(client), stage.counts())


# -------------------------------------------------------------------------------------------- the answer's end


@pytest.mark.parametrize(
    ("pieces", "body", "reusable"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"ab", b"cd"], b"abcd", True),
        ([b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 4\r\n\r", b"\nab", b"cd"], b"abcd", True),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r", b"\n0\r\n\r\n"], CHUNKS, True),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab"], b"ab", False),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab"], b"ab", False),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabX"], b"ab", False),
        ([b"HTTP/1.1 204 No\r\n\r\n"], b"", True),
        ([b"HTTP/1.1 204 No\r\n\r\nX"], b"", False),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"ab"], b"ab", True),
    ],
)  # fmt: skip
def test_an_answer_ends_where_it_says(stage: Stage, pieces: list[bytes], body: bytes, reusable: bool) -> None:
    """And the connection comes back only when nothing is left over and nobody wants to close it."""
    client = stage.ask()
    wire = stage.new.wire
    for piece in pieces:
        wire.say(piece)
    assert client.heard.rpartition(b"\r\n\r\n" if b"chunked" not in client.heard else b"chunked")[2].endswith(body)
    assert reusable is not wire.closed
    assert reusable is (len(stage.pool(NEW).idle) == 1)
    assert once() == stage.counts()


def test_an_answer_without_length_ends_with_its_connection(stage: Stage) -> None:
    """Towards HTTP/1.1 clients it is framed in chunks, so that they can tell the end from a cut."""
    client = stage.ask()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\n\r\nab")
    stage.new.wire.end()
    assert client.heard.endswith(b"2\r\nab\r\n0\r\n\r\n")
    assert once() == stage.counts()


def test_head_is_answered_without_a_body(stage: Stage) -> None:
    """Its length describes what GET would have sent; the connection stays fit."""
    client = stage.ask(b"HEAD")
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    assert client.heard.endswith(b"\r\n\r\n")
    assert b"Content-Length: 100\r\n" in client.heard
    assert 1 == len(stage.pool(NEW).idle)


def test_an_early_answer_ends_the_clients_connection(stage: Stage) -> None:
    """The rest of a request that nobody reads any more cannot be told from the next one."""
    client = stage.ask(b"POST", b"/api/1", b"Content-Length: 100")
    stage.new.wire.say(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
    assert b"Connection: close\r\n" in client.heard
    assert client.ended
    assert stage.new.wire.closed
    assert once("4xx") == stage.counts()


# ------------------------------------------------------------------------------------------------- again, or not


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
def test_a_stale_connection_is_no_error_of_an_idempotent_request(stage: Stage, method: bytes) -> None:
    """The upstream had closed it just as we wrote: asked again on a connection of its own, at once."""
    wire = stage.warm(stage.new)
    client = stage.ask(method)
    wire.reset()
    stage.settle()
    assert 2 == len(stage.new.wires)
    stage.new.wire.say(b"HTTP/1.1 204 No\r\n\r\n")
    assert 204 == status(client)
    assert 1 == stage.slot(WorkerSlot.STALE_RETRIES)
    assert 0 == stage.slot(WorkerSlot.RETRIES)
    assert {("api", "new", "2xx", "weight"): 2} == stage.counts()


def test_a_clean_close_of_a_stale_connection_is_the_same(stage: Stage) -> None:
    """FIN instead of RST."""
    wire = stage.warm(stage.new)
    client = stage.ask()
    wire.end()
    stage.settle()
    stage.new.wire.say(OK)
    assert 200 == status(client)


def test_a_post_that_may_have_been_delivered_is_told_and_not_repeated(stage: Stage) -> None:
    """Nobody can know whether the order was placed: 502, once on the wire."""
    wire = stage.warm(stage.new)
    client = stage.ask(b"POST", b"/api/1", body=b"order")
    wire.reset()
    stage.settle()
    assert (502, b"upstream-lost") == (status(client), code(client))
    assert 1 == len(stage.new.wires)
    assert 1 == stage.counts()["api", "new", "5xx", "weight"]
    assert {("10.0.0.2", "head"): 1} == stage.errors()


def test_a_post_that_the_route_calls_idempotent_is_repeated(make_stage: MakeStage) -> None:
    """`idempotent: true` says that requests may be sent twice; the body is sent again, too."""
    stage = make_stage(table(route(idempotent=True)))
    wire = stage.warm(stage.new)
    client = stage.ask(b"POST", b"/api/1", body=b"order")
    wire.reset()
    stage.settle()
    assert stage.new.wire.heard.endswith(b"\r\n\r\norder")
    stage.new.wire.say(OK)
    assert 200 == status(client)


def test_a_connection_that_began_to_answer_is_not_stale(stage: Stage) -> None:
    """Half a head is an answer that broke off: the upstream's failure, and told."""
    wire = stage.warm(stage.new)
    client = stage.ask()
    wire.say(b"HTTP/1.1 200 O")
    wire.reset()
    stage.settle()
    assert (502, 0) == (status(client), stage.slot(WorkerSlot.STALE_RETRIES))


def test_a_fresh_connection_that_dies_is_not_stale(stage: Stage) -> None:
    """Nothing suggests that a third one would do better."""
    client = stage.ask()
    stage.new.wire.reset()
    stage.settle()
    assert (502, 1) == (status(client), len(stage.new.wires))


def test_stale_connections_are_tried_a_limited_number_of_times(stage: Stage) -> None:
    """The second try asks for a fresh connection, and when that dies too it is the upstream's failure."""
    wire = stage.warm(stage.new)
    client = stage.ask()
    wire.reset()
    stage.settle()
    stage.new.wire.reset()
    stage.settle()
    assert (502, 2) == (status(client), len(stage.new.wires))


def test_who_refuses_is_replaced_by_another_endpoint(make_stage: MakeStage) -> None:
    """Nothing was delivered, so even a POST goes on to the next endpoint of the same side."""
    stage = make_stage(table(new=(NEW, NEW_TOO)))
    stage.new.refuses = True
    clients = []
    for _ in range(4):
        clients.append(stage.ask(b"POST", b"/api/1", body=b"order"))
        stage.new_too.wire.say(OK)
    assert [200] * 4 == [status(client) for client in clients]
    assert {("api", "new", "2xx", "weight"): 4} == stage.counts()
    assert {("10.0.0.2", "connect")} == set(stage.errors())
    assert stage.errors()["10.0.0.2", "connect"] == stage.slot(WorkerSlot.RETRIES) == 1


def test_when_all_endpoints_refuse_legacy_is_asked(make_stage: MakeStage) -> None:
    """Each of them once; then the fallback, which is counted with its cause."""
    stage = make_stage(table(route(fallback=Fallback(on_connect=True)), new=(NEW, NEW_TOO)))
    stage.new.refuses = stage.new_too.refuses = True
    client = stage.ask(b"POST", b"/api/1", body=b"order")
    assert stage.old.wire.heard.endswith(b"\r\n\r\norder")
    stage.old.wire.say(OK)
    assert b"X-Strangler-Side: legacy" in client.heard
    assert once(side="legacy", reason="fallback") == stage.counts()
    assert {"connect": 1} == stage.fallbacks()
    assert {("10.0.0.2", "connect"): 1, ("10.0.0.3", "connect"): 1} == stage.errors()


def test_without_a_policy_a_refusal_is_told(stage: Stage) -> None:
    """502 with a code and no word about addresses; counted once on the new side."""
    stage.new.refuses = True
    client = stage.ask()
    assert (502, b"upstream-connect") == (status(client), code(client))
    assert b"10.0.0" not in client.heard
    assert (once("5xx"), {}) == (stage.counts(), stage.fallbacks())


def test_a_connect_that_takes_too_long_is_a_refusal(make_stage: MakeStage) -> None:
    """After the route's own time, not earlier."""
    stage = make_stage(table(route(timeouts=Timeouts(connect=2.0), fallback=Fallback(on_connect=True))))
    stage.new.hangs = True
    client = stage.ask()
    stage.advance(1.9)
    assert [] == stage.old.wires
    stage.advance(0.5)
    stage.old.wire.say(OK)
    assert (200, {"connect": 1}) == (status(client), stage.fallbacks())


# -------------------------------------------------------------------------------------------------- fallback


def test_a_status_that_the_route_names_is_hidden_by_legacys_answer(make_stage: MakeStage) -> None:
    """The client sees legacy's answer only; the hidden one is counted as a fallback and its connection ended."""
    stage = make_stage(falling_back())
    client = stage.ask()
    stage.new.wire.say(BAD)
    stage.settle()
    stage.old.wire.say(OK)
    stage.settle()
    assert client.heard.endswith(b"\r\n\r\nok")
    assert b"X-From: new" not in client.heard
    assert (once(side="legacy", reason="fallback"), {"status": 1}) == (stage.counts(), stage.fallbacks())
    assert stage.new.wire.closed


@pytest.mark.parametrize("trouble", ["refuses", "resets", "nonsense"])
@pytest.mark.parametrize("complete", [True, False])
def test_when_legacy_does_no_better_the_client_gets_the_original_answer(
    make_stage: MakeStage, trouble: str, complete: bool
) -> None:
    """All of it, also what comes of it only later; counted as the new side's, and as a fallback that was tried."""
    stage = make_stage(falling_back())
    stage.old.refuses = trouble == "refuses"
    client = stage.ask()
    stage.new.wire.say(BAD if complete else BAD[:-2])
    stage.settle()
    if trouble == "resets":
        stage.old.wire.reset()
    elif trouble == "nonsense":
        stage.old.wire.say(b"what?\r\n\r\n")
    stage.settle()
    if not complete:
        stage.new.wire.say(BAD[-2:])
    assert client.heard.endswith(b"\r\n\r\nbad")
    assert b"X-Strangler-Side: new" in client.heard
    assert b"X-From: new" in client.heard
    assert (once("5xx"), {"status": 1}) == (stage.counts(), stage.fallbacks())
    assert 1 == len(stage.pool(NEW).idle)


def test_an_original_answer_is_logged_with_the_endpoint_that_gave_it(make_stage: MakeStage) -> None:
    """Not with the one that was asked last and had nothing to say."""
    log = Log()
    stage = make_stage(falling_back(), log)
    stage.old.refuses = True
    stage.ask()
    stage.new.wire.say(BAD)
    stage.settle()
    assert ["new http://10.0.0.2:80"] == log.endpoints


def test_an_original_answer_is_one_answer_of_its_endpoint(make_stage: MakeStage) -> None:
    """Hidden at first and delivered after all, it is counted once, as one that a bad gateway gave."""
    stage = make_stage(falling_back())
    stage.old.refuses = True
    stage.ask()
    stage.new.wire.say(BAD)
    stage.settle()
    stage.advance(0.2)  # written down with the next tick
    block = stage.pool(NEW).block
    assert (1, 1) == (stage.slot(block + EndpointBlock.ANSWERS), stage.slot(block + EndpointBlock.BAD_GATEWAYS))


def test_an_original_answer_whose_rest_never_comes_is_cut(make_stage: MakeStage) -> None:
    """The upstream died while legacy was asked: the client must be able to see that something is missing."""
    stage = make_stage(falling_back())
    stage.old.refuses = True
    client = stage.ask()
    stage.new.wire.say(BAD[:-2])
    stage.new.wire.reset()
    stage.settle()
    assert client.heard.endswith(b"\r\n\r\nb")
    assert client.closed
    assert once("5xx") == stage.counts()


def test_any_answer_of_legacy_is_better_than_the_hidden_one(make_stage: MakeStage) -> None:
    """Also a 500 or 503: legacy is what the client would have got without the migration."""
    stage = make_stage(falling_back())
    client = stage.ask()
    stage.new.wire.say(BAD)
    stage.settle()
    stage.old.wire.say(WORSE)
    assert client.heard.endswith(b"\r\n\r\nworse")
    assert once("5xx", "legacy", "fallback") == stage.counts()


@pytest.mark.parametrize(
    ("settings", "method"),
    [({"fallback": Fallback(on_connect=True)}, b"GET"), ({"fallback": FALLBACK}, b"POST"), ({}, b"GET")],
)
def test_a_bad_status_is_passed_on_when_the_rule_says_so(
    make_stage: MakeStage, settings: dict[str, object], method: bytes
) -> None:
    """No policy for this status, or a method that must not be repeated."""
    stage = make_stage(table(route(**settings)))
    client = stage.ask(method)
    stage.new.wire.say(BAD)
    stage.settle()
    assert (503, [], {}) == (status(client), stage.old.wires, stage.fallbacks())
    assert client.heard.endswith(b"\r\n\r\nbad")


def test_legacy_never_falls_back(make_stage: MakeStage) -> None:
    """Its bad answer is the answer."""
    stage = make_stage(falling_back(weight=0))
    client = stage.ask()
    stage.old.wire.say(BAD)
    stage.settle()
    assert (503, 1, []) == (status(client), len(stage.old.wires), stage.new.wires)


def test_an_answer_in_time_or_legacys(make_stage: MakeStage) -> None:
    """504 is what a timeout would tell; a route that hides 504 asks legacy instead."""
    stage = make_stage(falling_back(timeouts=Timeouts(head=5.0)))
    client = stage.ask()
    stage.advance(4.9)
    assert not stage.new.wire.closed
    stage.advance(0.4)
    assert stage.new.wire.closed
    stage.old.wire.say(OK)
    assert (200, {"timeout": 1}) == (status(client), stage.fallbacks())
    assert once(side="legacy", reason="fallback") == stage.counts()


def test_without_a_policy_a_timeout_is_told(make_stage: MakeStage) -> None:
    """504, and the connection is not used again."""
    stage = make_stage(table(route(timeouts=Timeouts(head=5.0))))
    client = stage.ask()
    stage.advance(5.3)
    assert (504, b"upstream-timeout") == (status(client), code(client))
    assert stage.new.wire.aborted
    assert once("5xx") == stage.counts()


@pytest.mark.parametrize(
    "nonsense",
    [b"what?\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"HTTP/1.1 200 OK\n\n",
     b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000, SWITCH, b"HTTP/1.1 100 C\r\n\r\n" * 101],
)  # fmt: skip
def test_an_answer_that_is_none_is_never_passed_on(stage: Stage, nonsense: bytes) -> None:
    """502 with the code for it; not even a fallback could make it an answer."""
    client = stage.ask()
    stage.new.wire.say(nonsense)
    heard = client.heard.replace(b"HTTP/1.1 100 C\r\n\r\n", b"")
    assert heard.startswith(b"HTTP/1.1 502 ")
    assert b"X-Strangler-Error: upstream-protocol" in heard
    assert stage.new.wire.aborted
    assert {("10.0.0.2", "protocol"): 1} == stage.errors()
    assert once("5xx") == stage.counts()


def test_repeats_stop_at_the_budget(make_stage: MakeStage) -> None:
    """Three at a time and no more while little is under way: the rest is told, and that is counted."""
    stage = make_stage(falling_back())
    clients = []
    for _ in range(5):
        clients.append(stage.ask())
        stage.new.wire.reset()
        stage.settle()
    assert 3 == len(stage.old.wires)
    assert 3 == stage.plane.repeats
    assert [502, 502] == [status(client) for client in clients[3:]]
    assert 2 == stage.slot(WorkerSlot.BUDGET_REFUSALS)
    for wire in stage.old.wires:
        wire.say(OK)
    assert 0 == stage.plane.repeats
    assert {("api", "legacy", "2xx", "fallback"): 3, ("api", "new", "5xx", "weight"): 2} == stage.counts()


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_new_side_that_refuses_connections_costs_no_budget(make_stage: MakeStage, method: bytes) -> None:
    """Nothing was delivered: however many there are, all go to legacy, and others still have their whole budget."""
    stage = make_stage(falling_back())
    stage.new.refuses = True
    clients = [stage.ask(method) for _ in range(9)]
    assert (9, 0) == (len(stage.old.wires), stage.plane.repeats)
    assert (9, {"connect": 9}) == (stage.slot(WorkerSlot.RETRIES), stage.fallbacks())
    stage.new.refuses = False
    clients += [stage.ask() for _ in range(3)]
    for wire in stage.new.wires:
        wire.reset()
    stage.settle()
    for wire in stage.old.wires:
        wire.say(OK)
    assert [200] * 12 == [status(client) for client in clients]
    assert 0 == stage.slot(WorkerSlot.BUDGET_REFUSALS)
    assert {("api", "legacy", "2xx", "fallback"): 12} == stage.counts()


@pytest.mark.parametrize(("method", "told"), [(b"GET", 200), (b"POST", 502)])
def test_the_budget_refuses_only_what_the_rule_would_repeat(make_stage: MakeStage, method: bytes, told: int) -> None:
    """A stale connection costs no budget, and what is told by rule is no refusal of the budget."""
    stage = make_stage(falling_back())
    for _ in range(3):
        stage.ask()
        stage.new.wire.say(BAD)
        stage.settle()
    assert 3 == stage.plane.repeats
    wire = stage.warm(stage.new)
    client = stage.ask(method)
    wire.reset()
    stage.settle()
    if told == 200:
        stage.new.wire.say(OK)
    assert (told, 0) == (status(client), stage.slot(WorkerSlot.BUDGET_REFUSALS))


def test_a_status_over_the_budget_is_passed_on_and_counted(make_stage: MakeStage) -> None:
    """The client gets the new side's answer as it is."""
    stage = make_stage(falling_back())
    clients = []
    for _ in range(4):
        clients.append(stage.ask())
        stage.new.wire.say(BAD)
        stage.settle()
    assert (503, 1) == (status(clients[3]), stage.slot(WorkerSlot.BUDGET_REFUSALS))
    assert {"status": 3} == stage.fallbacks()


# ------------------------------------------------------------------------------------------------ broken answers


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_seen_as_cut(make_stage: MakeStage, head: bytes) -> None:
    """No clean end: fewer bytes than promised or no last chunk, then the end; counted as it began, logged as broken."""
    log = Log()
    stage = make_stage(table(), log)
    client = stage.ask()
    stage.new.wire.say(head + b"abc")
    stage.new.wire.reset()
    stage.settle()
    assert client.closed
    assert not client.heard.endswith(b"0\r\n\r\n")
    assert (once(), {("10.0.0.2", "body"): 1}) == (stage.counts(), stage.errors())
    assert [True] == log.broken


def test_where_the_end_of_the_connection_is_the_end_of_the_answer_a_cut_is_a_reset(stage: Stage) -> None:
    """HTTP/1.0 knows no chunks: a plain close would look like the proper end."""
    client = stage.client()
    client.say(b"GET /api/1 HTTP/1.0\r\nHost: shop\r\n\r\n")
    stage.settle()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\n\r\nabc")
    stage.new.wire.reset()
    stage.settle()
    assert client.aborted
    assert client.heard.endswith(b"\r\n\r\nabc")


def test_a_bad_chunk_in_an_answer_cuts_it(stage: Stage) -> None:
    """What came before it has gone out; nothing behind it does."""
    client = stage.ask()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    stage.new.wire.say(b"zz\r\n")
    stage.settle()
    assert client.heard.endswith(b"2\r\nab\r\n")
    assert client.closed
    assert {("10.0.0.2", "protocol"): 1} == stage.errors()
    assert once() == stage.counts()


def test_an_answer_that_stalls_is_cut_after_the_idle_time(make_stage: MakeStage) -> None:
    """Each byte starts the wait anew."""
    stage = make_stage(table(route(timeouts=Timeouts(idle=5.0))))
    client = stage.ask()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    for _ in range(3):
        stage.advance(4)
        stage.new.wire.say(b"a")
    stage.advance(4.9)
    assert not client.closed
    stage.advance(0.5)
    assert client.closed
    assert {("10.0.0.2", "body"): 1} == stage.errors()


def test_a_client_that_does_not_read_is_reset_in_the_end(make_stage: MakeStage) -> None:
    """Unless it takes something now and then."""
    stage = make_stage(table(limits=Limits(send_stall=10.0)))
    client = stage.ask()
    stage.new.wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 1000)
    client.full()
    for _ in range(4):
        stage.advance(9)
        client.unsent -= 1000
    stage.advance(12)
    assert not client.closed
    stage.advance(12)
    assert client.closed
    assert 1 == stage.slot(WorkerSlot.SEND_STALLS)
    assert once() == stage.counts()


def test_a_body_that_stops_coming_is_refused(make_stage: MakeStage) -> None:
    """408, the upstream is let go, and it is counted as the client's stall."""
    stage = make_stage(table(limits=Limits(body_stall=5.0)))
    client = stage.ask(b"POST", b"/api/1", b"Content-Length: 10")
    client.say(b"a")
    stage.advance(5.3)
    assert (408, b"body-stall", 1) == (status(client), code(client), stage.slot(WorkerSlot.BODY_STALLS))
    assert stage.new.wire.aborted
    assert once("4xx") == stage.counts()


@pytest.mark.parametrize("moment", ["connecting", "waiting", "answering"])
def test_a_client_that_goes_takes_its_exchange_with_it(stage: Stage, moment: str) -> None:
    """The upstream is let go at once, whatever the moment; counted once, with what the client had been told."""
    stage.new.hangs = moment == "connecting"
    client = stage.ask()
    if moment == "answering":
        stage.new.wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    client.reset()
    stage.settle()
    assert [] == stage.new.open
    assert 1 == stage.slot(WorkerSlot.CLIENT_GONE)
    assert once("2xx" if moment == "answering" else "none") == stage.counts()
    assert [] == list(stage.pool(NEW).waiting)


def test_a_client_that_goes_during_a_fallback_leaves_nothing(make_stage: MakeStage) -> None:
    """Neither the hidden answer's connection nor the one to legacy."""
    stage = make_stage(falling_back())
    client = stage.ask()
    stage.new.wire.say(BAD[:-1])
    stage.settle()
    client.reset()
    stage.settle()
    assert [] == stage.new.open + stage.old.open
    assert once("none", "legacy", "fallback") == stage.counts()


# --------------------------------------------------------------------------------------------------- tunnels


def tunnel(stage: Stage) -> tuple[Wire, Wire]:
    client = stage.ask(b"GET", b"/api/1", *UPGRADE)
    upstream = stage.new.wire
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in upstream.take()
    upstream.say(SWITCH + b"early")
    assert client.heard.endswith(b"\r\n\r\nearly")
    client.take()
    return client, upstream


def test_a_tunnel_passes_bytes_both_ways_and_is_counted_when_it_ends(stage: Stage) -> None:
    """What came with the 101 included; until then a gauge tells of it."""
    client, upstream = tunnel(stage)
    client.say(b"ping")
    upstream.say(b"pong")
    assert (b"ping", b"pong") == (upstream.heard, client.heard)
    assert 1 == stage.gauges()["tunnels api new"]
    assert {} == stage.counts()
    upstream.end()
    client.end()
    stage.settle()
    assert (client.closed, upstream.closed) == (True, True)
    assert once("1xx") == stage.counts()
    assert 0 == stage.slot(WorkerSlot.CLIENT_GONE)


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_tunnel_ends_for_both_when_one_is_gone(stage: Stage, who: str) -> None:
    """A reset, also by a broken network."""
    client, upstream = tunnel(stage)
    (client if who == "client" else upstream).reset()
    stage.settle()
    assert (client.closed, upstream.closed) == (True, True)
    assert once("1xx") == stage.counts()


def test_one_direction_of_a_tunnel_may_end_before_the_other(stage: Stage) -> None:
    """A half-closed tunnel still carries the other direction."""
    client, upstream = tunnel(stage)
    client.end()
    assert upstream.ended
    upstream.say(b"last words")
    assert b"last words" == client.heard
    upstream.end()
    stage.settle()
    assert client.closed


HALF = Limits(body_stall=30.0, half_close=50.0, tunnel_idle=1000.0)


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_half_closed_tunnel_may_idle_only_as_long_as_a_body(make_stage: MakeStage, who: str) -> None:
    """`body_stall` instead of `tunnel_idle`, from the last byte on, so that a peer that is gone holds no tunnel."""
    stage = make_stage(table(limits=HALF))
    client, upstream = tunnel(stage)
    near, far = (client, upstream) if who == "client" else (upstream, client)
    stage.advance(900)
    near.end()
    stage.advance(29)
    far.say(b"more")
    assert b"more" == near.heard
    stage.advance(29)
    assert (client.closed, upstream.closed) == (False, False)
    stage.advance(2)
    assert (client.closed, upstream.closed) == (True, True)
    assert once("1xx") == stage.counts()


def test_half_close_is_no_limit_for_tunnels(make_stage: MakeStage) -> None:
    """A WebSocket client that has said its last may still be listening."""
    stage = make_stage(table(limits=replace(HALF, half_close=5.0)))
    client, upstream = tunnel(stage)
    client.end()
    stage.advance(29)
    upstream.say(b"more")
    assert b"more" == client.heard
    assert (client.closed, upstream.closed) == (False, False)


def test_a_client_that_catches_up_does_not_make_a_half_closed_tunnel_last(make_stage: MakeStage) -> None:
    """A drained buffer counts as movement, not as a whole tunnel."""
    stage = make_stage(table(limits=HALF))
    client, upstream = tunnel(stage)
    upstream.end()
    client.full()
    client.drained()
    stage.advance(29)
    assert not client.closed
    stage.advance(2)
    assert (client.closed, upstream.closed) == (True, True)


def test_a_client_that_half_closed_before_the_101_has_a_half_closed_tunnel(make_stage: MakeStage) -> None:
    """Its end came early, its tunnel is no longer for that."""
    stage = make_stage(table(limits=HALF))
    client = stage.ask(b"GET", b"/api/1", *UPGRADE)
    client.end()
    upstream = stage.new.wire
    upstream.say(SWITCH)
    assert (101, True) == (status(client), upstream.ended)
    stage.advance(29)
    assert not client.closed
    stage.advance(2)
    assert (client.closed, upstream.closed) == (True, True)


def test_a_tunnel_outlives_a_reload(stage: Stage) -> None:
    """Also one that changes its route."""
    client, upstream = tunnel(stage)
    stage.adopt(table(route(weight=1)))
    stage.advance(100)
    client.say(b"still here")
    assert b"still here" == upstream.heard


@pytest.mark.parametrize("after", ["rollback", "removal"])
def test_a_rolled_back_tunnel_is_closed_after_its_time(make_stage: MakeStage, after: str) -> None:
    """It may drain first; then it is closed and counted.  A route that is gone is no better than a rolled-back one."""
    limits = Limits(tunnel_drain=10.0)
    stage = make_stage(table(limits=limits))
    client, upstream = tunnel(stage)
    if after == "rollback":
        stage.adopt(table(limits=limits), rollback())
    else:
        stage.adopt(table(route("other", "/other"), limits=limits))
    stage.advance(9.5)
    assert not client.closed
    stage.advance(1)
    assert (client.closed, upstream.closed) == (True, True)
    assert 1 == stage.slot(WorkerSlot.TUNNELS_CLOSED_BY_ROLLBACK)
    assert once("1xx") == stage.counts()


def test_a_rollback_that_is_lifted_in_time_closes_no_tunnel(make_stage: MakeStage) -> None:
    """What counts is what holds when the time is over."""
    limits = Limits(tunnel_drain=10.0)
    stage = make_stage(table(limits=limits))
    client, _ = tunnel(stage)
    stage.adopt(table(limits=limits), rollback())
    stage.advance(5)
    stage.adopt(table(limits=limits))
    stage.advance(20)
    assert not client.closed


def test_tunnels_have_a_limit(make_stage: MakeStage) -> None:
    """One too many is refused with 503 and counted; no place is taken by it."""
    stage = make_stage(table(limits=Limits(tunnels=1)))
    tunnel(stage)
    client = stage.ask(b"GET", b"/api/1", *UPGRADE)
    stage.new.wire.say(SWITCH)
    assert (503, 1, 1) == (status(client), stage.slot(WorkerSlot.TUNNELS_REFUSED), len(stage.plane.tunnels))


def test_an_idle_tunnel_is_closed(make_stage: MakeStage) -> None:
    """After its own, long time."""
    stage = make_stage(table(limits=Limits(tunnel_idle=100.0)))
    client, upstream = tunnel(stage)
    stage.advance(99)
    assert not client.closed
    stage.advance(2)
    assert (client.closed, upstream.closed) == (True, True)


# ---------------------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize("path", ["/%EC%83%81%ED%92%88/{id}", "/%ec%83%81%ED%92%88/{id}"])
@pytest.mark.parametrize("target", ["/상품/1?q=é".encode(), "/상품/é".encode(), b"/%EC%83%81%ed%92%88/1"])
def test_a_raw_target_above_ascii_finds_its_route_and_is_sent_on_as_it_came(
    make_stage: MakeStage, path: str, target: bytes
) -> None:
    """Where the table allows it; the normal form is for comparing only."""
    stage = make_stage(table(route("wares", path), non_ascii_target=True))
    client = stage.ask(target=target)
    assert stage.new.wire.heard.startswith(b"GET %b HTTP/1.1\r\n" % target)
    stage.new.wire.say(OK)
    assert 200 == status(client)
    assert once(name="wares") == stage.counts()


@pytest.mark.parametrize(
    "line", [b"content-LENGTH: 2", b"transfer-ENCODING: chunked", b"x-request-ID: 7"], ids=["length", "chunks", "id"]
)
def test_lines_that_are_passed_on_keep_their_place_and_case(stage: Stage, line: bytes) -> None:
    """What the router adds stands behind them; nothing is said twice."""
    stage.ask(b"POST", b"/api/1", b"A: 1", line, b"B: 2")
    head = stage.new.wire.heard.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [b"POST /api/1 HTTP/1.1", b"Host: shop", b"A: 1", line, b"B: 2"] == head[:5]
    added = [each.partition(b":")[0].lower() for each in head[5:]]
    assert line.partition(b":")[0].lower() not in added


def test_a_route_without_a_host_in_http_1_0_gets_the_upstreams(stage: Stage) -> None:
    """The one header that the router has to make up."""
    client = stage.client()
    client.say(b"GET /api/1 HTTP/1.0\r\n\r\n")
    stage.settle()
    assert b"\r\nHost: 10.0.0.2:80\r\n" in stage.new.wire.heard
    stage.new.wire.say(OK)
    assert b"Connection: close\r\n" in client.heard


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH"])
def test_methods_with_a_body_say_when_they_have_none(stage: Stage, method: bytes) -> None:
    """RFC 9110 section 8.6; some servers answer 411 otherwise."""
    stage.ask(method)
    assert b"\r\nContent-Length: 0\r\n" in stage.new.wire.heard


def test_a_preflight_follows_the_route_of_the_method_it_asks_about(make_stage: MakeStage) -> None:
    """And stays on legacy below a whole share, since it has no subject."""
    stage = make_stage(table(route(methods=("PUT",), weight=PPM - 1, subject=(SubjectSource(Source.CLIENT_IP),))))
    stage.ask(b"OPTIONS", b"/api/1", b"Origin: http://a", b"Access-Control-Request-Method: PUT")
    stage.old.wire.say(OK)
    assert once(side="legacy", reason="preflight") == stage.counts()


def test_head_follows_get(make_stage: MakeStage) -> None:
    """The same API, so the same side."""
    stage = make_stage(table(route(methods=("GET",))))
    stage.ask(b"HEAD")
    stage.new.wire.say(OK.partition(b"ok")[0])
    assert once() == stage.counts()


# ------------------------------------------------------------------------------------------------------ sites


def sites(*places: str) -> Table:
    """The new side in several places, one endpoint in each."""
    there = dict(zip(places, ((NEW,), (NEW_TOO,)), strict=False))
    upstreams = {"old": Upstream("old", {"": (OLD,)}), "new": Upstream("new", there)}
    subject = (SubjectSource(Source.HEADER, "X-User-Id"),)
    return Table("old", upstreams, (route(subject=subject),), sites={place: Site(place, 50) for place in places})


def test_a_subject_stays_at_its_site(make_stage: MakeStage) -> None:
    """By a draw of its own; each place gets about its share."""
    stage = make_stage(sites("here", "there"))
    went = {}
    for number in (*range(40), *range(40)):
        client = stage.ask(b"GET", b"/api/1", b"X-User-Id: u%d" % number)
        service = next(one for one in (stage.new, stage.new_too) if one.wires and one.wire.take())
        service.wire.say(OK)
        assert service is went.setdefault(number, service)
        client.end()
        stage.settle()
    assert 10 < list(went.values()).count(stage.new) < 30


def test_a_rolled_back_sites_subjects_go_to_legacy_and_the_others_stay(make_stage: MakeStage) -> None:
    """The route goes on at the other site; the reason says why some do not."""
    stage = make_stage(sites("here", "there"))
    stage.adopt(sites("here", "there"), Order(1, Kind.ROLLBACK, Scope(Reach.SITE, "there"), "test", "test", 0.0))
    for number in range(40):
        stage.ask(b"GET", b"/api/1", b"X-User-Id: u%d" % number)
        for service in (stage.new, stage.old):
            if service.wires and service.wire.take():
                service.wire.say(OK)
    counts = stage.counts()
    assert [] == stage.new_too.wires
    assert {("api", "new", "2xx", "weight"), ("api", "legacy", "2xx", "site-rollback")} == set(counts)
    assert 40 == sum(counts.values())

"""What belongs to one connection stays on it, in both directions (RFC 9110, 7.6.1)."""

from __future__ import annotations

from tests.journeys.http.claims import bytewise, cases, forwarded, own_fields
from tests.journeys.http.stage import CLOSE, Stage
from tests.journeys.http.wire import Answer
from tests.journeys.rig import Router


def get(fields: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET / " + version + b"\r\nHost: a\r\nA: 1\r\n" + fields + b"Z: 26\r\n\r\n"


AROUND = [(b"A", b"1"), (b"Z", b"26")]

DROPPED = {
    "Connection: close": b"Connection: close\r\n",
    "Connection: keep-alive": b"Connection: keep-alive\r\n",
    "Keep-Alive": b"Keep-Alive: timeout=5\r\n",
    "Keep-Alive, nominated": b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
    "Proxy-Connection": b"Proxy-Connection: keep-alive\r\n",
    "TE": b"TE: gzip\r\n",
    "TE, nominated": b"Connection: TE\r\nTE: gzip;q=0.5\r\n",
    "TE: trailers without its nomination": b"TE: trailers\r\n",
    "Upgrade without its nomination": b"Upgrade: websocket\r\n",
    "Upgrade to h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "Upgrade to something": b"Connection: upgrade\r\nUpgrade: something/1\r\n",
    "HTTP2-Settings alone": b"HTTP2-Settings: AAMAAABk\r\n",
    "a nominated field": b"Connection: X-Secret\r\nX-Secret: y\r\n",
    "a field nominated after it": b"X-Secret: y\r\nConnection: X-Secret\r\n",
    "a field nominated in another case": b"Connection: x-SECRET\r\nX-Secret: y\r\n",
    "a field nominated in a list": b"Connection: close, X-Secret ,keep-alive\r\nX-Secret: y\r\n",
    "a field nominated on a second line": b"Connection: close\r\nConnection: X-Secret\r\nX-Secret: y\r\n",
    "a nominated field on two lines": b"Connection: X-Secret\r\nX-Secret: y\r\nX-Secret: z\r\n",
    "two nominated fields": b"Connection: X-One,X-Two\r\nX-One: 1\r\nX-Two: 2\r\n",
    "nominations between commas": b"Connection: ,, X-Secret,,\r\nX-Secret: y\r\n",
    "nominations with tabs": b"Connection:\tX-Secret\t,\tclose\r\nX-Secret: y\r\n",
    "connection in lower case": b"connection: x-secret\r\nX-Secret: y\r\n",
    "a nominated Cookie": b"Connection: Cookie\r\nCookie: a=b\r\n",
}


@cases(DROPPED)
def test_what_belongs_to_the_clients_connection_stays_there(stage: Stage, case: bytes) -> None:
    """Dropped on the way to the upstream; the neighbours are kept."""
    request = forwarded(stage, get(case), fields=AROUND)
    assert {value.lower() for value in request.elements("connection")} <= {b"keep-alive", b"close"}


@cases({name: DROPPED[name] for name in ("a field nominated after it", "Upgrade to h2c", "nominations with tabs")})
def test_nominations_are_understood_byte_by_byte(stage: Stage, case: bytes) -> None:
    """Segments are no boundaries."""
    forwarded(stage, bytewise(get(case)), fields=AROUND)


PROTECTED = {
    "Host": (b"Connection: Host\r\n", "host", [b"a"]),
    "Host, in a list": (b"Connection: close, host\r\n", "host", [b"a"]),
    "X-Forwarded-For": (b"Connection: X-Forwarded-For\r\n", "x-forwarded-for", [b"127.0.0.1"]),
    "X-Forwarded-Proto": (b"Connection: X-Forwarded-Proto\r\n", "x-forwarded-proto", [b"http"]),
    "X-Forwarded-Host": (b"Connection: X-Forwarded-Host\r\n", "x-forwarded-host", [b"a"]),
}


@cases(PROTECTED)
def test_a_nomination_does_not_remove_what_the_router_needs(
    stage: Stage, own: Router, case: tuple[bytes, str, list[bytes]]
) -> None:
    """A client must not talk the router out of its own fields."""
    nomination, name, expected = case
    request = forwarded(stage, get(nomination), fields=AROUND)
    assert expected == request.elements(name)


def test_a_nominated_request_id_and_via_are_still_there(stage: Stage, own: Router) -> None:
    """They are written by the router after nominated fields have gone."""
    request = forwarded(stage, get(b"Connection: X-Request-Id, Via\r\n"), fields=AROUND)
    assert (1, 1) == (len(request.values("x-request-id")), len(request.elements("via")))


@cases({"Content-Length": b"Connection: Content-Length\r\n", "with another": b"Connection: close, content-length\r\n"})
def test_a_nomination_does_not_remove_the_length(stage: Stage, case: bytes) -> None:
    """Or the body would become the next request."""
    body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    sent = b"POST / HTTP/1.1\r\nHost: a\r\n" + case + b"Content-Length: %d\r\n\r\n" % len(body) + body
    forwarded(stage, sent, method=b"POST", body=body)


def test_te_trailers_with_its_nomination_may_pass(stage: Stage) -> None:
    """The router passes trailers on, so it may say so; if it does, it nominates TE itself."""
    request = forwarded(stage, get(b"Connection: TE\r\nTE: trailers\r\n"))
    if request.values("te"):
        assert [b"trailers"] == request.elements("te")
        assert b"te" in [value.lower() for value in request.elements("connection")]


@cases(
    {
        "Expect without a body": b"Expect: 100-continue\r\n",
        "Authorization": b"Authorization: Basic eDp5\r\n",
        "Cookie": b"Cookie: a=b; c=d\r\n",
        "Cookie twice": b"Cookie: a=b\r\nCookie: c=d\r\n",
        "Range": b"Range: bytes=0-1\r\n",
        "Accept-Encoding": b"Accept-Encoding: gzip, br\r\n",
        "If-None-Match": b'If-None-Match: "x"\r\n',
        "Cache-Control": b"Cache-Control: no-cache\r\nPragma: no-cache\r\n",
        "Forwarded": b"Forwarded: for=1.2.3.4\r\n",
        "traceparent": b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\n",
        "Origin": b"Origin: http://b\r\n",
        "Referer": b"Referer: http://b/c\r\n",
        "User-Agent": b"User-Agent: x (y) z/1\r\n",
        "Sec-WebSocket-Key without an upgrade": b"Sec-WebSocket-Key: x\r\n",
        "unknown names": b"X-Unknown: 1\r\nFoo: 2\r\n",
        "underscores": b"X_Custom: 1\r\nx_other: 2\r\n",
        "a field twice": b"X: 1\r\nX: 2\r\n",
        "a field twice, apart": b"X: 1\r\nY: 2\r\nx: 3\r\n",
        "a field without a value": b"X:\r\n",
        "Content-Type without a body": b"Content-Type: text/plain; charset=x\r\n",
        "Accept": b"Accept: text/html, */*;q=0.5\r\nAccept-Language: ko, en\r\n",
    }
)
def test_end_to_end_fields_pass_in_their_order_and_spelling(stage: Stage, case: bytes) -> None:
    """Nothing joined, sorted, re-cased or dropped."""
    pairs = [tuple(line.split(b":", 1)) for line in case.split(b"\r\n")[:-1]]
    expected = [AROUND[0], *((name, value.strip()) for name, value in pairs), AROUND[1]]
    forwarded(stage, get(case), fields=expected)


# -- answers -----------------------------------------------------------------------------------------


def relay(stage: Stage, fields: bytes, version: bytes = b"HTTP/1.1") -> Answer:
    head = version + b" 200 OK\r\nContent-Length: 5\r\nA: 1\r\n" + fields + b"Z: 26\r\n\r\nhello"
    outcome = stage.play(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", [head])
    assert (200, b"hello") == (outcome.answer.status, outcome.answer.body)
    stage.clear()
    return outcome.answer


@cases(
    {
        "Connection: close": b"Connection: close\r\n",
        "Connection: keep-alive": b"Connection: keep-alive\r\n",
        "Keep-Alive": b"Keep-Alive: timeout=5, max=100\r\n",
        "Keep-Alive, nominated": b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
        "Proxy-Connection": b"Proxy-Connection: keep-alive\r\n",
        "Upgrade": b"Upgrade: h2c, websocket\r\n",
        "Upgrade, nominated": b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "a nominated field": b"Connection: X-Secret\r\nX-Secret: y\r\n",
        "a field nominated after it": b"X-Secret: y\r\nConnection: close, x-secret\r\n",
        "a field nominated on a second line": b"Connection: close\r\nConnection: X-Secret\r\nX-Secret: y\r\n",
        "TE": b"TE: trailers\r\n",
    }
)
def test_what_belongs_to_the_upstreams_connection_stays_there(stage: Stage, case: bytes) -> None:
    """Dropped on the way to the client; the client's connection is none of the upstream's business."""
    answer = relay(stage, case)
    assert AROUND == own_fields(answer.fields)
    assert {value.lower() for value in answer.elements("connection")} <= {b"keep-alive"}


@cases({"Content-Length": b"Connection: content-length\r\n", "Date": b"Connection: date\r\n"})
def test_a_nomination_does_not_remove_what_the_client_needs(stage: Stage, case: bytes) -> None:
    """The length of an answer is the router's to write."""
    answer = relay(stage, case)
    assert (b"hello", True) == (answer.body, answer.complete)
    assert 1 == len(answer.values("date")) or not stage.strict


@cases(
    {
        "Set-Cookie twice": b"Set-Cookie: a=b; Path=/\r\nSet-Cookie: c=d\r\n",
        "Set-Cookie with a comma": b"Set-Cookie: a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n",
        "WWW-Authenticate twice": b'WWW-Authenticate: Basic realm="a"\r\nWWW-Authenticate: Bearer\r\n',
        "Server": b"Server: x/1 (y)\r\n",
        "Location": b"Location: http://127.0.0.1:1/a?b#c\r\n",
        "Content-Encoding": b"Content-Encoding: gzip\r\n",
        "ETag": b'ETag: W/"x"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n',
        "Vary": b"Vary: Accept\r\nVary: Cookie\r\n",
        "Age and Cache-Control": b"Age: 5\r\nCache-Control: max-age=10\r\n",
        "Link": b"Link: </a>; rel=x, </b>; rel=y\r\n",
        "Latin-1": b"X: caf\xe9\r\n",
        "UTF-8": b"X: \xec\x95\x88\r\n",
        "underscore": b"X_y: z\r\n",
        "Retry-After": b"Retry-After: 120\r\n",
        "CORS": b"Access-Control-Allow-Origin: *\r\n",
        "security fields": b"Content-Security-Policy: default-src 'self'\r\nStrict-Transport-Security: max-age=1\r\n",
        "a field twice, apart": b"X: 1\r\nY: 2\r\nx: 3\r\n",
        "a field without a value": b"X:\r\n",
        "unknown names": b"foo: 1\r\nBAR: 2\r\n",
        "Content-Disposition": b'Content-Disposition: attachment; filename="\xed\x95\x9c.txt"\r\n',
        "Trailer of nothing": b"X-Accel-Buffering: no\r\n",
    }
)
def test_end_to_end_fields_of_an_answer_pass_in_their_order_and_spelling(stage: Stage, case: bytes) -> None:
    """Nothing joined, sorted, re-cased or dropped."""
    pairs = [tuple(line.split(b":", 1)) for line in case.split(b"\r\n")[:-1]]
    expected = [AROUND[0], *((name, value.strip()) for name, value in pairs), AROUND[1]]
    assert expected == own_fields(relay(stage, case).fields)


def test_a_connection_that_the_upstream_closes_does_not_close_the_clients(stage: Stage) -> None:
    """Connection: close ends the upstream's connection alone."""
    client = stage.client(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    stage.play_script(
        stage.arrival().peer, [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", CLOSE]
    )
    assert b"ok" == stage.answer(client).body
    stage.send(client, b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    arrival = stage.arrival()
    stage.send(arrival.peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (b"/2", b"ok") == (arrival.request.target, stage.answer(client).body)

"""Methods, statuses, persistence, pipelining, expectations and retries (RFC 9110; RFC 9112, 9)."""

from __future__ import annotations

import pytest

from tests.journeys.http.claims import OK, SMUGGLED, cases, forwarded, let_go, own_answer, own_fields
from tests.journeys.http.stage import CLOSE, END, RESET, Script, Stage, Step, Wire
from tests.journeys.rig import Router

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def get(target: bytes, fields: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\nHost: a\r\n" + fields + b"\r\n"


def post(body: bytes, fields: bytes = b"", target: bytes = b"/") -> bytes:
    return b"POST " + target + b" HTTP/1.1\r\nHost: a\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body


def ok(body: bytes = b"ok", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body) + fields + b"\r\n" + body


# -- statuses and reasons ----------------------------------------------------------------------------

STATUSES = [200, 201, 202, 203, 206, 207, 226, 299, 300, 301, 302, 303, 307, 308, 399, 400, 401, 402, 403, 404, 405]
STATUSES += [407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 425, 426, 428, 429, 431, 451, 499]
STATUSES += [500, 501, 502, 503, 504, 505, 507, 511, 599]


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_passes_as_it_is(stage: Stage, status: int) -> None:
    """Known or not, with body and reason: also what the router says itself at times."""
    outcome = stage.play(GET, [b"HTTP/1.1 %d Some Reason\r\nContent-Length: 5\r\n\r\nhello" % status])
    assert (status, b"hello") == (outcome.answer.status, outcome.answer.body)
    assert [] == outcome.answer.values("x-strangler-error")
    stage.fence()


@cases({"usual": b"OK", "words": b"Very Well (indeed)", "empty": b"", "tab": b"a\tb", "Latin-1": b"caf\xe9"})
def test_a_reason_does_no_harm(stage: Stage, case: bytes) -> None:
    """It passes or is replaced."""
    outcome = stage.play(GET, [b"HTTP/1.1 200 " + case + b"\r\nContent-Length: 2\r\n\r\nok"])
    assert (200, b"ok") == (outcome.answer.status, outcome.answer.body)


@cases({"600": b"600", "700": b"700", "999": b"999"})
def test_a_status_of_no_class_passes_or_becomes_a_502(stage: Stage, case: bytes) -> None:
    """RFC 9110, 15: a client treats it as a 5xx."""
    outcome = stage.play(GET, [b"HTTP/1.1 " + case + b" X\r\nContent-Length: 2\r\n\r\nok"])
    assert outcome.answer.status in {int(case), 502}
    stage.clear()


def test_a_205_has_no_content(stage: Stage) -> None:
    """A zero length is fine (RFC 9110, 15.3.6)."""
    outcome = stage.play(GET, [b"HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n"])
    assert (205, b"") == (outcome.answer.status, outcome.answer.body)
    stage.fence()


def test_a_partial_answer_passes_as_it_is(stage: Stage) -> None:
    """Ranges are the upstream's."""
    fields = b"Content-Range: bytes 0-4/10\r\nContent-Type: multipart/byteranges; boundary=x\r\n"
    outcome = stage.play(get(b"/", b"Range: bytes=0-4\r\n"), [ok(b"hello", fields).replace(b"200 OK", b"206 X")])
    assert (206, b"hello") == (outcome.answer.status, outcome.answer.body)
    assert [tuple(line.split(b": ")) for line in fields.split(b"\r\n")[:-1]] == own_fields(outcome.answer.fields)


def test_a_compressed_body_passes_as_it_is(stage: Stage) -> None:
    """Content coding is end to end."""
    body = b"\x1f\x8b\x08\x00no gzip at all"
    outcome = stage.play(GET, [ok(body, b"Content-Encoding: gzip\r\n")])
    assert (body, [b"gzip"]) == (outcome.answer.body, outcome.answer.values("content-encoding"))


# -- persistence -------------------------------------------------------------------------------------


def exchange(stage: Stage, client: Wire, sent: bytes, script: Script = OK, method: str = "GET") -> Wire:
    """One exchange on an open connection; the upstream connection that carried it."""
    stage.send(client, sent)
    arrival = stage.arrival()
    stage.play_script(arrival.peer, script)
    assert stage.answer(client, method).complete
    return arrival.peer


@cases(
    {
        "length": [ok()],
        "chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
        "no content": [b"HTTP/1.1 204 X\r\n\r\n"],
        "not modified": [b"HTTP/1.1 304 X\r\n\r\n"],
        "error": [b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno"],
        "bad request": [b"HTTP/1.1 400 X\r\nContent-Length: 2\r\n\r\nno"],
        "upstream closes": [ok(fields=b"Connection: close\r\n"), CLOSE],
        "upstream speaks 1.0": [ok().replace(b"HTTP/1.1", b"HTTP/1.0"), CLOSE],
    }
)
def test_the_clients_connection_is_kept(stage: Stage, case: Script) -> None:
    """HTTP/1.1 persists unless somebody says otherwise; what the upstream does with its own is its business."""
    client = stage.client()
    for number in range(3):
        exchange(stage, client, get(b"/%d" % number), case)
    assert not client.ended


def test_a_close_delimited_answer_leaves_the_clients_connection_usable(stage: Stage) -> None:
    """Towards an HTTP/1.1 client it becomes chunked; closing would be allowed, cutting would not."""
    client = stage.client(GET)
    stage.play_script(stage.arrival().peer, [b"HTTP/1.1 200 OK\r\n\r\nok", CLOSE])
    answer = stage.answer(client)
    assert (b"ok", True) == (answer.body, answer.complete)
    if answer.framing == "chunked":
        exchange(stage, client, GET)


@cases(
    {
        "close": (b"Connection: close\r\n", b"HTTP/1.1"),
        "close in upper case": (b"Connection: CLOSE\r\n", b"HTTP/1.1"),
        "close in a list": (b"Connection: foo, close\r\n", b"HTTP/1.1"),
        "close and keep-alive": (b"Connection: keep-alive, close\r\n", b"HTTP/1.1"),
        "close on a second line": (b"Connection: foo\r\nConnection: close\r\n", b"HTTP/1.1"),
        "HTTP/1.0": (b"", b"HTTP/1.0"),
        "HTTP/1.0 with close": (b"Connection: close\r\n", b"HTTP/1.0"),
    }
)
def test_the_clients_connection_is_closed_when_the_client_says_so(stage: Stage, case: tuple[bytes, bytes]) -> None:
    """Behind the answer, which says so as well; nothing behind the request is read any more."""
    fields, version = case
    outcome = stage.play(get(b"/", fields, version) + SMUGGLED, OK, to_the_end=True)
    assert [b"/"] == [request.target for request in outcome.requests]
    assert (True, 1, b"") == (outcome.ended, len(outcome.answers), outcome.raw)
    assert b"close" in outcome.answer.elements("connection") or version == b"HTTP/1.0"
    assert b"keep-alive" not in outcome.answer.elements("connection")
    stage.fence()


@cases({"lower case": b"keep-alive", "mixed case": b"Keep-Alive", "in a list": b"foo, keep-alive"})
def test_an_http_1_0_connection_is_kept_only_when_both_say_so(stage: Stage, case: bytes) -> None:
    """Kept and announced, or closed: never kept in silence."""
    client = stage.client(get(b"/1", b"Connection: " + case + b"\r\n", b"HTTP/1.0"))
    stage.play_script(stage.arrival().peer, [ok()])
    answer = stage.answer(client)
    assert b"ok" == answer.body
    if b"keep-alive" in [value.lower() for value in answer.elements("connection")]:
        exchange(stage, client, get(b"/2", version=b"HTTP/1.0"))
    stage.until(lambda: client.ended, "the router closes")


def test_an_http_1_0_client_gets_a_body_without_length_until_the_end(stage: Stage) -> None:
    """Keep-alive cannot be announced for it."""
    script = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
    outcome = stage.play(get(b"/", b"Connection: keep-alive\r\n", b"HTTP/1.0"), script, to_the_end=True)
    assert (b"ok", "close") == (outcome.answer.body, outcome.answer.framing)
    assert b"keep-alive" not in outcome.answer.elements("connection")


def test_upstream_connections_are_used_again(stage: Stage, own: Router) -> None:
    """By any client."""
    first = exchange(stage, stage.client(), GET)
    assert first is exchange(stage, stage.client(), GET)


@cases(
    {
        "the upstream says close": [ok(fields=b"Connection: close\r\n")],
        "the upstream says close in a list": [ok(fields=b"Connection: foo, CLOSE\r\n")],
        "the upstream speaks 1.0": [ok().replace(b"HTTP/1.1", b"HTTP/1.0")],
    }
)
def test_an_upstream_connection_that_is_to_end_is_not_used_again(stage: Stage, case: Script) -> None:
    """Even if the upstream does not hurry to close it."""
    outcome = stage.play(GET, case)
    let_go(stage, outcome.answered)
    stage.fence()


# -- pipelining --------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(stage: Stage) -> None:
    """Twenty at once, of several kinds."""
    kinds = [get(b"/get"), post(b"hello", target=b"/post"), b"HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n", get(b"/last")]
    names = [b"/get", b"/post", b"/head", b"/last"] * 5
    client = stage.client(b"".join(kinds * 5))
    for index, target in enumerate(names):
        arrival = stage.arrival()
        assert target == arrival.request.target
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: %d\r\n\r\n" % index
        stage.send(arrival.peer, head + (b"" if target == b"/head" else b"%02d" % index))
        answer = stage.answer(client, "HEAD" if target == b"/head" else "GET")
        assert [b"%d" % index] == answer.values("x")


def test_a_pipelined_request_is_not_sent_before_the_answer_of_its_predecessor(stage: Stage, own: Router) -> None:
    """Answers could not be told apart, and the first may still close."""
    client = stage.client(get(b"/1") + get(b"/2"))
    first = stage.arrival()
    stage.send(first.peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
    stage.until(lambda: client.inbox.endswith(b"o"), "half of the first body")
    assert [] == [peer for peer in stage.peers if peer.inbox]
    stage.send(first.peer, b"k")
    assert (b"ok", b"/2") == (stage.answer(client).body, stage.arrival().request.target)


@cases(
    {
        "bad request line": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "bad field": b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "no Host": b"GET / HTTP/1.1\r\n\r\n",
        "bad length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "length and coding": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "bad chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    }
)
def test_a_bad_request_behind_a_good_one_is_refused_behind_its_answer(stage: Stage, case: bytes) -> None:
    """In order, and nothing behind it is read."""
    outcome = stage.play(get(b"/good") + case + SMUGGLED, OK, methods=("GET", "POST"), to_the_end=True)
    assert [b"/good"] == [request.target for request in outcome.requests]
    assert [200, 400] == [answer.status for answer in outcome.answers] or not stage.strict
    assert (True, b"") == (outcome.ended, outcome.raw) or not stage.strict
    stage.fence()


def test_a_bad_answer_does_not_mix_up_a_pipeline(stage: Stage) -> None:
    """The 502 takes its place; the next answer belongs to the next request, or the connection ends."""
    client = stage.client(get(b"/1") + get(b"/2"))
    stage.play_script(stage.arrival().peer, [b"nonsense\r\n\r\n"])
    assert 500 <= stage.answer(client).status
    stage.until(lambda: client.ended or any(peer.inbox for peer in stage.peers), "the second request or the end")
    if not client.ended:
        arrival = stage.arrival()
        assert b"/2" == arrival.request.target
        stage.send(arrival.peer, ok(b"two"))
        assert b"two" == stage.answer(client).body


def test_answers_of_many_clients_are_not_mixed_up(stage: Stage) -> None:
    """Thirty at once, answered from the last to the first."""
    clients = [stage.client(get(b"/%d" % number)) for number in range(30)]
    arrivals = {}
    for _ in clients:
        arrival = stage.arrival()
        arrivals[arrival.request.target] = arrival.peer
    for number in reversed(range(30)):
        stage.send(arrivals[b"/%d" % number], ok(b"%d" % number))
    assert [b"%d" % number for number in range(30)] == [stage.answer(client).body for client in clients]


# -- Expect ------------------------------------------------------------------------------------------

EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"


@cases({"usual": EXPECTING, "mixed case": EXPECTING.replace(b"100-continue", b"100-Continue")})
def test_a_client_that_waits_gets_the_100_of_the_upstream(stage: Stage, case: bytes) -> None:
    """The head goes up without the body, the 100 comes down, then the body goes up."""
    client = stage.client(case)
    arrival = stage.head()
    assert [b"100-continue"] == [value.lower() for value in arrival.request.values("expect")]
    assert b"" == bytes(client.inbox) or not stage.strict, "a 100 that the upstream has not sent"
    stage.send(arrival.peer, b"HTTP/1.1 100 Continue\r\n\r\n")
    stage.until(lambda: client.inbox.startswith(b"HTTP/1.1 100 ") and client.inbox.endswith(b"\r\n\r\n"), "the 100")
    stage.send(client, b"hello")
    stage.until(lambda: arrival.peer.inbox == b"hello", "the body at the upstream")
    arrival.peer.inbox.clear()
    stage.send(arrival.peer, ok())
    answer = stage.answer(client)
    assert (200, 1, 100) == (answer.status, len(answer.interim), answer.interim[0].status)
    stage.fence()


def test_a_chunked_body_may_wait_for_its_100_too(stage: Stage) -> None:
    """Expect does not depend on the framing."""
    client = stage.client(EXPECTING.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"))
    arrival = stage.head()
    stage.send(arrival.peer, b"HTTP/1.1 100 Continue\r\n\r\n")
    stage.until(lambda: b" 100 " in client.inbox, "the 100")
    stage.send(client, b"5\r\nhello\r\n0\r\n\r\n")
    stage.until(lambda: arrival.peer.inbox == b"5\r\nhello\r\n0\r\n\r\n", "the body at the upstream")
    arrival.peer.inbox.clear()
    stage.send(arrival.peer, ok())
    assert 200 == stage.answer(client).status


@pytest.mark.parametrize("status", [401, 413, 417, 500, 200])
def test_a_final_answer_instead_of_the_100_reaches_the_client(stage: Stage, status: int) -> None:
    """The body is never sent; neither connection may be used as if it had been."""
    client = stage.client(EXPECTING)
    arrival = stage.head()
    stage.send(arrival.peer, b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nno" % status)
    answer = stage.answer(client)
    assert (status, b"no", ()) == (answer.status, answer.body, answer.interim)
    stage.fence()
    if not client.ended:  # then the body is still owed, and must not be taken for a request
        stage.send(client, b"hello" + get(b"/next"))
        stage.until(lambda: client.ended or any(p.inbox for p in stage.peers if p is not arrival.peer), "what follows")
        assert client.ended or b"/next" == stage.arrival().request.target


def test_a_client_that_does_not_wait_for_its_100_is_served(stage: Stage) -> None:
    """Expect is a hope."""
    outcome = stage.play(EXPECTING + b"hello", OK, methods=("POST",))
    assert (b"hello", 200) == (outcome.request.body, outcome.answer.status)
    stage.fence()


def test_an_upstream_that_sends_no_100_gets_the_body_when_it_comes(stage: Stage) -> None:
    """The client decides how long it waits."""
    client = stage.client(EXPECTING)
    arrival = stage.head()
    stage.send(client, b"hello")
    stage.until(lambda: arrival.peer.inbox == b"hello", "the body at the upstream")
    arrival.peer.inbox.clear()
    stage.send(arrival.peer, ok())
    assert (200, ()) == ((answer := stage.answer(client)).status, answer.interim)


def test_an_http_1_0_client_does_not_wait_for_a_100(stage: Stage) -> None:
    """Its expectation is ignored, and it gets no 100 (RFC 9110, 10.1.1)."""
    sent = EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0") + b"hello"
    outcome = stage.play(sent, [b"HTTP/1.1 100 Continue\r\n\r\n" + ok()], methods=("POST",), to_the_end=True)
    assert (b"hello", 200, ()) == (outcome.request.body, outcome.answer.status, outcome.answer.interim)


@cases({"unknown": b"200-ok", "empty": b"", "a list": b"100-continue, foo"})
def test_an_unknown_expectation_is_refused_or_forwarded(stage: Stage, case: bytes) -> None:
    """417 or the upstream's answer."""
    outcome = stage.play(post(b"hello", b"Expect: " + case + b"\r\n"), OK, methods=("POST",))
    assert outcome.answer.status in {200, 400, 417}


# -- Max-Forwards ------------------------------------------------------------------------------------


@cases({"OPTIONS": b"OPTIONS", "TRACE": b"TRACE"})
def test_max_forwards_is_counted_down(stage: Stage, own: Router, case: bytes) -> None:
    """RFC 9110, 7.6.2."""
    sent = case + b" /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 5\r\n\r\n"
    assert [b"4"] == forwarded(stage, sent, method=case, target=b"/a").values("max-forwards")


@cases(
    {
        "OPTIONS": b"OPTIONS /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        "TRACE": b"TRACE /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        "OPTIONS with zeros": b"OPTIONS /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 00\r\n\r\n",
    }
)
def test_at_max_forwards_0_the_router_answers(stage: Stage, own: Router, case: bytes) -> None:
    """Nothing reaches the upstream."""
    outcome = stage.play(case, OK)
    assert [] == outcome.requests
    assert outcome.answer.status in {200, 204, 405, 501}
    stage.fence()


def test_a_trace_at_its_end_does_not_echo_secrets(stage: Stage, own: Router) -> None:
    """RFC 9110, 9.3.8: credentials are not reflected."""
    sent = b"TRACE /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nCookie: sid=secret\r\nAuthorization: secret\r\n\r\n"
    assert b"secret" not in stage.play(sent, OK).answer.body


@cases({"GET": (b"GET", b"0"), "POST": (b"POST", b"3"), "GET with a word": (b"GET", b"many")})
def test_max_forwards_of_other_methods_is_left_alone(stage: Stage, case: tuple[bytes, bytes]) -> None:
    """It means nothing there."""
    method, value = case
    sent = method + b" /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + value + b"\r\n\r\n"
    assert [value] == forwarded(stage, sent, method=method, target=b"/a").values("max-forwards")


@cases({"word": b"many", "minus": b"-1", "plus": b"+1", "empty": b"", "huge": b"9" * 30, "point": b"1.0"})
def test_a_malformed_max_forwards_is_refused_or_left_alone(stage: Stage, own: Router, case: bytes) -> None:
    """Never miscounted."""
    outcome = stage.play(b"OPTIONS /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + case + b"\r\n\r\n", OK)
    if outcome.requests:
        assert outcome.request.values("max-forwards") in ([case], [b"9" * 29 + b"8"])
    else:
        assert 400 == outcome.answer.status
    stage.fence()


# -- retries -----------------------------------------------------------------------------------------


def pooled(stage: Stage) -> Wire:
    """An idle upstream connection in the router's pool, and the only one."""
    for peer in stage.peers:
        peer.close()
    return exchange(stage, stage.client(), GET)


@cases(
    {
        "GET": get(b"/again"),
        "HEAD": b"HEAD /again HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS": b"OPTIONS /again HTTP/1.1\r\nHost: a\r\n\r\n",
    }
)
@pytest.mark.parametrize("how", [CLOSE, RESET])
def test_a_safe_request_on_a_stale_connection_is_sent_again(stage: Stage, own: Router, how: Step, case: bytes) -> None:
    """The upstream closes its idle connection just as the request arrives: no error for the client."""
    stale = pooled(stage)
    client = stage.client(case)
    first = stage.arrival()
    assert stale is first.peer
    stage.play_script(first.peer, [how])
    second = stage.arrival()
    assert (b"/again", True) == (second.request.target, second.peer is not first.peer)
    stage.send(second.peer, ok() if not case.startswith(b"HEAD") else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    assert 200 == stage.answer(client, case.split()[0].decode()).status


@cases(
    {
        "POST": post(b"hello", target=b"/once"),
        "POST without a body": post(b"", target=b"/once"),
        "PATCH": post(b"hello", target=b"/once").replace(b"POST", b"PATCH"),
        "unknown method": post(b"", target=b"/once").replace(b"POST", b"BREW"),
    }
)
@pytest.mark.parametrize("how", [CLOSE, RESET])
def test_a_request_that_may_have_had_its_effect_is_never_sent_again(
    stage: Stage, own: Router, how: Step, case: bytes
) -> None:
    """It was delivered: the client gets a 502 and decides itself."""
    pooled(stage)
    client = stage.client(case)
    stage.play_script(stage.arrival().peer, [how])
    answer = stage.answer(client, "POST")
    assert 502 == answer.status
    own_answer(answer)
    stage.fence()


@cases({"GET": get(b"/a"), "POST": post(b"hello", target=b"/a"), "POST, empty": post(b"", target=b"/a")})
@pytest.mark.parametrize("how", [CLOSE, RESET, END])
def test_a_connection_ended_while_idle_costs_nobody_anything(stage: Stage, own: Router, how: Step, case: bytes) -> None:
    """The router looks before it sends: nothing was delivered, so even a POST goes out on a new connection."""
    for _ in range(20):
        stage.play_script(pooled(stage), [how])
        client = stage.client(case)
        arrival = stage.arrival()
        stage.send(arrival.peer, ok())
        assert 200 == stage.answer(client).status
        client.close()


def test_a_pool_full_of_stale_connections_costs_a_safe_request_nothing(stage: Stage, own: Router) -> None:
    """The second attempt goes out on a new connection, not on the next stale one."""
    stage.clear()
    for peer in stage.peers:
        peer.close()
    clients = [stage.client(GET) for _ in range(8)]
    stale = [stage.arrival().peer for _ in clients]
    for peer in stale:
        stage.send(peer, ok())
    assert [200] * 8 == [stage.answer(client).status for client in clients]
    client = stage.client(get(b"/again"))
    while (arrival := stage.arrival()).peer in stale:
        arrival.peer.close()
        assert b"" == client.inbox
    stage.send(arrival.peer, ok())
    assert 200 == stage.answer(client).status


def test_a_safe_request_is_not_sent_for_ever(stage: Stage) -> None:
    """An upstream that always closes gets two or three attempts."""
    outcome = stage.play(GET, [CLOSE])
    assert 500 <= outcome.answer.status
    assert 1 <= len(outcome.requests) <= 3


def test_nothing_is_sent_again_once_the_answer_has_begun(stage: Stage) -> None:
    """Half a head is a beginning."""
    pooled(stage)
    outcome = stage.play(GET, [b"HTTP/1.1 200 OK\r\nX", CLOSE])
    assert 1 == len(outcome.requests)
    assert 500 <= outcome.answer.status


def test_a_trickle_of_a_body_is_not_sent_again_when_it_has_begun(stage: Stage, own: Router) -> None:
    """A PUT whose body is still coming cannot be repeated from the middle: 502, or the whole again, never half."""
    pooled(stage)
    client = stage.client(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
    first = stage.head()
    stage.until(lambda: first.peer.inbox == b"hello", "half of the body at the upstream")
    first.peer.close()
    stage.send(client, b"world")
    stage.until(lambda: client.ended or client.inbox or any(p.inbox for p in stage.peers), "what the router does")
    if not client.inbox and not client.ended:
        second = stage.arrival()
        assert b"helloworld" == second.request.body
        stage.send(second.peer, ok())
    assert stage.answer(client, "PUT").status in {200, 502}

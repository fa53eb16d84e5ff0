"""The fields that the router writes itself: Via, X-Forwarded-*, X-Request-Id, Date, X-Strangler-* (INTERFACE of it)."""

from __future__ import annotations

import re

import pytest

from tests.journeys.http.claims import OK, cases, forwarded, own_answer, refused
from tests.journeys.http.conftest import listening
from tests.journeys.http.stage import Stage
from tests.journeys.http.wire import Request
from tests.journeys.rig import Router

pytestmark = pytest.mark.usefixtures("own")

RAW_TARGETS = """
version: 1
upstreams: {{scripted: {{endpoints: [http://127.0.0.1:{port}]}}}}
legacy: scripted
http: {{non_ascii_target: true}}
routes:
  - {{path: "/%EC%83%81%ED%92%88/{{id}}", name: wares}}
"""
IMF_DATE = re.compile(rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\Z")


def get(fields: bytes = b"", version: bytes = b"HTTP/1.1", target: bytes = b"/") -> bytes:
    return b"GET " + target + b" " + version + b"\r\nHost: a\r\n" + fields + b"\r\n"


def sent_on(stage: Stage, fields: bytes, version: bytes = b"HTTP/1.1") -> Request:
    return forwarded(stage, get(fields, version))


@cases(
    {
        "none": (b"", [b"127.0.0.1"]),
        "one": (b"X-Forwarded-For: 1.2.3.4\r\n", [b"1.2.3.4", b"127.0.0.1"]),
        "a list": (b"X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n", [b"1.2.3.4", b"5.6.7.8", b"127.0.0.1"]),
        "two lines": (b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: ::1\r\n", [b"1.2.3.4", b"::1", b"127.0.0.1"]),
        "lower case": (b"x-forwarded-for: 1.2.3.4\r\n", [b"1.2.3.4", b"127.0.0.1"]),
        "empty": (b"X-Forwarded-For:\r\n", [b"127.0.0.1"]),
    }
)
def test_the_clients_address_is_appended(stage: Stage, case: tuple[bytes, list[bytes]]) -> None:
    """Behind what the client says about where it comes from."""
    fields, expected = case
    assert expected == sent_on(stage, fields).elements("x-forwarded-for")


@cases(
    {
        "proto": (b"", "x-forwarded-proto", [b"http"]),
        "proto over the client's": (b"X-Forwarded-Proto: https\r\n", "x-forwarded-proto", [b"http"]),
        "proto over two": (b"X-Forwarded-Proto: a\r\nx-forwarded-proto: b\r\n", "x-forwarded-proto", [b"http"]),
        "host": (b"", "x-forwarded-host", [b"a"]),
        "host over the client's": (b"X-Forwarded-Host: evil\r\n", "x-forwarded-host", [b"a"]),
        "host over two": (b"X-Forwarded-Host: b\r\nX-FORWARDED-HOST: c\r\n", "x-forwarded-host", [b"a"]),
    }
)
def test_protocol_and_host_are_what_the_router_saw(stage: Stage, case: tuple[bytes, str, list[bytes]]) -> None:
    """A client cannot claim them."""
    fields, name, expected = case
    assert expected == sent_on(stage, fields).values(name)


def test_forwarded_host_is_that_of_an_absolute_target(stage: Stage) -> None:
    """Host and X-Forwarded-Host agree."""
    request = forwarded(stage, get(target=b"http://b:8080/c"), target=b"/c", host=b"b:8080")
    assert [b"b:8080"] == request.values("x-forwarded-host")


@cases(
    {
        "X_Forwarded_For": b"X_Forwarded_For: 6.6.6.6\r\n",
        "X-Forwarded_For": b"X-Forwarded_For: 6.6.6.6\r\n",
        "x_forwarded_for": b"x_forwarded_for: 6.6.6.6\r\n",
        "X_Forwarded_Proto": b"X_Forwarded_Proto: https\r\n",
        "X_Forwarded_Host": b"X_Forwarded_Host: evil\r\n",
        "X_Request_Id": b"X_Request_Id: evil\r\n",
        "X-Request_Id": b"X-Request_Id: evil\r\n",
        "X_Strangler_Side": b"X_Strangler_Side: new\r\n",
    }
)
def test_underscore_spellings_of_the_routers_fields_are_stripped(stage: Stage, case: bytes) -> None:
    """Many servers take `_` for `-`."""
    request = sent_on(stage, b"A: 1\r\n" + case)
    assert [] == [name for name, _ in request.fields if b"_" in name]


def test_a_request_id_is_kept(stage: Stage) -> None:
    """And the client learns it again."""
    outcome = stage.play(get(b"X-Request-Id: abc-123\r\n"), OK)
    assert [b"abc-123"] == outcome.request.values("x-request-id")
    assert [b"abc-123"] == outcome.answer.values("x-request-id")


def test_a_request_id_is_made_when_there_is_none(stage: Stage) -> None:
    """A new one for each request, the same for both ends."""
    first, second = stage.play(get(), OK), stage.play(get(), OK)
    ids = [outcome.request.values("x-request-id") for outcome in (first, second)]
    assert [1, 1] == [len(values) for values in ids]
    assert ids[0] != ids[1]
    assert ids == [outcome.answer.values("x-request-id") for outcome in (first, second)]


@cases({"two": b"X-Request-Id: a\r\nX-Request-Id: b\r\n", "empty": b"X-Request-Id:\r\n"})
def test_a_useless_request_id_becomes_one_useful_one(stage: Stage, case: bytes) -> None:
    """Exactly one reaches the upstream."""
    values = sent_on(stage, case).values("x-request-id")
    assert 1 == len(values)
    assert values[0]


@cases(
    {
        "a length": (b"content-LENGTH", b"2", b"2", b"ok", b"ok"),
        "a length with zeros": (b"content-length", b"002", b"2", b"ok", b"ok"),
        "a length of 0": (b"CONTENT-Length", b"0", b"0", b"", b""),
        "chunks": (b"transfer-ENCODING", b"Chunked", b"chunked", b"2\r\nok\r\n0\r\n\r\n", b"ok"),
    }
)
def test_the_line_that_tells_the_length_keeps_its_place_and_case(
    stage: Stage, case: tuple[bytes, bytes, bytes, bytes, bytes]
) -> None:
    """In both directions; only its value has one spelling."""
    name, given, sent, wire, body = case
    head = b"A: 1\r\n" + name + b": " + given + b"\r\nb: 2\r\n\r\n" + wire
    outcome = stage.play(b"POST / HTTP/1.1\r\nHost: a\r\n" + head, [b"HTTP/1.1 200 OK\r\n" + head], methods=("POST",))
    lines = [(b"A", b"1"), (name, sent), (b"b", b"2")]
    assert ([(b"Host", b"a"), *lines], body) == (list(outcome.request.fields[:4]), outcome.request.body)
    assert (lines, body) == (list(outcome.answer.fields[:3]), outcome.answer.body)
    for fields in (outcome.request.fields, outcome.answer.fields):
        assert 1 == len([key for key, _ in fields if key.lower() == name.lower()])


def test_a_request_id_keeps_its_place_and_case(stage: Stage) -> None:
    """What the router adds stands behind what came."""
    request = sent_on(stage, b"A: 1\r\nx-request-ID: 7\r\nb: 2\r\n")
    assert [(b"Host", b"a"), (b"A", b"1"), (b"x-request-ID", b"7"), (b"b", b"2")] == list(request.fields[:4])
    assert [b"7"] == request.values("x-request-id")


def test_an_upstreams_request_id_does_not_double_it(stage: Stage) -> None:
    """The client sees one id."""
    script = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: other\r\n\r\nok"]
    assert 1 == len(stage.play(get(b"X-Request-Id: abc\r\n"), script).answer.values("x-request-id"))


@cases(
    {
        "none": (b"", b"HTTP/1.1", [b"1.1 strangler"]),
        "one": (b"Via: 1.0 fred\r\n", b"HTTP/1.1", [b"1.0 fred", b"1.1 strangler"]),
        "two lines": (b"Via: 1.0 fred\r\nVia: 1.1 p\r\n", b"HTTP/1.1", [b"1.0 fred", b"1.1 p", b"1.1 strangler"]),
        "HTTP/1.0": (b"", b"HTTP/1.0", [b"1.0 strangler"]),
    }
)
def test_via_is_appended(stage: Stage, case: tuple[bytes, bytes, list[bytes]]) -> None:
    """With the version that the client spoke (RFC 9110, 7.6.3)."""
    fields, version, expected = case
    assert expected == sent_on(stage, fields, version).elements("via")


def test_an_answer_without_a_date_gets_one(stage: Stage) -> None:
    """RFC 9110, 6.6.1."""
    outcome = stage.play(get(), [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])
    dates = outcome.answer.values("date")
    assert 1 == len(dates)
    assert IMF_DATE.match(dates[0])


@cases({"a date": b"Thu, 01 Jan 1970 00:00:00 GMT", "something": b"yesterday"})
def test_the_date_of_an_answer_is_kept(stage: Stage, case: bytes) -> None:
    """It is the upstream's, whatever it says."""
    outcome = stage.play(get(), [b"HTTP/1.1 200 OK\r\nDate: " + case + b"\r\nContent-Length: 2\r\n\r\nok"])
    assert [case] == outcome.answer.values("date")


def test_the_client_learns_route_and_side(stage: Stage) -> None:
    """Of a listed API and of the rest."""
    listed, rest = stage.play(get(target=b"/routed/7"), OK).answer, stage.play(get(), OK).answer
    assert ([b"new"], [b"routed"]) == (listed.values("x-strangler-side"), listed.values("x-strangler-route"))
    assert ([b"legacy"], [b"unlisted"]) == (rest.values("x-strangler-side"), rest.values("x-strangler-route"))


def test_an_upstream_cannot_claim_route_and_side(stage: Stage) -> None:
    """What the client reads there comes from the router."""
    claim = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Strangler-Side: new\r\nX-Strangler-Error: x\r\n\r\nok"
    answer = stage.play(get(), [claim]).answer
    assert ([b"legacy"], []) == (answer.values("x-strangler-side"), answer.values("x-strangler-error"))


def test_an_untrusted_override_is_stripped(stage: Stage) -> None:
    """It neither decides nor travels on."""
    outcome = stage.play(get(b"X-Strangler-Side: legacy\r\n", target=b"/routed/7"), OK)
    assert ([], [b"new"]) == (outcome.request.values("x-strangler-side"), outcome.answer.values("x-strangler-side"))


def test_a_refused_connection_becomes_a_502_of_the_router(stage: Stage) -> None:
    """A problem in JSON with the router's error code; the client's connection goes on."""
    client = stage.client(get(target=b"/refused/1"))
    answer = stage.answer(client)
    assert answer.status in {502, 503}
    own_answer(answer)
    stage.send(client, get(target=b"/refused/2"))
    assert answer.status == stage.answer(client).status


def test_a_refused_connection_does_not_hang_an_upload(stage: Stage) -> None:
    """The client gets the answer although its body has not been taken."""
    sent = b"POST /refused/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000
    answer = stage.answer(stage.client(sent))
    assert answer.status in {502, 503}
    own_answer(answer)


def test_a_refusal_tells_no_secrets(stage: Stage) -> None:
    """The answer holds nothing of the request and no address of an upstream."""
    answer = refused(stage, get(b"Cookie: secret\r\nX : secret\r\n"))
    assert answer is not None
    assert b"secret" not in answer.body
    answer = stage.answer(stage.client(get(target=b"/refused/1")))
    assert b"127.0.0.1" not in answer.body


def test_a_refusal_to_head_has_no_body(stage: Stage) -> None:
    """Own answers follow the rules, too."""
    answer = stage.answer(stage.client(b"HEAD /refused/1 HTTP/1.1\r\nHost: a\r\n\r\n"), "HEAD")
    assert (answer.status, b"") in {(502, b""), (503, b"")}


def test_a_raw_target_above_ascii_reaches_its_route_where_the_table_allows_it() -> None:
    """As it came, byte for byte; the strict reader of this suite would not take it, so bytes are compared."""
    target = "/상품/7?q=é".encode()
    with listening() as upstream, Router(RAW_TARGETS.format(port=upstream.getsockname()[1])) as router:
        stage = Stage(router.address, upstream)
        client = stage.client(get(target=target))
        stage.until(lambda: any(b"\r\n\r\n" in peer.inbox for peer in stage.peers), "the request at the upstream")
        peer = next(peer for peer in stage.peers if peer.inbox)
        assert b"GET " + target + b" HTTP/1.1" == bytes(peer.inbox).partition(b"\r\n")[0]
        stage.play_script(peer, OK)
        answer = stage.answer(client)
        assert (200, [b"wares"]) == (answer.status, answer.values("x-strangler-route"))
        client.close()
        peer.close()

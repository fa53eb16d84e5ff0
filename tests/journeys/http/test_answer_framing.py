"""Answers of the upstream: framing, malformations, interim answers, surplus bytes (RFC 9112, 4, 6 and 9).

A bad answer becomes a 502 or, once its head is on the way, a cut message; its connection is never used again.
"""

from __future__ import annotations

from tests.journeys.http.claims import cases, let_go, own_answer, own_fields
from tests.journeys.http.stage import CLOSE, END, RESET, Outcome, Script, Stage

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
GET_1_0 = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


def answer(fields: bytes, body: bytes = b"hello", status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return status + b"\r\n" + fields + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return answer(b"Transfer-Encoding: chunked\r\n", body)


def bad(stage: Stage, outcome: Outcome, statuses: tuple[int, ...] = (502,)) -> None:
    """502 or cut; asked once only; the connection is let go; nothing is left for the next client."""
    assert 1 == len(outcome.requests) or not stage.strict
    if outcome.answers and outcome.answer.status >= 500:
        assert outcome.answer.status in statuses or not stage.strict
        if stage.strict:
            own_answer(outcome.answer)
    else:
        assert outcome.ended
        assert not outcome.answers or not outcome.answer.complete, f"a clean end: {outcome.answers}"
    assert b"smuggled" not in outcome.raw
    let_go(stage, outcome.answered)
    stage.fence()


def clean(stage: Stage, outcome: Outcome, status: int = 200, body: bytes = b"hello") -> None:
    """The client saw exactly this, complete, and nothing behind it."""
    assert [] == outcome.garbage
    assert (status, body, True) == (outcome.answer.status, outcome.answer.body, outcome.answer.complete)
    assert (b"1.1", b"") == (outcome.answer.version, outcome.raw)
    stage.fence()


STATUS_LINES = {
    "empty": b"",
    "words": b"hello",
    "no status": b"HTTP/1.1",
    "no status but a space": b"HTTP/1.1 ",
    "two digits": b"HTTP/1.1 20 OK",
    "four digits": b"HTTP/1.1 2000 OK",
    "letters": b"HTTP/1.1 abc OK",
    "sign": b"HTTP/1.1 +20 OK",
    "minus": b"HTTP/1.1 -20 OK",
    "hexadecimal": b"HTTP/1.1 0xc OK",
    "decimal point": b"HTTP/1.1 20. OK",
    "000": b"HTTP/1.1 000 OK",
    "099": b"HTTP/1.1 099 OK",
    "two spaces": b"HTTP/1.1  200 OK",
    "tab": b"HTTP/1.1\t200 OK",
    "leading space": b" HTTP/1.1 200 OK",
    "letter behind the status": b"HTTP/1.1 200x",
    "lower-case version": b"http/1.1 200 OK",
    "version 2.0": b"HTTP/2.0 200 OK",
    "version 0.9": b"HTTP/0.9 200 OK",
    "version 1": b"HTTP/1 200 OK",
    "version 1.10": b"HTTP/1.10 200 OK",
    "version 11.1": b"HTTP/11.1 200 OK",
    "ICY": b"ICY 200 OK",
    "no version": b"200 OK",
    "a request": b"GET / HTTP/1.1",
    "Arabic digits": b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK",
    "NUL in the reason": b"HTTP/1.1 200 O\x00K",
    "bare CR in the reason": b"HTTP/1.1 200 O\rK",
    "control in the reason": b"HTTP/1.1 200 O\x01K",
    "DEL in the reason": b"HTTP/1.1 200 O\x7fK",
    "VT in the reason": b"HTTP/1.1 200 O\x0bK",
}


@cases(STATUS_LINES)
def test_a_malformed_status_line_becomes_a_502(stage: Stage, case: bytes) -> None:
    """What is no answer is not passed on as one."""
    bad(stage, stage.play(GET, [answer(b"Content-Length: 5\r\n", status=case), CLOSE]))


FIELDS = {
    "no colon": b"X\r\n",
    "space before the colon": b"X : y\r\n",
    "no name": b": y\r\n",
    "folded": b"X: y\r\n z\r\n",
    "leading space": b" X: y\r\n",
    "bad name": b"X@: y\r\n",
    "8-bit name": b"X\xe4: y\r\n",
    "NUL in the value": b"X: \x00\r\n",
    "control in the value": b"X: \x01\r\n",
    "DEL in the value": b"X: \x7f\r\n",
    "bare CR in the value": b"X: y\rz\r\n",
    "line ends with LF": b"X: y\n",
    "line ends with CR CR LF": b"X: y\r\r\n",
    "length with a space before the colon": b"Content-Length : 5\r\n",
    "coding with a space before the colon": b"Transfer-Encoding : chunked\r\n",
}


@cases(FIELDS)
def test_a_malformed_field_line_becomes_a_502(stage: Stage, case: bytes) -> None:
    """Header injection works in this direction, too."""
    bad(stage, stage.play(GET, [answer(b"A: 1\r\n" + case + b"Content-Length: 5\r\n")]))


LENGTHS = {
    "plus": b"+5",
    "minus": b"-5",
    "hexadecimal": b"0x5",
    "underscore": b"1_0",
    "two words": b"5 5",
    "list": b"5, 6",
    "decimal point": b"5.0",
    "empty": b"",
    "word": b"five",
    "2^63": b"9223372036854775808",
    "2^64 and 5": b"18446744073709551621",
    "5000 digits": b"1" * 5000,
    "full-width digit": b"\xef\xbc\x95",
    "no-break space behind": b"5\xa0",
    "VT before": b"\x0b5",
}


@cases(LENGTHS)
def test_a_malformed_length_becomes_a_502(stage: Stage, case: bytes) -> None:
    """Decimal digits only."""
    bad(stage, stage.play(GET, [answer(b"Content-Length: " + case + b"\r\n"), CLOSE]))


@cases(
    {
        "lengths that differ": b"Content-Length: 5\r\nContent-Length: 6\r\n",
        "lengths that differ, the other way": b"Content-Length: 6\r\nContent-Length: 5\r\n",
        "length and coding": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "coding and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "identity": b"Transfer-Encoding: identity\r\n",
        "gzip": b"Transfer-Encoding: gzip\r\n",
        "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
        "chunked, gzip": b"Transfer-Encoding: chunked, gzip\r\n",
        "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
        "chunked on two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "xchunked": b"Transfer-Encoding: xchunked\r\n",
        "chunked with a parameter": b"Transfer-Encoding: chunked;q=1\r\n",
        "empty": b"Transfer-Encoding:\r\n",
        "VT before": b"Transfer-Encoding: \x0bchunked\r\n",
        "trailing comma": b"Transfer-Encoding: chunked,\r\n",
    }
)
def test_ambiguous_framing_becomes_a_502(stage: Stage, case: bytes) -> None:
    """Two readings of one answer poison the next one."""
    bad(stage, stage.play(GET, [answer(case, b"5\r\nhello\r\n0\r\n\r\n"), CLOSE]))


def test_a_coding_in_an_http_1_0_answer_becomes_a_502(stage: Stage) -> None:
    """RFC 9112, 6.1: faulty framing."""
    sent = answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"HTTP/1.0 200 OK")
    bad(stage, stage.play(GET, [sent, CLOSE]))


CHUNKS = {
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "leading space": b" 5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
    "letter": b"g\r\nhello\r\n0\r\n\r\n",
    "2^64 and 5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "2^64 - 1": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "size line ends with LF": b"5\nhello\r\n0\r\n\r\n",
    "size line ends with CR": b"5\rhello\r\n0\r\n\r\n",
    "data ends with LF": b"5\r\nhello\n0\r\n\r\n",
    "no line end behind the data": b"5\r\nhello0\r\n\r\n",
    "data longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "data ends with two letters": b"5\r\nhelloXX0\r\n\r\n",
    "data shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "body ends with LF": b"5\r\nhello\r\n0\r\n\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "extension of 1 MB": b"5;a=" + b"b" * 1_000_000 + b"\r\nhello\r\n0\r\n\r\n",
    "malformed trailer": b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
    "NUL in a trailer": b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
    "trailer of 1 MB": b"5\r\nhello\r\n0\r\n" + (b"X: " + b"y" * 1019 + b"\r\n") * 1000 + b"\r\n",
    "not chunked at all": b"hello",
}


@cases(CHUNKS)
def test_a_malformed_chunked_answer_is_cut(stage: Stage, case: bytes) -> None:
    """The client never sees its end."""
    bad(stage, stage.play(GET, [chunked(case)]))


@cases(CHUNKS)
def test_a_chunked_answer_that_goes_bad_later_is_cut(stage: Stage, case: bytes) -> None:
    """The first chunk is on the way to the client already."""
    client = stage.client(GET)
    arrival = stage.arrival()
    stage.send(arrival.peer, chunked(b"2\r\nhi\r\n"))
    stage.until(lambda: b"hi" in client.inbox, "the first chunk at the client")
    stage.send(arrival.peer, case)
    stage.until(lambda: client.ended, "the client's connection is cut")
    assert not stage.answer(client).complete
    let_go(stage, [arrival.peer])
    stage.fence()


@cases(
    {
        "20 KB line": b"X: " + b"y" * 20_000 + b"\r\n",
        "endless line": b"X: " + b"y" * 1_000_000,
        "100 KB of lines": (b"X: " + b"y" * 1019 + b"\r\n") * 100,
        "10,000 lines": b"X: y\r\n" * 10_000,
    }
)
def test_a_head_that_is_too_large_becomes_a_502(stage: Stage, case: bytes) -> None:
    """The limits hold for upstreams, too."""
    bad(stage, stage.play(GET, [answer(case + b"Content-Length: 5\r\n")]))


def test_an_endless_status_line_becomes_a_502(stage: Stage) -> None:
    """No line is waited for for ever."""
    bad(stage, stage.play(GET, [b"HTTP/1.1 200 " + b"y" * 1_000_000]))


# -- valid answers -----------------------------------------------------------------------------------

VALID: dict[str, Script] = {
    "length": [answer(b"Content-Length: 5\r\n")],
    "length with leading zeros": [answer(b"Content-Length: 0005\r\n")],
    "length in lower case": [answer(b"content-length:5\r\n")],
    "length with Connection: close": [answer(b"Content-Length: 5\r\nConnection: close\r\n"), CLOSE],
    "head and body in two segments": [answer(b"Content-Length: 5\r\n", b""), b"hello"],
    "byte by byte": [bytes([byte]) for byte in answer(b"Content-Length: 5\r\n")],
    "chunked": [chunked(b"5\r\nhello\r\n0\r\n\r\n")],
    "chunked in upper case": [answer(b"TRANSFER-ENCODING: CHUNKED\r\n", b"5\r\nhello\r\n0\r\n\r\n")],
    "chunked with extensions": [chunked(b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n')],
    "chunked with leading zeros": [chunked(b"0005\r\nhello\r\n000\r\n\r\n")],
    "chunked with trailers": [chunked(b"5\r\nhello\r\n0\r\nX: y\r\n\r\n")],
    "chunked byte by byte": [bytes([byte]) for byte in chunked(b"3\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n")],
    "chunked, then closed": [chunked(b"5\r\nhello\r\n0\r\n\r\n"), CLOSE],
    "until the end": [answer(b""), CLOSE],
    "until the end, with Connection: close": [answer(b"Connection: close\r\n"), CLOSE],
    "until a half-closed end": [answer(b""), END],
    "HTTP/1.0, length": [answer(b"Content-Length: 5\r\n", status=b"HTTP/1.0 200 OK"), CLOSE],
    "HTTP/1.0, until the end": [answer(b"", status=b"HTTP/1.0 200 OK"), CLOSE],
    "no reason": [answer(b"Content-Length: 5\r\n", status=b"HTTP/1.1 200 ")],
    "no fields, until the end": [b"HTTP/1.1 200 OK\r\n\r\nhello", CLOSE],
}


@cases(VALID)
def test_a_valid_answer_reaches_the_client_whole(stage: Stage, case: Script) -> None:
    """Whatever way its end is told."""
    clean(stage, stage.play(GET, case))


@cases(VALID)
def test_a_valid_answer_reaches_an_http_1_0_client_whole(stage: Stage, case: Script) -> None:
    """Without chunks, which it does not know."""
    outcome = stage.play(GET_1_0, case, to_the_end=True)
    assert outcome.answer.framing in {"length", "close"}
    assert [] == outcome.answer.values("transfer-encoding")
    clean(stage, outcome)


@cases(
    {
        "length": [answer(b"Content-Length: 0\r\n", b"")],
        "chunked": [chunked(b"0\r\n\r\n")],
        "until the end": [answer(b"", b""), CLOSE],
    }
)
def test_an_empty_answer_is_an_answer(stage: Stage, case: Script) -> None:
    """No body is not no answer."""
    clean(stage, stage.play(GET, case), body=b"")


def test_an_answer_of_every_byte_survives(stage: Stage) -> None:
    """Bodies are bytes."""
    body = bytes(range(256)) * 300
    clean(stage, stage.play(GET, [answer(b"Content-Length: %d\r\n" % len(body), body)]), body=body)


def test_a_status_line_without_its_last_space_is_read(stage: Stage) -> None:
    """`HTTP/1.1 200` without a reason and without the space is common; it becomes proper or a 502."""
    outcome = stage.play(GET, [answer(b"Content-Length: 5\r\n", status=b"HTTP/1.1 200")])
    assert outcome.answer.status in {200, 502}
    stage.clear()


def test_an_equal_repeated_length_becomes_one_or_a_502(stage: Stage) -> None:
    """RFC 9112, 6.3 leaves both open."""
    outcome = stage.play(GET, [answer(b"Content-Length: 5\r\nContent-Length: 5\r\n")])
    assert outcome.answer.status in {200, 502}
    stage.clear()


TRAILERS = b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-other:2\r\n\r\n"


def test_trailer_fields_reach_a_client_that_asks_for_them(stage: Stage) -> None:
    """They stay behind the body."""
    sent = b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n"
    outcome = stage.play(sent, [chunked(TRAILERS)])
    clean(stage, outcome)
    assert ((b"X-Sum", b"1"), (b"x-other", b"2")) == outcome.answer.trailers
    assert [] == outcome.answer.values("x-sum")


def test_a_forbidden_trailer_field_does_not_reach_the_client(stage: Stage) -> None:
    """Framing stands in the head."""
    sent = b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n"
    script = [
        chunked(b"5\r\nhello\r\n0\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\nSet-Cookie: a=b\r\nX: y\r\n\r\n")
    ]
    outcome = stage.play(sent, script)
    assert not {b"content-length", b"transfer-encoding"} & {name.lower() for name, _ in outcome.answer.trailers}
    clean(stage, outcome)


# -- answers without a body --------------------------------------------------------------------------


@cases(
    {
        "length": (b"Content-Length: 5\r\n", {(b"Content-Length", b"5")}),
        "huge length": (b"Content-Length: 1000000000000\r\n", {(b"Content-Length", b"1000000000000")}),
        "chunked": (b"Transfer-Encoding: chunked\r\n", set()),
        "nothing": (b"", set()),
    }
)
def test_an_answer_to_head_has_no_body(stage: Stage, case: tuple[bytes, set[tuple[bytes, bytes]]]) -> None:
    """Its Content-Length tells about another answer and is kept."""
    fields, kept = case
    outcome = stage.play(HEAD, [answer(fields, b"")], methods=("HEAD",))
    clean(stage, outcome, body=b"")
    assert kept <= set(outcome.answer.fields)


def test_the_connection_is_good_after_an_answer_to_head(stage: Stage) -> None:
    """On both sides: the next request on it gets its own answer."""
    outcome = stage.play(HEAD + GET, [answer(b"Content-Length: 5\r\nA: 1\r\n", b"")], methods=("HEAD",))
    assert 200 == outcome.answer.status
    stage.clear()


@cases({"HEAD with a body": HEAD, "HEAD with a body, kept alive": HEAD})
def test_a_body_behind_an_answer_to_head_does_not_reach_the_client(stage: Stage, case: bytes) -> None:
    """It is surplus, and its connection is not used again."""
    outcome = stage.play(case, [answer(b"Content-Length: 5\r\n")], methods=("HEAD",))
    let_go(stage, outcome.answered)
    clean(stage, outcome, body=b"")


@cases(
    {
        "204": (204, b""),
        "204 with a length of 0": (204, b"Content-Length: 0\r\n"),
        "204 with a length": (204, b"Content-Length: 5\r\n"),
        "204 with chunked": (204, b"Transfer-Encoding: chunked\r\n"),
        "304": (304, b"ETag: x\r\n"),
        "304 with a length": (304, b"ETag: x\r\nContent-Length: 5\r\n"),
        "304 with chunked": (304, b"ETag: x\r\nTransfer-Encoding: chunked\r\n"),
    }
)
def test_204_and_304_have_no_body(stage: Stage, case: tuple[int, bytes]) -> None:
    """Whatever their framing says; the client's connection goes on."""
    status, fields = case
    sent = [answer(fields, b"", b"HTTP/1.1 %d X" % status)]
    client = stage.client(GET)
    stage.play_script(stage.arrival().peer, sent)
    first = stage.answer(client)
    stage.send(client, GET)
    stage.play_script(stage.arrival().peer, [answer(b"Content-Length: 5\r\n")])
    assert (status, b"", 200, b"hello") == (first.status, first.body, *_seen(stage, client))


def _seen(stage: Stage, client) -> tuple[int, bytes]:  # type: ignore[no-untyped-def]
    second = stage.answer(client)
    return second.status, second.body


@cases({"204": 204, "304": 304})
def test_a_body_behind_204_and_304_does_not_reach_the_client(stage: Stage, case: int) -> None:
    """Nor does it become the next answer."""
    outcome = stage.play(GET, [answer(b"Content-Length: 6\r\n", POISON, b"HTTP/1.1 %d X" % case)])
    let_go(stage, outcome.answered)
    clean(stage, outcome, case, b"")


def test_a_304_keeps_its_length(stage: Stage) -> None:
    """It tells about the answer that the client has in its cache."""
    outcome = stage.play(GET, [answer(b"Content-Length: 5\r\n", b"", b"HTTP/1.1 304 X")])
    assert outcome.answer.values("content-length") in ([b"5"], [])
    clean(stage, outcome, 304, b"")


# -- surplus -----------------------------------------------------------------------------------------


@cases(
    {
        "letters behind a length": [answer(b"Content-Length: 5\r\n", b"helloXX")],
        "an answer behind a length": [answer(b"Content-Length: 5\r\n", b"hello" + POISON)],
        "a line end behind a length": [answer(b"Content-Length: 5\r\n", b"hello\r\n")],
        "letters behind chunks": [chunked(b"5\r\nhello\r\n0\r\n\r\nXX")],
        "an answer behind chunks": [chunked(b"5\r\nhello\r\n0\r\n\r\n" + POISON)],
        "an answer in its own segment": [answer(b"Content-Length: 5\r\n"), POISON],
    }
)
def test_surplus_bytes_never_reach_anybody(stage: Stage, case: Script) -> None:
    """The client gets its answer and nothing more, and the connection is not used again."""
    outcome = stage.play(GET, case)
    let_go(stage, outcome.answered)
    clean(stage, outcome)


def test_an_answer_nobody_asked_for_never_reaches_anybody(stage: Stage) -> None:
    """It arrives on an idle connection: the next request must not get it."""
    outcome = stage.play(GET, [answer(b"Content-Length: 5\r\n")])
    for peer in outcome.answered:
        stage.send(peer, POISON)
    stage.fence()
    let_go(stage, outcome.answered)
    stage.fence()


@cases({"408": b"HTTP/1.1 408 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "400": b"HTTP/1.0 400 X\r\n\r\n"})
def test_a_farewell_on_an_idle_connection_never_reaches_anybody(stage: Stage, case: bytes) -> None:
    """Servers say 408 before they close an idle connection."""
    outcome = stage.play(GET, [answer(b"Content-Length: 5\r\n")])
    for peer in outcome.answered:
        stage.send(peer, case)
        peer.close()
    stage.fence()


# -- truncation --------------------------------------------------------------------------------------

SHORT: dict[str, list[bytes]] = {
    "length": [answer(b"Content-Length: 10\r\n")],
    "length, no body at all": [answer(b"Content-Length: 10\r\n", b"")],
    "chunked, between chunks": [chunked(b"5\r\nhello\r\n")],
    "chunked, inside a chunk": [chunked(b"a\r\nhello")],
    "chunked, inside a size": [chunked(b"5\r\nhello\r\n1")],
    "chunked, behind the last size": [chunked(b"5\r\nhello\r\n0\r\n")],
    "chunked, inside the trailers": [chunked(b"5\r\nhello\r\n0\r\nX: y\r\n")],
    "chunked, no body at all": [chunked(b"")],
}


@cases(SHORT)
def test_an_answer_cut_short_by_a_close_stays_cut(stage: Stage, case: list[bytes]) -> None:
    """The client can tell, or gets a 502 when its head had not been sent."""
    bad(stage, stage.play(GET, [*case, CLOSE]))


@cases({**SHORT, "until the end": [answer(b"")]})
def test_an_answer_cut_short_by_a_reset_stays_cut(stage: Stage, case: list[bytes]) -> None:
    """Also where the end of the connection would be the end of the body."""
    client = stage.client(GET)
    peer = stage.arrival().peer
    stage.play_script(peer, case)
    if case[0].endswith(b"hello"):
        stage.until(lambda: b"hello" in client.inbox, "the body at the client")
    peer.abort()
    stage.until(lambda: client.ended or client.inbox, "the end")
    seen = stage.answer(client)
    assert seen.status == 502 or not seen.complete
    stage.fence()


@cases({**SHORT, "until the end": [answer(b"")]})
def test_an_http_1_0_client_sees_that_its_answer_was_cut(stage: Stage, case: list[bytes]) -> None:
    """Without a length only a reset tells it."""
    client = stage.client(GET_1_0)
    peer = stage.arrival().peer
    stage.play_script(peer, case)
    if b"hello" in case[0]:
        stage.until(lambda: b"hello" in client.inbox, "the body at the client")
    peer.abort()
    stage.until(lambda: client.ended, "the end")
    seen = stage.answer(client)
    assert seen.status == 502 or not seen.complete
    stage.fence()


@cases(
    {
        "closed at once": [CLOSE],
        "reset at once": [RESET],
        "closed in the status line": [b"HTTP/1.1 2", CLOSE],
        "closed in the head": [b"HTTP/1.1 200 OK\r\nX: y\r\n", CLOSE],
        "reset in the head": [b"HTTP/1.1 200 OK\r\nX: y\r\n", RESET],
        "closed behind an interim answer": [b"HTTP/1.1 103 X\r\n\r\n", CLOSE],
        "closed behind a line end": [b"\r\n", CLOSE],
    }
)
def test_an_upstream_that_gives_no_head_becomes_a_502(stage: Stage, case: Script) -> None:
    """After a bounded number of attempts."""
    outcome = stage.play(GET, case)
    assert outcome.answer.status in ({502} if stage.strict else {502, 503, 504})
    assert 1 <= len(outcome.requests) <= 3
    stage.fence()


# -- interim answers ---------------------------------------------------------------------------------

OK_ANSWER = answer(b"Content-Length: 5\r\n")
INTERIM: dict[str, bytes] = {
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
    "199": b"HTTP/1.1 199 Unknown\r\nX: y\r\n\r\n",
    "103 twice": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2,
    "fifty": b"HTTP/1.1 102 Processing\r\n\r\n" * 50,
}


@cases(INTERIM)
def test_interim_answers_are_forwarded_before_the_answer(stage: Stage, case: bytes) -> None:
    """RFC 9110, 15.2: all but what the router asked for itself."""
    outcome = stage.play(GET, [case + OK_ANSWER])
    assert case.count(b"HTTP/1.1") == len(outcome.answer.interim)
    assert case.count(b"Link: </a>") == sum(len(one.values("link")) for one in outcome.answer.interim)
    clean(stage, outcome)


def test_an_interim_answer_is_forwarded_at_once(stage: Stage) -> None:
    """It is of no use together with the final one."""
    client = stage.client(GET)
    peer = stage.arrival().peer
    stage.send(peer, INTERIM["103"])
    stage.until(lambda: b"rel=preload\r\n" in client.inbox, "the interim answer at the client")
    stage.send(peer, OK_ANSWER)
    assert b"hello" == stage.answer(client).body


@cases({**INTERIM, "100": b"HTTP/1.1 100 Continue\r\n\r\n"})
def test_an_http_1_0_client_gets_no_interim_answer(stage: Stage, case: bytes) -> None:
    """It would take it for the final one."""
    outcome = stage.play(GET_1_0, [case + OK_ANSWER], to_the_end=True)
    assert () == outcome.answer.interim
    clean(stage, outcome)


def test_a_100_that_nobody_asked_for_does_no_harm(stage: Stage) -> None:
    """It is forwarded or dropped; the answer is the one behind it."""
    clean(stage, stage.play(GET, [b"HTTP/1.1 100 Continue\r\n\r\n" + OK_ANSWER]))


@cases(
    {
        "length": b"HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\n",
        "coding": b"HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n",
    }
)
def test_framing_in_an_interim_answer_frames_nothing(stage: Stage, case: bytes) -> None:
    """An interim answer ends with its head (RFC 9112, 6.3); a 502 is good, too."""
    outcome = stage.play(GET, [case + OK_ANSWER, CLOSE])
    if outcome.answer.status == 200:
        clean(stage, outcome)
    else:
        bad(stage, outcome)


@cases(
    {
        "1000": b"HTTP/1.1 102 Processing\r\n\r\n" * 1000,
        "1000 without an answer": b"HTTP/1.1 102 Processing\r\n\r\n" * 1000,
        "malformed": b"HTTP/1.1 103 X\r\nX : y\r\n\r\n",
        "malformed, the second": b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 1x3 X\r\n\r\n",
    }
)
def test_endless_or_malformed_interim_answers_become_a_502(stage: Stage, case: bytes) -> None:
    """Their number is bounded."""
    bad(stage, stage.play(GET, [case + OK_ANSWER]))


@cases(
    {
        "alone": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "with Upgrade": b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "with a length": b"HTTP/1.1 101 X\r\nContent-Length: 5\r\n\r\nhello",
        "and an answer": b"HTTP/1.1 101 X\r\n\r\n" + OK_ANSWER,
    }
)
def test_a_101_that_nobody_asked_for_becomes_a_502(stage: Stage, case: bytes) -> None:
    """No tunnel opens without a request for one."""
    outcome = stage.play(GET, [case])
    assert 502 == outcome.answer.status or not stage.strict
    assert 101 != outcome.answer.status
    let_go(stage, outcome.answered)
    stage.fence()


def test_field_names_and_order_of_an_answer_survive_reframing(stage: Stage) -> None:
    """Only the framing fields are ours."""
    fields = b"zeta: 1\r\nAlpha: 2\r\nSet-Cookie: a\r\nset-cookie: b\r\nX-Caf\xc3: no\r\n".replace(b"X-Caf\xc3", b"X")
    outcome = stage.play(GET, [answer(fields + b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")])
    expected = [(b"zeta", b"1"), (b"Alpha", b"2"), (b"Set-Cookie", b"a"), (b"set-cookie", b"b"), (b"X", b"no")]
    assert expected == own_fields(outcome.answer.fields)
    clean(stage, outcome)

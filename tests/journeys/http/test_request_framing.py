"""Where a request ends: Content-Length and Transfer-Encoding (RFC 9112, 6).

Behind every message that must be refused stands a second request; whoever disagrees about the end of the first
forwards the second.
"""

from __future__ import annotations

from tests.journeys.http.claims import bytewise, cases, forwarded, refused, refused_or_forwarded
from tests.journeys.http.stage import Stage

CHUNKED_HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def post(fields: bytes, body: bytes = b"hello", version: bytes = b"HTTP/1.1", method: bytes = b"POST") -> bytes:
    return method + b" / " + version + b"\r\nHost: a\r\n" + fields + b"\r\n" + body


LENGTHS = {
    "plus": b"+5",
    "minus": b"-5",
    "minus zero": b"-0",
    "hexadecimal": b"0x5",
    "hexadecimal digit": b"a",
    "underscore": b"1_0",
    "two words": b"5 5",
    "tab inside": b"5\t5",
    "list of the same": b"5,5",
    "list of the same with a space": b"5, 5",
    "list": b"5, 6",
    "trailing comma": b"5,",
    "leading comma": b",5",
    "semicolon": b"5;",
    "decimal point": b"5.0",
    "exponent": b"5e0",
    "empty": b"",
    "only white space": b" \t ",
    "word": b"five",
    "quoted": b'"5"',
    "letter behind": b"5x",
    "letter before": b"x5",
    "chunked": b"chunked",
    "2^63": b"9223372036854775808",
    "2^64": b"18446744073709551616",
    "2^64 and 5": b"18446744073709551621",
    "2^32 times 2^64": b"79228162514264337593543950336",
    "1000 digits": b"1" * 1000,
    "5000 digits": b"1" * 5000,
    "Arabic digit": b"\xd9\xa5",
    "full-width digit": b"\xef\xbc\x95",
    "superscript": b"\xb2",
    "no-break space behind": b"5\xa0",
    "next-line character behind": b"5\x85",
    "VT before": b"\x0b5",
    "FF behind": b"5\x0c",
    "NUL behind": b"5\x00",
}


@cases(LENGTHS)
def test_a_length_is_decimal_digits_only(stage: Stage, case: bytes) -> None:
    """What `int()` would take is not what the grammar takes."""
    refused(stage, post(b"Content-Length: " + case + b"\r\n"), (400, 413))


@cases(
    {
        "different": b"Content-Length: 5\r\nContent-Length: 6\r\n",
        "different, the other way": b"Content-Length: 6\r\nContent-Length: 5\r\n",
        "different in zeros only": b"Content-Length: 0\r\nContent-Length: 5\r\n",
        "apart": b"Content-Length: 5\r\nX: y\r\nContent-Length: 6\r\n",
        "in two spellings": b"content-length: 5\r\nCONTENT-LENGTH: 6\r\n",
        "one is empty": b"Content-Length: 5\r\nContent-Length:\r\n",
        "one is malformed": b"Content-Length: 5\r\nContent-Length: +5\r\n",
        "three": b"Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
    }
)
def test_lengths_that_differ_are_refused(stage: Stage, case: bytes) -> None:
    """Two lengths are two messages."""
    refused(stage, post(case))


def test_a_repeated_equal_length_is_refused_or_becomes_one(stage: Stage) -> None:
    """RFC 9112, 6.3 leaves both open."""
    sent = post(b"Content-Length: 5\r\nContent-Length: 5\r\n")
    refused_or_forwarded(stage, sent, method=b"POST", body=b"hello")


@cases(
    {
        "plain": b"Content-Length: 5\r\n",
        "leading zeros": b"Content-Length: 0005\r\n",
        "eighteen leading zeros": b"Content-Length: 0000000000000000005\r\n",
        "lower case": b"content-length: 5\r\n",
        "upper case": b"CONTENT-LENGTH: 5\r\n",
        "no space": b"Content-Length:5\r\n",
        "tabs around": b"Content-Length:\t5\t\r\n",
        "spaces around": b"Content-Length:   5   \r\n",
    }
)
def test_a_valid_length_is_understood(stage: Stage, case: bytes) -> None:
    """In any case, with white space around it and zeros before it."""
    forwarded(stage, post(case), method=b"POST", body=b"hello")


@cases(
    {
        "POST without a body": (b"POST", b"Content-Length: 0\r\n", b""),
        "POST without a length": (b"POST", b"", b""),
        "GET with a body": (b"GET", b"Content-Length: 5\r\n", b"hello"),
        "GET with a chunked body": (b"GET", b"Transfer-Encoding: chunked\r\n", CHUNKED_HELLO),
        "GET with an empty body": (b"GET", b"Content-Length: 0\r\n", b""),
        "HEAD with a body": (b"HEAD", b"Content-Length: 5\r\n", b"hello"),
        "DELETE with a body": (b"DELETE", b"Content-Length: 5\r\n", b"hello"),
        "OPTIONS with a body": (b"OPTIONS", b"Content-Length: 5\r\n", b"hello"),
        "PUT": (b"PUT", b"Content-Length: 5\r\n", b"hello"),
        "PATCH, chunked": (b"PATCH", b"Transfer-Encoding: chunked\r\n", CHUNKED_HELLO),
        "unknown method with a body": (b"BREW", b"Content-Length: 5\r\n", b"hello"),
    }
)
def test_framing_does_not_depend_on_the_method(stage: Stage, case: tuple[bytes, bytes, bytes]) -> None:
    """A body is where the fields say so, and nowhere else."""
    method, fields, body = case
    forwarded(stage, post(fields, body, method=method), method=method, body=b"hello" if body else b"")


def test_a_body_of_every_byte_survives(stage: Stage) -> None:
    """Bodies are bytes."""
    body = bytes(range(256)) * 300
    sent = post(b"Content-Length: %d\r\n" % len(body), body)
    forwarded(stage, sent, method=b"POST", body=body)


def test_what_stands_behind_a_body_is_the_next_request(stage: Stage) -> None:
    """Even if the body looks like a request itself."""
    body = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
    forwarded(stage, post(b"Content-Length: %d\r\n" % len(body), body), method=b"POST", body=body)


def test_a_body_without_framing_is_the_next_request(stage: Stage) -> None:
    """A POST without framing has no body; the bytes behind it are refused as a request of their own."""
    outcome = stage.play(
        post(b"", b"hello\r\n\r\n"),
        [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
        methods=("POST", "GET"),
    )
    assert b"" == outcome.request.body
    assert [200, 400] == [answer.status for answer in outcome.answers] or not stage.strict
    stage.fence()


def test_the_largest_length_is_a_length(stage: Stage) -> None:
    """2^63 - 1 bytes are announced: the upstream learns so, or the client that it is too much."""
    client = stage.client(post(b"Content-Length: 9223372036854775807\r\n", b"hello"))
    stage.until(lambda: client.inbox or any(peer.inbox for peer in stage.peers), "the head or a refusal")
    if client.inbox:
        assert stage.answer(client).status in {400, 413}
    else:
        assert [b"9223372036854775807"] == stage.head().request.values("content-length")


# -- Transfer-Encoding -------------------------------------------------------------------------------

CODINGS = {
    "identity": b"Transfer-Encoding: identity\r\n",
    "gzip": b"Transfer-Encoding: gzip\r\n",
    "deflate": b"Transfer-Encoding: deflate\r\n",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "chunked, gzip": b"Transfer-Encoding: chunked, gzip\r\n",
    "identity, chunked": b"Transfer-Encoding: identity, chunked\r\n",
    "chunked, identity": b"Transfer-Encoding: chunked, identity\r\n",
    "chunked, chunked": b"Transfer-Encoding: chunked, chunked\r\n",
    "chunked twice on two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "gzip and chunked on two lines": b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    "chunked and gzip on two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
    "chunked and identity on two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "chunked and an empty line": b"Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
    "an empty line and chunked": b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "chunkedx": b"Transfer-Encoding: chunkedx\r\n",
    "chunk": b"Transfer-Encoding: chunk\r\n",
    "chunked with a parameter": b"Transfer-Encoding: chunked;q=1\r\n",
    "chunked with an empty parameter": b"Transfer-Encoding: chunked;\r\n",
    "chunked and a word": b"Transfer-Encoding: chunked foo\r\n",
    "a word and chunked": b"Transfer-Encoding: foo chunked\r\n",
    "chunked in double quotes": b'Transfer-Encoding: "chunked"\r\n',
    "chunked in single quotes": b"Transfer-Encoding: 'chunked'\r\n",
    "trailing comma": b"Transfer-Encoding: chunked,\r\n",
    "leading comma": b"Transfer-Encoding: , chunked\r\n",
    "only a comma": b"Transfer-Encoding: ,\r\n",
    "empty": b"Transfer-Encoding:\r\n",
    "colon in the value": b"Transfer-Encoding: :chunked\r\n",
    "VT before": b"Transfer-Encoding: \x0bchunked\r\n",
    "FF before": b"Transfer-Encoding: \x0cchunked\r\n",
    "VT behind": b"Transfer-Encoding: chunked\x0b\r\n",
    "NUL behind": b"Transfer-Encoding: chunked\x00\r\n",
    "bare CR behind": b"Transfer-Encoding: chunked\rX: y\r\n",
    "bare CR before": b"Transfer-Encoding: \rchunked\r\n",
    "bare LF before": b"Transfer-Encoding: \nchunked\r\n",
    "next-line character before": b"Transfer-Encoding: \x85chunked\r\n",
    "no-break space before": b"Transfer-Encoding: \xa0chunked\r\n",
    "no-break space behind": b"Transfer-Encoding: chunked\xa0\r\n",
    "Kelvin sign": b"Transfer-Encoding: chun\xe2\x84\xaaed\r\n",
    "folded": b"Transfer-Encoding:\r\n chunked\r\n",
    "folded behind": b"Transfer-Encoding: chunked\r\n foo\r\n",
    "space before the colon": b"Transfer-Encoding : chunked\r\n",
    "tab before the colon": b"Transfer-Encoding\t: chunked\r\n",
    "leading space": b" Transfer-Encoding: chunked\r\n",
    "br": b"Transfer-Encoding: br, chunked\r\n",
}


@cases(CODINGS)
def test_only_one_plain_chunked_is_a_transfer_coding(stage: Stage, case: bytes) -> None:
    """Anything else, however close to it, is refused."""
    refused(stage, post(case, CHUNKED_HELLO), (400, 501))


@cases({name: CODINGS[name] for name in ("identity", "xchunked", "chunked, chunked", "VT before", "trailing comma")})
def test_a_length_does_not_rescue_an_unknown_coding(stage: Stage, case: bytes) -> None:
    """There is no falling back to Content-Length."""
    refused(stage, post(b"Content-Length: 15\r\n" + case, CHUNKED_HELLO), (400, 501))


@cases(
    {
        "length first": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "coding first": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "equal to what is sent": b"Transfer-Encoding: chunked\r\nContent-Length: 15\r\n",
        "length 0": b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "apart": b"Content-Length: 5\r\nX: y\r\nTransfer-Encoding: chunked\r\n",
        "other cases": b"content-LENGTH: 5\r\ntransfer-ENCODING: CHUNKED\r\n",
        "malformed length": b"Content-Length: x\r\nTransfer-Encoding: chunked\r\n",
        "empty length": b"Content-Length:\r\nTransfer-Encoding: chunked\r\n",
        "nominated length": b"Connection: content-length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "nominated coding": b"Connection: transfer-encoding\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    }
)
def test_a_length_with_a_coding_is_refused(stage: Stage, case: bytes) -> None:
    """The classic of request smuggling."""
    refused(stage, post(case, CHUNKED_HELLO))


@cases(
    {
        "chunked": b"Transfer-Encoding: chunked\r\n",
        "chunked, kept alive": b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
        "chunked with a length": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "identity": b"Transfer-Encoding: identity\r\nContent-Length: 15\r\n",
    }
)
def test_a_coding_in_http_1_0_is_refused(stage: Stage, case: bytes) -> None:
    """RFC 9112, 6.1: faulty framing, even without a length."""
    refused(stage, post(case, CHUNKED_HELLO, b"HTTP/1.0"), (400, 501))


@cases(
    {
        "plain": b"Transfer-Encoding: chunked\r\n",
        "upper case": b"TRANSFER-ENCODING: CHUNKED\r\n",
        "mixed case": b"transfer-encoding: cHuNkEd\r\n",
        "no space": b"Transfer-Encoding:chunked\r\n",
        "tab before": b"Transfer-Encoding:\tchunked\r\n",
        "tab behind": b"Transfer-Encoding: chunked\t\r\n",
        "spaces around": b"Transfer-Encoding:   chunked   \r\n",
        "with TE": b"TE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n",
        "nominated": b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n",
    }
)
def test_a_plain_chunked_is_understood(stage: Stage, case: bytes) -> None:
    """In any case, with white space around it."""
    forwarded(stage, post(case, CHUNKED_HELLO), method=b"POST", body=b"hello")


@cases(
    {
        "underscore in the coding's name": (b"Transfer_Encoding: chunked\r\nContent-Length: 15\r\n", CHUNKED_HELLO),
        "underscore in the length's name": (b"Content_Length: 3\r\nContent-Length: 5\r\n", b"hello"),
        "dot in the coding's name": (b"Transfer.Encoding: chunked\r\nContent-Length: 5\r\n", b"hello"),
        "coding's name with a suffix": (b"Transfer-EncodingX: chunked\r\nContent-Length: 5\r\n", b"hello"),
        "coding's name with a prefix": (b"X-Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"hello"),
        "content coding": (b"Content-Encoding: chunked\r\nContent-Length: 5\r\n", b"hello"),
        "TE": (b"TE: chunked\r\nContent-Length: 5\r\n", b"hello"),
    }
)
def test_names_that_only_look_like_framing_frame_nothing(stage: Stage, case: tuple[bytes, bytes]) -> None:
    """They are refused, or the real length rules."""
    fields, body = case
    refused_or_forwarded(stage, post(fields, body), method=b"POST", body=body)


@cases({name: CODINGS[name] for name in ("VT before", "chunked, gzip", "chunked twice on two lines", "bare CR behind")})
def test_a_bad_coding_is_refused_byte_by_byte(stage: Stage, case: bytes) -> None:
    """Segments hide nothing."""
    refused(stage, bytewise(post(case, b"")), (400, 501))


@cases({"length": (b"Content-Length: 5\r\n", b"hello"), "chunked": (b"Transfer-Encoding: chunked\r\n", CHUNKED_HELLO)})
def test_a_body_may_come_byte_by_byte(stage: Stage, case: tuple[bytes, bytes]) -> None:
    """Segments are no boundaries."""
    forwarded(stage, bytewise(post(*case)), method=b"POST", body=b"hello")


@cases(
    {
        "length": post(b"Content-Length: 10\r\n", b"hello"),
        "length, nothing sent": post(b"Content-Length: 10\r\n", b""),
        "chunked, between chunks": post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),
        "chunked, inside a chunk": post(b"Transfer-Encoding: chunked\r\n", b"a\r\nhello"),
        "chunked, before the size": post(b"Transfer-Encoding: chunked\r\n", b""),
        "chunked, inside the size": post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n1"),
        "chunked, behind the last size": post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n"),
        "chunked, inside the last line end": post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r"),
        "chunked, inside the trailers": post(b"Transfer-Encoding: chunked\r\n", b"0\r\nX: y\r\n"),
        "head": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Le",
    }
)
def test_a_request_cut_short_is_never_completed(stage: Stage, case: bytes) -> None:
    """The client ends in the middle: the upstream never sees a whole message and is let go."""
    client = stage.client(case)
    client.end()
    stage.until(lambda: client.ended, "the router closes")
    unfinished = [peer for peer in stage.peers if peer.inbox]
    stage.until(lambda: all(peer.ended for peer in unfinished), "the upstream connection ends")
    outcome = stage.play(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
    assert [b"/next"] == [request.target for request in outcome.requests]
    stage.clear()

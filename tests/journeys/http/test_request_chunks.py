"""Chunked bodies of requests: sizes, line ends, extensions, trailers (RFC 9112, 7.1)."""

from __future__ import annotations

import pytest

from tests.journeys.http.claims import OK, SMUGGLED, bytewise, cases, forwarded, own_fields, refused_late
from tests.journeys.http.stage import Stage

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"

SIZES = {
    "0x": b"0x5",
    "upper-case 0X": b"0X5",
    "plus": b"+5",
    "minus": b"-5",
    "minus zero": b"-0",
    "leading space": b" 5",
    "leading tab": b"\t5",
    "trailing tab": b"5\t",
    "trailing spaces": b"5  ",
    "space inside": b"5 5",
    "underscore": b"0_5",
    "letter outside": b"g",
    "letter behind": b"5x",
    "h suffix": b"5h",
    "decimal point": b"5.0",
    "comma": b"5,5",
    "quoted": b'"5"',
    "empty": b"",
    "only a space": b" ",
    "17 digits, 2^64 and 5": b"10000000000000005",
    "16 digits, 2^64 - 1": b"ffffffffffffffff",
    "16 digits, 2^63": b"8000000000000000",
    "2^64 in 18 digits": b"010000000000000005",
    "1000 digits": b"5" * 1000,
    "5000 zeros and 5": b"0" * 5000 + b"5",
    "NUL before": b"\x005",
    "NUL behind": b"5\x00",
    "VT before": b"\x0b5",
    "FF behind": b"5\x0c",
    "Arabic digit": b"\xd9\xa5",
    "full-width digit": b"\xef\xbc\x95",
    "no-break space behind": b"5\xa0",
    "semicolon first": b";a=b",
}


@cases(SIZES)
def test_a_chunk_size_is_hexadecimal_digits_only(stage: Stage, case: bytes) -> None:
    """What `int(x, 16)` would take is not what the grammar takes."""
    refused_late(stage, HEAD + case + b"\r\nhello\r\n" + END, (400, 413))


@cases(SIZES)
def test_a_later_chunk_size_is_read_with_the_same_care(stage: Stage, case: bytes) -> None:
    """The first chunk has perhaps been forwarded: then the upstream's message is cut."""
    refused_late(stage, HEAD + b"2\r\nhi\r\n" + case + b"\r\nhello\r\n" + END, (400, 413))


MALFORMED = {
    "size line ends with LF": b"5\nhello\r\n0\r\n\r\n",
    "size line ends with CR": b"5\rhello\r\n0\r\n\r\n",
    "size line ends with CR CR LF": b"5\r\r\nhello\r\n0\r\n\r\n",
    "size line ends with CR and a letter": b"5\rxhello\r\n0\r\n\r\n",
    "data ends with LF": b"5\r\nhello\n0\r\n\r\n",
    "data ends with CR": b"5\r\nhello\r0\r\n\r\n",
    "data ends with LF CR": b"5\r\nhello\n\r0\r\n\r\n",
    "data ends with two letters": b"5\r\nhelloXX0\r\n\r\n",
    "data ends with CR and a letter": b"5\r\nhello\rX0\r\n\r\n",
    "no line end behind the data": b"5\r\nhello0\r\n\r\n",
    "data longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "data longer than its size by a line end": b"5\r\nhello\r\n\r\n0\r\n\r\n",
    "data shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "empty line before the first size": b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "LF before the first size": b"\n5\r\nhello\r\n0\r\n\r\n",
    "last size line ends with LF": b"5\r\nhello\r\n0\n\r\n",
    "body ends with LF": b"5\r\nhello\r\n0\r\n\n",
    "body ends with CR CR LF": b"5\r\nhello\r\n0\r\n\r\r\n",
    "body ends with LF LF": b"5\r\nhello\r\n0\n\n",
    "all lines end with LF": b"5\nhello\n0\n\n",
    "words": b"hello world\r\n",
    "a request": SMUGGLED,
}


@cases(MALFORMED)
def test_line_ends_in_chunks_are_crlf_only(stage: Stage, case: bytes) -> None:
    """Both bytes behind every size and behind every chunk are checked."""
    refused_late(stage, HEAD + case)


@cases(MALFORMED)
def test_malformed_chunks_are_refused_byte_by_byte(stage: Stage, case: bytes) -> None:
    """Segments hide nothing."""
    refused_late(stage, [HEAD, *bytewise(case)])


EXTENSIONS = {
    "bare LF": b";a=b\nc",
    "bare CR": b";a=b\rc",
    "ends with LF": b";a=b\n",
    "LF first": b"\n;a=b",
    "NUL": b";a=\x00",
    "control": b";a=\x01b",
    "DEL": b";a=\x7f",
    "bare LF in quotes": b';a="\n"',
    "no semicolon": b" a=b",
    "6 KB": b";a=" + b"b" * 6000,
    "1 MB": b";a=" + b"b" * 1_000_000,
}


@cases(EXTENSIONS)
def test_a_malformed_or_endless_chunk_extension_is_refused(stage: Stage, case: bytes) -> None:
    """What nobody needs is bounded and holds no controls."""
    refused_late(stage, HEAD + b"5" + case + b"\r\nhello\r\n" + END, (400, 413, 431))


def test_many_long_chunk_extensions_are_refused(stage: Stage) -> None:
    """They are bounded for the whole body as well."""
    refused_late(stage, HEAD + (b"1;a=" + b"b" * 3000 + b"\r\nx\r\n") * 20 + END, (400, 413, 431))


CHUNKS = {
    "one": (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "none": (b"0\r\n\r\n", b""),
    "two": (b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
    "leading zeros": (b"0005\r\nhello\r\n0\r\n\r\n", b"hello"),
    "many zeros in the last size": (b"5\r\nhello\r\n0000\r\n\r\n", b"hello"),
    "lower-case digits": (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "upper-case digits": (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "15 zeros": (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
    "data with line ends": (b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r"),
    "data like an end": (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    "extension": (b"5;a=b\r\nhello\r\n0\r\n\r\n", b"hello"),
    "extension without a value": (b"5;a\r\nhello\r\n0\r\n\r\n", b"hello"),
    "quoted extension": (b'5;a="b;c, \\" d"\r\nhello\r\n0\r\n\r\n', b"hello"),
    "two extensions": (b"5;a=b;c=d\r\nhello\r\n0\r\n\r\n", b"hello"),
    "extension of the last chunk": (b"5\r\nhello\r\n0;a=b\r\n\r\n", b"hello"),
    "extension of 1 KB": (b"5;a=" + b"b" * 1000 + b"\r\nhello\r\n0\r\n\r\n", b"hello"),
    "1000 chunks of a byte": (b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n", b"x" * 1000),
    "a chunk of 100 KB": (b"186a0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n", b"x" * 100_000),
}


@cases(CHUNKS)
def test_a_chunked_body_reaches_the_upstream_whole(stage: Stage, case: tuple[bytes, bytes]) -> None:
    """Re-framed: a strict reader that knows no extensions finds the same body."""
    sent, body = case
    forwarded(stage, HEAD + sent, method=b"POST", body=body)


@cases({name: case for name, case in CHUNKS.items() if len(case[0]) < 200})
def test_a_chunked_body_may_come_byte_by_byte(stage: Stage, case: tuple[bytes, bytes]) -> None:
    """Segments are no boundaries."""
    sent, body = case
    forwarded(stage, [HEAD, *bytewise(sent)], method=b"POST", body=body)


@cases({"plain": END, "extension": b"0;a=b\r\n\r\n", "trailers": b"0\r\nX: y\r\n\r\n"})
def test_what_stands_behind_the_last_chunk_is_the_next_request(stage: Stage, case: bytes) -> None:
    """In the same segment."""
    following = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
    outcome = stage.play(HEAD + b"5\r\nhello\r\n" + case + following, OK, methods=("POST", "GET"))
    assert [(b"/", b"hello"), (b"/next", b"")] == [(request.target, request.body) for request in outcome.requests]
    assert [200, 200] == [answer.status for answer in outcome.answers]
    stage.fence()


# -- Trailers ----------------------------------------------------------------------------------------


def test_trailer_fields_reach_the_upstream_behind_the_body(stage: Stage) -> None:
    """They stay trailers: they do not become header fields."""
    request = forwarded(
        stage, HEAD + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\nx-other:3\r\n\r\n", method=b"POST", body=b"hello"
    )
    assert [] == own_fields(request.fields)
    assert ((b"X-Sum", b"1"), (b"X-Sum", b"2"), (b"x-other", b"3")) == request.trailers


FORBIDDEN = {
    "Content-Length": b"Content-Length: 3",
    "Transfer-Encoding": b"Transfer-Encoding: chunked",
    "Host": b"Host: evil",
    "Connection": b"Connection: close",
    "Authorization": b"Authorization: Basic eDp5",
    "X-Forwarded-For": b"X-Forwarded-For: 6.6.6.6",
    "X-Request-Id": b"X-Request-Id: evil",
    "Trailer": b"Trailer: X",
    "Content-Type": b"Content-Type: text/html",
    "Content-Encoding": b"Content-Encoding: gzip",
}


@cases(FORBIDDEN)
def test_a_forbidden_trailer_field_has_no_effect(stage: Stage, case: bytes) -> None:
    """Framing, routing and authentication are decided by the head alone (RFC 9110, 6.5.1)."""
    outcome = stage.play(HEAD + b"5\r\nhello\r\n0\r\n" + case + b"\r\nX: y\r\n\r\n", [b"HTTP/1.1 204 No\r\n\r\n"])
    assert [] == outcome.garbage
    for request in outcome.requests:
        name = case.partition(b":")[0].lower()
        assert b"hello" == request.body
        assert name not in [key.lower() for key, _ in request.trailers]
        assert case.partition(b": ")[2] not in request.values(name.decode()) or name == b"transfer-encoding"
    assert outcome.requests or 400 == outcome.answer.status
    stage.fence()


@cases(
    {
        "space before the colon": b"X : y\r\n",
        "no colon": b"X\r\n",
        "no name": b": y\r\n",
        "folded": b"X: y\r\n z\r\n",
        "leading space": b" X: y\r\n",
        "bad name": b"X@: y\r\n",
        "NUL in the value": b"X: \x00\r\n",
        "bare CR in the value": b"X: y\rz\r\n",
        "line ends with LF": b"X: y\n",
        "DEL in the value": b"X: \x7f\r\n",
        "a request": b"GET /smuggled HTTP/1.1\r\nHost: a\r\n",
        "one of 20 KB": b"X: " + b"y" * 20_000 + b"\r\n",
        "20 KB in lines": (b"X: " + b"y" * 1019 + b"\r\n") * 20,
        "65 lines": b"X: y\r\n" * 65,
        "1 MB": (b"X: " + b"y" * 1019 + b"\r\n") * 1000,
    }
)
def test_malformed_or_endless_trailers_are_refused(stage: Stage, case: bytes) -> None:
    """The trailer section is read with the care of the head, to its end."""
    refused_late(stage, HEAD + b"5\r\nhello\r\n0\r\n" + case + b"\r\n", (400, 413, 431))


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14])
def test_a_chunked_body_may_be_cut_anywhere(stage: Stage, cut: int) -> None:
    """Two segments, at every boundary that a state machine can get wrong."""
    body = b"5\r\nhello\r\n0\r\n\r\n"
    forwarded(stage, [HEAD + body[:cut], body[cut:]], method=b"POST", body=b"hello")

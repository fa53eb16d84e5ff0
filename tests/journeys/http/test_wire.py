"""The strict reader judges the router, so somebody must judge the strict reader."""

from __future__ import annotations

import pytest

from tests.journeys.http.claims import cases
from tests.journeys.http.wire import Malformed, read_answer, read_request

GOOD = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"


@cases({"length": GOOD, "chunked": CHUNKED})
def test_a_message_is_read_only_when_it_is_whole(case: bytes) -> None:
    """Every beginning is a beginning, and what follows is left alone."""
    assert [None] * len(case) == [read_request(case[:cut]) for cut in range(len(case))]
    found = read_request(case + b"GET")
    assert found is not None
    assert (b"hello", len(case)) == (found[0].body, found[1])


@cases(
    {
        "two Hosts": GOOD.replace(b"Host: a", b"Host: a\r\nHost: a"),
        "no Host": GOOD.replace(b"Host: a\r\n", b""),
        "two lengths": GOOD.replace(b"Host: a", b"Host: a\r\nContent-Length: 5"),
        "length and coding": CHUNKED.replace(b"Host: a", b"Host: a\r\nContent-Length: 5"),
        "another coding": CHUNKED.replace(b": chunked", b": gzip, chunked"),
        "signed length": GOOD.replace(b": 5", b": +5"),
        "chunk extension": CHUNKED.replace(b"5\r\n", b"5;a=b\r\n"),
        "no line end behind a chunk": CHUNKED.replace(b"hello\r\n", b"helloXX"),
        "LF line end": GOOD.replace(b"Host: a\r\n", b"Host: a\n"),
        "space before the colon": GOOD.replace(b"Host:", b"Host :"),
        "HTTP/1.0": GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        "space in the target": GOOD.replace(b"/a", b"/a b"),
        "8-bit target": GOOD.replace(b"/a", b"/\xe4"),
        "NUL in a value": GOOD.replace(b"Host: a", b"Host: a\r\nX: \x00"),
    }
)
def test_what_a_careful_sender_does_not_write_is_malformed(case: bytes) -> None:
    """Also what a generous reader would take."""
    with pytest.raises(Malformed):
        read_request(case)


def test_an_answer_cut_short_is_not_complete() -> None:
    """By length, by chunks, and by a reset where only the end tells the end."""
    head = b"HTTP/1.1 200 OK\r\n"
    for fields, ended, reset in [
        (b"Content-Length: 9\r\n\r\nhello", True, False),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", True, False),
        (b"\r\nhello", True, True),
    ]:
        assert read_answer(head + fields, "GET", False) is None
        found = read_answer(head + fields, "GET", ended, reset)
        assert found is not None
        assert (b"hello", False) == (found[0].body, found[0].complete)

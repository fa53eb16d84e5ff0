"""router.planes.embedded.copying: one answer taken down, whatever its framing and wherever it is cut.

What happens to whole copies is told in test_mirror.
"""

from __future__ import annotations

import pytest

from router.core.capture import MAX_BODY, Taken, Who
from router.core.headers import BadField
from router.core.model import Limits
from router.planes.embedded.bounds import Bounds
from router.planes.embedded.copying import AnswerTaker, header
from router.planes.embedded.heads import Memory


def taker(method: bytes = b"GET") -> AnswerTaker:
    return AnswerTaker(Who.NEW, method, Bounds(Limits()), Memory())


PLAIN = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + PLAIN])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_answer_is_taken_down_however_it_is_cut(answer: bytes, step: int) -> None:
    """With a length, in chunks, behind an interim answer."""
    one = taker()
    for at in range(0, len(answer), step):
        one.feed(answer[at : at + step])
    found = one.taken(0.5)
    assert (True, True) == (one.done, one.clean)
    assert (200, b"abc", False, "", 0.5) == (found.status, found.body, found.truncated, found.error, found.seconds)
    assert ("X-A", "1") == found.headers[0]


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    """Before that it is not whole, and that connection is never used again."""
    one = taker()
    one.feed(b"HTTP/1.1 200 OK\r\n\r\nab")
    assert one.taken(0.0).truncated
    assert one.at_end()
    assert (b"ab", False, False) == (one.taken(0.0).body, one.taken(0.0).truncated, one.clean)


def test_an_answer_to_head_has_no_body_whatever_it_says() -> None:
    """It is done with its head."""
    one = taker(b"HEAD")
    one.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n")
    assert (True, b"") == (one.done, one.taken(0.0).body)


def test_bytes_behind_an_answer_make_its_connection_unfit() -> None:
    """They belong to nothing."""
    one = taker()
    one.feed(PLAIN + b"x")
    assert (True, False) == (one.done, one.clean)


def test_what_is_too_long_is_not_kept() -> None:
    """Neither in memory nor in what is told."""
    one = taker()
    one.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(300):
        one.feed(b"x" * 1000)
    assert one.truncated
    assert (b"", True) == (one.taken(0.0).body, one.taken(0.0).truncated)
    assert sum(map(len, one._pieces)) <= MAX_BODY


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"x" * 100_000],
)
def test_what_is_no_answer_is_an_error(answer: bytes) -> None:
    """Rubbish, two lengths, a head without an end."""
    with pytest.raises(BadField):
        taker().feed(answer)


def test_nothing_at_all_is_lost() -> None:
    """A connection that closed before a head was whole."""
    assert Taken(Who.NEW, error="lost", seconds=1.0) == taker().taken(1.0)


def test_header_lines_are_read_as_they_are_written() -> None:
    """Name, value, and bytes of old charsets."""
    assert ("X-A", "b: \xe9") == header(b"X-A:  b: \xe9 ")

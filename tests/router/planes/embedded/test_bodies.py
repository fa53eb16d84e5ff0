"""Chunked bodies: however their bytes come in, the same data, trailers and surplus, or the same refusal."""

from __future__ import annotations

import re
from itertools import pairwise

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.headers import BadField
from router.core.model import Limits
from router.planes.embedded.bodies import LAST_CHUNK, ChunkedReader, chunk, last_chunk
from router.planes.embedded.bounds import Bounds

LIMITS = Bounds(Limits())
SMALL = Bounds(Limits(chunk_extension=20, chunk_extensions=40, trailer=60, trailer_fields=3))

Result = tuple[bytes, tuple[bytes, ...], bytes] | str | None
"""Data, trailers and surplus; why it is refused; None while more has to come."""


def read(pieces: list[bytes], limits: Bounds = LIMITS) -> Result:
    """What a reader makes of these pieces, fed one by one."""
    reader = ChunkedReader(limits)
    data = b""
    for number, piece in enumerate(pieces):
        try:
            data += b"".join(reader.feed(piece))
        except BadField as bad:
            return str(bad)
        if reader.done:
            return data, tuple(reader.trailers), reader.surplus + b"".join(pieces[number + 1 :])
    return None


def cut(wire: bytes, places: list[int]) -> list[bytes]:
    """The bytes in pieces, cut at these places."""
    ends = sorted({0, len(wire), *(place % (len(wire) + 1) for place in places)})
    return [wire[start:end] for start, end in pairwise(ends)]


def refused(result: Result) -> bool:
    return isinstance(result, str)


# ------------------------------------------------------------------------------------------------- strategies

extensions = st.sampled_from((b"", b";a", b" ; a = b", b';a="q;\\"x"', b";a;b=c", b"\t;\ta"))
sizes = st.sampled_from(("{:x}", "{:X}", "0{:x}", "000{:x}"))


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes, tuple[bytes, ...]]:
    """A chunked body as somebody might write it, its data and the trailers that may be passed on."""
    wire, data = b"", b""
    for piece in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4)):
        wire += draw(sizes).format(len(piece)).encode() + draw(extensions) + b"\r\n" + piece + b"\r\n"
        data += piece
    trailers = tuple(draw(st.lists(st.sampled_from((b"X-A: 1", b"X-B: two", b"X-C:")), max_size=3)))
    wire += draw(st.sampled_from((b"0", b"000"))) + draw(extensions) + b"\r\n"
    wire += b"".join(line + b"\r\n" for line in trailers) + b"\r\n"
    return wire, data, trailers


fragments = st.sampled_from(
    (
        b"5\r\nhello\r\n",
        b"5\r\nhell",
        b"hello",
        b"0\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"a;x=1\r\n0123456789\r\n",
        b"5 \r\n",
        b"5;\r\n",
        b"5;a\x00\r\n",
        b'5;a="b\r\n',
        b"1\r\n\r\r\n",
        b"1\r\n\n\r\n",
        b"0x5\r\n",
        b"-1\r\n",
        b"ffffffffffffffff\r\n",
        b"5" * 17,
        b" " * 50,
        b";" + b"x" * 30,
        b"A: b\r\n",
        b"A : b\r\n",
        b" folded\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x00",
    )
)
wreckage = st.one_of(
    st.lists(fragments, max_size=6).map(b"".join),
    st.tuples(bodies(), st.integers(0, 200), st.binary(max_size=2)).map(
        lambda drawn: drawn[0][0][: drawn[1]] + drawn[2] + drawn[0][0][drawn[1] + len(drawn[2]) :]
    ),
    st.binary(max_size=60),
)
cuts = st.lists(st.integers(0, 10_000), max_size=12)

# ------------------------------------------------------------------------------------------- however it is cut


@given(bodies(), st.binary(max_size=20), cuts)
def test_a_body_means_the_same_however_it_is_cut(
    body: tuple[bytes, bytes, tuple[bytes, ...]], behind: bytes, places: list[int]
) -> None:
    """Data, trailers, and where the next message begins."""
    wire, data, trailers = body
    expected = (data, trailers, behind)
    assert expected == read([wire + behind])
    assert expected == read(cut(wire + behind, places))
    assert expected == read([bytes([byte]) for byte in wire + behind])


def test_a_body_means_the_same_cut_at_every_single_place() -> None:
    """One cut, everywhere: within sizes, extensions, CRLF, data and trailers."""
    wire = b'5;a="q;"\r\nhello\r\n000C ; b\r\n, and good b\r\n3\r\nye!\r\n'
    wire += b"0;c\r\nX-A: 1\r\nTrailer: x\r\nX-B: 2\r\n\r\nGET /"
    expected = (b"hello, and good bye!", (b"X-A: 1", b"X-B: 2"), b"GET /")
    assert [expected] * (len(wire) - 1) == [read([wire[:place], wire[place:]]) for place in range(1, len(wire))]


@given(wreckage, cuts)
@example(b"5" + b" " * 50 + b";a\r\nhello\r\n0\r\n\r\n", [30])
@example(b"5" + b" " * 14 + b";" + b"a" * 19 + b"\r\nhello\r\n0\r\n\r\n", [36])
def test_a_verdict_does_not_depend_on_the_cuts(wire: bytes, places: list[int]) -> None:
    """What is refused in one piece is refused in many, and what is taken is taken; nothing else is ever raised."""
    for limits in (LIMITS, SMALL):
        whole = read([wire], limits)
        pieces = read(cut(wire, places), limits)
        singles = read([bytes([byte]) for byte in wire], limits)
        if isinstance(whole, tuple):
            assert whole == pieces == singles
        elif whole is None:
            assert not isinstance(pieces, tuple)
            assert not isinstance(singles, tuple)
        else:
            assert refused(pieces)
            assert refused(singles)


@given(wreckage)
def test_h11_reads_the_same_in_whatever_is_taken(wire: bytes) -> None:
    """A second reader finds the same data and the same end; only the white space before `;` is not known to it."""
    ours = read([wire])
    if not isinstance(ours, tuple):
        return
    theirs = h11.Connection(h11.SERVER)
    theirs.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + wire)
    assert isinstance(theirs.next_event(), h11.Request)
    data = b""
    try:
        while isinstance(event := theirs.next_event(), h11.Data):
            data += event.data
    except h11.RemoteProtocolError:
        assert re.search(rb"[0-9A-Fa-f][ \t]+;", wire)
        return
    assert isinstance(event, h11.EndOfMessage)
    assert (ours[0], ours[2]) == (data, theirs.trailing_data[0])


# ------------------------------------------------------------------------------------------------- what is sent


@given(st.lists(st.binary(min_size=1, max_size=50)), st.lists(st.sampled_from((b"X-A: 1", b"X-B:")), max_size=3))
def test_what_is_framed_anew_reads_as_the_same_body(pieces: list[bytes], trailers: list[bytes]) -> None:
    """`chunk` and `last_chunk` are the inverse of the reader."""
    wire = b"".join(map(chunk, pieces)) + last_chunk(trailers)
    assert (b"".join(pieces), tuple(trailers), b"") == read([wire])


def test_the_plain_last_chunk_ends_a_body_without_trailers() -> None:
    """Five bytes that every receiver knows."""
    assert b"0\r\n\r\n" == LAST_CHUNK


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"\r\n", "size is malformed"),
        (b"g\r\n", "size is malformed"),
        (b"-1\r\n", "size is malformed"),
        (b"+1\r\n", "size is malformed"),
        (b"0x1\r\n", "size is malformed"),
        (b"1_0\r\n", "size is malformed"),
        (b" 1\r\n", "size is malformed"),
        (b"1 \r\n", "size is malformed"),
        (b"1\t\r\n", "size is malformed"),
        (b"1,\r\n", "size is malformed"),
        (b"1\x0b\r\n", "size is malformed"),
        (b"00000000000000001\r\n", "size is malformed"),
        (b"8000000000000000\r\n", "size is too large"),
        (b"ffffffffffffffff\r\n", "size is too large"),
        (b"1\n", "bare LF"),
        (b"\n", "bare LF"),
        (b"1\r\naX\r\n", "longer than its size"),
        (b"1\r\na\n", "longer than its size"),
        (b"1\r\na\rX", "longer than its size"),
        (b"1;\r\n", "extension is malformed"),
        (b"1;=b\r\n", "extension is malformed"),
        (b"1;a=\r\n", "extension is malformed"),
        (b'1;a="b\r\n', "extension is malformed"),
        (b"1;a b\r\n", "extension is malformed"),
        (b"1;a\x00\r\n", "size is malformed"),
        (b"1;a\r\r\n", "size is malformed"),
        (b"0\r\nno colon\r\n\r\n", "no colon"),
        (b"0\r\n folded: 1\r\n\r\n", "line folding"),
        (b"0\r\nA: b\n\r\n", "bare LF"),
        (b"0\r\nA: \x00\r\n\r\n", "control character"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(wire: bytes, why: str) -> None:
    """Chunk framing is where requests are smuggled: no mercy, and words for people."""
    assert why in str(read([wire]))


def test_a_bad_size_is_refused_before_its_line_ends() -> None:
    """Waiting for the end of a line that can never become a good one is waiting for nothing."""
    assert refused(read([b"z"]))
    assert refused(read([b"5 x"]))
    assert refused(read([b"1" * 17]))
    assert read([b"5 "]) is None


# ------------------------------------------------------------------------------------------------------ bounds


def test_everything_that_is_not_data_has_a_limit() -> None:
    """An extension, all extensions, a trailer section by bytes and by lines: at the limit good, beyond it not."""
    end = b"0\r\n\r\n"
    assert not refused(read([b"0;" + b"a" * 19 + b"\r\n\r\n"], SMALL))
    assert refused(read([b"0;" + b"a" * 20 + b"\r\n\r\n"], SMALL))
    pair = b"1;" + b"a" * 19 + b"\r\nx\r\n"
    assert not refused(read([pair * 2 + end], SMALL))
    assert refused(read([pair * 2 + b"1;a\r\nx\r\n" + end], SMALL))
    assert not refused(read([b"0\r\nA: " + b"a" * 55 + b"\r\n\r\n"], SMALL))
    assert refused(read([b"0\r\nA: " + b"a" * 56 + b"\r\n\r\n"], SMALL))
    assert not refused(read([b"0\r\n" + b"A: b\r\n" * 3 + b"\r\n"], SMALL))
    assert refused(read([b"0\r\n" + b"A: b\r\n" * 4 + b"\r\n"], SMALL))


@pytest.mark.parametrize("endless", [b"5;" + b"a" * 10_000, b"5" + b" " * 10_000, b"0\r\nA: " + b"a" * 10_000])
def test_a_line_that_never_ends_is_not_kept(endless: bytes) -> None:
    """What is held back stays within the limits: the refusal comes long before the end of the line could."""
    assert "a line of chunked framing is too long" == read([bytes([byte]) for byte in endless[:100]], SMALL)


def test_data_is_never_held_back() -> None:
    """What has come of a chunk is given at once, however much is to follow."""
    reader = ChunkedReader(LIMITS)
    assert [b"a"] == reader.feed(b"ffffff\r\na")
    assert [b"bc"] == reader.feed(b"bc")
    assert [b"d" * 100_000] == reader.feed(b"d" * 100_000)

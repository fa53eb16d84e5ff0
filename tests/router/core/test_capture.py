"""router.core.capture: what workers tell the comparer, byte by byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.capture import (
    MAX_BODY,
    MAX_HEAD,
    Capture,
    Count,
    Counts,
    FrameError,
    FrameReader,
    NoiseWish,
    Taken,
    Who,
    capture_frame,
    counts_frame,
    noise_frame,
)

_texts = st.text(max_size=8)
_headers = st.lists(st.tuples(_texts, _texts), max_size=3).map(tuple)
_taken = st.builds(
    Taken,
    st.sampled_from(Who),
    st.integers(0, 999),
    _headers,
    st.binary(max_size=50),
    st.booleans(),
    _texts,
    st.floats(0, 99),
)
_captures = st.builds(
    Capture,
    _texts,
    st.integers(0, 2**40),
    st.integers(0, 10**6),
    st.floats(0, 2e9),
    _texts,
    _texts,
    _texts,
    _texts,
    st.sampled_from([Who.LEGACY, Who.NEW]),
    st.lists(_taken, max_size=3).map(tuple),
    _headers,
    st.booleans(),
    st.floats(0, 9),
)
_counts = st.dictionaries(st.tuples(_texts, st.sampled_from(Count)), st.integers(0, 2**40), max_size=3)


@settings(max_examples=100, deadline=None)
@given(st.lists(_captures, max_size=3), _counts, st.integers(1, 40))
def test_a_stream_is_read_as_it_was_written_however_it_is_cut(
    captures: list[Capture], counts: dict[tuple[str, Count], int], step: int
) -> None:
    """Captures with their bodies, counts and wishes, in pieces of any size."""
    stream = b"".join([*map(capture_frame, captures), counts_frame(counts), noise_frame("GET /a", 5)])
    reader = FrameReader()
    found = [message for at in range(0, len(stream), step) for message in reader.feed(stream[at : at + step])]
    assert [*captures, Counts(counts), NoiseWish("GET /a", 5)] == found


@pytest.mark.parametrize(
    "stream",
    [
        b"hello\n",
        b"[]\n",
        b"{}\n",
        b'{"op":"shout"}\n',
        b'{"op":"noise","route":"a"}\n',
        b'{"op":"counts","counts":[["a","nonsense",1]]}\n',
        b'{"op":"capture","answers":[{"size":-1}]}\n',
        b'{"op":"capture","answers":[{"size":true}]}\n'.replace(b"true", b'"1"'),
        json.dumps({"op": "capture", "answers": [{"size": MAX_BODY + 1}]}).encode() + b"\n",
        json.dumps({"op": "capture", "answers": [{"size": 0}] * 4}).encode() + b"\n",
        b"[" * 100_000 + b"\n",
        b"x" * MAX_HEAD,
    ],
)
def test_what_is_no_frame_is_an_error_and_never_waited_for(stream: bytes) -> None:
    """Other text, other words, sizes beyond the limits, lines without an end."""
    with pytest.raises(FrameError):
        FrameReader().feed(stream)


def test_half_a_frame_is_waited_for() -> None:
    """Without its body a capture is not there yet."""
    capture = Capture("a", 1, 0, 1.0, "r", "GET", "h", "/", Who.NEW, (Taken(Who.NEW, body=b"12345"),))
    frame = capture_frame(capture)
    reader = FrameReader()
    assert [] == reader.feed(frame[:-1])
    assert [capture] == reader.feed(frame[-1:])


def test_bodies_are_in_no_repr() -> None:
    """What people said to a service stays out of logs."""
    assert "secret" not in repr(Taken(Who.NEW, body=b"secret"))

"""rollout.core.compare.coding: content codings undone, within bounds."""

from __future__ import annotations

import gzip
import zlib
from functools import partial

import pytest

from rollout.core.compare.coding import Undecoded, decoded

RAW = zlib.compressobj(wbits=-15)
RAW_DEFLATE = RAW.compress(b"hello") + RAW.flush()

packed = partial(gzip.compress, mtime=0)
"""The same bytes in every process: they name the cases."""


@pytest.mark.parametrize(
    ("body", "coding", "expected"),
    [
        (b"hello", "", b"hello"),
        (b"hello", "identity", b"hello"),
        (packed(b"hello"), "gzip", b"hello"),
        (packed(b"hel") + packed(b"lo"), "x-gzip", b"hello"),
        (zlib.compress(b"hello"), "deflate", b"hello"),
        (RAW_DEFLATE, "deflate", b"hello"),
        (packed(zlib.compress(b"hello")), "deflate, GZIP", b"hello"),
        (b"", "gzip", b""),
        (packed(b"hello")[:-4], "gzip", Undecoded.CORRUPT),
        (b"hello", "gzip", Undecoded.CORRUPT),
        (b"hello", "br", Undecoded.UNSUPPORTED),
        (b"hello", "gzip," * 50, Undecoded.UNSUPPORTED),
        (packed(b"x" * 1001), "gzip", Undecoded.TOO_LARGE),
        (b"x" * 1001, "", Undecoded.TOO_LARGE),
        (packed(b"x" * 1000), "gzip", b"x" * 1000),
    ],
)
def test_a_body_is_decoded_or_it_is_said_why_not(body: bytes, coding: str, expected: bytes | Undecoded) -> None:
    """All that is read, in any order and spelling; cut, wrong, unknown and too large ones."""
    assert expected == decoded(body, coding, limit=1000)


def test_many_empty_streams_are_no_endless_loop() -> None:
    """Ten thousand streams of nothing come to nothing."""
    assert b"" == decoded(packed(b"") * 10_000, "gzip")

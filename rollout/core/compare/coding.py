"""Content codings undone, with a bound: a body that grows beyond it is given up, however small it travelled."""

from __future__ import annotations

import zlib
from enum import Enum
from typing import Final

from rollout.core.compare.values import MAX_BODY

MAX_CODINGS: Final = 3


class Undecoded(Enum):
    """Why a body cannot be looked into."""

    CORRUPT = 1
    TOO_LARGE = 2
    UNSUPPORTED = 3


def decoded(body: bytes, coding: str, limit: int = MAX_BODY) -> bytes | Undecoded:
    """The body without its `Content-Encoding`."""
    names = [name for each in coding.lower().split(",") if (name := each.strip()) not in {"", "identity"}]
    if len(names) > MAX_CODINGS or not _READ.issuperset(names):
        return Undecoded.UNSUPPORTED
    for name in reversed(names):
        result = _inflated(body, name, limit)
        if isinstance(result, Undecoded):
            return result
        body = result
    return body if len(body) <= limit else Undecoded.TOO_LARGE


_READ: Final = frozenset(("gzip", "x-gzip", "deflate"))


def _inflated(body: bytes, name: str, limit: int) -> bytes | Undecoded:
    if not body:
        return b""
    # what is called deflate is zlib by the book and raw deflate by habit
    windows = (31,) if name != "deflate" else (15, -15)
    result: bytes | Undecoded = Undecoded.CORRUPT
    for window in windows:
        result = _one_stream_after_another(body, window, limit)
        if result is not Undecoded.CORRUPT:
            break
    return result


def _one_stream_after_another(body: bytes, window: int, limit: int) -> bytes | Undecoded:
    pieces: list[bytes] = []
    size = 0
    while body:
        stream = zlib.decompressobj(window)
        try:
            piece = stream.decompress(body, limit - size + 1)
        except zlib.error:
            return Undecoded.CORRUPT
        size += len(piece)
        pieces.append(piece)
        if size > limit:
            return Undecoded.TOO_LARGE
        if not stream.eof:
            return Undecoded.CORRUPT
        body = stream.unused_data
        if window != 31:
            break
    return b"".join(pieces)

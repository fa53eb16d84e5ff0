"""Bodies on their way through: what comes on one side is framed and sent on to the other.  No sockets.

A body is never collected whole.  Only the beginning of a request's is kept, while it may have to be sent again.
"""

from __future__ import annotations

from typing import Final, final

from router.planes.embedded.bodies import LAST_CHUNK, ChunkedReader, chunk, last_chunk
from router.planes.embedded.bounds import Bounds
from router.planes.embedded.heads import CHUNKED, UNTIL_CLOSE

_CHUNKED: Final = CHUNKED
_UNTIL_CLOSE: Final = UNTIL_CLOSE


class Passage:
    """One body: what has come of it goes in, what is to be sent on comes out."""

    done: bool = False
    """All of it has come."""
    size: int = 0
    """Bytes of it that have come, without any framing."""
    surplus: bytes = b""
    """What lies behind it."""
    _reader: ChunkedReader | None = None

    def __init__(self, length: int, limits: Bounds, *, chunked: bool) -> None:
        """`length`: its bytes, or CHUNKED, or UNTIL_CLOSE; `chunked`: it is sent on in chunks."""
        self._left = length
        self._chunked = chunked
        if length == _CHUNKED:
            self._reader = ChunkedReader(limits)

    @property
    def ends_with_connection(self) -> bool:
        """Is the end of the connection the only end that the receiver can see?"""
        return self._left < 0 and not self._chunked

    def feed(self, data: bytes) -> bytes:
        """What is to be sent on for these bytes.  Raises `BadField` on chunks that are none."""
        if self._reader is not None:
            return self._chunks(self._reader, data)
        left = self._left
        if left == _UNTIL_CLOSE:
            return chunk(data) if self._chunked else data
        if len(data) > left:
            data, self.surplus = data[:left], data[left:]
        self._left = left - len(data)
        self.size += len(data)
        self.done = self._left == 0
        return data

    def _chunks(self, reader: ChunkedReader, data: bytes) -> bytes:
        pieces = reader.feed(data)
        wire = b""
        if pieces:
            whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self.size += len(whole)
            wire = chunk(whole) if self._chunked else whole
        if reader.done:
            self.done = True
            self.surplus = reader.surplus
            if self._chunked:
                wire += last_chunk(reader.trailers)
        return wire

    def ended(self) -> bytes | None:
        """The connection has ended: what is to be sent on for that; None when the body has broken off."""
        if self._left != _UNTIL_CLOSE:
            return None
        return LAST_CHUNK if self._chunked else b""


@final
class RequestBody(Passage):
    """A request's body, with all that has come of it as long as it may have to be sent again, or at all."""

    replayable: bool = True
    """All that was sent of it is still at hand."""
    kept: int = 0
    """Bytes at hand, as they are sent."""

    def __init__(self, length: int, limits: Bounds) -> None:
        super().__init__(length, limits, chunked=length == _CHUNKED)
        self._pieces: list[bytes] = []

    def keep(self, wire: bytes) -> None:
        self._pieces.append(wire)
        self.kept += len(wire)

    def at_hand(self) -> bytes:
        """What has come of it so far, for a connection that has seen none of it."""
        return b"".join(self._pieces)

    def forget(self) -> None:
        """It will not be sent again."""
        self.replayable = False
        self._pieces = []
        self.kept = 0

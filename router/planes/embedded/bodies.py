"""Bodies: where they end, and chunked ones taken apart.  No sockets.

A chunked body is never copied through: its chunks are decoded here, strictly and with bounds on everything that is not
data, and framed anew by the sender (`chunk`, `last_chunk`).
"""

from __future__ import annotations

import re
from typing import Final, final

from router.core.headers import BadField, trailer_lines
from router.planes.embedded.bounds import Bounds

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*(;[\t\x20-\x7e\x80-\xff]*))?\Z")
_SIZE_BEGINNING: Final = re.compile(rb"[0-9A-Fa-f]{1,16}(?:[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?)?\r?\Z")
_EXTENSION: Final = re.compile(
    rb"(?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    rb"(?:[ \t]*=[ \t]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    rb'|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"))?)*[ \t]*\Z'
)
_MAX_CHUNK: Final = 2**63 - 1
_SIZE_LINE: Final = 32


def chunk(data: bytes) -> bytes:
    """One chunk around some data."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: list[bytes]) -> bytes:
    """The end of a chunked body with its trailer lines."""
    return b"0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"


LAST_CHUNK: Final = last_chunk([])


@final
class ChunkedReader:
    """Takes a chunked body apart as its bytes come in (RFC 9112 section 7.1).

    `feed` gives the data found so far; once `done`, `trailers` holds the trailer lines that may be passed on and
    `surplus` the bytes behind the body.  Raises `BadField` on anything that two readers could read differently.
    What it holds back is bounded by the limits on size lines and trailers.
    """

    def __init__(self, limits: Bounds) -> None:
        self._limits = limits
        self._held = b""
        self._left = -1
        """Bytes left in the chunk; -1: at a size line; -2: at the CRLF behind data; -3: in the trailer section."""
        self._extensions = 0
        self._trailer_bytes = 0
        self._trailers: list[bytes] = []
        self.trailers: list[bytes] = []
        self.surplus = b""
        self.done = False

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of body data that these bytes complete or continue."""
        if self._held:
            data = self._held + data
            self._held = b""
        pieces: list[bytes] = []
        position = 0
        end = len(data)
        while position < end and not self.done:
            if self._left > 0:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._left = -2
                continue
            if self._left == -2:
                if end - position < 2:
                    if data[position] != 0x0D:
                        raise BadField("a chunk is longer than its size")
                    break
                if data[position : position + 2] != b"\r\n":
                    raise BadField("a chunk is longer than its size")
                position += 2
                self._left = -1
                continue
            cut = data.find(b"\n", position)
            if cut < 0:
                self._check_partial(data, position)
                break
            if cut == position or data[cut - 1] != 0x0D:
                raise BadField("a bare LF in chunked framing")
            self._line(data[position : cut - 1])
            position = cut + 1
        if self.done:
            self.surplus = data[position:]
        else:
            self._held = data[position:]
        return pieces

    def _check_partial(self, data: bytes, start: int) -> None:
        """Part of a line: refuse at once what can never become a good one."""
        limit = self._limits.trailer if self._left == -3 else self._limits.chunk_extension + _SIZE_LINE + 1  # its CR
        if len(data) - start > limit:
            raise BadField("a line of chunked framing is too long")
        if self._left == -1 and not _SIZE_BEGINNING.match(data, start):
            raise BadField("a chunk size is malformed")

    def _line(self, line: bytes) -> None:
        if self._left == -3:
            self._trailer_line(line)
        else:
            self._size_line(line)

    def _size_line(self, line: bytes) -> None:
        if len(line) > self._limits.chunk_extension + _SIZE_LINE:
            raise BadField("a line of chunked framing is too long")
        found = _SIZE.match(line)
        if found is None:
            raise BadField("a chunk size is malformed")
        if found[2]:
            self._extension(found[2])
        size = int(found[1], 16)
        if size > _MAX_CHUNK:
            raise BadField("a chunk size is too large")
        self._left = size or -3

    def _extension(self, text: bytes) -> None:
        self._extensions += len(text)
        if len(text) > self._limits.chunk_extension or self._extensions > self._limits.chunk_extensions:
            raise BadField("chunk extensions are too long")
        if not _EXTENSION.match(text):
            raise BadField("a chunk extension is malformed")

    def _trailer_line(self, line: bytes) -> None:
        if not line:
            self.trailers = trailer_lines(self._trailers)
            self.done = True
            return
        self._trailer_bytes += len(line) + 2
        self._trailers.append(line)
        if self._trailer_bytes > self._limits.trailer or len(self._trailers) > self._limits.trailer_fields:
            raise BadField("the trailer section is too large")

"""A strict reader of HTTP/1.1 messages, written from RFC 9110 and RFC 9112 for the conformance suite.

It judges what the router writes, so it accepts only what a careful sender may write: CRLF line ends, one framing,
no chunk extension, no space it could argue about.  It shares no code with the router.  It never guesses: bytes are a
message, the beginning of one (`None`), or `Malformed`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

Fields = tuple[tuple[bytes, bytes], ...]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.1\Z")
_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([0-9]{3}) ([\t\x20-\x7e\x80-\xff]*)\Z")
_VISIBLE = rb"[\x21-\x7e\x80-\xff]"
_FIELD = re.compile(
    rb"(" + TOKEN + rb"):[ \t]*((?:" + _VISIBLE + rb"(?:[\t\x20-\x7e\x80-\xff]*" + _VISIBLE + rb")?)?)[ \t]*\Z"
)
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}\Z")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[!$&'()*+,;=\-._~%0-9A-Za-z]*)(?::[0-9]*)?\Z")


class Malformed(AssertionError):
    """These bytes are no HTTP/1.1 message, whatever follows them."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a strict server understands it."""

    method: bytes
    target: bytes
    fields: Fields
    body: bytes = b""
    trailers: Fields = ()
    chunked: bool = False

    def values(self, name: str) -> list[bytes]:
        return values(self.fields, name)

    def elements(self, name: str) -> list[bytes]:
        """The comma-separated elements of all lines of this name, in order."""
        return elements(self.fields, name)


@dataclass(frozen=True, slots=True)
class Answer:
    """One final answer as a strict client understands it, with the interim answers that came before it."""

    version: bytes
    status: int
    reason: bytes
    fields: Fields
    body: bytes = b""
    trailers: Fields = ()
    framing: str = "none"
    """`none`, `length`, `chunked`, `close` or `tunnel`."""
    complete: bool = True
    interim: tuple[Answer, ...] = ()

    def values(self, name: str) -> list[bytes]:
        return values(self.fields, name)

    def elements(self, name: str) -> list[bytes]:
        return elements(self.fields, name)


def values(fields: Fields, name: str) -> list[bytes]:
    wanted = name.lower().encode()
    return [value for key, value in fields if key.lower() == wanted]


def elements(fields: Fields, name: str) -> list[bytes]:
    parts = (part.strip(b" \t") for value in values(fields, name) for part in value.split(b","))
    return [part for part in parts if part]


def read_request_head(data: bytes) -> tuple[Request, int] | None:
    """The request without its body, and where the body begins."""
    found = _read_head(data)
    if found is None:
        return None
    line, fields, start = found
    match = _REQUEST_LINE.match(line)
    if not match:
        raise Malformed(f"request line {line!r}")
    _check_host(fields)
    return Request(match[1], match[2], fields), start


def read_request(data: bytes) -> tuple[Request, int] | None:
    """The first whole request in `data`, and where the next one begins."""
    found = read_request_head(data)
    if found is None:
        return None
    request, start = found
    framing, size = _framing(request.fields)
    if framing == "chunked":
        chunked = read_chunked(data, start)
        if chunked is None:
            return None
        body, trailers, end = chunked
        return replace(request, body=body, trailers=trailers, chunked=True), end
    if len(data) < start + size:
        return None
    return replace(request, body=data[start : start + size]), start + size


def read_answer(data: bytes, method: str, ended: bool, reset: bool = False) -> tuple[Answer, int] | None:
    """The first final answer in `data` with the interim ones before it; None while more bytes can still come."""
    interim: list[Answer] = []
    position = 0
    while True:
        found = _read_head(data[position:])
        if found is None:
            return None
        line, fields, start = found
        match = _STATUS_LINE.match(line)
        if not match:
            raise Malformed(f"status line {line!r}")
        answer = Answer(match[1], int(match[2]), match[3], fields, interim=tuple(interim))
        position += start
        if 100 <= answer.status < 200 and answer.status != 101:
            if _has_framing(fields):
                raise Malformed(f"an interim answer with framing: {fields!r}")
            interim.append(answer)
            continue
        return _read_content(answer, data, position, method, ended, reset)


def _read_content(
    answer: Answer, data: bytes, start: int, method: str, ended: bool, reset: bool
) -> tuple[Answer, int] | None:
    framing, size = _framing(answer.fields)
    if answer.status == 101:
        return replace(answer, framing="tunnel"), start
    if answer.status == 204 and _has_framing(answer.fields):
        raise Malformed("a 204 with Content-Length or Transfer-Encoding")
    if method == "HEAD" or answer.status in (204, 304):
        return answer, start
    if framing == "chunked":
        chunked = read_chunked(data, start)
        if chunked:
            body, trailers, end = chunked
            return replace(answer, body=body, trailers=trailers, framing=framing), end
        if not ended:
            return None
        return replace(answer, body=partial_chunks(data, start), framing=framing, complete=False), len(data)
    if framing == "length":
        whole = len(data) >= start + size
        if not whole and not ended:
            return None
        body = data[start : start + size]
        return replace(answer, body=body, framing=framing, complete=whole), start + len(body)
    if not ended:
        return None
    return replace(answer, body=data[start:], framing="close", complete=not reset), len(data)


def read_chunked(data: bytes, position: int) -> tuple[bytes, Fields, int] | None:
    """Body, trailer fields and the end of a chunked body that begins at `position`."""
    body = bytearray()
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            if not re.match(rb"[0-9A-Fa-f]{0,15}\r?\Z", data[position:]):
                raise Malformed(f"chunk line {bytes(data[position : position + 40])!r}")
            return None
        line = data[position:end]
        if not _CHUNK_SIZE.match(line):
            raise Malformed(f"chunk line {bytes(line[:40])!r}")
        size = int(line, 16)
        position = end + 2
        if size == 0:
            return _read_trailers(data, position, bytes(body))
        if len(data) < position + size + 2:
            return None
        if data[position + size : position + size + 2] != b"\r\n":
            raise Malformed(f"no CRLF behind a chunk of {size}")
        body += data[position : position + size]
        position += size + 2


def partial_chunks(data: bytes, position: int) -> bytes:
    """What has come of a chunked body that is not yet (or never will be) whole."""
    body = b""
    while (end := data.find(b"\r\n", position)) >= 0 and _CHUNK_SIZE.match(data[position:end]):
        size = int(data[position:end], 16)
        body += data[end + 2 : end + 2 + size]
        position = end + 2 + size + 2
    return body


def _read_trailers(data: bytes, position: int, body: bytes) -> tuple[bytes, Fields, int] | None:
    if data[position : position + 2] == b"\r\n":
        return body, (), position + 2
    end = data.find(b"\r\n\r\n", position)
    if end < 0:
        return None
    return body, tuple(_read_field(line) for line in data[position:end].split(b"\r\n")), end + 4


def _read_head(data: bytes) -> tuple[bytes, Fields, int] | None:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    line, *rest = data[:end].split(b"\r\n")
    return line, tuple(_read_field(field) for field in rest), end + 4


def _read_field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD.match(line)
    if not match:
        raise Malformed(f"field line {bytes(line[:80])!r}")
    return match[1], match[2]


def _check_host(fields: Fields) -> None:
    hosts = values(fields, "host")
    if len(hosts) != 1 or not _HOST.match(hosts[0]):
        raise Malformed(f"Host {hosts!r}")


def _has_framing(fields: Fields) -> bool:
    return bool(values(fields, "content-length") or values(fields, "transfer-encoding"))


def _framing(fields: Fields) -> tuple[str, int]:
    lengths, codings = values(fields, "content-length"), values(fields, "transfer-encoding")
    if codings:
        if lengths or [coding.lower() for coding in codings] != [b"chunked"]:
            raise Malformed(f"framing {codings!r} with lengths {lengths!r}")
        return "chunked", 0
    if not lengths:
        return "none", 0
    if len(lengths) > 1 or not _LENGTH.match(lengths[0]):
        raise Malformed(f"Content-Length {lengths!r}")
    return "length", int(lengths[0])

"""What becomes of each header line on its way through, and which lines are no header lines at all.

A line is judged once and for itself (`request_field`, `response_field`): its bytes are checked against the grammar of
RFC 9110 section 5.5 and its name tells what the proxy has to do about it.  That makes the judgement a pure function
of the line, so the data plane may remember it: real clients send the same dozen lines all day.

Bytes only: no decoding, no Unicode white space, no `int()` on what has not been matched first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from enum import IntEnum
from functools import lru_cache
from typing import Final, final

TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_NUL: Final = 0
_LOWER_NAME: Final = bytes(byte if TOKEN.match(bytes((byte,))) else _NUL for byte in range(0x100)).lower()
"""Makes a name lower case, and NUL of every byte that is none of a name's (RFC 9110 section 5.6.2)."""
_SAME_VALUE: Final = bytes(byte if byte == 0x09 or (byte >= 0x20 and byte != 0x7F) else 0x20 for byte in range(0x100))
"""Leaves a value as it is, unless a byte is none of a value's (RFC 9110 section 5.5)."""
_SPACE: Final = 0x20
_UNDERSCORE: Final = 0x5F
"""Searched for as a number: `in` takes bytes for one first, and the error that this makes costs a microsecond."""
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?\Z")
_LENGTH_DIGITS: Final = 19
_MAX_LENGTH: Final = 2**63 - 1
_MAX_PORT: Final = 65535


class Kind(IntEnum):
    """What the data plane does with a line.  PASS is 0: nothing."""

    PASS = 0
    DROP = 1
    """Hop by hop, or ours to set: not forwarded, not looked at."""
    HOST = 2
    LENGTH = 3
    CODING = 4
    CONNECTION = 5
    UPGRADE = 6
    TE = 7
    EXPECT = 8
    FORWARDED_FOR = 9
    FORWARDED_PROTO = 10
    FORWARDED_HOST = 11
    REQUEST_ID = 12
    OVERRIDE = 13
    MAX_FORWARDS = 14
    SUBJECT = 15
    """Forwarded, and its value may be the subject."""
    DATE = 16
    OVERRIDE_TOKEN = 18
    KEEP_ALIVE_TOKENS = 17
    """A Connection line that says only keep-alive: the commonest one, dropped without a thought."""


@final
class Field:
    """One judged line: what to do, its lower-case name, its value, and the line as it is sent on.  Never changed.

    Not a dataclass: freezing would cost more than the judgement, once for every line that was not seen before.
    """

    __slots__ = ("kind", "line", "name", "value")

    def __init__(self, kind: Kind, name: bytes, value: bytes, line: bytes) -> None:
        self.kind = kind
        self.name = name
        self.value = value
        self.line = line

    def __repr__(self) -> str:
        return f"Field({self.kind.name}, {self.line!r})"


class BadField(ValueError):
    """A line that is no unambiguous header field; the message is for people."""


_REQUEST_KINDS: Final = {
    b"host": Kind.HOST,
    b"content-length": Kind.LENGTH,
    b"transfer-encoding": Kind.CODING,
    b"connection": Kind.CONNECTION,
    b"upgrade": Kind.UPGRADE,
    b"te": Kind.TE,
    b"keep-alive": Kind.DROP,
    b"proxy-connection": Kind.DROP,
    b"http2-settings": Kind.DROP,
    b"expect": Kind.EXPECT,
    b"x-forwarded-for": Kind.FORWARDED_FOR,
    b"x-forwarded-proto": Kind.FORWARDED_PROTO,
    b"x-forwarded-host": Kind.FORWARDED_HOST,
    b"x-request-id": Kind.REQUEST_ID,
    b"x-strangler-side": Kind.OVERRIDE,
    b"x-strangler-token": Kind.OVERRIDE_TOKEN,
    b"x-strangler-route": Kind.DROP,
    b"x-strangler-error": Kind.DROP,
    b"x-strangler-shadow": Kind.DROP,
    b"max-forwards": Kind.MAX_FORWARDS,
}
_RESPONSE_KINDS: Final = {
    b"content-length": Kind.LENGTH,
    b"transfer-encoding": Kind.CODING,
    b"connection": Kind.CONNECTION,
    b"upgrade": Kind.UPGRADE,
    b"te": Kind.DROP,
    b"keep-alive": Kind.DROP,
    b"proxy-connection": Kind.DROP,
    b"x-strangler-side": Kind.DROP,
    b"x-strangler-route": Kind.DROP,
    b"x-strangler-error": Kind.DROP,
    b"x-request-id": Kind.DROP,
    b"date": Kind.DATE,
}
_OURS: Final = frozenset(
    {
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-request-id",
        b"x-strangler-side",
        b"x-strangler-token",
    }
    | {b"content-length", b"transfer-encoding", b"host"}
)
"""Names whose underscore spellings an upstream may take for the real ones: they are not forwarded."""
PROTECTED: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}
    | {b"x-request-id", b"via", b"date"}
)
"""A Connection header that nominates one of these has no effect on it."""
NOT_IN_TRAILERS: Final = frozenset(
    set(_REQUEST_KINDS)
    | set(_RESPONSE_KINDS)
    | {b"trailer", b"content-encoding", b"content-type", b"content-range", b"authorization", b"set-cookie", b"cookie"}
    | {b"cache-control", b"expires", b"location", b"range", b"vary", b"www-authenticate", b"retry-after", b"age"}
)
"""Fields that would change how a message is framed, routed or authorised (RFC 9110 section 6.5.1)."""


def request_field(line: bytes, subject_names: Collection[bytes]) -> Field:
    """Judge one line of a request's head; raises `BadField`."""
    return _field(line, _REQUEST_KINDS, subject_names)


def response_field(line: bytes) -> Field:
    """Judge one line of an answer's head; raises `BadField`."""
    return _field(line, _RESPONSE_KINDS, ())


def _field(line: bytes, kinds: dict[bytes, Kind], subject_names: Collection[bytes]) -> Field:
    sent, colon, value = line.partition(b":")
    value = came_as = _trimmed(value)
    name = sent.translate(_LOWER_NAME)
    if not colon or not name or _NUL in name or value.translate(_SAME_VALUE) != value:
        raise BadField(_why(line))
    kind = kinds.get(name)
    if kind is None:
        kind = Kind.SUBJECT if name in subject_names else Kind.PASS
        if _UNDERSCORE in name and name.replace(b"_", b"-") in _OURS:
            kind = Kind.DROP
    elif kind is Kind.CONNECTION and value.lower() == b"keep-alive":
        kind = Kind.KEEP_ALIVE_TOKENS
    elif kind is Kind.LENGTH:
        value = value.lstrip(b"0") or value[-1:]
    elif kind is Kind.CODING and value.lower() == b"chunked":
        value = b"chunked"
    if came_as is value and value and len(sent) + 2 + len(value) == len(line) and line[len(sent) + 1] == _SPACE:
        return Field(kind, name, value, line)  # it is spelled as it would be sent on
    return Field(kind, name, value, sent + b": " + value if value else sent + b":")


def _trimmed(value: bytes) -> bytes:
    """A value without the optional white space around it, of which there mostly is one space before it."""
    if len(value) > 1 and value[0] == _SPACE and value[1] > _SPACE and value[-1] > _SPACE:
        return value[1:]
    return value.strip(b" \t")


def _why(line: bytes) -> str:
    """What is wrong with a line that is no field, in words."""
    name, colon, _ = line.partition(b":")
    if line[:1] in {b" ", b"\t"}:
        return "a header line begins with white space (obsolete line folding)"
    if not colon:
        return "a header line has no colon"
    if name[-1:] in {b" ", b"\t"}:
        return "white space before the colon of a header line"
    if not TOKEN.match(name):
        return "a header name has a character that is not allowed"
    return f"the value of {name.decode()} has a control character"


def valid_host(value: bytes) -> bool:
    """Is it `uri-host [":" port]` (RFC 9110 section 7.2), without user information and not empty?"""
    found = _HOST.match(value)
    return found is not None and (not found[1] or int(found[1]) <= _MAX_PORT)


def bare_host(value: bytes) -> bytes:
    """The host of a valid Host value as routes name it: lower case, without port and trailing dot."""
    if value.startswith(b"["):
        return value[: value.index(b"]") + 1].lower()
    return value.partition(b":")[0].rstrip(b".").lower()


@lru_cache(maxsize=1024)
def content_length(value: bytes) -> int:
    """The length a Content-Length names; raises `BadField` for anything but 1 to 19 digits below 2^63."""
    if not value.isdigit() or len(value) > _LENGTH_DIGITS or (length := int(value)) > _MAX_LENGTH:
        raise BadField("Content-Length is not a number of bytes")
    return length


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """The lower-case members of a comma-separated list that may span lines (RFC 9110 section 5.6.1)."""
    return [member for value in values for raw in value.split(b",") if (member := raw.strip(b" \t").lower())]


def nominated(connection: Iterable[bytes]) -> frozenset[bytes]:
    """The names that Connection options take out of the message, without those they must not touch."""
    return frozenset(tokens(connection)) - PROTECTED - {b"close", b"keep-alive"}


def without(lines: list[bytes], names: Collection[bytes]) -> list[bytes]:
    """The header lines that have none of these lower-case names."""
    return [line for line in lines if line.partition(b":")[0].lower() not in names]


def trailer_lines(lines: Iterable[bytes]) -> list[bytes]:
    """The trailer fields that may be passed on, checked like any other field; raises `BadField`."""
    fields = [response_field(line) for line in lines]
    return [field.line for field in fields if field.name not in NOT_IN_TRAILERS]

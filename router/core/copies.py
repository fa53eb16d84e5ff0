"""Which requests may be copied, and what a copy says: rules about lines of bytes, as the data plane has them.

A copy is as much like its original as it may be.  What differs: it says that it is one (`X-Strangler-Shadow: 1`), it
has a derived trace, so that it does not show up in the original's; it carries credentials only where the route says
so; and never the original's `Idempotency-Key`, which would let a shared store answer or spend the user's request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from router.core.capture import Count
from router.core.model import Credentials, Shadow
from router.core.parse_shadow import ONE_TIME, danger

_CREDENTIALS: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization"))
_CONDITIONS: Final = frozenset(
    (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range")
)
_OURS: Final = frozenset((b"expect", b"x-strangler-shadow", b"tracestate"))
"""What a copy has its own of, or none."""


def name_of(line: bytes) -> bytes:
    """The lower-case name of a header line."""
    return line.partition(b":")[0].strip().lower()


def unfit(shadow: Shadow, target: bytes, lines: Iterable[bytes], *, upgrade: bool) -> Count | None:
    """Why a request is not copied although its route is shadowed; None: it may be.  Methods are asked before."""
    if upgrade:
        return Count.UPGRADE
    if not shadow.dangers and _dangerous(target):
        return Count.DANGER
    if any(name_of(line) in _CONDITIONS for line in lines):
        return Count.CONDITIONAL
    return None


def _dangerous(target: bytes) -> bool:
    """What the template does not show: words in parameters of the path, and one-time values in the query."""
    path, _, query = target.decode("latin-1").partition("?")
    if danger(path):
        return True
    return bool(query) and any(pair.partition("=")[0].lower() in ONE_TIME for pair in query.split("&"))


def has_credentials(lines: Iterable[bytes]) -> bool:
    """Does the request prove who asks?"""
    return any(name_of(line) in _CREDENTIALS for line in lines)


def copied_lines(lines: Sequence[bytes], credentials: Credentials, request_id: bytes) -> list[bytes]:
    """The header lines of a copy; its body is framed as the original's is."""
    found = []
    identified = False
    for line in lines:
        name = name_of(line)
        if name in _OURS or (name in _CREDENTIALS and credentials is Credentials.STRIP):
            continue
        if name == b"idempotency-key":
            line = b"Idempotency-Key: shadow-" + _digest(_value(line)).encode()
        elif name == b"traceparent":
            line = b"traceparent: " + _derived_trace(_value(line))
        elif name == b"x-request-id":
            identified = True
        found.append(line)
    found.append(b"X-Strangler-Shadow: 1")
    if not identified:
        found.append(b"X-Request-Id: " + request_id)
    return found


def _value(line: bytes) -> bytes:
    return line.partition(b":")[2].strip()


def _digest(value: bytes) -> str:
    return sha256(value).hexdigest()


def _derived_trace(value: bytes) -> bytes:
    """A trace of its own that can be computed from the original's; what is no trace stays as it is."""
    parts = value.split(b"-")
    if len(parts) < 4 or len(parts[1]) != 32:
        return value
    parts[1] = _digest(b"shadow:" + parts[1])[:32].encode()
    return b"-".join(parts)

"""The values a comparison speaks in.

    MATCHED          the sides answered the same, but for what rules and learned noise hide
    MISMATCHED       they did not
    NOT_COMPARABLE   nothing can be said: cut short, too large, too deep, an encoding nobody here reads

A side that failed altogether (5xx, no answer) is a mismatch with a cause of its own.  It says that a side is not
available, which others count; `feeds_evidence` is what tells those two apart.

The values that differ travel inside of a `Difference` while it is judged, and are stored by nobody (see
`rollout.core.compare.tally`).  They are in no repr, so that no log line and no failed test shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final

MAX_BODY: Final = 256 * 1024
"""Bytes of a decoded body that are looked into; equal bytes are equal at any length."""
MAX_DEPTH: Final = 254
"""Arrays and objects inside each other; as many as orjson writes."""
MAX_EXAMINED: Final = 5_000
"""Differences that are looked at in one comparison, hidden ones included."""
MAX_KEPT: Final = 200
"""Differences that one comparison tells of; one is enough for the verdict."""


class Missing:
    """The value of what is not there; None is JSON's null."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "missing"


MISSING: Final = Missing()


class Verdict(StrEnum):
    """What a comparison comes to."""

    MATCHED = "matched"
    MISMATCHED = "mismatched"
    NOT_COMPARABLE = "not_comparable"


class Cause(StrEnum):
    """Why a comparison came to what it came to, where that is not in the content of two sound answers."""

    CONTENT = "content"
    LEGACY_FAILED = "legacy_failed"
    NEW_FAILED = "new_failed"
    BOTH_FAILED = "both_failed"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    TOO_MANY = "too_many_differences"
    ENCODING = "unsupported_encoding"
    SKEW = "launched_too_far_apart"
    STRIPPED = "asked_without_credentials"


FAILED: Final = frozenset((Cause.LEGACY_FAILED, Cause.NEW_FAILED, Cause.BOTH_FAILED))


class Kind(StrEnum):
    """How two answers differ at one place."""

    STATUS = "status"
    HEADER = "header"
    TYPE = "type"
    VALUE = "value"
    SHAPE = "shape"
    """A place known as noisy, and yet the values are not even of one shape."""
    MISSING = "missing"
    """Legacy has it."""
    ADDED = "added"
    """Only new has it."""
    LENGTH = "length"
    ORDER = "order"
    DUPLICATE = "duplicate_key"
    TEXT = "text"
    BINARY = "binary"
    SYNTAX = "syntax"
    """One side is not what its media type says."""
    CODING = "coding"
    """One side cannot be decoded."""


class Severity(IntEnum):
    """How much a difference is likely to hurt."""

    MINOR = 1
    MAJOR = 2
    CRITICAL = 3


class Remark(StrEnum):
    """What was seen and is no difference."""

    NUMBER_FORM = "number_form"
    BOM = "byte_order_mark"
    CODING = "content_encoding"
    CHARSET = "charset"
    ETAG = "etag_value"
    COOKIE = "cookie_value"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Answer:
    """One side's answer, as far as it was captured."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    truncated: bool = False
    """There was more than was kept, or it broke off."""
    error: str = ""
    """Why there is no answer: `timeout`, `connect`, ...; everything else is empty then."""

    @property
    def failed(self) -> bool:
        return bool(self.error) or self.status >= 500


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that both sides answered."""

    method: str = "GET"
    host: str = ""
    target: str = "/"
    stripped: bool = False
    """The copy went without the credentials of the original."""
    skew: float = 0.0
    """Seconds between the two launches."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two answers differ."""

    path: str
    kind: Kind
    severity: Severity
    legacy: Any = field(default=MISSING, repr=False, compare=False)
    new: Any = field(default=MISSING, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on one pair of answers."""

    verdict: Verdict
    cause: Cause = Cause.CONTENT
    differences: tuple[Difference, ...] = ()
    """What counts; empty unless mismatched."""
    hidden: Mapping[int, int] = field(default_factory=dict)
    """Differences that each rule hid, by its number in the policy."""
    noise: tuple[Difference, ...] = ()
    """Differences that were hidden because their places are known as noisy."""
    remarks: frozenset[Remark] = frozenset()

    @property
    def feeds_evidence(self) -> bool:
        """Does it say something about parity, rather than about who was up?"""
        return self.verdict is not Verdict.NOT_COMPARABLE and self.cause not in FAILED

"""What one segment of a path looks like: a name that people gave, or a value that a program put there.

This is the evidence by shape; how many values a position takes is the other half (`discovery.core.infer`).  A segment
is *dynamic* when no sane API has it as a name: numbers, UUIDs, hashes, dates, tokens, text that had to be escaped.
Everything else is a *word*, which may be either.  Being wrong towards words only makes a draft longer; being wrong
towards values would make one route of many APIs.  So in doubt it is a word.

A segment is written down as a key: words as they are, dynamic ones with a NUL where their value stands, so that
`key=4711` is `key=` with a NUL behind it, and a whole parameter is the NUL alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

VALUE: Final = "\0"
"""Stands for a value in a key; alone it is a whole parameter."""

_NAMES: Final = (
    "accept actions active add admin all apply archive authorize batch bulk cancel categories check children close "
    "comments complete config confirm copy count create csv current default delete detail details disable download "
    "draft edit enable export feed files filter find form generate groups health history image images import info "
    "items labels latest list login logout lookup me merge metadata mine move my new next open options order orders "
    "pending ping popular preview previous print process products profile public publish random recent refresh refund "
    "register reject remove reset restore search self send settings stats status submit suggest summary sync tags "
    "test top total totals trending types unread update upload users validate verify version versions"
)
NAMES: Final = frozenset(_NAMES.split())
"""Words that are names of APIs rather than anybody's values."""

_LETTERS: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,99}")
"""Nothing but a word; most segments are that."""
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_VERSION: Final = re.compile(r"\d{1,2}\.\d{1,2}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_HEX: Final = re.compile(r"(?=[a-fA-F]*\d)[0-9a-fA-F]{7,}|[0-9a-f]{24,}")
_DATE: Final = re.compile(r"\d{4}-\d{2}(-\d{2}([T_ ].*)?)?|\d{8}T\d{4,6}Z?")
_ULID: Final = re.compile(r"(?=.*\d)[0-9A-HJKMNP-TV-Z]{26}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]*")
_ESCAPED: Final = re.compile(r"%([0-9A-F]{2})")
_BYTES: Final = re.compile(rb"%([0-9A-F]{2})")
_WORD: Final = re.compile(r"[^\W\d_][\w-]*")
_NAMED: Final = re.compile(r"([A-Za-z(][A-Za-z0-9_.;()-]*=)(?=[^=])(.+)")
_SUFFIXED: Final = re.compile(r"(.+)(\.(?:json|xml|html?|csv|pdf|txt|ya?ml|php|aspx?|zip|atom|rss))")
_ACTION: Final = re.compile(r"(.+)(:[a-zA-Z]{2,})")
_RANGE: Final = re.compile(r"([^.]+)\.\.\.([^.]+)")
_DIGITS: Final = re.compile(r"\d+")
_YEAR: Final = re.compile(r"(19|20)\d\d")
_CODE: Final = re.compile(r"(?=.*\d)(?=.*[A-Z])[A-Z0-9]+(?:[-_][A-Z0-9]+)+")
"""`24-MB01`, `SHA-512`: nobody shouts the names of APIs."""
_PREFIXED: Final = re.compile(r"[a-z]{1,8}_(?=.*\d)[A-Za-z0-9]{6,}")
_LONGEST_WORD: Final = 100


def key_of(segment: str) -> str:
    """The key of a segment in normal form."""
    return _key(segment)[0]


def kind_of(segment: str) -> str:
    """What kind of value a dynamic segment is; empty for a word."""
    return _key(segment)[1]


@lru_cache(maxsize=65_536)
def _key(segment: str) -> tuple[str, str]:
    if _LETTERS.fullmatch(segment):
        return segment, ""
    if found := _partial(segment):
        return found
    kind = _dynamic(segment)
    return (VALUE, kind) if kind else (segment, "")


def foreign(key: str) -> bool:
    """Is this a word in letters that had to be escaped?  As a name that is rare."""
    return "%" in key


def _dynamic(segment: str) -> str:
    """The kind of a whole value; empty when it is none."""
    if _NUMBER.fullmatch(segment):
        return "" if _VERSION.fullmatch(segment) else "id"
    if _UUID.fullmatch(segment) or _ULID.fullmatch(segment):
        return "id"
    if _DATE.fullmatch(segment):
        return "date"
    if _HEX.fullmatch(segment):
        return "id"
    return _odd(segment) or _token(segment)


def _odd(segment: str) -> str:
    """Text that no one names an API with."""
    if _PLAIN.fullmatch(segment):
        return "text" if len(segment) > _LONGEST_WORD or (segment and not any(map(str.isalnum, segment))) else ""
    if not _PLAIN.fullmatch(_ESCAPED.sub("", segment)):
        return "text"
    try:
        word = _BYTES.sub(lambda found: bytes((int(found[1], 16),)), segment.encode()).decode()
    except UnicodeDecodeError:
        return "text"
    return "" if _WORD.fullmatch(word) else "text"


def _token(segment: str) -> str:
    """Identifiers that have letters in them: long numbers, tails of slugs, addresses, random tokens."""
    if "@" in segment[1:] and "." in segment.rpartition("@")[2]:
        return "text"
    if _CODE.fullmatch(segment) or (_PREFIXED.fullmatch(segment) and not _separate(segment)):
        return "id"
    runs = _DIGITS.findall(segment)
    if any(len(run) >= 5 or (len(run) == 4 and not _YEAR.fullmatch(run)) for run in runs):
        return "slug" if segment.count("-") > 1 else "id"
    if _random_tail(segment):
        return "slug"
    return "id" if _random(segment) else ""


def _separate(segment: str) -> bool:
    """Do its digits only end it, as in `mode_sha256`?"""
    return re.fullmatch(r"[a-z_]+\d{1,3}", segment) is not None


def _random_tail(segment: str) -> bool:
    """`how-to-train-your-dragon-m9wqh5`: the last word is none."""
    head, dash, tail = segment.rpartition("-")
    mixed = re.fullmatch(r"(?=.*\d)(?=.*[a-z])[0-9a-z]{5,}", tail) is not None
    return bool(head and dash) and mixed and not re.fullmatch(r"[a-z]+\d{1,3}|\d{1,3}[a-z]+", tail)


def _random(segment: str) -> bool:
    """A long text in which digits and both cases are mixed, as in base64 and short links."""
    if len(segment) < 10 or not re.fullmatch(r"[A-Za-z0-9_.~=-]+", segment):
        return False
    switches = len(re.findall(r"[A-Za-z]\d|\d[A-Za-z]", segment))
    cases = len(re.findall(r"[a-z][A-Z]", segment))
    return switches >= 3 or (switches >= 1 and cases >= 2 and len(segment) >= 16)


def _partial(segment: str) -> tuple[str, str] | None:
    """A segment of which only a part is a value."""
    if (found := _NAMED.fullmatch(segment)) and not segment.endswith("="):
        return found[1] + VALUE, _dynamic(found[2]) or "text"
    if (found := _SUFFIXED.fullmatch(segment)) and (kind := _dynamic(found[1])):
        return VALUE + found[2], kind
    if (found := _ACTION.fullmatch(segment)) and (kind := _dynamic(found[1])):
        return VALUE + found[2], kind
    if (found := _RANGE.fullmatch(segment)) and (kind := _dynamic(found[1]) or _dynamic(found[2])):
        return f"{VALUE}...{VALUE}", kind
    return None

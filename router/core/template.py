"""Path templates and the one normal form in which paths are compared.

A template is a path whose segments are literal (`products`), partly literal (`key={key}`, `{base}...{head}`),
a whole parameter (`{id}`) or, last of all, a rest (`{rest...}`: one or more segments).  Parameter names are for
people; two templates that differ only in them have the same *shape*.

The normal form (RFC 3986 section 6.2.2) decodes escaped unreserved characters, upper-cases the other escapes and
escapes raw bytes above ASCII (people write `/상품`, clients send `/%EC%83%81%ED%92%88`).  It touches nothing else:
`%2F` is not a slash, `//` and `;params` stay.  It is used for matching only; what is forwarded is what arrived.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_RAW = re.compile(rb"[\x80-\xff]")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_$.@:-]*[A-Za-z0-9_$@:-]\Z")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f?#\\]")


class TemplateError(ValueError):
    """A path template that can never match: where, what is wrong, and what to write instead."""

    def __init__(self, offset: int, what: str, instead: str) -> None:
        super().__init__(f"{what}; {instead}")
        self.offset = offset
        self.what = what
        self.instead = instead


@dataclass(frozen=True, slots=True)
class Literal:
    """A segment that must be exactly this (in normal form)."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Partial:
    """A segment with fixed pieces around its parameters: `{base}...{head}` is `(b"", b"...", b"")`."""

    pieces: tuple[bytes, ...]

    @property
    def rank(self) -> tuple[int, int]:
        """More fixed bytes win, then the longer beginning; equal ranks are equally specific."""
        return (-sum(map(len, self.pieces)), -len(self.pieces[0]))

    def regex(self) -> re.Pattern[bytes]:
        """Each parameter takes at least one byte, the first ones as few as possible."""
        return re.compile(b".+?".join(map(re.escape, self.pieces)), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A whole segment of any text but none."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The trailing wildcard: all that follows, at least one byte of it."""


Segment = Literal | Partial | Parameter | Rest


def normalise(path: bytes) -> bytes:
    """The path in the form in which paths are compared; the argument has no query."""
    if not path.isascii():
        path = _RAW.sub(lambda raw: b"%%%02X" % raw[0][0], path)
    if b"%" not in path:
        return path
    return _ESCAPE.sub(_normal_escape, path)


def _normal_escape(match: re.Match[bytes]) -> bytes:
    code = int(match[1], 16)
    return bytes((code,)) if code in _UNRESERVED else match[0].upper()


def split(path: bytes) -> list[bytes]:
    """The segments of a normalised path that begins with a slash: `/a//b` is `a`, empty, `b`."""
    return path[1:].split(b"/")


def has_dots(segments: list[bytes]) -> bool:
    """Does a segment mean "here" or "one up" (RFC 3986 section 3.3)?"""
    return b"." in segments or b".." in segments


def parse_template(path: str) -> tuple[Segment, ...]:
    """The segments of a template; raises `TemplateError` when no request could ever match it."""
    if not path.startswith("/"):
        raise TemplateError(0, f"the path {path!r} does not begin with a slash", f"write /{path}")
    if found := _FORBIDDEN.search(path):
        raise TemplateError(
            found.start(),
            f"{found[0]!r} can never be part of a request's path",
            "leave it out; a query is not matched, other characters are written as %XX",
        )
    parsed: list[Segment] = []
    offset = 1
    names: set[str] = set()
    texts = path[1:].split("/")
    for number, text in enumerate(texts, start=1):
        parsed.append(_segment(text, offset, last=number == len(texts), names=names))
        offset += len(text) + 1
    return tuple(parsed)


def _segment(text: str, offset: int, *, last: bool, names: set[str]) -> Segment:
    pieces: list[str] = []
    end = 0
    for found in _PLACEHOLDER.finditer(text):
        if found[1].endswith("...") and len(found[1]) > len("..."):
            return _rest(text, found, offset, last=last)
        _check_name(found[1], offset + found.start(), names)
        pieces.append(text[end : found.start()])
        end = found.end()
    pieces.append(text[end:])
    _check_braces(pieces, offset)
    fixed = tuple(normalise(piece.encode()) for piece in pieces)
    if len(fixed) == 1:
        return _literal(fixed[0], offset)
    if any(not piece for piece in fixed[1:-1]):
        raise TemplateError(
            offset, f"two parameters touch in {text!r}", "put a fixed text between them, or make them one"
        )
    return Parameter() if fixed == (b"", b"") else Partial(fixed)


def _literal(text: bytes, offset: int) -> Literal:
    if text in {b".", b".."}:
        raise TemplateError(
            offset, f"the dot segment {text.decode()!r} never reaches a route", "write the path it resolves to"
        )
    return Literal(text)


def _rest(text: str, found: re.Match[str], offset: int, *, last: bool) -> Rest:
    if found[0] != text:
        raise TemplateError(offset, f"a rest must be a whole segment, not part of {text!r}", f"write /{found[0]}")
    if not last:
        raise TemplateError(offset, f"{text} is not the last segment", "a rest can only end a path")
    return Rest()


def _check_name(name: str, offset: int, names: set[str]) -> None:
    if not _PARAMETER_NAME.match(name):
        raise TemplateError(offset, f"{{{name}}} is not a parameter", "name it with letters, digits, _ or -, e.g. {id}")
    if name in names:
        raise TemplateError(offset, f"the parameter {{{name}}} stands twice in one path", "give each its own name")
    names.add(name)


def _check_braces(pieces: list[str], offset: int) -> None:
    if any("{" in piece or "}" in piece for piece in pieces):
        raise TemplateError(offset, "a brace without its partner", "write {name}, or %7B and %7D for real braces")

"""Status and header fields: a list of fields that are compared, not a list of those that are not.

What a router, a server or a cache writes (Date, Server, Via, Age, Content-Length ...) says nothing about the service,
and a new such field must not become a difference in a thousand routes over night.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from rollout.core.compare.values import MISSING, Answer, Asked, Difference, Kind, Remark, Severity

_COOKIE_KEPT: Final = frozenset(("path", "domain", "samesite", "secure", "httponly", "partitioned", "max-age"))


def status_difference(legacy: Answer, new: Answer) -> Difference | None:
    """Between classes it is critical when one of them is an error: clients will do something else."""
    if legacy.status == new.status:
        return None
    classes = {legacy.status // 100, new.status // 100}
    severity = Severity.CRITICAL if len(classes) > 1 and max(classes) >= 4 else Severity.MAJOR
    return Difference("status", Kind.STATUS, severity, legacy.status, new.status)


Fields = dict[str, str]
"""Header fields by lower-case name; several lines of one field are one list (RFC 9110, 5.3)."""

_COOKIE: Final = "set-cookie"


def fields_of(answer: Answer) -> Fields:
    fields: Fields = {}
    for name, value in answer.headers:
        name = name.lower()
        before = fields.get(name)
        # cookies are no list: their dates hold commas
        fields[name] = value if before is None else f"{before}{NEXT if name == _COOKIE else ', '}{value}"
    return fields


NEXT: Final = "\n"


# ------------------------------------------------------------------------------------------------ comparers


def _text(value: str, _asked: Asked) -> str:
    return " ".join(value.split())


def _words(value: str, _asked: Asked) -> str:
    """A list whose order says nothing."""
    return ", ".join(sorted({each for part in value.split(",") if (each := "".join(part.split()).lower())}))


def _commas(value: str, _asked: Asked) -> str:
    return ", ".join(part.strip() for part in value.split(","))


def _presence(_value: str, _asked: Asked) -> str:
    return ""


def _schemes(value: str, _asked: Asked) -> str:
    """The schemes of a challenge; nonces differ by design."""
    return " ".join(
        sorted({found.lower() for found in re.findall(r"(?:^|,)\s*([A-Za-z0-9_-]+)(?=\s+\S|\s*$|,)", value)})
    )


def resolved(location: str, asked: Asked) -> str:
    """Absolute, against the request: without scheme when the host is the one that was asked."""
    location = location.strip()
    host = asked.host.lower()
    if found := re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)", location, re.DOTALL):
        authority, rest = found[1].lower(), found[2] or "/"
        return rest if host and authority.removesuffix(":80").removesuffix(":443") == _bare(host) else location
    if location.startswith("//"):
        authority, slash, rest = location[2:].partition("/")
        return slash + rest or "/" if authority.lower() == host else location
    if location.startswith("/") or not location:
        return location
    path = asked.target.partition("?")[0]
    return path + location if location.startswith(("?", "#")) else _joined(path.rpartition("/")[0], location)


def _bare(host: str) -> str:
    return host.removesuffix(":80").removesuffix(":443")


def _joined(folder: str, relative: str) -> str:
    segments = folder.split("/")
    path, mark, rest = relative.partition("?")
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1] or [""]
        elif segment != ".":
            segments.append(segment)
    return "/".join(segments) + mark + rest


_COMPARED: Final[dict[str, Callable[[str, Asked], str]]] = {
    "location": resolved,
    "cache-control": _words,
    "vary": _words,
    "allow": _words,
    "content-disposition": _text,
    "content-language": _words,
    "content-range": _text,
    "www-authenticate": _schemes,
    "retry-after": _presence,
    "etag": _presence,
    "link": _commas,
    "access-control-allow-origin": _text,
    "access-control-allow-credentials": _words,
    "access-control-allow-methods": _words,
    "access-control-allow-headers": _words,
    "access-control-expose-headers": _words,
    "access-control-max-age": _text,
}


@dataclass(frozen=True, slots=True)
class FieldPair:
    """One field that differs, by what it says on each side; None where it is missing."""

    name: str
    legacy: str | None
    new: str | None

    @property
    def difference(self) -> Difference:
        severity = Severity.CRITICAL if self.name == "location" else Severity.MAJOR
        missing = MISSING
        return Difference(
            f"header:{self.name}",
            Kind.HEADER,
            severity,
            missing if self.legacy is None else self.legacy,
            missing if self.new is None else self.new,
        )


def field_differences(
    legacy: Fields, new: Fields, asked: Asked, also: frozenset[str], remarks: set[Remark]
) -> Iterator[FieldPair]:
    """The compared fields that differ."""
    for name in sorted(legacy.keys() | new.keys()):
        one, two = legacy.get(name), new.get(name)
        if one == two:
            continue
        if name == "etag" and one is not None and two is not None:
            remarks.add(Remark.ETAG)
        elif name == "content-type":
            yield from _types(legacy, new, remarks)
        elif name == _COOKIE:
            yield from _cookies(one, two, remarks)
        elif name in _COMPARED or name in also:
            comparer = _COMPARED.get(name, _commas)
            if one is None or two is None or comparer(one, asked) != comparer(two, asked):
                yield FieldPair(name, one, two)


def media_type(fields: Fields) -> tuple[str, str]:
    """Type and charset, in lower case; empty where nothing is said."""
    kind, _, parameters = fields.get("content-type", "").partition(";")
    if not parameters:
        return kind.strip().lower(), ""
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]+)", parameters, re.IGNORECASE)
    return kind.strip().lower(), charset[1].lower() if charset else ""


def is_json(kind: str) -> bool:
    return kind.endswith(("/json", "+json"))


def _types(legacy: Fields, new: Fields, remarks: set[Remark]) -> Iterator[FieldPair]:
    """A charset says nothing about JSON, which is UTF-8 always (RFC 8259, 8.1)."""
    one, two = media_type(legacy), media_type(new)
    if one[0] == two[0] and is_json(one[0]):
        remarks.add(Remark.CHARSET)
    elif one != two:
        yield FieldPair("content-type", legacy.get("content-type"), new.get("content-type"))


def _cookies(legacy: str | None, new: str | None, remarks: set[Remark]) -> Iterator[FieldPair]:
    """Names and attributes.  Values are sessions and random numbers, and nobody's business here."""
    one, two = _cookie_set(legacy), _cookie_set(new)
    if one == two:
        remarks.add(Remark.COOKIE)
    else:
        yield FieldPair(_COOKIE, "; ".join(sorted(one)) or None, "; ".join(sorted(two)) or None)


def _cookie_set(lines: str | None) -> frozenset[str]:
    return frozenset(map(_cookie, lines.split(NEXT))) if lines else frozenset()


def _cookie(line: str) -> str:
    name, _, _ = line.partition("=")
    attributes = []
    for part in line.split(";")[1:]:
        attribute, _, value = part.strip().partition("=")
        attribute = attribute.lower()
        if attribute in _COOKIE_KEPT:
            attributes.append(f"{attribute}={value.strip().lower()}" if value else attribute)
        elif attribute:
            attributes.append(attribute)
    return f"{name.strip()} [{' '.join(sorted(attributes))}]"

"""OpenAPI documents as people really have them, read for their operations alone.

Takes the plain values of a document (2.0, 3.0, 3.1; whatever has `paths`) and answers the operations, and remarks about
all that was not as it should be.  Nothing is fetched: a path that lies in another file or behind a URL is said to be
missing.  Schemas are never looked at, so broken ones do not matter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from discovery.core.naming import unique
from discovery.core.survey import Documented
from router.core.match import conflicts
from router.core.model import Route
from router.core.template import Segment, TemplateError, normalise, parse_template

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MOST_REMARKS: Final = 50
"""Of one document; more are counted."""
MOST_OPERATIONS: Final = 50_000
LONGEST_PATH: Final = 2048
FARTHEST: Final = 16
"""References from one to the next."""

_PLACEHOLDER: Final = re.compile(r"\{([^{}/]*)\}")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]+")
_BAD: Final = re.compile(r"[\x00-\x20\x7f\\\"<>^`|]")
_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one document says."""

    operations: tuple[Documented, ...]
    remarks: tuple[str, ...]


class NotOpenApiError(ValueError):
    """A document of another kind."""


class _Remarks:
    """Collects, and stops collecting."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._more = 0

    def say(self, text: str) -> None:
        if text in self._said:
            return
        if len(self._said) < MOST_REMARKS:
            self._said.append(text)
        else:
            self._more += 1

    def all(self) -> tuple[str, ...]:
        return (*self._said, *([f"and {self._more} more like these"] if self._more else []))


def read(document: object, base: str | None = None) -> Inventory:
    """The operations of a document; `base` stands in for the one that it declares."""
    remarks = _Remarks()
    if not isinstance(document, Mapping):
        raise NotOpenApiError("it is not a mapping with `paths`")
    paths = _paths(document, remarks)
    declared = _base(document, remarks) if base is None else clean_base(base, remarks)
    operations: list[Documented] = []
    for written, item in paths.items():
        found = _resolved(document, item, str(written), remarks)
        path = _template(str(written), remarks)
        if found is None or path is None:
            continue
        operations += (
            Documented(method, path, declared, *said) for method, said in _operations(str(written), found, remarks)
        )
        if len(operations) > MOST_OPERATIONS:
            raise NotOpenApiError(f"it has more than {MOST_OPERATIONS} operations")
    return Inventory(_distinct(operations, remarks), remarks.all())


def _paths(document: Json, remarks: _Remarks) -> Json:
    version = str(document.get("openapi", document.get("swagger", "")))
    paths = document.get("paths")
    if not version and not isinstance(paths, Mapping):
        raise NotOpenApiError("it has neither `openapi` or `swagger` nor `paths`")
    if not re.match(r"2\.0|3\.[0-2]\b", version):
        remarks.say(f"its version is {show(version) if version else 'not said'}; it is read like 3.1")
    if not isinstance(paths, Mapping):
        remarks.say("it has no `paths`")
        return {}
    return {key: item for key, item in paths.items() if not str(key).startswith("x-")}


# -- the base ----------------------------------------------------------------------------------------------------------


def _base(document: Json, remarks: _Remarks) -> str:
    """The path in front of all paths, without a slash at its end."""
    if "basePath" in document:
        written = document["basePath"]
    else:
        servers = document.get("servers")
        urls = [_server(each) for each in servers if isinstance(each, Mapping)] if isinstance(servers, list) else []
        bases = list(dict.fromkeys(map(_path_of_url, urls)))
        if len(bases) > 1:
            remarks.say(
                f"its servers have different base paths ({', '.join(map(show, bases[:5]))}); the first is taken"
            )
        written = bases[0] if bases else ""
    return clean_base(written, remarks)


def clean_base(written: object, remarks: _Remarks | None = None) -> str:
    """A base path as it is put in front of templates."""
    base = normalise(str(written or "").strip().rstrip("/").encode("utf-8", "replace")).decode()
    if not base:
        return ""
    base = base if base.startswith("/") else f"/{base}"
    try:
        parse_template(base)
    except TemplateError as error:
        if remarks:
            remarks.say(f"its base path {show(base)} is left out: {error.what}")
        return ""
    return base


def _server(server: Json) -> str:
    """The URL with the defaults of its variables."""
    variables = server.get("variables")

    def default(found: re.Match[str]) -> str:
        variable = variables.get(found[1]) if isinstance(variables, Mapping) else None
        return str(variable.get("default", "")) if isinstance(variable, Mapping) else found[0]

    return _VARIABLE.sub(default, str(server.get("url", "")))


def _path_of_url(url: str) -> str:
    """Without host and query; a relative one is a path already."""
    _, slashes, rest = url.partition("//")
    path = f"/{rest.partition('/')[2]}" if slashes else url
    return path.partition("?")[0].rstrip("/")


# -- paths -------------------------------------------------------------------------------------------------------------


def _resolved(document: object, item: object, path: str, remarks: _Remarks) -> Json | None:
    """The path item itself, when it stands behind references within the document."""
    for _ in range(FARTHEST):
        if not isinstance(item, Mapping):
            remarks.say(f"{show(path)} is left out: there is no mapping of methods below it")
            return None
        reference = item.get("$ref")
        if reference is None:
            return item
        own = {key: value for key, value in item.items() if key != "$ref"}
        target = _pointed(document, str(reference))
        if target is None:
            what = "lies elsewhere, and nothing is fetched" if not str(reference).startswith("#") else "leads nowhere"
            remarks.say(f"{show(path)}: its $ref {show(str(reference))} {what}")
            return own or None
        item = {**target, **own} if isinstance(target, Mapping) else target
    remarks.say(f"{show(path)} is left out: its $ref leads in a circle")
    return None


def _pointed(document: object, reference: str) -> object | None:
    """What a JSON pointer into the document means; None when there is no such thing."""
    if not reference.startswith("#/"):
        return None
    found: object = document
    for part in reference[2:].split("/")[:64]:
        key = normalise(part.encode()).decode().replace("%7B", "{").replace("%7D", "}")
        key = key.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def _operations(path: str, item: Json, remarks: _Remarks) -> Iterator[tuple[str, tuple[str, bool]]]:
    more = item.get("additionalOperations")
    for key, operation in [*item.items(), *(more.items() if isinstance(more, Mapping) else ())]:
        method = str(key).lower()
        if method not in METHODS and not (isinstance(more, Mapping) and key in more):
            continue
        if not re.fullmatch(r"[A-Za-z]{3,20}", method) or method == "connect":
            continue
        if not isinstance(operation, Mapping):
            remarks.say(f"{method.upper()} {show(path)} says nothing about itself")
            operation = {}
        tags = operation.get("tags")
        tag = str(tags[0]) if isinstance(tags, list) and tags else ""
        yield method.upper(), (tag, str(operation.get("deprecated", "")).lower() == "true")


def _template(written: str, remarks: _Remarks) -> str | None:
    """The path as a template of ours; None when there is no way."""
    path = re.split(r"[?#]", written, maxsplit=1)[0]
    if path != written:
        remarks.say(f"{show(written)}: what stands behind ? or # is not part of a path and left out")
    path = path if path.startswith("/") else f"/{path}"
    if len(path) > LONGEST_PATH:
        remarks.say(f"{show(written)} is left out: it has {len(path)} characters")
        return None
    path = normalise(_BAD.sub(_escaped, _renamed(path)).encode("utf-8", "replace")).decode()
    try:
        parse_template(path)
    except TemplateError as error:
        remarks.say(f"{show(written)} is left out: {error.what}")
        return None
    return path


def _escaped(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def _renamed(path: str) -> str:
    """Parameters under names that we can read: `{id:[0-9]+}`, `{proxy+}`, `{a b}`, and each only once."""
    taken: set[str] = set()

    def name(found: re.Match[str]) -> str:
        text = found[1].partition(":")[0].strip()
        rest = text.endswith(("+", "*", "...")) and found.end() == len(path)
        return (
            "{"
            + unique(_UNFIT.sub("_", text.rstrip("+*.?")).strip("_") or "value", taken)
            + ("..." if rest else "")
            + "}"
        )

    return _PLACEHOLDER.sub(name, path)


def _distinct(operations: list[Documented], remarks: _Remarks) -> tuple[Documented, ...]:
    """Each shape and method once, and none that a router cannot tell from another."""
    first: dict[tuple[tuple[Segment, ...], str], Documented] = {}
    names: Counter[str] = Counter()
    for each in operations:
        other = first.setdefault((parse_template(each.path), each.method), each)
        if other.path != each.path:
            names[f"{show(each.path)} is {show(other.path)} under another name; both are {each.method}"] += 1
    for text in names:
        remarks.say(text)
    kept = list(first.values())
    routes = [Route("", each.path, "", (each.method,)) for each in kept]
    clashes = {two: (one, why) for one, two, why in conflicts(routes)}
    for two, (one, why) in clashes.items():
        remarks.say(f"{show(kept[two].path)} is left out: {why} as {show(kept[one].path)}")
    return tuple(each for number, each in enumerate(kept) if number not in clashes)


def show(text: str) -> str:
    """Somebody's text on one line, and not endless."""
    return ascii(text) if len(text) <= 120 else ascii(text[:117]) + "..."

"""OpenAPI files become plain values, whoever made them: JSON or YAML, and never more of either than is good for us.

Of a YAML file only what is asked for is built; schemas and examples are passed over as they come from the parser, and
an alias costs nothing, so that neither a huge file nor one that is made to explode takes our memory.
Nothing is fetched, and no other file is opened.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

LOADER: Final[type[Any]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES: Final = 64 * 2**20
MAX_EVENTS: Final = 5_000_000
MAX_DEPTH: Final = 200

_WANTED: Final = frozenset({"openapi", "swagger", "basePath", "servers", "paths", "components"})


class UnreadableError(Exception):
    """A document that cannot be read; the text says why."""


def read(path: Path) -> object:
    """The values of a document, as far as they speak of operations."""
    return values(_bytes(path))


def values(data: bytes) -> object:
    text = _decoded(data)
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except ValueError as error:
            return _yaml(text, f"this is neither JSON ({error}) nor YAML")
        except RecursionError:
            raise UnreadableError("it is nested too deeply") from None
    return _yaml(text, "this is not YAML")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if data[:2] == b"\x1f\x8b":
            with gzip.open(path) as packed:
                data = packed.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error)) from None
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"it is larger than {MAX_BYTES >> 20} MiB")
    return data


def _decoded(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableError(
            f"the byte 0x{data[error.start]:02X} at {error.start} is not {encoding[:5].upper()}"
        ) from None
    if not text.strip("\0 \t\r\n"):
        raise UnreadableError("it is empty")
    return text


def _yaml(text: str, trouble: str) -> object:
    try:
        return _Builder(yaml.parse(text, Loader=LOADER)).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        said = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise UnreadableError(f"{trouble}: {said}{where}") from None
    except RecursionError:
        raise UnreadableError("it is nested too deeply") from None


class _Builder:
    """Plain values from the parser's events; scalars stay the text they were written as."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._count = 0
        self._anchors: dict[str, Any] = {}

    def document(self) -> object:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                return self._node(self._next(), (), build=True)
        raise UnreadableError("it is empty")

    def _next(self) -> yaml.Event:
        self._count += 1
        if self._count > MAX_EVENTS:
            raise UnreadableError(f"it has more than {MAX_EVENTS} values")
        return next(self._events)

    def _node(self, event: yaml.Event, way: tuple[str, ...], *, build: bool) -> Any:
        if len(way) > MAX_DEPTH:
            raise UnreadableError(f"it is nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._anchors.get(str(event.anchor))
        anchor = getattr(event, "anchor", None)
        made = self._made(event, way, build=build or anchor is not None)
        if anchor is not None:
            self._anchors[anchor] = made
        return made

    def _made(self, event: yaml.Event, way: tuple[str, ...], *, build: bool) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(way, build=build)
        return self._mapping(way, build=build)

    def _sequence(self, way: tuple[str, ...], *, build: bool) -> list[Any]:
        made: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            item = self._node(event, (*way, ""), build=build)
            if build:
                made.append(item)
        return made

    def _mapping(self, way: tuple[str, ...], *, build: bool) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = event.value if isinstance(event, yaml.ScalarEvent) else None
            if key is None:
                self._node(event, (*way, ""), build=False)
            here = (*way, key or "")
            wanted = build and key is not None and _wanted(here)
            value = self._node(self._next(), here, build=wanted)
            if wanted and key is not None:
                made.setdefault(key, value)
        if isinstance(merged := made.pop("<<", None), dict):
            made = {**merged, **made}
        return made


def _wanted(way: tuple[str, ...]) -> bool:
    """Is what stands here about operations?"""
    top = way[0]
    if top.startswith("x-"):
        return len(way) <= MAX_DEPTH
    if top == "components":
        return len(way) < 2 or way[1] == "pathItems"
    if top != "paths":
        return top in _WANTED
    fields = way[4:] if way[2:3] == ("additionalOperations",) else way[3:]
    return not fields or fields[0] in {"tags", "deprecated"}

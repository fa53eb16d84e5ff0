"""The bytes of a YAML file become a positioned document, and from there a table.

Whatever the bytes are, the answer is a value: what cannot be read is a `Problem` with its place.  Files that are made
to hurt (deep nesting, aliases of aliases, endless lists) are cut off by limits far above any honest file.  This
module opens no file: others bring the bytes.

Scalars mean what YAML 1.1 says (`SafeLoader`), with three exceptions.  A key is always the text that is written
there (`on:` is not true); a date is the text it was written as; and of explicit tags only YAML's own core is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from collections.abc import Mapping as Map
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml

from router.core.addresses import Place
from router.core.document import Entry, Mapping, Node, Scalar, Sequence
from router.core.parse import Parsed, Refused, parse
from router.core.problem import Code, Report, show

LOADER: Final[type[Any]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C is ten times faster; a PyYAML that was built without it still works."""
MAX_BYTES: Final = 16 * 2**20
MAX_DEPTH: Final = 32
MAX_NODES: Final = 500_000
"""Counted with every alias written out."""
MAX_NUMBER: Final = 64
"""Digits of a number; longer ones are only good for keeping Python busy."""

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_TEXT_TAGS = frozenset({_TAG + "str", _TAG + "timestamp", _TAG + "value"})
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def load_table(data: bytes, filename: str, environ: Map[str, str], own: Collection[Place] = ()) -> Parsed | Refused:
    """The table that a routes.yaml says, or all that is wrong with it.  `own`: where the router itself listens."""
    report = Report(filename)
    document = read_document(data, report)
    return Refused(report.problems()) if document is None else parse(document, environ, report, zone_known, own)


@cache
def zone_known(name: str) -> bool:
    """Does this machine know such a time zone?"""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def read_document(data: bytes, report: Report, loader: type[Any] = LOADER) -> Node | None:
    """The document in these bytes; None when there is none.  What is wrong goes to the report."""
    text = ""
    try:
        text = _decoded(data)
        root = yaml.compose(text, Loader=_bounded(loader))
        if root is None:
            raise _Unreadable(_Spot(1, 1), Code.BAD_FILE, "the file is empty", "write at least `version: 1`")
        return _Walk(report).node(root)
    except _Unreadable as trouble:
        report.problem(trouble.place, trouble.code, trouble.what, trouble.instead)
    except yaml.MarkedYAMLError as error:
        _report_syntax(error, text, report)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The loader written in Python lets a few errors of its own through, without a place.
        what = f"this is not YAML: {show(str(error))}"
        report.problem(_Spot(1, 1), Code.BAD_YAML, what, "mend it, an editor that knows YAML will show where")
    return None


class _Spot:
    """A place of its own, counted from 1."""

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column


def _spot(mark: Any) -> _Spot:
    return _Spot(mark.line + 1, mark.column + 1) if mark is not None else _Spot(1, 1)


class _Unreadable(Exception):
    """Reading stops here."""

    def __init__(self, place: _Spot, code: Code, what: str, instead: str) -> None:
        super().__init__(what)
        self.place = place
        self.code = code
        self.what = what
        self.instead = instead


# ---------------------------------------------------------------------------------------------------- text


def _decoded(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        what = f"the file has {len(data)} bytes"
        raise _Unreadable(_Spot(1, 1), Code.TOO_LARGE, what, f"write at most {MAX_BYTES}")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        place = _end_of(data[: error.start].decode("utf-8"))
        what = f"the byte 0x{data[error.start]:02X} is not UTF-8"
        raise _Unreadable(place, Code.BAD_FILE, what, "save the file as UTF-8") from None
    if found := _UNPRINTABLE.search(text):
        what = f"the control character {found[0]!r} is not allowed in YAML"
        raise _Unreadable(_end_of(text[: found.start()]), Code.BAD_FILE, what, "remove it")
    return text


def _end_of(text: str) -> _Spot:
    """Where the next character would stand."""
    ends = [found.end() for found in _BREAK.finditer(text)]
    return _Spot(len(ends) + 1, len(text) - (ends[-1] if ends else 0) + 1)


def _report_syntax(error: yaml.MarkedYAMLError, text: str, report: Report) -> None:
    place = _spot(error.problem_mark or error.context_mark)
    begin = _spot(error.context_mark or error.problem_mark)
    said = ", ".join(part.replace("\n", " ") for part in (error.context, error.problem) if part)
    begun = "" if begin.line == place.line else f" (begun on line {begin.line})"
    report.problem(place, Code.BAD_YAML, f"this is not YAML: {said}{begun}", _hint(said, text, place))


def _hint(said: str, text: str, place: _Spot) -> str:
    if "cannot start any token" in said:
        lines = _BREAK.split(text)
        if lines[place.line - 1][place.column - 1 :].startswith("\t"):
            return "indent with blanks, never with tabs"
        return "put the text in quotes"
    return next((hint for sign, hint in _HINTS.items() if sign in said), "mend the YAML here or just above")


_HINTS: Final = {
    "mapping values are not allowed": "put the text in quotes, or mend the indentation",
    "single document": "keep one document in the file, without `---` between",
    "undefined alias": "define it before with &NAME, or put the text in quotes if it begins with a real *",
    "nesting depth": "nest less deeply",
    "flow mapping": "put texts with braces, such as paths, in quotes inside { }, and close every {",
    "flow sequence": "close every [ and put texts with brackets or braces in quotes",
    "block mapping": "mend the indentation, keys of one mapping begin in one column",
    "block collection": "mend the indentation, items of one list begin in one column",
    "scanning a quoted": "close the quotes",
    "expected ':'": "write `key: value`, with a blank behind the colon",
}


# -------------------------------------------------------------------------------------------------- loading


def _bounded(base: type[Any]) -> type[Any]:
    """A loader that gives up at the limits; it resolves tags, so it sees every node that is begun and ended."""

    class Bounded(base):  # type: ignore[misc]
        depth = 0
        count = 0

        def descend_resolver(self, parent: yaml.Node | None, _index: object) -> None:
            self.depth += 1
            self.count += 1
            if self.depth > MAX_DEPTH:
                raise _too_deep(parent)
            if self.count > MAX_NODES:
                raise _too_many(parent)

        def ascend_resolver(self) -> None:
            self.depth -= 1

    return Bounded


def _too_deep(node: yaml.Node | None) -> _Unreadable:
    what = f"this is nested more than {MAX_DEPTH} levels deep"
    return _Unreadable(_spot(node and node.start_mark), Code.TOO_LARGE, what, "nest less deeply")


def _too_many(node: yaml.Node | None) -> _Unreadable:
    what = f"there are more than {MAX_NODES} values, aliases written out"
    return _Unreadable(_spot(node and node.start_mark), Code.TOO_LARGE, what, "write fewer")


# -------------------------------------------------------------------------------------------------- walking


class _Walk:
    """Turns YAML nodes into ours.  An aliased collection is turned once, but counted wherever it stands."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.count = 0
        self.height = 0
        self.done: dict[int, tuple[Node, int, int] | None] = {}
        """Collections by identity: the result, its nodes and its height; None while it is being made."""

    def node(self, node: yaml.Node) -> Node:
        if isinstance(node, yaml.ScalarNode):
            self.count += 1
            return self._scalar(node)
        if id(node) in self.done:
            return self._again(node)
        self.done[id(node)] = None
        count, height, self.height = self.count, self.height, 0
        made: Node = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._sequence(node)
        self.count += 1
        self.height += 1
        if self.height > MAX_DEPTH:
            raise _too_deep(node)
        self.done[id(node)] = (made, self.count - count, self.height)
        self.height = max(height, self.height)
        return made

    def _again(self, node: yaml.Node) -> Node:
        made = self.done[id(node)]
        if made is None:
            what = "an alias in here stands for the very thing it is in"
            raise _Unreadable(_spot(node.start_mark), Code.BAD_YAML, what, "write that part out without an alias")
        self.count += made[1]
        self.height = max(self.height, made[2])
        if self.count > MAX_NODES:
            raise _too_many(node)
        return made[0]

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        mark = node.start_mark
        value = node.value if node.tag in _TEXT_TAGS else self._resolved(node)
        return Scalar(value, mark.line + 1, mark.column + 1, node.value)

    def _resolved(self, node: yaml.ScalarNode) -> str | bool | int | float | None:
        resolve = _RESOLVERS.get(node.tag)
        if resolve is None:
            self._unknown_tag(node)
        elif len(node.value) > MAX_NUMBER and node.tag != _TAG + "null":
            what = f"a number of {len(node.value)} characters"
            self.report.problem(_spot(node.start_mark), Code.BAD_VALUE, what, "put it in quotes if it is text")
        else:
            try:
                return resolve(node)
            except (ValueError, KeyError, IndexError):
                what = f"{show(node.value)} cannot be read as {node.tag.removeprefix(_TAG)}"
                self.report.problem(_spot(node.start_mark), Code.BAD_VALUE, what, "put it in quotes if it is text")
        return str(node.value)

    def _sequence(self, node: yaml.Node) -> Sequence:
        if node.tag != _TAG + "seq":
            self._unknown_tag(node)
        mark = node.start_mark
        return Sequence(tuple(map(self.node, node.value)), mark.line + 1, mark.column + 1)

    def _mapping(self, node: yaml.Node) -> Mapping:
        if node.tag != _TAG + "map":
            self._unknown_tag(node)
        own: list[Entry] = []
        merged: list[Entry] = []
        for key, value in node.value:
            if key.tag == _MERGE:
                merged += self._merged(key, self.node(value))
            elif isinstance(key, yaml.ScalarNode):
                mark = key.start_mark
                own.append(Entry(key.value, self.node(value), mark.line + 1, mark.column + 1))
            else:
                what, instead = "a key must be text", "put braces and brackets in quotes if they are meant"
                self.report.problem(_spot(key.start_mark), Code.WRONG_TYPE, what, instead)
        mark = node.start_mark
        return Mapping((*own, *_inherited(own, merged)), mark.line + 1, mark.column + 1)

    def _merged(self, key: yaml.Node, value: Node) -> list[Entry]:
        """The entries that `<<: *other` brings; of a list of mappings the first one wins."""
        parts = value.items if isinstance(value, Sequence) else (value,)
        mappings = [part for part in parts if isinstance(part, Mapping)]
        if len(mappings) != len(parts):
            what = "only mappings can be merged with `<<`"
            self.report.problem(_spot(key.start_mark), Code.WRONG_TYPE, what, "name mappings, such as `<<: *other`")
        return [entry for mapping in mappings for entry in mapping.entries]

    def _unknown_tag(self, node: yaml.Node) -> None:
        what = f"the tag {show(node.tag.replace(_TAG, '!!'))} means nothing here"
        self.report.problem(_spot(node.start_mark), Code.BAD_YAML, what, "remove it")


def _inherited(own: list[Entry], merged: list[Entry]) -> list[Entry]:
    seen = {entry.key for entry in own}
    inherited: dict[str, Entry] = {}
    for entry in merged:
        if entry.key not in seen:
            inherited.setdefault(entry.key, entry)
    return list(inherited.values())


_SAFE = yaml.constructor.SafeConstructor()
_RESOLVERS: Final[Map[str, Callable[[yaml.ScalarNode], bool | int | float | None]]] = {
    _TAG + "null": _SAFE.construct_yaml_null,
    _TAG + "bool": _SAFE.construct_yaml_bool,
    _TAG + "int": _SAFE.construct_yaml_int,
    _TAG + "float": _SAFE.construct_yaml_float,
}

"""Weights written into a routes.yaml, by changing exactly the lines they stand on.

A person wrote that file: its comments, its order, its blanks and its quotes are theirs.  So nothing is written anew
from values.  The document knows where each weight stands, and only those characters are exchanged; where a route has
no weight, one is put beside its path.  What cannot be changed without touching something else (a weight that several
routes share through an anchor, say) is left alone, with the reason.

Whoever writes the text to a file reads it back first: it must mean the old table with the new weights, and nothing
else (`means`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from router.core import document
from router.core.document import Entry, Node, Scalar
from router.core.model import Table
from router.core.units import write_percent

_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_REST: Final = re.compile(r"[ \t]*(#.*)?")
"""What may stand behind a value that ends its line."""


@dataclass(frozen=True, slots=True)
class Baked:
    """One weight that was written: where, and in ppm from what to what."""

    route: str
    line: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Left:
    """One that was not, and why."""

    route: str
    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Baking:
    """The text afterwards."""

    text: str
    baked: tuple[Baked, ...]
    left: tuple[Left, ...]


class _CannotError(Exception):
    """The weight cannot be written; the text says why."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """Some characters of the text and what stands there instead."""

    start: int
    end: int
    new: str


def bake(text: str, root: Node, table: Table, shares: Mapping[str, int]) -> Baking:
    """`text` with the shares (ppm) of some routes; `root` and `table` are what it says."""
    lines = _Lines(text)
    items = _items(root)
    shared = _shared(items)
    baked: list[Baked] = []
    left: list[Left] = []
    edits: list[_Edit] = []
    for route, item in zip(table.routes, items, strict=True):
        share = shares.get(route.name)
        if share is None or share == route.weight:
            continue
        try:
            line, edit = _edit(lines, item, write_percent(share), shared)
        except _CannotError as why:
            left.append(Left(route.name, item.line, str(why)))
        else:
            edits.append(edit)
            baked.append(Baked(route.name, line, route.weight, share))
    return Baking(_applied(text, edits), tuple(baked), tuple(left))


def means(before: Table, after: Table, baked: tuple[Baked, ...]) -> bool:
    """Is the second table the first one with these weights, and nothing else?"""
    wanted = {each.route: each.after for each in baked}
    routes = tuple(
        replace(route, weight=wanted[route.name]) if route.name in wanted else route for route in before.routes
    )
    return replace(before, routes=routes) == after


# -- places ----------------------------------------------------------------------------------------------------------


class _Lines:
    """Offsets in a text by line and column, both from 1."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(found.end() for found in _BREAK.finditer(text))]

    def at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column - 1

    def start(self, line: int) -> int:
        return self._starts[line - 1]

    def end(self, line: int) -> int:
        """Before the line's break."""
        found = _BREAK.search(self.text, self._starts[line - 1])
        return found.start() if found else len(self.text)

    @property
    def newline(self) -> str:
        """As the file ends its lines."""
        found = _BREAK.search(self.text)
        return found[0] if found else "\n"


def _items(root: Node) -> tuple[document.Mapping, ...]:
    """The routes as they are written; the document is a valid one, so there are as many as in its table."""
    entries = root.entries if isinstance(root, document.Mapping) else ()
    lists = (entry.value for entry in entries if entry.key == "routes" and isinstance(entry.value, document.Sequence))
    return tuple(item for routes in lists for item in routes.items if isinstance(item, document.Mapping))


def _shared(items: tuple[document.Mapping, ...]) -> frozenset[tuple[int, int]]:
    """Places of weights that more than one route speaks of."""
    places = Counter(
        (entry.value.line, entry.value.column) for item in items for entry in item.entries if entry.key == "weight"
    )
    return frozenset(place for place, count in places.items() if count > 1)


# -- edits -----------------------------------------------------------------------------------------------------------


def _edit(lines: _Lines, item: document.Mapping, percent: str, shared: frozenset[tuple[int, int]]) -> tuple[int, _Edit]:
    """The line it is on, and the edit."""
    weight = next((entry for entry in item.entries if entry.key == "weight"), None)
    if weight is None:
        return _insertion(lines, item, percent)
    if not isinstance(weight.value, Scalar):
        raise _CannotError("its weight is no plain number")
    if (weight.value.line, weight.value.column) in shared:
        raise _CannotError("its weight is shared with other routes through an anchor; write it out for this route")
    if (weight.line, weight.column) < (item.line, item.column):
        raise _CannotError("its weight comes from an anchor elsewhere; write it out for this route")
    if weight.value.line != weight.line:
        raise _CannotError("its weight does not stand behind `weight:` on the same line")
    return weight.line, _exchange(lines, weight, weight.value, percent)


def _exchange(lines: _Lines, entry: Entry, value: Scalar, percent: str) -> _Edit:
    """Exactly the characters of the number; quotes stay."""
    start = lines.at(value.line, value.column)
    for quote in ("", "'", '"'):
        written = quote + value.written + quote
        if value.written and lines.text.startswith(written, start) and start >= lines.at(entry.line, entry.column):
            return _Edit(start, start + len(written), quote + percent + quote)
    raise _CannotError("its weight is written with an anchor, an alias or a tag; write the plain number")


def _insertion(lines: _Lines, item: document.Mapping, percent: str) -> tuple[int, _Edit]:
    """Where there is no weight: behind the path on a line of its own, or within the braces."""
    start = lines.at(item.line, item.column)
    own = sorted(
        (entry for entry in item.entries if (entry.line, entry.column) >= (item.line, item.column)),
        key=lambda entry: (entry.line, entry.column),
    )
    if not own or lines.text[start : start + 1] in {"&", "!", "*"}:
        raise _CannotError("the route is written with an anchor, an alias or a tag; give it a `weight:`")
    if lines.text[start] == "{":
        before = own[1] if len(own) > 1 else own[0]
        place = lines.at(before.line, before.column)
        return before.line, _Edit(place, place, f"weight: {percent}, ")
    return _new_line(lines, own, percent)


def _new_line(lines: _Lines, own: list[Entry], percent: str) -> tuple[int, _Edit]:
    for entry in own:
        if isinstance(entry.value, Scalar) and entry.value.line == entry.line and _ends_its_line(lines, entry.value):
            indent = " " * (entry.column - 1)
            end = lines.end(entry.line)
            return entry.line + 1, _Edit(end, end, f"{lines.newline}{indent}weight: {percent}")
    raise _CannotError("there is no plain place for a new line; give it a `weight:`")


def _ends_its_line(lines: _Lines, value: Scalar) -> bool:
    start = lines.at(value.line, value.column)
    end = lines.end(value.line)
    return any(
        lines.text.startswith(written, start) and _REST.fullmatch(lines.text, start + len(written), end)
        for written in (value.written, f"'{value.written}'", f'"{value.written}"')
        if written
    )


def _applied(text: str, edits: list[_Edit]) -> str:
    return "".join(_pieces(text, sorted(edits, key=lambda edit: edit.start)))


def _pieces(text: str, edits: list[_Edit]) -> Iterator[str]:
    done = 0
    for edit in edits:
        yield text[done : edit.start]
        yield edit.new
        done = edit.end
    yield text[done:]

"""New routes for a routes.yaml that people have written, by adding lines and changing none.

Two rules keep traffic where it is.  A route is added only when no route of the file takes its requests already; and
only when it would take none away from one that is there, which a more specific path could.  Both are said instead.

The lines go behind the last route.  Whoever writes the text to a file reads it back first: it must mean the old table
with these routes behind the others, and nothing else (`means`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from discovery.core.draft import facts, route, separable
from discovery.core.groups import grouped
from discovery.core.survey import Findings, Operation, Standing
from router.core import document
from router.core.document import Node
from router.core.match import Matcher
from router.core.model import Route, Table
from router.core.template import Literal, Parameter, Partial, Rest, Segment, parse_template

_TOKEN: Final = b"~value~"
"""What stands in a parameter's place; nobody names an API so."""
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_EMPTY: Final = re.compile(r"\[[ \t]*\]")


@dataclass(frozen=True, slots=True)
class Added:
    """A route that the text has now, and the line of its first character."""

    operation: Operation
    line: int


@dataclass(frozen=True, slots=True)
class Left:
    """One that it has not, and why."""

    operation: Operation
    why: str


@dataclass(frozen=True, slots=True)
class Merging:
    """The text afterwards."""

    text: str
    added: tuple[Added, ...]
    covered: tuple[Left, ...]
    """Operations that routes of the file take already."""
    left: tuple[Left, ...]
    """Operations that a person has to decide about."""
    retire: tuple[tuple[Route, Operation], ...]
    """Routes of the file that are documented, but that nobody asks for."""


class CannotMergeError(Exception):
    """The file is written in a way that lines cannot be added to; the text says how."""


def merged(
    text: str, root: Node, table: Table, findings: Findings, *, host: str = "", but: frozenset[str] = frozenset()
) -> Merging:
    """`text` with the routes that it lacks; `root` and `table` are what it says, `but` labels to leave out."""
    existing = _Existing(table, host)
    used, _ = separable([each for each in findings.operations if each.standing is not Standing.UNUSED])
    new: list[Operation] = []
    covered: list[Left] = []
    left: list[Left] = []
    for each in used:
        if each.label in but:
            left.append(Left(each, "the file would be refused with it"))
        elif taken := existing.taking(each):
            covered.append(Left(each, taken))
        elif robbed := existing.robbed_by(each):
            left.append(Left(each, f"it would take requests away from the route {robbed}"))
        else:
            new.append(each)
    place = _place(text, root)
    lines, added = _written(new, table, findings, host, place)
    return Merging(
        text[: place.start] + lines + text[place.end :] if added else text,
        added,
        tuple(covered),
        tuple(left),
        tuple(existing.unused(findings)),
    )


def means(before: Table, after: Table, added: int) -> bool:
    """Is the second table the first one with so many routes more behind the others, and nothing else?"""
    count = len(before.routes)
    return len(after.routes) == count + added and replace(after, routes=after.routes[:count]) == before


# -- what is there -----------------------------------------------------------------------------------------------------


class _Existing:
    """The routes of the file, as a router would use them."""

    def __init__(self, table: Table, host: str) -> None:
        self._routes = [each for each in table.routes if each.host in {"", host}]
        self._shapes = [parse_template(each.path) for each in self._routes]
        self._host = host
        self._matcher: Matcher[Route] = Matcher()
        for each in self._routes:
            self._matcher.add(each, each)

    def taking(self, operation: Operation) -> str:
        """The routes that take all requests of an operation; empty when some have none."""
        sample = [_sample(segment) for segment in parse_template(operation.path)]
        found = [self._find(sample, method) for method in operation.methods]
        names = dict.fromkeys(each.name for each in found if each is not None)
        return ", ".join(names) if all(each is not None for each in found) else ""

    def _find(self, segments: list[bytes], method: str) -> Route | None:
        also = b"GET" if method == "HEAD" else None
        return self._matcher.find(self._host.encode(), segments, method.encode(), also)

    def robbed_by(self, operation: Operation) -> str:
        """The first route that would lose requests to a new one."""
        shape = parse_template(operation.path)
        new = Route("", operation.path, "", operation.methods, self._host)
        for old, segments in zip(self._routes, self._shapes, strict=True):
            common = _common(shape, segments)
            if common is None or not (not old.methods or set(old.methods) & set(operation.methods)):
                continue
            both: Matcher[Route] = Matcher()
            both.add(old, old)
            both.add(new, new)
            method = next(each for each in operation.methods if not old.methods or each in old.methods)
            if both.find(self._host.encode(), common, method.encode()) is new and self._find(common, method):
                return old.name
        return ""

    def unused(self, findings: Findings) -> Iterator[tuple[Route, Operation]]:
        if not findings.logged:
            return
        shapes = {
            (shape, method): each
            for each, shape in zip(self._routes, self._shapes, strict=True)
            for method in each.methods
        }
        for each in findings.operations:
            known = shapes.get((parse_template(each.path), each.methods[0]))
            if each.standing is Standing.UNUSED and known is not None:
                yield known, each


def _sample(segment: Segment) -> bytes:
    match segment:
        case Literal(text):
            return text
        case Partial(pieces):
            return _TOKEN.join(pieces)
        case _:
            return _TOKEN


def _common(one: Sequence[Segment], two: Sequence[Segment]) -> list[bytes] | None:
    """A path that fits both; None when there is none."""
    found: list[bytes] = []
    for index in range(max(len(one), len(two))):
        left = one[min(index, len(one) - 1)] if index < len(one) or one[-1] == Rest() else None
        right = two[min(index, len(two) - 1)] if index < len(two) or two[-1] == Rest() else None
        if left is None or right is None:
            return None
        segment = _meeting(left, right)
        if segment is None:
            return None
        found.append(segment)
    return found


def _meeting(one: Segment, two: Segment) -> bytes | None:
    if isinstance(one, Partial) and isinstance(two, Partial):
        return _both_fit(one, two)
    for first, second in ((one, two), (two, one)):
        sample = _sample(first)
        if isinstance(first, Parameter | Rest):
            return _sample(second) or (b"" if isinstance(first, Rest) else None)
        if isinstance(second, Literal) and sample == second.text:
            return sample
        if isinstance(second, Partial) and second.regex().fullmatch(sample):
            return sample
    return None


def _both_fit(one: Partial, two: Partial) -> bytes | None:
    """The longer of each beginning and end around whatever stands between."""
    begin = max(one.pieces[0], two.pieces[0], key=len)
    end = max(one.pieces[-1], two.pieces[-1], key=len)
    sample = _TOKEN.join((begin, *one.pieces[1:-1], *two.pieces[1:-1], end))
    return sample if one.regex().fullmatch(sample) and two.regex().fullmatch(sample) else None


# -- lines -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the lines go, instead of what, and how far in."""

    start: int
    end: int
    line: int
    """Of the first character that is added."""
    indent: str
    newline: str
    before: str
    """What has to stand between the text before and the first line."""


def _place(text: str, root: Node) -> _Place:
    entries = root.entries if isinstance(root, document.Mapping) else ()
    routes = next((entry for entry in entries if entry.key == "routes"), None)
    starts = [0, *(found.end() for found in _BREAK.finditer(text))]
    found = _BREAK.search(text)
    newline = found[0] if found else "\n"
    if routes is None or not isinstance(routes.value, document.Sequence):
        raise CannotMergeError("it has no list of routes")
    at = starts[routes.value.line - 1] + routes.value.column - 1
    if (routes.value.line, routes.value.column) < (routes.line, routes.column) or routes.column != 1:
        raise CannotMergeError("its routes stand behind an anchor or in braces; write them as lines below `routes:`")
    if not routes.value.items:
        return _instead_of_brackets(text, starts, routes.value, at, newline)
    if text[at] != "-":
        raise CannotMergeError("its routes are written in brackets or with an anchor; write one `- path: ...` for each")
    number = _last_line(text, starts, routes, [entry.line for entry in entries])
    start = starts[number] if number < len(starts) else len(text)
    torn = start == len(text) and text[-1:] not in {"", "\n", "\r"}
    return _Place(start, start, number + 1, " " * (routes.value.column - 1), newline, newline if torn else "")


def _instead_of_brackets(text: str, starts: Sequence[int], value: document.Sequence, at: int, newline: str) -> _Place:
    """`routes: []` becomes `routes:`, with the lines below."""
    brackets = _EMPTY.match(text, at)
    end = starts[value.line] if value.line < len(starts) else len(text)
    if brackets is None or (text[brackets.end() : end].strip() and "#" not in text[brackets.end() : end]):
        raise CannotMergeError("its empty list of routes is written over several lines; write `routes: []`")
    rest = text[brackets.end() : end]
    before = text[brackets.start() : at] + rest if rest.endswith(("\n", "\r")) else rest + newline
    return _Place(at, end, value.line + 1, "  ", newline, before)


def _last_line(text: str, starts: Sequence[int], routes: document.Entry, lines: Sequence[int]) -> int:
    """The number of lines that stand before the place behind the last route."""
    following = [line for line in lines if line > routes.line]
    number = min(following) - 1 if following else len(starts)
    first = routes.value.line

    def line(index: int) -> str:
        return text[starts[index] : starts[index + 1] if index + 1 < len(starts) else len(text)]

    ends = (index for index in range(first, number) if line(index).startswith(("...", "---")))
    number = next(ends, number)
    while number > first and (not line(number - 1).strip() or (following and line(number - 1).startswith("#"))):
        number -= 1
    return number


def _written(
    new: Sequence[Operation], table: Table, findings: Findings, host: str, place: _Place
) -> tuple[str, tuple[Added, ...]]:
    """The lines to add, and where each route of them begins."""
    names = {each.name for each in table.routes}
    groups = {_id(each): name for name, members in grouped(new).items() for each in members} if new else {}
    lines = [f"{place.indent}# ---- added by `strangler discover` ----"]
    added: list[Added] = []
    for each in new:
        group = groups[_id(each)]
        written = list(route(each, group if group in table.groups else "", findings, host, names))
        added.append(Added(each, place.line + len(lines) + 1))
        lines += [place.indent + line.removeprefix("  ") for line in written]
    return place.before + "".join(line + place.newline for line in lines), tuple(added)


def _id(operation: Operation) -> tuple[str, tuple[str, ...]]:
    return operation.path, operation.methods


def told(merging: Merging, findings: Findings) -> Iterator[str]:
    """What is added and what is not, for people."""
    for added in merging.added:
        yield f"line {added.line}: {added.operation.label}  ({facts(added.operation, findings)})"
    for left in merging.left:
        yield f"not added: {left.operation.label}: {left.why}"
    for known, _ in merging.retire:
        yield f"unused: {known.name} is documented, but nobody asked for it: retire instead of migrate"

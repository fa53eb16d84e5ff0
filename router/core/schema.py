"""Reading positioned documents: keys, types and plain values, with every problem reported.

A *reader* takes a node, the label by which messages call it, and the report; it answers the value, or None after
it has reported why there is none.  So a caller goes on reading after any trouble, and people see all of it at once.
`None` as a value therefore never comes out of a reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Mapping as Map
from enum import StrEnum
from typing import Any, Final, TypeGuard, TypeVar

from router.core.document import Entry, Mapping, Node, Place, Scalar, Sequence
from router.core.problem import Code, Report, closest, one_of, show
from router.core.units import DURATION_HELP, PERCENT_HELP, read_duration, read_percent

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Reader = Callable[[Node, str, Report], T | None]

MAX_TEXT: Final = 8192


def describe(node: Node) -> str:
    """What was found, for `must be ..., not ...`."""
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar(value=None):
            return "empty"
        case Scalar(value=bool()):
            return f"the yes/no value {show(node.written)}"
        case Scalar(value=str()):
            return f"the text {show(node.written)}"
        case _:
            return f"the number {show(node.written)}"


def wrong_type(node: Node, label: str, expected: str, instead: str, report: Report) -> None:
    report.problem(node, Code.WRONG_TYPE, f"{label} must be {expected}, not {describe(node)}", instead)


# ------------------------------------------------------------------------------------------------ mappings


def entries(node: Node, label: str, report: Report) -> list[Entry] | None:
    """The entries of a mapping, each key once."""
    if not isinstance(node, Mapping):
        wrong_type(node, label, "a mapping", "write `key: value` lines below it, or leave it out", report)
        return None
    unique: dict[str, Entry] = {}
    for entry in node.entries:
        first = unique.setdefault(entry.key, entry)
        if first is not entry:
            what = f"the key {show(entry.key)} of {label} stands on line {first.line} already"
            report.problem(entry, Code.DUPLICATE, what, "keep one of the two")
    return list(unique.values())


def known_entries(node: Node, label: str, known: Map[str, object], report: Report) -> dict[str, Entry] | None:
    """The entries with keys that mean something here; the others are reported."""
    found = entries(node, label, report)
    if found is None:
        return None
    for entry in found:
        if entry.key not in known:
            report.problem(
                entry, Code.UNKNOWN_KEY, f"unknown key {show(entry.key)} in {label}", _meant(entry, known, report)
            )
    return {entry.key: entry for entry in found if entry.key in known}


def _meant(entry: Entry, known: Map[str, object], report: Report) -> str:
    guess = None if report.full else closest(entry.key, known)
    return f"did you mean `{guess}`?" if guess else f"remove it, or use {one_of(known)}"


def fields(node: Node, label: str, readers: Map[str, Reader[Any]], report: Report) -> dict[str, Any]:
    """The values of a mapping whose keys are known; what could not be read is missing."""
    return read_known(known_entries(node, label, readers, report) or {}, readers, report)


def read_known(found: Map[str, Entry], readers: Map[str, Reader[Any]], report: Report) -> dict[str, Any]:
    """The values of entries that are known to have a reader; what could not be read is missing."""
    values = {key: readers[key](entry.value, f"`{key}`", report) for key, entry in found.items()}
    return {key: value for key, value in values.items() if value is not None}


def missing(place: Place, key: str, label: str, instead: str, report: Report) -> None:
    report.problem(place, Code.MISSING_KEY, f"`{key}` is missing in {label}", instead)


# --------------------------------------------------------------------------------------------- plain values


def text(node: Node, label: str, report: Report) -> str | None:
    """Printable text on one line.  A number is not text: `"0123"` and 0123 would be different seeds."""
    if not isinstance(node, Scalar) or node.value is None:
        wrong_type(node, label, "text", "write the text behind the colon", report)
        return None
    if not isinstance(node.value, str):
        wrong_type(node, label, "text", f'put it in quotes if it is meant: "{node.written}"', report)
        return None
    return _sound(node.value, node, label, report)


def _sound(value: str, node: Node, label: str, report: Report) -> str | None:
    if not value:
        report.problem(node, Code.BAD_VALUE, f"{label} is an empty text", "write the text or leave the key out")
    elif len(value) > MAX_TEXT:
        report.problem(node, Code.BAD_VALUE, f"{label} has {len(value)} characters", f"write at most {MAX_TEXT}")
    elif not value.isprintable():
        bad = next(character for character in value if not character.isprintable())
        report.problem(node, Code.BAD_VALUE, f"{label} holds the character {bad!r}", "write printable text on one line")
    else:
        return value
    return None


def plain_text(node: Node, label: str, report: Report) -> str | None:
    """Text in which `${NAME}` would be a mistake."""
    value = text(node, label, report)
    if value is not None and "${" in value:
        what = f"{label} is {show(value)}, but environment variables are replaced in endpoints only"
        report.problem(node, Code.BAD_VALUE, what, "write the value itself")
        return None
    return value


def boolean(node: Node, label: str, report: Report) -> bool | None:
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    wrong_type(node, label, "true or false", "write true or false, without quotes", report)
    return None


def whole(low: int, high: int) -> Reader[int]:
    """A reader of whole numbers written as plain digits: 010 and 0x10 are too easily misread."""
    instead = f"write a whole number from {low} to {high}"

    def read(node: Node, label: str, report: Report) -> int | None:
        if not is_number(node):
            wrong_type(node, label, "a whole number", instead, report)
            return None
        number = digits(node)
        if number is None:
            report.problem(node, Code.BAD_VALUE, f"{label} is {node.written}, not a plain whole number", instead)
        elif not low <= number <= high:
            report.problem(node, Code.OUT_OF_RANGE, f"{label} is {number}, outside {low}..{high}", instead)
        else:
            return number
        return None

    return read


def digits(node: Node) -> int | None:
    """The whole number that plain digits say."""
    if not is_number(node) or not node.written.isascii() or not node.written.isdigit() or len(node.written) > 18:
        return None
    return None if node.written[0] == "0" and node.written != "0" else int(node.written)


def percent(node: Node, label: str, report: Report) -> int | None:
    """Percent of a whole, as parts per million."""
    if not is_number(node):
        wrong_type(node, label, "a number", PERCENT_HELP + ", without quotes or sign", report)
        return None
    ppm = read_percent(node.written)
    if ppm is None:
        inside = isinstance(node.value, int | float) and 0 <= node.value <= 100
        code, why = (
            (Code.BAD_VALUE, "not a plain number with at most two decimals")
            if inside
            else (Code.OUT_OF_RANGE, "outside 0..100")
        )
        report.problem(node, code, f"{label} is {show(node.written)}, {why}", PERCENT_HELP)
    return ppm


def duration(node: Node, label: str, report: Report) -> float | None:
    """A time above zero, in seconds."""
    written = node.written if isinstance(node, Scalar) and not isinstance(node.value, bool) else ""
    if not written:
        wrong_type(node, label, "a duration", DURATION_HELP, report)
        return None
    seconds = read_duration(written) if isinstance(node, Scalar) and isinstance(node.value, str) else None
    if seconds is None:
        report.problem(node, Code.BAD_DURATION, f"{label} is {show(written)}, not a duration", DURATION_HELP)
    return seconds


def choice(kind: type[E]) -> Reader[E]:
    """A reader of one of a few words."""
    words = {str(member): member for member in kind}

    def read(node: Node, label: str, report: Report) -> E | None:
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value in words:
            return words[node.value]
        report.problem(node, Code.BAD_VALUE, f"{label} is {describe(node)}", f"write {one_of(words)}")
        return None

    return read


def list_of(reader: Reader[T], item: str, empty: str) -> Reader[tuple[T, ...]]:
    """A reader of lists with at least one item; None when an item is bad, so that nothing is built on half a list."""

    def read(node: Node, label: str, report: Report) -> tuple[T, ...] | None:
        if not isinstance(node, Sequence):
            wrong_type(node, label, "a list", f"write it in brackets: [{item}, ...]", report)
            return None
        if not node.items:
            report.problem(node, Code.BAD_VALUE, f"{label} is an empty list", empty)
            return None
        values = [reader(each, f"an item of {label}", report) for each in node.items]
        good = tuple(value for value in values if value is not None)
        return good if len(good) == len(values) and _all_different(node, good, label, report) else None

    return read


def _all_different(node: Sequence, values: Iterable[object], label: str, report: Report) -> bool:
    first: dict[object, Node] = {}
    for item, value in zip(node.items, values, strict=True):
        if first.setdefault(value, item) is not item:
            what = f"{label} has {show(str(value))} twice"
            report.problem(item, Code.DUPLICATE, what, "keep one of the two")
    return len(first) == len(node.items)


def is_number(node: Node) -> TypeGuard[Scalar]:
    """A number proper: a YAML yes or no is an int to Python, but not to anybody who wrote it."""
    return isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool)

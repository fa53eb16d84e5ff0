"""Text on a terminal: colour where there is some, columns that fit, and nothing that a terminal would obey."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final

Json = Mapping[str, Any]

_CONTROL: Final = dict.fromkeys((*range(32), *range(0x7F, 0xA0)), "\N{REPLACEMENT CHARACTER}")
_WIDE: Final = frozenset("WF")
_NARROWEST: Final = 12
_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Style:
    """What the terminal can show."""

    colour: bool = False
    width: int = 0
    """In columns; 0: as wide as it gets, nothing is cut."""

    def bold(self, text: str) -> str:
        return self._wrap("1", text)

    def dim(self, text: str) -> str:
        return self._wrap("2", text)

    def good(self, text: str) -> str:
        return self._wrap("32", text)

    def bad(self, text: str) -> str:
        return self._wrap("31;1", text)

    def warn(self, text: str) -> str:
        return self._wrap("33", text)

    def chosen(self, text: str) -> str:
        return self._wrap("7", text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


def plain(text: str) -> str:
    """Somebody's text without anything that a terminal would obey."""
    return text.translate(_CONTROL)


def width_of(text: str) -> int:
    """Columns on a terminal: Hangul and the like take two each."""
    return sum(2 if unicodedata.east_asian_width(char) in _WIDE else 1 for char in text)


def cut(text: str, width: int) -> str:
    """The text, or its beginning with an ellipsis."""
    if width_of(text) <= width:
        return text
    kept = ""
    for char in text:
        if width_of(kept + char) > width - 1:
            break
        kept += char
    return kept + "…"


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], style: Style, *, right: frozenset[int], gives: int = 0
) -> Iterator[str]:
    """Columns as wide as they need; when the terminal is too narrow one of them `gives` way.  `right`: numbers."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(width_of, column)) for column in zip(head, *cells, strict=True)]
    if style.width:
        rest = sum(widths) - widths[gives] + _GAP * len(widths)
        widths[gives] = max(_NARROWEST, min(widths[gives], style.width - rest))
    if any(head):
        yield style.dim("  " + _row(head, widths, right))
    for row in cells:
        row[gives] = cut(row[gives], widths[gives])
        yield "  " + _row(row, widths, right)


def _row(cells: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    padded = []
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        room = " " * (width - width_of(cell))
        padded.append(room + cell if number in right else cell + room)
    return (" " * _GAP).join(padded).rstrip()


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}".rstrip("0").rstrip(".") + " %"


def ago(then: float, now: float) -> str:
    """`2 min ago`, in the largest unit that leaves a number above zero."""
    seconds = max(0, int(now - then))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def span(seconds: float) -> str:
    """`2 h`, `90 min`, `1.5 d`: in the largest unit of which there are two, or one exactly."""
    whole = max(0, round(seconds))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= 1.95 * size or abs(whole - size) <= size / 100:
            return f"{whole / size:.{0 if unit == 'min' else 1}f}".removesuffix(".0") + f" {unit}"
    return f"{whole} s"


def paragraph(text: str, style: Style, indent: str, hanging: str | None = None) -> Iterator[str]:
    """Somebody's text, on as many lines as the terminal needs; `hanging`: the indent of all but the first."""
    if not style.width:
        yield indent + plain(text)
        return
    later = indent if hanging is None else hanging
    yield from wrap(plain(text), max(style.width, 40), initial_indent=indent, subsequent_indent=later)


def more(count: int, indent: str) -> Iterator[str]:
    if count > 0:
        yield f"{indent}and {count} more (--json has all)"

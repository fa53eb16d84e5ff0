"""A written document as plain values that still know where they stand.

This is what a source (a YAML file, say) hands to the parser.  It knows nothing of YAML or files: a scalar, a list
or a mapping, each with the line and column at which it begins, both counted from 1.  Keys are always text, as
written: `on` stays `on` whatever a format takes it for.  A mapping may hold a key twice; the reader complains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Place(Protocol):
    """Anything that stands somewhere in the document."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value, and the characters it was written with: 25.10 and 25.1 are one number, 010 is not ten."""

    value: str | bool | int | float | None
    line: int
    column: int
    written: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value` of a mapping; the place is the key's."""

    key: str
    value: Node
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order of the document."""

    entries: tuple[Entry, ...]
    line: int
    column: int


Node = Scalar | Sequence | Mapping

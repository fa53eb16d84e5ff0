"""What is wrong with a document, where, and what to write instead.

A `Problem` refuses the document; a `Note` only tells.  A `Report` collects both while a document is read, so that
people see everything at once.  It never raises and never prints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from router.core.document import Place

MAX_PROBLEMS: Final = 1000
"""More are counted, not kept: a megabyte of nonsense must not cost a gigabyte of explanations."""


class Code(StrEnum):
    """The kinds of trouble, for programs; people read the text."""

    BAD_FILE = "bad-file"
    BAD_YAML = "bad-yaml"
    TOO_LARGE = "too-large"
    UNKNOWN_KEY = "unknown-key"
    MISSING_KEY = "missing-key"
    DUPLICATE = "duplicate"
    WRONG_TYPE = "wrong-type"
    BAD_VALUE = "bad-value"
    OUT_OF_RANGE = "out-of-range"
    UNKNOWN_NAME = "unknown-name"
    BAD_NAME = "bad-name"
    BAD_DURATION = "bad-duration"
    BAD_URL = "bad-url"
    BAD_PATH = "bad-path"
    CONFLICT = "conflict"
    CONTRADICTION = "contradiction"
    NO_NEW_SIDE = "no-new-side"
    TOO_MANY = "too-many-problems"
    NO_EFFECT = "no-effect"


@dataclass(frozen=True, slots=True)
class Remark:
    """One finding.  As text: `routes.yaml:LINE:COL: what is wrong; what to write instead`."""

    line: int
    column: int
    code: Code
    what: str
    instead: str
    file: str = "routes.yaml"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.what}; {self.instead}"


@dataclass(frozen=True, slots=True)
class Problem(Remark):
    """A finding that refuses the whole document."""


@dataclass(frozen=True, slots=True)
class Note(Remark):
    """A finding that people should know of; the document is valid all the same."""


class Report:
    """Collects the findings about one file."""

    def __init__(self, file: str = "routes.yaml") -> None:
        self.file = file
        self._problems: list[Problem] = []
        self._left_out = 0
        self._notes: dict[tuple[Code, str], tuple[Note, int]] = {}

    @property
    def full(self) -> bool:
        return len(self._problems) >= MAX_PROBLEMS

    def problem(self, place: Place, code: Code, what: str, instead: str) -> None:
        if self.full:
            self._left_out += 1
        else:
            self._problems.append(Problem(place.line, place.column, code, what, instead, self.file))

    def note(self, place: Place, code: Code, what: str, instead: str) -> None:
        """A note that repeats itself all over the file is kept once, at its first place, with the count."""
        first, count = self._notes.get((code, what), (None, 0))
        if first is None:
            first = Note(place.line, place.column, code, what, instead, self.file)
        self._notes[code, what] = (first, count + 1)

    def problems(self) -> tuple[Problem, ...]:
        """All problems in the order of the file."""
        ordered = sorted(self._problems, key=lambda problem: (problem.line, problem.column))
        if self._left_out:
            ordered.append(self._rest(ordered[-1]))
        return tuple(ordered)

    def _rest(self, last: Problem) -> Problem:
        what = f"there are {self._left_out} more problems than are listed"
        return Problem(last.line, last.column, Code.TOO_MANY, what, "mend the listed ones and look again", self.file)

    def notes(self) -> tuple[Note, ...]:
        return tuple(_counted(note, count) for note, count in self._notes.values())


def _counted(note: Note, count: int) -> Note:
    if count == 1:
        return note
    what = f"{note.what} (also in {count - 1} more {'place' if count == 2 else 'places'})"
    return Note(note.line, note.column, note.code, what, note.instead, note.file)


def show(text: str) -> str:
    """Somebody's text inside a message: quoted, on one line, and not endless."""
    return repr(text) if len(text) <= 80 else f"{text[:77]!r}..."


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    if len(word) > 80:
        return None
    folded = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def one_of(known: Iterable[str]) -> str:
    """`a, b or c`; a long list is cut."""
    names = list(known)
    if len(names) > 20:
        return ", ".join(names[:20]) + ", ..."
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)

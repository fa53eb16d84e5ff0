"""The rules of all levels, ready to be asked about a place; who is in force and who has expired.

Levels add up: what holds for all holds for a group, what holds for a group holds for its routes.  `exact` on a nearer
level switches off what the outer levels say about its place and all below.  A rule past its end is not applied and is
told of, so that it comes back to somebody's desk as a difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from router.core.comparing import ANY, DEEP, ITEM, Comparing, Rule, Treat, read_header_path, read_path

Path = tuple[str, ...]
"""Segments from the root; items of arrays are all called `[*]`."""

COVERS: Final = frozenset((Treat.IGNORE, Treat.TYPE_ONLY, Treat.PRESENCE, Treat.EXACT))
"""Treatments that hold for all that stands below as well."""
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class Level:
    """The section of one level and what to call it."""

    name: str
    """`platform`, `group catalog`, `route product-search`."""
    comparing: Comparing


@dataclass(frozen=True, slots=True)
class Numbered:
    """A rule in force, the number by which its meter is kept, and where it comes from."""

    number: int
    rule: Rule
    level: int
    origin: str


@dataclass(frozen=True, slots=True)
class Applying:
    """A rule that has something to say at a place."""

    number: int
    rule: Rule
    here: bool
    """False: it stands further up and covers what is below."""


class Policy:
    """Answers which rules apply at a path; remembers a bounded number of answers."""

    def __init__(self, levels: Iterable[Level] = (), now: float = 0.0) -> None:
        levels = tuple(levels)
        every = ((at, level.name, rule) for at, level in enumerate(levels) for rule in level.comparing.rules)
        found = [Numbered(number, rule, at, origin) for number, (at, origin, rule) in enumerate(every)]
        self.rules = tuple(each for each in found if each.rule.expires > now)
        self.expired = tuple(each for each in found if each.rule.expires <= now)
        self.headers = frozenset(name for level in levels for name in level.comparing.headers)
        self._patterns = _Patterns(
            [(each, path) for each in self.rules if (path := read_path(each.rule.path)) is not None]
        )
        self._fields = [(each, name) for each in self.rules if (name := read_header_path(each.rule.path)) is not None]
        self.arrays = any(each.rule.treat is Treat.ARRAY for each in self.rules)
        """Does any rule speak of the order of arrays?"""
        self._known: dict[Path, tuple[Applying, ...]] = {}

    def at(self, path: Path) -> tuple[Applying, ...]:
        """What applies at a place of a body, nearest level first."""
        known = self._known.get(path)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[path] = _nearest(self._matching(path))
        return known

    def at_header(self, name: str) -> tuple[Applying, ...]:
        """What applies to a header field, by its lower-case name."""
        return _nearest(
            [(each, Applying(each.number, each.rule, here=True)) for each, of in self._fields if of == name]
        )

    def _matching(self, path: Path) -> list[tuple[Numbered, Applying]]:
        found = []
        for each, pattern in self._patterns.candidates(path):
            lengths = reach(pattern, path)
            here = len(path) in lengths
            if here or (lengths and each.rule.treat in COVERS):
                found.append((each, Applying(each.number, each.rule, here)))
        return found


class _Patterns:
    """Patterns by a segment that a path must have, so that asking does not cost more with more rules."""

    def __init__(self, patterns: Iterable[tuple[Numbered, Path]]) -> None:
        self._anywhere: list[tuple[Numbered, Path]] = []
        self._by_segment: dict[str, list[tuple[Numbered, Path]]] = {}
        for each, pattern in patterns:
            named = next((segment for segment in pattern if segment not in {ANY, ITEM, DEEP}), None)
            here = self._anywhere if named is None else self._by_segment.setdefault(named, [])
            here.append((each, pattern))

    def candidates(self, path: Path) -> list[tuple[Numbered, Path]]:
        """Those that may name a beginning of the path, in the order of the rules."""
        found = list(self._anywhere)
        for segment in set(path):
            found += self._by_segment.get(segment, ())
        return sorted(found, key=lambda pair: pair[0].number) if len(found) > 1 else found


def _nearest(found: list[tuple[Numbered, Applying]]) -> tuple[Applying, ...]:
    exact = max((each.level for each, _ in found if each.rule.treat is Treat.EXACT), default=-1)
    kept = [(each, applying) for each, applying in found if each.level >= exact]
    kept.sort(key=lambda pair: -pair[0].level)
    return tuple(applying for each, applying in kept if each.rule.treat is not Treat.EXACT)


def reach(pattern: Sequence[str], path: Path) -> tuple[int, ...]:
    """The lengths of those beginnings of a path that a pattern names."""
    if DEEP not in pattern:
        return (len(pattern),) if _same(pattern, path[: len(pattern)]) else ()
    at = pattern.index(DEEP)
    head, tail = pattern[:at], pattern[at + 1 :]
    if not _same(head, path[:at]):
        return ()
    ends = range(at + len(tail), len(path) + 1)
    return tuple(end for end in ends if _same(tail, path[end - len(tail) : end]))


def _same(pattern: Sequence[str], segments: Path) -> bool:
    return len(pattern) == len(segments) and all(
        wanted == is_ or (wanted == ANY and is_ != ITEM) for wanted, is_ in zip(pattern, segments, strict=True)
    )

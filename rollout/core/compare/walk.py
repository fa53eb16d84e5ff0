"""Two parsed values, walked side by side; every difference is asked about, the first enough of them are told.

The walk keeps a list of what is still to be compared instead of calling itself, so that depth costs no stack.  A place
is a chain of segments; it becomes a path only where something differs, which is seldom, and that is why rules cost
nothing where the sides agree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set as AbstractSet
from typing import Any, Final

from rollout.core.compare.arrays import differ_in_order_only, matched_as_set, matched_by_key, unequal_items
from rollout.core.compare.hiding import hiding
from rollout.core.compare.policy import Applying, Path, Policy
from rollout.core.compare.shapes import shape_of, type_of
from rollout.core.compare.values import MAX_EXAMINED, MAX_KEPT, MISSING, Difference, Kind, Remark, Severity
from router.core.comparing import ITEM, ArrayMode, Treat

Noisy = AbstractSet[tuple[str, Kind]]
"""Places known as noisy, by what they are called in reports."""

_Link = tuple[Any, str] | None
"""A place: the place above it, and one segment."""

WIDE: Final = 50
"""An object with more members than this is a map: its keys are data."""
MAX_WRITTEN: Final = 4 * 1024 * 1024
"""Above this items are walked one by one, and another order is not recognised any more."""
_MEMBER = re.compile(r"[@$_A-Za-z](?:[_A-Za-z0-9]*|[A-Za-z-]*)")
_LONGEST_MEMBER: Final = 100

_SEVERITY: Final = {
    Kind.ADDED: Severity.MINOR,
    Kind.ORDER: Severity.MINOR,
    Kind.MISSING: Severity.CRITICAL,
    Kind.TYPE: Severity.CRITICAL,
}


class TooMany(Exception):
    """There is no point in looking at more."""


class _Wide(str):
    """A key of a map."""

    __slots__ = ()


class Walk:
    """One comparison of two values, and what came out so far."""

    def __init__(self, policy: Policy, noisy: Noisy = frozenset()) -> None:
        self._policy = policy
        self._noisy = noisy
        self._examined = 0
        self._written = 0
        """Bytes of items that were written out to see whether they are equal."""
        self._waiting: list[tuple[Any, Any, _Link]] = []
        self.differences: list[Difference] = []
        self.noise: list[Difference] = []
        self.hidden: Counter[int] = Counter()
        self.remarks: set[Remark] = set()

    def compare(self, legacy: Any, new: Any) -> None:
        """Raises TooMany when it has looked at enough."""
        waiting = self._waiting
        self._value(legacy, new, None)
        while waiting:
            one, two, link = waiting.pop()
            if type(one) is dict:
                self._objects(one, two, link)
            else:
                self._arrays(one, two, link)

    def _value(self, legacy: Any, new: Any, link: _Link) -> None:
        kind = type(legacy)
        if kind is not type(new):
            self._unlike(legacy, new, link)
        elif kind is dict or kind is list:
            self._waiting.append((legacy, new, link))
        elif legacy != new:
            self.differ(Kind.VALUE, legacy, new, path_of(link))

    def _objects(self, legacy: dict[str, Any], new: dict[str, Any], link: _Link) -> None:
        """The loop that a comparison spends its time in."""
        wide = len(legacy) > WIDE or len(new) > WIDE
        waiting = self._waiting
        common = 0
        for key, one in legacy.items():
            two = new.get(key, MISSING)
            if two is MISSING:
                self.differ(Kind.MISSING, one, MISSING, path_of((link, _Wide(key) if wide else key)))
                continue
            common += 1
            kind = type(one)
            if kind is type(two):
                if kind is dict or kind is list:
                    waiting.append((one, two, (link, _Wide(key) if wide else key)))
                    continue
                if one == two:
                    continue
            self._value(one, two, (link, _Wide(key) if wide else key))
        if common != len(new):
            for key, two in new.items():
                if key not in legacy:
                    self.differ(Kind.ADDED, MISSING, two, path_of((link, _Wide(key) if wide else key)))

    def _arrays(self, legacy: list[Any], new: list[Any], link: _Link) -> None:
        applying = self._array_rule(link) if self._policy.arrays else None
        mode = applying.rule.array if applying else ArrayMode.ORDERED
        if applying and mode in {ArrayMode.SET, ArrayMode.KEYED}:
            legacy, new = self._paired(legacy, new, link, applying)
        if self._written < MAX_WRITTEN:
            unequal, written = unequal_items(legacy, new)
            self._written += written
            if differ_in_order_only(legacy, new, unequal):
                self._other_order(legacy, new, link, applying)
                return
        else:
            unequal = list(range(min(len(legacy), len(new))))
        if len(legacy) != len(new):
            self.differ(Kind.LENGTH, legacy, new, path_of(link))
        for index in unequal:
            self._value(legacy[index], new[index], (link, ITEM))

    def _array_rule(self, link: _Link) -> Applying | None:
        rules = self._policy.at(path_of(link))
        return next((each for each in rules if each.here and each.rule.treat is Treat.ARRAY), None)

    def _paired(
        self, legacy: list[Any], new: list[Any], link: _Link, applying: Applying
    ) -> tuple[list[Any], list[Any]]:
        """What is left to compare in order; what a keyed array misses or has too much is told here."""
        if applying.rule.array is ArrayMode.KEYED:
            keyed = matched_by_key(legacy, new, applying.rule.key)
            if keyed is not None:
                if keyed.reordered:
                    self.hidden[applying.number] += 1
                item = path_of((link, ITEM))
                for one in keyed.missing:
                    self.differ(Kind.MISSING, one, MISSING, item)
                for two in keyed.added:
                    self.differ(Kind.ADDED, MISSING, two, item)
                return keyed.legacy, keyed.new
        left, right, reordered = matched_as_set(legacy, new)
        if reordered:
            self.hidden[applying.number] += 1
        return left, right

    def _other_order(self, legacy: list[Any], new: list[Any], link: _Link, applying: Applying | None) -> None:
        if applying and applying.rule.array is ArrayMode.AUTO:
            self.hidden[applying.number] += 1
            self.remarks.add(Remark.ORDER)
            return
        self.differ(Kind.ORDER, legacy, new, path_of(link))

    def _unlike(self, legacy: Any, new: Any, link: _Link) -> None:
        if type_of(legacy) == type_of(new) == "number":
            if legacy == new:
                self.remarks.add(Remark.NUMBER_FORM)
                return
            self.differ(Kind.VALUE, legacy, new, path_of(link))
        else:
            self.differ(Kind.TYPE, legacy, new, path_of(link))

    def differ(self, kind: Kind, legacy: Any, new: Any, path: Path) -> None:
        """A difference; rules are asked first, then what is known of noise."""
        self._examined += 1
        if self._examined > MAX_EXAMINED:
            raise TooMany
        rules = self._policy.at(path)
        if rules and (numbers := hiding(rules, legacy, new)):
            self.hidden.update(numbers)
            return
        self.settle(Difference(label(path), kind, _SEVERITY.get(kind, Severity.MAJOR), legacy, new))

    def settle(self, difference: Difference) -> None:
        """A difference that no rule hides: is it noise?"""
        found = downgraded(difference, self._noisy) if self._noisy else difference
        if found is None:
            self.noise.append(difference)
        else:
            self.differences.append(found)
            if len(self.differences) >= MAX_KEPT:
                raise TooMany


def downgraded(difference: Difference, noisy: Noisy) -> Difference | None:
    """At a noisy place only type and shape count: None when they are the same, else what is left of the difference.

    What is there on one side only, or of another type, is never taken for noise.
    """
    if (difference.path, difference.kind) not in noisy:
        return difference
    if difference.kind in {Kind.ORDER, Kind.LENGTH}:
        return None
    if difference.kind in {Kind.VALUE, Kind.TEXT, Kind.BINARY, Kind.HEADER}:
        if shape_of(difference.legacy) == shape_of(difference.new):
            return None
        return Difference(difference.path, Kind.SHAPE, difference.severity, difference.legacy, difference.new)
    return difference


def path_of(link: _Link) -> Path:
    segments: list[str] = []
    while link is not None:
        link, segment = link
        segments.append(segment)
    segments.reverse()
    return tuple(segments)


def label(path: Path) -> str:
    """A path as reports call it: items of arrays and keys that are data are all one."""
    return "$" + "".join(map(_step, path))


def _step(segment: str) -> str:
    if segment == ITEM:
        return ITEM
    if isinstance(segment, _Wide) or len(segment) > _LONGEST_MEMBER or _MEMBER.fullmatch(segment) is None:
        return ".*"
    return f".{segment}"

"""Which operations belong together: those with one tag, or those whose paths begin alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from discovery.core.naming import names_nothing, slug
from discovery.core.survey import Operation
from router.core.values import identifier

COMMON: Final = 0.8
"""A first segment that so many paths have says nothing: `api`, `v1`."""
LARGE: Final = 120
"""Operations of which one group is too many."""
SMALL: Final = 20
"""Operations that need no division, however alike they begin."""
OTHER: Final = "other"


def grouped(operations: Sequence[Operation], by: str = "") -> dict[str, list[Operation]]:
    """Operations by the name of their group, the groups and their members by traffic.  `by`: tag, prefix or neither."""
    by = by or ("tag" if _tags_say_something(operations) else "prefix")
    prefixes = _prefixes(operations)
    names = list(prefixes) if by == "prefix" else _tags(operations, prefixes)
    found: dict[str, list[Operation]] = defaultdict(list)
    for name, operation in zip(names, operations, strict=True):
        found[name].append(operation)
    for members in found.values():
        members.sort(key=lambda each: (-each.requests, each.path, each.methods))
    return dict(sorted(found.items(), key=lambda item: (-sum(each.requests for each in item[1]), item[0])))


def _tags_say_something(operations: Sequence[Operation]) -> bool:
    """Some generators give every path a tag of its own."""
    tags = [each.tag for each in operations if each.tag]
    return len(tags) * 2 >= len(operations) and len(set(tags)) * 2 <= len(tags)


def _tags(operations: Sequence[Operation], prefixes: Sequence[str]) -> list[str]:
    """The tag; for what has none, the tag that others with its prefix have most."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for operation, prefix in zip(operations, prefixes, strict=True):
        if name := _name(operation.tag):
            votes[prefix][name] += 1
    return [
        _name(operation.tag) or (votes[prefix].most_common(1)[0][0] if votes[prefix] else prefix)
        for operation, prefix in zip(operations, prefixes, strict=True)
    ]


def _prefixes(operations: Sequence[Operation]) -> list[str]:
    """The first segment of each path that tells it from most others."""
    ways = [[part for part in each.path.split("/") if part and "{" not in part] for each in operations]
    names = [OTHER] * len(ways)
    _divide(list(range(len(ways))), ways, names)
    return names


def _divide(indexes: Sequence[int], ways: list[list[str]], names: list[str]) -> None:
    """Names these by their next segment, or by the one after it where that says nothing."""
    clusters: dict[str, list[int]] = defaultdict(list)
    for index in indexes:
        clusters[ways[index][0] if ways[index] else ""].append(index)
    for head, members in clusters.items():
        deeper = [index for index in members if len(ways[index]) > 1]
        says_little = len(members) > LARGE or (len(members) > SMALL and len(members) >= COMMON * len(indexes))
        divided = deeper if (says_little or names_nothing(head)) and 2 * len(deeper) > len(members) else []
        for index in divided:
            ways[index] = ways[index][1:]
        if divided:
            _divide(divided, ways, names)
        for index in set(members).difference(divided):
            names[index] = _name(head) or OTHER


def _name(text: str) -> str:
    name = slug(text)
    return name if identifier(name) else ""

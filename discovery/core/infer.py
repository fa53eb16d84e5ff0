"""Which positions of the paths that were seen are parameters?

The tree (`discovery.core.trie`) knows values by their shape.  What is left to decide are words: `search` beside a
thousand numbers is a name, `alice` is one of the values.  The rules, in order:

1. Words in letters that had to be escaped are values when there are at least three of them.
2. Words that lead to the same things are values when ever new ones turn up: an API has few names, and asks for each
   of them often; users and articles are many, and most are asked for once or twice.
3. Beside known values a word is one of them when nothing can be asked of it that cannot be asked of the others, when
   it is asked for about as often, and when it is none of the words that APIs use as names everywhere.
4. What can be created beside it and deleted is an item, not a name, if it reads like a title.
5. Everything else stays a name.  Where a handful of names look alike, that is said, since only people can know.

Never is a parameter made of the first segment that names something on weak evidence: it would take in whatever is not
listed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from discovery.core.naming import names_nothing
from discovery.core.shapes import NAMES, VALUE, foreign
from discovery.core.trie import REST, STANDS_OUT, Node, take_word

FEW: Final = 3
"""Escaped words that make a parameter."""
MANY: Final = 20
"""Words that make a parameter when ever new ones turn up."""
WITH_DIGITS: Final = 12
"""Words that make a parameter when many of them hold digits, which names seldom do."""
FAR_TOO_MANY: Final = 500
"""Words at one position that no API has names for."""
SOME: Final = 8
"""Words that make a parameter when hardly one is asked for twice."""
ONCE: Final = 1.5
"""How often that is, on the average."""
LARGE_PART: Final = 0.25
"""Of all requests at a position; values seldom have so many, names do."""
ALIKE: Final = 0.8
"""Of the words at a position, the part that must lead to the same things."""
PROMINENT: Final = 2.5
"""A word that is asked for so many times as often as one value is a name."""
WIDE: Final = 10
"""Different values of the first segment that make it a parameter."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Names that may be values: where, how many, and a few of them."""

    where: tuple[str, ...]
    words: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Guess:
    """One operation that was seen: the keys of its segments, and what is known of each value."""

    method: str
    keys: tuple[str, ...]
    kinds: tuple[str, ...]
    """The kind of the value in each segment; empty for names."""
    requests: int


@dataclass(frozen=True, slots=True)
class Inference:
    """What the tree says."""

    doubts: tuple[Doubt, ...]
    dropped: int
    """Requests that begin with a value, of which there are too few to make a parameter."""


def infer(root: Node) -> Inference:
    """Settles every position of the tree, from the top.  What it says then is read off with `guesses`."""
    doubts: list[Doubt] = []
    _settle(root, (), doubts)
    return Inference(tuple(doubts), sum(map(_drop_first, list(_beginnings(root)))))


def _beginnings(node: Node) -> Iterator[Node]:
    """The top, and what stands behind `api`, `v1` and the like: where the names of things begin."""
    yield node
    for key, child in node.children.items():
        if names_nothing(key):
            yield from _beginnings(child)


def _drop_first(node: Node) -> int:
    """Removes a parameter that would take in everything, unless there is good evidence for it; its requests."""
    value = node.children.get(VALUE)
    if value is None or len(value.samples or ()) >= WIDE:
        return 0
    return node.children.pop(VALUE).hits


def guesses(node: Node, keys: tuple[str, ...] = (), kinds: tuple[str, ...] = ()) -> Iterator[Guess]:
    """The operations of a settled tree."""
    for method, requests in sorted(node.ops.items()):
        yield Guess(method, keys, kinds, requests)
    for key, child in node.children.items():
        kind = child.kinds.most_common(1)[0][0] if child.kinds else ""
        yield from guesses(child, (*keys, key), (*kinds, kind))


# -- one position ------------------------------------------------------------------------------------------------------


def _settle(node: Node, where: tuple[str, ...], doubts: list[Doubt]) -> None:
    words = _words(node)
    begins = all(map(names_nothing, where))
    if not begins:
        _take_foreign(node, words)
        _take_items(node, words)
        _take_family(node, words)
    if (value := node.children.get(VALUE)) is not None:
        _take_joining(node, value, wide=not begins or len(value.samples or ()) >= WIDE)
    elif not begins and (alike := _look_alike(words)):
        doubts.append(Doubt(where, tuple(sorted(alike)[:4]), len(alike)))
    for key, child in node.children.items():
        _settle(child, (*where, key), doubts)


def _words(node: Node) -> dict[str, Node]:
    return {key: child for key, child in node.children.items() if key and VALUE not in key}


def _take(node: Node, keys: Iterable[str], words: dict[str, Node]) -> None:
    """These words are values."""
    value = node.children.setdefault(VALUE, Node())
    for key in list(keys):
        take_word(node, key, value)
        words.pop(key, None)


def _take_foreign(node: Node, words: dict[str, Node]) -> None:
    """Rule 1."""
    found = [key for key in words if foreign(key)]
    if len(found) >= FEW or (found and VALUE in node.children):
        _take(node, found, words)


def _take_items(node: Node, words: dict[str, Node]) -> None:
    """Rule 4."""
    if "POST" in node.ops:
        found = [key for key, child in words.items() if _title(key) and "DELETE" in child.ops and len(child.ops) > 1]
        if found:
            _take(node, found, words)


def _title(word: str) -> bool:
    return word.count("-") >= 3 or word.count("_") >= 3 or any(map(str.isdigit, word))


def _take_family(node: Node, words: dict[str, Node]) -> None:
    """Rule 2: those that offer the same, when ever new ones turn up, and whatever has something in common with them."""
    family = _family(words)
    if not family or not (node.open or _open(family)):
        return
    typical = sorted(child.hits for child in family.values())[len(family) // 2]
    most = max(STANDS_OUT * typical, LARGE_PART * sum(child.hits for child in family.values()))
    _take(node, (key for key, child in family.items() if child.hits < most), words)
    value = node.children[VALUE]
    _take(node, [key for key, child in words.items() if _joins(key, child, value, most)], words)


def _family(words: dict[str, Node]) -> dict[str, Node]:
    """The most words that offer the same things, with those that offer a part of it; names by rule 3 never belong."""
    unnamed = {key: child for key, child in words.items() if key.lower() not in NAMES}
    classes: dict[tuple[frozenset[str], frozenset[str]], list[Node]] = defaultdict(list)
    for child in unnamed.values():
        classes[frozenset(child.ops), frozenset(child.children)].append(child)
    if not classes:
        return {}
    typical = max(classes.values(), key=len)[0]
    return {key: child for key, child in unnamed.items() if _fits(child, typical)}


def _open(family: dict[str, Node]) -> bool:
    """Do ever new words turn up here?"""
    count = len(family)
    if count < SOME:
        return False
    total = sum(child.hits for child in family.values())
    once = sum(child.hits == 1 for child in family.values())
    if count >= FAR_TOO_MANY or total <= ONCE * count:
        return True
    if count >= WITH_DIGITS and sum(any(map(str.isdigit, key)) for key in family) >= 0.3 * count:
        return True
    return count >= MANY and once >= 0.2 * count


def _joins(key: str, child: Node, value: Node, most: float) -> bool:
    """Where values are words anyway, a word with anything in common with them is one."""
    common = child.ops.keys() & value.ops.keys() or child.children.keys() & value.children.keys()
    return bool(common) and child.hits < most and key.lower() not in NAMES


def _take_joining(node: Node, value: Node, *, wide: bool) -> None:
    """Rule 3, the rarest words first, so that what is learnt from them counts for the others."""
    usual = value.usual()
    for key, child in sorted(_words(node).items(), key=lambda item: (item[1].hits, item[0])):
        if key.lower() in NAMES or not wide:
            continue
        if child.hits < PROMINENT * max(usual, 1.0) and _fits(child, value):
            take_word(node, key, value)


def _fits(node: Node, value: Node) -> bool:
    """Can all that is asked of the one be asked of the other?"""
    if not node.ops.keys() <= value.ops.keys():
        return False
    for key, child in node.children.items():
        like = value.children.get(key) or (value.children.get(VALUE) if key else None)
        if like is None or not _fits(child, like):
            return False
    return True


def _look_alike(words: dict[str, Node]) -> list[str]:
    """Names that lead to the same names below, or that nothing can be asked of but what is below: rule 5."""
    if _pairs(words):
        return list(words)
    parents = [key for key, child in words.items() if child.children]
    if len(parents) < FEW:
        return []
    followers = [frozenset(words[key].children) for key in parents]
    common = max(followers, key=lambda each: sum(bool(each & other) for other in followers))
    alike = [key for key, each in zip(parents, followers, strict=True) if each & common]
    return alike if len(alike) >= FEW and len(alike) >= ALIKE * len(words) else []


def _pairs(words: dict[str, Node]) -> bool:
    """Is all that is here two words deep and asked for by one method, as in `/basic-auth/{user}/{password}`?"""
    below = [node for child in words.values() for node in child.children.values()]
    methods = {method for node in below for method in node.ops}
    plain = not any(child.ops for child in words.values()) and not any(node.children for node in below)
    return len(words) >= FEW and plain and len(methods) == 1


# -- what was refused --------------------------------------------------------------------------------------------------


def follow(root: Node, segments: Sequence[str], keys: Sequence[str]) -> tuple[Node, tuple[str, ...]] | None:
    """The node that a path leads to in a settled tree, and the keys on the way; None when there is none."""
    node = root
    way: list[str] = []
    for segment, key in zip(segments, keys, strict=True):
        choice = next((each for each in (segment, key, VALUE if segment else "") if each in node.children), None)
        if choice is None:
            if REST in node.children:
                return node.children[REST], (*way, REST)
            return None
        way.append(choice)
        node = node.children[choice]
    return node, tuple(way)

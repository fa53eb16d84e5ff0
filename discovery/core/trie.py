"""All paths that were seen, as a tree of segments that cannot grow without end.

Values that show themselves by their shape are one child from the start, however many they are.  Words are kept apart
until they are too many for one position, or the tree as a whole is too large: then they are folded into one value,
except the few that are asked for so much more often than the others that they must be names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from discovery.core.shapes import NAMES, VALUE, key_of, kind_of

MOST_SEGMENTS: Final = 24
"""Of a path; what is deeper stands for a rest."""
MOST_CHILDREN: Final = 1000
"""Words at one position."""
MOST_NODES: Final = 150_000
FEWEST_CHILDREN: Final = 16
"""Folding never makes a value of fewer words than this."""
SAMPLES: Final = 32
"""Values remembered at one position, to know how often one is asked for."""
STANDS_OUT: Final = 20
"""So many times the usual traffic of its neighbours makes a word a name, when the others are folded."""
REST: Final = "\0..."


class Node:
    """One position: what was asked for exactly here, and what follows."""

    __slots__ = ("children", "hits", "kinds", "open", "ops", "sampled", "samples")

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.ops: dict[str, int] = {}
        """Requests that end here, by method."""
        self.hits = 0
        """Requests that end here or below."""
        self.open = False
        """Have there been so many words that new ones are values at once?"""
        self.samples: set[str] | None = None
        """Of a value: the first few that were seen."""
        self.sampled = 0
        """Hits of these."""
        self.kinds: Counter[str] | None = None
        """Of a value: what kinds were seen, by distinct values."""

    def size(self) -> int:
        return 1 + sum(child.size() for child in self.children.values())

    def usual(self) -> float:
        """How often one value is asked for."""
        return self.sampled / len(self.samples) if self.samples else float(self.hits)

    def remember(self, value: str, kind: str, hits: int) -> None:
        """Note a value at this position."""
        if self.samples is None:
            self.samples = set()
        if value not in self.samples:
            if len(self.samples) >= SAMPLES:
                return
            self.samples.add(value)
            self.kinds = Counter() if self.kinds is None else self.kinds
            self.kinds[kind] += 1
        self.sampled += hits

    def absorb(self, other: Node) -> None:
        """Take in everything of another node, which must not be used afterwards."""
        self.hits += other.hits
        self.open = self.open or other.open
        for method, count in other.ops.items():
            self.ops[method] = self.ops.get(method, 0) + count
        for key, child in other.children.items():
            mine = self.children.get(key)
            if mine is None:
                self.children[key] = child
            else:
                mine.absorb(child)
        if other.samples:
            self._absorb_samples(other)

    def _absorb_samples(self, other: Node) -> None:
        mine = self.samples or set()
        other_samples = other.samples or set()
        self.samples = set(sorted(mine | other_samples)[: 4 * SAMPLES])
        self.sampled += other.sampled
        self.kinds = (self.kinds or Counter()) + (other.kinds or Counter())


class Trie:
    """The tree, with its bounds."""

    def __init__(self, most_nodes: int = MOST_NODES, most_children: int = MOST_CHILDREN) -> None:
        self.root = Node()
        self.folded = 0
        """How often words had to be folded because they were too many."""
        self.lost = 0
        """Requests that had no room any more."""
        self._closed = False
        self._most_nodes = most_nodes
        self._most_children = most_children
        self._nodes = 1

    def add(self, method: str, segments: Sequence[str], count: int) -> None:
        """`count` requests for a path, given as segments in normal form."""
        node: Node | None = self.root
        for depth, segment in enumerate(segments):
            assert node is not None  # noqa: S101 - the loop ends when there is none
            node.hits += count
            node = self._child(node, REST) if depth == MOST_SEGMENTS else self._step(node, segment, count)
            if node is None:
                self.lost += count
                return
            if depth == MOST_SEGMENTS:
                break
        assert node is not None  # noqa: S101 - as above
        node.hits += count
        node.ops[method] = node.ops.get(method, 0) + count
        if self._nodes > self._most_nodes and not self._closed:
            self._shrink()

    def _step(self, node: Node, segment: str, count: int) -> Node | None:
        key = key_of(segment)
        if key == segment and key and key not in node.children and self._is_open(node):
            key = key if key.lower() in NAMES else VALUE
        child = self._child(node, key)
        if child is not None and key != segment:
            child.remember(segment, kind_of(segment) or "word", count)
        return child

    def _child(self, node: Node, key: str) -> Node | None:
        """The node behind a key; None when it would be a new one and there is no room."""
        child = node.children.get(key)
        if child is None and not self._closed:
            child = node.children[key] = Node()
            self._nodes += 1
        return child

    def _is_open(self, node: Node) -> bool:
        """Is a new word a value here?  Words that have become too many are made one value first."""
        if not node.open and len(node.children) >= self._most_children:
            self.folded += 1
            self._nodes -= node.size()
            fold_words(node, STANDS_OUT)
            self._nodes += node.size()
        return node.open

    def _shrink(self) -> None:
        """Fold ever smaller families until there is room again."""
        while self._nodes > self._most_nodes * 3 // 4:
            self._most_children = max(self._most_children // 2, FEWEST_CHILDREN)
            self.folded += 1
            for node in list(walk(self.root)):
                if len(node.children) > self._most_children:
                    fold_words(node, STANDS_OUT)
            self._nodes = self.root.size()
            if self._most_children == FEWEST_CHILDREN:
                break
        self._closed = self._nodes > self._most_nodes * 3 // 4


def fold_words(node: Node, stands_out: float) -> None:
    """Make one value of the words below a node, except of those that stand out."""
    words = {key: child for key, child in node.children.items() if VALUE not in key and key}
    node.open = True
    if not words:
        return
    typical = sorted(child.hits for child in words.values())[len(words) // 2]
    value = node.children.setdefault(VALUE, Node())
    for key, child in words.items():
        if child.hits < stands_out * typical and key.lower() not in NAMES:
            take_word(node, key, value)


def take_word(node: Node, key: str, value: Node) -> None:
    """One word below a node becomes one of its values."""
    child = node.children.pop(key)
    value.remember(key, "word", child.hits)
    value.absorb(child)


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.children.values())

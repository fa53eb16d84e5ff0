"""A tree that cannot grow without end."""

from __future__ import annotations

from discovery.core.shapes import VALUE
from discovery.core.trie import MOST_SEGMENTS, REST, Trie


def test_values_are_one_child_however_many_there_are() -> None:
    """A million numbers at one position are one node, and a few of them are remembered."""
    trie = Trie()
    for number in range(5000):
        trie.add("GET", ["products", str(number)], 2)
    products = trie.root.children["products"]
    assert list(products.children) == [VALUE]
    assert products.children[VALUE].ops == {"GET": 10_000}
    assert products.children[VALUE].usual() == 2.0


def test_too_many_words_become_one_value_but_names_stay() -> None:
    """What everybody asks for stays apart, and so does what APIs call their operations everywhere."""
    trie = Trie(most_children=100)
    trie.add("GET", ["users", "alice-in-wonderland"], 5000)
    trie.add("GET", ["users", "me"], 1)
    for number in range(500):
        trie.add("GET", ["users", f"user{'abcdefghij'[number % 10]}{'x' * (number // 10)}"], 1)
    trie.add("GET", ["users", "search"], 1)
    assert set(trie.root.children["users"].children) == {VALUE, "alice-in-wonderland", "me", "search"}
    assert trie.root.hits == 5502
    assert trie.folded == 1


def test_the_whole_tree_is_bounded() -> None:
    """Two hundred thousand different paths, all of them words, leave a small tree; no request is forgotten unsaid."""
    trie = Trie(most_nodes=2000, most_children=50)
    letters = "abcdefghijklmnopqrst"
    total = 0
    for number in range(20_000):
        parts = [
            letters[number % 20] * 2,
            letters[number // 20 % 20] * 3,
            letters[number // 400 % 20] * 4,
            f"w{'z' * (number // 8000)}",
        ]
        trie.add("GET", [*parts, letters[number % 17] * 5], 1)
        total += 1
    assert trie.root.size() <= 2000
    assert total == trie.root.hits


def test_a_tree_that_cannot_be_folded_closes() -> None:
    """When even folding makes no room, new paths are counted as lost, and known ones go on."""
    trie = Trie(most_nodes=40, most_children=1000)
    for number in range(30):
        trie.add("GET", ["a" * (number + 1), "x", "y", "z"], 1)
    trie.add("GET", ["brand", "new", "path", "of", "words", "that", "has", "no", "room"], 7)
    assert trie.root.size() <= 60
    assert trie.lost >= 0
    assert trie.root.hits == 37


def test_endless_paths_end_in_a_rest() -> None:
    """What lies deeper than any API does is one rest."""
    trie = Trie()
    trie.add("GET", ["a"] * 5000, 3)
    node = trie.root
    for _ in range(MOST_SEGMENTS):
        node = node.children["a"]
    assert node.children[REST].ops == {"GET": 3}

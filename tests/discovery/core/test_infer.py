"""Names and values."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from discovery.core.infer import guesses, infer
from discovery.core.naming import template
from discovery.core.trie import Trie

_FRUIT = "apple banana cherry date elderberry fig grape honeydew imbe jackfruit kiwi lemon mango orange papaya plum"
FRUIT = _FRUIT.split()


def inferred(*requests: tuple[str, int]) -> dict[str, int]:
    """Operations with their requests, from `GET /a/b` and how often that was asked for."""
    return _inferred(requests)[0]


def _inferred(requests: Iterable[tuple[str, int]]) -> tuple[dict[str, int], list[str]]:
    trie = Trie()
    for request, count in requests:
        method, path = request.split(" ")
        trie.add(method, path[1:].split("/"), count)
    inference = infer(trie.root)
    found = {f"{guess.method} {template(guess.keys, guess.kinds)}": guess.requests for guess in guesses(trie.root)}
    return found, ["/".join(doubt.where) for doubt in inference.doubts]


def test_a_name_beside_values_stays_a_name_when_it_is_asked_for_more() -> None:
    """`special-offers` is asked for fifty times as often as any product."""
    found = inferred(
        *((f"GET /shop/products/{number}", 2) for number in range(50)), ("GET /shop/products/special-offers", 100)
    )
    assert found == {"GET /shop/products/{productId}": 100, "GET /shop/products/special-offers": 100}


def test_a_word_beside_values_is_one_of_them_when_it_is_like_them() -> None:
    """A SKU may be a plain word; it is asked for as often as the others, and for nothing else."""
    found = inferred(*((f"GET /shop/products/{number}", 3) for number in range(50)), ("GET /shop/products/umbrella", 3))
    assert found == {"GET /shop/products/{productId}": 153}


@pytest.mark.parametrize("word", ["search", "me", "Count"])
def test_words_that_are_names_everywhere_are_never_values(word: str) -> None:
    """However seldom it is asked for, `search` is an operation."""
    found = inferred(*((f"GET /shop/products/{number}", 3) for number in range(50)), (f"GET /shop/products/{word}", 1))
    assert found[f"GET /shop/products/{word}"] == 1


def test_a_word_with_operations_of_its_own_is_a_name() -> None:
    """Nothing but `cart` can be posted to, so it is none of the ids."""
    found = inferred(*((f"GET /shop/{number}/x", 1) for number in range(50)), ("POST /shop/cart/x", 1))
    assert "POST /shop/cart/x" in found


def test_words_of_which_ever_new_ones_turn_up_are_values() -> None:
    """Fruit that hardly anybody asks for twice are no operations of an API."""
    found = inferred(*((f"GET /v1/fruit/{word}", 1) for word in FRUIT), ("GET /v1/fruit/search", 40))
    assert found == {"GET /v1/fruit/{fruit}": len(FRUIT), "GET /v1/fruit/search": 40}


def test_operations_that_are_called_often_are_names_however_many() -> None:
    """Sixteen resources with one signature, each asked for regularly, stay sixteen."""
    found = inferred(*((f"GET /v1/{word}", 20) for word in FRUIT), *((f"GET /v1/{word}/list", 9) for word in FRUIT))
    assert len(found) == 2 * len(FRUIT)


def test_values_may_lie_below_values() -> None:
    """Users and their orders are two parameters, and what hangs below belongs to all of them."""
    requests = [(f"GET /users/{number}/orders/{number * 7}/items", 1) for number in range(100, 140)]
    assert inferred(*requests) == {"GET /users/{userId}/orders/{orderId}/items": 40}


def test_the_first_segment_is_no_parameter_on_weak_evidence() -> None:
    """One odd path at the top, or behind `/api/v1`, must not become a route that takes in everything."""
    assert inferred(("GET /4711", 1), ("GET /about", 1)) == {"GET /about": 1}
    assert inferred(("GET /api/v1/%1B%00", 1), ("GET /api/v1/about", 1)) == {"GET /api/v1/about": 1}
    assert "GET /{id}" in inferred(*((f"GET /{number}", 1) for number in range(20)))


def test_what_can_be_created_and_deleted_is_an_item() -> None:
    """An article's title is a value even when there is only one article."""
    title = "/articles/how-to-train-your-dragon"
    found = inferred(("GET /articles", 1), ("POST /articles", 1), (f"GET {title}", 1), (f"DELETE {title}", 1))
    assert set(found) == {"GET /articles", "POST /articles", "GET /articles/{article}", "DELETE /articles/{article}"}


def test_escaped_words_are_values_when_there_are_some() -> None:
    """Three Korean words are search terms; a single one may be a name."""
    words = ["%EC%83%81", "%ED%92%88", "%EA%B0%80"]
    assert inferred(*((f"GET /find/{word}", 1) for word in words)) == {"GET /find/{find}": 3}
    assert inferred((f"GET /find/{words[0]}", 9)) == {f"GET /find/{words[0]}": 9}


def test_what_cannot_be_known_is_said() -> None:
    """A few words that look alike stay names, and people are told."""
    found, doubts = _inferred([("GET /auth/alice/pw", 5), ("GET /auth/bob/secret", 5), ("GET /auth/carol/word", 5)])
    assert len(found) == 3
    assert doubts == ["auth"]

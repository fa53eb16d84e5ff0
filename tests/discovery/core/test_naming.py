"""Templates as people read them."""

from __future__ import annotations

import pytest

from discovery.core.naming import camel, singular, slug, template
from discovery.core.shapes import VALUE
from discovery.core.trie import REST
from router.core.template import parse_template


@pytest.mark.parametrize(
    ("keys", "kinds", "text"),
    [
        (("products", VALUE), ("", "id"), "/products/{productId}"),
        (("gift-cards", VALUE), ("", "id"), "/gift-cards/{giftCardId}"),
        (("v1", VALUE), ("", "id"), "/v1/{id}"),
        (("a", VALUE, VALUE), ("", "id", "id"), "/a/{aId}/{aId2}"),
        (("days", VALUE), ("", "date"), "/days/{date}"),
        (("carts", f"key={VALUE}"), ("", "text"), "/carts/key={key}"),
        (("reports", f"{VALUE}.json"), ("", "id"), "/reports/{report}.json"),
        (("compare", f"{VALUE}...{VALUE}"), ("", "id"), "/compare/{compareId}...{compareId2}"),
        (("a", REST), ("", ""), "/a/{rest...}"),
        (("",), ("",), "/"),
    ],
)
def test_a_parameter_is_named_after_what_stands_before_it(
    keys: tuple[str, ...], kinds: tuple[str, ...], text: str
) -> None:
    """The names are read by people, each stands once, and the router can read the whole."""
    assert text == template(keys, kinds)
    assert parse_template(text)


def test_words_are_made_single_where_that_is_safe() -> None:
    """English only; a wrong name harms nobody."""
    assert ["category", "address", "box", "status", "user", "bus"] == [
        singular(word) for word in ("categories", "addresses", "boxes", "status", "users", "bus")
    ]
    assert camel("Gift-cards_of") == "giftCardsOf"


def test_a_group_is_named_with_what_may_name_one() -> None:
    """Anything else goes; of a text in another alphabet nothing is left."""
    assert slug("User and Authentication") == "user-and-authentication"
    assert slug("상품") == ""
    assert len(slug("x" * 500)) == 64

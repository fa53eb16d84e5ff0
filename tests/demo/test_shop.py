"""The demo's shop keeps its books straight."""

from __future__ import annotations

from demo.shop import Shop


def test_the_assortment_is_the_same_on_every_start() -> None:
    """Two shops sell the same things at the same prices, or old and new side would disagree."""
    assert Shop().products == Shop().products


def test_every_product_is_on_exactly_one_page() -> None:
    """Paging neither loses nor repeats a product."""
    shop = Shop()
    seen = [product.number for page in range(1, 6) for product in shop.page(page)]
    assert sorted(shop.products) == seen


def test_search_wants_every_word() -> None:
    """Searching for two words finds the products that have both."""
    assert ["Mirae kettle"] == [product.name for product in Shop().search("KETTLE mirae")]


def test_buying_empties_the_cart_and_keeps_the_total() -> None:
    """The order costs what the cart cost, and the cart is gone."""
    shop = Shop()
    shop.add("c1", 1001, 2)
    shop.add("c1", 1001, 1)
    order = shop.buy("c1")
    assert order is not None
    assert 3 * shop.products[1001].price == order.total
    assert [] == shop.cart_view("c1")["items"]


def test_an_empty_cart_cannot_be_bought() -> None:
    """No cart, no order; the same for a cart whose things were taken out again."""
    shop = Shop()
    shop.add("c1", 1001, 1)
    shop.remove("c1", 1001)
    assert (None, None) == (shop.buy("c1"), shop.buy("never seen"))

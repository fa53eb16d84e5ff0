"""What the demo's shop sells and remembers: plain values, no network, no clock.

The legacy shop and the new services hold the same `Shop`, as they would share a database in the first years of a
migration.  Nothing here is meant for real use; it exists so that the router has something believable to stand
in front of.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

_MAKERS = ("Hanbit", "Norden", "Mirae", "Atlas", "Sora", "Piran")
_THINGS = ("kettle", "desk lamp", "rain jacket", "headphones", "backpack", "notebook", "running shoes", "tea set")
_CATEGORIES = ("kitchen", "home", "outdoor", "audio", "travel", "office", "sports", "kitchen")
_SALT = 7919  # a prime: prices look random and are the same on every start


@dataclass(frozen=True, slots=True)
class Product:
    """One thing for sale; the price in cents."""

    number: int
    name: str
    category: str
    price: int

    def view(self) -> dict[str, object]:
        return {"productNo": self.number, "name": self.name, "category": self.category, "price": self.price / 100}


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody bought."""

    number: int
    cart: str
    total: int

    def view(self) -> dict[str, object]:
        return {"orderNo": self.number, "cartId": self.cart, "total": self.total / 100}


def _assortment() -> dict[int, Product]:
    pairs = itertools.product(_MAKERS, zip(_THINGS, _CATEGORIES, strict=True))
    return {
        number: Product(number, f"{maker} {thing}", category, 900 + number * _SALT % 20_000)
        for number, (maker, (thing, category)) in enumerate(pairs, start=1001)
    }


@dataclass(slots=True)
class Shop:
    """Everything that both sides know."""

    products: dict[int, Product] = field(default_factory=_assortment)
    carts: dict[str, dict[int, int]] = field(default_factory=dict)
    """Per cart: product number → quantity."""
    orders: dict[int, Order] = field(default_factory=dict)

    def categories(self) -> list[str]:
        return sorted({product.category for product in self.products.values()})

    def page(self, number: int, size: int = 12) -> list[Product]:
        return list(self.products.values())[max(0, number - 1) * size :][:size]

    def search(self, words: str) -> list[Product]:
        wanted = words.lower().split()
        return [p for p in self.products.values() if all(word in p.name.lower() for word in wanted)]

    def add(self, cart: str, number: int, quantity: int) -> None:
        lines = self.carts.setdefault(cart, {})
        lines[number] = lines.get(number, 0) + quantity

    def remove(self, cart: str, number: int) -> None:
        self.carts.get(cart, {}).pop(number, None)

    def cart_view(self, cart: str) -> dict[str, object]:
        lines = self.carts.get(cart, {})
        items = [{"product": self.products[number].view(), "quantity": count} for number, count in lines.items()]
        return {"cartId": cart, "items": items, "total": self._total(cart) / 100}

    def buy(self, cart: str) -> Order | None:
        """Turns a cart into an order; None when there is nothing in it."""
        if not self.carts.get(cart):
            return None
        order = Order(number=len(self.orders) + 50_001, cart=cart, total=self._total(cart))
        self.orders[order.number] = order
        del self.carts[cart]
        return order

    def _total(self, cart: str) -> int:
        return sum(self.products[number].price * count for number, count in self.carts.get(cart, {}).items())

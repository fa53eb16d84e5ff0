"""What comparing two answers costs: bodies of JSON from half a kilobyte to fifty, equal, nearly equal and with a rule.

    .venv/bin/python bench/compare.py

Prints microseconds per comparison, the best of several rounds, as in docs/shadow.md.
"""

from __future__ import annotations

import json
import timeit
from typing import Any, Final

from rollout.core.compare.pair import compare
from rollout.core.compare.policy import Level, Policy
from rollout.core.compare.values import Answer, Asked
from router.core.comparing import ArrayMode, Comparing, Rule, Treat

SIZES: Final = {"0.6 KB": 3, "5 KB": 31, "53 KB": 330}
ROUNDS: Final = 150
"""Short ones and many of them: the best one is that which nothing else disturbed."""

_HEADERS: Final = (
    ("Date", "Sun, 22 Nov 2026 07:10:16 GMT"),
    ("Server", "gunicorn"),
    ("Content-Type", "application/json"),
    ("Content-Length", "5221"),
    ("Cache-Control", "private, max-age=60"),
    ("Vary", "Accept, Origin"),
    ("Set-Cookie", "sid=3f0b7b1e; Path=/; HttpOnly"),
)


def document(items: int) -> dict[str, Any]:
    return {
        "items": [
            {
                "id": 100 + index,
                "sku": f"SKU-{index:05d}",
                "name": f"Product number {index} with a name",
                "price": round(index * 1.07, 2),
                "inStock": index % 2 == 0,
                "tags": ["a", "b"],
                "updated": "2026-11-22T07:10:16Z",
            }
            for index in range(items)
        ],
        "total": items,
        "next": None,
    }


def answers(items: int) -> dict[str, tuple[Answer, Answer]]:
    legacy, changed = document(items), document(items)
    for index, (key, value) in enumerate((("price", 1.5), ("name", "x"), ("inStock", None))):
        changed["items"][index % items][key] = value
    spaced = json.dumps(legacy, sort_keys=True).encode()
    raw = json.dumps(legacy).encode()
    return {
        "equal bytes": (_answer(raw), _answer(bytes(raw))),
        "equal, written otherwise": (_answer(raw), _answer(spaced)),
        "three differences": (_answer(raw), _answer(json.dumps(changed).encode())),
    }


def _answer(body: bytes) -> Answer:
    return Answer(200, _HEADERS, body)


def cost(legacy: Answer, new: Answer, policy: Policy) -> float:
    asked = Asked("GET", "shop.example.com", "/v1/products")
    number = 10
    rounds = timeit.repeat(lambda: compare(legacy, new, policy, asked), number=number, repeat=ROUNDS)
    return min(rounds) / number * 1e6


def main() -> None:
    rules = (
        Rule("$.items", Treat.ARRAY, "a", "b", 1.0, array=ArrayMode.AUTO),
        Rule("$.items[*].price", Treat.TOLERANCE, "a", "b", 1.0, absolute=0.01),
        Rule("$..updated", Treat.TIME_TOLERANCE, "a", "b", 1.0, seconds=5.0),
    )
    policies = {"no rules": Policy(), "three rules": Policy([Level("route", Comparing(rules=rules))])}
    for size, items in SIZES.items():
        for what, (legacy, new) in answers(items).items():
            for name, policy in policies.items():
                print(f"{size:7} {len(legacy.body):6} bytes  {what:25} {name:12} {cost(legacy, new, policy):8.1f} µs")


if __name__ == "__main__":
    main()

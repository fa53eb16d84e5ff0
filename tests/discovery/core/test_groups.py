"""Which operations belong together."""

from __future__ import annotations

from discovery.core.groups import grouped
from discovery.core.survey import Operation, Standing


def one(path: str, tag: str = "", requests: int = 1) -> Operation:
    return Operation(("GET",), path, Standing.BOTH, requests, tag=tag)


def sizes(operations: list[Operation], by: str = "") -> dict[str, int]:
    return {name: len(members) for name, members in grouped(operations, by).items()}


def test_what_all_paths_begin_with_names_no_group() -> None:
    """`/rest/default/V1` stands before everything, `carts` tells something."""
    paths = [
        f"/rest/default/V1/{thing}/{{id}}/{what}" for thing in ("carts", "orders", "products") for what in "abcdefgh"
    ]
    assert sizes([one(path) for path in paths]) == {"carts": 8, "orders": 8, "products": 8}


def test_two_apis_in_one_file_are_divided_each_for_itself() -> None:
    """Neither `/V1` nor `/api/v2/platform` becomes one enormous group."""
    adobe = [f"/shop/{thing}/x{number}" for thing in ("carts", "orders") for number in range(90)]
    spree = [f"/api/v2/platform/{thing}/x{number}" for thing in ("taxons", "users") for number in range(90)]
    assert sizes([one(path) for path in (*adobe, *spree)]) == {"carts": 90, "orders": 90, "taxons": 90, "users": 90}


def test_a_few_operations_stay_one_group() -> None:
    """An API of orders alone is not taken apart into its sub-resources."""
    assert sizes([one("/orders"), one("/orders/{id}"), one("/orders/{id}/items"), one("/")]) == {
        "orders": 3,
        "other": 1,
    }


def test_tags_are_taken_where_they_say_something() -> None:
    """What has none goes with its neighbours; a tag for each path says nothing."""
    tagged = [
        one("/a/x", "Cart"),
        one("/a/y", "Cart"),
        one("/b/x", "Order Items"),
        one("/b/y", "Order Items"),
        one("/a/z"),
    ]
    assert sizes(tagged) == {"cart": 3, "order-items": 2}
    assert sizes([one(f"/a/{number}", f"tag {number}") for number in range(6)]) == {"a": 6}
    assert sizes(tagged, "prefix") == {"a": 3, "b": 2}


def test_a_tag_that_cannot_name_a_group_gives_way_to_the_prefix() -> None:
    """Names of groups are ASCII; nothing else of the tag reaches the file."""
    assert sizes([one("/carts/x", "장바구니"), one("/carts/y", "장바구니")], "tag") == {"carts": 2}
    assert sizes([one("/a/x", "\x1b[31m\n"), one("/a/y", "\x1b[31m\n")], "tag") == {"31m": 2}


def test_the_busiest_come_first() -> None:
    """Groups, and operations within them."""
    found = grouped([one("/a/x", requests=1), one("/b/x", requests=5), one("/b/y", requests=9)], "prefix")
    assert list(found) == ["b", "a"]
    assert [each.path for each in found["b"]] == ["/b/y", "/b/x"]

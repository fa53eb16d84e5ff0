"""The packed tree: what it finds is what the tree finds (`test_match` asks both); here is what is its own."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.explain import compiled
from router.core.model import Route, Table
from router.core.packed import Packer
from tests.router.core.tables import naive_find, packed, requests, tables


def table_of(*paths: str, methods: tuple[str, ...] = ("GET",)) -> Table:
    return Table(legacy="old", upstreams={}, routes=tuple(Route(path, path, "old", methods=methods) for path in paths))


def found(table: Table, path: bytes, method: bytes = b"GET") -> str | None:
    tree = packed(table)
    place = tree.find(b"", path[1:].split(b"/"), method)
    return table.routes[tree.number(place)].name if place else None


@given(tables(most=12), st.lists(requests, min_size=1, max_size=12), st.integers(1, 7))
def test_packed_in_pieces_of_any_size_it_finds_what_the_rules_say(
    table: Table, asked: list[Any], positions: int
) -> None:
    """A worker serves between the pieces, so where they end must not matter."""
    tree = packed(table, positions)
    for request in asked:
        place = tree.find(*request)
        assert naive_find(table.routes, *request) == (tree.number(place) if place else None)


def test_a_position_with_thousands_of_literals_tells_them_apart() -> None:
    """Whatever their hashes have in common; and none of them is taken for one that is not there."""
    names = ["".join(letters) for letters in product("abcdefghij", repeat=3)] + [str(number) for number in range(2000)]
    table = table_of(*(f"/v1/{name}/{{id}}" for name in names))
    tree = packed(table)
    for index, name in enumerate(names):
        assert index == tree.number(tree.find(b"", [b"v1", name.encode(), b"7"], b"GET"))
    assert not any(tree.find(b"", [b"v1", b"x" + name.encode(), b"7"], b"GET") for name in names)


@pytest.mark.parametrize("length", [0, 1, 7, 255, 256, 70_000])
def test_a_literal_may_have_any_length(length: int) -> None:
    """One that is a byte longer or shorter is another one."""
    text = "y" * length
    table = table_of(f"/{text}/end", "/other")
    assert f"/{text}/end" == found(table, b"/" + text.encode() + b"/end")
    assert found(table, b"/" + text.encode() + b"y/end") is None
    if length:
        assert found(table, b"/" + text[1:].encode() + b"/end") is None


def test_a_segment_longer_than_every_literal_is_a_parameter_at_once() -> None:
    """It is not even hashed; and what lies behind the last literal is not read past its end."""
    table = table_of("/a", "/{id}")
    assert "/{id}" == found(table, b"/" + b"a" * 100_000)


def test_a_template_of_thousands_of_segments_is_packed() -> None:
    """By a list of positions rather than by calls within calls."""
    path = "/a" * 5000
    assert path == found(table_of(path), path.encode())


def test_routes_that_end_at_one_position_are_told_apart_by_method() -> None:
    """There, as at any other, the method may be one of several routes', or one of several of one route."""
    some = [Route(method, "/a/{x}", "old", methods=(method,)) for method in ("GET", "PUT")]
    many = Route("many", "/b", "old", methods=("POST", "DELETE"))
    below = Route("below", "/b/c", "old", methods=("GET",))
    table = Table(legacy="old", upstreams={}, routes=(*some, many, below))
    asked = [
        (b"/a/1", b"GET"),
        (b"/a/1", b"PUT"),
        (b"/a/1", b"POST"),
        (b"/b", b"DELETE"),
        (b"/b", b"GET"),
        (b"/b/c", b"GET"),
    ]
    assert ["GET", "PUT", None, "many", None, "below"] == [found(table, *each) for each in asked]


def test_a_card_stands_where_its_route_is_found() -> None:
    """Numbers of 4 bytes, texts with their length before them, in any number."""
    cards = {0: b"\x01\x02\x03\x04" + b"\x05\0\0\0first", 1: b"\xff\xff\xff\xff" + b"\0\0\0\0"}
    tree = Packer(compiled(table_of("/one", "/two")), cards.__getitem__).finish()
    one, two = (tree.find(b"", [name], b"GET") for name in (b"one", b"two"))
    assert (0x04030201, b"first") == (tree.number(one), tree.text(one + 4))
    assert (0xFFFFFFFF, b"") == (tree.number(two), tree.text(two + 4))


def test_no_routes_find_nothing() -> None:
    """Neither before a table has come nor when it is empty."""
    assert found(table_of(), b"/a") is None

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
from router.core.split import bucket
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


@pytest.mark.parametrize(("before", "after"), [("key=", ""), ("", ".json"), ("ab", "ba"), ("x" * 255, "y" * 255)])
def test_a_parameter_between_two_texts_takes_at_least_one_byte(before: str, after: str) -> None:
    """Any text fits that begins and ends so, as long as the two do not share a byte of it."""
    table = table_of(f"/v1/{before}{{x}}{after}/end", "/v1/{any}")
    for middle in ("m", "=", before, after, before + after, "\n"):
        asked = f"/v1/{before}{middle}{after}/end".encode()
        assert (table.routes[0].name if middle else None) == found(table, asked)
    short = (before + after, before + after[1:], (before + "m" + after)[1:-1], "")
    for wrong in (*short, "m" + before + "m" + after + "m"):
        assert found(table, f"/v1/{wrong}/end".encode()) is None
        assert (table.routes[1].name if wrong else None) == found(table, f"/v1/{wrong}".encode())


def test_a_parameter_between_texts_of_any_length() -> None:
    """256 bytes and more, and several parameters, which are told by patterns."""
    long = "x" * 256
    table = table_of(f"/{long}{{a}}", f"/{{a}}{long}", "/{a}-{b}", "/{a}..{b}", "/{a}")
    asked = [long + "1", "1" + long, "1-2", "1..2", "-1", long]
    assert [0, 1, 2, 3, 4, 4] == [
        [route.name for route in table.routes].index(found(table, b"/" + each.encode()) or "") for each in asked
    ]


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
    assert (0x504030201, 0xFFFFFFFF) == tuple(tree.wide(place) % 2**64 for place in (one, two))


@pytest.mark.parametrize("number", [0, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_number_of_8_bytes_is_a_seed_like_any_other(number: int) -> None:
    """Also where it comes back negative, as it does from compiled code."""
    tree = Packer(compiled(table_of("/a")), lambda _: number.to_bytes(8, "little")).finish()
    found = tree.wide(tree.find(b"", [b"a"], b"GET"))
    assert number == found % 2**64
    assert bucket(b"user-1", number) == bucket(b"user-1", found) == bucket(b"user-1", number - 2**64)


def test_no_routes_find_nothing() -> None:
    """Neither before a table has come nor when it is empty."""
    assert found(table_of(), b"/a") is None

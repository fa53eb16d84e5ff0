"""router.core.comparing: how the places of rules are written."""

from __future__ import annotations

import pytest

from router.core.comparing import ANY, DEEP, ITEM, read_header_path, read_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$", ()),
        ("$.items[*].price", ("items", ITEM, "price")),
        ("$.*", (ANY,)),
        ("$['odd name'].x-y", ("odd name", "x-y")),
        ("$..traceId", (DEEP, "traceId")),
        ("$.a..b[*]", ("a", DEEP, "b", ITEM)),
        ("items", None),
        ("$items", None),
        ("$.items[0]", None),
        ("$..a..b", None),
        ("$.", None),
        ("", None),
    ],
)
def test_a_path_is_read_or_it_is_none(text: str, expected: tuple[str, ...] | None) -> None:
    """Members, items, any member, quoted members, one jump to any depth; single items cannot be named."""
    assert expected == read_path(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("header:Location", "location"), ("header:", None), ("header:a b", None), ("$.a", None)]
)
def test_a_header_is_named_by_its_field(text: str, expected: str | None) -> None:
    """In any case of letters."""
    assert expected == read_header_path(text)

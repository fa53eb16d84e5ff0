"""rollout.core.compare.masking: what people may see."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.compare.masking import MASK, card_number, curl, masked, masked_target, masked_text


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig",
        "jane.doe@example.com",
        "GB33BUKB20201555555555",
        "4111 1111 1111 1111",
        "Bearer abcdef",
    ],
)
def test_what_looks_secret_is_masked_wherever_it_stands(secret: str) -> None:
    """Tokens, addresses, account and card numbers, also inside of a text."""
    assert secret not in masked_text(f"it is {secret}, really")
    assert MASK in masked_text(secret)


def test_what_is_called_secret_is_masked_whatever_it_looks_like() -> None:
    """Names of members decide, on every level."""
    shown = masked({"user": {"Password": "hunter2", "sessionId": 7, "name": "Jane"}, "phone": ["1", "2"]})
    assert {"user": {"Password": MASK, "sessionId": MASK, "name": "Jane"}, "phone": MASK} == shown


def test_a_sample_is_bounded() -> None:
    """Long texts, long lists, many members, great depth."""
    deep: object = 1
    for _ in range(100):
        deep = {"a": deep}
    assert len(json.dumps(masked({"t": "x" * 10_000, "l": list(range(10_000)), "d": deep}))) < 2000


@pytest.mark.parametrize(
    ("text", "expected"), [("4111111111111111", True), ("4111111111111112", False), ("1" * 8, False), ("a" * 16, False)]
)
def test_a_card_number_is_one_by_its_check_digit(text: str, expected: bool) -> None:
    """Other long numbers stay readable."""
    assert expected is card_number(text)


def test_a_query_keeps_its_shape_and_loses_its_secrets() -> None:
    """Names stay, so that the request can be understood."""
    assert f"/a?token={MASK}&page=2&q={MASK}&flag" == masked_target("/a?token=abc&page=2&q=a@b.example&flag")


def test_a_command_to_repeat_a_request_shows_no_secret() -> None:
    """Credentials are masked, the rest can be pasted."""
    text = curl("GET", "http://shop.example.com", "/a?b=1", [("Authorization", "Basic x"), ("Accept", "text/html")])
    assert f"curl -i -H 'Authorization: {MASK}' -H 'Accept: text/html' 'http://shop.example.com/a?b=1'" == text


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_command_is_one_command_whatever_the_request_held(name: str, value: str) -> None:
    """Quotes, line feeds and dollar signs of a request do nothing in a shell."""
    parts = shlex.split(curl("POST", "http://h", "/x", [(name, value)]))
    assert ["curl", "-i", "-X", "POST", "-H"] == parts[:5]
    assert ("http://h/x", 7) == (parts[6], len(parts))

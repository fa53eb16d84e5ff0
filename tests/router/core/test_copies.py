"""router.core.copies: which requests are copied, and how copies differ from them."""

from __future__ import annotations

import hashlib

import pytest

from router.core.capture import Count
from router.core.copies import copied_lines, has_credentials, unfit
from router.core.model import Credentials, Shadow

SHADOW = Shadow(1_000_000)
CAREFREE = Shadow(1_000_000, dangers=True)


@pytest.mark.parametrize(
    ("target", "lines", "expected"),
    [
        (b"/products/7?page=2", [b"Accept: */*"], None),
        (b"/users/logout", [], Count.DANGER),
        (b"/reset?token=abc", [], Count.DANGER),
        (b"/list?TOKEN=abc&page=2", [], Count.DANGER),
        (b"/list?page=token", [], None),
        (b"/a", [b'If-None-Match: "1"'], Count.CONDITIONAL),
        (b"/a", [b"if-modified-since : x"], Count.CONDITIONAL),
    ],
)
def test_a_request_is_fit_or_it_is_said_why_not(target: bytes, lines: list[bytes], expected: Count | None) -> None:
    """Words that look dangerous also where a template does not show them, and conditions that only one side knows."""
    assert expected is unfit(SHADOW, target, lines, upgrade=False)


def test_consent_covers_dangers_and_nothing_else() -> None:
    """A route that accepts them is copied; tunnels and conditions never are."""
    assert None is unfit(CAREFREE, b"/logout?token=1", [], upgrade=False)
    assert Count.UPGRADE is unfit(CAREFREE, b"/a", [], upgrade=True)
    assert Count.CONDITIONAL is unfit(CAREFREE, b"/a", [b"If-Match: 1"], upgrade=False)


ORIGINAL = [
    b"Host: shop",
    b"Authorization: Basic x",
    b"Cookie: sid=1",
    b"Idempotency-Key: k-1",
    b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"tracestate: a=b",
    b"Expect: 100-continue",
    b"Content-Length: 3",
    b"X-Request-Id: r-1",
]


def test_a_copy_says_that_it_is_one_and_carries_nothing_that_is_the_users() -> None:
    """No credentials, a derived key and trace, no wish for an interim answer; framing and identity stay."""
    copied = copied_lines(ORIGINAL, Credentials.STRIP, b"r-1")
    trace = hashlib.sha256(b"shadow:4bf92f3577b34da6a3ce929d0e0e4736").hexdigest()[:32].encode()
    assert [
        b"Host: shop",
        b"Idempotency-Key: shadow-" + hashlib.sha256(b"k-1").hexdigest().encode(),
        b"traceparent: 00-" + trace + b"-00f067aa0ba902b7-01",
        b"Content-Length: 3",
        b"X-Request-Id: r-1",
        b"X-Strangler-Shadow: 1",
    ] == copied


def test_credentials_go_along_where_the_route_says_so() -> None:
    """And never the key of an idempotent request as it was."""
    copied = copied_lines(ORIGINAL, Credentials.KEEP, b"r-1")
    assert {b"Authorization: Basic x", b"Cookie: sid=1"} <= set(copied)
    assert b"Idempotency-Key: k-1" not in copied


def test_a_copy_can_always_be_found_by_the_id_of_its_original() -> None:
    """The router's own id stands in where the client named none; a client cannot claim to be a copy."""
    copied = copied_lines([b"Host: a", b"X-Strangler-Shadow: 0", b"traceparent: odd"], Credentials.STRIP, b"r-9")
    assert [b"Host: a", b"traceparent: odd", b"X-Strangler-Shadow: 1", b"X-Request-Id: r-9"] == copied


def test_credentials_are_recognised_in_any_spelling() -> None:
    """Header names have no case."""
    assert has_credentials([b"COOKIE: a=1"])
    assert not has_credentials([b"X-Cookie: a=1"])

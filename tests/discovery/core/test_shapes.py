"""What a segment looks like."""

from __future__ import annotations

import pytest

from discovery.core.shapes import VALUE, foreign, key_of, kind_of


@pytest.mark.parametrize(
    "segment",
    [
        "0", "4711", "-12", "0.125", "-1.19e+16", "99999999999999999999", "550e8400-e29b-41d4-a716-446655440000",
        "550E8400E29B41D4A716446655440000", "5f43a2b1c9", "507f1f77bcf86cd799439011", "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "2026-11-22", "2026-11", "2026-11-22T07:10:15Z", "20261122T071015Z", "how-to-train-your-dragon-m9wqh5",
        "celeb_u14338430961", "order-12345", "prod_86OxBZMIl", "cus_9s6XKzkNRXKrUr", "a@example.com", "24-MB01",
        "SHA-256", "%F0%90%80", "%0C%F4", "%20x", "tAp9Zq3kLm2Xw8", "a" * 101, "---", "~",
    ],
)  # fmt: skip
def test_what_nobody_would_name_an_api_is_a_value(segment: str) -> None:
    """Numbers, UUIDs, hashes, dates, tokens, titles with a tail, addresses, codes and escaped text are values."""
    assert key_of(segment) == VALUE
    assert kind_of(segment) != ""


@pytest.mark.parametrize(
    "segment",
    [
        "", "products", "v1", "V2", "1.0", "me", "giftCards", "estimate-shipping-methods-by-address-id", "robots.txt",
        "sha256", "oauth2", "mode_sha256", "utf8", ".well-known", "logstash-monitorama-2013", "base-64", "p2p",
        "isEmailAvailable", "$metadata", "~user", "index.php", "cafe", "faded", "x-4k",
    ],
)  # fmt: skip
def test_what_may_be_a_name_stays_a_word(segment: str) -> None:
    """In doubt it is a word: a draft that is too long is better than one route that takes in many APIs."""
    assert key_of(segment) == segment
    assert kind_of(segment) == ""


@pytest.mark.parametrize(
    ("segment", "key"),
    [
        ("key=my-cart", f"key={VALUE}"),
        ("customer-id=4711", f"customer-id={VALUE}"),
        ("cart;jsessionid=AB12", f"cart;jsessionid={VALUE}"),
        ("4711.json", f"{VALUE}.json"),
        ("4711:cancel", f"{VALUE}:cancel"),
        ("deadbeef1...cafebabe2", f"{VALUE}...{VALUE}"),
    ],
)
def test_a_segment_may_be_a_value_in_part(segment: str, key: str) -> None:
    """The fixed part stays, the value goes."""
    assert key == key_of(segment)


def test_padding_is_no_name() -> None:
    """`dGVzdA==` is base64, not a value that is called `dGVzdA`."""
    assert key_of("dGVzdA==") == "dGVzdA=="


def test_words_in_other_letters_are_words_of_their_own_kind() -> None:
    """Hangul may be a name, but seldom is one."""
    hangul = "%EC%83%81%ED%92%88"
    assert hangul == key_of(hangul)
    assert foreign(hangul)
    assert not foreign("products")

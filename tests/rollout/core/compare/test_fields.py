"""rollout.core.compare.fields: header fields by what they mean."""

from __future__ import annotations

import pytest

from rollout.core.compare.fields import field_differences, fields_of, resolved, status_difference
from rollout.core.compare.values import Answer, Asked, Remark, Severity

ASKED = Asked("GET", "shop.example.com", "/a/b?c=1")


def differing(one: list[tuple[str, str]], two: list[tuple[str, str]], also: frozenset[str] = frozenset()) -> list[str]:
    legacy, new = (fields_of(Answer(200, tuple(headers))) for headers in (one, two))
    return [each.name for each in field_differences(legacy, new, ASKED, also, set())]


@pytest.mark.parametrize(
    ("name", "one", "two"),
    [
        ("Cache-Control", "max-age=60, private", "private,max-age=60"),
        ("Vary", "Accept, Origin", "origin,accept"),
        ("Allow", "GET, HEAD", "HEAD,GET"),
        ("ETag", '"1"', 'W/"x"'),
        ("Retry-After", "120", "Sun, 22 Nov 2026 07:40:05 GMT"),
        ("WWW-Authenticate", 'Digest realm="x", nonce="1"', 'Digest realm="x", nonce="2"'),
        ("Set-Cookie", "sid=1; Path=/; Expires=Sun, 22 Nov 2026 07:40:05 GMT", "sid=2; path=/; expires=never"),
        ("Content-Type", "application/json", "application/json; charset=utf-8"),
        ("Date", "now", "then"),
        ("X-Powered-By", "PHP", "Python"),
        ("Location", "http://shop.example.com:80/x", "/x"),
    ],
)
def test_what_means_the_same_is_no_difference(name: str, one: str, two: str) -> None:
    """Lists in any order, validators, times, nonces, cookie values, and fields that are nobody's promise."""
    assert [] == differing([(name, one)], [(name.lower(), two)])


@pytest.mark.parametrize(
    ("name", "one", "two"),
    [
        ("Cache-Control", "max-age=60", "max-age=61"),
        ("Set-Cookie", "sid=1; HttpOnly; Secure", "sid=1"),
        ("Set-Cookie", "sid=1; Path=/", "sid=1; Path=/a"),
        ("Content-Type", "application/json", "application/problem+json"),
        ("Content-Type", "text/html", "text/html; charset=latin1"),
        ("WWW-Authenticate", "Basic realm=x", "Bearer realm=x"),
        ("Location", "/x", "http://10.0.0.5:9000/x"),
        ("Access-Control-Allow-Origin", "*", "https://a.example"),
    ],
)
def test_what_clients_rely_on_is_a_difference(name: str, one: str, two: str) -> None:
    """A value that means something else, and a field that is there on one side only."""
    assert [name.lower()] == differing([(name, one)], [(name, two)])
    assert [name.lower()] == differing([(name, one)], [])


def test_a_further_field_is_compared_when_it_is_named() -> None:
    """Several lines of it are one list."""
    one, two = [("X-A", "1"), ("X-A", "2")], [("X-A", "1, 2")]
    assert [] == differing(one, two, frozenset({"x-a"}))
    assert ["x-a"] == differing(one, [("X-A", "1")], frozenset({"x-a"}))


def test_cookies_are_a_set() -> None:
    """Their order does not matter, a cookie too many does."""
    a, b = ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/")
    assert [] == differing([a, b], [b, a])
    assert ["set-cookie"] == differing([a, b], [a])


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/x", "/x"),
        ("x", "/a/x"),
        ("../x?y=1", "/x?y=1"),
        ("?d=2", "/a/b?d=2"),
        ("//shop.example.com/x", "/x"),
        ("https://SHOP.example.com", "/"),
        ("https://other.example.com/x", "https://other.example.com/x"),
    ],
)
def test_a_location_is_read_from_where_the_request_stood(location: str, expected: str) -> None:
    """Relative, without a scheme, absolute on the host that was asked, and elsewhere."""
    assert expected == resolved(location, ASKED)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (200, 200, None),
        (200, 201, Severity.MAJOR),
        (301, 302, Severity.MAJOR),
        (404, 405, Severity.MAJOR),
        (200, 404, Severity.CRITICAL),
        (200, 302, Severity.MAJOR),
        (503, 200, Severity.CRITICAL),
    ],
)
def test_a_status_weighs_by_what_clients_do_with_it(one: int, two: int, expected: Severity | None) -> None:
    """Success against error is critical, the rest is major."""
    found = status_difference(Answer(one), Answer(two))
    assert expected == (found.severity if found else None)


def test_an_etag_that_differs_is_remarked() -> None:
    """It is no difference, and not nothing either."""
    remarks: set[Remark] = set()
    assert [] == list(field_differences({"etag": "1"}, {"etag": "2"}, ASKED, frozenset(), remarks))
    assert {Remark.ETAG} == remarks

"""Buckets and subjects: the same number for ever, and shares that come out exactly."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import PPM, Source, SubjectSource
from router.core.split import SITE_SALT, bucket, cookie, header_names, links, pick_site, seed_of, subject

USER = SubjectSource(Source.HEADER, "X-User-Id")
SID = SubjectSource(Source.COOKIE, "sid")
ADDRESS = SubjectSource(Source.CLIENT_IP)
RANDOM = SubjectSource(Source.RANDOM)


def test_the_seed_is_plain_xxh64() -> None:
    """The published test vectors of the hash; another implementation computes the same buckets."""
    assert seed_of("") == 0xEF46DB3751D8E999
    assert seed_of("abc") == 0x44BC2CF5AD770999


@pytest.mark.parametrize(
    ("who", "seed_text", "expected"),
    [
        (b"user-1", "catalog", 651_739),
        (b"user-2", "catalog", 635_011),
        (b"user-1", "cart", 724_318),
        (b"", "", 500_636),
        ("김철수".encode(), "catalog", 804_149),
    ],
)
def test_a_bucket_never_changes(who: bytes, seed_text: str, expected: int) -> None:
    """Pinned for good: a new release or another machine must not move a single user."""
    assert expected == bucket(who, seed_of(seed_text))


@given(st.binary(max_size=64), st.text(max_size=20))
def test_every_subject_has_a_bucket_in_range(who: bytes, seed_text: str) -> None:
    """Whatever bytes a client sends as its name."""
    assert 0 <= bucket(who, seed_of(seed_text)) < PPM


def test_real_subjects_spread_evenly() -> None:
    """20,000 numbered users: each tenth of the buckets gets its tenth, within five standard deviations."""
    tenths = Counter(bucket(b"user-%d" % number, seed_of("catalog")) // 100_000 for number in range(20_000))
    assert all(2_000 - 5 * 43 < count < 2_000 + 5 * 43 for count in tenths.values())


def test_two_groups_draw_independently() -> None:
    """Being in the first half of one group says nothing about another group, nor about the site."""
    for other in ("cart", "catalog" + SITE_SALT):
        both = sum(
            bucket(b"user-%d" % number, seed_of("catalog")) < PPM // 2
            and bucket(b"user-%d" % number, seed_of(other)) < PPM // 2
            for number in range(20_000)
        )
        assert 5_000 - 5 * 62 < both < 5_000 + 5 * 62


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"sid=1", b"1"),
        (b"a=b; sid=1; sid=2", b"1"),
        (b"a=b;sid=1", b"1"),
        (b'sid="quoted"', b"quoted"),
        (b"sid=a=b", b"a=b"),
        (b"SID=1", None),
        (b"xsid=1", None),
        (b"sid=", None),
        (b"sid", None),
        (b"", None),
    ],
)
def test_the_first_cookie_of_the_name_counts(header: bytes, expected: bytes | None) -> None:
    """Names are case-sensitive, quotes are not part of the value, an empty value is none."""
    assert expected == cookie(header, b"sid")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({b"x-user-id": b"u", b"cookie": b"sid=s"}, (b"u", USER)),
        ({b"x-user-id": b"", b"cookie": b"sid=s"}, (b"s", SID)),
        ({b"cookie": b"other=s"}, (b"10.0.0.1", ADDRESS)),
    ],
)
def test_the_first_source_with_a_value_names_the_subject(
    headers: dict[bytes, bytes], expected: tuple[bytes, SubjectSource]
) -> None:
    """An empty header is no name; the chain goes on."""
    assert expected == subject(links((USER, SID, ADDRESS)), headers, b"10.0.0.1", b"chance")


def test_a_chain_knows_the_headers_it_looks_into() -> None:
    """So that a worker keeps only those; names of headers are compared in lower case."""
    assert {b"x-user-id", b"cookie"} == header_names(links((USER, SID, ADDRESS)))


def test_chance_is_only_used_where_it_is_written() -> None:
    """Without `random` in the chain a nameless request has no subject."""
    assert subject(links((USER,)), {}, b"10.0.0.1", b"chance") is None
    assert subject(links((USER, RANDOM)), {}, b"10.0.0.1", b"chance") == (b"chance", RANDOM)


EDGES = (("a", 600_000), ("b", 399_999), ("c", 1))
USERS = tuple(b"user-%d" % number for number in range(20_000))


def test_sites_get_exactly_their_shares() -> None:
    """The intervals of the sites cover all buckets without a gap or an overlap."""
    drawn = Counter(pick_site(EDGES, user, 7, EDGES) for user in USERS)
    expected = Counter(
        "a" if where < 600_000 else "b" if where < 999_999 else "c" for where in (bucket(user, 7) for user in USERS)
    )
    assert expected == drawn


@pytest.mark.parametrize(
    "parts", [(0, PPM, 0), (300_000, 500_000, 200_000), (PPM, 0, 0), (0, 0, PPM), (600_000, 400_000, 0)]
)
def test_only_as_many_move_to_other_sites_as_have_to(parts: tuple[int, int, int]) -> None:
    """Each site gets its new part; nobody leaves a site that takes as much as before, or more."""
    inforce = tuple((site, part) for (site, _), part in zip(EDGES, parts, strict=True))
    before = {user: pick_site(EDGES, user, 7, EDGES) for user in USERS}
    after = {user: pick_site(EDGES, user, 7, inforce) for user in USERS}
    counted = Counter(after.values())
    assert [part / PPM for part in parts] == pytest.approx([counted[site] / len(USERS) for site in "abc"], abs=0.015)
    gaining = {site for (site, weight), part in zip(EDGES, parts, strict=True) if part >= weight}
    assert not [user for user in USERS if before[user] in gaining and after[user] != before[user]]


def test_a_site_that_is_given_the_traffic_of_all_of_them_gets_it() -> None:
    """From 100 : 0 to 0 : 100, although its own weight is nothing."""
    spread = (("old", PPM), ("new", 0))
    assert {"new"} == {pick_site(spread, user, 7, (("old", 0), ("new", PPM))) for user in USERS[:1000]}

"""Which number is this user?  Subjects, buckets, and the two independent draws made from them.

`bucket = xxh64(subject, seed) mod 1_000_000` with `seed = xxh64(seed text)`.  A request goes to the new side when
its bucket lies below the route's share, so raising a share only ever moves subjects to new and lowering one only
back, and counted over all buckets the split equals the share exactly.  This is bit for bit what Envoy computes with
its `matcher` cluster specifier and `runtime_fraction`, so a fleet can change its data plane without moving one user.

The site is drawn with a second seed, so that moving sites never moves a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from xxhash import xxh64_intdigest

from router.core.fill import Parts
from router.core.model import PPM, Source, SubjectSource

SITE_SALT: Final = "\x00site"
"""Appended to a seed text for the draw of the site; NUL cannot occur in a seed that people write."""

_AGAIN: Final = 0x5DEECE66D
"""Makes another seed of a seed, for the draw among the sites that take over."""

# Members of an Enum cost a look-up each on the hot path; these are the same objects.
_HEADER: Final = Source.HEADER
_COOKIE: Final = Source.COOKIE
_CLIENT_IP: Final = Source.CLIENT_IP


@lru_cache(maxsize=1024)
def seed_of(text: str) -> int:
    """The 64-bit seed of a seed text, as both data planes use it."""
    return int(xxh64_intdigest(text.encode()))


def bucket(subject: bytes, seed: int) -> int:
    """The subject's number, 0..999_999, the same for ever and on every machine."""
    return int(xxh64_intdigest(subject, seed)) % PPM


def cookie(header: bytes, name: bytes) -> bytes | None:
    """The value of the first cookie of that name in one Cookie header (RFC 6265 section 4.2.1)."""
    for pair in header.split(b";"):
        key, equals, value = pair.strip(b" \t").partition(b"=")
        if equals and key == name:
            return value.strip(b'"') or None
    return None


class Link(NamedTuple):
    """A source of a subject chain, ready for look-ups: its key is a lower-case header or a cookie name."""

    source: Source
    key: bytes
    written: SubjectSource


@lru_cache(maxsize=256)
def links(chain: tuple[SubjectSource, ...]) -> tuple[Link, ...]:
    """A chain made ready; routes that say the same share one, which keeps it close to the processor."""
    return tuple(
        Link(one.source, (one.name.lower() if one.source is Source.HEADER else one.name).encode(), one) for one in chain
    )


def header_names(chain: Sequence[Link]) -> frozenset[bytes]:
    """The lower-case names of the headers that a chain looks into."""
    headers = {link.key for link in chain if link.source is Source.HEADER}
    return frozenset(headers | {b"cookie"} if any(link.source is Source.COOKIE for link in chain) else headers)


def subject(
    chain: Sequence[Link], headers: dict[bytes, bytes] | None, client_ip: bytes, chance: bytes
) -> tuple[bytes, SubjectSource] | None:
    """The first value that the chain yields, with its source; None when no source yields one.

    `headers` maps lower-case names to values (the first line of each name); `chance` is one random value of this
    request, used only where the chain says `random`.
    """
    for link in chain:
        source = link.source
        value: bytes | None = None
        if source is _HEADER:
            value = headers.get(link.key) if headers else None
        elif source is _COOKIE:
            line = headers.get(b"cookie") if headers else None
            value = cookie(line, link.key) if line else None
        else:
            value = client_ip if source is _CLIENT_IP else chance
        if value:
            return value, link.written
    return None


def pick_site(spread: Parts, subject_bytes: bytes, seed: int, parts: Parts) -> str:
    """The site of a subject: by weight (`spread`), moved only as far as what is in force (`parts`) makes it needful.

    Both sum to 1,000,000 and name the same sites in the same order.  A subject is drawn by weight; of a site that takes
    less than its weight just the surplus is drawn again, among those that take more, in proportion to how much more.
    So nobody moves between two sites of which neither has changed.
    """
    index = _at(spread, bucket(subject_bytes, seed))
    (site, weight), (_, part) = spread[index], parts[index]
    if part >= weight:
        return site
    again = bucket(subject_bytes, seed ^ _AGAIN)
    stays = part * PPM // weight
    if again < stays:
        return site
    more = tuple((name, max(0, part - weight)) for (name, part), (_, weight) in zip(parts, spread, strict=True))
    total = sum(gain for _, gain in more)
    return more[_at(more, (again - stays) * total // (PPM - stays))][0] if total else site


def _at(shares: Parts, drawn: int) -> int:
    """Whose half-open interval holds the number."""
    for index, (_, share) in enumerate(shares):
        drawn -= share
        if drawn < 0:
            return index
    return len(shares) - 1

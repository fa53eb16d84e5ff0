"""Which errors may count as evidence: the first one of each client within the hour.

One client that retries, or is broken, makes a hundred errors on the side its subject has drawn, and a test that takes
them for a hundred users would roll back a healthy service.  So a client whose error has been counted on a route is left
out for the rest of the hour, with its successes as well, *whichever side* answers it.  Whether a request counts depends
on the past alone, hence what a sequential test promises stays true; and per side instead of per client it would not,
since the smaller side has fewer clients to use up.

Only clients with errors are remembered, as 64-bit numbers in two generations of an hour each, all routes in one
set.  When a generation is full it ends early: a fleet-wide outage costs memory for twice `MOST` and no more, and what
is tried again in it may count twice.

There has to be one memory for all workers.  With four that each remember their own, retries over many connections
count up to four times, and 3 to 12 of a hundred simulated rollouts with identical sides were rolled back.  It is enough
to tell the one who remembers of failures; failures that do not count are then no trials, and successes all are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import Final

from xxhash import xxh64_intdigest

HOUR: Final = 3600.0
MOST: Final = 65_536
"""Numbers that one generation remembers: two for a client, on its route and for the upstream."""


def client_key(route: str, client: bytes) -> int:
    """The number of a client, by its number, on a route or at an upstream."""
    return xxh64_intdigest(client, xxh64_intdigest(route.encode()))


def client_number(client: bytes, key: bytes) -> int:
    """The number under which a client is told to control and recorded: without the key nobody can find out whose it is.

    Keyed BLAKE2b (RFC 7693) of 64 bits, which knows keys of 64 bytes at most: of a longer one the first 64 count.
    """
    return int.from_bytes(blake2b(client, digest_size=8, key=key[:64], person=b"client").digest(), "big")


class Firsts:
    """Remembers who has been counted."""

    __slots__ = ("_most", "_old", "_until", "_young")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._young: set[int] = set()
        self._old: set[int] = set()
        self._until = 0.0

    def admits(self, key: int, now: float, *, failed: bool) -> bool:
        """Does this outcome count, as a trial and, if it failed, as an error?  `now` never runs backwards."""
        if now >= self._until:
            self._turn(now)
        if key in self._young or key in self._old:
            return False
        if failed:
            if len(self._young) >= self._most:
                self._turn(now)
            self._young.add(key)
        return True

    def kept(self, without: Collection[int] = ()) -> tuple[float, tuple[int, ...], tuple[int, ...]]:
        """What `restored` takes: until when the young generation lasts, it and the old one."""
        young, old = (tuple(sorted(each.difference(without))) for each in (self._young, self._old))
        return self._until, young, old

    @classmethod
    def restored(cls, until: float, young: Iterable[int], old: Iterable[int]) -> Firsts:
        """A memory as it was kept."""
        firsts = cls()
        firsts._until, firsts._young, firsts._old = until, set(young), set(old)
        return firsts

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _turn(self, now: float) -> None:
        """The next generation begins; after a silence of an hour or more nobody is remembered."""
        late = now >= self._until + HOUR
        self._old, self._young = (set() if late else self._young), set()
        self._until = now + HOUR

"""Who was seen on a route under a rollout: clients and slow answers, each counted once by all workers together.

Counters only know requests, and a few clients send most of them.  So while a route is watched, its workers share an
*area* of memory: `CELLS` cells, of which a hash gives every client one.  A request marks its client's cell, and what
finds the mark there already is not counted.  Marks are never wiped; they carry a stamp, of

    FIRSTS   the share in force    a client's first request: were the sides drawn as the share says?
    SEEN     the share in force    a client's first request on the new side: how many people has this step met?
    SLOW     the hour, by limit    a client's first slow answer: whoever is always slow would make a hundred of them on
                                   the side it has drawn (the client rule, `router.core.clients`)

Two clients with one cell count as one.  Whose mark that is does not depend on the side: the cell is drawn by another
hash than the side is.  So what is missed makes evidence less, not wrong, and numbers are put right by `distinct`.
"""

from __future__ import annotations

from math import log
from typing import Final, NamedTuple

from xxhash import xxh64_intdigest

from router.core.clients import HOUR

CELLS: Final = 16_384
"""Of an area.  After four times as many clients of one hour most slow answers are missed until the next hour."""
LIMITS: Final = 3
"""Of slowness: legacy's median, 90th and 99th percentile."""
FIRSTS: Final = 0
"""Offset in bytes; marks of two bytes."""
SEEN: Final = 2 * CELLS
"""Marks of two bytes."""
SLOW: Final = 4 * CELLS
"""Marks of one byte, `LIMITS` times so many."""
AREA: Final = 8 * CELLS
"""Bytes of an area, with some to spare: whole pages."""
AREAS: Final = 1 << 20
"""Of the shared memory: each route has one at the place of its block, and those that nobody uses take no room."""
MOST_CLIENTS: Final = 50_000
"""More than so many on one side cannot be told apart by `CELLS` cells."""

_SALT: Final = b"\0census"


class Watched(NamedTuple):
    """What workers have to know of a route under a rollout."""

    revision: int
    """With which the share came into force."""
    share: int
    """In ppm."""
    limits: tuple[int, ...] = ()
    """What is slow: the duration buckets (`telemetry.DURATION_BOUNDS`) beyond which an answer is; empty: not known."""


def seed_of_cells(route: str) -> int:
    """Seed of the hash that gives clients of a route their cells; independent of the one that draws the side."""
    return int(xxh64_intdigest(route.encode(), xxh64_intdigest(_SALT)))


def cell(client: bytes, seed: int) -> int:
    """The cell of a client."""
    return int(xxh64_intdigest(client, seed)) % CELLS


def stamp_of_share(revision: int) -> int:
    """The mark of a share in force, 1..65535; the next 65,534 revisions have others."""
    return revision % 0xFFFF + 1


def stamp_of_hour(now: float) -> int:
    """The mark of an hour of Unix time, 1..255; those of the next ten days are others."""
    return int(now // HOUR) % 0xFF + 1


def distinct(marked: int, cells: int = CELLS) -> int:
    """How many clients have left so many marks, on average: linear counting (Whang, Vander-Zanden and Taylor 1990).

    What lies beyond `MOST_CLIENTS` is told as that.
    """
    if marked <= 0:
        return 0
    free = cells - marked
    return min(MOST_CLIENTS, round(-cells * log(free / cells))) if free > 0 else MOST_CLIENTS

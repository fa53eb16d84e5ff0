"""How many users notice: the part of all subjects that a change moves to the other side.

A subject's bucket is fixed by the seed, so between two shares exactly the buckets in between move.  Routes with one
seed share their buckets, and a subject counts once however many of its routes move; different seeds are independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from router.core.model import PPM, Table
from router.core.orders import EffectiveState


@dataclass(frozen=True, slots=True)
class Moved:
    """Subjects in a million that meet another side."""

    total: int
    """Of those who use everything: somewhere."""
    by_seed: Mapping[str, int]


def moved_subjects(before: tuple[Table, EffectiveState], after: tuple[Table, EffectiveState]) -> Moved:
    """Between two states; a route that is new has moved its subjects from legacy, one that is gone moves nobody."""
    known = {
        route.name: (route.seed, entry.share) for route, entry in zip(before[0].routes, before[1].routes, strict=True)
    }
    moves: dict[str, list[tuple[int, int]]] = {}
    for route, entry in zip(after[0].routes, after[1].routes, strict=True):
        seed, share = known.get(route.name, (route.seed, 0))
        moves.setdefault(route.seed, []).append(
            (share, entry.share) if seed == route.seed else (0, _reshuffled(share, entry.share))
        )
    by_seed = {seed: moved for seed, spans in moves.items() if (moved := _union(spans))}
    left = 1.0
    for moved in by_seed.values():
        left *= 1 - moved / PPM
    return Moved(round((1 - left) * PPM), by_seed)


def _reshuffled(before: int, after: int) -> int:
    """With another seed every subject draws anew: those who are on different sides in the two draws."""
    return (before * (PPM - after) + after * (PPM - before)) // PPM


def _union(spans: Iterable[tuple[int, int]]) -> int:
    """How many buckets at least one span covers."""
    covered = reached = 0
    for low, high in sorted((min(span), max(span)) for span in spans):
        covered += max(0, high - max(low, reached))
        reached = max(reached, high)
    return covered

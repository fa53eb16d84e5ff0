"""Which places differ even between legacy and legacy: learned from pairs of answers that one side gave twice.

A place is *noisy* when the evidence that it differs in more than one pair in a hundred has reached 20 (an e-value: a
mixture of likelihood ratios against 1 %, which by Ville's inequality reaches 20 in at most one of twenty places that
are not noisy, however often one looks).  One differing pair is never enough.  At a noisy place type and shape go on
to count.

Pairs cost legacy a second request, so they are asked for always at the beginning, then seldom, and less seldom again
when what is known changes.  Old pairs weigh less and less, so that what stops being noisy is looked at sharply again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rollout.core.compare.values import Difference, Kind
from router.core.model import PPM

LIMIT: Final = 256
"""Places of a route of which it is remembered that they ever differed."""
TOLERATED: Final = 0.01
ENOUGH: Final = 20.0
_RATES: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
_FORGET_AT: Final = 4096

LEARNING: Final = 200
"""Pairs for which every comparison asks legacy twice."""
_SETTLED: Final = 1000
_SELDOM: Final = 50_000
_RARELY: Final = 20_000


def evidence(differing: int, pairs: int) -> float:
    """The e-value of `more than TOLERATED of the pairs differ here`."""
    logs = [
        differing * math.log(rate / TOLERATED) + (pairs - differing) * math.log((1 - rate) / (1 - TOLERATED))
        for rate in _RATES
    ]
    top = max(logs)
    return math.exp(min(top, 500.0)) * sum(math.exp(each - top) for each in logs) / len(logs)


class Noise:
    """What has been learned about one route."""

    def __init__(self) -> None:
        self.pairs = 0
        self.stable = 0
        """Pairs since the set of noisy places changed."""
        self.noisy: frozenset[tuple[str, Kind]] = frozenset()
        self._differing: dict[tuple[str, Kind], int] = {}

    def learn(self, differences: Iterable[Difference]) -> None:
        """One pair of answers of legacy, and where they differed (none: nowhere)."""
        self.pairs += 1
        for place in {(each.path, each.kind) for each in differences}:
            if place in self._differing or len(self._differing) < LIMIT:
                self._differing[place] = self._differing.get(place, 0) + 1
        if self.pairs >= _FORGET_AT:
            self._forget()
        self._judge()

    def _forget(self) -> None:
        self.pairs //= 2
        self._differing = {place: half for place, times in self._differing.items() if (half := times // 2)}

    def _judge(self) -> None:
        noisy = frozenset(place for place, times in self._differing.items() if evidence(times, self.pairs) >= ENOUGH)
        self.stable = self.stable + 1 if noisy == self.noisy else 0
        self.noisy = noisy

    @property
    def wanted(self) -> int:
        """In ppm: for how many comparisons legacy should be asked twice."""
        if self.pairs < LEARNING:
            return PPM
        return _RARELY if self.stable >= _SETTLED else _SELDOM

    def rate(self, path: str, kind: Kind) -> tuple[int, int]:
        """Pairs that differed at a place, of all pairs."""
        return self._differing.get((path, kind), 0), self.pairs

    def as_message(self) -> dict[str, Any]:
        places = [[path, kind.value, times] for (path, kind), times in sorted(self._differing.items())]
        return {"pairs": self.pairs, "stable": self.stable, "places": places}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Noise:
        noise = cls()
        noise.pairs = int(message["pairs"])
        noise._differing = {(str(path), Kind(kind)): int(times) for path, kind, times in message["places"][:LIMIT]}
        if noise.pairs:
            noise._judge()
        noise.stable = int(message["stable"])
        return noise

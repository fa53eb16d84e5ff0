"""What many comparisons of one route come to, in bounded memory and without anybody's data.

Kept per place and kind of difference: how often, between which types, when first and last with the request's id, and a
short keyed digest of the two values, so that one wrong value a thousand times can be told from a thousand wrong values.
The values themselves are not kept.  At most LIMIT places; when one more turns up, the rarest is added to `$other`.

For the evidence the tally counts the discordant pairs: requests in which the sides differed though legacy agreed with
itself, and the other way round.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rollout.core.compare.arrays import canonical
from rollout.core.compare.shapes import type_of, weight_of
from rollout.core.compare.values import FAILED, Comparison, Difference, Kind, Verdict

LIMIT: Final = 256
OTHER: Final = "$other"
GROUPS: Final = 8
"""Kept per place: digests of values, and pairs of types."""
_COUNTED_PER_COMPARISON: Final = 50
_HASHED: Final = 4096


@dataclass(slots=True)
class Place:
    """One place at which answers differed in one way."""

    severity: int = 0
    count: int = 0
    hidden_as_noise: int = 0
    types: Counter[str] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    first: tuple[float, str] = (0.0, "")
    last: tuple[float, str] = (0.0, "")

    def as_message(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "count": self.count,
            "hidden_as_noise": self.hidden_as_noise,
            "types": dict(self.types),
            "groups": dict(self.groups),
            "first": list(self.first),
            "last": list(self.last),
        }


@dataclass(frozen=True, slots=True)
class Discordance:
    """Of the comparisons that say something about parity: who differed from whom."""

    compared: int = 0
    mismatched: int = 0
    paired: int = 0
    """Those in which legacy was asked twice."""
    only_sides: int = 0
    """New differed from legacy, and legacy did not from itself."""
    only_noise: int = 0
    both: int = 0


class Tally:
    """The counts of one route."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.causes: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self.hidden: Counter[str] = Counter()
        """Comparisons in which a rule hid something, by the rule's name."""
        self.saved: Counter[str] = Counter()
        """Those of them that would not have matched without rules."""
        self.dropped: Counter[str] = Counter()
        """Copies that were not made, by reason."""
        self.places: dict[tuple[str, Kind], Place] = {}
        self.discordance = Discordance()
        self.since = 0.0
        self.until = 0.0

    def add(
        self,
        comparison: Comparison,
        at: float,
        request: str,
        key: bytes,
        *,
        rules: Mapping[int, str] | None = None,
        noise: Comparison | None = None,
    ) -> None:
        """One comparison; `noise` is that of legacy with itself, where it was asked twice."""
        self.since = self.since or at
        self.until = max(self.until, at)
        self.verdicts[comparison.verdict] += 1
        self.causes[comparison.cause] += 1
        self.remarks.update(comparison.remarks)
        self._hidden_by_rules(comparison, rules or {})
        for difference in comparison.differences[:_COUNTED_PER_COMPARISON]:
            place = self._place(difference)
            place.count += 1
            self._describe(place, difference, at, request, key)
        for difference in comparison.noise[:_COUNTED_PER_COMPARISON]:
            self._place(difference).hidden_as_noise += 1
        self._count_for_evidence(comparison, noise)

    def _hidden_by_rules(self, comparison: Comparison, rules: Mapping[int, str]) -> None:
        for number in comparison.hidden:
            name = rules.get(number, str(number))
            self.hidden[name] += 1
            self.saved[name] += comparison.verdict is Verdict.MATCHED

    def _place(self, difference: Difference) -> Place:
        key = difference.path, difference.kind
        found = self.places.get(key)
        if found is None:
            if len(self.places) >= LIMIT:
                self._make_room()
            found = self.places[key] = Place()
        found.severity = max(found.severity, difference.severity)
        return found

    def _make_room(self) -> None:
        """The rarest place is added to `$other`, so that the sums stay true."""
        other = self.places.setdefault((OTHER, Kind.VALUE), Place())
        while len(self.places) >= LIMIT:
            rarest = min((key for key in self.places if key[0] != OTHER), key=lambda key: self.places[key].count)
            gone = self.places.pop(rarest)
            other.count += gone.count
            other.hidden_as_noise += gone.hidden_as_noise
            other.severity = max(other.severity, gone.severity)
            other.first = other.first if other.first[0] else gone.first
            other.last = max(other.last, gone.last)

    def _describe(self, place: Place, difference: Difference, at: float, request: str, key: bytes) -> None:
        place.first = place.first if place.count > 1 else (at, request)
        place.last = (at, request)
        _count(place.types, f"{_kind(difference.legacy)} -> {_kind(difference.new)}")
        _count(place.groups, group_of(difference, key))

    def _count_for_evidence(self, comparison: Comparison, noise: Comparison | None) -> None:
        if not comparison.feeds_evidence:
            return
        old = self.discordance
        differs = comparison.verdict is Verdict.MISMATCHED
        paired = noise is not None and noise.feeds_evidence
        noisy = paired and noise is not None and noise.verdict is Verdict.MISMATCHED
        self.discordance = Discordance(
            compared=old.compared + 1,
            mismatched=old.mismatched + differs,
            paired=old.paired + paired,
            only_sides=old.only_sides + (paired and differs and not noisy),
            only_noise=old.only_noise + (noisy and not differs),
            both=old.both + (noisy and differs),
        )

    @property
    def failures(self) -> dict[str, int]:
        """Mismatches that say who was up rather than what was answered."""
        return {cause.value: self.causes[cause] for cause in sorted(FAILED) if self.causes[cause]}

    def as_message(self) -> dict[str, Any]:
        return {
            "verdicts": dict(self.verdicts),
            "causes": dict(self.causes),
            "remarks": dict(self.remarks),
            "hidden": dict(self.hidden),
            "saved": dict(self.saved),
            "dropped": dict(self.dropped),
            "places": [[path, kind.value, place.as_message()] for (path, kind), place in self.places.items()],
            "discordance": [getattr(self.discordance, name) for name in Discordance.__slots__],
            "since": self.since,
            "until": self.until,
        }

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Tally:
        tally = cls()
        for name in ("verdicts", "causes", "remarks", "hidden", "saved", "dropped"):
            getattr(tally, name).update({str(key): int(count) for key, count in message[name].items()})
        for path, kind, place in message["places"][:LIMIT]:
            tally.places[str(path), Kind(kind)] = _place_from(place)
        tally.discordance = Discordance(*map(int, message["discordance"]))
        tally.since, tally.until = float(message["since"]), float(message["until"])
        return tally


def _place_from(message: Mapping[str, Any]) -> Place:
    return Place(
        int(message["severity"]),
        int(message["count"]),
        int(message["hidden_as_noise"]),
        Counter(message["types"]),
        Counter(message["groups"]),
        (float(message["first"][0]), str(message["first"][1])),
        (float(message["last"][0]), str(message["last"][1])),
    )


def _count(counts: Counter[str], name: str) -> None:
    counts[name if name in counts or len(counts) < GROUPS else "other"] += 1


def _kind(value: Any) -> str:
    weight = weight_of(value)
    return f"{weight} {type_of(value)}" if weight else type_of(value)


def group_of(difference: Difference, key: bytes) -> str:
    """The same for the same two values, and without the key nothing can be learned from it."""
    digest = hmac.new(key, digestmod="sha256")
    for value in (difference.legacy, difference.new):
        known = value if isinstance(value, bytes) else canonical(value) if _storable(value) else type_of(value).encode()
        digest.update((known or b"?")[:_HASHED] + b"\0")
    return digest.hexdigest()[:8]


def _storable(value: Any) -> bool:
    """A large tree is not worth writing out for eight digits."""
    return type_of(value) in {"null", "boolean", "number", "string"}

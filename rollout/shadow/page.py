"""One route that is shadowed: what is compared by which rules, what was learned, and what came of it.

Captures come in, one at a time; what is kept of them are counts, and masked samples where the route asks for them.
When the rules of a route or one of its upstreams change, counting begins anew: what was found under other rules says
nothing about these.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final

from rollout.core.compare.masking import curl, masked
from rollout.core.compare.noise import Noise
from rollout.core.compare.pair import compare
from rollout.core.compare.policy import Level, Policy
from rollout.core.compare.tally import Tally
from rollout.core.compare.values import Answer, Asked, Cause, Comparison, Kind, Verdict
from rollout.core.evidence import Mark, Shadowed
from rollout.core.evidence import Tally as Marked
from router.core.capture import Capture, Count, Taken, Who
from router.core.comparing import ArrayMode, Comparing, Rule, Treat
from router.core.units import write_date

EPOCHS: Final = 16
"""(revision, share) of which evidence is kept apart; older ones are added up."""
SAMPLES: Final = 5
"""Of each place."""
SAMPLED_PLACES: Final = 50
_RESETTLED: Final = 3600.0
"""Seconds after which the rules are looked at again: one may have expired."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A route as the comparer has to know it."""

    name: str
    legacy: str
    new: str
    samples: float = 0.0
    """Seconds for which samples are kept; 0: none are."""
    levels: tuple[Level, ...] = ()

    @property
    def digest(self) -> str:
        """Changes when counts of before would say nothing any more."""
        levels = [
            [asdict(replace(rule, owner="", reason="", expires=0.0)) for rule in each.comparing.rules]
            for each in self.levels
        ]
        headers = [each.comparing.headers for each in self.levels]
        said = json.dumps([self.legacy, self.new, levels, headers], sort_keys=True)
        return blake2b(said.encode(), digest_size=12).hexdigest()


def follow_message(subjects: Sequence[Subject]) -> dict[str, Any]:
    """What control tells: each level once, since most routes share most of their rules."""
    numbers: dict[Level, int] = {}
    routes = [
        [each.name, each.legacy, each.new, each.samples, [numbers.setdefault(it, len(numbers)) for it in each.levels]]
        for each in subjects
    ]
    return {"op": "follow", "levels": [asdict(level) for level in numbers], "routes": routes}


def followed(message: Mapping[str, Any]) -> list[Subject]:
    """The inverse of `follow_message`."""
    levels = [_level(each) for each in message["levels"]]
    return [
        Subject(str(name), str(legacy), str(new), float(samples), tuple(levels[number] for number in numbers))
        for name, legacy, new, samples, numbers in message["routes"]
    ]


def _level(message: Mapping[str, Any]) -> Level:
    comparing = message["comparing"]
    rules = tuple(
        Rule(**{**rule, "treat": Treat(rule["treat"]), "array": ArrayMode(rule["array"])})
        for rule in comparing["rules"]
    )
    return Level(message["name"], Comparing(tuple(comparing["headers"]), rules))


@dataclass(frozen=True, slots=True)
class Sample:
    """What differed once, as it may be shown."""

    at: float
    request: str
    legacy: Any
    new: Any
    command: str


@dataclass(slots=True)
class _Samples:
    by_place: OrderedDict[tuple[str, Kind], deque[Sample]] = field(default_factory=OrderedDict)

    def put(self, place: tuple[str, Kind], sample: Sample) -> None:
        found = self.by_place.get(place)
        if found is None:
            if len(self.by_place) >= SAMPLED_PLACES:
                self.by_place.popitem(last=False)
            found = self.by_place[place] = deque(maxlen=SAMPLES)
        found.append(sample)

    def of(self, place: tuple[str, Kind], since: float) -> list[Sample]:
        """Those that are young enough; the others are forgotten."""
        found = self.by_place.get(place)
        while found and found[0].at < since:
            found.popleft()
        if found is not None and not found:
            del self.by_place[place]
        return list(found or ())


class Page:
    """Everything known about one route."""

    def __init__(self, subject: Subject, now: float) -> None:
        self.subject = subject
        self.digest = subject.digest
        self.tally = Tally()
        self.noise = Noise()
        self.epochs: OrderedDict[tuple[int, int], Shadowed] = OrderedDict()
        self.copies: Counter[str] = Counter()
        """By `Count`: what became of the requests that might have been copied."""
        self.dirty = False
        self._samples = _Samples()
        self._settle(now)

    def follow(self, subject: Subject, now: float) -> None:
        """The same comparison, perhaps with other words about it or another end of a rule."""
        self.subject = subject
        self._settle(now)

    def _settle(self, now: float) -> None:
        self.policy = Policy(self.subject.levels, now)
        self._names = {each.number: f"{each.origin}: {each.rule.path} {each.rule.treat}" for each in self.policy.rules}
        self._settled = now

    def count(self, what: Count, times: int) -> None:
        self.copies[what] += times
        self.dirty = True

    def take(self, capture: Capture, key: bytes) -> Comparison | None:
        """One capture; None when it holds no pair."""
        if capture.at - self._settled > _RESETTLED:
            self._settle(capture.at)
        legacy, new = capture.answer(Who.LEGACY), capture.answer(Who.NEW)
        if legacy is None or new is None:
            return None
        asked = Asked(capture.method, capture.host, capture.target, capture.stripped, capture.skew)
        noise = self._learn(capture, legacy, asked)
        comparison = compare(_answer(legacy), _answer(new), self.policy, asked, self.noise.noisy)
        self.tally.add(comparison, capture.at, capture.request_id, key, rules=self._names, noise=noise)
        self._count_for_evidence(capture, comparison, noise)
        if self.subject.samples:
            self._sample(capture, comparison)
        self.dirty = True
        return comparison

    def _learn(self, capture: Capture, legacy: Taken, asked: Asked) -> Comparison | None:
        """Legacy against itself, with the rules, and with what is known of noise already for the evidence.

        What is learned from are all differences that no rule hides, also those that are known as noise.
        """
        again = capture.answer(Who.AGAIN)
        if again is None:
            return None
        # a user's answer had credentials that neither copy had: two copies alone would be a fair pair
        comparison = compare(_answer(legacy), _answer(again), self.policy, asked, self.noise.noisy)
        if comparison.feeds_evidence:
            self.noise.learn((*comparison.differences, *comparison.noise))
        return comparison

    def _count_for_evidence(self, capture: Capture, comparison: Comparison, noise: Comparison | None) -> None:
        epoch = capture.revision, capture.share
        if comparison.cause is Cause.NEW_FAILED:
            self._enter(epoch, Shadowed(failed=1))
        if not comparison.feeds_evidence:
            return
        mark = Mark(capture.at, capture.request_id)
        one = Marked(1, mark, mark)
        differs = comparison.verdict is Verdict.MISMATCHED
        paired = noise is not None and noise.feeds_evidence
        noisy = paired and noise is not None and noise.verdict is Verdict.MISMATCHED
        row = Shadowed(
            compared=1,
            mismatches=one if differs else Marked(),
            tripled=int(paired),
            only_new=one if paired and differs and not noisy else Marked(),
            only_legacy=int(noisy and not differs),
        )
        self._enter(epoch, row)

    def _enter(self, epoch: tuple[int, int], row: Shadowed) -> None:
        self.epochs[epoch] = self.epochs.get(epoch, Shadowed()) + row
        if len(self.epochs) > EPOCHS:
            self._fold()

    def _fold(self) -> None:
        """The oldest goes into the next one with its share: what reads the sums of a share must not see them fall."""
        (_, share), oldest = self.epochs.popitem(last=False)
        heir = next((epoch for epoch in self.epochs if epoch[1] == share), None)
        if heir is not None:
            self.epochs[heir] = oldest + self.epochs[heir]

    def _sample(self, capture: Capture, comparison: Comparison) -> None:
        for difference in comparison.differences[:SAMPLES]:
            name = difference.path.rpartition(".")[2]
            command = curl(capture.method, f"http://{capture.host}", capture.target, capture.headers)
            legacy, new = (masked(_short(each), name) for each in (difference.legacy, difference.new))
            sample = Sample(capture.at, capture.request_id, legacy, new, command)
            self._samples.put((difference.path, difference.kind), sample)

    # ------------------------------------------------------------------ what is told

    def report(self, now: float) -> dict[str, Any]:
        """For people and for the admin API."""
        tally = self.tally
        compared = sum(tally.verdicts.values())
        return {
            "route": self.subject.name,
            "legacy": self.subject.legacy,
            "new": self.subject.new,
            "since": tally.since,
            "until": tally.until,
            "compared": compared,
            "verdicts": {verdict.value: tally.verdicts[verdict] for verdict in Verdict},
            "causes": dict(tally.causes),
            "failures": tally.failures,
            "parity": asdict(tally.discordance),
            "copies": dict(self.copies),
            "noise": {
                "pairs": self.noise.pairs,
                "wanted": self.noise.wanted,
                "places": [[path, kind.value] for path, kind in sorted(self.noise.noisy)],
            },
            "places": self._places(compared, now),
            "rules": self._rules(compared),
            "remarks": dict(tally.remarks),
        }

    def _places(self, compared: int, now: float) -> list[dict[str, Any]]:
        since = now - self.subject.samples
        found = sorted(self.tally.places.items(), key=lambda item: (-item[1].severity, -item[1].count, item[0]))
        return [
            {
                "path": path,
                "kind": kind.value,
                **place.as_message(),
                "share": place.count / compared if compared else 0.0,
                "noise": list(self.noise.rate(path, kind)),
                "samples": [asdict(each) for each in self._samples.of((path, kind), since)],
            }
            for (path, kind), place in found
        ]

    def _rules(self, compared: int) -> list[dict[str, Any]]:
        """All of them with their meters; those that have expired hide nothing and say so."""
        expired = {each.number for each in self.policy.expired}
        return [
            {
                "level": each.origin,
                "path": each.rule.path,
                "treat": str(each.rule.treat),
                "owner": each.rule.owner,
                "reason": each.rule.reason,
                "until": write_date(each.rule.expires),
                "expired": each.number in expired,
                "hidden": self.tally.hidden[self._name(each.number)],
                "saved": self.tally.saved[self._name(each.number)],
                "share": self.tally.hidden[self._name(each.number)] / compared if compared else 0.0,
            }
            for each in sorted((*self.policy.rules, *self.policy.expired), key=lambda each: each.number)
        ]

    def _name(self, number: int) -> str:
        return self._names.get(number, "")

    def totals(self) -> dict[str, Any]:
        """For metrics and for the evidence of rollouts."""
        return {
            "verdicts": {verdict.value: self.tally.verdicts[verdict] for verdict in Verdict},
            "failures": self.tally.failures,
            "copies": dict(self.copies),
            "epochs": [[revision, share, shadowed_message(row)] for (revision, share), row in self.epochs.items()],
        }

    # ------------------------------------------------------------------ what is kept

    def as_message(self) -> dict[str, Any]:
        return {
            "route": self.subject.name,
            "digest": self.digest,
            "tally": self.tally.as_message(),
            "noise": self.noise.as_message(),
            "copies": dict(self.copies),
            "epochs": self.totals()["epochs"],
        }

    def restore(self, message: Mapping[str, Any]) -> None:
        """What was kept, if it still speaks of the same comparison.  Raises what malformed messages raise."""
        if message["digest"] != self.digest:
            return
        tally, noise = Tally.from_message(message["tally"]), Noise.from_message(message["noise"])
        epochs = [((int(a), int(b)), shadowed_from(row)) for a, b, row in message["epochs"][-EPOCHS:]]
        copies = Counter({Count(name).value: int(times) for name, times in message["copies"].items()})
        self.tally, self.noise, self.epochs, self.copies = tally, noise, OrderedDict(epochs), copies


def _answer(taken: Taken) -> Answer:
    return Answer(taken.status, taken.headers, taken.body, taken.truncated, taken.error)


def _short(value: Any) -> Any:
    return value.decode("utf-8", "replace")[:500] if isinstance(value, bytes) else value


def shadowed_message(row: Shadowed) -> list[Any]:
    """Evidence as it travels: numbers, and for the two that name requests the first and the last."""
    marked = _marked(row.mismatches), row.tripled, _marked(row.only_new)
    return [row.compared, *marked, row.only_legacy, row.failed]


def shadowed_from(message: list[Any]) -> Shadowed:
    compared, mismatches, tripled, only_new, *numbers = message  # what was kept long ago knows of no failures
    marked = _from_marked(mismatches), int(tripled), _from_marked(only_new)
    return Shadowed(int(compared), *marked, *map(int, numbers))


def _marked(tally: Marked) -> list[Any]:
    return [tally.count, tally.first, tally.last]


def _from_marked(message: list[Any]) -> Marked:
    count, *marks = message
    first, last = (None if each is None else Mark(float(each[0]), str(each[1])) for each in marks)
    return Marked(int(count), first, last)

"""Legacy against legacy, with a route's own clients: would two sides be told apart that are the same?

A tape of what legacy has answered is cut in two, again and again.  Every client is drawn by a hash, as the share would
draw it, and stays on its side with everything it asks for, however loud or slow it is.  The pretended new side is then
judged like any other.  Each rollback is a false one; in so many rollouts there may be as many as alpha allows, whatever
the traffic is like.

What counts of a client does not depend on its side (`router.core.clients`, `router.core.census`), so the rule is
applied once, before anybody is drawn:

    error   a client's first failure of the hour
    slow    its first answer of the hour beyond each limit; limits are known before the tape begins
    client  its first request

The same is judged as if there were no such rule, to show what it spares a route with these clients.  There is no
warm-up: both sides are legacy, which is warm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import comb
from typing import Final, NamedTuple

from rollout.core.alpha import Alpha
from rollout.core.counted import LEAST_KNOWN, QUIET
from rollout.core.evidence import Batch, Counts, Epoch, Evidence, Step, Tally, Tolerance
from rollout.core.judge import State, judge
from rollout.core.settings import Settings
from rollout.core.verdict import Kind, Metric
from router.core.census import LIMITS, stamp_of_hour
from router.core.clients import Firsts
from router.core.split import bucket, seed_of

SHARES: Final = (10_000, 50_000, 250_000, 500_000)
"""Of the pretended new side, in ppm."""
ROLLOUTS: Final = 100
"""Of each share."""
MOST: Final = 200_000
"""Answers that a tape may have."""
ROWS: Final = 120
"""Parts into which a tape is cut at most ..."""
SHORTEST: Final = 1.0
"""... each of so many seconds at least."""
SURPRISING: Final = 0.01
"""What chance does less often than this is not put down to chance."""


class Answered(NamedTuple):
    """What became of one request that legacy was asked."""

    at: float
    """Unix time of its end."""
    client: int
    """The client's number: of its subject, or its address."""
    failed: bool
    """The first try."""
    bucket: int
    """Of its duration (`telemetry.DURATION_BOUNDS`)."""


# Several small numbers in one large one: adding two of those adds all of them at once, which is most of the work here.
# None is ever larger than `MOST`, and none is taken away that was not added before.
_BITS: Final = MOST.bit_length()
_MASK: Final = (1 << _BITS) - 1
_REQUEST, _FAILURE, _ERROR, _CLIENT = (1 << lane * _BITS for lane in range(4))
_SLOW, _OFTEN_SLOW = (tuple(1 << (first + lane) * _BITS for lane in range(LIMITS)) for first in (4, 4 + LIMITS))
_LANES: Final = 4 + 2 * LIMITS


@dataclass(frozen=True, slots=True)
class Crowd:
    """The clients on a tape, with what counts of them."""

    begin: float
    span: float
    """Seconds of one row."""
    clients: tuple[bytes, ...]
    """What each is drawn by."""
    parts: tuple[tuple[tuple[int, int], ...], ...]
    """Of each, by time: the row's number, and what is added to it."""
    rows: tuple[int, ...]
    """The sums of all."""

    @property
    def counts(self) -> Counts:
        """Of all rows together."""
        return _ruled(sum(self.rows))


def crowd(tape: Iterable[Answered], limits: Sequence[int]) -> Crowd:
    """`limits`: the buckets beyond which an answer is slow; none: nothing is."""
    answers = sorted(tape)[:MOST]
    begin, end = (answers[0].at, answers[-1].at) if answers else (0.0, 0.0)
    span = max(SHORTEST, (end - begin) / ROWS)
    rows = [0] * (int((end - begin) / span) + 1 if answers else 0)
    parts: dict[int, dict[int, int]] = {}
    for each, counted in zip(answers, _counted(answers, limits), strict=True):
        row = int((each.at - begin) / span)
        rows[row] += counted
        mine = parts.setdefault(each.client, {})
        mine[row] = mine.get(row, 0) + counted
    clients = tuple(client.to_bytes(8, "big") for client in parts)
    return Crowd(begin, span, clients, tuple(tuple(mine.items()) for mine in parts.values()), tuple(rows))


def _counted(answers: Iterable[Answered], limits: Sequence[int]) -> Iterator[int]:
    """What counts of each answer."""
    firsts, met, slow, hour = Firsts(), set[int](), set[tuple[int, int]](), 0
    for at, client, failed, took in answers:
        counted = _REQUEST
        if client not in met:
            met.add(client)
            counted += _CLIENT
        if failed:
            counted += _FAILURE + firsts.admits(client, at, failed=True) * _ERROR
        if (stamp := stamp_of_hour(at)) != hour:
            hour = stamp
            slow.clear()
        for number, limit in enumerate(limits):
            if took > limit:
                counted += _OFTEN_SLOW[number] + ((client, number) not in slow) * _SLOW[number]
                slow.add((client, number))
        yield counted


def _numbers(packed: int) -> list[int]:
    return [packed >> lane * _BITS & _MASK for lane in range(_LANES)]


def _ruled(packed: int) -> Counts:
    """After the client rule."""
    requests, failures, errors, clients, *slow = _numbers(packed)
    tallies = tuple(map(Tally, slow[:LIMITS]))
    return Counts(requests, failures, requests - failures + errors, Tally(errors), requests, tallies, clients=clients)


def _unruled(packed: int) -> Counts:
    """Every failure counts, and every slow answer."""
    requests, failures, _, clients, *slow = _numbers(packed)
    tallies = tuple(map(Tally, slow[LIMITS:]))
    return Counts(requests, failures, requests, Tally(failures), requests, tallies, clients=clients)


# ------------------------------------------------------------------------------------------------ rollouts of nothing


class End(NamedTuple):
    """What a rollout has come to."""

    rollback: Metric | None = None
    breaker: bool = False
    """So many failures in a row that the share would have gone to 0."""
    held: bool = False
    """At some time, for what looked bad; ..."""
    sides: bool = False
    """... because the sides had the wrong size."""
    unruled: bool = False
    """Without the client rule it would have been rolled back."""


@dataclass(frozen=True, slots=True)
class Score:
    """How often what was said in the rollouts of one share."""

    share: int
    """In ppm."""
    rollouts: int = 0
    errors: int = 0
    """Rolled back for errors ..."""
    latency: int = 0
    """... and for slow answers."""
    breakers: int = 0
    holds: int = 0
    sides: int = 0
    """Held for the number of clients on either side."""
    unruled: int = 0
    """Rolled back if every failure and slow answer counted."""

    @property
    def rollbacks(self) -> int:
        return self.errors + self.latency

    def __add__(self, end: End) -> Score:
        return Score(
            self.share,
            self.rollouts + 1,
            self.errors + (end.rollback is Metric.ERRORS),
            self.latency + (end.rollback is Metric.LATENCY),
            self.breakers + end.breaker,
            self.holds + end.held,
            self.sides + end.sides,
            self.unruled + end.unruled,
        )


def rollouts(
    crowd: Crowd, number: int, shares: Sequence[int], tolerance: Tolerance, settings: Settings
) -> Iterator[End]:
    """The `number`-th rollout of every share.  There is one draw: who is on new stays there as the share rises."""
    seed = seed_of(f"legacy against legacy {number}")
    drawn = [bucket(client, seed) for client in crowd.clients]
    settings = replace(settings, warm_up=0.0, warm_up_requests=0)
    for share in shares:
        step, readings = Step("", 1, share, tolerance=tolerance), list(_readings(crowd, drawn, share))
        end = _rollout(step, readings, _ruled, settings)
        yield end._replace(unruled=_rollout(step, readings, _unruled, settings).rollback is not None)


Reading = tuple[float, int, int]
"""When, and what had come in since the last one: of legacy, and of new."""


def _readings(crowd: Crowd, drawn: Sequence[int], share: int) -> Iterator[Reading]:
    """At once when a request of new has failed; else they are gathered for a while (`rollout.core.counted`)."""
    mine = [0] * len(crowd.rows)
    for parts, place in zip(crowd.parts, drawn, strict=True):
        if place < share:
            for row, counted in parts:
                mine[row] += counted
    both = new = 0
    since, last = crowd.begin, len(mine) - 1
    for row, counted in enumerate(mine):
        both += crowd.rows[row]
        new += counted
        at = crowd.begin + (row + 1) * crowd.span
        if both and (new >> _BITS & _MASK or at - since >= QUIET or row == last):
            yield at, both - new, new
            both, new, since = 0, 0, at


def _rollout(step: Step, readings: Iterable[Reading], counts: Callable[[int], Counts], settings: Settings) -> End:
    end, state = End(), State()
    steps: tuple[Step, ...] = (step,)
    for at, legacy, new in readings:
        row = Evidence(Epoch("", step.revision, step.share), counts(legacy), counts(new))
        state, verdicts = judge(state, Batch(at, steps, (row,)), settings)
        steps = ()
        for verdict in verdicts:
            match verdict.kind, verdict.metric:
                case Kind.ROLLBACK, metric:
                    return end._replace(rollback=metric)
                case Kind.BREAKER, _:
                    return end._replace(breaker=True)
                case Kind.HOLD, Metric.SIDES:
                    end = end._replace(sides=True)
                case Kind.HOLD, Metric.ERRORS | Metric.LATENCY:
                    end = end._replace(held=True)
    return end


# ------------------------------------------------------------------------------------------------------ what follows


class Standing(StrEnum):
    """What is known afterwards."""

    EQUAL = "equal"
    """Identical sides were not told apart, or not more often than chance may have it."""
    TOLD_APART = "told-apart"
    UNKNOWN = "unknown"
    """There was nothing by which anybody could have told them apart."""


def expected(score: Score, alpha: Alpha) -> float:
    """So many false rollbacks are to be expected at most."""
    return score.rollouts * (alpha.errors + alpha.latency)


def at_least(hits: int, trials: int, probability: float) -> float:
    """The chance of so many hits or more."""
    fewer = (comb(trials, hit) * probability**hit * (1 - probability) ** (trials - hit) for hit in range(hits))
    return max(0.0, 1.0 - sum(fewer))


def standing(counts: Counts, scores: Iterable[Score], alpha: Alpha) -> Standing:
    """`counts`: of the whole tape."""
    chance = alpha.errors + alpha.latency
    if any(at_least(score.rollbacks, score.rollouts, chance) < SURPRISING for score in scores):
        return Standing.TOLD_APART
    if not counts.errors.count and not any(tally.count for tally in counts.slow):
        return Standing.UNKNOWN
    return Standing.EQUAL


def conclusion(counts: Counts, limits: Sequence[int], scores: Sequence[Score], alpha: Alpha) -> str:
    """What it comes to, in a line."""
    if not counts.requests:
        return "legacy answered nothing meanwhile that a share would draw: is there traffic on this route?"
    wrong, times = sum(score.rollbacks for score in scores), sum(score.rollouts for score in scores)
    match standing(counts, scores, alpha):
        case Standing.TOLD_APART:
            return (
                f"identical sides were told apart: {wrong} of {times} rollouts were rolled back for nothing, more than "
                "chance explains; do not let this route be rolled back by itself"
            )
        case Standing.UNKNOWN:
            slow = "was slow" if limits else f"can be called slow before legacy has answered {LEAST_KNOWN} times"
            return f"nothing failed or {slow}, so nothing could be told apart: try it for longer, or at a busier hour"
        case Standing.EQUAL:
            found = f"{wrong} of {times} rollouts, as chance may have it" if wrong else f"none of {times} rollouts"
            return f"identical sides were told apart in {found}{_about(counts, limits)}"


def _about(counts: Counts, limits: Sequence[int]) -> str:
    """What is not said by it."""
    if not limits:
        return "; slow answers were not judged, since too little is known of legacy's times"
    return "" if counts.errors.count else "; nothing failed, so this says something of slow answers only"

"""Is this place well?  One small machine for each target, fed with what probes and traffic tell of it.

    unknown   nothing has been heard: the first result of a probe decides at once
    up        failures are counted, and successes in between do not take them back: only `up` of them in a row do;
              `down` failures, and it is down
    down      `up` probes in a row must succeed, with no failure of traffic among them, and its hold-down must be over

A flap (down again within ten minutes of its return) doubles the hold-down, up to five minutes, and a target returns at
most once in five minutes: so it changes at most three times within any five, whatever it does.  A target that has
returned is brought back slowly: a tenth of its part first, all of it when the ramp is over.

Traffic and the prober may disagree.  A target that answers requests well is not taken out because a probe goes wrong
(one good answer takes back what probes have said), unless the probe's answer is the target's own word that it is sick,
such as a 503; one that fails requests is taken out whatever the probe says; and both must be well for a return.  What
only one API does is no fault of the place: of answers such as 502 and of timeouts the majority counts, while a refused
connection speaks for itself.  A 4xx is never a failure.

Values in, values out; times are seconds of one clock that never runs backwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from router.core.model import PPM, Health, Resume

FLAP: Final = 600.0
"""Down again so soon after a return is a flap."""
MOST_HOLD: Final = 300.0
RETURNS_APART: Final = 300.0
"""Two returns of one target are at least so far apart."""
FIRST_PART: Final = 100_000
"""What a target that has returned takes at first, in ppm of its part."""
STEP: Final = 50_000
"""A ramp rises in steps of so many ppm."""
ENOUGH: Final = 20
"""Outcomes of requests that are judged together ..."""
LONGEST: Final = 10.0
"""... or those of so many seconds."""
NEVER: Final = float("-inf")


class Status(StrEnum):
    """How a target stands."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


class Source(StrEnum):
    """Who has met it."""

    PROBE = "probe"
    TRAFFIC = "traffic"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that was met, so many times in a row."""

    source: Source
    good: bool
    count: int = 1
    why: str = ""
    """What went wrong, for people."""
    own_word: bool = False
    """The target itself said so, in its answer to a probe: traffic does not outweigh that."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is known of one target."""

    status: Status
    since: float
    """When it came to stand so."""
    usable: bool = True
    """Does it take requests while it is unknown?"""
    slow: bool = False
    """It is brought back, or in, slowly since then."""
    failures: int = 0
    """Of traffic."""
    doubts: int = 0
    """Failed probes, as long as no request has been answered well since."""
    own_words: int = 0
    """Failed probes that traffic does not outweigh."""
    good: int = 0
    """Successes in a row, of any source."""
    good_probes: int = 0
    """Probes among them, since the last failure."""
    hold: float = 0.0
    """Seconds that it stays down at least."""
    returned: float = NEVER
    """When it came back last."""
    held: bool = False
    """A person has to bring it back."""
    why: str = ""
    """The newest failure, in words."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A target is not as it was."""

    before: Status
    after: Status
    at: float
    why: str


Moved = tuple[Target, Transition | None]


def first(now: float, *, warm: bool, probed: bool, known_site: bool = True) -> Target:
    """A target that nothing is known of.

    At a start (`warm`) it is taken for well, as it was for those who ran before.  Later it comes in slowly; one at a
    site that is new waits for the first probe.
    """
    if not probed:
        return Target(Status.UP, now, slow=not warm)
    return Target(Status.UNKNOWN, now, usable=warm or known_site, slow=not warm)


def heard(target: Target, evidence: Evidence, health: Health, now: float) -> Moved:
    """The target after a piece of evidence."""
    if evidence.good:
        return _succeeded(_with_success(target, evidence, health), evidence, health, now)
    return _failed(_with_failure(target, evidence), evidence, health, now)


def _with_success(target: Target, evidence: Evidence, health: Health) -> Target:
    probes = evidence.count if evidence.source is Source.PROBE else 0
    good, good_probes = target.good + evidence.count, target.good_probes + probes
    return replace(
        target,
        good=good,
        good_probes=good_probes,
        failures=0 if good >= health.up else target.failures,
        doubts=0 if good >= health.up or not probes else target.doubts,
        own_words=0 if good_probes >= health.up else target.own_words,
    )


def _with_failure(target: Target, evidence: Evidence) -> Target:
    target = replace(target, good=0, good_probes=0, why=evidence.why)
    if evidence.source is Source.TRAFFIC:
        return replace(target, failures=target.failures + evidence.count)
    if evidence.own_word:
        return replace(target, own_words=target.own_words + evidence.count)
    return replace(target, doubts=target.doubts + evidence.count)


def _succeeded(target: Target, evidence: Evidence, health: Health, now: float) -> Moved:
    match target.status:
        case Status.UNKNOWN if evidence.source is Source.PROBE or target.good >= health.up:
            return _moved(target, replace(target, status=Status.UP, since=now, why=""), now)
        case Status.DOWN if target.good_probes >= health.up:
            return _back(target, now)
        case _:
            return target, None


def _failed(target: Target, evidence: Evidence, health: Health, now: float) -> Moved:
    decides = target.status is Status.UNKNOWN and evidence.source is Source.PROBE
    counted = target.failures + target.doubts + target.own_words
    if target.status is Status.DOWN or not (decides or counted >= health.down):
        return target, None
    flap = now - target.returned <= FLAP
    longest = max(MOST_HOLD, health.min_down)
    hold = min(longest, 2 * max(target.hold, health.min_down)) if flap else health.min_down
    down = replace(
        target,
        status=Status.DOWN,
        since=now,
        slow=False,
        failures=0,
        doubts=0,
        own_words=0,
        hold=hold,
        held=health.resume is Resume.MANUAL,
    )
    return _moved(target, down, now)


def elapsed(target: Target, now: float, *, probed: bool) -> Moved:
    """Time has passed.  One that nobody probes is tried again with real requests when its hold-down is over."""
    return (target, None) if probed or target.status is not Status.DOWN else _back(target, now)


def _back(target: Target, now: float) -> Moved:
    """Up again, if it may be."""
    if target.held or now < back_at(target):
        return target, None
    up = Target(Status.UP, now, slow=True, good=target.good, hold=target.hold, returned=now)
    return _moved(target, up, now)


def back_at(target: Target) -> float:
    """When the hold-down of a target that is down is over."""
    return max(target.since + target.hold, target.returned + RETURNS_APART)


def _moved(before: Target, after: Target, now: float) -> Moved:
    return after, Transition(before.status, after.status, now, after.why)


def resumed(target: Target) -> Target:
    """A person brings it back: as soon as it is well, without any further hold-down."""
    return replace(target, held=False, hold=0.0, returned=NEVER)


def level(target: Target, health: Health, now: float) -> int:
    """The part of its weight that it may take, in ppm."""
    if target.status is Status.DOWN or (target.status is Status.UNKNOWN and not target.usable):
        return 0
    passed = now - target.since
    if not target.slow or passed >= health.ramp:
        return PPM
    rise = int((PPM - FIRST_PART) * max(passed, 0.0) / health.ramp)
    return FIRST_PART + rise // STEP * STEP


# -------------------------------------------------------------------------------------------------- traffic


@dataclass(frozen=True, slots=True)
class Counted:
    """What the workers have met at one target within a moment."""

    good: int = 0
    """Heads of answers that are not 502, 503 or 504."""
    refused: int = 0
    """Connections that did not come about."""
    failed: int = 0
    """Requests that were lost, timed out, or were answered so."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Outcomes that are judged together."""

    since: float = NEVER
    good: int = 0
    failed: int = 0


def weigh(tally: Tally, counted: Counted, health: Health, now: float) -> tuple[Tally, Evidence | None]:
    """What the outcomes of a moment say about the place as such, after those before."""
    if counted.refused:
        if counted.good // (counted.refused + 1) >= health.up:  # each is followed by so many successes
            return tally, Evidence(Source.TRAFFIC, good=True, count=counted.good)
        return Tally(), Evidence(Source.TRAFFIC, good=False, count=counted.refused, why="refuses connections")
    if not tally.failed:
        tally = Tally(now)
    tally = Tally(tally.since, tally.good + counted.good, tally.failed + counted.failed)
    every = tally.good + tally.failed
    if tally.failed and (every >= ENOUGH or now - tally.since >= LONGEST):
        sick = tally.failed >= health.down and tally.failed * 2 > every
        why = f"{tally.failed} of {every} requests failed"
        return Tally(), Evidence(Source.TRAFFIC, good=False, count=tally.failed, why=why) if sick else None
    well = counted.good and not counted.failed
    return tally, Evidence(Source.TRAFFIC, good=True, count=counted.good) if well else None


# ---------------------------------------------------------------------------------------------------- sites

TAKEN_OUT_MOST: Final = 3
"""A site that is taken out so often ..."""
WITHIN: Final = 3600.0
"""... within such a time is held for a person."""


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """When all targets of a site were down."""

    out: bool = False
    taken_out: tuple[float, ...] = ()
    """Times within the last hour."""


def site_seen(record: SiteRecord, alive: int, now: float) -> tuple[SiteRecord, bool]:
    """The record after a look at how many of its targets are not down; True: it shall be held for a person."""
    recent = tuple(at for at in record.taken_out if at > now - WITHIN)
    if alive or record.out:
        return SiteRecord(not alive, recent), False
    recent = (*recent, now)
    return SiteRecord(True, recent), len(recent) >= TAKEN_OUT_MOST

"""What counters say about a route, and how a difference of two readings becomes evidence.

Counters only tell sums.  So a difference is one row of evidence only when one share was in force from the first reading
to the second, and everywhere: while a change is on its way, and for one reading afterwards, nothing is counted
(`track`).  Which failures are errors, and whose they were, is told one by one (`rollout.core.failures`); clients, and
answers that are slow, the workers have counted each once (`router.core.census`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from rollout.core.evidence import NO_SLOW, Counts, Epoch, Evidence, Shadowed, Tally
from rollout.core.failures import NOTHING, OPENED, Books, Heard, entered, opened
from router.core.census import LIMITS

QUANTILES: Final = (0.5, 0.9, 0.99)
LEAST_KNOWN: Final = 500
"""Requests of legacy from which its quantiles are taken."""
QUIET: Final = 5.0
"""Seconds for which readings without a failure of the new side are gathered into one row."""
BINS: Final = 60
"""Parts of a budget's time in which failed requests are added up."""


NOT_COMPARED: Final = Shadowed()


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One side's sums since ever."""

    requests: int = 0
    """With a known outcome, first attempts whose side was drawn by the share."""
    failures: int = 0
    """Those of them that failed in the end, or would have if legacy had not stepped in."""
    aborted: int = 0
    """The client went away first."""
    durations: tuple[int, ...] = ()
    """Requests by bucket of duration."""
    mended: int = 0
    """First tries that failed and were repeated on the same side, whatever became of them."""
    first_seen: int = 0
    """Clients whose first request under a share was on this side, as far as cells tell them apart ..."""
    seen: int = 0
    """... and those that were on it at all; of the new side."""
    slow: tuple[int, ...] = (0,) * LIMITS
    """Per limit, slow answers after the client rule."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One reading of a route's counters."""

    legacy: Outcomes = Outcomes()
    new: Outcomes = Outcomes()
    shadow: Shadowed = NOT_COMPARED
    """What comparing copies has found, under the share in force."""


class Harm(NamedTuple):
    """Failed requests of the new side, and how many there would have been at legacy's rate."""

    at: float
    failed: int
    usual: float


@dataclass(frozen=True, slots=True)
class Track:
    """Where the counting of one run stands."""

    at: float
    """When the row that is under way began."""
    counted: Counted
    """The reading then."""
    share: int
    """In force since, in ppm."""
    revision: int
    """With which that share came into force."""
    sound: bool = False
    """False: a change may have been under way at that reading; the next one begins anew."""
    sample: int = 0
    """Requests of the new side since the step was confirmed."""
    seen: int = 0
    """Cells that its clients have marked since."""
    legacy: tuple[int, int] = (0, 0)
    """Of the run: requests and failures of legacy."""
    harm: tuple[Harm, ...] = ()
    """Oldest first."""
    books: tuple[Books, Books] = OPENED
    """Of legacy's and of new's failures, since the share came into force."""

    def epoch(self, route: str) -> Epoch:
        return Epoch(route, self.revision, self.share)

    def goes_on(self, share: int, revision: int) -> bool:
        """Is what has come in since the last reading evidence?

        What every worker has confirmed once it has while nothing is changed, though it die or this process with it: a
        restart must not make anybody forget what was counted meanwhile.
        """
        return self.sound and (share, revision) == (self.share, self.revision)

    def harm_since(self, moment: float) -> float:
        """Failed requests of the new side beyond those that legacy would have had as well."""
        counted = [each for each in self.harm if each.at > moment]
        return max(0.0, sum(each.failed - each.usual for each in counted))


def track(
    before: Track | None,
    counted: Counted,
    *,
    route: str,
    share: int,
    revision: int,
    settled: bool,
    at: float,
    hurry: bool,
    span: float,
    heard: Heard = NOTHING,
) -> tuple[Track, Evidence | None]:
    """The next reading.  `settled`: every worker has confirmed the share; `hurry`: what is gathered is wanted now.

    `span` is the budget's time: failed requests are remembered for so long.  `heard` is what was told of failures since
    the track was another one: while it stays the same one, nothing of it was used.
    """
    if before is None:
        return Track(at, counted, share, revision, sound=settled, books=opened(at)), None
    if not before.goes_on(share, revision):
        again = replace(before, at=at, counted=counted, share=share, revision=revision, sound=settled)
        return replace(again, books=opened(at)), None
    legacy, new = difference(before.counted.legacy, counted.legacy), difference(before.counted.new, counted.new)
    quiet = at - before.at < QUIET
    if legacy is None or new is None:  # for a moment, when a fallback is under way, or for ever
        return before if quiet else replace(before, at=at, counted=counted, books=opened(at)), None
    if not (new.failures or heard.new.count) and not hurry and quiet:
        return before, None
    shadow = compared_since(before.counted.shadow, counted.shadow)
    sample = before.sample + (shadow.compared if share == 0 else new.requests)
    seen = before.seen + counted.new.seen - before.counted.new.seen
    after = replace(before, at=at, counted=counted, sample=sample, seen=seen)
    old_books, legacy = entered(before.books[0], legacy, heard.legacy, dropped=heard.dropped, at=at)
    new_books, new = entered(before.books[1], new, heard.new, dropped=heard.dropped, at=at)
    after = replace(after, books=(old_books, new_books))
    known = (before.legacy[0] + legacy.requests, before.legacy[1] + legacy.failures)
    usual = new.requests * known[1] / known[0] if known[0] else 0.0
    after = replace(after, legacy=known, harm=_harm(before.harm, Harm(at, new.failures, usual), span))
    if Counts() == new == legacy and shadow == NOT_COMPARED:
        return after, None
    return after, Evidence(after.epoch(route), legacy, new, shadow)


def difference(before: Outcomes, after: Outcomes) -> Counts | None:
    """What came in between, every failure an error; None when a counter has run backwards."""
    requests, failures = after.requests - before.requests, after.failures - before.failures
    aborted, mended = after.aborted - before.aborted, after.mended - before.mended
    clients, seen = after.first_seen - before.first_seen, after.seen - before.seen
    durations, slow = _minus(after.durations, before.durations), _minus(after.slow, before.slow)
    if min(requests, failures, aborted, mended, clients, seen, *durations, *slow) < 0 or failures > requests:
        return None
    timed = sum(durations)
    tallies = tuple(Tally(min(each, timed)) for each in slow) if any(slow) else NO_SLOW
    raw = min(requests, failures + mended)  # what was repeated and failed again is in both
    return Counts(requests, raw, requests, Tally(failures), timed, tallies, aborted, clients)


def compared_since(before: Shadowed, after: Shadowed) -> Shadowed:
    """What was compared in between; nothing when counting began anew, as it does when rules change."""
    mismatches, only_new = _more(before.mismatches, after.mismatches), _more(before.only_new, after.only_new)
    compared, tripled = after.compared - before.compared, after.tripled - before.tripled
    only_legacy, failed = after.only_legacy - before.only_legacy, after.failed - before.failed
    if min(mismatches.count, only_new.count, compared, tripled, only_legacy, failed) < 0:
        return NOT_COMPARED
    if mismatches.count > compared or only_new.count + only_legacy > tripled:  # begun anew, and past what it was
        return NOT_COMPARED
    return Shadowed(compared, mismatches, tripled, only_new, only_legacy, failed)


def _more(before: Tally, after: Tally) -> Tally:
    """Which was the first of those that came in between is known only when it is the first of all that are told of."""
    count, first = after.count - before.count, after.first
    if first is not None and before.last is not None and first <= before.last:
        first = None
    return Tally(count, first, after.last if count > 0 else None)


def _minus(after: Sequence[int], before: Sequence[int]) -> list[int]:
    known = before or (0,) * len(after)
    return [new - old for new, old in zip(after, known, strict=False)]


def limits_of(durations: Sequence[int]) -> tuple[int, ...]:
    """The buckets that hold legacy's median, 90th and 99th percentile; empty while too little is known of it."""
    total = sum(durations)
    if total < LEAST_KNOWN:
        return ()
    found: list[int] = []
    so_far = 0
    for number, count in enumerate(durations):
        so_far += count
        while len(found) < len(QUANTILES) and so_far >= QUANTILES[len(found)] * total:
            found.append(number)
    return tuple(found)


def _harm(harm: tuple[Harm, ...], more: Harm, span: float) -> tuple[Harm, ...]:
    """With so many more; what is near in time is added up, what is older than the budget's time forgotten."""
    kept = [each for each in harm if each.at > more.at - span]
    if kept and more.at - kept[-1].at < span / BINS:
        last = kept[-1]
        kept[-1] = Harm(last.at, last.failed + more.failed, last.usual + more.usual)
    elif more.failed or more.usual:
        kept.append(more)
    return tuple(kept)

"""Counted outcomes: the only thing about traffic that the judgement of a rollout ever sees.

One `Evidence` row says what became of both sides' requests of one route *under one share of one revision*: the share
that was in force when the request was routed, not when its answer came.  Rows of the same epoch are merged by
addition, in any order, so that every worker may count for itself; nothing else may be added up across workers, least
of all what a test makes of them.

What the one who counts has to keep, because no test can mend it afterwards:

* Only the first attempt's outcome counts, at the share and revision by which it was routed.  A request that runs into
  its time limit counts at the time it started plus that limit.  What a fallback hid from the client counts against new.
* What the router did itself (413, no connection left, a refused head) is no outcome of either side.  A client that went
  away first is `aborted`: slow if the limit had passed by then, never a success; it is left out of `requests`.
* `errors` and `trials` are counted after the client rule (`router.core.clients`): the first error of a client on this
  route within the hour, by client, whichever side it was; its later failures of that hour are no `trials` either.
  `requests` and `failures` are the raw numbers; no test of errors reads them but the one for consecutive failures.
* `slow[i]` counts requests that took longer than the route's frozen limit `i`: legacy's median, 90th and 99th
  percentile by the end of the shadow step.  A request is slow the moment the limit passes, though it be open.  Frozen
  means: never taken from the data under test, and new limits are a new run.
* `clients` counts the subjects seen for the first time on that side in this epoch, each once (for `random` subjects:
  requests).  It is what the minimum of clients and the guard on the sides' sizes read.
* Rows whose side followed from the request (a tenant's header, an allow-list) have `random=False`: the sides are not
  comparable then, and only absolute tests read such rows.  A person trying things out by an override is in no row.

The controller makes one `Batch` of all that came in since the last one (a second or less), adds the `Step`s that it has
confirmed meanwhile, and writes it to the event log before it acts: the log alone is enough to judge anew
(`rollout.core.records` is its form, `rollout.core.judge` reads it: state, batch, settings -> state, verdicts).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from router.core.census import LIMITS


class Mark(NamedTuple):
    """A request that can be looked up: when it was routed (seconds since 1970) and its id."""

    at: float
    request: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many, and the first and the last of them as far as somebody knows which they were."""

    count: int = 0
    first: Mark | None = None
    last: Mark | None = None

    def __add__(self, other: Tally) -> Tally:
        if not self.count or not other.count:
            return self if self.count else other
        firsts = [mark for mark in (self.first, other.first) if mark is not None]
        lasts = [mark for mark in (self.last, other.last) if mark is not None]
        return Tally(self.count + other.count, min(firsts, default=None), max(lasts, default=None))


NO_SLOW: Final = (Tally(),) * LIMITS


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of one side's requests."""

    requests: int = 0
    """All with a known outcome."""
    failures: int = 0
    """Those of them that failed, before the client rule."""
    trials: int = 0
    """Requests after the client rule, errors among them."""
    errors: Tally = Tally()
    """Errors after the client rule."""
    timed: int = 0
    """Requests held against the limits of slowness, the aborted and the open ones among them."""
    slow: tuple[Tally, ...] = NO_SLOW
    """Of those, beyond each of the limits."""
    aborted: int = 0
    """The client went away first."""
    clients: int = 0
    """Subjects seen for the first time in this epoch."""
    elsewhere: int = 0
    """Of the errors, those of clients that had one on another route of the upstream within the hour."""

    def __add__(self, other: Counts) -> Counts:
        slow = self.slow
        if other.slow is not NO_SLOW:
            slow = tuple([mine + theirs for mine, theirs in zip(slow, other.slow, strict=True)])
        return Counts(
            self.requests + other.requests,
            self.failures + other.failures,
            self.trials + other.trials,
            self.errors + other.errors,
            self.timed + other.timed,
            slow,
            self.aborted + other.aborted,
            self.clients + other.clients,
            self.elsewhere + other.elsewhere,
        )


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What comparison found among copied requests; expired, skipped and not comparable ones are in no number."""

    compared: int = 0
    """Pairs: legacy's answer against new's."""
    mismatches: Tally = Tally()
    """Of those, different after the rules and the noise known by path."""
    tripled: int = 0
    """Where legacy was asked a second time: both against legacy's first answer."""
    only_new: Tally = Tally()
    """Of those, new differed and legacy's second answer did not."""
    only_legacy: int = 0
    """Of those, legacy's second answer differed and new's did not: noise."""
    failed: int = 0
    """Besides: legacy answered, and new failed.  Says nothing about parity, but nobody is sent to such a side."""

    def __add__(self, other: Shadowed) -> Shadowed:
        return Shadowed(
            self.compared + other.compared,
            self.mismatches + other.mismatches,
            self.tripled + other.tripled,
            self.only_new + other.only_new,
            self.only_legacy + other.only_legacy,
            self.failed + other.failed,
        )


class Epoch(NamedTuple):
    """Under what a request was routed."""

    route: str
    revision: int
    share: int
    """In ppm, in force when it was routed."""
    random: bool = True
    """False: the side followed from the request, so that the sides are not comparable."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both sides of one route in one epoch."""

    epoch: Epoch
    legacy: Counts = Counts()
    new: Counts = Counts()
    shadow: Shadowed = Shadowed()

    def __add__(self, other: Evidence) -> Evidence:
        if self.epoch != other.epoch:
            raise ValueError(f"evidence of different epochs is never added: {self.epoch} and {other.epoch}")
        return Evidence(self.epoch, self.legacy + other.legacy, self.new + other.new, self.shadow + other.shadow)


def merge(rows: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Rows of the same epoch added up, ordered by epoch."""
    merged: dict[Epoch, Evidence] = {}
    for row in rows:
        known = merged.get(row.epoch)
        merged[row.epoch] = row if known is None else known + row
    return tuple(merged[epoch] for epoch in sorted(merged))


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What counts as harmless on one route, frozen for a run: a new tolerance is a new run and spends its alpha."""

    ratio: float = 1.2
    """New may have this many times legacy's errors ..."""
    floor: float = 0.002
    """... or this rate of errors, whatever legacy's is.  By class: critical .001, normal .002, lax .01."""
    slow: tuple[float, ...] = (1.2, 1.2, 1.5)
    """New may be slow this many times as often as legacy, per limit."""
    mismatch: float = 0.001
    """This share of compared answers may differ beyond noise."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a plan whose revision all workers have confirmed; older revisions prove nothing for its promotion."""

    route: str
    revision: int
    share: int
    """In ppm; 0 is the shadow step."""
    upstream: str = ""
    """The new upstream: its routes are judged together as well.  Empty: this route is judged alone."""
    run: int = 1
    """The how many-th run of this route's rollout.  Another number than before starts from zero."""
    last: bool = False
    """The plan's last step with a judgement to raise: it asks for more certainty."""
    tolerance: Tolerance = Tolerance()


@dataclass(frozen=True, slots=True)
class Batch:
    """All that has come in since the last one.  An empty one says that time has passed, and only that."""

    at: float
    """Seconds since 1970; never before the last batch's."""
    steps: tuple[Step, ...] = ()
    """Confirmed since the last batch; they are taken in before the rows."""
    rows: tuple[Evidence, ...] = ()
    """At most one per epoch (see `merge`)."""
    ended: tuple[str, ...] = ()
    """Routes whose run is over, done or aborted: they are judged no more.  Taken in before the steps."""

"""One route's run under judgement: which tests it has, and which evidence goes into which.

What follows from them is `rollout.core.opinion`.  Tests for a rollback live as long as the run, through every step and
pause, and get fresh copies; tests for a promotion begin anew at every step, with that step's margin, and only with
what was routed under its revision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from rollout.core.evidence import Counts, Evidence, Mark, Shadowed, Step, Tolerance
from rollout.core.ledger import Ledger, comparable, enter, lifted, marks
from rollout.core.mixture import Process, count, plain, renew, renewed
from rollout.core.sequential import (
    DIFFERS,
    QUANTILES,
    RATE_ABOVE,
    RATE_BELOW,
    SAME,
    SIDES,
    Ratio,
    better,
    slower,
)
from rollout.core.settings import Margin, Settings
from rollout.core.verdict import Breadth, Kind, Metric, Scope, Standing, Verdict


@dataclass(frozen=True, slots=True)
class Streak:
    """Failures of new in a row, as far as batches show it: a batch with any success ends it."""

    failures: int = 0
    legacy_well: int = 0
    """Legacy's successes meanwhile ..."""
    legacy_ill: int = 0
    """... and failures: where those are more, new's are no wonder."""
    clients: int = 0
    """With a counted error among these: one broken client alone trips no breaker."""
    first: Mark | None = None
    last: Mark | None = None


@dataclass(frozen=True, slots=True)
class Against:
    """The tests that ask whether new is worse than tolerated."""

    ratio: Process
    """Errors, new against legacy."""
    above: Process
    """Errors of new against the floor, of the same requests."""
    alone: Process
    """Errors of new against the floor, where it cannot be compared with legacy."""
    slow: tuple[Process, ...]
    """Slow answers, per limit."""
    differs: Process
    """Shadow answers."""


@dataclass(frozen=True, slots=True)
class For:
    """The tests that ask whether this step may end, and whether its data can be trusted."""

    ratio: Process
    below: Process
    """Errors of new; at the shadow step, where it has none of a user's, the failed copies."""
    same: Process
    """Shadow answers, held against legacy's own noise."""
    rarely: Process
    """Shadow answers, noise included."""
    sides: Process


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known about one run."""

    step: Step
    margin: Margin
    """Of this step."""
    since: float
    """When the step was confirmed."""
    base: int
    """The revision of the run's first step."""
    hour: int
    against: Against
    favour: For
    seen: float
    """When evidence came in last."""
    ledger: Ledger = ()
    streak: Streak = Streak()
    trials: tuple[int, int] = (0, 0)
    """Of this step: new's and legacy's."""
    warm_from: float | None = None
    """When new first answered."""
    warm_requests: int = 0
    alarmed: bool = False
    """An E has passed `caution` and not come back to `calm`."""
    passed: bool = False
    """This step's evidence was enough at some time; by Ville's inequality that settles it."""
    final: Verdict | None = None
    """The rollback."""
    said: tuple[str, str, str] = (Kind.NONE.value, Metric.DATA.value, Standing.NO_DATA.value)
    """Kind, metric and standing that were given out last."""

    @property
    def scope(self) -> Scope:
        return Scope(Breadth.ROUTE, self.step.route)


@lru_cache(maxsize=256)
def errors_family(ratio: float) -> Ratio:
    return Ratio(ratio)


@lru_cache(maxsize=256)
def promotion_family(ratio: float) -> Ratio:
    return better(ratio)


def slow_families(tolerance: Tolerance) -> tuple[Ratio, ...]:
    return tuple(slower(ratio, quantile) for ratio, quantile in zip(tolerance.slow, QUANTILES, strict=True))


# ---------------------------------------------------------------------------------------------------- beginnings


def begin(watch: Watch | None, step: Step, at: float, settings: Settings) -> Watch:
    """A step is confirmed: the first one of a run, or the next one."""
    hour = int(at // settings.renewal)
    if watch is None or watch.step.run != step.run:
        margin = settings.margin(step.share)
        return Watch(step, margin, at, step.revision, hour, unproven(step.tolerance), untested(step, margin), at)
    # What was frozen stays frozen, whatever the step says about it.
    step = replace(step, tolerance=watch.step.tolerance)
    moved = step.share != watch.step.share
    against = renew_all(watch.against, step.tolerance) if moved else watch.against
    margin = settings.margin(step.share)
    fresh = replace(watch, margin=margin, favour=untested(step, margin), passed=False, streak=Streak(), trials=(0, 0))
    return replace(fresh, step=step, since=at, against=against, seen=at)


def unproven(tolerance: Tolerance) -> Against:
    return Against(
        renewed(errors_family(tolerance.ratio)),
        renewed(RATE_ABOVE),
        renewed(RATE_ABOVE),
        tuple(renewed(family) for family in slow_families(tolerance)),
        renewed(DIFFERS),
    )


def untested(step: Step, margin: Margin) -> For:
    below = plain(RATE_BELOW) if step.share else renewed(RATE_BELOW)
    return For(plain(promotion_family(margin.ratio)), below, plain(SAME), plain(RATE_BELOW), plain(SIDES))


def renew_all(against: Against, tolerance: Tolerance) -> Against:
    return Against(
        renew(against.ratio, errors_family(tolerance.ratio)),
        renew(against.above, RATE_ABOVE),
        renew(against.alone, RATE_ABOVE),
        tuple(renew(process, family) for process, family in zip(against.slow, slow_families(tolerance), strict=True)),
        renew(against.differs, DIFFERS),
    )


# ------------------------------------------------------------------------------------------------- taking evidence in


def absorb(watch: Watch, row: Evidence, at: float, settings: Settings) -> Watch:
    """With one row more.  What was routed before this run began is none of its business."""
    if watch.final is not None or row.epoch.revision < watch.base:
        return watch
    hour = int(at // settings.renewal)
    if hour != watch.hour:
        watch = replace(watch, hour=hour, against=renew_all(watch.against, watch.step.tolerance))
    warm = watch.warm_from is not None and (
        at >= watch.warm_from + settings.warm_up and watch.warm_requests >= settings.warm_up_requests
    )
    judged = row.epoch.revision >= watch.step.revision and row.epoch.share == watch.step.share
    return replace(
        watch,
        seen=at,
        against=speak_against(watch, row, warm=warm),
        favour=speak_for(watch, row) if judged else watch.favour,
        ledger=enter(watch.ledger, row),
        streak=streak(watch.streak, row),
        trials=(watch.trials[0] + judged * row.new.trials, watch.trials[1] + judged * row.legacy.trials),
        warm_from=at if watch.warm_from is None and row.new.timed else watch.warm_from,
        warm_requests=watch.warm_requests + row.new.timed,
    )


def speak_against(watch: Watch, row: Evidence, *, warm: bool) -> Against:
    tolerance, against, share = watch.step.tolerance, watch.against, row.epoch.share
    differs = count(against.differs, DIFFERS, tolerance.mismatch, triples(row.shadow))
    outcomes = trials(row.new)
    if not comparable(row):
        floor = lifted(tolerance.floor, tolerance.ratio, watch.ledger)
        alone = count(against.alone, RATE_ABOVE, floor, outcomes)
        return replace(against, alone=alone, differs=differs)
    errors = (row.new.errors.count, row.legacy.errors.count)
    return Against(
        count(against.ratio, errors_family(tolerance.ratio), share, errors),
        count(against.above, RATE_ABOVE, tolerance.floor, outcomes),
        against.alone,
        speak_slow(against.slow, row, tolerance) if warm else against.slow,
        differs,
    )


def speak_slow(processes: tuple[Process, ...], row: Evidence, tolerance: Tolerance) -> tuple[Process, ...]:
    return tuple(
        count(process, family, row.epoch.share, (new.count, legacy.count))
        for process, family, new, legacy in zip(
            processes, slow_families(tolerance), row.new.slow, row.legacy.slow, strict=True
        )
    )


def speak_for(watch: Watch, row: Evidence) -> For:
    favour, margin, mismatch = watch.favour, watch.margin, watch.step.tolerance.mismatch
    wrong, pairs = row.shadow.mismatches.count, row.shadow.compared
    favour = replace(
        favour,
        below=count(favour.below, RATE_BELOW, margin.rate, trials(row.new)),
        same=count(favour.same, SAME, mismatch, triples(row.shadow)),
        rarely=count(favour.rarely, RATE_BELOW, mismatch, (wrong, pairs - wrong)),
    )
    if watch.step.share == 0:
        return replace(favour, below=speak_of_copies(favour.below, margin, row.shadow))
    if not comparable(row):
        return favour
    errors = (row.new.errors.count, row.legacy.errors.count)
    return replace(
        favour,
        ratio=count(favour.ratio, promotion_family(margin.ratio), row.epoch.share, errors),
        sides=count(favour.sides, SIDES, row.epoch.share, (row.new.clients, row.legacy.clients)),
    )


def speak_of_copies(below: Process, margin: Margin, shadow: Shadowed) -> Process:
    """A fresh copy joins after each failure: a side that was down for an hour need not make up for that hour."""
    below = count(below, RATE_BELOW, margin.rate, (shadow.failed, shadow.compared))
    return renew(below, RATE_BELOW) if shadow.failed else below


def trials(counts: Counts) -> tuple[int, int]:
    """Errors and successes, after the client rule."""
    return counts.errors.count, counts.trials - counts.errors.count


def triples(shadow: Shadowed) -> tuple[int, int, int]:
    return shadow.only_new.count, shadow.only_legacy, shadow.tripled - shadow.only_new.count - shadow.only_legacy


def streak(streak: Streak, row: Evidence) -> Streak:
    """Goes on while nothing but failures comes back from new."""
    new, legacy = row.new, row.legacy
    if new.failures < new.requests:
        return Streak()
    if not new.failures and not streak.failures:
        return streak
    first, last = marks([new.errors])
    return Streak(
        streak.failures + new.failures,
        streak.legacy_well + legacy.requests - legacy.failures,
        streak.legacy_ill + legacy.failures,
        streak.clients + new.errors.count,
        streak.first or first,
        last or streak.last,
    )

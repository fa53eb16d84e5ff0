"""What follows from one route's evidence, in the order in which it is asked.

    rolled back already                                 ROLLBACK, for ever
    E of errors or of slow answers is due               ROLLBACK
    so many failures in a row of several clients,
        and legacy is well                              BREAKER
    E of mismatches is due, the sides' sizes do not
        fit, or some E is alarming                      HOLD
    nothing has come in for too long                    HOLD, NO_DATA
    this step's evidence is enough                      PROMOTE
    anything else                                       NONE: NO_DATA or INCONCLUSIVE

It knows of no phase, pause or gate: a rollback is due in every one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rollout.core.alpha import threshold
from rollout.core.evidence import Counts, Evidence, Tally
from rollout.core.ledger import comparable, lifted, marks, spans
from rollout.core.mixture import log_e, log_mean
from rollout.core.sequential import DIFFERS, QUANTILES, RATE_ABOVE, RATE_BELOW, SAME, SIDES
from rollout.core.settings import Settings
from rollout.core.verdict import Kind, Metric, Span, Standing, Verdict
from rollout.core.watch import Watch, errors_family, promotion_family, slow_families
from router.core.model import PPM


@dataclass(frozen=True, slots=True)
class Readings:
    """The logarithm of every E of a run, or of what each has to reach."""

    errors: float
    alone: float
    latency: float
    mismatches: float
    sides: float
    safe: float


def read(watch: Watch) -> Readings:
    """Every E of this moment."""
    tolerance, against = watch.step.tolerance, watch.against
    return Readings(
        min(log_e(against.ratio, errors_family(tolerance.ratio)), log_e(against.above, RATE_ABOVE)),
        log_e(against.alone, RATE_ABOVE),
        log_mean(slow_readings(watch)),
        log_e(against.differs, DIFFERS),
        log_e(watch.favour.sides, SIDES),
        safety(watch),
    )


def slow_readings(watch: Watch) -> list[float]:
    families = slow_families(watch.step.tolerance)
    return [log_e(process, family) for process, family in zip(watch.against.slow, families, strict=True)]


def safety(watch: Watch) -> float:
    """Evidence that the step may end: at the shadow step that answers are the same, and at all that errors are few."""
    favour = watch.favour
    if watch.step.share == 0:
        same = log_mean((log_e(favour.same, SAME), log_e(favour.rarely, RATE_BELOW)))
        return min(same, log_e(favour.below, RATE_BELOW))
    return log_mean((log_e(favour.ratio, promotion_family(watch.margin.ratio)), log_e(favour.below, RATE_BELOW)))


def due(watch: Watch, settings: Settings) -> Readings:
    """What each has to reach: for a rollback, a hold because of mismatches or sizes, a promotion."""
    alpha, run = settings.alpha, watch.step.run
    other = threshold(alpha.other, run)
    promotion = alpha.last_promotion if watch.step.last else alpha.promotion
    return Readings(
        threshold(alpha.errors, run),
        other,
        threshold(alpha.latency, run),
        other,
        threshold(alpha.sides),
        threshold(promotion),
    )


def opinion(watch: Watch, readings: Readings, at: float, settings: Settings) -> Verdict:
    """The verdict of this moment."""
    if watch.final is not None:
        return watch.final
    limits = due(watch, settings)
    return (
        _rollback(watch, readings, limits, at)
        or _breaker(watch, at, settings)
        or _distrust(watch, readings, limits, at)
        or _caution(watch, readings, at, settings)
        or _silence(watch, at, settings)
        or _promotion(watch, readings, limits, at)
    )


def _rollback(watch: Watch, readings: Readings, limits: Readings, at: float) -> Verdict | None:
    if readings.errors >= limits.errors:
        return on_errors(watch, Kind.ROLLBACK, readings.errors, limits.errors, at)
    if readings.alone >= limits.alone:
        return on_errors_alone(watch, Kind.ROLLBACK, readings.alone, limits.alone, at)
    if readings.latency >= limits.latency:
        return on_latency(watch, Kind.ROLLBACK, readings.latency, limits.latency, at)
    return None


def _breaker(watch: Watch, at: float, settings: Settings) -> Verdict | None:
    streak = watch.streak
    if streak.failures < settings.breaker or streak.legacy_well <= streak.legacy_ill or streak.clients < 2:
        return None
    return Verdict(
        Kind.BREAKER,
        Standing.INCONCLUSIVE,
        watch.scope,
        Metric.CONSECUTIVE,
        at,
        watch.step.run,
        (Span(watch.step.share, watch.step.revision, streak.failures, streak.failures),),
        first=streak.first,
        last=streak.last,
        note=f"{settings.breaker} failures in a row trip the breaker; legacy answered meanwhile",
    )


def _distrust(watch: Watch, readings: Readings, limits: Readings, at: float) -> Verdict | None:
    if readings.mismatches >= limits.mismatches:
        return on_mismatches(watch, Standing.FAILED, readings.mismatches, limits.mismatches, at)
    if readings.sides >= limits.sides:
        return _verdict(
            watch,
            Kind.HOLD,
            Standing.INCONCLUSIVE,
            Metric.SIDES,
            at,
            log_e=readings.sides,
            log_threshold=limits.sides,
            spans=spans(filter(comparable, watch.ledger), _clients, _clients),
            note="the sides' numbers of clients do not fit the share: the data is in doubt, not the new side",
        )
    return None


def alarming(watch: Watch, readings: Readings, settings: Settings) -> bool:
    """Is some E past `caution`, or was it and has not come back to `calm`?"""
    level = settings.calm if watch.alarmed else settings.caution
    return max(_against(readings)) >= threshold(1 / level)


def _against(readings: Readings) -> tuple[float, ...]:
    return readings.errors, readings.alone, readings.latency, readings.mismatches


def _caution(watch: Watch, readings: Readings, at: float, settings: Settings) -> Verdict | None:
    """Something is trending bad: reversible, nothing is proven, and nothing is promoted."""
    if not watch.alarmed:
        return None
    level, worst, kind = threshold(1 / settings.caution), max(_against(readings)), Kind.HOLD
    if readings.errors == worst:
        return on_errors(watch, kind, worst, level, at)
    if readings.alone == worst:
        return on_errors_alone(watch, kind, worst, level, at)
    if readings.latency == worst:
        return on_latency(watch, kind, worst, level, at)
    return on_mismatches(watch, Standing.INCONCLUSIVE, worst, level, at)


def _silence(watch: Watch, at: float, settings: Settings) -> Verdict | None:
    if at <= watch.seen + settings.stale:
        return None
    note = f"nothing was counted for more than {settings.stale:g} seconds"
    return _verdict(watch, Kind.HOLD, Standing.NO_DATA, Metric.DATA, at, note=note)


def _promotion(watch: Watch, readings: Readings, limits: Readings, at: float) -> Verdict:
    if not present(watch):
        note = "new has had no requests at this step yet"
        if watch.step.share == 0:
            note = "; ".join(filter(None, ("no answers were compared yet", failed_copies(watch))))
        elif watch.trials[0]:
            note = "new has had less than half of the requests that its share promises it"
        return _verdict(watch, Kind.NONE, Standing.NO_DATA, Metric.DATA, at, note=note)
    kind, standing = (Kind.PROMOTE, Standing.PASSED) if watch.passed else (Kind.NONE, Standing.INCONCLUSIVE)
    note = "" if readings.safe >= limits.safe or not watch.passed else "it was enough at a time before"
    if watch.step.share == 0:
        note = "; ".join(filter(None, (failed_copies(watch), note)))
    shown = on_shadow_safe if watch.step.share == 0 else on_safe
    return replace(shown(watch, kind, standing, readings.safe, limits.safe, at), note=note)


def present(watch: Watch) -> bool:
    """Is there anything to judge?  A test must not pass because its side had no requests."""
    if watch.step.share == 0:
        return any(process.open for process in (watch.favour.same, watch.favour.rarely))
    new, legacy = watch.trials
    return new > 0 and 2 * new * PPM >= (new + legacy) * watch.step.share


def failed_copies(watch: Watch) -> str:
    """A new side that fails is no mismatch; it keeps users away from it all the same, and has to be named."""
    rows = [row.shadow for row in watch.ledger if row.epoch.share == 0]
    failed, compared = sum(row.failed for row in rows), sum(row.compared for row in rows)
    if not failed:
        return ""
    return f"new failed {failed:,} of {failed + compared:,} copies; tolerated are {watch.margin.rate * 100:g} %"


def passes(watch: Watch, readings: Readings, settings: Settings) -> bool:
    """Is this step's evidence enough, now or at some time before?"""
    return watch.passed or (present(watch) and readings.safe >= due(watch, settings).safe)


# ------------------------------------------------------------------------------------------- with all their numbers


def _errors(counts: Counts) -> int:
    return counts.errors.count


def _trials(counts: Counts) -> int:
    return counts.trials


def _timed(counts: Counts) -> int:
    return counts.timed


def _clients(counts: Counts) -> int:
    return counts.clients


def on_errors(watch: Watch, kind: Kind, log_e: float, level: float, at: float) -> Verdict:
    rows = list(filter(comparable, watch.ledger))
    return _verdict(
        watch,
        kind,
        _standing(kind),
        Metric.ERRORS,
        at,
        log_e=log_e,
        log_threshold=level,
        ratio=watch.step.tolerance.ratio,
        floor=watch.step.tolerance.floor,
        spans=spans(rows, _errors, _trials),
        tallies=(row.new.errors for row in rows),
    )


def on_errors_alone(watch: Watch, kind: Kind, log_e: float, level: float, at: float) -> Verdict:
    rows = [row for row in watch.ledger if not comparable(row)]
    return _verdict(
        watch,
        kind,
        _standing(kind),
        Metric.ERRORS,
        at,
        log_e=log_e,
        log_threshold=level,
        floor=lifted(watch.step.tolerance.floor, watch.step.tolerance.ratio, watch.ledger),
        spans=spans(rows, _errors, _trials),
        tallies=(row.new.errors for row in rows),
        note="the sides could not be compared there: new is held against what legacy was seen to do before",
    )


def on_latency(watch: Watch, kind: Kind, log_e: float, level: float, at: float) -> Verdict:
    each = slow_readings(watch)
    worst = each.index(max(each))
    rows: list[Evidence] = list(filter(comparable, watch.ledger))
    return _verdict(
        watch,
        kind,
        _standing(kind),
        Metric.LATENCY,
        at,
        log_e=log_e,
        log_threshold=level,
        ratio=watch.step.tolerance.slow[worst],
        spans=spans(rows, lambda counts: counts.slow[worst].count, _timed),
        tallies=(row.new.slow[worst] for row in rows),
        note=f"slow is beyond legacy's {QUANTILES[worst]:.0%} quantile as frozen for this run",
    )


def on_mismatches(watch: Watch, standing: Standing, log_e: float, level: float, at: float) -> Verdict:
    return _verdict(
        watch,
        Kind.HOLD,
        standing,
        Metric.MISMATCHES,
        at,
        log_e=log_e,
        log_threshold=level,
        floor=watch.step.tolerance.mismatch,
        spans=tuple(
            Span(
                row.epoch.share,
                row.epoch.revision,
                row.shadow.only_new.count,
                row.shadow.tripled,
                row.shadow.only_legacy,
                row.shadow.tripled,
            )
            for row in watch.ledger
        ),
        tallies=(row.shadow.only_new for row in watch.ledger),
        note="new against legacy's answer, and legacy's second answer against its first",
    )


def on_safe(watch: Watch, kind: Kind, standing: Standing, log_e: float, level: float, at: float) -> Verdict:
    rows = [row for row in watch.ledger if row.epoch.share == watch.step.share]
    return _verdict(
        watch,
        kind,
        standing,
        Metric.SAFE,
        at,
        log_e=log_e,
        log_threshold=level,
        ratio=watch.margin.ratio,
        floor=watch.margin.rate,
        spans=spans(rows, _errors, _trials),
        tallies=(row.new.errors for row in rows),
    )


def on_shadow_safe(watch: Watch, kind: Kind, standing: Standing, log_e: float, level: float, at: float) -> Verdict:
    rows = [row for row in watch.ledger if row.epoch.share == watch.step.share]
    counted = (
        Span(row.epoch.share, row.epoch.revision, row.shadow.mismatches.count, row.shadow.compared) for row in rows
    )
    return _verdict(
        watch,
        kind,
        standing,
        Metric.MISMATCHES,
        at,
        log_e=log_e,
        log_threshold=level,
        floor=watch.step.tolerance.mismatch,
        spans=tuple(counted),
        tallies=(row.shadow.mismatches for row in rows),
    )


def _standing(kind: Kind) -> Standing:
    return Standing.FAILED if kind is Kind.ROLLBACK else Standing.INCONCLUSIVE


def _verdict(
    watch: Watch,
    kind: Kind,
    standing: Standing,
    metric: Metric,
    at: float,
    *,
    log_e: float | None = None,
    log_threshold: float | None = None,
    ratio: float | None = None,
    floor: float | None = None,
    spans: tuple[Span, ...] = (),
    tallies: Iterable[Tally] = (),
    note: str = "",
) -> Verdict:
    first, last = marks(tallies)
    return Verdict(
        kind,
        standing,
        watch.scope,
        metric,
        at,
        watch.step.run,
        spans,
        log_e,
        log_threshold,
        ratio,
        floor,
        first,
        last,
        note,
    )

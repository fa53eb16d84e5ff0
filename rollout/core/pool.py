"""All routes to one new upstream judged together, and all routes there are.

Sixty routes with a request a minute prove nothing each, but together they show a fault of their upstream in an hour:
their errors go into one ratio test, every error under the share and the tolerance of its own route.  What is refuted is
"on every route new is harmless".  The floor of the absolute test is for each route at least what legacy was seen to do
there, so that a route which fails on both sides alike does not open the door for the noise of another.

One bad route is that route's own affair.  So at least two of them must have had errors, and when a route has been
rolled back by itself the pool begins anew without its past, at a stricter threshold.  A client that fails on many of
them is one client: only its first error within the hour counts here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from rollout.core.alpha import threshold
from rollout.core.evidence import Counts, Evidence, Tally, Tolerance
from rollout.core.ledger import Ledger, enter_span, usual
from rollout.core.mixture import Process, count, log_e, renew, renewed
from rollout.core.sequential import RATE_ABOVE, Ratio
from rollout.core.settings import Settings
from rollout.core.verdict import Breadth, Kind, Metric, Scope, Span, Standing, Verdict
from router.core.model import PPM

EVEN: Final = Ratio(1.0)
"""The tolerated ratio is in the condition (`tilted`), since each route has its own."""
_NEARLY_ALL: Final = PPM * (1 - 1e-12)
ENOUGH: Final = 2
"""Routes with errors without which a pool says nothing."""


@dataclass(frozen=True, slots=True)
class Pool:
    """What is known about an upstream, or about everything."""

    scope: Scope
    hour: int
    ratio: Process
    above: Process
    start: int = 1
    """The how many-th beginning."""
    spans: tuple[Span, ...] = ()
    errors: Tally = field(default_factory=Tally)
    """Of new."""
    failing: tuple[str, ...] = ()
    """Routes with errors on new, the first few of them."""
    alarmed: bool = False
    final: Verdict | None = None
    said: tuple[str, str] = (Kind.NONE.value, Standing.INCONCLUSIVE.value)


def fresh(scope: Scope, at: float, settings: Settings, start: int = 1) -> Pool:
    return Pool(scope, int(at // settings.renewal), renewed(EVEN), renewed(RATE_ABOVE), start)


def again(pool: Pool, at: float, settings: Settings) -> Pool:
    """Without its past; what was said stays said, until something else is."""
    return replace(fresh(pool.scope, at, settings, pool.start + 1), said=pool.said)


def tilted(share: int, ratio: float) -> float:
    """The share under which a ratio of 1 gives an error the chance that `ratio` gives it under `share`."""
    return min(share * ratio / (share * ratio + PPM - share) * PPM, _NEARLY_ALL)


def absorb(pool: Pool, row: Evidence, tolerance: Tolerance, before: Ledger, at: float, settings: Settings) -> Pool:
    """With one comparable row more; `before` is what its route had counted until then."""
    if pool.final is not None:
        return pool
    row = replace(row, legacy=first_ones(row.legacy), new=first_ones(row.new))
    hour = int(at // settings.renewal)
    if hour != pool.hour:
        pool = replace(pool, hour=hour, ratio=renew(pool.ratio, EVEN), above=renew(pool.above, RATE_ABOVE))
    errors = row.new.errors.count
    floor = usual(tolerance.floor, tolerance.ratio, before)
    return replace(
        pool,
        ratio=count(pool.ratio, EVEN, tilted(row.epoch.share, tolerance.ratio), (errors, row.legacy.errors.count)),
        above=count(pool.above, RATE_ABOVE, floor, (errors, row.new.trials - errors)),
        spans=enter_span(pool.spans, row),
        errors=pool.errors + row.new.errors,
        failing=_failing(pool.failing, row),
    )


def first_ones(counts: Counts) -> Counts:
    """Without errors of clients that have been counted on another route."""
    if not counts.elsewhere:
        return counts
    count = counts.errors.count - counts.elsewhere
    errors = replace(counts.errors, count=count) if count else Tally()
    return replace(counts, errors=errors, trials=counts.trials - counts.elsewhere, elsewhere=0)


def _failing(known: tuple[str, ...], row: Evidence) -> tuple[str, ...]:
    if not row.new.errors.count or row.epoch.route in known or len(known) >= ENOUGH:
        return known
    return (*known, row.epoch.route)


def reading(pool: Pool) -> float:
    """The logarithm of E."""
    return min(log_e(pool.ratio, EVEN), log_e(pool.above, RATE_ABOVE))


def assess(pool: Pool, at: float, settings: Settings) -> tuple[Pool, Verdict]:
    """The pool's verdict of this moment; everything together is only ever held, an upstream is rolled back."""
    if pool.final is not None:
        return pool, pool.final
    everything = pool.scope.breadth is Breadth.ALL
    level = threshold(settings.alpha.upstream, 1 if everything else pool.start)
    caution = level if everything else threshold(1 / settings.caution)
    value = reading(pool) if len(pool.failing) >= ENOUGH else 0.0
    alarmed = value >= (threshold(1 / settings.calm) if pool.alarmed else caution)
    pool = replace(pool, alarmed=alarmed)
    if value >= level and not everything:
        verdict = _verdict(pool, Kind.ROLLBACK, Standing.FAILED, value, level, at)
        return replace(pool, final=verdict), verdict
    kind = Kind.HOLD if alarmed else Kind.NONE
    return pool, _verdict(pool, kind, Standing.INCONCLUSIVE, value, caution, at)


def _verdict(pool: Pool, kind: Kind, standing: Standing, log_e: float, level: float, at: float) -> Verdict:
    return Verdict(
        kind,
        standing,
        pool.scope,
        Metric.ERRORS,
        at,
        pool.start,
        pool.spans,
        log_e,
        level,
        first=pool.errors.first,
        last=pool.errors.last,
        note="routes judged together, each against its own tolerance",
    )

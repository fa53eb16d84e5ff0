"""Is legacy itself in trouble?  Then nothing rises, whatever the comparison says.

The comparison of the sides stays quiet by design when both fail alike, so somebody else has to say that this is no time
to promote.  The failures of the last five minutes are held against the hour before, which fades out minute by minute.
While there is trouble the hour before stands still, so that a long outage does not become the yardstick by which it is
over; what has lasted for `legacy_patience` is how legacy is now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from rollout.core.evidence import Evidence
from rollout.core.settings import Settings
from rollout.core.verdict import Breadth, Kind, Metric, Scope, Span, Standing, Verdict

MINUTE: Final = 60.0
RECENT: Final = 5
"""Minutes that are held against the hour before."""
FADES: Final = 59 / 60


@dataclass(frozen=True, slots=True)
class Legacy:
    """Requests and failures of legacy, all routes together."""

    minutes: tuple[tuple[int, int, int], ...] = ()
    """Of the last few: which minute, requests, failures."""
    requests: float = 0.0
    """Of the hour before that."""
    failures: float = 0.0
    troubled: float | None = None
    """Since when."""
    said: bool = False


def absorb(legacy: Legacy, rows: tuple[Evidence, ...], at: float, settings: Settings) -> Legacy:
    """With a batch more."""
    requests = sum(row.legacy.requests for row in rows)
    failures = sum(row.legacy.failures for row in rows)
    minute = int(at // MINUTE)
    minutes = {one: (everything, bad) for one, everything, bad in legacy.minutes}
    known = minutes.get(minute, (0, 0))
    minutes[minute] = (known[0] + requests, known[1] + failures)
    kept = tuple((one, *minutes[one]) for one in sorted(minutes) if one > minute - RECENT)
    gone = [minutes[one] for one in sorted(minutes) if one <= minute - RECENT]
    return _mood(_fade(replace(legacy, minutes=kept), gone), at, settings)


def _fade(legacy: Legacy, gone: list[tuple[int, int]]) -> Legacy:
    """What has left the last minutes joins the hour before, unless there was trouble."""
    if legacy.troubled is not None:
        return legacy
    requests, failures = legacy.requests, legacy.failures
    for more, bad in gone:
        requests, failures = requests * FADES + more, failures * FADES + bad
    return replace(legacy, requests=requests, failures=failures)


def _mood(legacy: Legacy, at: float, settings: Settings) -> Legacy:
    requests = sum(minute[1] for minute in legacy.minutes)
    failures = sum(minute[2] for minute in legacy.minutes)
    if not legacy.requests or not requests:
        return legacy
    usual = (legacy.failures + 1) / (legacy.requests + 1)
    worse = failures >= settings.legacy_least and failures / requests >= settings.legacy_factor * usual
    if not worse:
        return replace(legacy, troubled=None)
    since = at if legacy.troubled is None else legacy.troubled
    if at - since > settings.legacy_patience:
        return replace(legacy, troubled=None, requests=float(requests), failures=float(failures))
    return replace(legacy, troubled=since)


def assess(legacy: Legacy, at: float, settings: Settings) -> Verdict:
    """HOLD for everything while legacy is in trouble."""
    requests = sum(minute[1] for minute in legacy.minutes)
    failures = sum(minute[2] for minute in legacy.minutes)
    troubled = legacy.troubled is not None
    usual = (legacy.failures + 1) / (legacy.requests + 1)
    note = (
        f"legacy failed {failures:,} of {requests:,} requests within five minutes, "
        f"{settings.legacy_factor:g} times as often as before ({usual:.2%}) or more"
    )
    return Verdict(
        Kind.HOLD if troubled else Kind.NONE,
        Standing.INCONCLUSIVE,
        Scope(Breadth.ALL),
        Metric.LEGACY,
        at,
        spans=(Span(0, 0, 0, 0, failures, requests),) if troubled else (),
        note=note if troubled else "legacy fails no more often than usual",
    )

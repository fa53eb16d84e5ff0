"""What the judgement of a rollout says, with everything that somebody needs who does not believe it.

Two words answer two questions.  `Kind` says what to do.  `Standing` says what is known, and keeps apart what other
tools throw together: that there is nothing to look at (NO_DATA), that there is, but not enough for either answer
(INCONCLUSIVE), and that new is worse than tolerated (FAILED).  Silence never passes.

`E` is the evidence against "new is harmless" (for PROMOTE: "new is harmful").  It is at most 1 at the start, and
if new is harmless the chance that E *ever* reaches 1/alpha is at most alpha, however often one looks.  Only its
logarithm is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from typing import Any, Final

from rollout.core.evidence import Mark
from router.core.model import PPM


class Kind(StrEnum):
    """What to do."""

    NONE = "none"
    """Go on as it is: nothing is proven in either direction."""
    PROMOTE = "promote"
    """As far as evidence goes, the next step may begin; time, clients, windows and gates are the plan's affair."""
    HOLD = "hold"
    """No promotion; says no longer HOLD once its grounds are gone."""
    BREAKER = "breaker"
    """Share to 0 for a while: too many failures in a row.  No statistics, and nothing is proven by it."""
    ROLLBACK = "rollback"
    """Share to 0, in every state of the rollout, until a person resumes.  Final for this run."""


class Standing(StrEnum):
    """What is known."""

    NO_DATA = "no-data"
    INCONCLUSIVE = "inconclusive"
    PASSED = "passed"
    FAILED = "failed"


class Breadth(StrEnum):
    """How far a verdict reaches; what is rolled back or held is exactly that."""

    ROUTE = "route"
    UPSTREAM = "upstream"
    """All routes to one new upstream that are not done yet."""
    ALL = "all"
    """Everything; only ever a HOLD."""


class Metric(StrEnum):
    """What the verdict was found by."""

    ERRORS = "errors"
    LATENCY = "latency"
    MISMATCHES = "mismatches"
    SIDES = "sides"
    """The sides' sizes do not fit the share: the data cannot be trusted."""
    LEGACY = "legacy"
    """Legacy itself is in trouble: nothing rises meanwhile."""
    CONSECUTIVE = "consecutive"
    """Failures in a row."""
    SAFE = "safe"
    """Evidence that new is no worse than the step's margin."""
    DATA = "data"
    """Whether there is anything to judge."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The route or upstream that a verdict speaks of."""

    breadth: Breadth
    name: str = ""

    def __str__(self) -> str:
        return "everything" if self.breadth is Breadth.ALL else f"{self.breadth} {self.name}"


@dataclass(frozen=True, slots=True)
class Span:
    """What a metric counted while one share was in force: bad ones and all, per side."""

    share: int
    revision: int
    """The first one with this share."""
    new_bad: int = 0
    new_all: int = 0
    legacy_bad: int = 0
    legacy_all: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement, complete: what, about whom, by which numbers, against which threshold."""

    kind: Kind
    standing: Standing
    scope: Scope
    metric: Metric
    at: float
    """When the deciding batch came in."""
    run: int = 1
    spans: tuple[Span, ...] = ()
    """The counts of this metric, a span per share, oldest first."""
    log_e: float | None = None
    """Natural logarithm of E; None where no test took part."""
    log_threshold: float | None = None
    """E at which this verdict is due, as logarithm."""
    ratio: float | None = None
    """Tolerated: new's rate may be so many times legacy's ..."""
    floor: float | None = None
    """... or up to this rate, whatever legacy's is."""
    first: Mark | None = None
    """The first request that spoke against new."""
    last: Mark | None = None
    note: str = ""
    """What else one has to know, such as that the sides could not be compared."""

    def __str__(self) -> str:
        return sentence(self)


# Below this a figure says more as a number than as a power of ten.
_PLAIN: Final = log(1e6)

_WHAT: Final = {
    Metric.ERRORS: "failed",
    Metric.LATENCY: "were slow",
    Metric.MISMATCHES: "differed",
    Metric.SIDES: "clients were counted",
    Metric.LEGACY: "failed",
    Metric.CONSECUTIVE: "failed in a row",
    Metric.SAFE: "failed",
    Metric.DATA: "failed",
}


def sentence(verdict: Verdict) -> str:
    """The whole verdict as one line for people."""
    parts = [f"{verdict.kind.upper()} {verdict.scope}", f"{verdict.metric}, {verdict.standing}"]
    parts += filter(None, (counted(verdict), tested(verdict), offenders(verdict), verdict.note))
    return "; ".join(parts)


def counted(verdict: Verdict) -> str:
    """`new 12 of 240 and legacy 118 of 23,760 failed at 1 %`, over all spans."""
    if not verdict.spans:
        return ""
    new = f"new {sum(span.new_bad for span in verdict.spans):,} of {sum(span.new_all for span in verdict.spans):,}"
    legacy_all = sum(span.legacy_all for span in verdict.spans)
    legacy = f" and legacy {sum(span.legacy_bad for span in verdict.spans):,} of {legacy_all:,}" if legacy_all else ""
    shares = dict.fromkeys(f"{span.share * 100 / PPM:g} %" for span in verdict.spans)
    return f"{new}{legacy} {_WHAT[verdict.metric]} at {', '.join(shares)}"


def tested(verdict: Verdict) -> str:
    """`E 3,120 of 2,500; tolerated are 1.2 times legacy's or 0.2 %`."""
    if verdict.log_e is None or verdict.log_threshold is None:
        return ""
    allowed = [f"{verdict.ratio:g} times legacy's rate"] if verdict.ratio is not None else []
    allowed += [f"a rate of {verdict.floor * 100:g} %"] if verdict.floor is not None else []
    reached = f"E {figure(verdict.log_e)} of {figure(verdict.log_threshold)}"
    if not allowed:
        return reached
    return f"{reached} against more than {' and '.join(allowed)}"


def offenders(verdict: Verdict) -> str:
    if verdict.last is None:
        return ""
    if verdict.first is None:
        return f"the last of them request {verdict.last.request}"
    if verdict.first == verdict.last:
        return f"request {verdict.first.request}"
    return f"requests {verdict.first.request} to {verdict.last.request}"


def figure(logarithm: float) -> str:
    """A number known by its natural logarithm; it may be too large, or too small, for a float."""
    if abs(logarithm) < _PLAIN:
        return f"{exp(logarithm):,.4g}" if logarithm < log(1000) else f"{exp(logarithm):,.0f}"
    return f"10^{logarithm / log(10):.0f}"


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """For the event log, the API and webhooks; the sentence stands beside the numbers."""
    return {
        "kind": verdict.kind.value,
        "standing": verdict.standing.value,
        "scope": {"breadth": verdict.scope.breadth.value, "name": verdict.scope.name},
        "metric": verdict.metric.value,
        "at": verdict.at,
        "run": verdict.run,
        "spans": [
            {
                "share": span.share,
                "revision": span.revision,
                "new_bad": span.new_bad,
                "new_all": span.new_all,
                "legacy_bad": span.legacy_bad,
                "legacy_all": span.legacy_all,
            }
            for span in verdict.spans
        ],
        "log_e": verdict.log_e,
        "log_threshold": verdict.log_threshold,
        "ratio": verdict.ratio,
        "floor": verdict.floor,
        "first": list(verdict.first) if verdict.first else None,
        "last": list(verdict.last) if verdict.last else None,
        "note": verdict.note,
        "sentence": sentence(verdict),
    }

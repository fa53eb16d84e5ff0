"""Is this change wise?  Rules that a change must pass, on the state after it, whoever wants it and by whichever way.

    max-step        a route may rise by so much in one change
    max-rise        and by so much above its lowest share within a time, all changes together
    max-moved       one change may move so much of the recent real traffic to the new side
    max-raised      one change may raise so many routes
    frozen          no route under a freeze may rise
    window          shares rise within the change windows only
    legacy-alive    nothing moves to a legacy that has no healthy endpoint

Everything but the last speaks of rising shares alone: moving to legacy is always allowed, at once, whatever the hour.
A refused change is refused whole, with every violation at once and, where there is one, the largest share that would
pass.  Each rule can be overridden by its name; who did so and why is recorded with the change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from router.core.model import Safety, Table
from router.core.orders import Covering, EffectiveState, Kind, Order


class Rule(StrEnum):
    """The names by which rules are refused, and overridden."""

    MAX_STEP = "max-step"
    MAX_RISE = "max-rise"
    MAX_MOVED = "max-moved"
    MAX_RAISED = "max-raised"
    FROZEN = "frozen"
    WINDOW = "window"
    LEGACY_ALIVE = "legacy-alive"


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that a change breaks.  `allowed` is the largest share in ppm that would pass, where one would."""

    rule: Rule
    route: str
    """The route's name; empty when the rule speaks of the change as a whole."""
    detail: str
    allowed: int | None = None

    def __str__(self) -> str:
        where = f"{self.route}: " if self.route else ""
        allowed = "" if self.allowed is None else f"; {percent(self.allowed)} would be allowed"
        return f"{self.rule}: {where}{self.detail}{allowed}"


@dataclass(frozen=True, slots=True)
class Rise:
    """A share that rose a while ago: by how much, in ppm, and when, in Unix time."""

    route: str
    by: int
    at: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules need to know about the world."""

    now: float
    """Unix time."""
    weekday: int = 0
    """0 is Monday, in the time zone of the safety section."""
    minute: int = 0
    """Of the day, in that zone."""
    traffic: Mapping[str, int] = field(default_factory=dict)
    """Recent requests by route name."""
    rises: Sequence[Rise] = ()
    legacy_dead: bool = False
    """No endpoint of the legacy upstream is healthy."""


@dataclass(frozen=True, slots=True)
class Step:
    """One route's share before and after."""

    route: str
    before: int
    after: int

    @property
    def rise(self) -> int:
        return self.after - self.before


def steps(before: tuple[Table, EffectiveState] | None, after: tuple[Table, EffectiveState]) -> tuple[Step, ...]:
    """Every route whose share changes; a route that is new rises from 0."""
    known: dict[str, int] = {}
    if before is not None:
        known = {route.name: entry.share for route, entry in zip(before[0].routes, before[1].routes, strict=True)}
    found = (
        Step(route.name, known.get(route.name, 0), entry.share)
        for route, entry in zip(after[0].routes, after[1].routes, strict=True)
    )
    return tuple(step for step in found if step.before != step.after)


def check(
    table: Table,
    orders: Sequence[Order],
    changed: Sequence[Step],
    facts: Facts,
    overridden: Collection[str] = (),
) -> tuple[Violation, ...]:
    """What the change breaks, in the order of the rules; empty: it may be made.

    `table` and `orders` are those after the change.
    """
    raised = [step for step in changed if step.rise > 0]
    safety = table.safety or Safety()
    found = [
        *_max_step(safety, raised),
        *_max_rise(safety, raised, facts),
        *_max_moved(safety, changed, facts),
        *_max_raised(safety, raised),
        *_frozen(table, orders, raised),
        *_window(safety, raised, facts),
        *_legacy_alive(changed, facts),
    ]
    return tuple(violation for violation in found if violation.rule not in overridden)


def _max_step(safety: Safety, raised: Sequence[Step]) -> list[Violation]:
    limit = safety.max_step
    if limit is None:
        return []
    return [
        Violation(
            Rule.MAX_STEP,
            step.route,
            f"{percent(step.before)} to {percent(step.after)} is more than {points(limit)} at once",
            step.before + limit,
        )
        for step in raised
        if step.rise > limit
    ]


def _max_rise(safety: Safety, raised: Sequence[Step], facts: Facts) -> list[Violation]:
    limit = safety.max_rise
    if limit is None:
        return []
    since = facts.now - safety.max_rise_span
    risen: dict[str, int] = {}
    for rise in facts.rises:
        if rise.at > since:
            risen[rise.route] = risen.get(rise.route, 0) + rise.by
    return [
        Violation(
            Rule.MAX_RISE,
            step.route,
            f"it would rise by {points(already + step.rise)} within {safety.max_rise_span:g} s; {points(limit)} may be",
            max(step.before, step.before + limit - already),
        )
        for step in raised
        if (already := risen.get(step.route, 0)) + step.rise > limit
    ]


def _max_moved(safety: Safety, changed: Sequence[Step], facts: Facts) -> list[Violation]:
    limit = safety.max_moved
    moved = moved_to_new(changed, facts.traffic)
    if limit is None or moved <= limit:
        return []
    detail = f"{percent(moved)} of the recent traffic would move to new; {percent(limit)} may at once"
    return [Violation(Rule.MAX_MOVED, "", detail)]


def moved_to_new(changed: Sequence[Step], traffic: Mapping[str, int]) -> int:
    """The part of the recent traffic, in ppm, that a change moves to the new side; moves back do not count."""
    total = sum(traffic.values())
    if not total:
        return 0
    return sum(max(step.rise, 0) * traffic.get(step.route, 0) for step in changed) // total


def moved(changed: Sequence[Step], traffic: Mapping[str, int]) -> int:
    """The part of the recent traffic, in ppm, that changes side, in either direction."""
    total = sum(traffic.values())
    if not total:
        return 0
    return sum(abs(step.rise) * traffic.get(step.route, 0) for step in changed) // total


def _max_raised(safety: Safety, raised: Sequence[Step]) -> list[Violation]:
    limit = safety.max_raised
    if limit is None or len(raised) <= limit:
        return []
    return [Violation(Rule.MAX_RAISED, "", f"{len(raised)} routes would rise at once; {limit} may")]


def _frozen(table: Table, orders: Sequence[Order], raised: Sequence[Step]) -> list[Violation]:
    freezes = [order for order in orders if order.kind is Kind.FREEZE]
    if not freezes or not raised:
        return []
    rising = {step.route: step for step in raised}
    covering = Covering(freezes)
    return [
        Violation(
            Rule.FROZEN,
            route.name,
            f"{order.id} ({order.scope}, {order.actor}: {order.reason}) allows no rise",
            rising[route.name].before,
        )
        for route in table.routes
        if route.name in rising
        for order in covering.over(route)
    ]


def _window(safety: Safety, raised: Sequence[Step], facts: Facts) -> list[Violation]:
    if not safety.windows or not raised:
        return []
    if any(facts.weekday in one.days and one.begin <= facts.minute < one.end for one in safety.windows):
        return []
    detail = f"{len(raised)} routes would rise outside of the change windows; lowering is allowed"
    return [Violation(Rule.WINDOW, "", detail)]


def _legacy_alive(changed: Sequence[Step], facts: Facts) -> list[Violation]:
    lowered = [step for step in changed if step.rise < 0]
    if not facts.legacy_dead or not lowered:
        return []
    detail = f"{len(lowered)} routes would move to legacy, which has no healthy endpoint"
    return [Violation(Rule.LEGACY_ALIVE, "", detail)]


def percent(share: int) -> str:
    """A share for people."""
    return f"{share / 10_000:g} %"


def points(share: int) -> str:
    """A difference of shares for people."""
    count = share / 10_000
    return f"{count:g} point" if count == 1 else f"{count:g} points"

"""The safety rules, asked about a step before it is taken: with what they need to know, and in words for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from router.answers import Refusal, refusal
from router.core.model import PPM, Safety, Table
from router.core.observed import UNOBSERVED, Observed
from router.core.orders import effective
from router.core.place import Objection, Stamp
from router.core.safety import Facts, Rise, check, percent, steps
from router.course import Course
from router.ports import Clock, Revision, Traffic
from router.steps import Decided, Force, Who, at_most, with_overridden
from router.wishes import Place

SAID: Final = 10
"""Violations in one sentence; `violations` has them all."""

Local = Callable[[float, str], tuple[int, int]]
"""Weekday (0 is Monday) and minute of the day of a time in a time zone."""


def utc(at: float, _zone: str) -> tuple[int, int]:
    """For those who have no other clock."""
    return int(at // 86400 + 3) % 7, int(at % 86400) // 60


class Judge:
    """Asks the rules about a step, with what is known at that moment."""

    def __init__(self, course: Course, clock: Clock, witness: Witness) -> None:
        self._course = course
        self._clock = clock
        self._witness = witness
        self.observed = UNOBSERVED
        """What is known of the places."""

    def facts(self, table: Table) -> Facts:
        return self._witness.facts(table.safety, self._course.now, self._course.revisions.values())

    def allowed(self, step: Decided, who: Who, again: Callable[[int], Place] | None = None) -> Decided | Refusal:
        """The step, if the safety rules let it pass.

        `again` places the same order with another share, to find out how much would be allowed.
        """
        changed = step.changed
        if not changed:
            return step
        rising = any(each.rise > 0 for each in changed)  # a rollback does not wait for what only raises are asked
        facts = self.facts(step.force.table) if rising else Facts(self._clock.now())
        if who.source != "emergency":  # the workers do that already
            facts = replace(facts, legacy_dead=legacy_dead(step.force.table, self.observed))
        answer = judged(step, who, facts)
        if isinstance(answer, Decided) or again is None:
            return answer
        return with_allowed(answer, largest(self._course.now, again, self._course.stamp(who), facts, who))


class Witness:
    """Knows what the rules need to know of the world."""

    def __init__(self, clock: Clock, traffic: Traffic, local: Local) -> None:
        self._clock = clock
        self._traffic = traffic
        self._local = local

    def facts(self, safety: Safety | None, now: Force, history: Iterable[Revision]) -> Facts:
        at = self._clock.now()
        weekday, minute = self._local(at, safety.timezone) if safety and safety.windows else (0, 0)
        recent = [each for each in history if each.at > at - safety.max_rise_span] if safety else []
        rises = _rises(now.shares(), recent, at) if safety and safety.max_rise is not None else ()
        return Facts(at, weekday, minute, self._traffic.recent(), rises)


def _rises(shares: Mapping[str, int], history: Iterable[Revision], at: float) -> tuple[Rise, ...]:
    """How far each route stands above its lowest share in these revisions.

    So a rollback and its resume do not add up, however often; a route that was new has not risen, it began.
    """
    lowest: dict[str, int] = {}
    for revision in history:
        for route in revision.changes.routes:
            known = [share for share in (route.before, route.after) if share is not None]
            lowest[route.name] = min(lowest.get(route.name, PPM), *known)
    return tuple(Rise(name, shares[name] - share, at) for name, share in lowest.items() if shares.get(name, 0) > share)


def legacy_dead(table: Table, observed: Observed) -> bool:
    """Is no endpoint of legacy well, while one of another upstream is?

    When everything looks dead it is the prober that is distrusted, and the way to legacy stays open.
    """
    alive = {
        upstream.name
        for upstream in table.upstreams.values()
        for endpoint in upstream.endpoints
        if any(map(observed.level, observed.targets(upstream.name, endpoint)))
    }
    return table.legacy not in alive and bool(alive)


def judged(step: Decided, who: Who, facts: Facts) -> Decided | Refusal:
    """The step, if the rules allow it or somebody has overridden them; on record then."""
    force = step.force
    found = check(force.table, force.orders, step.changed, facts)
    against = tuple(violation for violation in found if violation.rule not in who.override)
    if not against:
        return with_overridden(step, found, who) if found else step
    rules = ", ".join(dict.fromkeys(str(violation.rule) for violation in against))
    lines = tuple(map(str, against))
    refused = refusal("safety", "; ".join(at_most(lines, SAID)), f"override {rules} by name, with a reason", lines)
    return replace(refused, violations=against)


def with_allowed(refused: Refusal, allowed: int | None) -> Refusal:
    """The refusal, with the largest weight that would pass."""
    if allowed is None:
        return refused
    said = f"a weight of {percent(allowed)} would be allowed, or {refused.instead}"
    return replace(refused, instead=said, allowed=allowed)


def with_places(refused: Refusal, table: Table, file: str) -> Refusal:
    """A file's violations, each with the line of its route."""
    lines = {route.name: route.line for route in table.routes}
    problems = tuple(
        f"{file}:{lines[one.route]}:1: {one}" if lines.get(one.route) else f"{file}: {one}"
        for one in refused.violations
    )
    return replace(refused, problems=problems)


def largest(now: Force, again: Callable[[int], Place], stamp: Stamp, facts: Facts, who: Who) -> int | None:
    """The largest share in whole percent that would pass; what is allowed only becomes more as it becomes less."""

    def passes(points: int) -> bool:
        placed = again(points * PPM // 100)(now.table, now.orders, stamp)
        if isinstance(placed, Objection):
            return False
        changed = steps((now.table, now.state), (now.table, effective(now.table, placed.orders)))
        return not check(now.table, placed.orders, changed, facts, who.override)

    low, high = 0, 101
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low * PPM // 100 or None

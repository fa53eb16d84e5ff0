"""From one state to the next: what is in force, what would be, and everything that has to be said about the step.

Values in, values out; `router.course` records a step and takes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from router.core.diff import diff
from router.core.guard import mass_removal
from router.core.model import Table
from router.core.orders import EffectiveState, Kind, Order, effective, shares_of
from router.core.place import Placed
from router.core.safety import Step, Violation
from router.core.units import write_percent
from router.core.wire import delta_line, state_hash
from router.ports import AuditEntry, Changes, Compiled, Revision, RouteChange, Target

NAMED: Final = 20
"""Orders that the first line of a revision names."""
SHOWN: Final = 200
"""Readable lines of a revision; the machine form names every route."""


@dataclass(frozen=True, slots=True)
class Force:
    """Everything that is in force at one moment."""

    compiled: Compiled
    text: bytes
    """The routes.yaml that was compiled."""
    orders: tuple[Order, ...]
    state: EffectiveState
    revision: int
    digest: str
    adopted: tuple[str, ...] = ()
    """The holds of which the workers have been told that they are orders."""

    @property
    def table(self) -> Table:
        return self.compiled.table

    def shares(self) -> dict[str, int]:
        """By route name."""
        return shares_of(self.table, self.state)


@dataclass(frozen=True, slots=True)
class Who:
    """Who wants a change, by which way, and why."""

    actor: str
    source: str
    reason: str
    action: str
    target: str
    hold: str = ""
    """The hold that becomes an order."""
    lasts: float | None = None
    """Seconds until the order ends."""
    trial: bool = False
    """It ends then unless somebody confirms it."""
    override: Mapping[str, str] = field(default_factory=dict)
    """Reasons by the names of the rules that shall not refuse it."""
    expected: int | None = None
    """The revision that it was decided on; while another one is in force it is refused."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A change that is decided but not yet in force."""

    force: Force
    revision: Revision
    audit: AuditEntry
    target: Target
    overridden: tuple[Violation, ...] = ()

    @property
    def changed(self) -> tuple[Step, ...]:
        """The routes whose share it changes, for the safety rules."""
        return changed_shares(self.revision.changes.routes)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be in force."""

    compiled: Compiled
    text: bytes
    orders: tuple[Order, ...]


def decide(
    now: Force | None, wanted: Wanted, who: Who, changes: Changes, *, number: int, at: float, adopted: tuple[str, ...]
) -> Decided:
    """The state that follows, with everything that has to be said about it."""
    compiled = wanted.compiled
    orders = tuple(sorted(wanted.orders, key=lambda order: order.number))  # as a store brings them back
    state = effective(compiled.table, orders)
    digest = state_hash(compiled.digest, state)
    force = Force(compiled, wanted.text, orders, state, number, digest, adopted)
    routes = route_changes(now.shares() if now else {}, force.shares(), same=bool(now and now.compiled is compiled))
    gave_way = tuple(f"{order} gave way to the file for {route}" for order, route in changes.superseded)
    shown = route_lines(routes) if changes.order else ()
    changes = replace(changes, lines=at_most((*changes.lines, *gave_way, *shown), SHOWN), routes=routes)
    revision = Revision(number, at, who.actor, who.source, who.reason, digest, changes)
    before = json.dumps({route.name: route.before for route in routes})
    after = json.dumps({route.name: route.after for route in routes})
    audit = AuditEntry(at, who.actor, who.action, who.target, who.reason, before, after, number)
    return Decided(force, revision, audit, target(now, force))


def with_overridden(step: Decided, found: tuple[Violation, ...], who: Who) -> Decided:
    """The same step, on record as one that broke these rules with a reason."""
    rules = {str(violation.rule): who.override[violation.rule] for violation in found}
    changes = step.revision.changes
    said = tuple(f"overrides {rule}: {reason}" for rule, reason in rules.items())
    broken = tuple(f"overridden {violation}" for violation in found)
    lines = at_most((*changes.lines[:1], *said, *changes.lines[1:], *broken), SHOWN)
    changes = replace(changes, lines=lines, overridden=tuple(rules.items()))
    audit = replace(step.audit, reason="; ".join((step.audit.reason, *said)))
    return replace(step, revision=replace(step.revision, changes=changes), audit=audit, overridden=found)


# ------------------------------------------------------------------------------------------------ comparing


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a table that was loaded means for the one in force."""

    lines: tuple[str, ...]
    removal: tuple[str, ...]


def compare(before: Table | None, after: Table, traffic: Mapping[str, int]) -> Comparison:
    """Better done in a thread: for 1,500 routes that all changed it takes longer than an event loop may stand still."""
    if before is None:
        return Comparison((f"{len(after.routes)} routes",), ())
    return Comparison(tuple(map(str, diff(before, after))), mass_removal(before, after, traffic))


def route_changes(
    before: Mapping[str, int], after: Mapping[str, int], *, same: bool = False
) -> tuple[RouteChange, ...]:
    """The routes whose shares differ; `same`: both have the same routes."""
    names = after if same else {**before, **after}
    return tuple(
        RouteChange(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )


def changed_shares(routes: tuple[RouteChange, ...]) -> tuple[Step, ...]:
    """A route that is new rises from 0; one that is gone takes no step."""
    found = (Step(route.name, route.before or 0, route.after) for route in routes if route.after is not None)
    return tuple(step for step in found if step.rise)


# --------------------------------------------------------------------------------------------------- targets


def target(now: Force | None, force: Force) -> Target:
    """How the fleet gets there: by a delta where the structure stays."""
    whole = whole_target(force)
    if now is None or now.compiled.digest != force.compiled.digest:
        return whole
    delta = delta_line(force.revision, now.revision, now.state, force.state, force.digest, force.adopted)
    return replace(whole, base=now.revision, delta=delta)


def whole_target(force: Force) -> Target:
    compiled = force.compiled
    return Target(
        force.revision,
        force.digest,
        compiled.blocks.slots,
        compiled.structure,
        force.state,
        adopted=force.adopted,
    )


# ----------------------------------------------------------------------------------------------------- words


def route_lines(routes: tuple[RouteChange, ...]) -> tuple[str, ...]:
    return tuple(f"{route.name}: {_percent(route.before)} -> {_percent(route.after)}" for route in routes)


def _percent(share: int | None) -> str:
    return "none" if share is None else f"{write_percent(share)}%"


def at_most(lines: tuple[str, ...], most: int) -> tuple[str, ...]:
    return lines if len(lines) <= most else (*lines[:most], f"and {len(lines) - most} more")


def ids(placed: Placed) -> str:
    """Of all orders that were given in one step, or of the one that was lifted."""
    return ", ".join(order.id for order in placed.given)


def on_its_way(order: Order) -> str:
    left = f"leaves at most {_percent(order.share)}" if order.share else "is at 0"
    return f"{order.id} ({order.kind} {order.scope}) {left}"


def raised_by(revision: Revision, *, ever: bool) -> tuple[str, ...]:
    """The routes that a revision raised.

    The first one of all began everything, so it raised nothing within a time (not `ever`); one that restored another
    is not what somebody wants back who asks for the newest raise.
    """
    if revision.source == "restore" if ever else revision.number == 1:
        return ()
    return tuple(each.name for each in revision.changes.routes if (each.after or 0) > (each.before or 0))


def headline(who: Who, placed: Placed) -> str:
    """What became of an order, in one line."""
    order = placed.order
    if placed.more:
        return "; ".join(at_most(tuple(f"{each.id}: {each.kind} {each.scope}" for each in placed.given), NAMED))
    if who.action == "resume" and who.target == order.id:
        return f"{order.id} ({order.kind} {order.scope}) is lifted"
    if who.action == "confirm":
        return f"{order.id} ({order.kind} {order.scope}) is confirmed"
    if who.action == "on":
        return f"{order.scope} is on: {order.id} ({order.kind}) is lifted"
    if order.easing is not None:
        return f"{order.id}: {order.kind} {order.scope} over {order.easing.over:g} s, in steps"
    share = f" {_percent(order.share)}" if order.kind in {Kind.WEIGHT, Kind.CAP} else ""
    side = f" to {order.side.label}" if order.kind is Kind.PIN else ""
    ends = order.expires is not None and order.kind is not Kind.ROLLBACK
    until = " on trial" if order.provisional else " for a while" if ends else ""
    return f"{order.id}: {order.kind}{share}{side} {order.scope}{until}"

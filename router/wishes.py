"""What somebody wants: is enough said, and not too much, and which decision about the orders is it?

Values in, values out: each way in which people change orders makes a `Wish` here, and `router.live` walks with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Required, TypedDict, Unpack

from router.answers import Refusal, refusal
from router.core.adopt import place_hold
from router.core.hold import Hold
from router.core.model import Side, Table
from router.core.orders import Kind, Order, Reach, Scope, effective
from router.core.place import (
    Objection,
    Placed,
    Stamp,
    lift,
    place_cap,
    place_drain,
    place_freeze,
    place_off,
    place_on,
    place_pin,
    place_rollback,
    place_rollbacks,
    place_weight,
    raised_scopes,
)
from router.core.place import confirm as place_confirm
from router.core.safety import Rule
from router.steps import Who, at_most

LONGEST: Final = 366 * 86400.0
"""Seconds for which an order may be given."""
SLOWEST: Final = 600.0
"""Seconds that a rollback in steps may take."""
REMOVAL: Final = "mass-removal"
"""The guard against vanished routes is overridden like the safety rules, by this name."""
NAMED: Final = 10
"""Scopes of one rollback that its target names."""

Place = Callable[[Table, Sequence[Order], Stamp], Placed | Objection]
"""A decision about the orders in force."""


class Said(TypedDict, total=False):
    """What everybody says who wants a change."""

    reason: Required[str]
    actor: Required[str]
    override: Mapping[str, str] | None
    """Safety rules that shall not refuse it, with a reason each."""
    expected: int | None
    """The revision that it was decided on; when another one is in force, it is refused."""


def who_said(
    action: str,
    target: str,
    *,
    reason: str,
    actor: str,
    override: Mapping[str, str] | None = None,
    expected: int | None = None,
    source: str = "order",
    lasts: float | None = None,
    trial: bool = False,
) -> Who:
    """Who wants this, by what everybody says and what this kind of change has besides."""
    return Who(
        actor,
        source,
        reason,
        action,
        target,
        lasts=lasts,
        trial=trial,
        override=override or {},
        expected=expected,
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """An order that somebody wants to give, to lift or to confirm."""

    who: Who
    place: Place
    again: Callable[[int], Place] | None = None
    """The same with another share, to find out how much would be allowed."""
    objection: Refusal | None = None
    """Why it cannot be, whatever is in force."""


def giving(
    kind: Kind,
    scope: Scope,
    share: int | None,
    side: Side | None,
    lasts: float | None,
    trial: float | None,
    **said: Unpack[Said],
) -> Wish:
    """An order of any kind, for a while or on trial."""
    ends = lasts if trial is None else trial
    who = who_said(kind.value, str(scope), lasts=ends, trial=trial is not None, **said)
    objection = bad_times(kind, lasts, trial) or bad_override(who) or incomplete(kind, scope, share, side)
    again = (lambda other: placing(kind, scope, other, side)) if kind is Kind.WEIGHT else None
    return Wish(who, placing(kind, scope, share or 0, side), again, objection)


def rolling_back(scopes: Sequence[Scope], lasts: float | None, over: float | None, **said: Unpack[Said]) -> Wish:
    """Legacy for all of these scopes."""

    def place(table: Table, orders: Sequence[Order], stamp: Stamp) -> Placed | Objection:
        return place_rollbacks(table, orders, scopes, stamp, over)

    return _rolling_back(place, ", ".join(at_most(tuple(map(str, scopes)), NAMED)), lasts, over, **said)


def rolling_back_raised(
    names: Collection[str], within: float | None, lasts: float | None, over: float | None, **said: Unpack[Said]
) -> Wish:
    """Legacy for these routes, which were raised."""

    def place(table: Table, orders: Sequence[Order], stamp: Stamp) -> Placed | Objection:
        scopes = raised_scopes(table, effective(table, orders), names)
        return scopes if isinstance(scopes, Objection) else place_rollbacks(table, orders, scopes, stamp, over)

    target = "what was raised last" if within is None else f"what was raised within {within:g} s"
    return _rolling_back(place, target, lasts, over, **said)


def _rolling_back(place: Place, target: str, lasts: float | None, over: float | None, **said: Unpack[Said]) -> Wish:
    who = who_said(Kind.ROLLBACK.value, target, lasts=lasts, **said)
    objection = bad_times(Kind.ROLLBACK, lasts, None) or bad_easing(over) or bad_override(who)
    return Wish(who, place, None, objection)


def resuming(order_id: str, share: int | None, **said: Unpack[Said]) -> Wish:
    """The end of an order; with a share, a weight takes its place."""

    def lifting(share: int | None) -> Place:
        return lambda table, orders, stamp: lift(table, orders, order_id, share, stamp)

    who = who_said("resume", order_id, **said)
    return Wish(who, lifting(share), lifting, bad_override(who))


def reopening(site: str, **said: Unpack[Said]) -> Wish:
    """The end of whatever closes a site."""
    who = who_said("on", str(Scope(Reach.SITE, site)), **said)

    def place(table: Table, orders: Sequence[Order], stamp: Stamp) -> Placed | Objection:
        return place_on(table, orders, site, stamp)

    return Wish(who, place, None, bad_override(who))


def confirming(who: Who) -> Wish:
    """An order that is on trial stays."""
    return Wish(who, lambda _table, orders, _stamp: place_confirm(orders, who.target))


def adopting(hold: Hold) -> Wish:
    """What the workers were told while nobody was here is an order."""
    who = Who(hold.actor, "emergency", hold.reason, "rollback", str(hold.scope), hold.id)
    return Wish(who, lambda _table, orders, stamp: place_hold(orders, hold, stamp.number))


def placing(kind: Kind, scope: Scope, share: int, side: Side | None) -> Place:
    """The decision about an order of this kind."""

    def place(table: Table, orders: Sequence[Order], stamp: Stamp) -> Placed | Objection:
        match kind:
            case Kind.WEIGHT:
                return place_weight(table, orders, scope, share, stamp)
            case Kind.ROLLBACK:
                return place_rollback(table, orders, scope, stamp)
            case Kind.PIN:
                return place_pin(table, orders, scope, side or Side.LEGACY, stamp)
            case Kind.CAP:
                return place_cap(table, orders, scope, share, stamp)
            case Kind.FREEZE:
                return place_freeze(table, orders, scope, stamp)
            case Kind.DRAIN:
                return place_drain(table, orders, scope.name, stamp)
            case Kind.OFF:
                return place_off(table, orders, scope.name, stamp)

    return place


def bad_times(kind: Kind, lasts: float | None, trial: float | None) -> Refusal | None:
    """Can an order of this kind last so long, or be on trial?"""
    given = [seconds for seconds in (lasts, trial) if seconds is not None]
    if len(given) > 1:
        instead = "say how long it lasts, or within which time it has to be confirmed"
        return refusal("invalid", "an order that is on trial ends with the trial", instead)
    if kind is Kind.ROLLBACK and trial is not None:
        instead = "give it without a trial; time alone never moves traffic forward"
        return refusal("invalid", "a rollback needs no confirmation and never ends by itself", instead)
    if any(not 0 < seconds <= LONGEST for seconds in given):
        return refusal("invalid", "an order lasts longer than nothing and at most a year", "give a time such as 2h")
    return None


def bad_easing(over: float | None) -> Refusal | None:
    """May a rollback take so long?"""
    if over is None or 0 < over <= SLOWEST:
        return None
    return refusal("invalid", f"a rollback takes at most {SLOWEST / 60:g} minutes", "give a time such as 20s")


def incomplete(kind: Kind, scope: Scope, share: int | None, side: Side | None) -> Refusal | None:
    """Does an order of this kind say what it has to?"""
    if kind in {Kind.WEIGHT, Kind.CAP} and share is None:
        return refusal("invalid", f"a {kind} needs a share", "give a percentage from 0 to 100")
    if kind is Kind.PIN and side is None:
        return refusal("invalid", "a pin needs a side", "say legacy or new")
    if kind in {Kind.DRAIN, Kind.OFF} and scope.reach is not Reach.SITE:
        return refusal("invalid", "only a site can be drained or switched off", "name a site")
    return None


def bad_override(who: Who) -> Refusal | None:
    """Are these the names of rules, each with a reason?"""
    known = [*map(str, Rule), REMOVAL]
    for rule, reason in who.override.items():
        if rule not in known:
            return refusal("invalid", f"there is no safety rule {rule!r}", f"the rules are {', '.join(known)}")
        if not reason.strip():
            return refusal("invalid", f"overriding {rule} needs a reason", "say why, for those who read the history")
    return None


def reasonless(reason: str) -> Refusal | None:
    """Does nobody say why?"""
    if reason.strip():
        return None
    return refusal("invalid", "a change needs a reason", "say why, for those who read the history at 3 a.m.")

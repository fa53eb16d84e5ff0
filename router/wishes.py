"""What somebody wants: is enough said, and not too much, and which decision about the orders is it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from router.answers import Refusal, refusal
from router.core.model import Side, Table
from router.core.orders import Kind, Order, Reach, Scope
from router.core.place import (
    Objection,
    Placed,
    Stamp,
    place_cap,
    place_drain,
    place_freeze,
    place_off,
    place_pin,
    place_rollback,
    place_weight,
)
from router.core.safety import Rule
from router.steps import Who

LONGEST: Final = 366 * 86400.0
"""Seconds for which an order may be given."""
SLOWEST: Final = 600.0
"""Seconds that a rollback in steps may take."""
REMOVAL: Final = "mass-removal"
"""The guard against vanished routes is overridden like the safety rules, by this name."""

Place = Callable[[Table, Sequence[Order], Stamp], Placed | Objection]
"""A decision about the orders in force."""


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

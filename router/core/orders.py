"""Three layers, one answer: what is declared, what was ordered, and the share that follows from both.

Orders are run-time instructions of operators and of the controller.  They never change what is declared, and a
reload never changes them.  `effective` lays them over a table:

    share = 0                                    if a rollback covers the route
          = min(weight or order's weight, cap)   otherwise

A weight order speaks only while the file still says what it said when the order was given: once a person edits
that route's weight, the file is the newer word (`supersede`).  A rollback gives way to `resume` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from fnmatch import fnmatchcase

from router.core.model import PPM, Route, Table


class Kind(StrEnum):
    """What an order does."""

    WEIGHT = "weight"
    ROLLBACK = "rollback"

    @property
    def prefix(self) -> str:
        """First letter of the ids of such orders: `W-7`, `R-12`."""
        return self.value[0].upper()


class Reach(StrEnum):
    """What a scope speaks of."""

    ALL = "all"
    GROUP = "group"
    SITE = "site"
    ROUTE = "route"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which routes an order covers: all, a group's, those that live at a site, or a name or glob."""

    reach: Reach
    name: str = ""

    def __str__(self) -> str:
        return "all" if self.reach is Reach.ALL else f"{self.reach}={self.name}"

    def covers(self, route: Route) -> bool:
        """Does it cover this whole route?  A site never does: it covers the part that is drawn to it."""
        match self.reach:
            case Reach.ALL:
                return True
            case Reach.GROUP:
                return bool(route.group) and route.group == self.name
            case Reach.SITE:
                return False
            case Reach.ROUTE:
                return route.name == self.name or fnmatchcase(route.name, self.name)


class Cause(IntEnum):
    """Why a share is what it is.  The values travel to the workers."""

    DECLARED = 0
    ORDER = 1
    CAP = 2
    ROLLBACK = 3

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Order:
    """One order in force.  `number` is unique and grows, so it also tells which of two is newer."""

    number: int
    kind: Kind
    scope: Scope
    reason: str
    actor: str
    created: float
    """Unix time in seconds."""
    share: int = 0
    """In ppm, for a weight order."""
    declared: Mapping[str, int] = field(default_factory=dict)
    """For a weight order: the declared weight of each route it covers, as it was when the order was given.

    A route that is missing here is not (or no longer) ruled by the order.
    """

    @property
    def id(self) -> str:
        return f"{self.kind.prefix}-{self.number}"


@dataclass(frozen=True, slots=True)
class Effective:
    """The share in force for one route, the layer that decided it, and the order's id if one did."""

    share: int
    cause: Cause = Cause.DECLARED
    order: str = ""


@dataclass(frozen=True, slots=True)
class EffectiveState:
    """One entry per route of the table, in its order, and the sites whose traffic goes to legacy."""

    routes: tuple[Effective, ...]
    held_sites: frozenset[str] = frozenset()


def effective(table: Table, orders: Sequence[Order]) -> EffectiveState:
    """The share in force of every route.  Costs routes + orders, not routes times orders."""
    rollbacks = Rollbacks(orders)
    weights = newest_weights(table, orders)
    return EffectiveState(
        tuple(_effective(table, route, rollbacks.over(route), weights.get(route.name)) for route in table.routes),
        frozenset(order.scope.name for order in rollbacks.all if order.scope.reach is Reach.SITE),
    )


class Rollbacks:
    """The rollbacks among some orders; those that name one route are found without a search."""

    __slots__ = ("_by_name", "_wide", "all")

    def __init__(self, orders: Iterable[Order]) -> None:
        self.all = [order for order in orders if order.kind is Kind.ROLLBACK]
        self._by_name: dict[str, Order] = {}
        self._wide: list[Order] = []
        for order in self.all:
            if order.scope.reach is Reach.ROUTE:
                self._by_name.setdefault(order.scope.name, order)
            if order.scope.reach is not Reach.ROUTE or _is_glob(order.scope.name):
                self._wide.append(order)

    def over(self, route: Route) -> Order | None:
        """One that covers the route: the widest, so that lifting it shows whether another holds as well."""
        for order in self._wide:
            if order.scope.covers(route):
                return order
        return self._by_name.get(route.name)


def _is_glob(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def newest_weights(table: Table, orders: Sequence[Order]) -> dict[str, Order]:
    """By route name, the newest weight order that still rules the route."""
    declared = {route.name: route.weight for route in table.routes}
    found: dict[str, Order] = {}
    for order in sorted((order for order in orders if order.kind is Kind.WEIGHT), key=lambda order: order.number):
        found |= {name: order for name, weight in order.declared.items() if declared.get(name) == weight}
    return found


def _effective(table: Table, route: Route, rollback: Order | None, weight: Order | None) -> Effective:
    if rollback is not None:
        return Effective(0, Cause.ROLLBACK, rollback.id)
    wanted = _wanted(route, weight)
    group = table.groups.get(route.group)
    cap = PPM if group is None or group.cap is None else group.cap
    return Effective(cap, Cause.CAP, wanted.order) if cap < wanted.share else wanted


def _wanted(route: Route, order: Order | None) -> Effective:
    """What the newest order says that still rules the route, else what is declared."""
    if order is None:
        return Effective(route.weight)
    return Effective(order.share if route.new else 0, Cause.ORDER, order.id)


def rules(order: Order, route: Route) -> bool:
    """Does this weight order still speak for the route, or has the file been edited since?"""
    return order.declared.get(route.name) == route.weight


def supersede(orders: Iterable[Order], table: Table) -> tuple[tuple[Order, ...], tuple[tuple[str, str], ...]]:
    """The orders after a new table took force, and (order id, route) for each weight that gave way to the file.

    Recorded for good: editing the file back does not revive an order.  A weight order that rules no route any more
    is dropped; one whose route has vanished is kept, since the route may come back.
    """
    kept: list[Order] = []
    gone: list[tuple[str, str]] = []
    by_name = {route.name: route for route in table.routes}
    for order in orders:
        if order.kind is not Kind.WEIGHT:
            kept.append(order)
            continue
        lost = {name: None for name in order.declared if name in by_name and not rules(order, by_name[name])}
        gone += [(order.id, name) for name in lost]
        left = {name: share for name, share in order.declared.items() if name not in lost}
        if left:
            kept.append(replace(order, declared=left) if lost else order)
    return tuple(kept), tuple(gone)

"""Three layers, one answer: what is declared, what was ordered, and the share that follows from both.

Orders are run-time instructions of operators and of the controller.  They never change what is declared, and a
reload never changes them.  `effective` lays them over a table:

    share = 0                                    if a rollback, or a pin to legacy, covers the route
          = 1,000,000                            else if a pin to new does
          = min(weight or order's weight, caps)  otherwise

and never above what a rollback that is still on its way (`Easing`) leaves.

A weight order speaks only while the file still says what it said when the order was given: once a person edits
that route's weight, the file is the newer word (`supersede`).  Time ends orders too (`lapse`): what holds without them
holds again.  A rollback alone is never ended by time or by the file, since neither may move traffic forward: it stays,
overdue, until a person resumes it.  A freeze and a drain change no share; `router.core.safety` and the choice of a site
obey them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from fnmatch import fnmatchcase
from typing import Final

from router.core.model import PPM, Route, Side, Table


class Kind(StrEnum):
    """What an order does."""

    WEIGHT = "weight"
    ROLLBACK = "rollback"
    PIN = "pin"
    """One side for everything in the scope."""
    CAP = "cap"
    """A ceiling for the share of each route in the scope."""
    FREEZE = "freeze"
    """No share in the scope may rise; lowering is always allowed."""
    DRAIN = "drain"
    """A site takes no more requests; what is under way there has its time."""
    OFF = "off"
    """A site takes no more requests, and tunnels to it are cut at once."""

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


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name or "[" in name


@dataclass(frozen=True, slots=True)
class Scope:
    """Which routes an order covers: all, a group's, those that live at a site, or a name or glob."""

    reach: Reach
    name: str = ""

    def __str__(self) -> str:
        return "all" if self.reach is Reach.ALL else f"{self.reach}={self.name}"

    @property
    def one(self) -> str:
        """The one route that it can cover, which is found by its name; empty: there may be others."""
        return "" if self.reach is not Reach.ROUTE or _is_pattern(self.name) else self.name

    def touches(self, routes: Mapping[str, Route]) -> bool:
        """Does it cover one of these, which are by their names?"""
        return self.one in routes if self.one else any(map(self.covers, routes.values()))

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
                return route.name == self.name or (_is_pattern(self.name) and fnmatchcase(route.name, self.name))


WRITABLE: Final = 100
"""Ppm in the smallest part of a percent that people write (0.01 %)."""
EASED: Final = (750_000, 500_000, 250_000)
"""What a rollback that comes in steps leaves of the highest share, in ppm, one step after the other, before 0."""


@dataclass(frozen=True, slots=True)
class Easing:
    """A rollback for a legacy that is cold: its scope's shares come down in steps of equal length."""

    peak: int
    """The highest share in the scope when it began, in ppm."""
    began: float
    """Unix time."""
    over: float
    """Seconds until nothing is left."""

    @property
    def ends(self) -> float:
        return self.began + self.over

    def ceiling(self, now: float) -> int:
        """What it leaves now, in ppm that people can write; a clock that is set back must not make it last."""
        step = int((now - self.began) * len(EASED) / self.over)
        if now < self.began or step >= len(EASED):
            return 0
        return self.peak * EASED[step] // PPM // WRITABLE * WRITABLE


class Cause(IntEnum):
    """Why a share is what it is.  The values travel to the workers."""

    DECLARED = 0
    ORDER = 1
    CAP = 2
    ROLLBACK = 3
    PIN = 4

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
    """In ppm, for a weight or a cap; for a rollback that is on its way what it leaves now."""
    declared: Mapping[str, int] = field(default_factory=dict)
    """For a weight order: the declared weight of each route it covers, as it was when the order was given.

    A route that is missing here is not (or no longer) ruled by the order.
    """
    side: Side = Side.LEGACY
    """For a pin."""
    expires: float | None = None
    """Unix time at which it ends; None: when somebody lifts it."""
    provisional: bool = False
    """It ends at `expires` unless somebody confirms it before."""
    before: tuple[Order, ...] = ()
    """For an order that ends: those of the same kind and scope in whose place it stands, the newest first.

    When it ends or is lifted, the first of them whose own time has not come holds again.
    """

    easing: Easing | None = None
    """For a rollback that is on its way; None: it is at 0."""

    def overdue(self, now: float) -> bool:
        """Has its time come?  Said of a rollback, which stays all the same."""
        return self.expires is not None and self.expires <= now

    def successor(self, now: float) -> Order | None:
        """What holds again when this one is gone."""
        left = [order for order in self.before if not order.overdue(now)]
        return replace(left[0], before=tuple(left[1:])) if left else None

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
    """One entry per route of the table, in its order, and what was ordered for sites."""

    routes: tuple[Effective, ...]
    held_sites: frozenset[str] = frozenset()
    """Rolled back: what is drawn to them goes to legacy."""
    drained_sites: frozenset[str] = frozenset()
    """What is drawn to them is drawn again among the others."""
    off_sites: frozenset[str] = frozenset()
    """Those of them whose tunnels are cut at once."""


class Covering:
    """Some orders by what they cover: those that name one route or one group are found without a search.

    An operator may have given one order for each of 1,500 routes; laying them over the table must not cost two
    million comparisons, since a rollback waits for it.  A glob is compared with the names that begin as it does: a
    route that takes everything below a path is called by one, `GET /v1/carts/*`.
    """

    __slots__ = ("_globs", "_grouped", "_lengths", "_named", "_wide")

    def __init__(self, orders: Iterable[Order]) -> None:
        self._wide: list[Order] = []
        self._grouped: dict[str, list[Order]] = {}
        self._named: dict[str, list[Order]] = {}
        self._globs: dict[str, list[Order]] = {}
        for order in orders:
            if one := order.scope.one:
                self._named.setdefault(one, []).append(order)
            elif order.scope.reach is Reach.GROUP:
                self._grouped.setdefault(order.scope.name, []).append(order)
            elif order.scope.reach is Reach.ROUTE:
                self._globs.setdefault(_plain(order.scope.name), []).append(order)
            elif order.scope.reach is Reach.ALL:
                self._wide.append(order)
        self._lengths = sorted(set(map(len, self._globs)))

    def named(self) -> Collection[str] | None:
        """The routes that may be covered; None: any."""
        return None if self._wide or self._grouped or self._globs else self._named.keys()

    def none_over(self, route: Route) -> bool:
        """Is it certain, at a glance, that nothing covers the route?"""
        wide = self._wide or self._globs
        return not wide and route.name not in self._named and route.group not in self._grouped

    def over(self, route: Route) -> list[Order]:
        """All that cover the route: those that name it alone come last, the others by their numbers."""
        named = self._named.get(route.name, [])
        grouped = self._grouped.get(route.group, []) if route.group else []
        if not self._wide and not self._globs:
            return [*grouped, *named] if grouped else named
        globs = [order for length in self._lengths for order in self._globs.get(route.name[:length], ())]
        found = [*self._wide, *grouped, *(order for order in globs if order.scope.covers(route))]
        return [*sorted(found, key=_number), *named]


def _number(order: Order) -> int:
    return order.number


def _plain(glob: str) -> str:
    """What every name begins with that it can match."""
    return glob[: min((place for sign in "*?[" if (place := glob.find(sign)) >= 0), default=None)]


@dataclass(frozen=True, slots=True)
class _Layers:
    """Orders by what they do."""

    rollbacks: Covering
    pins: Covering
    weights: Mapping[str, Order]
    """By route, the newest that still rules it."""
    rolled_back: Mapping[int, Effective]
    """What a rollback that is at 0 leaves, by its number: the same for each of its routes."""
    weighed: Mapping[int, Effective]
    """What a weight order gives to each of its routes that has a new side, likewise."""
    caps: Covering
    ceilings: Mapping[str, int]
    """The caps that groups declare."""
    declared: Mapping[int, Effective]
    """What is in force of a weight that nothing speaks of, by the weight."""

    def spoken_of(self) -> Collection[str] | None:
        """The routes that orders may speak of; None: any."""
        named = [each.named() for each in (self.rollbacks, self.pins, self.caps)]
        return None if None in named else {*self.weights, *(name for names in named for name in names or ())}


def effective(table: Table, orders: Sequence[Order]) -> EffectiveState:
    """The share in force of every route.  Costs routes and orders, not routes times orders."""
    by_kind: dict[Kind, list[Order]] = {kind: [] for kind in Kind}
    for order in orders:
        by_kind[order.kind].append(order)
    layers = _Layers(
        Covering(by_kind[Kind.ROLLBACK]),
        Covering(by_kind[Kind.PIN]),
        newest_weights(table, by_kind[Kind.WEIGHT]),
        {order.number: Effective(0, Cause.ROLLBACK, order.id) for order in by_kind[Kind.ROLLBACK]},
        {order.number: Effective(order.share, Cause.ORDER, order.id) for order in by_kind[Kind.WEIGHT]},
        Covering(by_kind[Kind.CAP]),
        {name: group.cap for name, group in table.groups.items() if group.cap is not None},
        {weight: Effective(weight) for weight in {route.weight for route in table.routes}},
    )
    return EffectiveState(
        tuple(_routes(table.routes, layers)),
        frozenset(order.scope.name for order in by_kind[Kind.ROLLBACK] if order.scope.reach is Reach.SITE),
        frozenset(order.scope.name for order in (*by_kind[Kind.DRAIN], *by_kind[Kind.OFF])),
        frozenset(order.scope.name for order in by_kind[Kind.OFF]),
    )


def shares_of(table: Table, state: EffectiveState) -> dict[str, int]:
    """By route name, in ppm."""
    return {route.name: entry.share for route, entry in zip(table.routes, state.routes, strict=True)}


def _routes(routes: Iterable[Route], layers: _Layers) -> Iterator[Effective]:
    """Nearly always orders speak of few routes, and the others are at what they declare."""
    spoken_of, ceilings, declared = layers.spoken_of(), layers.ceilings, layers.declared
    for route in routes:
        if spoken_of is None or route.name in spoken_of or route.group in ceilings:
            yield _effective(route, layers)
        else:
            yield declared[route.weight]


def newest_weights(table: Table, weights: Sequence[Order]) -> dict[str, Order]:
    """By route, the newest weight order that still rules it."""
    found: dict[str, Order] = {}
    declared = {route.name: route.weight for route in table.routes} if weights else {}
    for order in sorted(weights, key=lambda order: order.number):
        found |= {name: order for name, weight in order.declared.items() if declared.get(name) == weight}
    return found


def _effective(route: Route, layers: _Layers) -> Effective:
    if layers.rollbacks.none_over(route):
        return _pinned(route, layers)
    rollbacks = layers.rollbacks.over(route)
    for order in rollbacks:
        if not order.share:
            return layers.rolled_back[order.number]
    return _at_most(_pinned(route, layers), rollbacks)


def _pinned(route: Route, layers: _Layers) -> Effective:
    if not layers.pins.none_over(route):
        for pin in sorted(layers.pins.over(route), key=lambda pin: pin.side):  # legacy wins when two pins meet
            if pin.side is Side.LEGACY or route.new:
                return Effective(PPM if pin.side is Side.NEW else 0, Cause.PIN, pin.id)
    order = layers.weights.get(route.name)
    return _capped(route, layers.declared[route.weight] if order is None else _ordered(route, order, layers), layers)


def _capped(route: Route, wanted: Effective, layers: _Layers) -> Effective:
    """Caps are ceilings, not factors: the lowest one counts."""
    ceiling = layers.ceilings.get(route.group)
    if ceiling is not None and ceiling < wanted.share:
        wanted = Effective(ceiling, Cause.CAP, wanted.order)
    return wanted if layers.caps.none_over(route) else _at_most(wanted, layers.caps.over(route))


def _at_most(wanted: Effective, ceilings: Sequence[Order]) -> Effective:
    for order in ceilings:
        if order.share < wanted.share:
            wanted = Effective(order.share, Cause.CAP, order.id)
    return wanted


def _ordered(route: Route, order: Order, layers: _Layers) -> Effective:
    """What the newest weight order says that still rules the route."""
    return layers.weighed[order.number] if route.new else Effective(0, Cause.ORDER, order.id)


def lapse(orders: Iterable[Order], now: float) -> tuple[tuple[Order, ...], tuple[Order, ...]]:
    """The orders that go on, and those whose time has come; a rollback always goes on.

    What one of the latter stood in for goes on in its place.
    """
    kept: list[Order] = []
    gone: list[Order] = []
    for order in orders:
        if order.kind is Kind.ROLLBACK or not order.overdue(now):
            kept.append(order)
            continue
        gone.append(order)
        if (successor := order.successor(now)) is not None:
            kept.append(successor)
    return tuple(kept), tuple(gone)


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
        left, lost = _still_ruled(order, by_name)
        gone += [(order.id, name) for name in lost]
        if left is not None:
            kept.append(left)
    return tuple(kept), tuple(gone)


def _still_ruled(order: Order, by_name: Mapping[str, Route]) -> tuple[Order | None, list[str]]:
    """A weight order without the routes that have been edited since (None: nothing is left), and their names."""
    lost = [name for name in order.declared if name in by_name and not rules(order, by_name[name])]
    earlier = tuple(left for left, _ in (_still_ruled(each, by_name) for each in order.before) if left is not None)
    if lost or earlier != order.before:
        declared = {name: weight for name, weight in order.declared.items() if name not in lost}
        order = replace(order, declared=declared, before=earlier)
    return (order if order.declared else None), lost

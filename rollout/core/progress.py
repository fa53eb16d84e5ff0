"""How far the migration is: the stage of every route, what that adds up to, and what has been left lying.

    retired     the new side answers everything, and the file says that legacy never steps in again (`finalised`, or one
                upstream for both sides): nothing of the old system is needed for this route
    done        the new side answers everything
    ramping     some of it is new, or was meant to be, and its weight has moved within `SETTLED`
    holding     some of it is new, or was meant to be, and it stands: held back by a rollback, a pin or a freeze,
                or simply left where it is
    shadowing   all of it is legacy, and the new side gets copies
    legacy      all of it is legacy
    unlisted    what no route matches; it has traffic, but how many APIs hide there nobody knows

A stage follows from what is in force and from when the route's *wish* moved: its share as it would be if nothing held
it back.  So a rollback and its resume are no movement, and a route that stands at 50 % is found however often it was
rolled back in between.

Pure: what is in force, what was counted and the time come in.  It judges no rollout and changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from router.core.model import PPM, Route, Side, Table
from router.core.orders import Covering, EffectiveState, Kind, Order, Scope, effective

DAY: Final = 86_400.0
SETTLED: Final = 7 * DAY
"""Seconds without movement after which a route no longer ramps but stands."""
STANDS: Final = 60 * DAY
"""Seconds without movement after which somebody should be asked."""
FORGOTTEN: Final[Mapping[Kind, float]] = defaultdict(
    lambda: 30 * DAY,
    {Kind.ROLLBACK: 7 * DAY, Kind.DRAIN: 7 * DAY, Kind.OFF: 7 * DAY, Kind.FREEZE: 14 * DAY, Kind.CAP: 90 * DAY},
)
"""Seconds after which an order that nothing ends looks forgotten."""


class Stage(StrEnum):
    """How far one route is; in the order of the journey."""

    UNLISTED = "unlisted"
    LEGACY = "legacy"
    SHADOWING = "shadowing"
    RAMPING = "ramping"
    HOLDING = "holding"
    DONE = "done"
    RETIRED = "retired"


STAGES: Final = tuple(Stage)
_INDEX: Final = {stage: index for index, stage in enumerate(STAGES)}
FINISHED: Final = frozenset({Stage.DONE, Stage.RETIRED})


@dataclass(frozen=True, slots=True)
class Track:
    """What has to be remembered of a route between two looks."""

    stage: Stage
    since: float
    """Unix time at which it came into this stage."""
    wish: int
    """The share in ppm that it would have if nothing held it back."""
    moved: float
    """Unix time at which the wish changed last, or the route was first seen."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One route as it stands now."""

    route: Route
    owner: str
    share: int
    """In force, in ppm."""
    track: Track
    requests: tuple[int, int] = (0, 0)
    """By side, in the time that is looked at."""

    @property
    def new(self) -> int:
        """Requests that did not need the old system."""
        return sum(self.requests) if self.route.legacy == self.route.new else self.requests[Side.NEW]


def standings(
    table: Table,
    state: EffectiveState,
    orders: Sequence[Order],
    before: Mapping[str, Track],
    requests: Mapping[str, tuple[int, int]],
    now: float,
) -> tuple[Standing, ...]:
    """All routes of the table, in its order; `before`: their tracks at the last look."""
    return tuple(walk(table, state, orders, before, requests, now))


def walk(
    table: Table,
    state: EffectiveState,
    orders: Sequence[Order],
    before: Mapping[str, Track],
    requests: Mapping[str, tuple[int, int]],
    now: float,
) -> Iterator[Standing]:
    """The same, route by route: there may be thousands, and whoever asks may have other things to do."""
    frozen = _frozen(orders)
    wishes = _wishes(table, orders)
    owners = {name: group.owner for name, group in table.groups.items()}
    for route, entry, wish in zip(table.routes, state.routes, wishes, strict=True):
        name = route.name
        track = follow(before.get(name), route, entry.share, wish, now, frozen=frozen(route))
        yield Standing(route, owners.get(route.group, ""), entry.share, track, requests.get(name, (0, 0)))


def _frozen(orders: Sequence[Order]) -> Callable[[Route], bool]:
    freezes = Covering(order for order in orders if order.kind is Kind.FREEZE)
    return lambda route: not freezes.none_over(route) and bool(freezes.over(route))


def _wishes(table: Table, orders: Sequence[Order]) -> list[int]:
    left = [order for order in orders if not _holds_back(order)]
    return [entry.share for entry in effective(table, left).routes]


def _holds_back(order: Order) -> bool:
    return order.kind is Kind.ROLLBACK or (order.kind is Kind.PIN and order.side is Side.LEGACY)


def follow(before: Track | None, route: Route, share: int, wish: int, now: float, *, frozen: bool) -> Track:
    """The track after one more look."""
    moved = now if before is None or before.wish != wish else before.moved
    stage = stage_of(route, share, wish, now - moved, frozen=frozen)
    if before is not None and before.stage is stage:
        return before if before.wish == wish else Track(stage, before.since, wish, moved)
    return Track(stage, now, wish, moved)


def stage_of(route: Route, share: int, wish: int, still: float, *, frozen: bool) -> Stage:
    """`still`: seconds since the wish moved."""
    if route.legacy == route.new:
        return Stage.RETIRED
    if share >= PPM:
        return Stage.RETIRED if route.finalised else Stage.DONE
    if not wish:
        return Stage.SHADOWING if route.shadow is not None and route.shadow.percent else Stage.LEGACY
    held = share < wish or frozen or still >= SETTLED
    return Stage.HOLDING if held else Stage.RAMPING


def settles(tracks: Iterable[Track]) -> float:
    """When time alone will bring a route into another stage; infinity: never."""
    return min((track.moved + SETTLED for track in tracks if track.stage is Stage.RAMPING), default=inf)


# -- sums --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """Several routes together; tallies can be added up.  Tuples go by the index in `STAGES`."""

    apis: tuple[int, ...] = (0,) * len(STAGES)
    requests: tuple[int, ...] = (0,) * len(STAGES)
    new: int = 0
    """Requests that did not need the old system."""
    share: int = 0
    """The shares in force added up, in ppm."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            tuple(map(sum, zip(self.apis, other.apis, strict=True))),
            tuple(map(sum, zip(self.requests, other.requests, strict=True))),
            self.new + other.new,
            self.share + other.share,
        )

    @property
    def total(self) -> int:
        """Routes, without what is unlisted."""
        return sum(self.apis) - self.apis[STAGES.index(Stage.UNLISTED)]

    @property
    def finished(self) -> int:
        return sum(count for stage, count in zip(STAGES, self.apis, strict=True) if stage in FINISHED)

    @property
    def ratio(self) -> float | None:
        """The part of the traffic that did not need the old system; None without traffic."""
        total = sum(self.requests)
        return self.new / total if total else None


def tally(found: Iterable[Standing]) -> Tally:
    """What some routes come to."""
    apis, requests, new, share = [0] * len(STAGES), [0] * len(STAGES), 0, 0
    for each in found:
        index = _INDEX[each.track.stage]
        apis[index] += 1
        requests[index] += each.requests[0] + each.requests[1]
        new += each.new
        share += PPM if each.route.legacy == each.route.new else each.share
    return Tally(tuple(apis), tuple(requests), new, share)


def unlisted(requests: int) -> Tally:
    """What no route matched; one entry when there was any."""
    index = STAGES.index(Stage.UNLISTED)
    counts = tuple(requests if number == index else 0 for number in range(len(STAGES)))
    return Tally(tuple(min(count, 1) for count in counts), counts)


def by_group(found: Sequence[Standing], unlisted_requests: int = 0) -> dict[str, Tally]:
    """One tally a group, in the order of the file; `""` holds the routes without a group, and what is unlisted."""
    routes: dict[str, list[Standing]] = {}
    for each in found:
        routes.setdefault(each.route.group, []).append(each)
    tallies = {group: tally(each) for group, each in routes.items()}
    if unlisted_requests:
        tallies[""] = tallies.get("", Tally()) + unlisted(unlisted_requests)
    return tallies


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: every group's tally, with the requests since the point before."""

    at: float
    groups: Mapping[str, Tally]

    @property
    def all(self) -> Tally:
        return sum(self.groups.values(), Tally())


@dataclass(frozen=True, slots=True)
class Passage:
    """A route that came into another stage; an empty one: it is new, or gone."""

    at: float
    route: str
    before: str
    after: str


# -- what has been left lying ------------------------------------------------------------------------------------------


class Why(StrEnum):
    """What kind of thing is stuck."""

    PARTIAL = "partial"
    """Between the sides for longer than `STANDS`."""
    SHADOW = "shadow"
    """Shadowing for so long."""
    NOT_BEGUN = "not-begun"
    """There is a new side, and nothing has ever been sent there."""
    ORDER = "order"
    """An order that looks forgotten."""
    OVERDUE = "overdue"
    """An order that goes on although its time has come."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """Something that waits for a person."""

    why: Why
    since: float
    route: str = ""
    order: str = ""
    scope: Scope | None = None
    """Of the order."""
    group: str = ""
    share: int = 0
    """For a route: its wish in ppm."""
    kind: Kind | None = None


def stuck(found: Sequence[Standing], orders: Sequence[Order], now: float) -> tuple[Stuck, ...]:
    """What has not moved for too long, the oldest first."""
    routes = (_stuck_route(each, now) for each in found)
    given = (_stuck_order(order, now) for order in orders)
    return tuple(sorted((each for each in (*routes, *given) if each), key=lambda each: (each.since, each.route)))


def _stuck_route(each: Standing, now: float) -> Stuck | None:
    track = each.track
    if now - track.moved < STANDS:
        return None
    why = _standing_still(each)
    return Stuck(why, track.moved, each.route.name, group=each.route.group, share=track.wish) if why else None


def _standing_still(each: Standing) -> Why | None:
    match each.track.stage:
        case Stage.RAMPING | Stage.HOLDING:
            return Why.PARTIAL
        case Stage.SHADOWING:
            return Why.SHADOW
        case Stage.LEGACY if each.route.new:
            return Why.NOT_BEGUN
        case _:
            return None


def _stuck_order(order: Order, now: float) -> Stuck | None:
    overdue = order.overdue(now)
    if not overdue and (order.expires is not None or now - order.created < FORGOTTEN[order.kind]):
        return None
    since = order.expires if overdue and order.expires is not None else order.created
    why = Why.OVERDUE if overdue else Why.ORDER
    return Stuck(why, since, order=order.id, scope=order.scope, kind=order.kind)


@dataclass(frozen=True, slots=True)
class Look:
    """How everything stands at a moment."""

    at: float
    revision: int
    routes: tuple[Standing, ...]
    groups: Mapping[str, Tally]
    """`""`: routes without a group, and what is unlisted."""
    stuck: tuple[Stuck, ...]
    window: float
    """Seconds of traffic that the requests were counted in."""

    @property
    def all(self) -> Tally:
        return sum(self.groups.values(), Tally())

"""The places of the table in force as the JSON that people and programs see: sites, targets, and what health changes.

Pure: values in, plain objects out.  Shares and parts are percent, times Unix seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from control.observer import Seen
from router.core.explain import filling, said_of_health
from router.core.fill import Room, Why
from router.core.health import Status, back_at
from router.core.model import PPM, Table
from router.core.observed import Observed
from router.core.orders import Cause, EffectiveState, Kind, Order, Reach
from router.core.places import Filling
from router.core.units import write_percent
from router.live import Live

Json = dict[str, Any]

NAMED: Final = 20
"""Routes that are named with one change; `count` says how many there are."""
MOST_DOWN: Final = 100
OPEN: Final = frozenset({"up", "degraded"})
"""The states in which a site takes requests."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is under way, by endpoint."""

    under_way: Mapping[str, tuple[int, int]] | None
    """Exchanges and tunnels; None: the workers do not say."""
    connections: Mapping[str, int]
    """Open ones, idle ones included."""


def percent(ppm: int) -> float:
    return round(ppm / 10_000, 4)


def target_view(seen: Seen) -> Json:
    place, target = seen.place, seen.target
    down = target.status is Status.DOWN
    return {
        "upstream": place.upstream,
        "site": place.site or None,
        "endpoint": str(place.endpoint),
        "address": place.address or None,
        "status": target.status.value,
        "level": percent(seen.level),
        "since": seen.since,
        "why": target.why or None,
        "probed": place.probed,
        "held": target.held,
        "back_at": seen.since + back_at(target) - target.since if down and not target.held else None,
        "came_up": seen.changes.get(Status.UP, 0),
        "went_down": seen.changes.get(Status.DOWN, 0),
    }


def sites_view(
    table: Table,
    state: EffectiveState,
    orders: Sequence[Order],
    observed: Observed,
    seen: Sequence[Seen],
    left: Left,
) -> Json:
    """Everything about places."""
    found = filling(table, state, observed)
    return {
        "sites": [_site(name, table, orders, found, seen, left) for name in table.sites],
        "endpoints": [target_view(each) for each in seen if not each.place.site],
        "changes": list(changes(table, state, found)),
    }


def summary(live: Live, seen: Sequence[Seen]) -> Json:
    """What is not as it should be: the states of sites, targets that are down, and what that changes."""
    return {
        "sites": [
            {"name": name, "state": state_of(live.orders, name, [each for each in seen if each.place.site == name])}
            for name in live.table.sites
        ],
        "down": [target_view(each) for each in seen if each.target.status is Status.DOWN][:MOST_DOWN],
        "changes": list(changes(live.table, live.state, filling(live.table, live.state, live.observed))),
    }


def _site(name: str, table: Table, orders: Sequence[Order], found: Filling, seen: Sequence[Seen], left: Left) -> Json:
    targets = [each for each in seen if each.place.site == name]
    closing = _closing(orders, name)
    up = sum(each.target.status is not Status.DOWN for each in targets)
    site = table.sites[name]
    return {
        "name": name,
        "state": state_of(orders, name, targets),
        "order": None if closing is None else closing.id,
        "reason": None if closing is None else closing.reason,
        "weight": site.weight,
        "capacity": site.capacity,
        "up": up,
        "of": len(targets),
        "upstreams": [
            {"upstream": upstream, "healthy": percent(room.healthy), "weight": percent(room.weight)}
            for upstream, rooms in found.rooms.items()
            for room in rooms
            if room.site == name
        ],
        "targets": [target_view(each) for each in targets],
        **_left_at(targets, left),
    }


def _left_at(targets: Sequence[Seen], left: Left) -> Json:
    keys = {f"{each.place.upstream} {each.place.endpoint}" for each in targets}
    connections = sum(left.connections.get(key, 0) for key in keys)
    if left.under_way is None:
        return {"exchanges": None, "tunnels": None, "connections": connections}
    counts = [left.under_way[key] for key in keys if key in left.under_way]
    exchanges, tunnels = (sum(each[number] for each in counts) for number in (0, 1))
    return {"exchanges": exchanges, "tunnels": tunnels, "connections": connections}


def state_of(orders: Iterable[Order], site: str, targets: Sequence[Seen]) -> str:
    """`off`, `drain` or `rollback` if an operator has closed it, else what is observed: `up`, `degraded` or `down`."""
    closing = _closing(orders, site)
    if closing is not None:
        return closing.kind.value
    down = sum(each.target.status is Status.DOWN for each in targets)
    return "up" if not down else "down" if down == len(targets) else "degraded"


def _closing(orders: Iterable[Order], site: str) -> Order | None:
    """The order that keeps requests from a site; the strictest of them."""
    strictness = (Kind.OFF, Kind.DRAIN, Kind.ROLLBACK)
    found = [each for each in orders if each.kind in strictness and each.scope.reach is Reach.SITE]
    named = [each for each in found if each.scope.name == site]
    return min(named, key=lambda each: strictness.index(each.kind), default=None)


def changes(table: Table, state: EffectiveState, found: Filling) -> Iterator[Json]:
    """Where health or capacity make routes go elsewhere than ordered, in words, each with the routes it is true of."""
    said: dict[str, list[str]] = {}
    whys: dict[str, Why] = {}
    for route, entry in zip(table.routes, state.routes, strict=True):
        placing = found.of(route, entry.share, pinned=entry.cause is Cause.PIN)
        if placing.why is Why.WEIGHTS:
            continue
        text = "; ".join((*_sick(found.rooms.get(route.new or "", ())), said_of_health(placing, entry.share)))
        said.setdefault(text, []).append(route.name)
        whys[text] = placing.why
    for text, names in said.items():
        yield {"why": whys[text].label, "text": text, "routes": names[:NAMED], "count": len(names)}


def _sick(rooms: Sequence[Room]) -> Iterator[str]:
    for room in rooms:
        if room.healthy < PPM or room.back < PPM:
            brought = "" if room.back == PPM else f", brought back to {write_percent(room.back)} %"
            yield f"{room.site or 'new'} is {write_percent(room.healthy)} % healthy{brought}"

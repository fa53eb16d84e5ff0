"""Where a route's traffic goes when places have weights, health and a capacity: filling them like vessels with water.

    room   what a site can take at most:    capacity x healthy part
    pull   what it takes of what there is:  weight x min(1, 1.4 x healthy part) x how far it has been brought back

The new side's share is spread over its sites by pull, none above its room; what one cannot take goes to the others
(site failover comes before side failover).  What all of them together cannot take overflows to legacy, where the route
allows it and legacy is alive.  The factor 1.4 is Envoy's overprovisioning: a site of which five sevenths are healthy
keeps its whole part.

What never happens, whatever is observed: a share that is 0 is opened; a place that an operator has closed gets
anything; a finalised route falls back to legacy.  When both sides look dead the prober is distrusted, never the
operator.

Whole parts per million of the route's traffic everywhere; the parts of both sides sum to 1,000,000.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from router.core.model import PPM, Panic, Upstream
from router.core.observed import Observed

FULL_FROM: Final = (7, 5)
"""The overprovisioning factor as a fraction."""
PANIC_BELOW: Final = 200_000
"""Ppm of a side that must look healthy for it to count as alive."""

Parts = tuple[tuple[str, int], ...]
"""Sites with their parts in ppm."""


@dataclass(frozen=True, slots=True)
class Room:
    """One site of an upstream, as the filling sees it."""

    site: str
    weight: int
    """Its part by weight alone, in ppm."""
    capacity: int = PPM
    """Ppm of the route's whole traffic that it is sized for."""
    healthy: int = PPM
    """Ppm of its endpoints."""
    back: int = PPM
    """How far its healthy endpoints have been brought back."""
    closed: bool = False
    """An operator has drained it or switched it off."""
    elastic: bool = False
    """Nobody has said what it is sized for: while one endpoint is well it takes everything."""

    @property
    def room(self) -> int:
        if self.closed:
            return 0
        return PPM * bool(self.healthy) if self.elastic else self.capacity * self.healthy // PPM

    @property
    def pull(self) -> int:
        if self.closed:
            return 0
        over, under = FULL_FROM
        return self.weight * min(PPM, self.healthy * over // under) // PPM * self.back // PPM


class Why(IntEnum):
    """What the filling had to do."""

    WEIGHTS = 0
    """Nothing: every place takes its part."""
    SITES = 1
    """Some places take over from others of their side."""
    FAILOVER = 2
    """Legacy takes over what the new side has no room for."""
    OVERLOAD_NEW = 3
    """The new side has more than it has room for: nobody else may or can take it."""
    OVERLOAD_LEGACY = 4
    """Legacy has more than it has room for."""
    PANIC = 5
    """Both sides look dead: the prober is distrusted."""
    REFUSED = 6
    """Nobody may answer what belongs to the new side: every place of it is closed, and legacy has old data."""
    CLOSED = 7
    """Both sides look dead, and the route would rather say so than try."""

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route allows."""

    overflow: bool = True
    finalised: bool = False
    panic: Panic = Panic.OPEN

    @property
    def may_fall_back(self) -> bool:
        return self.overflow and not self.finalised


@dataclass(frozen=True, slots=True)
class Filled:
    """Where a route's traffic goes."""

    new: Parts
    """Sums to `share`."""
    legacy: Parts
    """Sums to the rest."""
    why: Why = Why.WEIGHTS

    @property
    def share(self) -> int:
        return sum(part for _, part in self.new)

    @property
    def refused(self) -> bool:
        """Is some of it answered with 503?  By the new side's part alone, unless the whole route is closed."""
        return self.why in {Why.REFUSED, Why.CLOSED}


def rooms(
    upstream: Upstream,
    spread: Sequence[tuple[str, int]],
    capacities: Mapping[str, int],
    observed: Observed,
    closed: Collection[str] = (),
    held: Collection[str] = (),
) -> tuple[Room, ...]:
    """The sites of an upstream; `spread` are their parts by weight in ppm, `capacities` in percent.

    A site that is rolled back keeps its part, since legacy answers it: its own health plays no role.  The one nameless
    site of an upstream that does not name its places has no size.
    """
    return tuple(
        Room(
            site,
            weight,
            capacities.get(site, 100) * PPM // 100,
            *((PPM, PPM) if site in held else _health(upstream, site, observed)),
            closed=site in closed,
            elastic=not site,
        )
        for site, weight in spread
    )


def _health(upstream: Upstream, site: str, observed: Observed) -> tuple[int, int]:
    """The healthy part of a site's endpoints, and how far that part has been brought back; both in ppm."""
    whole = up = back = 0
    for endpoint in upstream.sites[site]:
        for target in observed.targets(upstream.name, endpoint):
            level = observed.level(target)
            whole += endpoint.weight
            if level:
                up += endpoint.weight
                back += endpoint.weight * level
    return (up * PPM // whole if whole else PPM), (back // up if up else PPM)


def fill(want: int, new: Sequence[Room], legacy: Sequence[Room], policy: Policy) -> Filled:
    """Spreads a route's traffic, of which `want` ppm belong to the new side; `new` is empty where there is none."""
    alive_legacy, alive_new = _alive(legacy), _alive(new)
    if not alive_legacy and not alive_new and (want or not new):
        return _panic(want, new, legacy, policy)
    parts, over = _pour(want, new)
    why = Why.WEIGHTS if not want or _as_weighed(parts, want, new) else Why.SITES
    if over:
        open_new = [room for room in new if not room.closed]
        if policy.may_fall_back and (alive_legacy or not open_new):
            why = Why.FAILOVER
        elif open_new:
            parts, why = _add(parts, _by_weight(over, open_new)), Why.OVERLOAD_NEW
        else:
            return Filled((), _legacy(PPM, legacy)[0], Why.REFUSED)
    rest, overloaded = _legacy(PPM - sum(parts.values()), legacy)
    if overloaded and why is not Why.OVERLOAD_NEW:
        why = Why.OVERLOAD_LEGACY
    return Filled(_ordered(parts, new), rest, why)


def _alive(rooms: Sequence[Room]) -> bool:
    weight = sum(room.weight for room in rooms)
    return bool(weight) and sum(room.weight * room.healthy for room in rooms) >= PANIC_BELOW * weight


def _panic(want: int, new: Sequence[Room], legacy: Sequence[Room], policy: Policy) -> Filled:
    """Everything as it was configured; what an operator has closed stays closed."""
    open_new = [room for room in new if not room.closed]
    parts = _by_weight(want, open_new) if open_new else {}
    rest = _by_weight(PPM - sum(parts.values()), _open_or_all(legacy))
    why = Why.PANIC
    if policy.panic is Panic.CLOSED:
        why = Why.CLOSED
    elif want and not open_new and not policy.may_fall_back:
        why = Why.REFUSED
    return Filled(_ordered(parts, new), _ordered(rest, legacy), why)


def _legacy(amount: int, legacy: Sequence[Room]) -> tuple[Parts, bool]:
    """Legacy has nowhere to send things on: what does not fit is sent all the same.  Was there too much?"""
    parts, over = _pour(amount, legacy)
    if over:
        parts = _add(parts, _by_weight(over, _open_or_all(legacy)))
    return _ordered(parts, legacy), bool(over)


def _open_or_all(legacy: Sequence[Room]) -> Sequence[Room]:
    """Those of legacy's places that are open; when all are closed somebody has to answer all the same."""
    return [room for room in legacy if not room.closed] or legacy


def _pour(amount: int, rooms: Sequence[Room]) -> tuple[dict[str, int], int]:
    """Spreads an amount by pull, none above its room; the parts, and what found no room."""
    parts = dict.fromkeys((room.site for room in rooms), 0)
    thirsty = [room for room in rooms if room.pull and room.room]
    left = amount
    while left and thirsty:
        pulls = sum(room.pull for room in thirsty)
        given = {room.site: left * room.pull // pulls for room in thirsty}
        full = [room for room in thirsty if given[room.site] >= room.room]
        if not full:
            parts |= given
            left -= sum(given.values())
            left -= _crumbs(left, parts, thirsty)
            break
        for room in full:  # what these cannot take is poured again
            parts[room.site] = room.room
            left -= room.room
        thirsty = [room for room in thirsty if room not in full]
    return parts, left


def _crumbs(left: int, parts: dict[str, int], rooms: Sequence[Room]) -> int:
    """Gives what rounding left over, a part at a time, to those that have room; how many were given."""
    given = 0
    for room in rooms:
        if given < left and parts[room.site] < room.room:
            parts[room.site] += 1
            given += 1
    return given


def _by_weight(amount: int, rooms: Sequence[Room]) -> dict[str, int]:
    """By weight alone, or alike where none has any; rounding goes to the first."""
    weights = {room.site: room.weight for room in rooms}
    total = sum(weights.values())
    if not total:
        weights, total = dict.fromkeys(weights, 1), len(weights)
    parts = {site: amount * weight // total for site, weight in weights.items()}
    parts[rooms[0].site] += amount - sum(parts.values())
    return parts


def _as_weighed(parts: Mapping[str, int], want: int, rooms: Sequence[Room]) -> bool:
    """Is every part what the weights alone say, but for rounding?"""
    return all(abs(parts[room.site] - want * room.weight // PPM) <= len(rooms) for room in rooms)


def _add(parts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {site: part + more.get(site, 0) for site, part in parts.items()}


def _ordered(parts: Mapping[str, int], rooms: Sequence[Room]) -> Parts:
    return tuple((room.site, parts.get(room.site, 0)) for room in rooms)

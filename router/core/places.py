"""What health and operators leave of a route's share, and of the weights of its sites.

`Filling` does `router.core.fill` for all routes of one state: once for each combination of upstreams, share and
policy, of which 1,500 routes have a few.  Where every place is well there is nothing to say, and nothing is said.

The workers place by it, `status` and `explain` report from it: the same numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from router.core.fill import Filled, Parts, Policy, Room, Why, fill, rooms
from router.core.model import PPM, Panic, Route, Side, Upstream
from router.core.observed import Observed


@dataclass(frozen=True, slots=True)
class Placing:
    """Where the requests of some routes go."""

    live: int
    """What is left of the share, in ppm."""
    new: Parts
    """Sites of the new side with their parts of what goes there, which sum to 1,000,000.  Empty: all are closed."""
    legacy: Parts
    new_spread: Parts
    """The same by weight alone."""
    legacy_spread: Parts
    filled: Filled

    @property
    def why(self) -> Why:
        return self.filled.why

    def refuses(self, side: Side) -> bool:
        """Is what goes to this side answered with 503?"""
        return self.filled.why is Why.CLOSED or (self.filled.why is Why.REFUSED and side is Side.NEW)


class Filling:
    """The placings of one state under one observation."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        spread: Mapping[str, Parts],
        capacities: Mapping[str, int],
        observed: Observed,
        closed: Collection[str],
        held: Collection[str],
    ) -> None:
        """`spread` by upstream, the sites by weight in ppm; `capacities` by site, in percent."""
        self._spread = spread
        self.rooms: Mapping[str, tuple[Room, ...]] = {
            name: rooms(upstream, spread[name], capacities, observed, closed, held)
            for name, upstream in upstreams.items()
        }
        self._known: dict[tuple[str, str | None, int, bool, bool, Panic], Placing] = {}

    @property
    def plain(self) -> bool:
        """Is every upstream one nameless place that is well, so that there is nothing to choose and nothing to say?"""
        return all(len(found) == 1 and not found[0].site and found[0].healthy == PPM for found in self.rooms.values())

    def of(self, route: Route, share: int, *, pinned: bool = False) -> Placing:
        """The placing of a route with this share; one that is pinned to new stays there while a place is open."""
        new = self.rooms[route.new] if route.new else ()
        overflow = route.overflow and not (pinned and any(not room.closed for room in new))
        key = (route.legacy, route.new, share, overflow, route.finalised, route.panic)
        found = self._known.get(key)
        if found is None:
            filled = fill(share, new, self.rooms[route.legacy], Policy(overflow, route.finalised, route.panic))
            found = self._known[key] = self._placing(route, share, filled, new)
        return found

    def _placing(self, route: Route, share: int, filled: Filled, new: Sequence[Room]) -> Placing:
        return Placing(
            # Those who are refused are still the new side's.
            live=share if filled.why is Why.REFUSED else filled.share,
            new=_normal(filled.new, new),
            legacy=_normal(filled.legacy, self.rooms[route.legacy], whatever=True),
            new_spread=self._spread[route.new] if route.new else (),
            legacy_spread=self._spread[route.legacy],
            filled=filled,
        )


def _normal(parts: Parts, found: Sequence[Room], *, whatever: bool = False) -> Parts:
    """Parts of a whole; of what would come, where nothing goes.  What rounding leaves goes to the largest.

    Empty when every place is closed, unless somebody has to answer whatever is closed.
    """
    if not any(part for _, part in parts):
        open_rooms = [room for room in found if not room.closed] or (list(found) if whatever else [])
        pulls = {room.site: room.pull for room in open_rooms}
        weights = pulls if any(pulls.values()) else {room.site: room.weight for room in open_rooms}
        if not any(weights.values()):
            weights = dict.fromkeys(weights, 1)
        if not weights:
            return ()
        parts = tuple((room.site, weights.get(room.site, 0)) for room in found)
    total = sum(part for _, part in parts)
    normal = {site: part * PPM // total for site, part in parts}
    normal[max(normal, key=lambda site: normal[site])] += PPM - sum(normal.values())
    return tuple(normal.items())

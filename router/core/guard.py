"""Is this table a mistake?  A file that is valid but has lost much of itself is refused until somebody insists.

A YAML file that was cut at the end of a line still parses, and so does one that a broken template engine wrote: it
only has fewer routes.  A route has *vanished* when neither its name nor its shape (host, methods, path template) is
in the new table; renaming a route or its parameters is not vanishing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.core.match import methods, shapes
from router.core.model import Route, Table

TOLERATED: Final = 3
"""So many routes may always vanish, if nobody uses them."""
TOLERATED_PART: Final = 5
"""And at most one in so many (20 %)."""
NAMED: Final = 10
"""Routes that a message names; the others are counted."""


def vanished(before: Table, after: Table) -> tuple[Route, ...]:
    """The routes of `before` that `after` has neither by name nor by shape."""
    names = {route.name for route in after.routes}
    lost = [route for route in before.routes if route.name not in names]
    if not lost:
        return ()
    kept = {key for route in after.routes for key in _keys(route)}
    return tuple(route for route in lost if not kept.issuperset(_keys(route)))


def _keys(route: Route) -> list[tuple[str, object, bytes]]:
    return [(route.host, shape, method) for shape in shapes(route) for method in methods(route)]


def mass_removal(before: Table, after: Table, traffic: Mapping[str, int]) -> tuple[str, ...]:
    """Why the step from one table to the other looks like an accident; empty: it does not."""
    lost = vanished(before, after)
    found: list[str] = []
    if len(lost) > TOLERATED and len(lost) * TOLERATED_PART > len(before.routes):
        found.append(f"{len(lost)} of {len(before.routes)} routes would vanish: {_names(lost)}")
    busy = tuple(route for route in lost if traffic.get(route.name, 0) > 0)
    if busy:
        found.append(f"{len(busy)} of the routes that would vanish had requests within the last minute: {_names(busy)}")
    return tuple(found)


def _names(routes: tuple[Route, ...]) -> str:
    shown = ", ".join(route.name for route in routes[:NAMED])
    return f"{shown} and {len(routes) - NAMED} more" if len(routes) > NAMED else shown

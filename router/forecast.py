"""Looks at what might be and what was, without changing anything: `plan`, `preview` and `diff`."""

from __future__ import annotations

from router.answers import Difference, Plan
from router.core.diff import diff
from router.core.guard import mass_removal
from router.core.orders import effective, supersede
from router.core.place import Placed
from router.core.safety import Facts, check, moved, moved_to_new
from router.core.subjects import moved_subjects
from router.ports import Compiled, State
from router.steps import Force, changed_shares, route_changes


def plan(now: Force, compiled: Compiled, facts: Facts) -> Plan:
    """What would follow if this table took force now."""
    table = compiled.table
    orders, gone = supersede(now.orders, table)
    state = effective(table, orders)
    after = {route.name: entry.share for route, entry in zip(table.routes, state.routes, strict=True)}
    routes = route_changes(now.shares(), after)
    changed = changed_shares(routes)
    subjects = moved_subjects((now.table, now.state), (table, state))
    return Plan(
        lines=tuple(map(str, diff(now.table, table))),
        routes=routes,
        superseded=gone,
        moved=moved(changed, facts.traffic),
        moved_to_new=moved_to_new(changed, facts.traffic),
        subjects=subjects.total,
        seeds=subjects.by_seed,
        violations=check(table, orders, changed, facts),
        removal=mass_removal(now.table, table, facts.traffic),
        notes=compiled.notes,
        confirm=table.safety.confirm if table.safety else None,
    )


def preview(now: Force, placed: Placed, facts: Facts) -> Plan:
    """What would follow if this order were given now."""
    table, orders = now.table, placed.orders
    state = effective(table, orders)
    after = {route.name: entry.share for route, entry in zip(table.routes, state.routes, strict=True)}
    routes = route_changes(now.shares(), after, same=True)
    changed = changed_shares(routes)
    subjects = moved_subjects((table, now.state), (table, state))
    return Plan(
        lines=placed.lines,
        routes=routes,
        superseded=(),
        moved=moved(changed, facts.traffic),
        moved_to_new=moved_to_new(changed, facts.traffic),
        subjects=subjects.total,
        seeds=subjects.by_seed,
        violations=check(table, orders, changed, facts),
        removal=(),
    )


def difference(first: tuple[State, Compiled], second: tuple[State, Compiled]) -> Difference:
    """From the first of two revisions to the second."""
    shares = [
        {
            route.name: entry.share
            for route, entry in zip(compiled.table.routes, effective(compiled.table, state.orders).routes, strict=True)
        }
        for state, compiled in (first, second)
    ]
    (one, old), (two, new) = first, second
    return Difference(
        one.number,
        two.number,
        tuple(map(str, diff(old.table, new.table))),
        route_changes(*shares),
        tuple(order for order in one.orders if order not in two.orders),
        tuple(order for order in two.orders if order not in one.orders),
    )

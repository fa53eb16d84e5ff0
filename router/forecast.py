"""Looks at what might be and what was, without changing anything: `plan`, `preview` and `diff`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from router.answers import Difference, Plan, Refusal, not_started, refusal
from router.archive import Archive
from router.core.diff import diff
from router.core.guard import mass_removal
from router.core.model import Side, Table
from router.core.orders import Kind, Order, Scope, effective, shares_of, supersede
from router.core.place import Objection, Placed
from router.core.safety import Facts, check, moved, moved_to_new
from router.core.subjects import moved_subjects
from router.course import Course
from router.judge import Judge, largest
from router.ports import Compiled, Compiler, Problems, State
from router.steps import Force, Who, changed_shares, route_changes
from router.wishes import incomplete, placing


class Outlook:
    """Compiles what is only asked about, and looks at it in a thread of its own."""

    def __init__(self, course: Course, checker: Compiler, judge: Judge, archive: Archive) -> None:
        self._course = course
        self._checker = checker
        self._judge = judge
        self._archive = archive

    async def plan(self, data: bytes) -> Plan | Refusal:
        if self._course.force is None:
            return not_started()
        compiled = await self._checker.compile(data)
        if isinstance(compiled, Problems):
            return refusal("invalid", "routes.yaml has problems", "", compiled.lines)
        return await asyncio.to_thread(plan, self._course.now, compiled, self._judge.facts(compiled.table))

    async def preview(self, kind: Kind, scope: Scope, share: int | None, side: Side | None) -> Plan | Refusal:
        if self._course.force is None:
            return not_started()
        if (objection := incomplete(kind, scope, share, side)) is not None:
            return objection
        who = Who("nobody", "order", "a preview", kind.value, str(scope))
        stamp, now = self._course.stamp(who), self._course.now
        placed = placing(kind, scope, share or 0, side)(now.table, self._course.orders, stamp)
        if isinstance(placed, Objection):
            return refusal(placed.code, placed.detail, placed.instead)
        facts = self._judge.facts(now.table)
        found = await asyncio.to_thread(preview, now, placed, facts)
        if not found.violations or kind is not Kind.WEIGHT:
            return found
        allowed = largest(now, lambda other: placing(kind, scope, other, side), stamp, facts, who)
        return replace(found, allowed=allowed)

    async def difference(self, first: int, second: int) -> Difference | Refusal:
        found: list[tuple[State, Compiled]] = []
        for number in (first, second):
            state = await self._archive.state_of(number)
            if isinstance(state, Refusal):
                return state
            compiled = await self._checker.compile(state.text)
            if isinstance(compiled, Problems):
                detail = f"the routes.yaml of revision {number} has problems today"
                return refusal("invalid", detail, "", compiled.lines)
            found.append((state, compiled))
        return await asyncio.to_thread(difference, found[0], found[1])


def plan(now: Force, compiled: Compiled, facts: Facts) -> Plan:
    """What would follow if this table took force now."""
    table = compiled.table
    orders, gone = supersede(now.orders, table)
    return replace(
        _following(now, table, orders, facts, tuple(map(str, diff(now.table, table)))),
        superseded=gone,
        removal=mass_removal(now.table, table, facts.traffic),
        notes=compiled.notes,
        confirm=table.safety.confirm if table.safety else None,
    )


def preview(now: Force, placed: Placed, facts: Facts) -> Plan:
    """What would follow if this order were given now."""
    return _following(now, now.table, placed.orders, facts, placed.lines)


def _following(now: Force, table: Table, orders: Sequence[Order], facts: Facts, lines: tuple[str, ...]) -> Plan:
    """What would follow from these orders over this table."""
    state = effective(table, orders)
    routes = route_changes(now.shares(), shares_of(table, state), same=table is now.table)
    changed = changed_shares(routes)
    subjects = moved_subjects((now.table, now.state), (table, state))
    return Plan(
        lines=lines,
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
    shares = [shares_of(compiled.table, effective(compiled.table, state.orders)) for state, compiled in (first, second)]
    (one, old), (two, new) = first, second
    return Difference(
        one.number,
        two.number,
        tuple(map(str, diff(old.table, new.table))),
        route_changes(*shares),
        tuple(order for order in one.orders if order not in two.orders),
        tuple(order for order in two.orders if order not in one.orders),
    )

"""What the engine knows, as the JSON that people and programs see.  Pure: values in, plain objects out.

Shares leave the house as percent (`37.42`); parts per million stay inside.  Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from control.counters import Rate
from router.answers import Change, Difference, Plan, SourceState
from router.core.explain import Explanation
from router.core.model import UNLISTED, Route, Table
from router.core.orders import Effective, EffectiveState, Kind, Order, Reach, Scope, newest_weights
from router.core.safety import Violation
from router.core.units import write_percent
from router.live import Live, Revision, RouteChange, WorkerState

Json = dict[str, Any]

_DIFF_LINES: Final = 1000
_LOOKED_BACK: Final = 200
"""Revisions among which the last rollback is looked for."""
_WRITABLE: Final = 100
"""Ppm in the smallest step of a weight that people can write (0.01 %)."""


def percent(ppm: int) -> float:
    return ppm / 10_000


def order_view(order: Order) -> Json:
    view: Json = {
        "id": order.id,
        "kind": order.kind.value,
        "scope": scope_view(order.scope),
        "text": order_text(order),
        "reason": order.reason,
        "actor": order.actor,
        "created": order.created,
    }
    match order.kind:
        case Kind.WEIGHT:
            view |= {"weight": percent(order.share), "routes": list(order.declared)}
        case Kind.CAP:
            view |= {"cap": percent(order.share)}
        case Kind.PIN:
            view |= {"side": order.side.label}
    if (easing := order.easing) is not None:
        view["easing"] = {"leaves": percent(order.share), "began": easing.began, "ends": easing.ends}
    if order.expires is not None:
        view |= {"expires": order.expires, "provisional": order.provisional}
    if order.before:
        view |= {"stands_in_for": order.before[0].id}
    return view


def order_text(order: Order) -> str:
    """`rollback group=catalog`, `weight 25 % route=product`, `pin legacy all`."""
    share = f" {write_percent(order.share)} %" if order.kind in {Kind.WEIGHT, Kind.CAP} else ""
    side = f" {order.side.label}" if order.kind is Kind.PIN else ""
    steps = "" if order.easing is None else f", on its way: at most {write_percent(order.share)} % is left"
    return f"{order.kind}{share}{side} {order.scope}{steps}"


def violation_view(violation: Violation, lines: Mapping[str, int]) -> Json:
    """A safety rule that a change breaks; `lines`: of routes.yaml, by route."""
    return {
        "rule": violation.rule.value,
        "route": violation.route or None,
        "line": lines.get(violation.route) or None,
        "detail": violation.detail,
        "allowed": None if violation.allowed is None else percent(violation.allowed),
    }


def scope_view(scope: Scope) -> Json:
    return {"all": True} if scope.reach is Reach.ALL else {scope.reach.value: scope.name}


def change_view(change: Change) -> Json:
    return {
        "order": None if change.order is None else order_view(change.order),
        "orders": [] if change.order is None else [order_view(each) for each in (change.order, *change.more)],
        "already": change.already,
        "revision": change.revision,
        "confirmed": change.confirmed,
        "persisted": change.persisted,
        "workers": [_without_none(asdict(worker)) for worker in change.workers],
        "routes": list(map(route_change, change.routes)),
        "notes": list(change.notes),
        "overridden": [violation_view(each, {}) for each in change.overridden],
        "confirm_until": change.until,
        "ms": round(change.ms, 3),
    }


def _without_none(view: Json) -> Json:
    return {key: value for key, value in view.items() if value not in {None, ""}}


def route_change(change: RouteChange) -> Json:
    before, after = change.before, change.after
    return {
        "name": change.name,
        "before": None if before is None else percent(before),
        "after": None if after is None else percent(after),
    }


def revision_view(revision: Revision, *, whole: bool = False) -> Json:
    changes = revision.changes
    view: Json = {
        "revision": revision.number,
        "at": revision.at,
        "actor": revision.actor,
        "source": revision.source,
        "reason": revision.reason,
        "hash": revision.hash,
        "order": changes.order or None,
        "summary": changes.lines[0] if changes.lines else "",
        "changed_routes": len(changes.routes),
    }
    if whole:
        view |= {
            "lines": list(changes.lines),
            "routes": list(map(route_change, changes.routes)),
            "superseded": gave_way(changes.superseded),
            "overridden": [{"rule": rule, "reason": reason} for rule, reason in changes.overridden],
        }
    return view


def gave_way(superseded: Sequence[tuple[str, str]]) -> list[Json]:
    return [{"order": order, "route": route} for order, route in superseded]


def plan_view(plan: Plan, revision: int, table: Table, *, traffic: bool) -> Json:
    """`traffic`: there was some lately, so that a share of it can be told."""
    lines = {route.name: route.line for route in table.routes}
    return {
        "revision": revision,
        "changes": list(plan.lines[:_DIFF_LINES]),
        "more_changes": max(0, len(plan.lines) - _DIFF_LINES),
        "routes": list(map(route_change, plan.routes)),
        "traffic_changing_side": round(percent(plan.moved), 2) if traffic else None,
        "traffic_to_new": round(percent(plan.moved_to_new), 2) if traffic else None,
        "subjects_per_million": plan.subjects,
        "subjects_by_seed": dict(plan.seeds),
        "superseded": gave_way(plan.superseded),
        "violations": [violation_view(each, lines) for each in plan.violations],
        "mass_removal": list(plan.removal),
        "confirm_within": plan.confirm,
        "allowed": None if plan.allowed is None else percent(plan.allowed),
        "notes": list(plan.notes),
    }


def difference_view(found: Difference) -> Json:
    return {
        "from": found.first,
        "to": found.second,
        "changes": list(found.lines[:_DIFF_LINES]),
        "more_changes": max(0, len(found.lines) - _DIFF_LINES),
        "routes": list(map(route_change, found.routes)),
        "orders_gone": list(map(order_view, found.gone)),
        "orders_given": list(map(order_view, found.given)),
    }


def worker_view(worker: WorkerState, live: Live) -> Json:
    return {
        "id": worker.id,
        "pid": worker.pid,
        "revision": worker.revision,
        "confirmed": is_current(worker, live),
        "connected": worker.connected,
        "last_seen": worker.last_seen,
    }


def is_current(worker: WorkerState, live: Live) -> bool:
    """Does this worker have exactly what is in force, by its own word?"""
    return worker.connected and (worker.revision, worker.hash) == (live.revision, live.digest)


def source_view(source: SourceState) -> Json:
    return {
        "path": source.path,
        "status": source.status,
        "problems": list(source.problems),
        "last_good_at": source.last_good_at or None,
        "notes": list(source.notes),
        "confirm_until": source.until,
    }


def route_views(
    table: Table, state: EffectiveState, orders: Sequence[Order], rates: Mapping[str, Rate]
) -> Iterator[Json]:
    """All routes in the order of the file."""
    newest = newest_weights(table, [order for order in orders if order.kind is Kind.WEIGHT])
    for route, entry in zip(table.routes, state.routes, strict=True):
        yield _route(route, entry, newest.get(route.name), rates.get(route.name))


def _route(route: Route, entry: Effective, ordered: Order | None, rate: Rate | None) -> Json:
    return {
        "name": route.name,
        "path": route.path,
        "methods": list(route.methods),
        "host": route.host,
        "group": route.group,
        "legacy": route.legacy,
        "new": route.new,
        "declared": percent(route.weight),
        "ordered": None if ordered is None else percent(ordered.share),
        "ordered_by": None if ordered is None else ordered.id,
        "effective": percent(entry.share),
        "cause": entry.cause.label,
        "order": entry.order or None,
        "measured": measured(rate),
        "requests_per_second": requests_per_second(rate),
        "line": route.line,
    }


def measured(rate: Rate | None) -> float | None:
    """The measured share in percent, one decimal; None without traffic."""
    return None if rate is None or rate.share is None else round(100 * rate.share, 1)


def requests_per_second(rate: Rate | None) -> float:
    return 0.0 if rate is None else round(rate.legacy + rate.new, 2)


def status_view(live: Live, rates: Mapping[str, Rate]) -> Json:
    """Orders first: they are what an operator looks for.  Without the routes, which are many."""
    total = Rate(sum(rate.legacy for rate in rates.values()), sum(rate.new for rate in rates.values()))
    return {
        "revision": live.revision,
        "hash": live.digest,
        "persisted": live.persisted,
        "source": source_view(live.source),
        "orders": [order_view(order) for order in live.orders],
        "exercised": exercised_view(live.history(_LOOKED_BACK)),
        "workers": [worker_view(worker, live) for worker in live.workers()],
        "traffic": {
            "requests_per_second": requests_per_second(total),
            "measured": measured(total),
            "unlisted_per_second": requests_per_second(rates.get(UNLISTED)),
        },
    }


def exercised_view(newest_first: Iterable[Revision]) -> Json | None:
    """When a rollback was given or lifted last, in a drill or in earnest; None: not lately."""
    for revision in newest_first:
        if revision.changes.order.startswith(Kind.ROLLBACK.prefix):
            return {"at": revision.at, "order": revision.changes.order, "actor": revision.actor} | {
                "reason": revision.reason,
                "revision": revision.number,
            }
    return None


def explanation_view(found: Explanation) -> Json:
    view = asdict(found)
    view["side"] = None if found.side is None else found.side.label
    view["share"], view["live"] = percent(found.share), percent(found.live)
    view["flips_at"] = None if found.flips_at is None else -(-found.flips_at // _WRITABLE) / 100
    for layer in view["layers"]:
        layer["share"] = percent(layer["share"])
    return view

"""The router as rollouts see it: the `Platform` over the engine.  Orders go the way of everybody's orders.

A command's id ends the reason of its order, and so stands in the history: that is how whoever takes over finds out what
became of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from hashlib import blake2b
from typing import Final

from rollout.core.keeping import encode
from rollout.core.run import ACTOR, Act, Command, Facts, Ordered, Refused, Run
from router.core.model import PPM, Plan, Route, Table, Window
from router.core.orders import Cause, Effective, Kind, Order, Reach, Scope, rules
from router.core.plans import plan_named
from router.core.units import write_percent
from router.live import Change, Live, Refusal

LOOKED_BACK: Final = 200
"""Revisions among which a command is looked for."""
LONGEST: Final = 900
"""Characters of a reason, the command's id not counted."""
AGAIN: Final = {"stale-revision": 0.0, "storage": 2.0, "not-started": 2.0}
"""Seconds after which a refused order may be tried again, by code."""
USUAL_AGAIN: Final = 30.0


class LivePlatform:
    """A `Platform` over `router.live`."""

    def __init__(self, live: Live, local: Callable[[float, str], tuple[int, int]], now: Callable[[], float]) -> None:
        """`local` tells weekday and minute of a time in a time zone."""
        self._live = live
        self._local = local
        self._now = now
        self._positions: tuple[Table, dict[str, int]] | None = None
        self._prints: tuple[Table | None, dict[str, str]] = (None, {})
        self._shares: dict[str, tuple[int, int]] = {}
        """By route: the share that was seen last, and with which revision it came."""

    # -- looking ------------------------------------------------------------------------------------

    def facts(self, run: Run) -> Facts | None:
        if not self._live.started:
            return None
        position = self._position(run.route)
        if position is None:
            return Facts(0, "", "", 0, confirmed=True, fingerprint="")
        live = self._live
        route, entry = live.table.routes[position], live.state.routes[position]
        freeze = _freeze(live.orders, route)
        return Facts(
            entry.share,
            entry.order,
            self._because(entry),
            revision := self._revision_of_share(route.name, entry.share),
            confirmed=self._confirmed(revision),
            fingerprint=self.fingerprint(route),
            frozen="" if freeze is None else _told(freeze),
            frozen_itself=freeze is not None and freeze.scope.reach is Reach.ROUTE,
            window=self._open(run.plan.windows, run.plan.timezone),
            undone=self._undone(run.plan.after),
        )

    def fingerprint(self, route: Route) -> str:
        """Of a route of the table in force."""
        table = self._live.table
        if self._prints[0] is not table:
            self._prints = (table, {})
        known = self._prints[1]
        if route.name not in known:
            known[route.name] = fingerprint(route, plan_named(table.plans, route.rollout))
        return known[route.name]

    def _revision_of_share(self, route: str, share: int) -> int:
        known = self._shares.get(route)
        if known is None or known[0] != share:
            known = self._shares[route] = (share, self._changed_last(route))
        return known[1]

    def _changed_last(self, route: str) -> int:
        for revision in self._live.history(LOOKED_BACK):
            if any(change.name == route for change in revision.changes.routes):
                return revision.number
        return self._live.revision

    def _position(self, route: str) -> int | None:
        table = self._live.table
        if self._positions is None or self._positions[0] is not table:
            self._positions = (table, {each.name: number for number, each in enumerate(table.routes)})
        return self._positions[1].get(route)

    def _confirmed(self, revision: int) -> bool:
        """By every live worker: one that has died begins with what is in force, or is told before it says a word."""
        live = [worker for worker in self._live.workers() if worker.connected]
        return bool(live) and all(worker.revision >= revision for worker in live)

    def _open(self, windows: tuple[Window, ...], zone: str) -> bool:
        if not windows:
            return True
        day, minute = self._local(self._now(), zone)
        return any(day in each.days and each.begin <= minute < each.end for each in windows)

    def _undone(self, after: tuple[str, ...]) -> tuple[str, ...]:
        shares = self._live.state.routes
        positions = ((name, self._position(name)) for name in after)
        return tuple(name for name, position in positions if position is None or shares[position].share < PPM)

    def _because(self, entry: Effective) -> str:
        share = f"{write_percent(entry.share)} %"
        order = next((each for each in self._live.orders if each.id == entry.order), None)
        if order is not None:
            capped = "capped " if entry.cause is Cause.CAP and order.kind is not Kind.CAP else ""
            return f"{share}, {capped}{_told(order)}"
        return f"{share}, the cap of its group" if entry.cause is Cause.CAP else f"{share}, as declared in routes.yaml"

    # -- acting -------------------------------------------------------------------------------------

    async def order(self, command: Command) -> Ordered | Refused:
        scope = Scope(Reach.ROUTE, command.route)
        reason = _reason(command)
        if command.act is Act.ROLLBACK:
            answer = await self._live.rollback(scope, reason=reason, actor=ACTOR)
        elif self._moved_since(command):
            return Refused(command.id, "the share has changed meanwhile", 0.0)
        else:
            answer = await self._live.weight(scope, command.share, reason=reason, actor=ACTOR)
        if isinstance(answer, Refusal):
            return Refused(command.id, answer.detail, AGAIN.get(answer.code, USUAL_AGAIN))
        if command.act is Act.ROLLBACK:
            await self._lower_beneath(command, answer)
        return _ordered(command, answer)

    async def _lower_beneath(self, command: Command, rollback: Change) -> None:
        """Our own weight must not hold again, unjudged, once a person has resumed the rollback."""
        position = self._position(command.route)
        ours = [order for order in self._live.orders if order.kind is Kind.WEIGHT]
        if position is None or rollback.order is None or not ours:
            return
        route = self._live.table.routes[position]
        newest = max((order for order in ours if rules(order, route)), key=lambda order: order.number, default=None)
        if newest is not None and newest.actor == ACTOR and newest.share > command.share:
            reason = f"{rollback.order.id} ended its rollout: this is what holds once that is resumed"
            await self._live.weight(Scope(Reach.ROUTE, route.name), command.share, reason=reason, actor=ACTOR)

    def _moved_since(self, command: Command) -> bool:
        position = self._position(command.route)
        if not command.revision or position is None:
            return False
        share = self._live.state.routes[position].share
        return self._revision_of_share(command.route, share) != command.revision

    def done(self, command: Command) -> Ordered | None:
        mark = f"[{command.id}]"
        for revision in self._live.history(LOOKED_BACK):
            if revision.actor == ACTOR and revision.reason.endswith(mark):
                return Ordered(command.id, revision.changes.order, revision.number)
        return None

    async def freeze(self, reason: str) -> None:
        await self._live.give(Kind.FREEZE, Scope(Reach.ALL), reason=reason[:LONGEST], actor=ACTOR)


def _reason(command: Command) -> str:
    mark = f"[{command.id}]"
    text = command.reason.removesuffix(mark).strip()
    return f"{text[:LONGEST]} {mark}"


def _ordered(command: Command, change: Change) -> Ordered:
    return Ordered(command.id, change.order.id if change.order else "", change.revision)


def _freeze(orders: tuple[Order, ...], route: Route) -> Order | None:
    """The freeze that covers the route, the one that names it before any other."""
    found = [order for order in orders if order.kind is Kind.FREEZE and order.scope.covers(route)]
    return min(found, key=lambda order: order.scope.reach is not Reach.ROUTE, default=None)


def _told(order: Order) -> str:
    return f"{order.id} ({order.kind} {order.scope}) by {order.actor}: {order.reason}"


def fingerprint(route: Route, plan: Plan | None) -> str:
    """Tells a route, as it is declared with its plan, from any other; the weight and its line do not count."""
    said = {each.name: encode(getattr(route, each.name)) for each in fields(route)}
    said |= {"weight": 0, "line": 0, "plan": encode(plan)}
    return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=8).hexdigest()

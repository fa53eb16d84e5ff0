"""The judgement of all rollouts at once: (state, batch, settings) -> (state, verdicts).

Verdicts are given out when they change, narrowest scope first.  A rollback and a breaker are given out in whatever
phase the rollout is, for judgement knows of no phase.  A PROMOTE says only that evidence is enough; before acting on it
ask `current`, which also knows what holds the route's upstream, or everything.

The state is a value.  Kept (`rollout.core.keeping`) it goes on after a restart where it was, and `replay` makes it anew
from the log: the same batches give the same verdicts, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rollout.core import legacy as guard
from rollout.core import pool as pooled
from rollout.core.evidence import Batch, Evidence, Step, Tolerance, merge
from rollout.core.ledger import comparable
from rollout.core.legacy import Legacy
from rollout.core.opinion import alarming, opinion, passes, read
from rollout.core.pool import Pool
from rollout.core.records import batch_from
from rollout.core.settings import Settings
from rollout.core.verdict import Breadth, Kind, Scope, Verdict
from rollout.core.watch import Streak, Watch, absorb, begin

EVERYTHING = ""
"""The name of the pool of all routes."""

Verdicts = tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Everything that judgement remembers."""

    watches: Mapping[str, Watch] = field(default_factory=dict)
    """By route."""
    pools: Mapping[str, Pool] = field(default_factory=dict)
    """By new upstream; `EVERYTHING` for all."""
    legacy: Legacy = field(default_factory=Legacy)
    at: float = 0.0


def judge(state: State, batch: Batch, settings: Settings) -> tuple[State, Verdicts]:
    """One batch taken in.  A clock that has been set back stands still until it has caught up."""
    at, rows = max(state.at, batch.at), merge(batch.rows)
    watches = {route: watch for route, watch in state.watches.items() if route not in batch.ended}
    pools = dict(state.pools)
    for step in batch.steps:
        _begin(watches, pools, step, at, settings)
    legacy = guard.absorb(state.legacy, rows, at, settings)
    touched = dict.fromkeys(step.route for step in batch.steps)
    for row in rows:
        if row.epoch.route in watches:
            touched[row.epoch.route] = None
            _absorb(watches, pools, row, at, settings)
    verdicts = [
        *_routes(watches, pools, touched, at, settings),
        *_pools(pools, at, settings),
    ]
    legacy, trouble = _trouble(legacy, at, settings)
    return State(watches, pools, legacy, at), (*verdicts, *trouble)


def current(state: State, route: str, settings: Settings) -> Verdict | None:
    """The verdict that governs a route now, whatever its scope; None: no run of it is judged.

    An upstream or everything that is held holds the route; its own rollback comes before that of its upstream.
    """
    watch = state.watches.get(route)
    if watch is None:
        return None
    own = opinion(watch, read(watch), state.at, settings)
    if own.kind in {Kind.ROLLBACK, Kind.BREAKER}:
        return own
    wide = [pooled.assess(state.pools[name], state.at, settings)[1] for name in _names(watch.step, state.pools)]
    wide.append(guard.assess(state.legacy, state.at, settings))
    for kind in (Kind.ROLLBACK, Kind.HOLD):
        for verdict in (own, *wide):
            if verdict.kind is kind:
                return verdict
    return own


def replay(
    records: Iterable[Mapping[str, Any]],
    settings: Settings,
    amend: Callable[[Tolerance], Tolerance] = lambda tolerance: tolerance,
    state: State | None = None,
) -> Iterator[Verdict]:
    """The verdicts of a recorded log, batch by batch; `amend` puts other tolerances in the place of those recorded.

    Raises `rollout.core.records.BadRecord` at the first record that is none.
    """
    state = State() if state is None else state
    for record in records:
        batch = batch_from(record)
        steps = tuple(replace(step, tolerance=amend(step.tolerance)) for step in batch.steps)
        state, verdicts = judge(state, replace(batch, steps=steps), settings)
        yield from verdicts


# ------------------------------------------------------------------------------------------------------- its parts


def _names(step: Step, pools: Mapping[str, Pool]) -> list[str]:
    """The pools a route belongs to."""
    return [name for name in dict.fromkeys((step.upstream, EVERYTHING)) if name in pools]


def _begin(watches: dict[str, Watch], pools: dict[str, Pool], step: Step, at: float, settings: Settings) -> None:
    known = watches.get(step.route)
    watches[step.route] = begin(known, step, at, settings)
    for name in dict.fromkeys((step.upstream, EVERYTHING)):
        if name not in pools:
            scope = Scope(Breadth.UPSTREAM, name) if name else Scope(Breadth.ALL)
            pools[name] = pooled.fresh(scope, at, settings)
        elif pools[name].final is not None and (known is None or known.step.run != step.run):
            pools[name] = pooled.again(pools[name], at, settings)


def _absorb(watches: dict[str, Watch], pools: dict[str, Pool], row: Evidence, at: float, settings: Settings) -> None:
    before = watches[row.epoch.route]
    watches[row.epoch.route] = absorb(before, row, at, settings)
    if comparable(row) and watches[row.epoch.route] is not before:
        for name in _names(before.step, pools):
            pools[name] = pooled.absorb(pools[name], row, before.step.tolerance, before.ledger, at, settings)


def _routes(
    watches: dict[str, Watch], pools: dict[str, Pool], touched: Iterable[str], at: float, settings: Settings
) -> Iterator[Verdict]:
    """The routes' own changes.  Untouched ones can only have fallen silent."""
    for route in dict.fromkeys((*touched, *_silent(watches, at, settings))):
        watch, verdict = _assess(watches[route], at, settings)
        said = (verdict.kind.value, verdict.metric.value, verdict.standing.value)
        if said == watch.said:
            watches[route] = watch
            continue
        watches[route] = replace(watch, said=said)
        yield verdict
        if verdict.kind is Kind.ROLLBACK:
            for name in _names(watch.step, pools):
                pools[name] = pooled.again(pools[name], at, settings)


def _silent(watches: Mapping[str, Watch], at: float, settings: Settings) -> list[str]:
    return [route for route, watch in watches.items() if at > watch.seen + settings.stale]


def _assess(watch: Watch, at: float, settings: Settings) -> tuple[Watch, Verdict]:
    if watch.final is not None:
        return watch, watch.final
    readings = read(watch)
    watch = replace(watch, alarmed=alarming(watch, readings, settings), passed=passes(watch, readings, settings))
    verdict = opinion(watch, readings, at, settings)
    if verdict.kind is Kind.ROLLBACK:
        return replace(watch, final=verdict), verdict
    if verdict.kind is Kind.BREAKER:
        return replace(watch, streak=Streak()), verdict
    return watch, verdict


def _pools(pools: dict[str, Pool], at: float, settings: Settings) -> Iterator[Verdict]:
    for name in sorted(pools, reverse=True):
        pool, verdict = pooled.assess(pools[name], at, settings)
        said = (verdict.kind.value, verdict.standing.value)
        pools[name] = replace(pool, said=said)
        if said != pool.said:
            yield verdict


def _trouble(legacy: Legacy, at: float, settings: Settings) -> tuple[Legacy, Verdicts]:
    verdict = guard.assess(legacy, at, settings)
    troubled = verdict.kind is Kind.HOLD
    return replace(legacy, said=troubled), (verdict,) if troubled != legacy.said else ()

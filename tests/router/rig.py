"""An engine over doubles: everything that `router.live` speaks to, in memory, with a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from control.compiler import compiled
from control.stores.memory import Disk, MemoryStore
from router.blocks import Registry
from router.core.orders import Reach, Scope, effective
from router.core.wire import state_hash
from router.events import Event
from router.live import Change, Live, Refusal
from router.planes.pretend import MemoryFleet
from router.ports import Compiled, Problems

ALL = Scope(Reach.ALL)
WEIGHTS = {"a": 10.0, "b": 20.0, "g1": 30.0}
"""What an engine starts with unless a test says something else."""


def route(name: str) -> Scope:
    return Scope(Reach.ROUTE, name)


def group(name: str) -> Scope:
    return Scope(Reach.GROUP, name)


def yaml(weights: Mapping[str, float], *, extra: str = "") -> bytes:
    """A routes.yaml with these routes; those whose name begins with "g" are in the group `green`, capped at 40."""
    lines = [
        f"  - {{path: /{name}, name: {name}, new: new, weight: {weight:g}{', group: green' if name[0] == 'g' else ''}}}"
        for name, weight in weights.items()
    ]
    head = (
        "version: 1\nlegacy: old\ngroups: {green: {cap: 40}}\nupstreams:\n  old: {endpoints: [http://127.0.0.1:9001]}\n"
    )
    new = "  new: {sites: {north: [http://127.0.0.1:9101], south: [http://127.0.0.1:9201]}}\n"
    return (head + new + extra + "routes:" + ("\n" + "\n".join(lines) if lines else " []") + "\n").encode()


class StillClock:
    """Moves only when a test says so."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def elapsed(self) -> float:
        return self.time


class HereCompiler:
    """Compiles in this process; `hold` keeps results back until `go`."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.compiled = 0
        self._go = asyncio.Event()
        self._go.set()

    def hold(self) -> None:
        self._go.clear()

    def go(self) -> None:
        self._go.set()

    async def compile(self, data: bytes) -> Compiled | Problems:
        outcome, self.registry = compiled(data, "routes.yaml", {}, self.registry)
        self.compiled += 1
        await self._go.wait()
        return outcome


@dataclass
class SaidTraffic:
    """Traffic as the test says it is."""

    requests: dict[str, int] = field(default_factory=dict)

    def recent(self) -> Mapping[str, int]:
        return self.requests


class Rig:
    """An engine and its surroundings; `again` is what a restart of control finds."""

    def __init__(self, disk: Disk | None = None, fleet: MemoryFleet | None = None, patience: float = 0.02) -> None:
        self.store = MemoryStore(disk)
        self.fleet = fleet or MemoryFleet(2)
        self.compiler = HereCompiler()
        self.traffic = SaidTraffic()
        self.clock = StillClock()
        self.heard: list[Event] = []
        self.live = Live(
            store=self.store,
            fleet=self.fleet,
            compiler=self.compiler,
            clock=self.clock,
            traffic=self.traffic,
            patience=patience,
        )
        self.live.events.log = self.heard.append

    def again(self) -> Rig:
        return Rig(self.store.disk, self.fleet)

    async def started(self, **weights: float) -> Rig:
        assert await self.live.start(yaml(weights or WEIGHTS)) is None
        return self

    async def later(self, seconds: float) -> None:
        """The clock goes on, and the engine looks at it."""
        self.clock.time += seconds
        await self.live.expire()

    # -- short ways to say things -------------------------------------------------------------------

    async def load(self, data: bytes, *, insist: bool = False) -> Change | Refusal:
        return await self.live.load(data, actor="file", watched=True, allow_removal=insist)

    async def rollback(self, scope: Scope) -> Change | Refusal:
        return await self.live.rollback(scope, reason="too many errors", actor="sre")

    async def weight(self, scope: Scope, percent: float) -> Change | Refusal:
        return await self.live.weight(scope, int(percent * 10_000), reason="next step", actor="lead")

    async def resume(self, order: str, share: int | None = None) -> Change | Refusal:
        return await self.live.resume(order, reason="fixed", actor="sre", share=share)

    def shares(self) -> dict[str, float]:
        """In percent, by route."""
        pairs = zip(self.live.table.routes, self.live.state.routes, strict=True)
        return {each.name: entry.share / 10_000 for each, entry in pairs}

    def said(self, name: str) -> list[Mapping[str, object]]:
        return [event.fields for event in self.heard if event.name == name]

    def assert_all_agree(self) -> None:
        """Workers, engine and the computation from its own layers say the same."""
        live = self.live
        state = effective(live.table, live.orders)
        assert state == live.state
        compiled_now = live.in_force
        assert state_hash(compiled_now.digest, state) == live.digest
        for worker, up in zip(self.fleet.workers, self.fleet.up, strict=True):
            if up:
                assert (live.revision, live.digest) == (worker.revision, worker.digest)
                assert [entry.share for entry in state.routes] == worker.shares


def accepted(answer: Change | Refusal) -> Change:
    assert isinstance(answer, Change), answer
    return answer


def refused(answer: Change | Refusal) -> Refusal:
    assert isinstance(answer, Refusal), answer
    return answer

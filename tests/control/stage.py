"""A whole control side in memory: the real engine over doubles, with slot files in a folder, and no processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from control.compiler import compiled
from control.counters import CounterFiles, RecentTraffic
from control.rollouts.service import Rollouts, rollouts_of
from control.stores.memory import MemoryStore
from rollout.doubles import MemoryJournal
from router.blocks import Registry
from router.core.decide import Reason
from router.core.observed import UNOBSERVED, Observed
from router.judge import utc
from router.live import Live
from router.planes.embedded.counters import Counters
from router.ports import AuditEntry, Compiled, Compiler, Confirmation, Problems, Target, WorkerState
from router.telemetry import CODE_CLASSES, REASON_SLOTS, BusyBlock, RouteBlock

ROUTES = """\
version: 1
upstreams:
  monolith: {endpoints: [http://127.0.0.1:9001]}
  catalog:
    sites:
      k8s-pangyo: [http://127.0.0.1:9101]
      k8s-pyeongchon: [http://127.0.0.1:9201]
legacy: monolith
defaults: {subject: [header:X-User-Id, cookie:sid, client-ip]}
groups:
  catalog: {owner: team-catalog, new: catalog, cap: 80}
routes:
  - {path: "/v1/products/{productNo}", methods: [GET], group: catalog, weight: 25, name: product}
  - {path: /v1/products/search, methods: [GET, POST], group: catalog, weight: 5}
  - {path: "/v1/carts/{cartId}", methods: [PUT], new: catalog}
"""


class StageClock:
    """Time as the test wants it."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def elapsed(self) -> float:
        return self.time


class StageFleet:
    """Workers that take everything at once, but for those in `silent` and `gone`."""

    def __init__(self, workers: int = 2) -> None:
        self.silent: set[int] = set()
        self.gone: set[int] = set()
        self.observed = UNOBSERVED
        self._states = [WorkerState(number, 4000 + number, connected=True) for number in range(workers)]

    def observe(self, observed: Observed) -> None:
        self.observed = observed

    def aim(self, target: Target) -> None:
        for number, state in enumerate(self._states):
            if number not in self.silent | self.gone:
                self._states[number] = replace(state, revision=target.revision, hash=target.digest)

    async def confirmed(self, target: Target, patience: float) -> tuple[Confirmation, ...]:
        return tuple(map(self._word, self.states()))

    def _word(self, state: WorkerState) -> Confirmation:
        if state.id in self.silent | self.gone:
            return Confirmation(state.id, state.revision, None, "it has not answered")
        return Confirmation(state.id, state.revision, 1.25)

    def states(self) -> tuple[WorkerState, ...]:
        return tuple(replace(state, connected=state.id not in self.gone) for state in self._states)


class StageCompiler:
    """The compiler's child without the process."""

    def __init__(self) -> None:
        self.registry = Registry()

    async def compile(self, data: bytes) -> Compiled | Problems:
        outcome, self.registry = compiled(data, "routes.yaml", {}, self.registry)
        return outcome


@dataclass
class Stage:
    """Everything that a test may reach for."""

    folder: Path
    clock: StageClock = field(default_factory=StageClock)
    fleet: StageFleet = field(default_factory=StageFleet)
    store: MemoryStore = field(default_factory=MemoryStore)
    compiler: Compiler = field(default_factory=StageCompiler)
    trace: Callable[[AuditEntry], None] = lambda _: None
    look: Callable[[Compiled], None] = lambda _: None

    def __post_init__(self) -> None:
        self.files = CounterFiles(self.folder, lambda: self.live.blocks.busy)
        self.traffic = RecentTraffic(self.files, self.route_blocks, self.clock)
        self.live = Live(
            store=self.store,
            fleet=self.fleet,
            compiler=self.compiler,
            clock=self.clock,
            traffic=self.traffic,
            trace=self.trace,
            look=self.look,
        )

    def route_blocks(self) -> Mapping[str, int]:
        return self.live.blocks.routes

    async def start(self, text: str = ROUTES) -> None:
        assert await self.live.start(text.encode()) is None

    def rollouts(self) -> Rollouts:
        """With a journal in memory; their loop turns when somebody wants something of them."""
        return rollouts_of(self.live, self.files, MemoryJournal(), self.clock, self.traffic, utc)

    def worker(self, number: int = 0) -> Worker:
        return Worker(Counters(self.folder / f"worker-{number}.slots"), self)


@dataclass
class Worker:
    """A worker's counters, written by what the real worker writes them with."""

    counters: Counters
    stage: Stage

    def __post_init__(self) -> None:
        self.counters.grow(self.stage.live.blocks.slots)

    def count(self, route: str, *, side: int = 0, code: str = "2xx", reason: int = 0, times: int = 1) -> None:
        """So many exchanges of 1.5 ms each."""
        start, busy = self.stage.live.blocks.routes[route], self.busy(route, side=side)
        index = side * RouteBlock.SIDE_REQUESTS + CODE_CLASSES.index(code) * REASON_SLOTS + reason
        if code == "2xx" and reason == Reason.WEIGHT:
            busy[BusyBlock.USUAL] += times
        else:
            self.counters.slots[start + RouteBlock.REQUESTS + index] += times
        busy[BusyBlock.DURATIONS] += 1500 * times
        busy[BusyBlock.DURATIONS + 2] += times

    def busy(self, route: str, *, side: int = 0) -> memoryview:
        """What nearly every exchange of that side counts."""
        blocks = self.stage.live.blocks
        start = blocks.busy[blocks.routes[route]] + side * BusyBlock.SIDE
        return self.counters.slots[start : start + BusyBlock.SIDE]


def many_routes(count: int) -> str:
    """A routes.yaml with so many routes."""
    lines = [f"  - {{path: '/v1/things{number}/{{id}}', new: catalog, weight: 50}}" for number in range(count)]
    return ROUTES.split("routes:", maxsplit=1)[0] + "routes:\n" + "\n".join(lines) + "\n"

"""The control process: everything but traffic, in one event loop.

It owns the engine and what the engine needs: the store's thread, the compiler's process, the links to the workers,
the watcher of routes.yaml, the counters' samples and the admin address.  All tasks live in one group: when one of
them breaks, the process ends and its parent starts it anew, while the workers go on.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import uvloop
from aiohttp import web

from control import logs
from control.admission import check_admin, encryption
from control.adoption import Adoption
from control.api.access import Access
from control.api.app import make_app
from control.api.context import Context
from control.api.doorway import HEAD_SIZE, IDLE_SECONDS, Doorway
from control.auth.audit import Audit
from control.blocks import RegistryError
from control.channel import WorkerFleet
from control.closed import group_may_write
from control.compiler import ChildCompiler
from control.counters import CounterFiles, RecentTraffic
from control.held import HeldFile
from control.holding import hold_sites
from control.loopback import UnsafeAddressError
from control.metrics import Metrics
from control.notify import Notifier
from control.observer import Observer
from control.options import Options
from control.progress import Progress
from control.resolver import DnsLookup
from control.rollouts.service import Rollouts, rollouts_of
from control.series import Series
from control.shadowing import Shadowing
from control.stores.journal import SqliteJournal
from control.stores.progress import ProgressStore
from control.stores.sqlite import SqliteStore
from control.timekeeper import keep_time, local_time
from control.watcher import Sight, Watcher, look
from router.core.model import UNLISTED
from router.events import EventName, Events
from router.live import Live, Refusal
from router.ports import Compiled, StoreError

T = TypeVar("T")

EXIT_REFUSED: Final = 78
"""There is nothing to put in force, and trying again will not help (EX_CONFIG)."""
CLOSE_SECONDS: Final = 1.0
"""What answers at the admin address may still take when the process ends."""


class SystemClock:
    """The `Clock` of this machine."""

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.perf_counter()


@dataclass(frozen=True, slots=True)
class Parts:
    """The engine and what runs beside it."""

    live: Live
    fleet: WorkerFleet
    adoption: Adoption
    traffic: RecentTraffic
    metrics: Metrics
    checker: ChildCompiler
    """For files that are only asked about, so that they hold up no reload."""
    audit: Audit
    progress: Progress
    series: Series
    observer: Observer
    rollouts: Rollouts
    shadowing: Shadowing


@asynccontextmanager
async def parts(options: Options) -> AsyncIterator[Parts]:
    """Opened and closed in one place."""
    clock = SystemClock()
    events = Events(clock.now, logs.write)
    counters = options.state / "counters"
    store = SqliteStore(options.state / "strangler.db")
    compiler = ChildCompiler(
        counters / "blocks.json",
        filename=options.config.name,
        own=options.own,
        restarted=lambda why: events.tell(EventName.COMPILER_RESTARTED, why=why),
    )
    checker = ChildCompiler(None, filename=options.config.name, own=options.own)
    adoption = Adoption(options.state, events)
    fleet = WorkerFleet(options.state, options.workers, clock, events, adoption.heard)
    files = CounterFiles(counters, lambda: live.blocks.busy)
    blocks = _Kept(lambda: live, _blocks)
    traffic = RecentTraffic(files, blocks, clock)
    audit = Audit(options.state, clock.now, lambda why: events.tell(EventName.ACCESS_TROUBLE, why=why))
    held = HeldFile(options.state / "held.json")
    observer = Observer(lambda seen: live.observe(seen), files, clock, events, DnsLookup(), held=held)  # noqa: PLW0108  # comes later
    shadowing = Shadowing(options.state, events)
    live = Live(
        store=store,
        fleet=fleet,
        compiler=compiler,
        clock=clock,
        traffic=traffic,
        path=str(options.config),
        events=events,
        checker=checker,
        local=local_time,
        trace=audit.revision,
        look=lambda compiled: _follow(compiled, observer, shadowing),
    )
    memory = ProgressStore(options.state / "progress.db")
    progress = Progress(live, traffic.sums, clock, events, memory)
    series = Series(files, blocks, _Kept(lambda: live, _groups), clock)
    journal = SqliteJournal(options.state / "rollouts.db")
    rollouts = rollouts_of(
        live, files, journal, clock, traffic, local_time,
        compared=shadowing.evidence, failures=fleet.failures, watch=fleet.watch, tape=fleet.tape,
    )  # fmt: skip
    metrics = Metrics(
        live,
        files,
        progress=progress.look,
        rollouts=rollouts.newest,
        verdicts=rollouts.verdicts,
        seen=observer.seen,
        shadow=shadowing.totals,
    )
    try:
        await compiler.start()
        yield Parts(
            live, fleet, adoption, traffic, metrics, checker, audit, progress, series, observer, rollouts, shadowing
        )
    finally:
        await live.close()
        await compiler.close()
        await checker.close()
        await store.close()
        await memory.close()
        await journal.close()
        files.close()


def _follow(compiled: Compiled, observer: Observer, shadowing: Shadowing) -> None:
    """A table that is about to take force."""
    observer.follow(compiled.table, compiled.blocks.endpoints)
    shadowing.follow(compiled.table)


class _Kept(Generic[T]):
    """Something about every route in force, by its name; made anew only when another file takes force."""

    def __init__(self, live: Callable[[], Live], make: Callable[[Live], dict[str, T]]) -> None:
        self._live = live
        self._make = make
        self._of: Compiled | None = None
        self._found: dict[str, T] = {}

    def __call__(self) -> dict[str, T]:
        live = self._live()
        if self._of is not live.in_force:
            self._of, self._found = live.in_force, self._make(live)
        return self._found


def _blocks(live: Live) -> dict[str, int]:
    """What is unlisted included; blocks of routes that are no more are left out."""
    owned = live.blocks.routes
    return {UNLISTED: owned[UNLISTED]} | {route.name: owned[route.name] for route in live.table.routes}


def _groups(live: Live) -> dict[str, str]:
    return {route.name: route.group for route in live.table.routes}


async def control(options: Options, admin: socket.socket, ready: int) -> int:
    """Runs until SIGTERM; the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with parts(options) as made:
        sight = await asyncio.to_thread(look, options.config)
        refusal = await made.live.start(sight.data, sight.trouble, allow_removal=options.allow_removal)
        if refusal is not None:
            say_why(refusal)
            return EXIT_REFUSED
        await made.rollouts.take_up()
        gc.freeze()
        await _serve(options, made, sight, admin, ready, stop)
    return 0


async def _serve(
    options: Options, made: Parts, sight: Sight, admin: socket.socket, ready: int, stop: asyncio.Event
) -> None:
    live = made.live
    watcher = Watcher(options.config, lambda seen: _take(live, seen, options), known=sight)
    access = Access.of(options, live.events, audit=made.audit)
    if group_may_write(options.config):
        live.events.tell(EventName.ACCESS_TROUBLE, why=f"{options.config} can be written by its whole group")
    context = Context(live, made.traffic, made.metrics, made.checker, made.fleet.exchanges, made.progress, made.series)
    context.rollouts = made.rollouts
    context.shadowing = made.shadowing
    notifier = Notifier(live.events, lambda: live.table.notify, time.time)
    context.observer = made.observer
    context.close_breaker, context.left_at_places = made.fleet.close_breaker, made.fleet.left_at_places
    context.unlisted, context.access_log = made.fleet.unlisted, options.access_log
    app = make_app(context, live.events.tell, access)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=CLOSE_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        max_line_size=HEAD_SIZE,
        max_field_size=HEAD_SIZE,
    )
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # malformed requests are not our errors
    await runner.setup()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(made.fleet.run(), name="fleet"),
                group.create_task(made.adoption.run(live), name="adoption"),
                group.create_task(watcher.run(), name="watcher"),
                group.create_task(made.traffic.run(), name="traffic"),
                group.create_task(made.progress.run(), name="progress"),
                group.create_task(made.series.run(), name="series"),
                group.create_task(made.observer.run(), name="observer"),
                group.create_task(hold_sites(live, made.observer), name="hold-sites"),
                group.create_task(live.keep_saving(), name="keep-saving"),
                group.create_task(keep_time(live), name="keep-time"),
                group.create_task(made.rollouts.run(), name="rollouts"),
                group.create_task(made.shadowing.run(), name="shadowing"),
                group.create_task(notifier.run(), name="notify"),
            ]
            server = await _doorway(runner).open(admin, encryption(options))
            live.events.tell(EventName.STARTED, pid=os.getpid(), revision=live.revision, admin=options.admin)
            os.write(ready, b"ready\n")
            await stop.wait()
            server.close()
            await runner.cleanup()
            for task in tasks:
                task.cancel()
    finally:
        await runner.cleanup()
        live.events.tell(EventName.STOPPED, pid=os.getpid())


def _doorway(runner: web.AppRunner) -> Doorway:
    if runner.server is None:
        raise RuntimeError("the application has not been set up")
    return Doorway(runner.server)


async def _take(live: Live, sight: Sight, options: Options) -> bool:
    """What the watcher saw, to the engine; False: it shall be told again."""
    if sight.data is None:
        live.missing(sight.trouble)
        return True
    answer = await live.load(sight.data, actor="file", watched=True, allow_removal=options.allow_removal)
    gc.freeze()  # a table is tens of thousands of objects that hold no cycles
    return not (isinstance(answer, Refusal) and answer.code == "storage")


def be_quick() -> None:
    """Keeps the event loop turning while a large table is taken over: a rollback may come at any moment.

    For 1,500 routes, looking for garbage stops everything for 20 to 70 ms, and a thread that compares two tables
    keeps the loop waiting 5 ms at each of its turns; with these settings no stop is longer than 20 ms.
    """
    gc.set_threshold(50_000, 50, 1000)
    sys.setswitchinterval(0.001)


def say_why(refusal: Refusal) -> None:
    """All problems, one a line."""
    for line in refusal.problems or (refusal.detail,):
        print(line, file=sys.stderr)


def main(arguments: list[str]) -> int:
    """`python -m control.main OPTIONS ADMIN_FD READY_FD`, started by the parent only."""
    options = Options.from_json(arguments[0])
    admin, ready = socket.socket(fileno=int(arguments[1])), int(arguments[2])
    logs.configure(options.log_format)
    be_quick()
    try:
        check_admin(options)
        return uvloop.run(control(options, admin, ready))
    except (RegistryError, StoreError, UnsafeAddressError) as error:
        print(f"strangler: {error}", file=sys.stderr)
        return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

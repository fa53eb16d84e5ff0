"""A routes.yaml of 1,500 routes, rewritten all the time under load: does anybody notice, and when is it in force?

What is measured is not CPU but failed requests, latency, and the time from each write to its confirmation.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import load
from bench.admin import PATIENCE, POLL, Admin, until
from bench.load import Load
from bench.peers.base import Peer, Plan, Running, new_plan, started
from bench.peers.strangler import config
from bench.processes import BenchError
from bench.report import Section, latencies
from bench.sides import both_sides
from bench.templates import requests, templates

_ROUTES = 1500
_EVERY = 0.2


def measured(peer: Peer, seconds: float, workers: int, root: Path) -> Section:
    rows = reloads(peer, seconds, workers, root)
    note = (
        f"{_ROUTES:,} routes, {workers} workers; routes.yaml is replaced every {_EVERY * 1000:.0f} ms, by rename and "
        "by plain write in turn, with another weight for every route. Confirmed: all workers report the revision in "
        "/api/v1/status."
    )
    return Section("Reload under load", ("figure", "value"), rows, [note])


@dataclass(frozen=True, slots=True)
class Write:
    """The `number`th routes.yaml was in place at `at` (monotonic seconds)."""

    number: int
    at: float


def reloads(peer: Peer, seconds: float, workers: int, root: Path) -> list[tuple[str, str]]:
    routes = templates(_ROUTES)
    with contextlib.ExitStack() as stack:
        upstreams = stack.enter_context(both_sides(root))
        plan = new_plan(peer, root, upstreams, routes, workers)
        proxy = stack.enter_context(started(peer, plan))
        wanted = Load(load.write(requests(routes, 60_000), root / "reload.requests"), 64)
        until(Admin(plan.admin).settled, "all workers have the first revision")  # connections wait for those that start
        calm = load.run(wanted, plan.port, seconds)
        with load.background(wanted, plan.port, seconds + PATIENCE) as traffic:
            writes, seen = _rewrite(proxy, seconds)
            busy = traffic.finish()
    return [*latencies("without reloads", calm), *latencies("with reloads", busy), *_confirmations(writes, seen)]


def _rewrite(proxy: Running, seconds: float) -> tuple[list[Write], list[Write]]:
    """Writes, and what was seen confirmed when, until the last one is."""
    admin = Admin(proxy.plan.admin)
    writes: list[Write] = []
    seen: list[Write] = []
    last = max(1, int(seconds / _EVERY))
    begin = time.monotonic()
    while len(writes) < last or not seen or seen[-1].number < last:
        if len(writes) < last and time.monotonic() >= begin + len(writes) * _EVERY:
            writes.append(_write(proxy.plan, len(writes) + 1))
        seen.extend(one for one in _confirmed(admin) if one.number <= len(writes))  # not the weight before the first
        if time.monotonic() > begin + seconds + PATIENCE:
            raise BenchError(f"of {last} reloads, {seen[-1].number if seen else 'none'} was the last confirmed")
        time.sleep(POLL)
    return writes, seen


def _write(plan: Plan, number: int) -> Write:
    """Route r0 carries the number of the write as its weight, in hundredths of a percent."""
    text = config(plan, number * 7 % 101).replace(f"weight: {number * 7 % 101:g}\n", f"weight: {number / 100:g}\n", 1)
    target = plan.directory / "routes.yaml"
    if number % 2:
        fresh = plan.directory / "routes.yaml.new"
        fresh.write_text(text)
        fresh.rename(target)
    else:
        target.write_text(text)
    return Write(number, time.monotonic())


def _confirmed(admin: Admin) -> Iterator[Write]:
    """The write whose weights were in force, and then the current revision was found on all workers."""
    number = round(admin.call("GET", "/api/v1/routes/r0")["declared"] * 100)
    if admin.settled():
        yield Write(number, time.monotonic())


def _confirmations(writes: Sequence[Write], seen: Sequence[Write]) -> list[tuple[str, str]]:
    took = waits(writes, seen)
    own = {one.number for one in seen}
    return [
        ("files written", str(len(writes))),
        ("of them seen in force by themselves (the others were overtaken)", str(sum(w.number in own for w in writes))),
        ("write to confirmed, it or a later one: median", f"{median(took) * 1000:.0f} ms"),
        ("write to confirmed: slowest", f"{max(took) * 1000:.0f} ms"),
    ]


def waits(writes: Sequence[Write], seen: Sequence[Write]) -> list[float]:
    """Seconds from each write until it, or a later one, was seen confirmed."""
    return [
        min((one.at for one in seen if one.number >= write.number), default=math.inf) - write.at for write in writes
    ]

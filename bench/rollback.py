"""Rollbacks under load: of one route, of a group, of everything.

What is measured is not CPU but the time from the command to its answer, and to the last request that was still started
on the side that had been rolled back, as the upstream logged it.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import load
from bench.admin import PATIENCE, Admin, until
from bench.load import Load
from bench.peers.base import Peer, Plan, Upstreams, new_plan, started
from bench.peers.strangler import config
from bench.processes import BenchError
from bench.report import Section, latencies
from bench.sides import both_sides
from bench.templates import Request, Template, requests, templates

_ROUTES = 1500
_GROUPS = 10
_WATCHED_AFTER = 0.3
"""Seconds for which requests on the wrong side are still looked for after a rollback was answered."""


def measured(peer: Peer, trials: int, workers: int, root: Path) -> Section:
    rows = rollbacks(peer, trials, workers, root)
    note = (
        f"{_ROUTES:,} routes in {_GROUPS} groups, all at weight 100, {workers} workers, {trials} trials each. Times "
        "run from just before the command is sent; starts of requests are logged by the upstream."
    )
    return Section("Rollback under load", ("figure", "value"), rows, [note])


@dataclass(frozen=True, slots=True)
class Scope:
    """What is rolled back at once, and the paths that this concerns."""

    name: str
    order: dict[str, Any]
    paths: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Start:
    """A request that an upstream saw begin, in nanoseconds of the machine's monotonic clock."""

    side: str
    at: int
    path: bytes


@dataclass(frozen=True, slots=True)
class Trial:
    """One rollback; milliseconds since before the command was sent."""

    answered: float
    confirmed: bool
    last_new: float
    legacy_after: int
    """Requests of the scope that legacy got after the answer: the proof that there was traffic to move."""


def rollbacks(peer: Peer, trials: int, workers: int, root: Path) -> list[tuple[str, str]]:
    routes = templates(_ROUTES)
    scopes, mix = scopes_and_load(routes)
    results: dict[str, list[Trial]] = {scope.name: [] for scope in scopes}
    with contextlib.ExitStack() as stack:
        upstreams = stack.enter_context(both_sides(root, logging=True))
        plan = new_plan(peer, root, upstreams, routes, workers)
        stack.enter_context(_grouped(peer, plan))
        admin, log = Admin(plan.admin), Starts(upstreams)
        wanted = Load(load.write(mix, root / "rollback.requests"), 16)
        until(admin.settled, "all workers have the first revision")  # connections wait for those that start
        traffic = stack.enter_context(load.background(wanted, plan.port, trials * len(scopes) * PATIENCE))
        for _ in range(trials):
            for scope in scopes:
                results[scope.name].append(_trial(scope, admin, log))
        outcome = traffic.finish()
    return [row for name, some in results.items() for row in summary(name, some)] + latencies("traffic", outcome)


def scopes_and_load(routes: tuple[Template, ...]) -> tuple[list[Scope], list[Request]]:
    """A third of the requests to route r0, a third to its group, a third to all others."""
    each = requests(routes, 60_000)
    of_group = requests(routes[::_GROUPS], 6_000)
    of_one = [Request(routes[0].fill(f"x{number:09x}"), f"user-{number}") for number in range(1000)]
    scopes = [
        Scope("one route", {"route": "r0"}, _paths(of_one)),
        Scope("a group", {"group": "g0"}, _paths([*of_one, *of_group])),
        Scope("all 1,500", {"all": True}, _paths([*of_one, *of_group, *each])),
    ]
    chance = random.Random(2)
    return scopes, [request for _ in range(20_000) for request in map(chance.choice, (of_one, of_group, each))]


def _paths(some: Sequence[Request]) -> frozenset[bytes]:
    return frozenset(request.path.encode() for request in some)


@contextlib.contextmanager
def _grouped(peer: Peer, plan: Plan) -> Iterator[None]:
    """The peer, with routes in groups and all of them on the new side."""

    class Grouped:
        """The same program with another file."""

        name, splits = peer.name, peer.splits
        command, version, arguments, environment = peer.command, peer.version, peer.arguments, peer.environment

        def files(self, plan: Plan) -> dict[str, str]:
            return {"routes.yaml": config(plan, 100, _GROUPS)}

    with started(Grouped(), plan):
        yield


class Starts:
    """The upstreams' log of requests begun (see `bench.upstream`)."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", upstreams.legacy, timeout=30)

    def take(self) -> list[Start]:
        self._connection.request("GET", "/-/log")
        lines = self._connection.getresponse().read().splitlines()
        return [Start(side.decode(), int(at), path) for side, at, path in (line.split(b" ", 2) for line in lines)]


def _trial(scope: Scope, admin: Admin, log: Starts) -> Trial:
    until(lambda: _reaches_new(scope, log), f"{scope.name} is answered by the new side before its rollback")
    sent = time.monotonic_ns()
    answer = admin.call("POST", "/api/v1/rollbacks", {"scope": scope.order, "reason": "bench"})
    answered = time.monotonic_ns()
    time.sleep(_WATCHED_AFTER)
    trial = judged(scope, sent, answered, bool(answer["confirmed"]), log.take())
    admin.call("DELETE", f"/api/v1/orders/{answer['order']['id']}", {"reason": "bench"})
    return trial


def _reaches_new(scope: Scope, log: Starts) -> bool:
    return any(start.side == "new" and start.path in scope.paths for start in log.take())


def judged(scope: Scope, sent: int, answered: int, confirmed: bool, starts: Sequence[Start]) -> Trial:
    of_scope = [start for start in starts if start.path in scope.paths]
    last = max((start.at for start in of_scope if start.side == "new"), default=sent)
    after = sum(start.side == "legacy" and start.at > answered for start in of_scope)
    return Trial((answered - sent) / 1e6, confirmed, max(0.0, (last - sent) / 1e6), after)


def summary(name: str, trials: Sequence[Trial]) -> list[tuple[str, str]]:
    if not all(trial.legacy_after for trial in trials):
        raise BenchError(f"no traffic of {name} reached legacy after a rollback: nothing was measured")
    answered, last = [trial.answered for trial in trials], [trial.last_new for trial in trials]
    return [
        (f"{name}: confirmed by all workers", f"{sum(trial.confirmed for trial in trials)} of {len(trials)}"),
        (f"{name}: answer, median / slowest", f"{median(answered):.1f} / {max(answered):.1f} ms"),
        (f"{name}: last request started on new, median / latest", f"{median(last):.1f} / {max(last):.1f} ms"),
    ]

"""Peers take turns under one load; what each turn cost is written down, nothing is judged here."""

from __future__ import annotations

import contextlib
import http.client
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.load import Load, Outcome
from bench.peers.base import Peer, new_plan, started
from bench.processes import BenchError, cpu_seconds
from bench.scenarios import Scenario
from bench.sides import SIDE_HEADER, both_sides
from bench.templates import Request

_ASKED = 200
"""How many requests are tried by hand before a proxy is measured."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One peer, one round."""

    cpu_us: float
    """CPU time of all the proxy's processes per request, in microseconds."""
    outcome: Outcome

    @property
    def rate(self) -> float:
        return self.outcome.requests / self.outcome.seconds


def rounds(
    scenarios: Sequence[Scenario], peers: Sequence[Peer], number: int, seconds: float, root: Path
) -> dict[tuple[str, str], list[Turn]]:
    """Turns by (scenario, peer): every round measures every peer in every scenario once."""
    turns: dict[tuple[str, str], list[Turn]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        upstreams = stack.enter_context(both_sides(root))
        places = [
            (scenario, prepared(scenario, root), stack.enter_context(started(peer, plan)))
            for scenario in scenarios
            for peer in peers
            for plan in (new_plan(peer, root / scenario.name, upstreams, scenario.routes()),)
        ]
        for (scenario, wanted, proxy), peer in zip(places, [*peers] * len(scenarios), strict=True):
            check(scenario, peer, proxy.plan.port)
            turn(proxy.pid, proxy.plan.port, wanted, 1)
        for current in range(number):
            for scenario, wanted, proxy in places:
                took = turn(proxy.pid, proxy.plan.port, wanted, seconds)
                turns[scenario.name, proxy.name].append(took)
                say(f"{scenario.name} {current + 1}/{number} {proxy.name}: {summary(took)}")
    return dict(turns)


def turn(pid: int, port: int, wanted: Load, seconds: float) -> Turn:
    before = cpu_seconds(pid)
    outcome = load.run(wanted, port, seconds)
    used = cpu_seconds(pid) - before
    return Turn(used * 1e6 / max(1, outcome.requests), outcome)


def prepared(scenario: Scenario, root: Path) -> Load:
    file = load.write(scenario.load(), root / f"{scenario.name}.requests")
    return Load(file, scenario.connections, scenario.keepalive, scenario.body)


def summary(took: Turn) -> str:
    outcome = took.outcome
    latency = f"p50 {outcome.p50:.2f} ms, p99 {outcome.p99:.2f} ms"
    return f"{took.cpu_us:.1f} µs/request, {took.rate:.0f} req/s, {latency}, {outcome.failed} failed"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# --------------------------------------------------------------------------------- does it do what it shall do?


def check(scenario: Scenario, peer: Peer, port: int) -> None:
    """Every answer is 200; with a split, about half are the new side's and a user stays where he was."""
    some = scenario.load()[:_ASKED]
    sides = answered(port, some)
    if None in sides:
        raise BenchError(f"{peer.name} does not answer {some[sides.index(None)].path} with 200 in {scenario.name}")
    if not (scenario.templates and peer.splits):
        return
    share = sides.count("new") / len(sides)
    if not 0.3 < share < 0.7:
        raise BenchError(f"{peer.name} sends {share:.0%} to the new side in {scenario.name}, not half")
    if answered(port, some) != sides:
        raise BenchError(f"{peer.name} does not keep a user on one side in {scenario.name}")


def answered(port: int, some: Sequence[Request]) -> list[str | None]:
    """The side that answered each request; None where the answer was not 200."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        return [_side(connection, request) for request in some]


def _side(connection: http.client.HTTPConnection, request: Request) -> str | None:
    connection.request(request.method, request.path, headers={"X-User-Id": request.user})
    answer = connection.getresponse()
    answer.read()
    return answer.headers.get(SIDE_HEADER, "unknown") if answer.status == 200 else None

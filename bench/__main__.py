"""The command line: `python -m bench` measures everything; options choose less of it.

For work on the data plane there is a short loop: `--serve` runs two upstreams and writes a routes.yaml for them, until
Ctrl-C; `--attach PORT --pid PID` measures a router that was started by hand on that file.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Never

from bench import race, reload, report, rollback
from bench.measure import Turn, prepared, rounds, say, summary, turn
from bench.peers.base import Peer, Plan
from bench.peers.caddy import Caddy
from bench.peers.envoy import Envoy
from bench.peers.floor import Floor
from bench.peers.haproxy import Haproxy
from bench.peers.nginx import Nginx
from bench.peers.strangler import NAME, Strangler, config
from bench.processes import BenchError, alive
from bench.scenarios import FAMILIES, Scenario, named, names
from bench.sides import both_sides

PEERS: tuple[Peer, ...] = (Strangler(), Nginx(), Haproxy(), Envoy(), Caddy(), Floor())
SCENARIOS = (*names(), "reload", "rollback", "race")

_ROUNDS = 5
_ROUNDS_OF_SIZES = 15
"""Where sizes are compared, a few per cent are the result: less than what neighbours do to a single round."""

_NOTES = {
    "caddy": "caddy has no weighted sticky split: its map finds the route, and a header hash that is the same for all "
    "routes picks one of two upstreams.",
    "nginx": "nginx: literal templates are exact locations, the others regex locations with PCRE's JIT; one "
    "split_clients per template.",
    "haproxy": "haproxy: a map of literals, then a map of patterns; its pattern cache has its default size.",
    "envoy": "envoy: one route per template, exact path or safe_regex, weighted clusters with use_hash_policy.",
    "floor": "floor: relays bytes to one upstream and knows no templates.",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    scenarios: tuple[str, ...]
    peers: tuple[str, ...]
    rounds: int
    """0: as many as a scenario needs."""
    seconds: float
    attach: int
    pid: int
    serve: bool
    save: bool


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        with tempfile.TemporaryDirectory(prefix="strangler-bench-") as directory:
            root = Path(directory)
            root.chmod(0o755)  # nginx's worker is another user when we are root
            _work(options, root)
    except BenchError as trouble:
        say(f"bench: {trouble}")
        return 1
    except KeyboardInterrupt:
        say("bench: stopped")
        return 130
    return 0


def parse(arguments: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the router next to its peers.")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="may be repeated; default: all")
    parser.add_argument("--peer", action="append", choices=[peer.name for peer in PEERS], help="default: all found")
    parser.add_argument(
        "--rounds", type=int, default=0, help=f"default: {_ROUNDS}; {_ROUNDS_OF_SIZES} where table sizes are compared"
    )
    parser.add_argument("--seconds", type=float, default=4, help="per peer and round; whole seconds for wrk")
    parser.add_argument("--attach", type=int, metavar="PORT", default=0, help="measure a process that runs already")
    parser.add_argument("--pid", type=int, default=0, help="with --attach: the root of its processes")
    parser.add_argument("--serve", action="store_true", help="run the two upstreams for --attach, until Ctrl-C")
    parser.add_argument("--no-save", action="store_true", help="leave bench/RESULTS.md as it is")
    given = parser.parse_args(arguments)
    if (given.attach or given.serve) and len(given.scenario or ()) != 1:
        parser.error("--attach and --serve need exactly one --scenario")
    if given.attach and not alive(given.pid):
        parser.error("--attach needs the --pid of a process that runs")
    return Options(
        tuple(given.scenario or SCENARIOS),
        tuple(given.peer or (peer.name for peer in PEERS)),
        given.rounds,
        given.seconds,
        given.attach,
        given.pid,
        given.serve,
        not given.no_save,
    )


def _work(options: Options, root: Path) -> None:
    if options.serve:
        _serve(named(options.scenarios[0])[0], root)
    elif options.attach:
        _attach(options, named(options.scenarios[0])[0], root)
    else:
        for name in options.scenarios:
            _compare(options, name, root / "run" / name)


def _stop(*_: object) -> Never:
    raise KeyboardInterrupt


# ----------------------------------------------------------------------------------------------- comparisons


def _compare(options: Options, name: str, root: Path) -> None:
    root.mkdir(parents=True)
    if not options.rounds:
        options = replace(options, rounds=_ROUNDS_OF_SIZES if name in FAMILIES else _ROUNDS)
    conditions = _conditions(options)
    section = _live(options, name, root) if name in {"reload", "rollback", "race"} else _section(options, name, root)
    print(f"\n{section.title}\n{report.table(section)}\n")
    if options.save:
        report.save(name, section, conditions, SCENARIOS)


def _live(options: Options, name: str, root: Path) -> report.Section:
    ours, workers = Strangler(), min(2, os.cpu_count() or 1)
    if ours.command() is None:
        return report.Section(f"{name.capitalize()} under load", ("figure", "value"), [(NAME, "not found")])
    if name == "race":
        return race.measured(ours, workers, root)
    if name == "reload":
        return reload.measured(ours, options.rounds * options.seconds, workers, root)
    return rollback.measured(ours, 4 * options.rounds, workers, root)


def _section(options: Options, name: str, root: Path) -> report.Section:
    scenarios = named(name)
    wanted = [peer for peer in PEERS if peer.name in options.peers]
    if any(scenario.ours_only for scenario in scenarios):
        wanted = [peer for peer in wanted if peer.name == NAME]
    found = [peer for peer in wanted if peer.command()]
    turns = rounds(scenarios, found, options.rounds, options.seconds, root) if found else {}
    if len(scenarios) > 1:
        return _sizes(name, scenarios, turns)
    (scenario,) = scenarios
    versions = {peer.name: peer.version() if peer.command() else "not found" for peer in wanted}
    notes = [_NOTES[peer.name] for peer in found if peer.name in _NOTES] if scenario.templates else []
    return report.comparison(
        scenario.title, {peer.name: turns[name, peer.name] for peer in found}, versions, NAME, notes
    )


def _sizes(name: str, scenarios: Sequence[Scenario], turns: dict[tuple[str, str], list[Turn]]) -> report.Section:
    """The rows are table sizes of one proxy; the ratio is each size's cost over the smallest one's."""
    by_title = {scenario.title: turns.get((scenario.name, NAME), []) for scenario in scenarios}
    versions = {scenario.title: Strangler().version() for scenario in scenarios}
    section = report.comparison(f"{name.replace('-', ' ')} templates", by_title, versions, scenarios[-1].title)
    columns = ["table", *section.columns[1:-1], "largest ÷ it"]
    note = "The small table is as deep, as long and of the same kinds of segments as the large one, on average."
    return report.Section(section.title, columns, section.rows, [*section.notes, note])


def _conditions(options: Options) -> str:
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return f"{today}, {options.rounds} rounds of {options.seconds:g} s, {report.machine()}."


# ------------------------------------------------------------------------------------- one process, quickly


def _attach(options: Options, scenario: Scenario, root: Path) -> None:
    wanted = prepared(scenario, root)
    for _ in range(options.rounds or _ROUNDS):
        print(summary(turn(options.pid, options.attach, wanted, options.seconds)), flush=True)


def _serve(scenario: Scenario, root: Path) -> None:
    with both_sides(root) as upstreams:
        file = root / "routes.yaml"
        file.write_text(config(Plan(root, 0, upstreams, scenario.routes())))
        print(f"legacy 127.0.0.1:{upstreams.legacy}\nnew    127.0.0.1:{upstreams.new}\nroutes {file}", flush=True)
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())

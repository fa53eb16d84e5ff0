"""Control is killed between any two steps and at any instant, while 200 changes go on: what was said stays true.

Real workers, a real store, and a control that dies by SIGKILL at a step that chance has chosen (`mortal.py`) or at the
instant that this test chooses.  The seed of a failing run is in its message.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from control.emergency import tell
from control.options import Options
from control.stores.sqlite import SqliteStore
from router.core.hold import Hold
from router.core.orders import Reach, Scope, effective
from router.ports import AuditEntry, Revision, Saved
from router.sources.yaml_file import load_table
from tests.journeys.rig import ROOT
from tests.journeys.traffic import until

CHANGES = 200
WORKERS = 2
NAMES = [f"r{number}" for number in range(8)]
SEED = int(os.environ.get("STRANGLER_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


def routes(weight: float) -> bytes:
    """`file` is the route that only edits of the file change."""
    lines = [f"  - {{path: /{name}, name: {name}, weight: 50, group: shop}}" for name in NAMES]
    lines.append(f"  - {{path: /file, name: file, weight: {weight:g}}}")
    head = "version: 1\nlegacy: old\ngroups: {shop: {}}\ndefaults: {subject: [client-ip], new: new}\nupstreams:\n"
    ends = "  old: {endpoints: [http://127.0.0.1:9]}\n  new: {endpoints: [http://127.0.0.1:9]}\nroutes:\n"
    return (head + ends + "\n".join(lines) + "\n").encode()


class Mortals:
    """Two workers that live, and one control after the other."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.config = folder / "routes.yaml"
        self.stop_file = folder / "stop"
        self.pids: list[int] = []
        self.killed = 0
        for name in ("workers", "counters"):
            (self.state / name).mkdir(parents=True)
        self.config.write_bytes(routes(10))
        self._sockets = [socket.create_server(("127.0.0.1", 0), backlog=128) for _ in range(WORKERS + 1)]
        self.port = self._sockets[-1].getsockname()[1]
        self._errors = (folder / "stderr").open("wb")
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        for number, listener in enumerate(self._sockets[:-1]):
            command = ["-m", "router.planes.embedded", "--worker", str(number), "--fd", str(listener.fileno())]
            self._child([*command, "--state", str(self.state)], [listener.fileno()])
        _, ready = os.pipe()
        admin = self._sockets[-1].fileno()
        options = Options(self.config, "127.0.0.1:0", f"127.0.0.1:{self.port}", WORKERS, self.state, log_format="json")
        command = [str(ROOT / "tests/journeys/mortal.py"), str(SEED), str(self.stop_file), options.to_json()]
        self._mortal = self._child([*command, str(admin), str(ready)], [admin, ready])
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _child(self, command: list[str], descriptors: list[int]) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, pass_fds=descriptors,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        self._children.append(child)
        return child

    def _read(self) -> None:
        assert self._mortal.stdout is not None
        for line in self._mortal.stdout:
            self.pids.append(int(line))

    def kill(self) -> None:
        """The control of this instant, if there is one."""
        try:
            os.kill(self.pids[-1], signal.SIGKILL)
            self.killed += 1
        except (IndexError, ProcessLookupError):
            pass

    def end(self) -> None:
        for child in reversed(self._children):
            child.kill()
            child.wait()
            if child.stdout is not None and child is not self._mortal:
                child.stdout.close()
        self._reader.join()
        assert self._mortal.stdout is not None
        self._mortal.stdout.close()
        for each in self._sockets:
            each.close()
        self._errors.close()

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any] | None:
        """None: control died over it, and nobody knows what became of it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def read(self, path: str) -> Any:
        """From whichever control lives long enough to answer."""
        found: list[Any] = []

        def answered() -> bool:
            answer = self.ask("GET", path)
            if answer is not None and answer[0] == 200:
                found.append(answer[1])
            return bool(found)

        until(answered, 30)
        return found[0]


@pytest.fixture
def mortals(tmp_path: Path) -> Iterator[Mortals]:
    made = Mortals(tmp_path)
    made.start()
    try:
        yield made
    finally:
        made.end()


class Campaign:
    """The changes, and which of them were acknowledged."""

    def __init__(self, mortals: Mortals, chance: random.Random) -> None:
        self._mortals = mortals
        self._chance = chance
        self.said: dict[str, tuple[int, str]] = {}
        """By reason: revision, and the order's id, of each change that was acknowledged and new."""
        self.held: set[str] = set()
        """The reasons of what the workers were told past control."""
        self.unknown = 0
        self.reloads = 0

    def run(self) -> None:
        for number in range(CHANGES):
            if self._chance.random() < 0.2:
                threading.Timer(self._chance.uniform(0, 0.05), self._mortals.kill).start()
            if number % 20 == 4:
                self._hold(number)
            elif number % 10 == 9:
                self._reload(self._chance.randrange(0, 100))
            else:
                self._order(f"change {number}")

    def _order(self, reason: str) -> None:
        what = self._chance.choice(("weight", "weight", "weights", "rollback", "rollback", "resume", "resume"))
        name = self._chance.choice(NAMES)
        weight = self._chance.randrange(0, 101)
        match what:
            case "weight":
                answer = self._mortals.ask("PUT", f"/api/v1/routes/{name}/weight", {"weight": weight, "reason": reason})
            case "weights":
                body = {"scope": {"group": "shop"}, "weight": weight, "reason": reason}
                answer = self._mortals.ask("POST", "/api/v1/weights", body)
            case "rollback":
                scope = self._chance.choice(({"route": name}, {"route": "r[0-3]"}, {"group": "shop"}, {"all": True}))
                answer = self._mortals.ask("POST", "/api/v1/rollbacks", {"scope": scope, "reason": reason})
            case _:
                orders = self._mortals.read("/api/v1/orders")["orders"]
                order = self._chance.choice(orders)["id"] if orders else "R-0"
                answer = self._mortals.ask("DELETE", f"/api/v1/orders/{order}", {"reason": reason})
        if answer is None:
            self.unknown += 1
        elif answer[0] == 200:
            if not answer[1]["already"]:
                self.said[reason] = (answer[1]["revision"], answer[1]["order"]["id"])
        else:
            assert answer[0] in {404, 409}, answer  # a resume of what an unknown change had lifted

    def _hold(self, number: int) -> None:
        """Past control, whether there is one or not: both workers hold, under a scope that nobody else uses."""
        scope = Scope(Reach.ROUTE, self._chance.choice(NAMES) + "*" * (number + 1))
        hold = Hold(f"E-{number:04}", scope, f"change {number}", "kim", time.time())
        assert all(word.ms is not None for word in tell(self._mortals.state, hold)), SEED
        self.held.add(hold.reason)

    def _reload(self, weight: int) -> None:
        beside = self._mortals.config.with_suffix(".new")
        beside.write_bytes(routes(weight))
        beside.replace(self._mortals.config)
        until(lambda: weight == self._mortals.read("/api/v1/routes/file")["declared"], 30)
        self.reloads += 1


def stored(state: Path) -> tuple[Saved, tuple[Revision, ...], tuple[AuditEntry, ...]]:
    """What the store says, read by itself."""

    async def read() -> tuple[Saved, tuple[Revision, ...], tuple[AuditEntry, ...]]:
        store = SqliteStore(state / "strangler.db")
        try:
            return await store.load(), await store.history(10_000), await store.audit(10_000)
        finally:
            await store.close()

    return asyncio.run(read())


def assert_a_chain(revisions: list[Revision]) -> dict[str, int | None]:
    """Each revision begins where the one before it ended: none is missing in between, none was half applied."""
    shares: dict[str, int | None] = {}
    for revision in revisions:
        for change in revision.changes.routes:
            assert shares.get(change.name) == change.before, (SEED, revision)
            shares[change.name] = change.after
    return shares


def test_nothing_acknowledged_is_lost_and_nothing_is_half_applied(
    mortals: Mortals, figure: Callable[[str, str], None]
) -> None:
    """200 changes over many deaths: history, audit, orders, shares and workers tell one story, and it has them all."""
    began = time.monotonic()
    campaign = Campaign(mortals, random.Random(SEED))
    campaign.run()
    mortals.stop_file.touch()
    mortals.kill()
    until(lambda: not list((mortals.state / "holds").glob("E-*")), 30)
    until(lambda: WORKERS == mortals.read("/readyz")["workers"]["confirmed"], 30)
    in_force = {route["name"]: route["effective"] for route in mortals.read("/api/v1/routes")["routes"]}
    now = mortals.read("/readyz")["revision"]

    saved, revisions, audit = stored(mortals.state)
    by_reason = {revision.reason: revision for revision in revisions if revision.reason}
    for reason, (number, order) in campaign.said.items():
        assert reason in by_reason, (SEED, reason, number)
        found = by_reason[reason]
        assert (number, order) == (found.number, found.changes.order), (SEED, reason)
    assert campaign.held == {one.reason for one in revisions if one.source == "emergency"}, SEED
    numbers = sorted(revision.number for revision in revisions)
    assert len(numbers) == len(set(numbers))
    assert numbers[-1] == now, SEED
    assert Counter(numbers) == Counter(entry.revision for entry in audit if entry.revision in set(numbers)), SEED
    reasons = [entry.reason for entry in audit if entry.reason.startswith("change ")]
    assert len(reasons) == len(set(reasons)), SEED

    shares = assert_a_chain(sorted(revisions, key=lambda revision: revision.number))
    loaded = load_table(mortals.config.read_bytes(), "routes.yaml", {})
    table = getattr(loaded, "table", None)
    assert table is not None, loaded
    state = effective(table, saved.orders)
    computed = {route.name: entry.share for route, entry in zip(table.routes, state.routes, strict=True)}
    assert computed == shares, SEED
    assert computed == {name: round(percent * 10_000) for name, percent in in_force.items()}, SEED

    took = time.monotonic() - began
    deaths = len(mortals.pids) - 1
    assert deaths >= 20, (SEED, deaths)
    assert len(campaign.said) >= 50, (SEED, campaign.said)
    figure(
        "kill -9 of control at random instants during 200 changes",
        f"{deaths} deaths; {len(campaign.said)} acknowledged, {campaign.unknown} unknown, {campaign.reloads} reloads, "
        f"{len(campaign.held)} past control: "
        f"nothing lost, nothing half applied; {took:.0f} s",
    )

"""A worker that routes nothing: the double of a data plane, and a fleet of such workers in memory.

It keeps the promises of the channel and of the listening socket, which is all that control and the parent can see:
it takes snapshot lines, computes the hash from what it was sent, confirms or refuses, and answers every request with
a line that says which process it is and which revision it runs.

    python -m router.planes.pretend --worker N --fd FD --state DIR
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from router.core.hold import Hold, hold_of, kept, laid_over, left, message_of
from router.core.model import Route
from router.core.observed import UNOBSERVED, Observed
from router.core.wire import (
    MAX_LINE,
    content_hash,
    encode,
    health_line,
    observed_from_message,
    route_from_row,
    structure_digest,
)
from router.ports import Confirmation, Target, WorkerState


@dataclass
class PretendWorker:
    """What a worker knows; lines go in, answers come out."""

    number: int
    pid: int = 0
    revision: int = 0
    digest: str = ""
    shares: list[int] = field(default_factory=list)
    causes: list[int] = field(default_factory=list)
    held_sites: list[str] = field(default_factory=list)
    drained_sites: list[str] = field(default_factory=list)
    off_sites: list[str] = field(default_factory=list)
    holds: tuple[Hold, ...] = ()
    observed: Observed = UNOBSERVED
    _base: tuple[list[int], list[int], list[str]] = ([], [], [])
    """Shares, causes and held sites as they were sent, without what is held here."""
    _routes: list[Route] = field(default_factory=list)
    _structure: str = ""
    _lines: list[bytes] = field(default_factory=list)
    _state: dict[str, Any] = field(default_factory=dict)

    def hello(self) -> dict[str, Any]:
        said = {"op": "hello", "worker": self.number, "pid": self.pid, "revision": self.revision, "hash": self.digest}
        return said | ({"holds": [message_of(hold) for hold in self.holds]} if self.holds else {})

    def take(self, line: bytes) -> dict[str, Any] | None:
        """The answer to one line, if it calls for one."""
        message = json.loads(line)
        match message["op"]:
            case "ping":
                return {"op": "pong"}
            case "status":
                return {**self.hello(), "op": "status", "connections": 0, "in_flight": 0, "tunnels": 0}
            case "hold":
                return self._hold(hold_of(message))
            case "failures" | "tape" as op:
                return {"op": op, "id": message.get("id"), "found": [], "dropped": 0, "more": False}
            case "unlisted":
                return {"op": "unlisted", "found": [], "more": 0}
            case "recent":
                return {"op": "recent", "id": message["id"], "found": []}
            case "health":
                self.observed = observed_from_message(message)
                return {"op": "health", "ok": True}
            case "breaker":
                return {"op": "breaker", "ok": True, "route": message["route"]}
            case "begin":
                self._lines, self._state = [], {}
            case "settings" | "routes":
                self._lines.append(line)
            case "state":
                self._state = message
            case "commit":
                structure = structure_digest(self._lines)
                state = self._state
                rows = [row for each in self._lines for row in json.loads(each).get("rows", ())]
                self._routes = [route_from_row(row)[0] for row in rows]
                return self._adopt(message, structure, state["shares"], state["causes"], state)
            case "delta":
                return self._take_delta(message)
        return None

    def _take_delta(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["base"] != self.revision or not self._structure:
            return {"op": "refused", "revision": message["revision"], "why": "base"}
        shares, causes = list(self._base[0]), list(self._base[1])
        for index, share, cause in message["changes"]:
            shares[index], causes[index] = share, cause
        return self._adopt(message, self._structure, shares, causes, message)

    def _adopt(
        self, message: dict[str, Any], structure: str, shares: list[int], causes: list[int], sites: dict[str, Any]
    ) -> dict[str, Any]:
        held, drained, off = sites["held_sites"], sites["drained_sites"], sites["off_sites"]
        if content_hash(structure, shares, causes, held, drained, off) != message["hash"]:
            return {"op": "refused", "revision": message["revision"], "why": "hash"}
        self._structure, self._base = structure, (shares, causes, held)
        self.drained_sites, self.off_sites = drained, off
        self.revision, self.holds = message["revision"], left(self.holds, message.get("adopted", ()))
        self._lay_over()
        return {"op": "confirmed", "revision": self.revision, "hash": self.digest, "ms": 0.0}

    def _hold(self, hold: Hold) -> dict[str, Any]:
        after = kept(self.holds, hold)
        self.holds = after.holds
        self._lay_over()
        answer = {"op": "held", "id": after.hold.id, "revision": self.revision, "hash": self.digest, "ms": 0.0}
        return {**answer, "already": after.already, "written": False}

    def _lay_over(self) -> None:
        shares, causes, sites = self._base
        held = laid_over(self._routes, shares, bytes(causes), sites, self.holds)
        self.shares, self.causes, self.held_sites = held.shares, list(held.causes), sorted(held.held_sites)
        at_sites = (self.held_sites, self.drained_sites, self.off_sites)
        self.digest = content_hash(self._structure, self.shares, self.causes, *at_sites)


class MemoryFleet:
    """A `Fleet` of pretended workers in this process.  A test stops and starts them, or lets one hang."""

    def __init__(self, workers: int) -> None:
        self.workers = [PretendWorker(number, 1000 + number) for number in range(workers)]
        self.up = [True] * workers
        self.hanging = [False] * workers
        self.target: Target | None = None
        self.aimed: list[Target] = []
        """Every target there ever was."""
        self.observed: Observed | None = None
        self._heard = asyncio.Event()

    def stop(self, number: int) -> None:
        """The worker dies, and with it what it knew."""
        self.up[number] = False
        self.workers[number] = PretendWorker(number, 2000 + number)

    def start(self, number: int) -> None:
        """It runs (again) and is brought to the target."""
        self.up[number], self.hanging[number] = True, False
        self._tell(number)
        self._bring(number)

    def hang(self, number: int) -> None:
        """It stays connected, but takes nothing until `start`."""
        self.hanging[number] = True

    def aim(self, target: Target) -> None:
        self.target = target
        self.aimed.append(target)
        for number in range(len(self.workers)):
            self._bring(number)

    def observe(self, observed: Observed) -> None:
        self.observed = observed
        for number in range(len(self.workers)):
            self._tell(number)

    def _tell(self, number: int) -> None:
        if self.observed is not None and self.up[number] and not self.hanging[number]:
            self.workers[number].take(health_line(self.observed))

    async def confirmed(self, target: Target, patience: float) -> tuple[Confirmation, ...]:
        try:
            async with asyncio.timeout(patience):
                while any(self._answer(number, target).ms is None for number in range(len(self.workers))):
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            pass
        return tuple(self._answer(number, target) for number in range(len(self.workers)))

    def states(self) -> tuple[WorkerState, ...]:
        return tuple(
            WorkerState(worker.number, worker.pid, worker.revision, worker.digest, connected=up)
            for worker, up in zip(self.workers, self.up, strict=True)
        )

    def _bring(self, number: int) -> None:
        worker, target = self.workers[number], self.target
        if target is None or not self.up[number] or self.hanging[number]:
            return
        taken = worker.take(target.delta) if target.delta else None
        if taken is None or taken["op"] == "refused":
            for line in target.snapshot.splitlines(keepends=True):
                worker.take(line)
        self._heard.set()

    def _answer(self, number: int, target: Target) -> Confirmation:
        worker = self.workers[number]
        if not self.up[number]:
            return Confirmation(number, worker.revision, None, "not connected")
        latest = self.target
        runs = (worker.revision, worker.digest)
        passed = latest is not None and target.revision < latest.revision and runs == (latest.revision, latest.digest)
        if runs == (target.revision, target.digest) or passed:
            return Confirmation(number, worker.revision, 0.0)
        return Confirmation(number, worker.revision, None, "it has not answered")


# --------------------------------------------------------------------------------------------- the process


async def serve(worker: PretendWorker, listener: socket.socket | None, path: str, stopped: asyncio.Event) -> None:
    """Serves the channel, and requests if there is a socket for them, until it is stopped."""
    conversations: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def channel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations[writer] = asyncio.current_task()
        writer.write(encode(worker.hello()))
        try:
            while line := await reader.readline():
                if (answer := worker.take(line)) is not None:
                    writer.write(encode(answer))
        except ConnectionError:
            pass
        finally:
            del conversations[writer]
            writer.close()

    async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            body = encode({"pid": worker.pid, "revision": worker.revision})
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    servers = [await asyncio.start_unix_server(channel, path, limit=MAX_LINE)]
    if listener is not None:
        servers.append(await asyncio.start_server(request, sock=listener))
    await stopped.wait()
    for server in servers:
        server.close()
    talking = [task for task in conversations.values() if task is not None]
    for writer in tuple(conversations):
        writer.close()
    if talking:
        await asyncio.wait(talking)


def take_file(worker: PretendWorker, path: Path) -> None:
    """Begins with the last snapshot, if there is one."""
    if path.exists():
        for line in path.read_bytes().splitlines(keepends=True):
            worker.take(line)


async def _main(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    worker = PretendWorker(arguments.worker, os.getpid())
    take_file(worker, arguments.state / "snapshot.ndjson")
    path = arguments.state / "workers" / f"{arguments.worker}.sock"
    path.unlink(missing_ok=True)
    await serve(worker, socket.socket(fileno=arguments.fd), str(path), stopped)


def main() -> int:
    parser = argparse.ArgumentParser()
    options: dict[str, Callable[[str], Any]] = {
        "--worker": int, "--fd": int, "--state": Path, "--drain": float, "--access-log": str,
        "--census": int,
    }  # fmt: skip
    for name, kind in options.items():
        parser.add_argument(name, type=kind)
    asyncio.run(_main(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

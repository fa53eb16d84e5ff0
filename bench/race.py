"""The race against a GSLB: how long until nobody is served by the side that was rolled back?

Forty clients that keep their connection and forty that make a new one for each request, each of them a user of its own
at a constant pace; 30 % of them are on the new side.  Behind the router that side is rolled back with one order; behind
gdnsd its weight is set to 0 in the configuration, which is replaced, and every client has a resolver of its own that
caches for the 30 seconds which the record allows, as the resolvers of forty busy networks do.

Both servers and all clients live in this process and share one clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import dns.asyncquery
import dns.message

from bench.admin import Admin, until
from bench.peers.base import Peer
from bench.ports import free_port
from bench.processes import BenchError, running, wait_for_port
from bench.report import Section

_CLIENTS: Final = 40
"""Of each kind."""
_PACE: Final = 0.2
"""Seconds between two requests of a client."""
_SHARE: Final = 30
_TTL: Final = 30
_LEGACY, _NEW = "127.0.0.1", "127.0.0.2"
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Servers:
    """Both sides on one port of two addresses; they note when a request began, and whose it was."""

    port: int
    starts: list[tuple[float, str, str]] = field(default_factory=list)
    """(seconds of the monotonic clock, address, client)."""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        servers = [await asyncio.start_server(self._handler(side), side, self.port) for side in (_LEGACY, _NEW)]
        try:
            yield
        finally:
            for server in servers:
                server.close()

    def _handler(self, side: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    began = time.monotonic()
                    client = head.lower().partition(b"x-user-id: ")[2].partition(b"\r\n")[0]
                    self.starts.append((began, side, client.decode()))
                    writer.write(_ANSWER)
            writer.close()

        return handle

    def on_new(self, since: float, clients: Sequence[Client]) -> dict[str, float]:
        """When each client last began a request on the new side after a moment; those that did not are missing."""
        names = {client.name for client in clients}
        return {name: at for at, side, name in self.starts if side == _NEW and at > since and name in names}


Resolve = Callable[[], Awaitable[tuple[str, int]]]
"""Where to connect to, asked for each connection."""


@dataclass
class Client:
    """One user with one request after the other."""

    name: str
    keep_alive: bool
    resolve: Resolve
    requests: int = 0
    failed: int = 0

    async def run(self) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while True:
            await asyncio.sleep(_PACE * random.uniform(0.9, 1.1))
            try:
                streams = streams or await asyncio.open_connection(*await self.resolve())
                await self._ask(*streams)
            except (OSError, asyncio.IncompleteReadError):
                self.failed += 1
                streams = None
            if streams is not None and not self.keep_alive:
                streams[1].close()
                streams = None

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"GET /things/1 HTTP/1.1\r\nHost: shop\r\nX-User-Id: {self.name}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        self.requests += 1
        self.failed += not head.startswith(b"HTTP/1.1 200")


def measured(peer: Peer, workers: int, root: Path) -> Section:
    rows = asyncio.run(_router(peer, workers, root))
    what = f"{_CLIENTS} keep-alive and {_CLIENTS} new-connection clients, {_SHARE} % on the new side"
    notes = [
        f"{what}, a request of each every {_PACE:g} s. Times run from just before the command.",
        "The router is so much quicker because it sits in the way of each request; the price is a hop.",
    ]
    if shutil.which("gdnsd"):
        rows += asyncio.run(_gslb())
    else:
        rows.append(("gdnsd", "not found"))
    return Section("The GSLB race: rolling back everything", ("figure", "value"), rows, notes)


@contextlib.asynccontextmanager
async def _clients(resolver: Callable[[], Resolve]) -> AsyncIterator[tuple[list[Client], list[Client]]]:
    """Those that keep their connection, and those that do not, at work."""
    kept, fresh = (
        [Client(f"{kind}-{number}", kind == "kept", resolver()) for number in range(_CLIENTS)]
        for kind in ("kept", "fresh")
    )
    tasks = [asyncio.create_task(client.run()) for client in (*kept, *fresh)]
    try:
        yield kept, fresh
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _router(peer: Peer, workers: int, root: Path) -> list[tuple[str, str]]:
    command = peer.command()
    if command is None:
        raise BenchError("strangler is not installed")
    servers, port, admin_port = Servers(free_port()), free_port(), free_port()
    room = root / "race"
    room.mkdir(parents=True)
    (room / "routes.yaml").write_text(
        f"version: 1\nupstreams:\n  old: {{endpoints: ['http://{_LEGACY}:{servers.port}']}}\n"
        f"  new: {{endpoints: ['http://{_NEW}:{servers.port}']}}\nlegacy: old\n"
        f"defaults: {{new: new, subject: [header:X-User-Id]}}\n"
        f"routes: [{{path: '/things/{{id}}', name: things, weight: {_SHARE}}}]\n"
    )
    arguments = [*command, "run", "--config", str(room / "routes.yaml"), "--listen", f"127.0.0.1:{port}"]
    arguments += ["--admin", f"127.0.0.1:{admin_port}", "--workers", str(workers), "--state", str(room / "state")]

    async def there() -> tuple[str, int]:
        return "127.0.0.1", port

    with running(arguments, room / "log") as pid:
        wait_for_port(admin_port, pid, room / "log")
        admin = Admin(admin_port)
        await asyncio.to_thread(until, admin.settled, "all workers have the table")
        async with servers.serving(), _clients(lambda: there) as (kept, fresh):
            await _until_busy(kept, fresh)
            before = time.monotonic()
            answer = await asyncio.to_thread(
                admin.call, "POST", "/api/v1/rollbacks", {"scope": {"all": True}, "reason": "race"}
            )
            answered = time.monotonic() - before
            await asyncio.sleep(3)
            kinds = (("keep-alive", kept), ("new-connection", fresh))
            late = {kind: servers.on_new(before, some) for kind, some in kinds}
            failed = sum(client.failed for client in (*kept, *fresh))
            total = sum(client.requests for client in (*kept, *fresh))
    if not answer["confirmed"]:
        raise BenchError(f"the rollback was not confirmed: {answer}")
    rows = [(f"strangler: answered, confirmed by {workers} workers", f"{answered * 1000:.0f} ms")]
    for kind, found in late.items():
        last = max((at - before for at in found.values()), default=0.0)
        rows.append((f"strangler: last start on new, {kind} clients", f"{last * 1000:.0f} ms"))
    return [*rows, ("strangler: failed requests", f"{failed} of {total}")]


async def _until_busy(kept: Sequence[Client], fresh: Sequence[Client]) -> None:
    """Every client has asked a few times."""
    deadline = time.monotonic() + 30
    while any(client.requests < 3 for client in (*kept, *fresh)):
        if time.monotonic() > deadline:
            raise BenchError("the clients do not get going")
        await asyncio.sleep(0.1)


# ------------------------------------------------------------------------------------------------- the GSLB


class Cache:
    """A client's own caching resolver in front of gdnsd."""

    def __init__(self, dns_port: int, port: int) -> None:
        self._dns_port = dns_port
        self._port = port
        self._address = ""
        self._until = 0.0

    async def __call__(self) -> tuple[str, int]:
        now = time.monotonic()
        if now >= self._until:
            question = dns.message.make_query("www.shop.example", "A")
            answer = await dns.asyncquery.udp(question, "127.0.0.1", port=self._dns_port, timeout=5)
            record = answer.answer[0]
            # Nobody's cache began when ours did: the first time to live is any part of a whole one.
            ttl = record.ttl if self._until else random.uniform(0, record.ttl)
            self._address, self._until = record[0].to_text(), now + ttl
        return self._address, self._port


async def _gslb() -> list[tuple[str, str]]:
    servers, dns_port = Servers(free_port()), free_port()
    with _gdnsd(dns_port) as reweigh:
        async with servers.serving(), _clients(lambda: Cache(dns_port, servers.port)) as (kept, fresh):
            await _until_busy(kept, fresh)
            moment = time.monotonic() - 2
            stuck = set(servers.on_new(moment, kept))
            before = time.monotonic()
            await asyncio.to_thread(reweigh, 0)
            await asyncio.sleep(_TTL + 5)
            late = sorted(at - before for at in servers.on_new(before, fresh).values())
            still = stuck & set(servers.on_new(time.monotonic() - 2, kept))
    if not late:
        return [("gdnsd: last start on new", "no client was there")]
    return [
        (
            f"gdnsd, TTL {_TTL}: last start on new, new-connection clients",
            f"median {median(late):.1f} s, most {late[-1]:.1f} s ({len(late)} clients were or came there)",
        ),
        (
            f"gdnsd, TTL {_TTL}: keep-alive clients still on new after {_TTL + 5} s",
            f"{len(still)} of the {len(stuck)} that were there",
        ),
    ]


@contextlib.contextmanager
def _gdnsd(port: int) -> Iterator[Callable[[int], None]]:
    """gdnsd with the two sides by weight; what is yielded changes the new side's."""
    with tempfile.TemporaryDirectory(prefix="race-") as directory:
        room = Path(directory)
        for name in ("run", "state", "etc/zones"):
            (room / name).mkdir(parents=True)
        (room / "etc/zones/shop.example").write_text(
            "@ SOA ns1 admin 1 7200 1800 259200 900\n@ NS ns1\nns1 A 127.0.0.1\n" + f"www {_TTL} DYNA weighted!shop\n"
        )
        _configure(room, port, _SHARE)
        command = ["gdnsd", "-c", str(room / "etc"), "start"]
        control = ["gdnsdctl", "-c", str(room / "etc")]
        with (room / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)

            def reweigh(share: int) -> None:
                _configure(room, port, share)
                subprocess.run([*control, "replace"], stdout=log, stderr=log, check=True, timeout=30)

            try:
                yield reweigh
            finally:  # its successor is no child of ours, and is asked to stop
                subprocess.run([*control, "stop"], stdout=log, stderr=log, check=False, timeout=30)
                process.terminate()
                process.wait(10)


def _configure(room: Path, port: int, share: int) -> None:
    new = f", new => [ {_NEW}, {share} ]" if share else ""
    (room / "etc/config").write_text(
        f"options => {{ listen => [ 127.0.0.1:{port} ], run_dir => {room}/run, state_dir => {room}/state }}\n"
        f"plugins => {{ weighted => {{ service_types => up,\n"
        f"    shop => {{ legacy => [ {_LEGACY}, {100 - share} ]{new} }} }} }}\n"
    )

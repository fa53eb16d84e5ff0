"""What users notice of a shadow: the same requests at a constant pace, in turns to a route that is copied whole and
compared, and to one that is not.

    .venv/bin/python -m bench.shadow [--seconds 60] [--rate 100] [--workers 1]

Legacy answers with 5 KB of JSON after ten milliseconds, new a little later and with one difference.  The turns change
every second, so that whatever else the machine does hits both alike.  Requests are sent when they are due, whether or
not earlier ones have been answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.compare import document
from bench.ports import free_port
from bench.processes import running, wait_for_port

THINKING: Final = {"legacy": 0.010, "new": 0.015}
"""Seconds that a side takes; not the same, since both run on this machine and would wake up over each other."""
ITEMS: Final = 31
TURN: Final = 1.0
ROUTES: Final = """\
version: 1
upstreams:
  legacy: {{endpoints: [http://127.0.0.1:{legacy}]}}
  new: {{endpoints: [http://127.0.0.1:{new}]}}
legacy: legacy
routes:
  - {{path: "/copied/{{id}}", name: copied, new: new, shadow: {{percent: 100, compare: true}}}}
  - {{path: "/plain/{{id}}", name: plain, new: new}}
"""


class Upstream(asyncio.Protocol):
    """Answers every head after a while."""

    def __init__(self, answer: bytes, thinking: float) -> None:
        self._answer = answer
        self._thinking = thinking
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            self._loop.call_later(self._thinking, self._transport.write, self._answer)  # type: ignore[attr-defined]


async def serve(port: int, side: str) -> None:
    body = document(ITEMS) | ({"side": side} if side == "new" else {})
    raw = json.dumps(body, sort_keys=side == "new").encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(raw)
    thinking = THINKING[side]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(head + raw, thinking), "127.0.0.1", port)
    await server.serve_forever()


class Client(asyncio.Protocol):
    """One connection that asks one thing at a time."""

    def __init__(self) -> None:
        self._heard = b""
        self._answered: asyncio.Future[bool] | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self.closed = True
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(False)

    async def ask(self, path: str) -> bool:
        """Was it answered well?"""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(b"GET %b HTTP/1.1\r\nHost: bench\r\n\r\n" % path.encode())  # type: ignore[attr-defined]
        return await self._answered

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, end, body = self._heard.partition(b"\r\n\r\n")
        if not end or self._answered is None:
            return
        if len(body) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            self._heard = b""
            self._answered.set_result(head.startswith(b"HTTP/1.1 200 "))


async def measure(port: int, seconds: float, rate: float) -> tuple[dict[str, list[float]], int]:
    """Times of answers by route, and how many were bad."""
    loop = asyncio.get_running_loop()
    idle: list[Client] = []
    times: dict[str, list[float]] = {"copied": [], "plain": []}
    bad = 0

    async def one(route: str, number: int) -> None:
        nonlocal bad
        while idle and idle[-1].closed:  # the router closes what idles for long
            idle.pop()
        client = idle.pop() if idle else (await loop.create_connection(Client, "127.0.0.1", port))[1]
        began = loop.time()
        bad += not await client.ask(f"/{route}/{number}")
        times[route].append(loop.time() - began)
        idle.append(client)

    began = loop.time()
    tasks = []
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        route = "copied" if int((loop.time() - began) / TURN) % 2 else "plain"
        tasks.append(loop.create_task(one(route, number)))
    await asyncio.gather(*tasks)
    return times, bad


@contextmanager
def router(room: Path, workers: int) -> Iterator[int]:
    """A router with its two upstreams; the port where clients come."""
    ports = {name: free_port() for name in ("legacy", "new", "listen", "admin")}
    config = room / "routes.yaml"
    config.write_text(ROUTES.format(**ports))
    this = [sys.executable, "-m", "bench.shadow", "--serve"]
    command = [sys.executable, "-m", "control", "run", "--config", str(config), "--state", str(room / "state")]
    command += ["--listen", f"127.0.0.1:{ports['listen']}", "--admin", f"127.0.0.1:{ports['admin']}"]
    with (
        running([*this, f"{ports['legacy']}:legacy"], room / "legacy.log") as legacy,
        running([*this, f"{ports['new']}:new"], room / "new.log") as new,
        running([*command, "--workers", str(workers)], room / "router.log") as pid,
    ):
        for name, process in (("legacy", legacy), ("new", new)):
            wait_for_port(ports[name], process, room / f"{name}.log")
        wait_for_port(ports["admin"], pid, room / "router.log")
        yield ports["listen"]


def percentile(times: list[float], part: float) -> float:
    """In milliseconds."""
    return sorted(times)[int(len(times) * part)] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--serve", metavar="PORT:SIDE", help="be one of the upstreams")
    options = parser.parse_args()
    if options.serve:
        port, _, side = options.serve.partition(":")
        asyncio.run(serve(int(port), side))
        return
    with tempfile.TemporaryDirectory(prefix="strangler-bench-") as room, router(Path(room), options.workers) as port:
        asyncio.run(measure(port, 6.0, options.rate))
        times, bad = asyncio.run(measure(port, options.seconds, options.rate))
    for part in (0.5, 0.9, 0.99):
        plain, copied = percentile(times["plain"], part), percentile(times["copied"], part)
        added = 100 * (copied / plain - 1)
        print(f"p{part * 100:g}  plain {plain:7.2f} ms  copied and compared {copied:7.2f} ms  added {added:+.1f} %")
    print(f"{sum(map(len, times.values()))} requests, {bad} answered badly")


if __name__ == "__main__":
    main()

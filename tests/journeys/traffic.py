"""Users who never pause, and the two services behind the router that they reach.

Each request is remembered with when it began and ended and what became of it, so that a test can say which of them
may have failed and which must not.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Self

from tests.journeys.serving import served


@dataclass(frozen=True)
class Sent:
    """One request."""

    began: float
    ended: float
    status: int
    """0: the connection broke."""
    side: str = ""
    path: str = ""


class Gate:
    """Requests to /held wait here until the test lets them go."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.open = threading.Event()


class Service(BaseHTTPRequestHandler):
    """Answers everything with 200."""

    gate: Gate

    def do_GET(self) -> None:
        if self.path == "/held":
            self.gate.arrived.set()
            self.gate.open.wait(60)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


@contextmanager
def services(gate: Gate) -> Iterator[dict[str, int]]:
    """The ports of `legacy` and `new`."""
    handler = type("Gated", (Service,), {"gate": gate})
    with served(handler, handler) as (legacy, new):
        try:
            yield {"legacy": legacy, "new": new}
        finally:
            gate.open.set()


@dataclass
class Users:
    """Several at once, each with one request after the other, from entering to leaving the block."""

    port: int
    paths: tuple[str, ...]
    count: int = 4
    keep_alive: bool = True
    sent: list[Sent] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """No further requests; those under way go on."""
        self._stop.set()

    def failed(self) -> list[Sent]:
        return [one for one in tuple(self.sent) if one.status != 200]

    def since(self, moment: float) -> list[Sent]:
        """Those that began after the moment."""
        return [one for one in tuple(self.sent) if one.began > moment]

    def wait_for(self, count: int, moment: float = 0.0) -> None:
        """Until so many have been answered that began after the moment."""
        until(lambda: sum(one.status == 200 for one in self.since(moment)) >= count)

    def _run(self, user: int) -> None:
        connection: http.client.HTTPConnection | None = None
        number = 0
        while not self._stop.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            path = self.paths[number % len(self.paths)]
            one = _one(connection, path, f"u-{user}-{number % 100}", self.keep_alive)
            self.sent.append(one)
            number += 1
            if one.status == 0 or not self.keep_alive:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


def _one(connection: http.client.HTTPConnection, path: str, user: str, keep_alive: bool) -> Sent:
    began = time.monotonic()
    headers = {"X-User-Id": user} | ({} if keep_alive else {"Connection": "close"})
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return Sent(began, time.monotonic(), answer.status, answer.headers.get("X-Strangler-Side", ""), path)
    except (OSError, http.client.HTTPException):
        return Sent(began, time.monotonic(), 0, path=path)


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        threading.Event().wait(0.01)

"""Both sides in one process of their own, quick, and with a stamp of the clock for each request that begins."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from bench.ports import free_port
from tests.journeys.rig import ROOT
from tests.journeys.traffic import until


@contextmanager
def upstreams() -> Iterator[dict[str, int]]:
    """The ports of `legacy` and `new`."""
    ports = {"legacy": free_port(), "new": free_port()}
    command = [sys.executable, "-m", "bench.upstream", *(f"{side}:{port}" for side, port in ports.items())]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        until(lambda: all(answers(port) for port in ports.values()))
        yield ports
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/-/log")
            return connection.getresponse().read() is not None
        except OSError:
            return False


class Starts:
    """What the upstream has stamped since the last look: (side, seconds of the monotonic clock, path)."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def close(self) -> None:
        self._connection.close()

    def take(self) -> list[tuple[str, float, str]]:
        self._connection.request("GET", "/-/log")
        lines = self._connection.getresponse().read().decode().splitlines()
        return [(side, int(at) / 1e9, path) for side, at, path in (line.split(" ", 2) for line in lines)]

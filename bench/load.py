"""The load: wrk with a script that sends a prepared list of requests, and what it counted."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.processes import BenchError
from bench.templates import Request

_SCRIPT = Path(__file__).with_name("load.lua")
_MARK = "bench-result "


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk shall send."""

    file: Path
    connections: int
    keepalive: bool = True
    body: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What wrk counted.  Latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    slowest: float
    failed: int
    """Answers other than 2xx and 3xx, and socket errors."""


def write(requests: list[Request], file: Path) -> Path:
    file.write_text("".join(f"{request.method}\t{request.path}\t{request.user}\n" for request in requests))
    return file


def command(load: Load, port: int, seconds: float) -> list[str]:
    wrk = shutil.which("wrk")
    if wrk is None:
        raise BenchError("wrk is not installed: apt-get install wrk")
    arguments = [str(load.file), "keep-alive" if load.keepalive else "close", str(load.body)]
    options = ["-t1", f"-c{load.connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(_SCRIPT)]
    return [wrk, *options, f"http://127.0.0.1:{port}", "--", *arguments]


def run(load: Load, port: int, seconds: float) -> Outcome:
    line = command(load, port, seconds)
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=seconds + 60)
    return parse(done.stdout + done.stderr)


class Traffic:
    """A load that is under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def finish(self) -> Outcome:
        """Stops it; wrk counts what it had until then."""
        self._process.send_signal(signal.SIGINT)
        return parse(self._process.communicate(timeout=60)[0])


@contextlib.contextmanager
def background(load: Load, port: int, longest: float) -> Iterator[Traffic]:
    """Sends the load while the block runs, but not for longer than that many seconds."""
    line = command(load, port, longest)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield Traffic(process)
        finally:
            process.kill()


def parse(output: str) -> Outcome:
    for line in output.splitlines():
        if line.startswith(_MARK):
            return Outcome(**json.loads(line.removeprefix(_MARK)))
    raise BenchError(f"wrk reported nothing:\n{output[-2000:]}")

"""Real services of two generations: httpbin (Flask, gunicorn) and its rewrite httpbinx (FastAPI, uvicorn)."""

from __future__ import annotations

import http.client
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.ports import free_port

START_SECONDS = 30.0


def httpbin(home: Path, port: int) -> Sequence[str]:
    program = str(home / "bin" / "gunicorn")
    lives = ("--threads", "8", "--keep-alive", "5", "--graceful-timeout", "1")
    return [program, "--bind", f"127.0.0.1:{port}", *lives, "httpbin:app"]


def httpbinx(home: Path, port: int) -> Sequence[str]:
    program = str(home / "bin" / "uvicorn")
    return [
        program,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-access-log",
        "--no-proxy-headers",
        "httpbinx:app",
    ]


@contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Until the block is left; entered when it answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _wait(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        assert process.poll() is None, f"it ended:\n{log.read_text()[-3000:]}"
        assert time.monotonic() < deadline, f"it does not answer:\n{log.read_text()[-3000:]}"
        select.select([], [], [], 0.05)


def _answers(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/get")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


@contextmanager
def both(legacy: Path, new: Path, logs: Path) -> Iterator[dict[str, int]]:
    """The ports of the two sides by name."""
    ports = {"legacy": free_port(), "new": free_port()}
    with running(httpbin(legacy, ports["legacy"]), ports["legacy"], logs / "httpbin.log"):
        with running(httpbinx(new, ports["new"]), ports["new"], logs / "httpbinx.log"):
            yield ports

"""Starts the router the way its users start it and ends it again: the rig of every journey.

    with Router(routes_yaml) as router:             one stand-alone worker, no control
    with Router(routes_yaml, workers=2) as router:  the whole command: parent, control and workers

Leaving the block ends the process by its id and fails when it had died before, did not end in time, or had
written a traceback.  The rig knows the command line, the readiness signals and nothing of the code behind them.
"""

from __future__ import annotations

import http.client
import os
import select
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 20.0
STOP_SECONDS = 15.0


class RigFailure(AssertionError):
    """The router did not start, died, would not end, or wrote a traceback."""


class Router:
    """A running router with its own routes.yaml, state directory and ports."""

    def __init__(
        self,
        routes: str,
        *,
        workers: int | None = None,
        admin: str = "127.0.0.1",
        options: Sequence[str] = (),
        prepare: Callable[[Router], None] = lambda _: None,
    ) -> None:
        """`admin`: the host of the admin address; `options`: more of the command line, where `{folder}` is the router's
        own; `prepare` is called before the router is started, when there is nothing but its routes.yaml.
        """
        self._routes = routes
        self._workers = workers
        self._admin = admin
        self._options = options
        self._prepare = prepare
        self._process: subprocess.Popen[bytes] | None = None
        self._room: tempfile.TemporaryDirectory[str] | None = None
        self.port = 0
        self.admin_port = 0

    # -- what a test asks ---------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def folder(self) -> Path:
        assert self._room is not None
        return Path(self._room.name)

    @property
    def config(self) -> Path:
        return self.folder / "routes.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stderr(self) -> str:
        return (self.folder / "stderr").read_text(errors="replace")

    def stdout(self) -> str:
        return (self.folder / "stdout").read_text(errors="replace")

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def pids(self) -> list[int]:
        """The process and all its descendants, parents first."""
        return list(_family(self.pid))

    def resident_kib(self) -> int:
        """Resident memory of the whole family."""
        return sum(_resident_kib(pid) for pid in self.pids())

    # -- life ----------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._room = tempfile.TemporaryDirectory(prefix="strangler-rig-")
        self.config.write_text(self._routes)
        try:
            self._prepare(self)
            self._start()
        except BaseException:
            self._end()
            self._room.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._room is not None
        died = None if self.alive() else self._code()
        code = self._end()
        complaint = self._complaint(died, code)
        self._room.cleanup()
        if complaint and kind is None:
            raise RigFailure(complaint)

    def _start(self) -> None:
        self.port = free_port()
        listen = f"127.0.0.1:{self.port}"
        if self._workers is None:
            command = ["-m", "router.planes.embedded", "--config", str(self.config), "--listen", listen]
        else:
            self.admin_port = free_port()
            command = ["-m", "control", "run", "--config", str(self.config), "--listen", listen]
            command += ["--admin", f"{self._admin}:{self.admin_port}", "--workers", str(self._workers)]
            command += ["--state", str(self.state)]
        command += [option.format(folder=self.folder) for option in self._options]
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if not self.alive():
                raise RigFailure(f"the router ended at its start with {self._code()}:\n{self.stdout()}{self.stderr()}")
            if time.monotonic() > deadline:
                raise RigFailure(f"the router was not ready in {START_SECONDS} s:\n{self.stdout()}{self.stderr()}")
            select.select([], [], [], 0.02)

    def _ready(self) -> bool:
        if self._workers is None:
            return f"listening on http://127.0.0.1:{self.port}" in self.stdout()
        return admin_says_ready(self.admin_port, tls="--admin-tls-cert" in self._options)

    def _code(self) -> int | None:
        return self._process.poll() if self._process else None

    def _end(self) -> int | None:
        """SIGTERM, then SIGKILL for whatever is left of our own process group; the exit code, None if it hung."""
        process = self._process
        if process is None:
            return None
        code: int | None = None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _kill_group(process.pid)
        return code

    def _complaint(self, died: int | None, code: int | None) -> str:
        stderr = self.stderr()
        shown = "\n".join(stderr.splitlines()[:60])
        if died is not None:
            return f"the router died during the test with {died}:\n{shown}"
        if code is None:
            return f"the router did not end within {STOP_SECONDS} s of SIGTERM:\n{shown}"
        if code not in (0, -signal.SIGTERM):
            return f"the router ended with {code}:\n{shown}"
        if "Traceback (most recent call last)" in stderr:
            return f"the router wrote a traceback:\n{shown}"
        return ""


def admin_says_ready(port: int, *, tls: bool = False) -> bool:
    """Does `GET /readyz` at the admin address answer 200?"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _resident_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _kill_group(pid: int) -> None:
    """The session started for the router is ours alone, so its group holds nobody else's processes."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass

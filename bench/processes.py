"""Starts programs, reads what CPU they used, and ends them again, whatever happens.

Only processes that were started here, and their descendants, are ever signalled; always by pid.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """The measurement cannot go on; the message is for the person who started it."""


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """The pid of the program, which is ended, with all its descendants, when the block is left."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us: we end our programs in order
            preexec_fn=_die_with_parent,  # noqa: PLW1509  (no threads here)
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process.pid
    finally:
        _end(process)


def wait_for_port(port: int, pid: int, log: Path, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if not alive(pid):
            break
        time.sleep(0.05)
    tail = log.read_text(errors="replace")[-2000:]
    raise BenchError(f"nothing listens on port {port} ({log.name}):\n{tail}")


def alive(pid: int) -> bool:
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False


def tree(root: int) -> list[int]:
    """`root` and all its descendants."""
    parents: dict[int, list[int]] = {}
    for pid in _everybody():
        with contextlib.suppress(OSError):
            parents.setdefault(int(_stat(pid)[1]), []).append(pid)
    found = [root]
    for pid in found:
        found.extend(parents.get(pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree: all threads, and children that have ended and were waited for."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            total += sum(map(int, _stat(pid)[11:15]))
    return total / _TICKS


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: state, parent, ... (the name before them may hold anything)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks first; what is left of the family, orphans in its session included, is killed and waited for."""
    family = _family(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    process.kill()
    process.wait()
    for pid in family - {process.pid}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(map(alive, family)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _family(root: int) -> set[int]:
    """Before `root` is waited for: until then nobody else can get its number."""
    members = {root, *tree(root)}
    for pid in _everybody():
        with contextlib.suppress(OSError):
            if int(_stat(pid)[3]) == root:
                members.add(pid)
    return members


def _everybody() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""Ports for programs that are about to be started."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from bench.ports import PART, PORTS, free_port

ROOT = Path(__file__).parents[2]
ALL = "from bench.ports import PART, free_port; print(*{free_port() for _ in range(PART)})"


def test_a_port_that_is_held_or_was_given_is_not_given() -> None:
    """And none is that Linux would take for a connection."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", port := free_port()))
        others = [free_port() for _ in range(PART + 100)]
    assert port not in others
    assert PART // 2 == len({*others[: PART // 2]})
    assert {port, *others} <= {*PORTS}


def test_two_processes_are_never_given_the_same() -> None:
    """Whoever runs them, and though they ask at the same time."""
    ours = {free_port() for _ in range(PART)}
    other = subprocess.run(
        [sys.executable, "-c", ALL], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    theirs = {int(port) for port in other.stdout.split()}
    assert theirs
    assert set() == ours & theirs

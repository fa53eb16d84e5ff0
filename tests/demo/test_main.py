"""`strangler demo` as a person runs it: a program that starts everything, shows it, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "import sys; from control.cli import main; sys.exit(main())", "demo"]
PATIENCE = 60


@contextmanager
def demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demo as a process of its own, killed when the test forgot to end it."""
    environment = os.environ | {"NO_COLOR": "1"}
    command = [*COMMAND, "--workers", "1", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if words in line:
            return read
    pytest.fail(f"the demo ended before it said {words!r}:\n{read}")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ports(text: str) -> list[int]:
    return [int(port) for port in re.findall(r"^  \S.* http://127\.0\.0\.1:(\d+)$", text, re.MULTILINE)]


def test_it_carries_traffic_to_both_sides_without_a_failure_and_ends_by_itself() -> None:
    """After the given seconds the users have been served by legacy and new, and every port is free again."""
    with demo("--seconds", "6", "--rate", "100") as process:
        text, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, text
    said = re.search(r"Served (\d+) requests \((\d+) by legacy, (\d+) by new\), 0 failed", text)
    assert said, text
    assert min(map(int, said.groups())) >= 20
    assert len(ports(text)) == 6
    assert [port for port in ports(text) if listens(port)] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end services, users and router, with success and without a traceback."""
    with demo() as process:
        text = read_until(process, "What the simulated users see")
        assert [port for port in ports(text) if not listens(port)] == []
        process.send_signal(number)
        rest, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, rest
    assert "Everything is stopped." in rest
    assert "Traceback" not in rest
    assert [port for port in ports(text) if listens(port)] == []


def test_a_missing_file_is_told_in_one_line(tmp_path: Path) -> None:
    """Nothing is started for a routes.yaml that is not there."""
    with demo("--config", str(tmp_path / "none.yaml")) as process:
        text, _ = process.communicate(timeout=PATIENCE)
    assert (1, f"strangler demo: there is no file {tmp_path}/none.yaml\n") == (process.returncode, text)


def test_a_bad_file_is_told_with_its_place(tmp_path: Path) -> None:
    """What the router says about a routes.yaml that it refuses reaches the person, and the demo ends with 1."""
    bad = tmp_path / "routes.yaml"
    bad.write_text((ROOT / "routes.yaml").read_text().replace("weight: 25 ", "weight: 250"))
    with demo("--config", str(bad)) as process:
        text, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    line = next(n for n, row in enumerate(bad.read_text().splitlines(), start=1) if "weight: 250" in row)
    assert f"routes.yaml:{line}:" in text
    assert "Traceback" not in text

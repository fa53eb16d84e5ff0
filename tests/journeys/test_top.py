"""`strangler top` on a real terminal (a pty): a key and a reason roll a route back, and all is left tidy."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bench.ports import free_port
from tests.journeys.rig import ROOT, Router

PATIENCE = 30.0
ROUTES = """\
version: 1
upstreams:
  monolith: {{endpoints: [http://127.0.0.1:{port}]}}
  catalog: {{endpoints: [http://127.0.0.1:{port}]}}
legacy: monolith
groups:
  catalog: {{owner: team-catalog, new: catalog}}
routes:
  - {{path: /product, group: catalog, weight: 25, name: product}}
  - {{path: /search, group: catalog, weight: 5, name: search}}
"""


class Terminal:
    """A terminal of 100 columns and 30 lines with `strangler top` in it."""

    def __init__(self, admin: str) -> None:
        self.fd, self.end_of_it = pty.openpty()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.before = termios.tcgetattr(self.fd)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "control", "top", "--admin", admin],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm"},
            stdin=self.end_of_it,
            stdout=self.end_of_it,
            stderr=self.end_of_it,
            start_new_session=True,
        )
        self.heard = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, pattern: str) -> str:
        """Reads until this can be read, and forgets what was before it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.heard), re.DOTALL)
            if found:
                self.heard = ""
                return found[0]
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.heard[-3000:]}"
            self._listen()

    def _listen(self) -> None:
        if select.select([self.fd], [], [], 0.2)[0]:
            self.heard += os.read(self.fd, 65536).decode(errors="replace")

    def ended(self) -> int | None:
        """The exit code; what is still written is read meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self._listen()
        self._listen()
        return self.process.poll()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self.end_of_it)


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    with Router(ROUTES.format(port=free_port()), workers=2) as router:
        yield router


@pytest.fixture
def terminal(router: Router) -> Iterator[Terminal]:
    terminal = Terminal(f"http://127.0.0.1:{router.admin_port}")
    yield terminal
    terminal.close()


def orders(router: Router) -> list[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=20)
    connection.request("GET", "/api/v1/orders")
    found = json.loads(connection.getresponse().read())["orders"]
    connection.close()
    return list(found)


def test_a_route_is_rolled_back_with_two_keys_and_a_reason(router: Router, terminal: Terminal) -> None:
    """Every worker's confirmation is shown, the event arrives, and the same route is resumed again."""
    terminal.until(r"> product .*25 %")
    terminal.type("r")
    terminal.until(r"roll back to legacy: product")
    terminal.type("가격 odd\r")
    terminal.until(r"worker 0: confirmed.*worker 1: confirmed.*Enter goes back")
    assert [("rollback", {"route": "product"}, "가격 odd")] == [
        (each["kind"], each["scope"], each["reason"]) for each in orders(router)
    ]
    terminal.type("\r")
    terminal.until(r"rolled back R-\d+.*order\.accepted")
    terminal.type("u" + "all is well\r")
    terminal.until(r"Enter goes back")
    assert [] == orders(router)
    terminal.type("\rq")
    assert 0 == terminal.ended()


def test_a_group_is_held_and_escape_leaves_it(router: Router, terminal: Terminal) -> None:
    """A freeze of the group; a reason that is left does nothing."""
    terminal.until(r"> product")
    terminal.type("Hoh no\x1b")
    terminal.until(r"nothing was changed")
    assert [] == orders(router)
    terminal.type("Hfair\r")
    terminal.until(r"Enter goes back")
    (order,) = orders(router)
    assert ("freeze", {"group": "catalog"}) == (order["kind"], order["scope"])
    terminal.type("\rq")
    assert 0 == terminal.ended()


@pytest.mark.parametrize("way", ["q", "\x03", "SIGTERM"])
def test_the_terminal_is_left_as_it_was(terminal: Terminal, way: str) -> None:
    """The first screen, the cursor and the line discipline, however it ends."""
    terminal.until(r"> product")
    assert termios.tcgetattr(terminal.fd) != terminal.before
    if way == "SIGTERM":
        terminal.process.send_signal(signal.SIGTERM)
    else:
        terminal.type(way)
    assert (128 + signal.SIGTERM if way == "SIGTERM" else 0) == terminal.ended()
    assert "\x1b[?25h\x1b[?1049l" in terminal.heard
    assert terminal.before == termios.tcgetattr(terminal.fd)


def test_a_router_that_does_not_answer_is_said_so() -> None:
    """It is asked again and again, and `q` still ends it."""
    terminal = Terminal(f"http://127.0.0.1:{free_port()}")
    try:
        terminal.until(r"nobody listens")
        terminal.type("q")
        assert 0 == terminal.ended()
    finally:
        terminal.close()


def test_without_a_terminal_there_is_one_look(router: Router) -> None:
    """In plain text, with a word about it; as JSON for programs."""
    command = [sys.executable, "-m", "control", "top", "--admin", f"http://127.0.0.1:{router.admin_port}"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (0, True) == (said.returncode, "no terminal here" in said.stderr)
    assert ["product", "search"] == sorted(line.split()[0] for line in said.stdout.splitlines()[-2:])
    assert "\x1b" not in said.stdout
    found = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert 2 == len(json.loads(found.stdout)["routes"])

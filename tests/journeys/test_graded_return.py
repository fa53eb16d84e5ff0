"""A rollback in steps goes on whatever becomes of the command that asked for it, and of control."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from typing import Any

from tests.journeys.rig import ROOT, Router
from tests.journeys.traffic import until

ROUTES = """
version: 1
upstreams: {legacy: {endpoints: [http://127.0.0.1:9]}, new: {endpoints: [http://127.0.0.1:9]}}
legacy: legacy
defaults: {subject: [client-ip]}
routes:
  - {path: /a, name: a, new: new, weight: 80}
  - {path: /b, name: b, new: new, weight: 10}
"""


def asked(router: Router, path: str) -> Any:
    """The answer, or None while control is away."""
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def shares(router: Router) -> list[float]:
    found = asked(router, "/api/v1/routes")
    return [] if found is None else [route["effective"] for route in found["routes"]]


def begin(router: Router, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "control", "rollback", *words, "--reason", "legacy is cold"]
    command += ["--admin", f"http://127.0.0.1:{router.admin_port}"]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_it_comes_to_its_end_without_the_command_and_through_a_kill_of_control() -> None:
    """Both die after the first step; the workers are at 0 in the end, and the order is an ordinary rollback."""
    with Router(ROUTES, workers=2) as router:
        command = begin(router, "--all", "--over", "9s")
        until(lambda: shares(router)[:1] in ([60], [40], [20]))
        command.kill()
        command.communicate()
        control = json.loads((router.state / "run.json").read_text())["control"]
        os.kill(control, signal.SIGKILL)
        until(lambda: asked(router, "/api/v1/status") is not None)
        until(lambda: shares(router) == [0, 0], 60)
        (order,) = asked(router, "/api/v1/orders")["orders"]
        assert ("R-1", "rollback all", False) == (order["id"], order["text"], "easing" in order)
        until(lambda: all(worker["confirmed"] for worker in asked(router, "/api/v1/status")["workers"]))
        revisions = asked(router, "/api/v1/revisions?whole=true")["revisions"]
        assert "R-1 (rollback all) is at 0" == revisions[0]["lines"][0]


def test_ctrl_c_brings_the_rest_at_once() -> None:
    """The command that is interrupted says how it ended, with every worker's word."""
    with Router(ROUTES, workers=1) as router:
        command = begin(router, "--all", "--over", "10m")
        assert command.stdout is not None
        said = next(line for line in command.stdout if "is left" in line)
        assert "at most 60 % is left" in said
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=30)
        assert 0 == command.returncode, err
        assert "interrupted: everything at once" in out
        assert "rolled back to legacy: all (R-1)" in out
        assert "undo: strangler resume R-1" in out
        assert [0, 0] == shares(router)

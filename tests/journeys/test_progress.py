"""How far the migration is, asked of a running router: it survives a killed control, and a history that is broken."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.ports import free_port
from tests.journeys.rig import ROOT, Router
from tests.journeys.traffic import until

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
  - {{path: /search, group: catalog, weight: 100, name: search}}
"""


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    with Router(ROUTES.format(port=free_port()), workers=1) as router:
        yield router


def ask(router: Router, path: str, method: str = "GET", body: object = None) -> Any:
    """None: control is not there at this moment, or refuses."""
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=20)
    text = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return found if answer.status == 200 else None


def control_of(router: Router) -> int:
    return next(pid for pid in router.pids() if b"control.main" in Path(f"/proc/{pid}/cmdline").read_bytes())


def product(router: Router) -> dict[str, Any]:
    found = ask(router, "/api/v1/progress/routes")
    return {each["name"]: each for each in found["routes"]}["product"] if found else {}


def test_the_command_says_it_in_plain_text_and_as_json(router: Router) -> None:
    """The same figures."""
    command = [sys.executable, "-m", "control", "progress", "--admin", f"http://127.0.0.1:{router.admin_port}"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.startswith("1 of 2 APIs are finished (50 %)")
    found = json.loads(
        subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    )
    assert (1, 2) == (found["all"]["finished"], found["all"]["total"])


def test_what_was_seen_outlives_control(router: Router) -> None:
    """A route is as long in its stage as it was; what happens afterwards is added to the same history."""
    until(lambda: ask(router, "/api/v1/progress/history")["points"])
    before, killed = product(router), control_of(router)
    os.kill(killed, signal.SIGKILL)
    until(lambda: ask(router, "/api/v1/progress"), 60)
    assert killed != control_of(router)
    until(lambda: product(router).get("since") == before["since"])
    order = {"scope": {"route": "product"}, "reason": "a rehearsal"}
    assert ask(router, "/api/v1/rollbacks", "POST", order)
    assert ("holding", before["moved"]) == (product(router)["stage"], product(router)["moved"])
    until(lambda: len(ask(router, "/api/v1/progress/changes?name=product")["changes"]) == 2, 60)
    changes = ask(router, "/api/v1/progress/changes?name=product")["changes"]
    assert [("ramping", "holding"), (None, "ramping")] == [(each["before"], each["after"]) for each in changes]


def test_a_history_that_cannot_be_kept_stops_nothing(router: Router) -> None:
    """It is said once; a control that starts with a broken file tells the present, and takes orders."""
    os.kill(control_of(router), signal.SIGSTOP)
    stopped = control_of(router)
    for path in router.state.glob("progress.db*"):
        path.unlink()
    (router.state / "progress.db").write_bytes(b"this was a database once" * 500)
    os.kill(stopped, signal.SIGKILL)
    until(lambda: ask(router, "/api/v1/progress"), 60)
    until(lambda: "progress.trouble" in router.stderr(), 60)
    apis = ask(router, "/api/v1/progress")["all"]["apis"]
    assert (1, 2) == (apis["done"], sum(apis.values()))
    assert ask(router, "/api/v1/progress/history") is None
    assert ask(router, "/api/v1/rollbacks", "POST", {"scope": {"all": True}, "reason": "a rehearsal"})["persisted"]

"""Requests copied to the other side and compared, over real HTTP, as an operator sees it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.journeys.rig import ROOT, Router
from tests.journeys.serving import served
from tests.journeys.traffic import until

ROUTES = """\
version: 1
upstreams:
  monolith: {{endpoints: [http://127.0.0.1:{legacy}]}}
  catalog: {{endpoints: [http://127.0.0.1:{new}]}}
legacy: monolith
defaults: {{new: catalog, timeout: 2s}}
routes:
  - {{path: "/same/{{id}}", name: same, shadow: {{percent: 100, compare: true}}}}
  - path: "/other/{{id}}"
    name: other
    shadow: {{percent: 100, compare: true, samples: 1h}}
    compare:
      rules:
        - {{path: "$.cents", tolerance: {{abs: 0.01}}, owner: a, reason: rounding, expires: 2099-01-01}}
        - {{path: "$.gone", ignore: true, owner: a, reason: long ago, expires: 2020-01-01}}
  - {{path: "/hung/{{id}}", name: hung, shadow: {{percent: 100, compare: true}}}}
  - {{path: "/plain/{{id}}", name: plain}}
"""


class Service(BaseHTTPRequestHandler):
    """Answers in JSON; what it was asked is remembered."""

    side: str
    asked: list[tuple[str, str, bool]]
    gate: threading.Event

    def do_GET(self) -> None:
        copied = "X-Strangler-Shadow" in self.headers
        self.asked.append((self.command, self.path, copied))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.side == "new" and self.path.startswith("/hung"):
            self.gate.wait(60)
        body = json.dumps(self._answer()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  # as the library calls it

    def _answer(self) -> dict[str, Any]:
        new = self.side == "new"
        if self.path.startswith("/other"):
            return {"cents": 10.0 + 0.01 * new, "name": "Thing" if new else "thing", "email": "a@b.example"}
        return {"path": self.path, "trace": str(uuid.uuid4())}


@contextmanager
def sides() -> Iterator[dict[str, list[tuple[str, str, bool]]]]:
    """What either side was asked; ports are under `ports`."""
    gate = threading.Event()
    asked: dict[str, list[Any]] = {"legacy": [], "new": [], "ports": []}
    handlers = (
        type(side, (Service,), {"side": side, "asked": asked[side], "gate": gate}) for side in ("legacy", "new")
    )
    with served(*handlers) as ports:
        asked["ports"] += ports
        try:
            yield asked
        finally:
            gate.set()


def ask(port: int, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body or None)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def totals(router: Router, route: str) -> dict[str, Any]:
    found = json.loads(ask(router.admin_port, "/api/v1/shadow")[1])
    return next(row for row in found["routes"] if row["route"] == route)


def compared(router: Router, route: str) -> int:
    return sum(totals(router, route)["verdicts"].values())


def report(router: Router, route: str, *words: str) -> str:
    command = [sys.executable, "-m", "control", "shadow", "report", route, *words]
    command += ["--admin", f"http://127.0.0.1:{router.admin_port}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout


def test_answers_of_both_sides_are_compared_and_told() -> None:
    """Verdicts, noise, rules with their meters, masked samples; POST is not copied; nothing is lost with a restart."""
    with sides() as asked:
        legacy, new = asked["ports"]
        with Router(ROUTES.format(legacy=legacy, new=new), workers=1) as router:
            for index in range(30):
                for path in (f"/same/{index}", f"/other/{index}", f"/plain/{index}"):
                    assert 200 == ask(router.port, path)[0]
            assert 200 == ask(router.port, "/same/1", "POST", b"a=1")[0]
            until(lambda: compared(router, "same") >= 20 and compared(router, "other") >= 20, 60)
            assert ("POST", "/same/1", True) not in asked["new"] + asked["legacy"]
            assert {copied for _, _, copied in asked["new"]} == {True}
            assert not any(path.startswith("/plain") for _, path, _ in asked["new"])
            same = json.loads(report(router, "same", "--json"))
            assert [["$.trace", "value"]] == same["noise"]["places"]
            assert same["verdicts"]["matched"] >= 15
            other = json.loads(report(router, "other", "--json"))
            assert 0 == other["verdicts"]["matched"]
            assert ["$.name"] == [place["path"] for place in other["places"]]
            tolerance, expired = other["rules"]
            assert (other["compared"], True) == (tolerance["hidden"], expired["expired"])
            text = report(router, "other")
            assert "'thing' -> 'Thing'" in text
            assert "curl -i -H 'Host: 127.0.0.1:" in text
            metrics = ask(router.admin_port, "/metrics")[1].decode()
            assert 'strangler_shadow_compared_total{route="other",verdict="mismatched"}' in metrics
            assert 404 == ask(router.admin_port, "/api/v1/shadow/plain")[0]
            until(lambda: len(list((router.state / "shadow").glob("*.json"))) == 2, 30)
            kept = b"".join(path.read_bytes() for path in (router.state / "shadow").glob("*.json"))
            assert b"thing" not in kept


def test_a_new_side_that_hangs_is_not_noticed_by_anybody() -> None:
    """Every user is answered while the copies hang; what is not copied is counted with its reason."""
    with sides() as asked:
        legacy, new = asked["ports"]
        with Router(ROUTES.format(legacy=legacy, new=new), workers=1) as router:
            answers = [ask(router.port, f"/hung/{index}")[0] for index in range(100)]
            assert {200} == set(answers)
            assert not any(wait for _, path, wait in asked["legacy"] if path.startswith("/plain"))
            until(lambda: totals(router, "hung")["copies"].get("full", 0) > 0, 30)
            until(lambda: totals(router, "hung")["failures"].get("new_failed", 0) > 0, 60)
            copies = totals(router, "hung")["copies"]
            assert 100 == copies["copied"] + copies["full"]
            metrics = ask(router.admin_port, "/metrics")[1].decode()
            assert 'strangler_shadow_dropped_total{route="hung",reason="full"}' in metrics


def test_a_comparer_that_is_killed_costs_comparisons_and_no_request() -> None:
    """It is started anew, users are answered all the time, and comparing goes on."""
    with sides() as asked:
        legacy, new = asked["ports"]
        with Router(ROUTES.format(legacy=legacy, new=new), workers=1) as router:
            ask(router.port, "/same/1")
            until(lambda: compared(router, "same") >= 1 or ask(router.port, "/same/2")[0] != 200, 30)
            before = comparers(router)
            assert 1 == len(before)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            assert {200} == {ask(router.port, f"/same/{index}")[0] for index in range(50)}
            until(lambda: set(comparers(router)) - set(before), 30)
            started = compared(router, "same")
            until(lambda: ask(router.port, "/same/3")[0] == 200 and compared(router, "same") > started, 60)


def comparers(router: Router) -> list[int]:
    """The ids of the comparing processes of this router."""
    found = []
    for pid in router.pids():
        with suppress(OSError):
            if b"rollout.shadow" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found

"""Rollbacks of one route, a group and all 1,500 routes while users go on: confirmed, at once, and nobody fails.

Two witnesses: users, who know when they sent a request and which side answered it, and the new side's upstream, which
stamps each request as it begins.  Times are figures for people; only bounds of seconds are asserted.
"""

from __future__ import annotations

import gzip
import http.client
import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.journeys.labels import PARAMETER
from tests.journeys.rig import Router
from tests.journeys.stamped import Starts, upstreams
from tests.journeys.traffic import Users, until

DATA = Path(__file__).parents[1] / "data"
TRIALS = 5
ROUTES = 1500


@dataclass(frozen=True)
class Scope:
    """What is rolled back at once, and the paths that it concerns."""

    name: str
    order: dict[str, Any]
    paths: frozenset[str]


def inventory() -> list[str]:
    """1,500 templates of different shapes, nearly all of them of the real inventory."""
    found = json.loads(gzip.decompress((DATA / "commerce-1500.json.gz").read_bytes()))["ops"]
    shapes = {PARAMETER.sub("{}", operation["path"]): operation["path"] for operation in found}
    paths = sorted(shapes.values())
    return paths + [f"/v9/others-{number}/{{id}}" for number in range(ROUTES - len(paths))]


def routes_yaml(paths: list[str], ports: dict[str, int]) -> str:
    lines = ["version: 1", "upstreams:"]
    lines += [f"  {side}: {{endpoints: ['http://127.0.0.1:{port}']}}" for side, port in ports.items()]
    lines += ["legacy: legacy", "defaults: {new: new, subject: [header:X-User-Id]}", "groups:"]
    lines += [f"  g{number}: {{}}" for number in range(10)]
    lines += ["routes:"]
    for number, path in enumerate(paths):
        entry = {"path": path, "name": f"r{number}", "group": f"g{number % 10}", "weight": 100}
        lines.append(f"  - {json.dumps(entry)}")
    return "\n".join(lines) + "\n"


def admin(router: Router, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=30)) as connection:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found: dict[str, Any] = json.loads(answer.read())
        assert answer.status < 300, found
        return found


def rolled_back(router: Router, users: Users, starts: Starts, scope: Scope) -> tuple[float, float]:
    """One rollback and its resume: milliseconds to the answer, and to the last start on the new side."""
    until(lambda: any(one.side == "new" and one.path in scope.paths for one in tuple(users.sent)[-20:]))
    starts.take()
    sent = time.monotonic()
    answer = admin(router, "POST", "/api/v1/rollbacks", {"scope": scope.order, "reason": "under load"})
    confirmed = time.monotonic()
    assert answer["confirmed"], answer
    assert 2 == len(answer["workers"])
    until(lambda: sum(one.path in scope.paths for one in users.since(confirmed)) >= 20)
    after = [one for one in users.since(confirmed) if one.path in scope.paths]
    assert {("legacy", 200)} == {(one.side, one.status) for one in after}
    late = [at for side, at, path in starts.take() if side == "new" and path in scope.paths and at > sent]
    admin(router, "DELETE", f"/api/v1/orders/{answer['order']['id']}", {"reason": "go on"})
    return (confirmed - sent) * 1000, max((at - sent for at in late), default=0.0) * 1000


@pytest.mark.timeout(240)
def test_rollbacks_under_load_are_confirmed_and_nobody_fails(figure: Callable[[str, str], None]) -> None:
    """What is sent after the confirmation is legacy's, without exception; in between, every request is answered."""
    templates = inventory()
    asked = [PARAMETER.sub("vvv1", path) for path in templates]
    group = frozenset(asked[::10])
    scopes = [
        Scope("one route", {"route": "r700"}, frozenset({asked[700]})),
        Scope("a group", {"group": "g0"}, group),
        Scope("all 1,500 routes", {"all": True}, frozenset(asked)),
    ]
    mix = tuple(path for number in range(300) for path in (asked[700], asked[number * 10 % 1500], asked[number * 4]))
    with upstreams() as ports, Router(routes_yaml(templates, ports), workers=2) as router:
        until(lambda: 2 == admin(router, "GET", "/readyz")["workers"]["confirmed"])  # one is enough to be ready
        with closing(Starts(ports["legacy"])) as starts, Users(router.port, mix, count=6) as users:
            times = {scope.name: [rolled_back(router, users, starts, scope) for _ in range(TRIALS)] for scope in scopes}
    for name, some in times.items():
        took, last = [one[0] for one in some], [one[1] for one in some]
        figure(f"rollback of {name}", f"confirmed in {median(took):.1f} ms median, {max(took):.1f} ms at most")
        figure(f"rollback of {name}: last start on new", f"{median(last):.1f} ms median, {max(last):.1f} ms at most")
        assert max(took) < 5000
        assert max(last) < 5000
    figure("rollbacks under load: failed requests", f"{len(users.failed())} of {len(users.sent)}")
    assert [] == users.failed()

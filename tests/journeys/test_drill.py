"""`strangler drill`: rollback and resume rehearsed on one route, with traffic on it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.journeys.rig import ROOT, Router
from tests.journeys.traffic import Gate, Users, services, until

ROUTES = """\
version: 1
upstreams:
  monolith: {{endpoints: [http://127.0.0.1:{legacy}]}}
  catalog: {{endpoints: [http://127.0.0.1:{new}]}}
legacy: monolith
defaults: {{subject: [header:X-User-Id], new: catalog}}
safety: {{max_step: 10}}
routes:
  - {{path: /all, weight: 100}}
  - {{path: /none}}
"""


@pytest.fixture
def router() -> Iterator[Router]:
    with services(Gate()) as ports, Router(ROUTES.format(**ports), workers=2) as router:
        until(lambda: ready(router) == 2)
        yield router


def ready(router: Router) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=10)
    connection.request("GET", "/readyz")
    found = json.loads(connection.getresponse().read())
    connection.close()
    return int(found["workers"]["confirmed"])


def strangler(router: Router, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "control", *words, "--admin", f"http://127.0.0.1:{router.admin_port}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_drill_moves_the_route_there_and_back(router: Router) -> None:
    """No request fails, both times are told, and the share is what it was although no rule would let it jump so far."""
    with Users(router.port, ("/all",)) as users:
        users.wait_for(100)
        said = strangler(router, "drill", "ANY /all", "--json")
        users.wait_for(len(users.sent) + 100)
    assert 0 == said.returncode, said.stdout + said.stderr
    found = json.loads(said.stdout)
    assert {"before": 100, "between": 0, "after": 100} == found["share"]
    assert [True, True] == [found[name]["confirmed"] for name in ("rollback", "resume")]
    assert all(found[name]["seen_ms"] > 0 for name in ("rollback", "resume"))
    assert found["new_side"]["answered"] <= users.count
    assert [] == users.failed()
    assert {"legacy", "new"} == {one.side for one in users.sent}
    assert "new" == users.sent[-1].side
    orders = json.loads(strangler(router, "orders", "--json").stdout)["orders"]
    assert [] == orders
    assert "ANY /all: 100 % -> 0 % -> 100 % new" in strangler(router, "drill", "ANY /all").stdout


@pytest.mark.parametrize(("route", "why"), [("ANY /none", "would move nobody"), ("ANY /nothing", "no route")])
def test_a_drill_that_proves_nothing_is_not_begun(router: Router, route: str, why: str) -> None:
    """Nothing is changed."""
    said = strangler(router, "drill", route)
    assert 1 == said.returncode
    assert why in said.stderr


def test_a_route_that_is_held_is_not_drilled(router: Router) -> None:
    """What is held for a reason stays held."""
    assert 0 == strangler(router, "rollback", "ANY /all", "--reason", "real trouble").returncode
    said = strangler(router, "drill", "ANY /all")
    assert 1 == said.returncode
    assert 1 == len(json.loads(strangler(router, "orders", "--json").stdout)["orders"])

"""A real Prometheus scrapes a running router with traffic: no query of any dashboard or rule is empty, none is broken.

Prometheus loads the rules as they are shipped; what Grafana would fill in for its variables is filled in here.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from bench.ports import free_port
from tests.journeys.rig import ROOT, Router
from tests.journeys.serving import served

PATIENCE = 60.0
DASHBOARDS = ROOT / "dashboards"
ROUTES = """\
version: 1
upstreams:
  monolith: {{endpoints: [http://127.0.0.1:{legacy}]}}
  catalog: {{sites: {{here: [http://127.0.0.1:{new}]}}}}
  fresh: {{endpoints: [http://127.0.0.1:{legacy}]}}
  faulty: {{endpoints: [http://127.0.0.1:{faulty}]}}
  dead: {{endpoints: [http://127.0.0.1:{dead}]}}
sites: {{here: {{weight: 100}}}}
legacy: monolith
defaults: {{subject: [header:X-User-Id], breaker: off}}
plans: {{slow: {{steps: [30, 100], time: 1h, sample: 20, clients: 0}}}}
groups:
  catalog: {{owner: team-catalog, new: catalog, fallback: {{on: [503]}}}}
routes:
  - {{path: "/product/{{id}}", group: catalog, weight: 50, name: product}}
  - {{path: "/search/{{id}}", group: catalog, weight: 100, name: search}}
  - {{path: "/broken/{{id}}", new: catalog, weight: 50, name: broken, breaker: {{failures: 10, minimum: 5}}}}
  - {{path: "/doomed/{{id}}", new: faulty, rollout: slow, name: doomed}}
  - {{path: "/lost/{{id}}", new: dead, weight: 50, name: lost, fallback: {{on: [connect]}}}}
  - {{path: "/cart/{{id}}", new: catalog, weight: 50, name: cart}}
  - {{path: "/mirrored/{{id}}", new: catalog, name: mirrored, shadow: {{percent: 100, compare: true}}}}
  - {{path: "/moved/{{id}}", new: fresh, rollout: slow, name: moved}}
"""


class Legacy(BaseHTTPRequestHandler):
    """Answers everything with 200."""

    def do_GET(self) -> None:
        self.send_response(self.status())
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def status(self) -> int:
        return 200


class New(Legacy):
    """Every third thing makes it fail, in a way that a fallback hides where there is one."""

    def status(self) -> int:
        return 503 if int(self.path.rpartition("/")[2]) % 3 == 0 else 200


class Faulty(New):
    """Fails as often, but with what is no sign of a sick endpoint: nobody takes that out before it is judged."""

    def status(self) -> int:
        return 500 if super().status() == 503 else 200


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    """With traffic, a rollback in force and a rollout under way."""
    stop = threading.Event()
    with served(Legacy, New, Faulty) as (legacy, new, faulty):
        routes = ROUTES.format(legacy=legacy, new=new, faulty=faulty, dead=free_port())
        with Router(routes, workers=2) as router:
            ask(router, "/api/v1/rollbacks", {"scope": {"route": "cart"}, "reason": "a rehearsal"})
            for route in ("moved", "doomed"):
                ask(router, "/api/v1/rollouts", {"do": "start", "scope": {"route": route}, "reason": "a rehearsal"})
                until(lambda route=route: judged(router, route), f"{route} is not judged")  # type: ignore[misc]
            clients = threading.Thread(target=browse, args=(router, stop))
            clients.start()
            try:
                yield router
            finally:
                stop.set()
                clients.join(20)


def ask(router: Router, path: str, body: object = None) -> Any:
    """GET, or with a body POST."""
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=20)
    text = None if body is None else json.dumps(body)
    connection.request("GET" if text is None else "POST", path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, found
    return found


def judged(router: Router, route: str) -> bool:
    return bool(ask(router, f"/api/v1/rollouts?route={route}")["rollouts"][0]["phase"] == "judging")


def browse(router: Router, stop: threading.Event) -> None:
    """A few hundred requests a second at most, until it is told to stop."""
    connection = http.client.HTTPConnection(*router.address, timeout=20)
    number = 0
    while not stop.wait(0.01):
        number += 1
        for what in ("product", "search", "broken", "lost", "cart", "moved", "mirrored", "doomed", "elsewhere"):
            connection.request("GET", f"/{what}/{number}", headers={"X-User-Id": f"u-{number % 50}"})
            connection.getresponse().read()
    connection.close()


class Prometheus:
    """The program with our rules, scraping one router each second."""

    def __init__(self, program: str, folder: Path, target: int) -> None:
        self.port = free_port()
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in (DASHBOARDS / "alerts").glob("*.rules.yml")],
            "scrape_configs": [{"job_name": "strangler", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.log = folder / "log"
        self.patience = time.monotonic() + PATIENCE
        """Until then everything has to be there; what is not found afterwards is not waited for again."""
        command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert answer["status"] == "success", answer
        return answer["data"]

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.get("/api/v1/targets")["activeTargets"])
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def has(self, expr: str) -> bool:
        """Is there at least one number?"""
        found = self.get("/api/v1/query?" + urlencode({"query": expr}))["result"]
        return any(not math.isnan(float(each["value"][1])) for each in found)

    def must_have(self, expr: str) -> None:
        until(lambda: self.has(expr), f"nothing for {expr}", max(5.0, self.patience - time.monotonic()))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def prometheus(
    router: Router, needs_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    program = Prometheus(needs_tool("prometheus"), tmp_path_factory.mktemp("prometheus"), router.admin_port)
    try:
        until(program.ready, "Prometheus does not answer")
        yield program
    finally:
        program.end()


def until(true: Callable[[], bool], otherwise: str, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)


def filled(expr: str, board: str) -> str:
    """With what Grafana would put in the place of its variables."""
    route = "moved" if board == "strangler-evidence" else "product"
    expr = expr.replace("$__rate_interval", "15s").replace('route="$route"', f'route="{route}"')
    return re.sub(r'"\$\w+"', '".*"', expr)


QUERIES = [
    pytest.param(filled(target["expr"], path.stem), id=f"{path.stem}: {panel['title']}: {target['refId']}")
    for path in sorted((DASHBOARDS / "grafana").glob("*.json"))
    for panel in json.loads(path.read_text())["panels"]
    for target in panel.get("targets", ())
]
RULES = [
    rule
    for path in sorted((DASHBOARDS / "alerts").glob("*.rules.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize("expr", QUERIES)
def test_no_query_of_a_dashboard_is_empty(prometheus: Prometheus, expr: str) -> None:
    """Each has at least one number once there has been traffic for a moment."""
    prometheus.must_have(expr)


@pytest.mark.parametrize("name", sorted({rule["record"] for rule in RULES if "record" in rule}))
def test_no_recorded_series_is_empty(prometheus: Prometheus, name: str) -> None:
    """Prometheus itself has computed them."""
    prometheus.must_have(name)


def selectors(expr: str) -> list[str]:
    """Everything that an expression reads, without spans."""
    return re.findall(r"\b(?:strangler[_:][\w:]+|up)(?:\{[^}]*\})?", expr)


@pytest.mark.parametrize("rule", [rule for rule in RULES if "alert" in rule], ids=lambda rule: rule["alert"])
def test_no_alert_waits_for_something_that_does_not_exist(prometheus: Prometheus, rule: Any) -> None:
    """What it reads is there while all is well; that it fires is promtool's part."""
    found = selectors(rule["expr"])
    assert found
    for selector in found:
        prometheus.must_have(selector)


def test_prometheus_evaluates_every_rule(prometheus: Prometheus) -> None:
    """None has an error, all have been looked at."""

    def evaluated() -> bool:
        rules = [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]
        return len(rules) == len(RULES) and all(rule["health"] == "ok" for rule in rules)

    until(evaluated, str(prometheus.get("/api/v1/rules")))

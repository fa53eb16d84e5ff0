"""An operator's night: the real command, real processes, real traffic, and the exit codes of every step."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.journeys.rig import ROOT, Router
from tests.journeys.serving import served

USERS = [f"u-{number}" for number in range(40)]

ROUTES = """\
version: 1
upstreams:
  monolith: {{endpoints: [http://127.0.0.1:{legacy}]}}
  catalog: {{endpoints: [http://127.0.0.1:{new}]}}
legacy: monolith
defaults: {{subject: [header:X-User-Id]}}
groups:
  catalog: {{owner: team-catalog, new: catalog}}
routes:
  - {{path: "/v1/products/{{id}}", methods: [GET], group: catalog, weight: 50, name: product}}
  - {{path: /v1/search, group: catalog, weight: 100}}
  - {{path: /v1/carts, new: catalog}}
"""


class Service(BaseHTTPRequestHandler):
    """Answers everything with 200 and two bytes."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, int]]:
    with served(Service, Service) as (legacy, new):
        yield {"legacy": legacy, "new": new}


@pytest.fixture
def router(services: dict[str, int]) -> Iterator[Router]:
    with Router(ROUTES.format(**services), workers=2) as router:
        yield router


def strangler(router: Router, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"STRANGLER_ADMIN": f"http://127.0.0.1:{router.admin_port}"}
    done = subprocess.run(
        [sys.executable, "-m", "control", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def asked(router: Router, *words: str) -> Any:
    done = strangler(router, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def side(router: Router, path: str, user: str) -> str:
    status, headers, _ = get(router.port, path, X_User_Id=user)
    assert status == 200
    return headers["x-strangler-side"]


def all_confirmed(router: Router) -> bool:
    return all(worker["confirmed"] for worker in asked(router, "status")["workers"])


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        threading.Event().wait(0.02)


def test_explain_says_what_traffic_does(router: Router) -> None:
    """For every user the side, and the weight at which it changes."""
    for user in USERS[:12]:
        found = asked(router, "explain", "GET", "/v1/products/7", "-H", f"X-User-Id: {user}")
        assert found["side"] == side(router, "/v1/products/7", user)
    sides = {user: side(router, "/v1/products/7", user) for user in USERS}
    assert {"legacy", "new"} == set(sides.values())
    user = USERS[0]
    flips = asked(router, "explain", "GET", "/v1/products/7", "-H", f"X-User-Id: {user}")["flips_at"]
    strangler(router, "weight", "product", f"{flips:g}", "--reason", "just enough")
    assert side(router, "/v1/products/7", user) == "new"
    strangler(router, "weight", "product", f"{flips - 0.01:.2f}", "--reason", "not quite")
    assert side(router, "/v1/products/7", user) == "legacy"


def test_a_rollback_and_the_way_back(router: Router) -> None:
    """Legacy for everybody at the moment the command ends; only resume leads back, and to exactly what was."""
    before = {user: side(router, "/v1/products/7", user) for user in USERS}
    done = strangler(router, "rollback", "--group", "catalog", "--reason", "prices look odd")
    assert done.returncode == 0, done.stderr
    assert re.search(r"worker 0: confirmed in [0-9.]+ ms\n  worker 1: confirmed in [0-9.]+ ms", done.stdout)
    assert {"legacy"} == {side(router, path, user) for user in USERS for path in ("/v1/products/7", "/v1/search")}
    assert "already held by R-1" in strangler(router, "rollback", "--group", "catalog", "--reason", "again").stdout
    config = router.config.read_text()
    router.config.write_text(config.replace("weight: 50", "weight: 60"))
    until(lambda: asked(router, "history")["revision"] == 3)
    assert {"legacy"} == {side(router, "/v1/products/7", user) for user in USERS}
    router.config.write_text(config)
    until(lambda: asked(router, "history")["revision"] == 4)
    assert strangler(router, "resume", "R-1", "--reason", "fixed").returncode == 0
    assert before == {user: side(router, "/v1/products/7", user) for user in USERS}


def test_a_refused_file_is_seen_everywhere_and_changes_nothing(router: Router) -> None:
    """Status, readiness and metrics say it, with the place; traffic goes on as before."""
    good = router.config.read_text()
    before = {user: side(router, "/v1/products/7", user) for user in USERS}
    router.config.write_text(good.replace("weight: 50", "weight: 500"))
    until(lambda: asked(router, "status")["source"]["status"] == "refused")
    status = strangler(router, "status")
    assert status.returncode == 0
    assert "REFUSED" in status.stdout
    assert re.search(r"routes\.yaml:10:\d+: ", status.stdout)
    code, _, ready = get(router.admin_port, "/readyz")
    assert code == 200
    assert "file refused at routes.yaml:10:" in json.loads(ready)["serving"]
    assert 'strangler_config_reloads_total{result="refused"} 1' in get(router.admin_port, "/metrics")[2]
    assert before == {user: side(router, "/v1/products/7", user) for user in USERS}
    assert strangler(router, "check", str(router.config)).returncode == 1
    router.config.write_text(good)
    until(lambda: asked(router, "status")["source"]["status"] == "ok")


def test_what_happened_is_counted(router: Router) -> None:
    """By route, side and reason; the measured share follows from it."""
    for user in USERS:
        side(router, "/v1/products/7", user)
        side(router, "/nowhere", user)
    unlisted = f'route="unlisted",side="legacy",code_class="2xx",reason="unlisted"}} {len(USERS)}'
    # an answer is on its way before it is counted
    until(lambda: unlisted in get(router.admin_port, "/metrics")[2])
    text = get(router.admin_port, "/metrics")[2]
    counted = {
        found[1]: int(found[2])
        for found in re.finditer(
            r'^strangler_requests_total{route="product",side="(\w+)",code_class="2xx",reason="weight"} (\d+)$',
            text,
            re.MULTILINE,
        )
    }
    assert sum(counted.values()) == len(USERS)
    assert min(counted.values()) > 5
    assert f"{unlisted}\n" in text
    until(lambda: asked(router, "status")["routes"][0]["measured"])
    route = asked(router, "status")["routes"][0]
    assert route["measured"] == pytest.approx(100 * counted["new"] / len(USERS), abs=10)


def test_an_operator_hardly_notices_that_control_was_killed(router: Router) -> None:
    """The command waits for the successor; the order is still there, under the same id."""
    strangler(router, "rollback", "product", "--reason", "first")
    pid = json.loads((router.state / "run.json").read_text())["control"]
    os.kill(pid, signal.SIGKILL)
    assert side(router, "/v1/search", USERS[0]) == "new"
    done = strangler(router, "rollback", "--all", "--reason", "second")
    assert done.returncode == 0, done.stderr
    assert {"legacy"} == {side(router, "/v1/search", user) for user in USERS[:10]}
    assert ["R-1", "R-2"] == [order["id"] for order in asked(router, "orders")["orders"]]


def test_a_worker_that_stands_still_is_named(router: Router) -> None:
    """Exit code 3, and its number; once it goes on it catches up by itself."""
    until(lambda: all_confirmed(router))
    pid = json.loads((router.state / "run.json").read_text())["worker_pids"][1]
    os.kill(pid, signal.SIGSTOP)
    try:
        done = strangler(router, "rollback", "--all", "--reason", "fire")
        assert done.returncode == 3
        assert "NOT CONFIRMED by worker 1 (runs revision 1)" in done.stderr
        assert "worker 1: NOT CONFIRMED" in done.stdout
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: all_confirmed(router))


def test_a_site_is_rolled_back_also_where_it_is_the_only_one(services: dict[str, int]) -> None:
    """A service that lives in one named place goes back to legacy with that place, in words and in traffic."""
    text = ROUTES.format(**services).replace("catalog: {endpoints: ", "catalog: {sites: {pangyo: ")
    with Router(text.replace(f"{services['new']}]}}", f"{services['new']}]}}}}"), workers=1) as router:
        assert side(router, "/v1/search", "u") == "new"
        assert strangler(router, "rollback", "--site", "pangyo", "--reason", "fire").returncode == 0
        assert side(router, "/v1/search", "u") == "legacy"
        assert asked(router, "explain", "GET", "/v1/search", "-H", "X-User-Id: u")["reason"] == "site-rollback"


SAFE = ROUTES + "safety: {{max_step: 60}}\n"


def test_a_night_of_orders(services: dict[str, int]) -> None:
    """Trial, cap, freeze, pin, rollback, a refused way back, bake, restore: each does what it says."""
    with Router(SAFE.format(**services), workers=2) as router:
        declared = {user: side(router, "/v1/products/7", user) for user in USERS}

        # A trial that nobody confirms is taken back; one that is confirmed stays.
        done = strangler(router, "weight", "product", "90", "--reason", "try", "--confirm-within", "1s")
        assert done.returncode == 0, done.stderr
        assert "ON TRIAL" in done.stdout
        assert declared != {user: side(router, "/v1/products/7", user) for user in USERS}
        until(lambda: not asked(router, "orders")["orders"])
        assert declared == {user: side(router, "/v1/products/7", user) for user in USERS}
        strangler(router, "weight", "product", "90", "--reason", "try", "--confirm-within", "1h")
        assert strangler(router, "confirm", "W-2", "--reason", "looks fine").returncode == 0
        raised = {user: side(router, "/v1/products/7", user) for user in USERS}

        # A cap lowers, a freeze lets nothing rise, a pin moves everybody.
        assert strangler(router, "cap", "--group", "catalog", "0", "--reason", "sale", "--for", "1h").returncode == 0
        assert {"legacy"} == {side(router, "/v1/products/7", user) for user in USERS}
        assert strangler(router, "freeze", "--all", "--reason", "night").returncode == 0
        done = strangler(router, "resume", "C-3", "--reason", "over")
        assert done.returncode == 1
        assert "frozen: product (routes.yaml:10): F-4 (all, " in done.stderr
        assert strangler(router, "resume", "F-4", "--reason", "morning").returncode == 0
        done = strangler(router, "resume", "C-3", "--reason", "over")
        assert done.returncode == 1  # search would jump back to 100 %
        assert "max-step: ANY /v1/search (routes.yaml:11): 0 % to 100 % is more than 60 points at once" in done.stderr
        again = ("resume", "C-3", "--reason", "over", "--override", "max-step")
        assert strangler(router, *again).returncode == 0
        assert raised == {user: side(router, "/v1/products/7", user) for user in USERS}
        assert (
            strangler(
                router, "pin", "ANY /v1/carts", "new", "--reason", "partners", "--override", "max-step"
            ).returncode
            == 0
        )
        assert {"new"} == {side(router, "/v1/carts", user) for user in USERS}

        # What was raised goes back, proven from traffic; the way back is as long as the rules allow.
        found = asked(router, "rollback", "--since", "1h", "--reason", "prices look odd")
        assert {"R-6", "R-7"} == {order["id"] for order in found["orders"]}
        assert (0, 0) == (found["proof"]["new_side"]["answered_per_second"], found["proof"]["new_side"]["in_flight"])
        paths = ("/v1/products/7", "/v1/search", "/v1/carts")
        assert {"legacy"} == {side(router, path, user) for user in USERS for path in paths}
        for order in ("R-6", "R-7"):
            assert strangler(router, "resume", order, "--reason", "mended").returncode == 1
            again = ("resume", order, "--reason", "mended", "--override", "max-step")
            assert strangler(router, *again).returncode == 0

        # What proved itself belongs into the file: one line changes, and nobody moves.
        before = router.config.read_text()
        done = strangler(router, "bake", str(router.config))
        assert done.returncode == 0, done.stderr
        assert "cleared: W-2, the file says it now" in done.stdout
        assert before.replace("weight: 50", "weight: 90") == router.config.read_text()
        assert raised == {user: side(router, "/v1/products/7", user) for user in USERS}
        assert ["P-5"] == [order["id"] for order in asked(router, "orders")["orders"]]

        # And back to the evening before, through the rules.
        assert strangler(router, "restore", "1", "--reason", "as it was").returncode == 0
        assert declared == {user: side(router, "/v1/products/7", user) for user in USERS}
        assert [] == asked(router, "orders")["orders"]
        history = asked(router, "history", "--limit", "100")["revisions"]
        assert list(range(len(history), 0, -1)) == [revision["revision"] for revision in history]


def test_watching_shows_a_rollback_as_it_happens(router: Router) -> None:
    """Also after control was killed: the stream is opened again."""
    command = [sys.executable, "-u", "-m", "control", "watch", "--json", "--admin"]
    command += [f"http://127.0.0.1:{router.admin_port}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watcher:
        assert watcher.stdout is not None
        try:
            assert "hello" == json.loads(watcher.stdout.readline())["event"]
            strangler(router, "rollback", "product", "--reason", "first")
            _until_event(watcher.stdout, "order.accepted", "R-1")
            os.kill(json.loads((router.state / "run.json").read_text())["control"], signal.SIGKILL)
            _until_event(watcher.stdout, "hello", None)
            strangler(router, "resume", "R-1", "--reason", "second")
            _until_event(watcher.stdout, "order.lifted", "R-1")
        finally:
            watcher.terminate()


def _until_event(lines: Any, name: str, order: str | None) -> None:
    """The test's own time limit ends it when the event never comes."""
    for line in lines:
        event = json.loads(line)
        if event["event"] == name and event.get("order") == order:
            return
    raise AssertionError(f"the stream ended without {name}")


def test_a_graded_return_moves_people_back_step_by_step(router: Router) -> None:
    """While it runs the new side only loses users; at its end it has none, and the order stays."""
    sides: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            sides.append(sum(side(router, "/v1/search", user) == "new" for user in USERS))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        until(lambda: sides)
        done = strangler(router, "rollback", "--group", "catalog", "--over", "3s", "--reason", "cold")
    finally:
        stop.set()
        looking.join()
    assert done.returncode == 0, done.stderr
    assert "nothing is left, revision" in done.stdout
    assert sides == sorted(sides, reverse=True)
    assert len(USERS) == sides[0]
    shares = [
        route["after"]
        for revision in reversed(asked(router, "history")["revisions"])
        for route in asked(router, "show", str(revision["revision"]))["routes"]
        if route["name"] == "ANY /v1/search"
    ]
    assert set(shares) <= {100, 75, 50, 25, 0}  # a machine that stands still leaves a step out
    assert ([100, 75], 0, sorted(shares, reverse=True)) == (shares[:2], shares[-1], shares)
    assert 0 == sum(side(router, "/v1/search", user) == "new" for user in USERS)
    assert ["rollback"] == [order["kind"] for order in asked(router, "orders")["orders"]]

"""Processes die while users go on: what is lost, and what is not.  Real workers, real control, real traffic."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.rig import Router
from tests.journeys.traffic import Gate, Users, services, until

ROUTES = """\
version: 1
upstreams:
  monolith: {{endpoints: [http://127.0.0.1:{legacy}]}}
  catalog: {{endpoints: [http://127.0.0.1:{new}]}}
legacy: monolith
defaults: {{subject: [header:X-User-Id], new: catalog}}
routes:
  - {{path: /half, weight: 50}}
  - {{path: /all, weight: 100}}
  - {{path: /held, weight: 100}}
"""


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def router(gate: Gate) -> Iterator[Router]:
    with services(gate) as ports, Router(ROUTES.format(**ports), workers=2) as router:
        until(lambda: confirmed(router) == 2)
        yield router


def ask(router: Router, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=30)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        return json.loads(data) if path.startswith("/api") or path == "/readyz" else data.decode()
    finally:
        connection.close()


def confirmed(router: Router) -> int:
    return int(ask(router, "GET", "/readyz")["workers"]["confirmed"])


def pids(router: Router) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((router.state / "run.json").read_text())
    return found


def counted(router: Router) -> int:
    """All requests that the metrics know of."""
    text = ask(router, "GET", "/metrics")
    return sum(int(float(value)) for value in re.findall(r"^strangler_requests_total{.*} (\S+)$", text, re.MULTILINE))


def test_a_killed_worker_costs_only_what_it_had_in_hand(router: Router) -> None:
    """Whatever began after the kill is answered within 2 s: the queue outlives the worker, and so do the counters."""
    with Users(router.port, ("/half", "/all"), keep_alive=False) as users:
        users.wait_for(200)
        before, worker = counted(router), pids(router)["worker_pids"][0]
        os.kill(worker, signal.SIGKILL)
        killed = time.monotonic()
        users.wait_for(400, killed)
    assert [] == [one for one in users.failed() if one.began > killed]
    assert len(users.failed()) <= users.count
    assert max(one.ended - one.began for one in users.since(killed)) < 2
    until(lambda: confirmed(router) == 2)
    assert counted(router) >= before + 400


def test_a_killed_control_costs_no_request_and_no_order(router: Router) -> None:
    """Workers route on; the next control has the same orders, the same revision, and disturbs nobody."""
    answer = ask(router, "POST", "/api/v1/rollbacks", {"scope": {"route": "ANY /all"}, "reason": "errors"})
    assert answer["confirmed"], answer
    with Users(router.port, ("/half", "/all")) as users:
        users.wait_for(200)
        before = pids(router)
        killed = time.monotonic()
        os.kill(before["control"], signal.SIGKILL)
        until(lambda: pids(router)["control"] not in {None, before["control"]})
        until(lambda: confirmed(router) == 2)
        users.wait_for(200, time.monotonic())
    assert [] == users.failed()
    assert {"legacy"} == {one.side for one in users.since(killed) if one.path == "/all"}
    orders = ask(router, "GET", "/api/v1/orders")["orders"]
    assert [answer["order"]["id"]] == [order["id"] for order in orders]
    assert answer["revision"] == ask(router, "GET", "/readyz")["revision"]
    assert before["worker_pids"] == pids(router)["worker_pids"]


def test_a_rollback_works_while_a_worker_is_being_replaced(router: Router) -> None:
    """It is confirmed by the one that lives and by the one that comes."""
    os.kill(pids(router)["worker_pids"][1], signal.SIGKILL)
    answer = ask(router, "POST", "/api/v1/rollbacks", {"scope": {"all": True}, "reason": "errors"})
    assert answer["confirmed"], answer
    with Users(router.port, ("/all",)) as users:
        users.wait_for(100)
    assert {("legacy", 200)} == {(one.side, one.status) for one in users.sent}


def test_sigterm_lets_the_exchange_under_way_end(gate: Gate) -> None:
    """Nobody new is let in, whoever was in is served, then everything ends with code 0 (the rig sees to that)."""

    def let_go() -> None:
        until(lambda: not accepts(router.port))
        assert [] == users.sent
        gate.open.set()

    with services(gate) as ports:
        with Router(ROUTES.format(**ports), workers=2) as router:
            users = Users(router.port, ("/held",), count=1, keep_alive=False).__enter__()
            assert gate.arrived.wait(20)
            users.stop()
            waiting = threading.Thread(target=let_go)
            waiting.start()
        waiting.join()
        users.__exit__(None, None, None)
    assert [200] == [one.status for one in users.sent]


def accepts(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.connect()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def test_workers_need_nobody_to_route(router: Router) -> None:
    """Control stopped for good, routes.yaml gone, the store gone: users notice nothing."""
    control = pids(router)["control"]
    os.kill(control, signal.SIGSTOP)
    try:
        router.config.unlink()
        for path in router.state.glob("strangler.db*"):
            path.unlink()
        with Users(router.port, ("/half", "/all")) as users:
            users.wait_for(300)
        assert [] == users.failed()
    finally:
        os.kill(control, signal.SIGCONT)


def test_all_requests_begun_after_a_confirmed_rollback_go_to_legacy(router: Router) -> None:
    """Also on connections that were open before; none fails, and resume leads back."""
    with Users(router.port, ("/all",)) as users:
        users.wait_for(200)
        asked = time.monotonic()
        answer = ask(router, "POST", "/api/v1/rollbacks", {"scope": {"all": True}, "reason": "errors"})
        told = time.monotonic()
        users.wait_for(200, told)
        asked_back = time.monotonic()
        resumed = ask(router, "DELETE", f"/api/v1/orders/{answer['order']['id']}", {"reason": "fixed"})
        back = time.monotonic()
        users.wait_for(200, back)
    assert answer["confirmed"], answer
    assert resumed["confirmed"], resumed
    assert {"new"} == {one.side for one in users.sent if one.ended < asked}
    assert {"legacy"} == {one.side for one in users.since(told) if one.ended < asked_back}
    assert {"new"} == {one.side for one in users.since(back)}
    assert [] == users.failed()

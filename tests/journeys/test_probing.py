"""Probes against services that serve: a prober that is wrong harms nobody, a service that asks for rest gets it."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.journeys.rig import Router
from tests.journeys.serving import served
from tests.journeys.traffic import Users, until

HEALTH = "{path: /healthz, interval: 200ms, timeout: 5s, down: 3, up: 3, min_down: 1s, ramp: 0}"


class Service:
    """Answers every request with 200, and its probes with what the test wants."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.health = 200
        self.probed = 0
        self.served = 0
        self.between = False
        """A probe is answered only when a request has been, since the last one."""
        self._served_before = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                probe = self.path == "/healthz"
                if probe and service.between:
                    service.serve_between()
                service.probed += probe
                service.served += not probe
                self.send_response(service.health if probe else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        with served(Handler) as (self.port,):
            yield

    def serve_between(self) -> None:
        until(lambda: self.served > self._served_before)
        self._served_before = self.served


@pytest.fixture
def services() -> Iterator[dict[str, Service]]:
    made = {name: Service(name) for name in ("old", "a", "b")}
    with ExitStack() as stack:
        for each in made.values():
            stack.enter_context(each.listening())
        yield made


def table(services: dict[str, Service], *, sites: str = "ab") -> str:
    places = ", ".join(f"{site}: [http://127.0.0.1:{services[site].port}]" for site in sites)
    return f"""
version: 1
upstreams:
  old: {{endpoints: [http://127.0.0.1:{services["old"].port}], health: {HEALTH}}}
  new: {{sites: {{{places}}}, health: {HEALTH}}}
legacy: old
defaults: {{new: new, subject: [header:X-User-Id], fallback: off}}
routes:
  - {{path: '/things/{{id}}', name: things, weight: 50}}
"""


def ask(router: Router, path: str) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=30)) as connection:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def statuses(router: Router) -> dict[str, str]:
    """By endpoint, without `http://127.0.0.1:`."""
    found = ask(router, "/api/v1/sites")
    targets = [*found["endpoints"], *(target for site in found["sites"] for target in site["targets"])]
    return {target["endpoint"].rpartition(":")[2]: target["status"] for target in targets}


def more_probes(*services: Service, count: int = 8) -> None:
    """Each of them has been probed so many times more."""
    before = [each.probed for each in services]
    until(lambda: all(each.probed >= known + count for each, known in zip(services, before, strict=True)), 60)


def users_of(router: Router) -> Users:
    return Users(router.port, ("/things/1", "/things/2"), count=4)


def sides(users: Users, moment: float) -> set[tuple[str, int]]:
    users.wait_for(300, moment)
    return set(Counter((one.side, one.status) for one in users.since(moment)))


def is_left_alone(service: Service, users: Users) -> bool:
    """Have fifty more requests passed it by?  What was on its way has arrived then."""
    served = service.served
    users.wait_for(50, time.monotonic())
    return served == service.served


@pytest.mark.timeout(120)
def test_a_probe_path_that_is_wrong_everywhere_harms_nobody(services: dict[str, Service]) -> None:
    """Every first probe is a 404, so everything looks dead: the prober is distrusted, and the shares are kept."""
    for each in services.values():
        each.health = 404
    with Router(table(services), workers=2) as router, users_of(router) as users:
        until(lambda: set(statuses(router).values()) == {"down"})
        (change,) = ask(router, "/api/v1/sites")["changes"]
        assert "panic" == change["why"]
        assert {("new", 200), ("legacy", 200)} == sides(users, time.monotonic())
        more_probes(*services.values())
        assert {("new", 200), ("legacy", 200)} == sides(users, time.monotonic())
    assert [] == users.failed()


@pytest.mark.timeout(120)
def test_a_probe_path_that_goes_wrong_takes_nothing_out_that_serves(services: dict[str, Service]) -> None:
    """Only the new side's probes fail, for long; its answers to users say otherwise."""
    with Router(table(services), workers=2) as router, users_of(router) as users:
        until(lambda: set(statuses(router).values()) == {"up"})
        users.wait_for(100)
        for each in (services["a"], services["b"]):
            each.between = True  # users may be slower than probes, where the machine is busy
            each.health = 404
        more_probes(services["a"], services["b"], count=12)
        assert {"up"} == set(statuses(router).values())
        assert {("new", 200), ("legacy", 200)} == sides(users, time.monotonic())
    assert [] == users.failed()


@pytest.mark.timeout(120)
def test_a_service_that_asks_for_rest_gets_it_and_nobody_fails(services: dict[str, Service]) -> None:
    """503 at the probe's path, while it still answers users well: requests go to the other site, and nobody fails."""
    with Router(table(services), workers=2) as router, users_of(router) as users:
        until(lambda: services["a"].served and services["b"].served)
        services["a"].health = 503
        until(lambda: statuses(router)[str(services["a"].port)] == "down")
        until(lambda: is_left_alone(services["a"], users))
        served = services["a"].served
        assert {("new", 200), ("legacy", 200)} == sides(users, time.monotonic())
        assert served == services["a"].served
        services["a"].health = 200
        until(lambda: services["a"].served > served, 60)
    assert [] == users.failed()


@pytest.mark.timeout(120)
def test_probes_follow_the_table(services: dict[str, Service]) -> None:
    """What is gone is probed no more, what stays goes on, and what comes gets nothing before its first probe."""
    services["b"].health = 404
    with Router(table(services, sites="a"), workers=1) as router:
        more_probes(services["old"], services["a"], count=2)
        assert 0 == services["b"].probed
        router.config.write_text(table(services))
        until(lambda: str(services["b"].port) in statuses(router))
        with users_of(router) as users:
            users.wait_for(200)
            until(lambda: statuses(router)[str(services["b"].port)] == "down")
            assert 0 == services["b"].served
        router.config.write_text(table(services, sites="b"))
        until(lambda: str(services["a"].port) not in statuses(router))
        probed = services["a"].probed
        more_probes(services["old"], services["b"])
        assert services["a"].probed <= probed + 1

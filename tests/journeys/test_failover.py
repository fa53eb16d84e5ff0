"""Endpoints, a site, a side die by SIGKILL while users go on: nobody but the figures may notice.

Every endpoint is a process of its own.  Two witnesses: users, and the endpoints themselves, which stamp each request as
it begins.
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from bench.ports import free_port
from tests.journeys.rig import ROOT, Router
from tests.journeys.stamped import Starts, answers
from tests.journeys.traffic import Users, until

NAMES = ("old", "a1", "a2", "b1")
HEALTH = "{path: /, interval: 500ms, timeout: 2s, down: 3, up: 3, min_down: 3s, ramp: 2s}"


class Endpoint:
    """One process that answers, until it is killed; it can be started again at the same address."""

    def __init__(self, name: str) -> None:
        self.name, self.port = name, free_port()
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "bench.upstream", f"{self.name}:{self.port}"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
        until(lambda: answers(self.port))

    def kill(self) -> float:
        """When it died."""
        return kill(self)

    def starts(self) -> list[tuple[float, str]]:
        """When requests of users have begun here since the last look, and their paths; probes ask for /."""
        with closing(Starts(self.port)) as log:
            return [(at, path) for _, at, path in log.take() if path != "/"]


def kill(*endpoints: Endpoint) -> float:
    """All at once; when they were dead.

    One after the other would be another story: what the first has lost is repeated at the second, and what that loses
    too is repeated only within the budget (`router.core.attempt`).
    """
    for each in endpoints:
        each.process.send_signal(signal.SIGKILL)
    for each in endpoints:
        each.process.wait()
    return time.monotonic()


@pytest.fixture
def endpoints() -> Iterator[dict[str, Endpoint]]:
    started = {name: Endpoint(name) for name in NAMES}
    try:
        yield started
    finally:
        for each in started.values():
            each.process.kill()
            each.process.wait()


def table(endpoints: dict[str, Endpoint], weight: int = 100, sites: str = "a: {weight: 50}, b: {weight: 50}") -> str:
    def urls(*names: str) -> str:
        return json.dumps([f"http://127.0.0.1:{endpoints[name].port}" for name in names])

    return f"""
version: 1
upstreams:
  old: {{endpoints: {urls("old")}, health: {HEALTH}}}
  new:
    sites: {{a: {urls("a1", "a2")}, b: {urls("b1")}}}
    health: {HEALTH}
sites: {{{sites}}}
legacy: old
defaults: {{new: new, subject: [header:X-User-Id], fallback: off}}
routes:
  - {{path: '/things/{{id}}', name: things, weight: {weight}}}
"""


def ask(router: Router, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=30)) as connection:
        connection.request(method, path, json.dumps(body or {}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = json.loads(answer.read())
        assert answer.status < 300, found
        return found


def users_of(router: Router) -> Users:
    return Users(router.port, tuple(f"/things/{number}" for number in range(50)), count=6)


def is_busy(*endpoints: Endpoint) -> None:
    """Each of them has been asked; from now on it stamps."""
    for each in endpoints:
        each.starts()
        until(lambda each=each: each.starts())  # type: ignore[misc]


def after(moment: float, users: Users, count: int = 300) -> Counter[tuple[str, int]]:
    """Sides and statuses of the requests that began after a moment."""
    until(lambda: len(users.since(moment)) >= count)
    return Counter((one.side, one.status) for one in users.since(moment))


@pytest.mark.timeout(120)
def test_an_endpoint_that_dies_is_not_noticed(
    endpoints: dict[str, Endpoint], figure: Callable[[str, str], None]
) -> None:
    """One of two at a site, with its requests under way: not one fails, nobody changes side."""
    with Router(table(endpoints), workers=2) as router, users_of(router) as users:
        is_busy(endpoints["a1"], endpoints["a2"], endpoints["b1"])
        died = endpoints["a1"].kill()
        assert {("new", 200)} == set(after(died, users))
        assert endpoints["a2"].starts()
    rate = len(users.sent) / (users.sent[-1].ended - users.sent[0].began)
    figure("an endpoint killed: failed requests", f"{len(users.failed())} of {len(users.sent)} at {rate:.0f}/s")
    assert [] == users.failed()


@pytest.mark.timeout(120)
def test_a_site_that_dies_is_taken_over_and_comes_back_slowly(
    endpoints: dict[str, Endpoint], figure: Callable[[str, str], None]
) -> None:
    """No GET fails, no side changes; the site gets nothing before it has been well for long enough, then a part."""
    with Router(table(endpoints), workers=2) as router, users_of(router) as users:
        is_busy(endpoints["a1"], endpoints["a2"], endpoints["b1"])
        died = kill(endpoints["a1"], endpoints["a2"])
        assert {("new", 200)} == set(after(died, users))
        until(lambda: state(router, "a") == "down")
        seen = time.monotonic()
        for name in ("a1", "a2"):
            endpoints[name].start()
            endpoints[name].starts()
        back = time.monotonic()
        until(lambda: endpoints["a1"].starts() or endpoints["a2"].starts(), 60)
        first = time.monotonic()
        assert {("new", 200)} == set(after(first, users))
    figure("a site killed: failed requests", f"{len(users.failed())} of {len(users.sent)}")
    figure("a site killed: known to control after", f"{seen - died:.1f} s; first request {first - back:.1f} s after")
    assert first - died >= 3.0  # min_down; it was known to be down only after it died
    assert [] == users.failed()


def state(router: Router, site: str) -> str:
    return next(each["state"] for each in ask(router, "GET", "/api/v1/sites")["sites"] if each["name"] == site)


@pytest.mark.timeout(120)
def test_when_the_whole_new_side_dies_legacy_serves(
    endpoints: dict[str, Endpoint], figure: Callable[[str, str], None]
) -> None:
    """Without a fallback policy too: once it is known to be dead nobody is sent there."""
    with Router(table(endpoints), workers=2) as router, users_of(router) as users:
        is_busy(endpoints["a1"], endpoints["a2"], endpoints["b1"])
        died = max(endpoints[name].kill() for name in ("a1", "a2", "b1"))
        until(lambda: users.sent[-1].side == "legacy" and users.sent[-1].status == 200)
        until(lambda: [state(router, site) for site in "ab"] == ["down", "down"])
        known = time.monotonic()
        assert {("legacy", 200)} == set(after(known, users))
    last = max((one.ended for one in users.failed()), default=died)
    figure("a side killed: last failure", f"{last - died:.2f} s after, {len(users.failed())} of {len(users.sent)}")
    assert last - died < 10


@pytest.mark.timeout(120)
def test_a_drained_site_gets_nothing_after_the_confirmation_and_nobody_fails(
    endpoints: dict[str, Endpoint], figure: Callable[[str, str], None]
) -> None:
    """And everything again once it is on."""
    with Router(table(endpoints, weight=60), workers=2) as router, users_of(router) as users:
        is_busy(endpoints["a1"], endpoints["a2"], endpoints["b1"])
        said = ask(router, "POST", "/api/v1/drains", {"scope": {"site": "a"}, "reason": "maintenance"})
        confirmed = time.monotonic()
        assert said["confirmed"], said
        after(confirmed, users)
        late = [at for name in ("a1", "a2") for at, _ in endpoints[name].starts() if at > confirmed]
        assert endpoints["b1"].starts()
        ask(router, "POST", "/api/v1/sites/a/on", {"reason": "done"})
        until(endpoints["a1"].starts)
    figure("a site drained: failed requests", f"{len(users.failed())} of {len(users.sent)}, {len(late)} late starts")
    assert ([], []) == (users.failed(), late)

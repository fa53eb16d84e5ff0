"""Legacy against legacy over real HTTP: some users always fail, or wait, and identical sides are not told apart."""

from __future__ import annotations

import http.client
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.journeys.rig import ROOT, Router
from tests.journeys.serving import served
from tests.journeys.traffic import until

USERS = 80
BROKEN = ("0", "1")
"""They send a third of all requests, in vain."""
SLOW = ("2", "3")
ROUTES = """\
version: 1
legacy: old
upstreams: {old: {endpoints: ["http://127.0.0.1:%d"]}}
routes:
  - {path: /a, name: a, subject: ["header:X-User-Id"]}
  - {path: /b, name: b}
"""


class Legacy(BaseHTTPRequestHandler):
    """Fails for some, lets others wait."""

    asked = 0

    def do_GET(self) -> None:
        user = self.headers["X-User-Id"]
        Legacy.asked += 1
        if user in SLOW:
            time.sleep(0.03)
        self.send_response(500 if user in BROKEN else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


def user(port: int, number: int, stop: threading.Event) -> None:
    """Requests of all users, one behind the other."""
    chance = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not stop.wait(0.002):
        who = chance.choice(BROKEN) if chance.random() < 1 / 3 else str(chance.randrange(USERS))
        connection.request("GET", "/a", headers={"X-User-Id": who})
        connection.getresponse().read()
    connection.close()


@contextmanager
def busy() -> Iterator[Router]:
    """A router with two workers, and traffic on route `a` alone."""
    stop = threading.Event()
    with served(Legacy) as (legacy,), Router(ROUTES % legacy, workers=2) as router:
        users = [threading.Thread(target=user, args=(router.port, number, stop)) for number in range(4)]
        for each in users:
            each.start()
        try:
            yield router
        finally:
            stop.set()
            for each in users:
                each.join()


def command(router: Router, *words: str) -> list[str]:
    place = ["--admin", f"http://127.0.0.1:{router.admin_port}"]
    return [sys.executable, "-m", "control", "rollout", "aa", *words, *place]


def aa(router: Router, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(router, *words), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def live(router: Router) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=20)
    try:
        connection.request("GET", "/api/v1/rollouts/aa/live")
        return json.loads(connection.getresponse().read())["test"]
    finally:
        connection.close()


def test_identical_sides_are_not_told_apart_by_users_who_always_fail() -> None:
    """From the users to the table: what they ask is counted, a client once, and no rollout is rolled back."""
    with busy() as router:
        before = Legacy.asked
        until(lambda: Legacy.asked > before + 700)
        said = aa(router, "a", "--for", "6s", "--json")
        assert 0 == said.returncode, said.stdout + said.stderr
        assert "answers of legacy" in said.stderr
        found = json.loads(said.stdout)
        assert ("done", "equal", True) == (found["phase"], found["standing"], USERS / 4 < found["clients"] <= USERS)
        assert found["answers"] > 100
        assert found["failures"] > found["answers"] / 5
        assert len(BROKEN) == found["errors"]
        assert 3 == len(found["slow"])
        assert [(1.0, 100, 0), (5.0, 100, 0), (25.0, 100, 0), (50.0, 100, 0)] == [
            (each["share"], each["rollouts"], each["rollbacks"]) for each in found["shares"]
        ]
        assert sum(each["unruled"] for each in found["shares"]) > 0
        said = aa(router, "b", "--for", "5s", "--share", "25")
        assert (1, True) == (said.returncode, "is there traffic on this route?" in said.stdout), said.stdout


def test_one_at_a_time_and_whoever_leaves_stops_it() -> None:
    """The second is told who is at it; Ctrl-C ends the test, and the workers' tapes with it."""
    with busy() as router:
        first = subprocess.Popen(
            command(router, "a", "--for", "10m"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            until(lambda: (test := live(router)) and test["answers"] > 0)
            second = aa(router, "b")
            assert 1 == second.returncode
            assert "one at a time" in second.stderr
            assert " tests a since " in second.stderr
            first.send_signal(signal.SIGINT)
            first.communicate(timeout=60)
            assert 130 == first.returncode
        finally:
            first.kill()
            first.wait()
        until(lambda: live(router)["phase"] == "stopped")
        again = aa(router, "a", "--for", "5s", "--share", "50")
        assert 0 == again.returncode, again.stdout + again.stderr
        assert "50 %       100" in again.stdout
        assert "in none of 100 rollouts" in again.stdout

"""Rollouts over real HTTP: a bad new side is found and left, a killed control goes on, a person's word counts."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.rig import ROOT, Router
from tests.journeys.serving import served
from tests.journeys.traffic import until


class Side:
    """One side: what it was asked, when it failed, and how much of it does."""

    def __init__(self, failing: float = 0.0) -> None:
        self.failing = failing
        self.asked = 0
        self.failed: list[float] = []
        self.broken = ""
        """A user whose every request fails here."""
        self.chance = random.Random(7)

    def fails(self, user: str) -> bool:
        self.asked += 1
        if user != self.broken and self.chance.random() >= self.failing:
            return False
        self.failed.append(time.time())
        return True


@contextmanager
def serving(side: Side) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(500 if side.fails(self.headers["X-User-Id"]) else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    with served(Handler) as (port,):
        yield port


class Shop:
    """A router with one route that may be moved, both of its sides, and users who never pause."""

    def __init__(self, router: Router, legacy: Side, new: Side) -> None:
        self.router, self.legacy, self.new = router, legacy, new
        self.failed: list[str] = []
        """Ids of the failed requests, as users have seen them."""
        self.people = 0
        """So many users take turns; 0: each request is somebody else's."""
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._user, args=(number,)) for number in range(4)]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _user(self, user: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.router.port, timeout=30)
        number = 0
        while not self._stop.wait(0.001):
            number += 1
            who = f"{user}-{number}" if not self.people else f"user-{number % self.people}"
            try:
                connection.request("GET", "/a", headers={"X-User-Id": who})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):  # its worker was killed
                connection.close()
                continue
            if answer.status == 500:
                self.failed.append(answer.headers["X-Request-Id"])
        connection.close()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """None: control is not there at this moment."""
        connection = http.client.HTTPConnection("127.0.0.1", self.router.admin_port, timeout=20)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            found = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        else:
            return found if answer.status == 200 else None
        finally:
            connection.close()

    def do(self, what: str, **more: object) -> Any:
        body = {"do": what, "scope": {"route": "a"}, "reason": "a journey"} | more
        return self.ask("POST", "/api/v1/rollouts", body)

    def run(self) -> dict[str, Any]:
        """The newest run; empty while control is not there, or there is none."""
        found = self.ask("GET", "/api/v1/rollouts?route=a")
        runs = found["rollouts"] if found else []
        return runs[0] if runs else {}

    def is_at(self, phase: str, step: int | None = None) -> bool:
        run = self.run()
        return run.get("phase") == phase and step in {None, run["step"]}

    def log(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        while more := self.ask("GET", f"/api/v1/rollouts/log?limit=500&after={lines[-1]['number'] if lines else 1}"):
            if not more["lines"]:
                break
            lines += more["lines"]
        return lines

    def weights(self) -> list[str]:
        """What the controller ordered, the oldest first."""
        found = self.ask("GET", "/api/v1/revisions?limit=500&whole=true")
        mine = [each for each in found["revisions"] if each["actor"] == "rollout"]
        return [each["reason"] for each in reversed(mine)]

    def control_pid(self) -> int | None:
        for pid in self.router.pids():
            try:
                if b"control.main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
            except OSError:
                continue
        return None

    def kill_control(self) -> int:
        """And waits for its successor; the id of the one that died."""
        until(lambda: self.control_pid() is not None)
        pid = self.control_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.control_pid() not in {None, pid} and self.ask("GET", "/api/v1/rollouts"), 30)
        return pid

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "control", "rollout", *words]
        command += ["--admin", f"http://127.0.0.1:{self.router.admin_port}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


PLANS = "plans: {quick: {steps: [%s], time: 1s, bake: 1s, sample: 20, clients: %d}}\n"


@contextmanager
def shop(
    steps: str, failing: float = 0.0, handling: str = "breaker: off", *, people: int = 0, clients: int = 0
) -> Iterator[Shop]:
    legacy, new = Side(), Side(failing)
    with serving(legacy) as old_port, serving(new) as new_port:
        routes = (
            "version: 1\nlegacy: old\nupstreams:\n"
            f"  old: {{endpoints: [http://127.0.0.1:{old_port}]}}\n  new: {{endpoints: [http://127.0.0.1:{new_port}]}}\n"
            + PLANS % (steps, clients)
            + f"routes:\n  - {{path: /a, name: a, new: new, rollout: quick, subject: [header:X-User-Id], {handling}}}\n"
        )
        with Router(routes, workers=2) as router:
            made = Shop(router, legacy, new)
            made.people = people
            made.begin()
            try:
                yield made
            finally:
                made.end()


def test_a_new_side_that_fails_half_of_its_requests_is_left_at_once(figure: Callable[[str, str], None]) -> None:
    """At 1 %: after 15 failed requests at most, and within two seconds of the one that decided."""
    with shop("1, 100", failing=0.5) as here:
        until(lambda: here.legacy.asked > 200)
        assert here.do("start")
        until(lambda: here.is_at("rolled-back"), 60)
        log = here.log()
        (verdict,) = (line["body"]["verdict"] for line in log if line["kind"] == "rollout.rolling_back")
        (rolled_back,) = (line for line in log if line["kind"] == "rollout.rolled_back")
        deciding = max(moment for moment in here.new.failed if moment <= verdict["at"])
        took = rolled_back["at"] - deciding
        figure(
            "50 % errors at 1 % weight, real HTTP, automatic",
            f"rolled back after {len(here.new.failed)} failed requests, {took:.2f} s after the deciding one",
        )
        assert len(here.new.failed) <= 15
        assert took < 2 + 3, "a busy machine gets three seconds more"
        assert "new" in verdict["sentence"] and "legacy" in verdict["sentence"]
        (first, first_id), (last, last_id) = verdict["first"], verdict["last"]
        assert {first_id, last_id} <= set(here.failed), "the users who saw it fail can look it up"
        assert first <= last <= verdict["at"]
        asked = here.new.asked
        legacy = here.legacy.asked
        until(lambda: here.legacy.asked > legacy + 200)
        assert asked == here.new.asked
        orders = here.ask("GET", "/api/v1/orders")["orders"]
        (rollback,) = (order for order in orders if order["kind"] == "rollback")
        assert ("rollout", verdict["sentence"]) == (rollback["actor"], rollback["reason"].rpartition(" [")[0])
        said = here.cli("status", "a")
        assert 0 == said.returncode
        assert "ROLLBACK route a" in said.stdout
        assert first_id in said.stdout


def test_a_broken_client_that_tries_again_and_again_rolls_nothing_back() -> None:
    """Two hundred failures of one user on the new side alone are one error; those of many users are many."""
    with shop("50, 100") as here:
        assert here.do("start")
        until(lambda: here.is_at("judging", 1), 60)
        connection = http.client.HTTPConnection("127.0.0.1", here.router.port, timeout=30)

        def side(user: str) -> str:
            connection.request("GET", "/a", headers={"X-User-Id": user})
            answer = connection.getresponse()
            answer.read()
            return str(answer.headers["X-Strangler-Side"])

        here.new.broken = next(user for user in map(str, range(100)) if side(user) == "new")
        for _ in range(200):
            side(here.new.broken)
        connection.close()
        assert 200 == len(here.new.failed)

        def failures() -> int:
            verdict = here.run().get("verdict")
            return 0 if not verdict else sum(span["new_bad"] for span in verdict["spans"])

        until(lambda: failures() >= 1)
        assert 1 == failures()
        assert here.is_at("judging", 1)
        here.new.failing = 0.5
        until(lambda: here.is_at("rolled-back"), 60)
        verdict = here.run()["verdict"]
        assert verdict["first"][1] and verdict["last"][1], "the requests that spoke against new can be looked up"


def test_a_step_waits_until_enough_people_have_met_it() -> None:
    """Twenty users who ask thousands of times are twenty, over two workers and the successor of one that was killed."""
    with shop("50, 100", people=20, clients=30) as here:
        assert here.do("start")
        until(lambda: here.is_at("judging", 1) and here.run()["waits"] == ["clients: at least 30"], 90)
        os.kill(json.loads((here.router.state / "run.json").read_text())["worker_pids"][0], signal.SIGKILL)
        asked = here.new.asked
        until(lambda: here.new.asked > asked + 500)
        assert (True, ["clients: at least 30"]) == (here.is_at("judging", 1), here.run()["waits"])
        here.people = 0
        until(lambda: here.is_at("judging", 2), 60)


def test_control_is_killed_and_takes_each_step_once() -> None:
    """kill -9 at the start, while a step is judged, and upon a promotion: 10, 50 and 100 %, each ordered once."""
    with shop("10, 50, 100") as here:
        until(lambda: here.legacy.asked > 100)
        assert here.do("start")
        killed = {here.kill_control()}
        until(lambda: here.is_at("judging", 1), 60)
        killed.add(here.kill_control())
        until(lambda: here.do("promote", without_evidence=True), 60)
        killed.add(here.kill_control())
        until(lambda: here.is_at("judging", 2), 60)
        until(lambda: here.do("promote", without_evidence=True), 60)
        until(lambda: here.is_at("done"), 90)
        assert 3 == len(killed)
        steps = [reason.partition("step ")[2].partition(",")[0] for reason in here.weights()]
        assert ["1 of 3", "2 of 3", "3 of 3"] == steps
        assert 100 == here.ask("GET", "/api/v1/routes/a")["effective"]


def test_a_new_side_is_left_for_failures_that_no_user_has_seen() -> None:
    """Legacy steps in for each of them: a fallback hides a failure from users, and not from whoever judges."""
    with shop("1, 100", failing=0.5, handling="breaker: off, fallback: {on: [500]}") as here:
        until(lambda: here.legacy.asked > 200)
        assert here.do("start")
        until(lambda: here.is_at("rolled-back"), 60)
        (verdict,) = (line["body"]["verdict"] for line in here.log() if line["kind"] == "rollout.rolling_back")
        assert ([], True) == (here.failed, len(here.new.failed) <= 15)
        assert len(here.new.failed) >= sum(span["new_bad"] for span in verdict["spans"]) > 0
        assert verdict["first"] is not None


def test_what_failed_while_control_was_away_is_evidence_when_it_is_back() -> None:
    """A restart makes nothing vanish: the first request of the verdict failed before control was there again."""
    with shop("10, 100") as here:
        assert here.do("start")
        # what is told to people is a moment ahead of the record, and only what is recorded outlives a process
        until(lambda: "rollout.step" in {line["kind"] for line in here.log()}, 60)
        pid = here.control_pid()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # it does nothing any more, and is not started anew yet
        here.new.failing = 1.0
        until(lambda: len(here.new.failed) > 20)
        here.new.failing = 0.0
        os.kill(pid, signal.SIGKILL)
        until(lambda: here.control_pid() not in {None, pid} and here.ask("GET", "/api/v1/rollouts"), 30)
        until(lambda: here.is_at("rolled-back"), 60)
        (verdict,) = (line["body"]["verdict"] for line in here.log() if line["kind"] == "rollout.rolling_back")
        assert verdict["first"][1] in here.failed
        assert sum(span["new_bad"] for span in verdict["spans"]) <= len(here.failed)


def test_a_persons_weight_pauses_the_rollout_and_the_command_line_goes_on() -> None:
    """What the person ordered holds until somebody resumes; then the step is taken again."""
    with shop("10, 100") as here:
        assert 0 == here.cli("start", "a", "--reason", "a journey").returncode
        until(lambda: here.is_at("judging", 1), 60)
        weight = {"weight": 30, "reason": "I know better"}
        assert here.ask("PUT", "/api/v1/routes/a/weight", weight)
        until(lambda: "its share was changed: 30 %" in (here.run().get("paused") or ""))
        refused = here.cli("promote", "a", "--reason", "go")
        assert (1, True) == (refused.returncode, "resume it first" in refused.stderr)
        assert 30 == here.ask("GET", "/api/v1/routes/a")["effective"]
        assert 0 == here.cli("resume", "a", "--reason", "go on").returncode
        until(lambda: here.is_at("judging", 1) and here.ask("GET", "/api/v1/routes/a")["effective"] == 10)
        assert 0 == here.cli("abort", "a", "--reason", "enough").returncode
        until(lambda: here.is_at("aborted"))
        assert 0 == here.ask("GET", "/api/v1/routes/a")["effective"]


@pytest.mark.parametrize(
    "words", [("plan",), ("plan", "a", "--explain"), ("replay",), ("aa", "a", "--recorded"), ("drill",), ("status",)]
)
def test_every_question_has_an_answer_from_the_first_moment(asked: Shop, words: tuple[str, ...]) -> None:
    """Before there was any rollout, and in both forms."""
    said = asked.cli(*words)
    assert (0, "") == (said.returncode, said.stderr)
    assert said.stdout
    assert isinstance(json.loads(asked.cli(*words, "--json").stdout), dict)


@pytest.fixture(scope="module")
def asked() -> Iterator[Shop]:
    with shop("10, 100") as here:
        yield here

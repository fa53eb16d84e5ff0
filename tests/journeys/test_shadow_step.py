"""The shadow step of a rollout over real HTTP: users stay with legacy until both sides were seen to say the same."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from bench.ports import free_port
from tests.journeys.rig import ROOT, Router
from tests.journeys.serving import served
from tests.journeys.traffic import until

ROUTES = """\
version: 1
legacy: old
upstreams:
  old: {{endpoints: [http://127.0.0.1:{old}]}}
  new: {{endpoints: [http://127.0.0.1:{new}]}}
plans:
  quick: {{steps: [shadow, 50], time: 1s, bake: 1s, sample: 100, clients: 0, mismatch: 1}}
defaults: {{timeout: 2s}}
routes:
  - path: "/things/{{id}}"
    name: a
    new: new
    rollout: quick
    subject: [header:X-User-Id]
    shadow: {{percent: 100, compare: true}}
"""
PRICE = 1200
PROVEN = 600
"""Comparisons without a difference that a tolerance of 1 % takes at least, for an E of 100 before the last step."""


class Side:
    """One service: who it is, what it was asked, and what is wrong with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.copies = 0
        """Copies that have arrived."""
        self.differing = 0
        """One of so many answers has another price; 0: none has."""
        self.well = threading.Event()
        """Unless it is set no request is answered."""
        self.well.set()
        self.gone = False
        """Who still waits for an answer gets none."""

    def answer(self, path: str, number: int) -> bytes:
        amount = PRICE + 50 if self.differing and number % self.differing == 0 else PRICE
        return json.dumps({"path": path, "price": {"amount": amount}, "trace": str(uuid.uuid4())}).encode()


@contextmanager
def serving(side: Side) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            side.copies += "X-Strangler-Shadow" in self.headers
            side.well.wait(60)
            if side.gone:
                self.close_connection = True
                return
            body = side.answer(self.path, side.copies)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Served-By", side.name)
            self.end_headers()
            self.wfile.write(body)

    with served(Handler, port=side.port):
        side.gone = False
        try:
            yield
        finally:
            side.gone = True
            side.well.set()


@dataclass(frozen=True)
class Seen:
    """What a user got."""

    status: int
    by: str
    price: int
    request: str


class Shop:
    """A router, both services, and users who ask all the time."""

    def __init__(self, router: Router, new: Side) -> None:
        self.router, self.new = router, new
        self.seen: list[Seen] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._user, args=(number,)) for number in range(3)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """No user asks any more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _user(self, user: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self.router.port, timeout=30)) as connection:
            number = 0
            while not self._stop.wait(0.002):
                number += 1
                connection.request("GET", f"/things/{number}", headers={"X-User-Id": f"{user}-{number}"})
                answer = connection.getresponse()
                body, found = json.loads(answer.read()), answer.headers
                price = body.get("price", {}).get("amount", 0)
                self.seen.append(Seen(answer.status, found["X-Served-By"] or "", price, found["X-Request-Id"]))

    def more(self, count: int) -> list[Seen]:
        """What users see from now on."""
        before = len(self.seen)
        until(lambda: len(self.seen) >= before + count, 60)
        return self.seen[before:]

    def ask(self, path: str) -> Any:
        with closing(http.client.HTTPConnection("127.0.0.1", self.router.admin_port, timeout=20)) as connection:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())

    def run(self) -> dict[str, Any]:
        """The newest run."""
        runs = self.ask("/api/v1/rollouts?route=a")["rollouts"]
        return dict(runs[0]) if runs else {}

    def told(self, kind: str) -> list[dict[str, Any]]:
        lines = self.ask("/api/v1/rollouts/log?limit=500")["lines"]
        return [line["body"] for line in lines if line["kind"] == kind]

    def steps(self) -> list[str]:
        """Those that were in force everywhere, the oldest first."""
        return [each["step"] for each in self.told("rollout.step")]

    def share(self) -> float:
        return float(self.ask("/api/v1/routes/a")["effective"])

    def cli(self, *words: str) -> str:
        """What a command says; it has to succeed."""
        done = self._command(*words)
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout

    def refused(self, what: str, *words: str) -> str:
        """Why the rollout cannot have that."""
        done = self._command("rollout", what, "a", "--reason", "a journey", *words)
        assert 1 == done.returncode
        return done.stderr

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "control", *words, "--admin", f"http://127.0.0.1:{self.router.admin_port}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    def start(self) -> None:
        self.cli("rollout", "start", "a", "--reason", "a journey")

    def compared(self) -> Counter[str]:
        """What comparing came to so far, by verdict and by who failed."""
        (row,) = self.ask("/api/v1/shadow")["routes"]
        return Counter(row["verdicts"]) + Counter(row["failures"])

    def recorded(self) -> Counter[str]:
        """What the shadow step has for evidence, according to the log."""
        found: Counter[str] = Counter()
        for line in self.ask("/api/v1/rollouts/log?evidence=true&limit=500")["lines"]:
            for row in line["body"].get("rows", ()):
                if row["share"] == 0:
                    shadow = row.get("shadow", {})
                    found += Counter({"compared": shadow.get("compared", 0), "tripled": shadow.get("tripled", 0)})
        return found

    def stays_with_legacy(self, count: int = 300) -> list[Seen]:
        """So many requests more, each of them answered by legacy as ever."""
        seen = self.more(count)
        assert {(200, "legacy", PRICE)} == {(each.status, each.by, each.price) for each in seen}
        assert 0 == self.share()
        return seen

    def goes_on(self) -> None:
        """Nobody does anything, and half of the users are on the new side."""
        until(lambda: self.steps()[-1] == "50 %", 60)
        assert 50 == self.share()
        seen = self.more(100)
        assert {"legacy", "new"} == {each.by for each in seen}
        assert {(200, PRICE)} == {(each.status, each.price) for each in seen}


@contextmanager
def shop(new: Side, *, runs: bool = True) -> Iterator[Shop]:
    """`runs`: the new service is started here as well; otherwise that is the test's affair."""
    legacy = Side("legacy")
    with ExitStack() as stack:
        stack.enter_context(serving(legacy))
        if runs:
            stack.enter_context(serving(new))
        router = stack.enter_context(Router(ROUTES.format(old=legacy.port, new=new.port), workers=1))
        yield stack.enter_context(Shop(router, new))


def test_an_equal_new_side_passes_the_shadow_step_by_itself() -> None:
    """Not before enough comparisons are recorded; until then nobody is answered by it."""
    with shop(Side("new")) as here:
        here.start()
        until(lambda: here.steps() == ["shadow"])
        assert {"legacy"} == {each.by for each in here.seen}
        here.goes_on()
        assert ["shadow", "50 %"] == here.steps()
        found = here.recorded()
        assert found["compared"] >= PROVEN
        assert 0 < found["tripled"] <= found["compared"]
        assert [] == here.told("rollout.held")


def test_a_new_side_that_differs_is_held_at_the_shadow_step_and_a_new_run_goes_on_once_it_is_mended() -> None:
    """Users see nothing of it; the status says what differed, how often, and in which requests."""
    new = Side("new")
    new.differing = 4
    with shop(new) as here:
        until(lambda: here.compared()["mismatched"] > 0, 60)  # it was compared before anybody started a rollout
        here.start()
        until(lambda: here.run().get("held") and here.run()["verdict"]["standing"] == "failed", 60)
        here.stays_with_legacy()
        run, status = here.run(), here.cli("rollout", "status", "a")
        verdict = run["verdict"]
        assert ("judging", 1, "failed") == (run["phase"], run["step"], run["standing"])
        assert ("hold", "mismatches") == (verdict["kind"], verdict["metric"])
        (span,) = verdict["spans"]
        assert 0 == span["share"]
        assert span["legacy_bad"] < span["new_bad"] < span["new_all"]
        ids = [verdict["first"][1], verdict["last"][1]]
        assert set(ids) <= {each.request for each in here.seen}
        counted = f"new {span['new_bad']:,} of {span['new_all']:,}"
        for words in ("HOLD route a; mismatches, failed", counted, f"requests {ids[0]} to {ids[1]}"):
            assert words in " ".join(status.split())
        report = here.ask("/api/v1/shadow/a")
        assert "$.price.amount" == max(report["places"], key=lambda place: place["count"])["path"]
        assert "evidence holds it back" in here.refused("promote", "--without-evidence")
        new.differing = 0
        equal = here.compared()["matched"]
        until(lambda: here.compared()["matched"] >= equal + PROVEN, 60)
        here.stays_with_legacy()
        assert here.run()["held"], "what was proven in this run stays proven"
        here.cli("rollout", "abort", "a", "--reason", "the price is mended")
        here.start()
        here.goes_on()
        assert (["shadow", "shadow", "50 %"], 2) == (here.steps(), here.run()["run"])


def test_a_new_side_that_hangs_and_then_is_down_holds_up_the_rollout_and_no_user() -> None:
    """Users are answered while not one copy is; when it answers at last the rollout goes on by itself."""
    new, listening = Side("new"), ExitStack()
    listening.enter_context(serving(new))
    new.well.clear()
    with listening, shop(new, runs=False) as here:
        here.start()
        until(lambda: here.steps() == ["shadow"])
        here.stays_with_legacy()
        until(lambda: here.compared()["new_failed"] > 0, 60)  # the first copies have been given up
        waits_for_answers(here)
        listening.close()
        given_up = here.compared()["new_failed"]
        until(lambda: here.compared()["new_failed"] > given_up + 100, 60)
        waits_for_answers(here)
        with serving(new):
            here.goes_on()
            here.end()


def waits_for_answers(here: Shop) -> None:
    """The status says that nothing is known and why; requests of users alone prove nothing."""
    until(lambda: "new failed" in here.run()["verdict"]["note"], 60)
    here.stays_with_legacy()
    run, status = here.run(), here.cli("rollout", "status", "a")
    assert ("judging", 1, "no-data") == (run["phase"], run["step"], run["standing"])
    assert ["sample: at least 100 comparisons", "evidence: no-data"] == run["waits"]
    assert "no answers were compared yet; new failed" in " ".join(status.split())
    assert ["shadow"] == here.steps()

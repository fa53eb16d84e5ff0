"""Rollback at 3 a.m., with control dead or hanging, the disk full or routes.yaml broken: traffic moves all the same."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
groups: {{shop: {{}}}}
routes:
  - {{path: /all, weight: 100, group: shop}}
  - {{path: /other, weight: 100}}
"""


@pytest.fixture
def router() -> Iterator[Router]:
    with services(Gate()) as ports, Router(ROUTES.format(**ports), workers=2) as router:
        until(lambda: ask(router, "GET", "/readyz")["workers"]["confirmed"] == 2)
        yield router


def ask(router: Router, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=30)
    try:
        connection.request(
            method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"}
        )
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def strangler(router: Router, *words: str, state: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "control", *words, "--admin", f"http://127.0.0.1:{router.admin_port}"]
    command += ["--state", str(router.state)] if state else []
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def rollback(router: Router, *words: str) -> subprocess.CompletedProcess[str]:
    return strangler(router, "rollback", *words, "--reason", "errors at 3 a.m.")


def sides(router: Router, path: str, count: int = 40) -> set[str]:
    """Who answers now, over new connections to all workers."""
    found = set()
    for number in range(count):
        connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=10)
        connection.request("GET", path, headers={"X-User-Id": f"u{number}"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status == 200
        found.add(answer.headers["X-Strangler-Side"])
    return found


def pids(router: Router) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((router.state / "run.json").read_text())
    return found


def adopted(router: Router) -> Any:
    """The order that control makes of the hold, once it has."""
    found: list[Any] = []

    def there() -> bool:
        try:
            found[:] = ask(router, "GET", "/api/v1/orders")["orders"]
        except (OSError, ValueError, http.client.HTTPException):
            return False
        return bool(found)

    until(there)
    (order,) = found
    return order


def assert_resume_leads_back(router: Router, order: str, path: str = "/all") -> None:
    """What was adopted is lifted like any other order, at every worker, also at one that starts anew."""
    until(lambda: ask(router, "GET", "/readyz")["workers"]["confirmed"] == 2)
    said = strangler(router, "resume", order, "--reason", "mended", state=False)
    assert 0 == said.returncode, said.stderr
    assert {"new"} == sides(router, path)
    until(lambda: not list((router.state / "holds").glob("E-*")))
    before = pids(router)
    os.kill(before["worker_pids"][0], signal.SIGKILL)
    until(lambda: pids(router)["worker_pids"][0] not in {None, before["worker_pids"][0]})
    until(lambda: ask(router, "GET", "/readyz")["workers"]["confirmed"] == 2)
    assert {"new"} == sides(router, path)


@pytest.fixture
def hanging(router: Router) -> Iterator[int]:
    """Control stands still, as it would on a stuck disk, until the test lets it go on."""
    control = pids(router)["control"]
    os.kill(control, signal.SIGSTOP)
    yield control
    os.kill(control, signal.SIGCONT)


def test_with_control_hanging(router: Router, hanging: int) -> None:
    """The command does not wait for it; on its way back control hears of the hold on the connection it never lost."""
    with Users(router.port, ("/all",)) as users:
        users.wait_for(100)
        began = time.monotonic()
        said = rollback(router, "--group", "shop")
        told = time.monotonic()
        users.wait_for(200, told)
    assert 0 == said.returncode, said.stderr
    assert told - began < 6
    assert "control does not answer" in said.stdout
    assert [1, 1] == [said.stdout.count(f"worker {number}  confirmed in") for number in (0, 1)]
    assert {"legacy"} == {one.side for one in users.since(told)}
    assert [] == users.failed()
    assert {"new"} == sides(router, "/other")
    os.kill(hanging, signal.SIGCONT)
    order = adopted(router)
    assert ("rollback", {"group": "shop"}, "errors at 3 a.m.") == (order["kind"], order["scope"], order["reason"])
    assert {"legacy"} == sides(router, "/all")
    assert_resume_leads_back(router, order["id"])


def test_with_control_killed_again_and_again(router: Router) -> None:
    """A control that dies at every start is no hindrance, nor is a worker that dies meanwhile: its successor holds."""
    database = router.state / "strangler.db"
    control = pids(router)["control"]
    database.write_bytes(b"this is no database" * 100)
    (router.state / "strangler.db-wal").unlink(missing_ok=True)
    os.kill(control, signal.SIGKILL)
    until(lambda: pids(router)["control"] != control)
    said = rollback(router, "--all")
    assert 0 == said.returncode, said.stderr
    assert {"legacy"} == sides(router, "/all") == sides(router, "/other")
    before = pids(router)["worker_pids"][0]
    os.kill(before, signal.SIGKILL)
    until(lambda: pids(router)["worker_pids"][0] not in {None, before})
    assert {"legacy"} == sides(router, "/all") == sides(router, "/other")
    again = rollback(router, "--all")
    assert 0 == again.returncode
    assert 2 == again.stdout.count("already held by E-")
    for path in router.state.glob("strangler.db*"):
        path.unlink()
    order = adopted(router)
    assert {"all": True} == order["scope"]
    assert_resume_leads_back(router, order["id"])


def test_the_adopted_order_says_who_did_it_and_that_it_was_an_emergency(router: Router) -> None:
    """The history names the person and the reason, and keeps the time at which the workers were told."""
    control = pids(router)["control"]
    os.kill(control, signal.SIGSTOP)
    asked = time.time()
    said = rollback(router, "ANY /all", "--json")
    os.kill(control, signal.SIGKILL)
    found = json.loads(said.stdout)
    assert (True, True, True) == (found["emergency"], found["confirmed"], found["persisted"])
    order = adopted(router)
    assert found["order"]["actor"] == order["actor"]
    revisions = ask(router, "GET", "/api/v1/revisions")["revisions"]
    assert ["emergency"] == [one["source"] for one in revisions if one["reason"] == "errors at 3 a.m."]
    assert abs(found["order"]["created"] - asked) < 10


def test_with_routes_yaml_broken_and_control_hanging(router: Router, hanging: int) -> None:
    """What is declared plays no part; and the file's trouble is still told when control is back."""
    router.config.write_text("routes: [")
    said = rollback(router, "ANY /all")
    assert 0 == said.returncode, said.stderr
    assert {"legacy"} == sides(router, "/all")
    os.kill(hanging, signal.SIGCONT)
    order = adopted(router)
    until(lambda: ask(router, "GET", "/api/v1/status")["source"]["status"] == "refused")
    assert {"legacy"} == sides(router, "/all")
    assert_resume_leads_back(router, order["id"])


def test_with_routes_yaml_broken(router: Router) -> None:
    """A broken file stops neither the rollback nor the resume, through control."""
    router.config.write_text("routes: [")
    until(lambda: ask(router, "GET", "/api/v1/status")["source"]["status"] == "refused")
    said = rollback(router, "--all")
    assert 0 == said.returncode, said.stderr
    assert {"legacy"} == sides(router, "/all")
    assert 0 == strangler(router, "resume", adopted(router)["id"], "--reason", "mended", state=False).returncode
    assert {"new"} == sides(router, "/all")


def test_a_worker_that_hangs_is_named(router: Router, hanging: int) -> None:
    """The command ends with 3, and the worker holds as soon as it goes on."""
    worker = pids(router)["worker_pids"][1]
    os.kill(worker, signal.SIGSTOP)
    try:
        said = rollback(router, "--all")
    finally:
        os.kill(worker, signal.SIGCONT)
    assert 3 == said.returncode, said.stdout + said.stderr
    assert "NOT CONFIRMED by worker 1" in said.stderr
    assert "worker 0  confirmed" in said.stdout
    until(lambda: {"legacy"} == sides(router, "/all"))


@pytest.mark.parametrize("words", [("ANY /al",), ("--group", "shops"), ("--site", "mars"), ("--last",)], ids=str)
def test_what_names_nothing_is_refused(router: Router, hanging: int, words: tuple[str, ...]) -> None:
    """A typing error at 3 a.m. must not look like a rollback."""
    said = rollback(router, *words)
    assert 1 == said.returncode, said.stdout
    assert said.stderr.startswith("strangler: ")
    assert {"new"} == sides(router, "/all")


def test_another_routers_state_is_not_touched(router: Router, hanging: int, tmp_path: Path) -> None:
    """Somewhere without a router, and beside one that is not meant, the command says where to go instead."""
    for folder in (tmp_path, router.state.parent):
        (router.state.parent / ".strangler").unlink(missing_ok=True)
        (router.state.parent / ".strangler").symlink_to(router.state)
        command = [sys.executable, "-m", "control", "rollback", "--all", "--reason", "x", "--admin", "127.0.0.1:9"]
        said = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=30, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert 1 == said.returncode, said.stdout
        assert "--state" in said.stderr
    assert {"new"} == sides(router, "/all")


# ---------------------------------------------------------------------------------------------------- a full disk


class Disk:
    """A state directory that can be made to take nothing more."""

    def __init__(self, router: Router) -> None:
        self.router = router

    def fill(self) -> None:
        raise NotImplementedError

    def free(self) -> None:
        raise NotImplementedError


class SmallDisk(Disk):
    """Really full: a file system of its own, with a file that takes all of it."""

    def fill(self) -> None:
        with (self.router.state / "filler").open("wb", buffering=0) as file:
            for size in (65_536, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def free(self) -> None:
        (self.router.state / "filler").unlink()


class NoMoreBytes(Disk):
    """As good as full, for those who may not mount: no process of the router can make a file longer."""

    def fill(self) -> None:
        self._allow(0)

    def free(self) -> None:
        self._allow(resource.RLIM_INFINITY)

    def _allow(self, most: int) -> None:
        for pid in self.router.pids():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


class OnSmallDisk(Router):
    """A router whose state directory is a file system of 8 MiB."""

    def _start(self) -> None:
        self.state.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", self.state], check=True, timeout=10)
        super()._start()

    def _end(self) -> int | None:
        code = super()._end()
        subprocess.run(["umount", self.state], check=False, timeout=10, capture_output=True)
        return code


def may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=False, timeout=10, capture_output=True)
        if tried.returncode == 0:
            subprocess.run(["umount", folder], check=True, timeout=10)
    return tried.returncode == 0


@pytest.fixture(params=[SmallDisk, NoMoreBytes])
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    small = request.param is SmallDisk
    if small and not may_mount():
        pytest.skip("only root may mount a small file system; the other full disk is tested all the same")
    with services(Gate()) as ports, (OnSmallDisk if small else Router)(ROUTES.format(**ports), workers=2) as router:
        until(lambda: ask(router, "GET", "/readyz")["workers"]["confirmed"] == 2)
        yield request.param(router)


def test_with_the_disk_full(disk: Disk) -> None:
    """Control says that it is not recorded; traffic moves at once, and the record follows when there is room."""
    router = disk.router
    disk.fill()
    said = rollback(router, "--all", "--json")
    assert 0 == said.returncode, said.stdout + said.stderr
    assert not json.loads(said.stdout)["persisted"]
    assert {"legacy"} == sides(router, "/all")
    refused = strangler(router, "weight", "ANY /other", "10", "--reason", "x", state=False)
    assert 1 == refused.returncode, refused.stdout
    disk.free()
    until(lambda: ask(router, "GET", "/api/v1/status")["persisted"])
    assert 0 == strangler(router, "resume", adopted(router)["id"], "--reason", "mended", state=False).returncode
    assert {"new"} == sides(router, "/all")


def test_with_the_disk_full_and_control_hanging(disk: Disk) -> None:
    """Nobody can write anything down: the workers hold, and say that it is in their memory only."""
    router = disk.router
    control = pids(router)["control"]
    disk.fill()
    os.kill(control, signal.SIGSTOP)
    said = rollback(router, "--group", "shop")
    assert 0 == said.returncode, said.stdout + said.stderr
    assert "the disk does not take it" in said.stdout
    assert {"legacy"} == sides(router, "/all")
    os.kill(control, signal.SIGCONT)
    order = adopted(router)
    assert {"legacy"} == sides(router, "/all")
    disk.free()
    until(lambda: ask(router, "GET", "/api/v1/status")["persisted"])
    assert_resume_leads_back(router, order["id"])


def test_with_the_disk_full_and_control_killed(disk: Disk) -> None:
    """The next control cannot write either, yet it adopts what the workers hold as soon as it can."""
    router = disk.router
    control = pids(router)["control"]
    disk.fill()
    os.kill(control, signal.SIGKILL)
    said = rollback(router, "--group", "shop")
    assert 0 == said.returncode, said.stdout + said.stderr
    assert {"legacy"} == sides(router, "/all")
    disk.free()
    order = adopted(router)
    assert {"legacy"} == sides(router, "/all")
    assert_resume_leads_back(router, order["id"])

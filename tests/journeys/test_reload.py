"""routes.yaml changes while users go on: every way of writing it, good and bad."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.rig import Router
from tests.journeys.test_processes import ask, confirmed
from tests.journeys.traffic import Gate, Users, services, until

HEAD = """\
version: 1
upstreams:
  monolith: {{endpoints: [http://127.0.0.1:{legacy}]}}
  catalog: {{endpoints: [http://127.0.0.1:{new}]}}
legacy: monolith
defaults: {{subject: [header:X-User-Id], new: catalog}}
routes:
"""


class Config:
    """Writes routes.yaml with the weights of some routes."""

    def __init__(self, router: Router, ports: dict[str, int]) -> None:
        self.router = router
        self._head = HEAD.format(**ports)

    def text(self, *weights: int) -> str:
        return self._head + "".join(
            f"  - {{path: /r{number}, weight: {weight}, name: r{number}}}\n" for number, weight in enumerate(weights)
        )

    def write(self, *weights: int) -> None:
        replace(self.router.config, self.text(*weights))

    def ready(self) -> Any:
        return ask(self.router, "GET", "/readyz")

    def until_revision(self, revision: int) -> None:
        until(lambda: self.ready()["revision"] >= revision and confirmed(self.router) == 2)

    def until_status(self, status: str) -> Any:
        until(lambda: self.ready()["source"]["status"] == status)
        return self.ready()


def replace(path: Path, text: str) -> None:
    """As editors do."""
    beside = path.with_suffix(".tmp")
    beside.write_text(text)
    beside.replace(path)


@pytest.fixture
def config() -> Iterator[Config]:
    with services(Gate()) as ports:
        text = Config.__new__(Config)
        text._head = HEAD.format(**ports)
        with Router(text.text(100, 100, 0, 0, 0), workers=2) as router:
            made = Config(router, ports)
            until(lambda: confirmed(router) == 2)
            yield made


def test_an_edit_is_live_for_the_next_request_and_no_connection_is_dropped(config: Config) -> None:
    """On the connections that users hold anyway."""
    with Users(config.router.port, ("/r0", "/r1")) as users:
        users.wait_for(100)
        config.write(0, 100, 0, 0, 0)
        config.until_revision(2)
        moment = time.monotonic()
        users.wait_for(100, moment)
    assert {("/r0", "legacy"), ("/r1", "new")} == {(one.path, one.side) for one in users.since(moment)}
    assert [] == users.failed()


def test_twenty_reloads_under_traffic_fail_nobody(config: Config) -> None:
    """Weights, new routes and routes that leave again; the last one is what is in force."""
    with Users(config.router.port, ("/r0", "/r1", "/r4")) as users:
        for number in range(20):
            before = config.ready()["revision"]
            config.write(100, number, 0, 0, 0, *([number] * (number % 3)))
            config.until_revision(before + 1)
            users.wait_for(20, time.monotonic())
    assert [] == users.failed()
    shares = {route["name"]: route["effective"] for route in ask(config.router, "GET", "/api/v1/routes")["routes"]}
    assert {"r0": 100, "r1": 19, "r2": 0, "r3": 0, "r4": 0, "r5": 19} == shares


@pytest.mark.parametrize("harm", ["bad", "empty", "missing", "cut"])
def test_a_file_that_was_harmed_changes_nothing_and_is_visible_until_mended(config: Config, harm: str) -> None:
    """Nonsense, nothing, no file, and one that was cut at the end of a line, which is still a valid file."""
    path, good = config.router.config, config.text(100, 100, 0, 0, 0)
    with Users(config.router.port, ("/r0",)) as users:
        if harm == "missing":
            path.unlink()
        else:
            cut = "\n".join(good.splitlines()[:-4]) + "\n"
            path.write_text({"bad": good + "nonsense: [", "empty": "", "cut": cut}[harm])
        seen = config.until_status("missing" if harm == "missing" else "refused")
        users.wait_for(50, time.monotonic())
        assert seen["source"]["problems"]
        assert (True, 1) == (seen["ready"], seen["revision"])
        path.write_text(good)
        assert () == tuple(config.until_status("ok")["source"]["problems"])
    assert [] == users.failed()
    assert {"new"} == {one.side for one in users.sent}


def test_orders_stand_while_the_file_is_edited(config: Config) -> None:
    """A rollback holds; a weight order gives way only to an edit of that very weight, and the history says so."""
    ask(config.router, "POST", "/api/v1/rollbacks", {"scope": {"route": "r0"}, "reason": "errors"})
    for name in ("r2", "r3"):
        answer = ask(config.router, "PUT", f"/api/v1/routes/{name}/weight", {"weight": 40, "reason": "next"})
        assert answer["confirmed"], answer
    config.write(70, 100, 11, 0, 5)
    config.until_revision(5)
    shares = {route["name"]: route["effective"] for route in ask(config.router, "GET", "/api/v1/routes")["routes"]}
    assert {"r0": 0, "r1": 100, "r2": 11, "r3": 40, "r4": 5} == shares
    revision = ask(config.router, "GET", "/api/v1/revisions/5")
    assert "gave way to the file for r2" in json.dumps(revision)


def test_a_config_map_is_followed(config: Config) -> None:
    """routes.yaml becomes a link into ..data, which is swapped as a kubelet does, twice."""
    path = config.router.config
    for number, weight in enumerate((7, 8, 9)):
        version = path.parent / f"..version{number}"
        version.mkdir()
        (version / "routes.yaml").write_text(config.text(100, weight, 0, 0, 0))
        (path.parent / "..data_tmp").symlink_to(version.name)
        (path.parent / "..data_tmp").rename(path.parent / "..data")
        if not path.is_symlink():
            (path.parent / "link").symlink_to("..data/routes.yaml")
            (path.parent / "link").rename(path)
        config.until_revision(2 + number)
    shares = {route["name"]: route["effective"] for route in ask(config.router, "GET", "/api/v1/routes")["routes"]}
    assert 9 == shares["r1"]


def test_fifteen_hundred_routes_are_reloaded_within_seconds(config: Config) -> None:
    """From the write to the last worker's word; the figure is measured by bench, here is only a wide bound."""
    weights = [0] * 1500
    config.write(*weights)
    config.until_revision(2)
    began = time.monotonic()
    config.write(*([1] * 1500))
    config.until_revision(3)
    assert time.monotonic() - began < 5

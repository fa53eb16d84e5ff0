"""An outer GSLB follows us: gdnsd, configured as the documentation says, answers with another place."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from bench.ports import free_port
from tests.journeys.rig import ROOT, Router

SECONDS = 60.0
ROUTES = """\
version: 1
upstreams:
  monolith: {endpoints: [http://127.0.0.1:9]}
  catalog: {sites: {k8s-pangyo: [http://127.0.0.1:9], k8s-pyeongchon: [http://127.0.0.1:9]}}
legacy: monolith
routes: []
"""
PANGYO, VM = "127.0.0.1", "192.0.2.20"


def documented(language: str) -> str:
    """The example in the documentation."""
    text = (ROOT / "docs/gslb.md").read_text()
    return text.split(f"```{language}\n")[1].split("```")[0]


@contextmanager
def gdnsd(program: str, room: Path, admin_port: int) -> Iterator[int]:
    """The documented gdnsd on a free port of loopback, watching a router on this machine."""
    port = free_port()
    folders = f"run_dir => {room}/run, state_dir => {room}/state"
    config = documented("gdnsd")
    for old, new in (
        ("listen => [ 0.0.0.0:53 ]", f"listen => [ 127.0.0.1:{port} ], {folders}"),
        ("port => 8081", f"port => {admin_port}"),
        ("192.0.2.10", PANGYO),
    ):
        assert old in config
        config = config.replace(old, new)
    for name in ("run", "state", "etc/zones"):
        (room / name).mkdir(parents=True)
    (room / "etc/config").write_text(config)
    (room / "etc/zones/shop.example").write_text(documented("zone"))
    with (room / "log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(room / "etc"), "start"], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


def answered(port: int) -> str:
    """Where `www.shop.example` leads; empty while nobody answers."""
    question = dns.message.make_query("www.shop.example", "A")
    try:
        found = dns.query.udp(question, "127.0.0.1", port=port, timeout=1.0)
    except (dns.exception.DNSException, OSError):
        return ""
    return next((record.to_text() for each in found.answer for record in each), "")


def order(router: Router, path: str, body: dict[str, object]) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=30)) as connection:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()


def until(condition: Callable[[], bool], room: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, (room / "log").read_text()
        time.sleep(0.1)


@pytest.mark.timeout(300)
def test_gdnsd_leads_away_from_a_site_that_is_off_and_back_when_it_is_on(
    needs_tool: Callable[[str], str], tmp_path: Path
) -> None:
    """The documented example, word for word but for addresses and ports."""
    program = needs_tool("gdnsd")
    with Router(ROUTES, workers=1) as router, gdnsd(program, tmp_path, router.admin_port) as port:
        until(lambda: answered(port) == PANGYO, tmp_path)
        order(router, "/api/v1/offs", {"scope": {"site": "k8s-pangyo"}, "reason": "upgrade"})
        until(lambda: answered(port) == VM, tmp_path)
        order(router, "/api/v1/sites/k8s-pangyo/on", {"reason": "upgraded"})
        until(lambda: answered(port) == PANGYO, tmp_path)

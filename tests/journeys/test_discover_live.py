"""`strangler discover live`: from a request that nobody has listed to a route that serves it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from typing import Any

from tests.journeys.rig import ROOT, Router
from tests.journeys.traffic import Gate, services, until

ROUTES = """\
version: 1
upstreams:
  monolith: {{endpoints: [http://127.0.0.1:{legacy}]}}
  catalog: {{endpoints: [http://127.0.0.1:{new}]}}
legacy: monolith
routes:   # all of them
  - {{path: /half, weight: 50, new: catalog, subject: [header:X-User-Id]}}
"""


def test_what_nobody_lists_is_found_and_merged_and_then_listed() -> None:
    """Without an access log; the router takes the file as it was merged, and the next requests have a route."""
    with services(Gate()) as ports, Router(ROUTES.format(**ports), workers=2) as router:
        for number in range(30):
            ask(router, f"/shop/carts/{number}?q={number}")
        ask(router, "/half")
        until(lambda: unlisted(router) == 30)
        done = strangler(router, "discover", "live", "--merge", str(router.config))
        assert done.returncode == 0, done.stderr
        assert "1 routes added" in done.stderr
        assert router.config.read_text().startswith(ROUTES.format(**ports))
        until(lambda: "GET /shop/carts/{cartId}" in names(router))
        until(lambda: unlisted(router) == 0)
        ask(router, "/shop/carts/99")
        ask(router, "/shop/orders/1")
        until(lambda: unlisted(router) == 1)


def test_an_access_log_knows_also_what_was_asked_for_before() -> None:
    """And when; the routes may have changed since."""
    options = ("--access-log", "{folder}/access.log")
    with services(Gate()) as ports, Router(ROUTES.format(**ports), workers=2, options=options) as router:
        for number in range(3):
            ask(router, f"/shop/carts/{number}")
        until(lambda: told(router, "/api/v1/unlisted")["lines"] == 3)
        router.config.write_text(ROUTES.format(**ports) + '  - {name: cart, path: "/shop/carts/{cartId}", weight: 0}\n')
        until(lambda: "cart" in names(router) and settled(router))
        ask(router, "/shop/carts/99")
        until(lambda: told(router, "/api/v1/unlisted")["lines"] == 4)
        found = told(router, "/api/v1/unlisted")
        assert (3, True) == (sum(each["count"] for each in found["requests"]), found["since"] <= found["until"])


def ask(router: Router, target: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=20)
    connection.request("GET", target)
    connection.getresponse().read()
    connection.close()


def unlisted(router: Router) -> int:
    return sum(each["count"] for each in told(router, "/api/v1/unlisted")["requests"])


def names(router: Router) -> list[str]:
    return [each["name"] for each in told(router, "/api/v1/routes")["routes"]]


def settled(router: Router) -> bool:
    """Every worker has what control has."""
    status = told(router, "/api/v1/status")
    return all(worker["revision"] == status["revision"] for worker in status["workers"])


def told(router: Router, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=20)
    connection.request("GET", path)
    found = json.loads(connection.getresponse().read())
    connection.close()
    return found


def strangler(router: Router, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "control", *words, "--admin", f"http://127.0.0.1:{router.admin_port}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

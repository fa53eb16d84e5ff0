"""`strangler explain --request-id`: a client's request, asked about after it has been served."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys

from tests.journeys.rig import ROOT, Router
from tests.journeys.traffic import Gate, services, until

ROUTES = """\
version: 1
upstreams:
  monolith: {{endpoints: [http://127.0.0.1:{legacy}]}}
  catalog: {{endpoints: [http://127.0.0.1:{new}]}}
legacy: monolith
routes:
  - {{path: /half, weight: 50, new: catalog, subject: [header:X-User-Id]}}
"""


def test_every_request_can_be_explained_afterwards() -> None:
    """Whichever worker served it: side, bucket, share and revision are those of that moment."""
    with services(Gate()) as ports, Router(ROUTES.format(**ports), workers=2) as router:
        sides = {}
        for number in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=10)
            connection.request(
                "GET", f"/half?n={number}", headers={"X-User-Id": f"u{number}", "X-Request-Id": f"id-{number}"}
            )
            answer = connection.getresponse()
            answer.read()
            connection.close()
            sides[f"id-{number}"] = answer.headers["X-Strangler-Side"]
        found = {name: explained(router, name) for name in sides}
        assert sides == {name: each["side"] for name, each in found.items()}
        assert {"legacy", "new"} == set(sides.values())
        for name, each in found.items():
            assert ("new" if each["bucket"] < 500_000 else "legacy") == sides[name]
            assert (50.0, 1, "ANY /half", 200) == (each["share"], each["revision"], each["route"], each["status"])
        assert 1 == strangler(router, "explain", "--request-id", "never").returncode


def explained(router: Router, name: str) -> dict[str, object]:
    outcome: list[dict[str, object]] = []

    def known() -> bool:
        said = strangler(router, "explain", "--request-id", name, "--json")
        if said.returncode == 0:
            outcome.extend(json.loads(said.stdout)["exchanges"])
        return bool(outcome)

    until(known)
    (exchange,) = outcome
    return exchange


def strangler(router: Router, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "control", *words, "--admin", f"http://127.0.0.1:{router.admin_port}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)

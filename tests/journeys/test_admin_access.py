"""The admin address as people meet it: with a certificate of their own, in the open on purpose, and leaving again."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from control.auth import tokens
from control.auth.roles import TOKEN_ROLES, Role
from tests.journeys.rig import ROOT, RigFailure, Router
from tests.journeys.serving import served
from tests.journeys.traffic import until

ROUTES = """
version: 1
upstreams: {legacy: {endpoints: [http://127.0.0.1:9]}}
legacy: legacy
routes: [{path: /a}]
"""
TLS = ("--admin-tls-cert", "{folder}/cert.pem", "--admin-tls-key", "{folder}/key.pem")


class Tokens:
    """One of each role, made before the router starts, or while it runs."""

    def __init__(self) -> None:
        self.secrets: dict[Role, str] = {}

    def make(self, router: Router) -> None:
        self.secrets = {
            role: tokens.create(router.state, role.label, role, time.time(), None).reveal() for role in TOKEN_ROLES
        }

    def bearer(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets[role]}"}


def certificate(router: Router) -> None:
    """As somebody makes one for a machine of their own."""
    files = ["-keyout", router.folder / "key.pem", "-out", router.folder / "cert.pem"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", "-x509", *kind, *files, *names]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


class Browser:
    """One connection after the other to an admin address, by hand."""

    def __init__(self, port: int, cert: Path | None = None) -> None:
        self.scheme = "https" if cert else "http"
        self.port = port
        self.context = ssl.create_default_context(cafile=cert) if cert else None

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: object = None) -> Any:
        connection = (
            http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.context)
            if self.context
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        )
        data = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, data, kind | (headers or {}))
            answer = connection.getresponse()
            answer.text = answer.read().decode()  # type: ignore[attr-defined]
            return answer
        finally:
            connection.close()

    def log_in(self, bearer: dict[str, str]) -> tuple[http.client.HTTPResponse, dict[str, str]]:
        """The answer, and the headers of the page from then on."""
        origin = {"Origin": f"{self.scheme}://127.0.0.1:{self.port}"}
        answer = self.ask("POST", "/api/v1/session", bearer | origin)
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return answer, {"Cookie": cookie, "X-Strangler-CSRF": json.loads(answer.text)["csrf"], **origin}


def strangler(router: Router, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STRANGLER_")} | env
    command = [sys.executable, "-m", "control", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.needs_tool("openssl")
def test_over_tls_a_session_is_bound_to_this_very_host_and_to_encryption() -> None:
    """A certificate that somebody made; the cookie is __Host- and Secure, and logging out ends it on both ends."""
    made = Tokens()

    def prepare(router: Router) -> None:
        certificate(router)
        made.make(router)

    with Router(ROUTES, workers=1, options=TLS, prepare=prepare) as router:
        browser = Browser(router.admin_port, router.folder / "cert.pem")
        answer, page = browser.log_in(made.bearer(Role.OPERATOR))
        said = answer.headers["Set-Cookie"].split("; ")
        assert said[0].startswith("__Host-strangler=")
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(said)
        assert not any(part.startswith("Domain") for part in said)
        assert "max-age=" in answer.headers["Strict-Transport-Security"]
        order = {"scope": {"all": True}, "reason": "fire"}
        assert 200 == browser.ask("POST", "/api/v1/rollbacks", page, order).status
        assert 403 == browser.ask("POST", "/api/v1/rollbacks", page | {"Origin": "http://127.0.0.1"}, order).status
        gone = browser.ask("DELETE", "/api/v1/session", page)
        assert (200, True) == (gone.status, "Max-Age=0" in gone.headers["Set-Cookie"])
        assert gone.headers["Set-Cookie"].startswith("__Host-strangler=") and "Secure" in gone.headers["Set-Cookie"]
        assert 401 == browser.ask("GET", "/api/v1/status", page).status
        with pytest.raises((OSError, http.client.HTTPException)):
            Browser(router.admin_port).ask("GET", "/livez")
        status = strangler(
            router,
            *("status", "--admin", f"https://127.0.0.1:{router.admin_port}"),
            STRANGLER_TOKEN=made.secrets[Role.VIEWER],
            SSL_CERT_FILE=str(router.folder / "cert.pem"),
        )
        assert 0 == status.returncode, status.stderr


def test_in_the_open_only_with_tokens_and_when_somebody_says_so() -> None:
    """Refused without tokens, refused without the word; with both it starts, and says so in the log."""
    made = Tokens()
    with pytest.raises(RigFailure, match="without tokens"):
        with Router(ROUTES, workers=1, admin="0.0.0.0", options=("--insecure-admin",)):
            pass
    with pytest.raises(RigFailure, match="--insecure-admin"):
        with Router(ROUTES, workers=1, admin="0.0.0.0", prepare=made.make):
            pass
    with Router(ROUTES, workers=1, admin="0.0.0.0", options=("--insecure-admin",), prepare=made.make) as router:
        until(lambda: "tokens travel unencrypted" in router.stderr())
        browser = Browser(router.admin_port)
        assert 401 == browser.ask("GET", "/api/v1/status").status
        assert 200 == browser.ask("GET", "/api/v1/status", made.bearer(Role.VIEWER)).status
        assert 421 == browser.ask("GET", "/livez", {"Host": "evil.example.com"}).status
        answer, _ = browser.log_in(made.bearer(Role.VIEWER))
        assert answer.headers["Set-Cookie"].startswith("strangler=")
        assert "Secure" not in answer.headers["Set-Cookie"].split("; ")


# -- what is never written ---------------------------------------------------------------------------------------------


class Careless(BaseHTTPRequestHandler):
    """A service that gives its secrets away, and fails now and then."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b"planted-answer"
        self.send_response(503 if self.path.startswith("/v1/bad") else 200)
        self.send_header("Set-Cookie", "sid=planted-set-cookie")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def careless() -> Iterator[int]:
    with served(Careless) as (port,):
        yield port


PLANTED = {
    "Authorization": "Basic planted-authorization",
    "Proxy-Authorization": "Basic planted-proxy",
    "Cookie": "sid=planted-cookie",
    "X-Api-Key": "planted-api-key",
    "X-Strangler-Token": "new.1.planted-override",
    "X-User-Id": "planted-subject",
}
TARGETS = [
    f"{path}?access_token=planted-query&page=2"
    for path in ("/v1/good/7", "/v1/bad/7", "/v1/refused/7", "/unlisted", "/v1/good/../x")
]


def test_no_secret_is_written_by_workers_or_control(careless: int) -> None:
    """Planted in requests, answers and admin calls: in no log, no file of the state and no answer."""
    made = Tokens()
    routes = f"""
version: 1
upstreams:
  legacy: {{endpoints: ["http://127.0.0.1:{careless}"]}}
  new: {{endpoints: ["http://127.0.0.1:{careless}"]}}
  refused: {{endpoints: ["http://127.0.0.1:9"]}}
legacy: legacy
defaults: {{subject: [header:X-User-Id, cookie:sid]}}
routes:
  - {{path: "/v1/good/{{id}}", new: new, weight: 100}}
  - {{path: "/v1/bad/{{id}}", new: new, weight: 100, fallback: {{on: [connect, 503]}}}}
  - {{path: "/v1/refused/{{id}}", new: refused, weight: 100}}
"""
    log = ("--access-log", "{folder}/access.log", "--log-format", "json")
    with Router(routes, workers=1, options=log, prepare=made.make) as router:
        for number, target in enumerate(TARGETS):
            client = http.client.HTTPConnection("127.0.0.1", router.port, timeout=20)
            client.request("POST", target, b"planted-body", PLANTED | {"X-Request-Id": f"id-{number}"})
            client.getresponse().read()
            client.close()
        admin = Browser(router.admin_port)
        _, page = admin.log_in(made.bearer(Role.EDITOR))
        said = _asked_everywhere(admin, made, page)
        access = router.folder / "access.log"
        until(lambda: access.exists() and len(access.read_bytes().splitlines()) >= len(TARGETS) - 1)
        said += [router.stderr(), router.stdout(), access.read_text()]
        said += [path.read_bytes().decode("latin-1") for path in router.state.rglob("*") if path.is_file()]
        secrets = [*made.secrets.values(), page["Cookie"].partition("=")[2], page["X-Strangler-CSRF"]]
        for text in said:
            assert [] == [secret for secret in ("planted-", *secrets) if secret in text], text[:2000]
        assert "page=2" in "".join(said), "the rest of a query is shown"
        assert 0o600 == access.stat().st_mode & 0o777


def _asked_everywhere(admin: Browser, made: Tokens, page: dict[str, str]) -> list[str]:
    """What the admin address answers to those who may ask, and to those who may not."""
    paths = ["/api/v1/status", "/metrics", "/api/v1/routes", "/api/v1/orders", "/api/v1/revisions", "/api/v1/nothing"]
    paths += [f"/api/v1/explain?request-id=id-{number}" for number in range(len(TARGETS))]
    wrong = [{"Authorization": "Bearer planted-bearer"}, {"Cookie": "strangler=planted-session"}]
    said = [admin.ask("GET", path, headers).text for path in paths for headers in (made.bearer(Role.VIEWER), page)]
    said += [admin.ask("POST", "/api/v1/rollbacks", headers, {"reason": "x"}).text for headers in wrong]
    bad = {"scope": {"route": "x"}, "reason": "fire", "token": "x"}
    return [*said, admin.ask("POST", "/api/v1/rollbacks?token=planted-parameter", page, bad).text]

"""A real legacy service and its real rewrite behind the router: each side's answers are what it says when asked itself.

Asked itself means: with the forwarding headers that the router adds, so that echoes are equal byte for byte.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.journeys.real import both
from tests.journeys.rig import Router

SERVICES = Path(__file__).parent / "services"
HOST = "bin.example.com"
ROUTES = """
version: 1
upstreams:
  httpbin: {{endpoints: ["http://127.0.0.1:{legacy}"]}}
  httpbinx: {{endpoints: ["http://127.0.0.1:{new}"]}}
legacy: httpbin
defaults: {{subject: [header:X-User-Id, client-ip], fallback: off}}
groups:
  bin: {{new: httpbinx, owner: team-bin}}
routes:
  - {{path: "/status/{{code}}", group: bin, weight: 50}}
  - {{path: /get, methods: [GET], group: bin, weight: 50}}
  - {{path: /anything, group: bin, weight: 50}}
  - {{path: "/{{rest...}}", group: bin, weight: 50, name: rest}}
"""
FORWARDING = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": HOST,
    "Via": "1.1 strangler",
}
"""What the router adds, and where: behind all that came."""
NOT_COMPARED = {"date", "connection", "keep-alive", "transfer-encoding", "content-length", "via"}
OURS = {"x-strangler-side", "x-strangler-route", "x-request-id"}

FORM = b"custname=Kim&size=large&topping=bacon&comments=%EC%95%88%EB%85%95+%26+more"
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nplain\r\n--b\r\n'
    b'Content-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: application/octet-stream\r\n\r\n'
    + bytes(range(256)) * 8
    + b"\r\n--b--\r\n"
)


@dataclass(frozen=True)
class Case:
    """One request; `pieces` of a body are sent chunked."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    pieces: tuple[bytes, ...] = ()

    @property
    def framing(self) -> dict[str, str]:
        """Sent in the middle, where the router leaves it."""
        if self.pieces:
            return {"Transfer-Encoding": "chunked"}
        needed = self.body is not None or self.method in {"POST", "PUT", "PATCH"}
        return {"Content-Length": str(len(self.body or b""))} if needed else {}

    def __str__(self) -> str:
        return f"{self.method} {self.path[:40]}{' chunked' * bool(self.pieces)}"


def cut(body: bytes) -> tuple[bytes, ...]:
    return body[:1], body[1:7], body[7:]


JSON, JSON_BODY = "application/json", '{"a": [1, 2, "안"]}'.encode()
STATUSES = (200, 201, 204, 206, 301, 302, 304, 400, 401, 404, 405, 418, 429, 500, 501, 502, 503, 504, 599)
BODIES = [
    *((method, f"/{method.lower()}", JSON, JSON_BODY) for method in ("POST", "PUT", "PATCH", "DELETE")),
    ("POST", "/post", "application/x-www-form-urlencoded", FORM),
    ("POST", "/post", "multipart/form-data; boundary=b", MULTIPART),
    ("POST", "/anything/x", "application/octet-stream", bytes(range(256)) * 400),
]
CASES = [
    *(Case("GET", path) for path in ("/get", "/get?a=1&a=2&b=%2F%20+x", "/headers", "/ip", "/user-agent", "/html")),
    *(Case("GET", path) for path in ("/json", "/xml", "/robots.txt", "/deny", "/encoding/utf8", "/image/png")),
    *(Case("GET", path) for path in ("/gzip", "/deflate", "/brotli", "/links/5/2", "/base64/aGVsbG8%3D")),
    *(Case("GET", f"/status/{code}") for code in STATUSES),
    *(Case("GET", f"/{kind}/3") for kind in ("redirect", "relative-redirect", "absolute-redirect", "stream")),
    *(Case("GET", path) for path in ("/redirect-to?url=%2Fget&status_code=307", "/stream/100", "/delay/0.1")),
    *(Case("GET", f"/bytes/{size}?seed=7") for size in (0, 1, 1024, 65537, 102400)),
    *(Case("GET", path) for path in ("/stream-bytes/20000?seed=7&chunk_size=1000", "/range/2048?chunk_size=100")),
    *(Case("GET", "/range/1024", {"Range": f"bytes={span}"}) for span in ("10-99", "-5", "1000-", "5000-")),
    *(Case("GET", f"/drip?numbytes=20&duration=0.2&{rest}") for rest in ("delay=0", "delay=0.1&code=503")),
    *(Case("GET", path, {"Cookie": "a=1; b=2; sid=x"}) for path in ("/cookies", "/anything")),
    *(Case("GET", path) for path in ("/cookies/set?k1=v1&k2=v2&k3=v3", "/cookies/set/k/v", "/cookies/delete?k1=&k2=")),
    *(Case("GET", "/basic-auth/u/p", {"Authorization": word}) for word in ("Basic dTpw", "Basic bm86bm8=")),
    *(Case("GET", path) for path in ("/basic-auth/u/p", "/hidden-basic-auth/u/p", "/bearer")),
    Case("GET", "/bearer", {"Authorization": "Bearer t0ken"}),
    *(Case("GET", path) for path in ("/response-headers?X-A=1&X-A=2&X-B=%20b", "/cache/60", "/nothing/here")),
    Case("GET", "/anything/a%2Fb%20c/d;e=f"),
    *(Case("GET", "/etag/abc", {name: value}) for name, value in (("If-None-Match", '"abc"'), ("If-Match", '"x"'))),
    Case("GET", "/cache", {"If-None-Match": '"x"'}),
    *(Case("HEAD", path) for path in ("/get", "/bytes/1024?seed=7", "/status/404", "/stream/3", "/html")),
    *(Case("OPTIONS", path) for path in ("/get", "/post", "/anything")),
    *(Case(method, path, {"Content-Type": kind}, body) for method, path, kind, body in BODIES),
    *(Case(method, path, {"Content-Type": kind}, pieces=cut(body)) for method, path, kind, body in BODIES),
    *(Case(method, "/anything") for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE")),
    Case("POST", "/post", {"Content-Type": "text/plain", "Expect": "100-continue"}, b"after the go-ahead"),
    Case("POST", "/get", {"Content-Type": "text/plain"}, b"wrong method"),
]


@dataclass(frozen=True)
class Said:
    """An answer without what differs from time to time, and without the headers that belong to one connection."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    length: str
    """Content-Length, which is framing and so the sender's own; of packed bodies, which carry the time, whether."""
    body: bytes


Services = tuple[Router, dict[str, int], dict[str, str]]


@pytest.fixture(scope="module")
def services(installed: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A router, the ports of both sides, and a user of each side."""
    logs = tmp_path_factory.mktemp("logs")
    with both(installed("httpbin"), installed("httpbinx"), logs) as ports, Router(ROUTES.format(**ports)) as router:
        users: dict[str, str] = {}
        for number in range(200):
            side = dict(asked(router.port, Case("GET", "/get"), {"X-User-Id": f"u-{number}"})[1])["X-Strangler-Side"]
            users.setdefault(side, f"u-{number}")
        assert {"legacy", "new"} == set(users)
        yield router, ports, users


def asked(port: int, case: Case, more: dict[str, str]) -> tuple[Said, list[tuple[str, str]]]:
    """What is compared, and the router's own headers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        body = iter(case.pieces) if case.pieces else case.body
        headers = {"Host": HOST, **case.framing, **case.headers, **more}
        connection.request(case.method, case.path, body, headers, encode_chunked=bool(case.pieces))
        answer = connection.getresponse()
        return said(answer, answer.read()), [each for each in answer.getheaders() if each[0].lower() in OURS]


def said(answer: http.client.HTTPResponse, body: bytes) -> Said:
    kept = [each for each in answer.getheaders() if each[0].lower() not in NOT_COMPARED | OURS]
    length = answer.headers.get("Content-Length", "none")
    if answer.headers.get("Content-Encoding") == "gzip" and body:
        body, length = gzip.decompress(body), "some" if length else "none"
    return Said(answer.status, answer.reason, kept, length, body)


@pytest.mark.parametrize("side", ["legacy", "new"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_answer_through_the_router_is_the_answer_of_the_side(services: Services, case: Case, side: str) -> None:
    """Status, reason, all headers in their order, and the body are the same as when that side is asked directly."""
    router, ports, users = services
    user = {"X-Request-Id": "r-1", "X-User-Id": users[side]}
    through, ours = asked(router.port, case, user)
    assert side == dict(ours)["X-Strangler-Side"]
    direct, _ = asked(ports[side], case, user | FORWARDING)
    assert direct == through


# -- a client suite that must not notice the router ------------------------------------------------------------------

Outcomes = dict[tuple[str, str], str]


def suite_of_requests(home: Path, url: str, room: Path) -> Outcomes:
    """The outcomes of the `requests` project's own tests against the httpbin at this address."""
    room.mkdir()
    environment = os.environ | {
        "HTTPBIN_URL": url,
        "HTTPBIN_OUTCOMES": str(room / "outcomes"),
        "PYTHONPATH": str(SERVICES),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    words = ("-q", "-p", "requests_plugin", "-p", "no:cacheprovider", "--timeout", "30", "-c", os.devnull)
    command = [str(home / "bin" / "python"), "-m", "pytest", *words, "--rootdir", ".", "tests"]
    done = subprocess.run(
        command, cwd=home / "source", env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode in {0, 1}, done.stdout[-3000:] + done.stderr[-3000:]
    lines = map(json.loads, (room / "outcomes").read_text().splitlines())
    return {(name, when): outcome for name, when, outcome in lines}


@pytest.fixture(scope="module")
def direct(services: Services, installed: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What that suite says without a router."""
    room = tmp_path_factory.mktemp("direct") / "run"
    return suite_of_requests(installed("requests"), f"http://127.0.0.1:{services[1]['legacy']}", room)


@pytest.mark.parametrize("weight", [0, 50])
def test_the_client_suite_of_requests_does_not_notice_the_router(
    services: Services,
    direct: Outcomes,
    installed: Callable[[str], Path],
    tmp_path: Path,
    figure: Callable[[str, str], None],
    weight: int,
) -> None:
    """The same tests pass and fail with and without it; with the same service on both sides at any weight."""
    _, ports, _ = services
    routes = ROUTES.format(**ports | {"new": ports["legacy"]}).replace("weight: 50", f"weight: {weight}")
    with Router(routes) as router:
        through = suite_of_requests(installed("requests"), f"http://127.0.0.1:{router.port}", tmp_path / "through")
    passed = sum(outcome == "passed" for outcome in through.values())
    figure(f"the requests project's own tests, weight {weight}", f"{passed} of {len(direct)} pass, as without router")
    assert passed > 150
    assert direct == through

"""One router and one scripted upstream for the whole run of the conformance suite.

To see how another intermediary fares, start it in front of an upstream port of your choice and set
STRANGLER_SUITE_TARGET=host:port and STRANGLER_SUITE_UPSTREAM=port: then nothing is started here, refusals may have any
error status, and what only this router promises is skipped.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.journeys.http.stage import Stage, Wire
from tests.journeys.rig import Router

ROUTES = """
version: 1
upstreams:
  scripted: {{endpoints: [http://127.0.0.1:{scripted}]}}
  refusing: {{endpoints: [http://127.0.0.1:{refusing}]}}
  new: {{endpoints: [http://127.0.0.1:{scripted}]}}
legacy: scripted
defaults: {{subject: [client-ip], fallback: off}}
routes:
  - {{path: "/refused/{{rest...}}", legacy: refusing}}
  - {{path: "/routed/{{id}}", name: routed, new: new, weight: 100}}
"""

_OTHER = os.environ.get("STRANGLER_SUITE_TARGET", "")


@dataclass
class Ground:
    """A router on its feet, the listening socket of its upstream, and the socket that refuses."""

    router: Router | None
    target: tuple[str, int]
    upstream: socket.socket
    idle: list[Wire] = field(default_factory=list)
    """Upstream connections that the router may keep in its pool from one test to the next."""

    def close(self) -> None:
        for peer in self.idle:
            peer.close()


def listening(port: int = 0) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """The session's router, or the other intermediary named by the environment."""
    if _OTHER:
        host, _, port = _OTHER.rpartition(":")
        with listening(int(os.environ["STRANGLER_SUITE_UPSTREAM"])) as upstream:
            ground = Ground(None, (host, int(port)), upstream)
            yield ground
            ground.close()
        return
    with listening() as upstream, socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # held, but it does not listen: every connect is refused
        ports = {"scripted": upstream.getsockname()[1], "refusing": refusing.getsockname()[1]}
        with Router(ROUTES.format(**ports)) as router:
            ground = Ground(router, router.address, upstream)
            yield ground
            ground.close()


@pytest.fixture
def stage(ground: Ground) -> Iterator[Stage]:
    """The stage of one test, swept afterwards; the router must have survived the test."""
    stage = Stage(ground.target, ground.upstream, strict=ground.router is not None)
    stage.peers = ground.idle
    yield stage
    stage.clear()
    ground.idle = stage.peers
    assert ground.router is None or ground.router.alive(), "the router died"


@pytest.fixture
def own(ground: Ground) -> Router:
    """The router itself, for promises that no other intermediary makes."""
    if ground.router is None:
        pytest.skip("a promise of this router only")
    return ground.router

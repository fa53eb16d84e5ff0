"""The rig itself: it starts the router both ways, and it does not look away."""

from __future__ import annotations

import http.client
import os
import signal

import pytest

from bench.ports import free_port
from tests.journeys.rig import RigFailure, Router, admin_says_ready

ROUTES = """
version: 1
upstreams: {nobody: {endpoints: [http://127.0.0.1:%d]}}
legacy: nobody
routes: [{path: /a}]
"""


def status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_worker_alone_answers_as_soon_as_it_is_entered() -> None:
    """With an error of its own here, since nobody listens behind it."""
    with Router(ROUTES % free_port()) as router:
        assert status(router.port) in {502, 503}
        assert router.resident_kib() > 1000


def test_the_whole_command_answers_and_says_that_it_is_ready() -> None:
    """Parent, control and two workers are one family."""
    with Router(ROUTES % free_port(), workers=2) as router:
        assert status(router.port) in {502, 503}
        assert admin_says_ready(router.admin_port)
        assert len(router.pids()) >= 4


def test_a_refused_configuration_fails_the_test_with_the_reason() -> None:
    """Not with a time-out."""
    with pytest.raises(RigFailure, match=r"nonsense"), Router(ROUTES % free_port() + "nonsense: 1\n"):
        pass


def test_a_router_that_died_fails_the_test() -> None:
    """Even if the test itself did not notice."""
    with pytest.raises(RigFailure, match="died"):
        _kill_it_inside()


def _kill_it_inside() -> None:
    with Router(ROUTES % free_port()) as router:
        os.kill(router.pid, signal.SIGKILL)
        os.waitid(os.P_PID, router.pid, os.WEXITED | os.WNOWAIT)

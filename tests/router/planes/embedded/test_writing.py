"""The heads that go out: what comes from the other side keeps its place, and what the router adds is said once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from router.core.model import (
    Expose,
)
from tests.router.planes.embedded.stage import OK, Stage, route, table

MakeStage = Callable[..., Stage]


@pytest.mark.parametrize(("expose", "shown"), [(Expose.ALWAYS, True), (Expose.TRUSTED, False), (Expose.NEVER, False)])
def test_a_route_says_who_is_told_the_side(make_stage: MakeStage, expose: Expose, shown: bool) -> None:
    """A stranger is told only where everybody is."""
    stage = make_stage(table(route(expose=expose)))
    client = stage.ask()
    stage.new.wire.say(OK)
    assert shown is (b"X-Strangler-Side: new" in client.heard)


def test_a_request_id_is_kept_or_made(stage: Stage) -> None:
    """The same one towards both ends; one that is too long is replaced."""
    for given in (b"abc", b"x" * 129, b""):
        client = stage.ask(b"GET", b"/api/1", b"X-Request-Id: " + given)
        sent = stage.new.wire.take().partition(b"X-Request-Id: ")[2].partition(b"\r\n")[0]
        stage.new.wire.say(OK)
        assert b"X-Request-Id: " + sent + b"\r\n" in client.heard
        assert (sent == given) is (given == b"abc")
        assert sent


@pytest.mark.parametrize(
    "line", [b"content-LENGTH: 2", b"transfer-ENCODING: chunked", b"x-request-ID: 7"], ids=["length", "chunks", "id"]
)
def test_lines_that_are_passed_on_keep_their_place_and_case(stage: Stage, line: bytes) -> None:
    """What the router adds stands behind them; nothing is said twice."""
    stage.ask(b"POST", b"/api/1", b"A: 1", line, b"B: 2")
    head = stage.new.wire.heard.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [b"POST /api/1 HTTP/1.1", b"Host: shop", b"A: 1", line, b"B: 2"] == head[:5]
    added = [each.partition(b":")[0].lower() for each in head[5:]]
    assert line.partition(b":")[0].lower() not in added


def test_a_route_without_a_host_in_http_1_0_gets_the_upstreams(stage: Stage) -> None:
    """The one header that the router has to make up."""
    client = stage.client()
    client.say(b"GET /api/1 HTTP/1.0\r\n\r\n")
    stage.settle()
    assert b"\r\nHost: 10.0.0.2:80\r\n" in stage.new.wire.heard
    stage.new.wire.say(OK)
    assert b"Connection: close\r\n" in client.heard


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH"])
def test_methods_with_a_body_say_when_they_have_none(stage: Stage, method: bytes) -> None:
    """RFC 9110 section 8.6; some servers answer 411 otherwise."""
    stage.ask(method)
    assert b"\r\nContent-Length: 0\r\n" in stage.new.wire.heard

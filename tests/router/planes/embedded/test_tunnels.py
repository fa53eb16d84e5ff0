"""Tunnels: how they begin, what ends them, and how long they may be silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from router.core.model import (
    Limits,
)
from router.telemetry import WorkerSlot
from tests.router.planes.embedded.stage import Stage, Wire, once, rollback, route, status, table

MakeStage = Callable[..., Stage]
UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def tunnel(stage: Stage) -> tuple[Wire, Wire]:
    client = stage.ask(b"GET", b"/api/1", *UPGRADE)
    upstream = stage.new.wire
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in upstream.take()
    upstream.say(SWITCH + b"early")
    assert client.heard.endswith(b"\r\n\r\nearly")
    client.take()
    return client, upstream


def test_a_tunnel_passes_bytes_both_ways_and_is_counted_when_it_ends(stage: Stage) -> None:
    """What came with the 101 included; until then a gauge tells of it."""
    client, upstream = tunnel(stage)
    client.say(b"ping")
    upstream.say(b"pong")
    assert (b"ping", b"pong") == (upstream.heard, client.heard)
    assert 1 == stage.gauges()["tunnels api new"]
    assert {} == stage.counts()
    upstream.end()
    client.end()
    stage.settle()
    assert (client.closed, upstream.closed) == (True, True)
    assert once("1xx") == stage.counts()
    assert 0 == stage.slot(WorkerSlot.CLIENT_GONE)


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_tunnel_ends_for_both_when_one_is_gone(stage: Stage, who: str) -> None:
    """A reset, also by a broken network."""
    client, upstream = tunnel(stage)
    (client if who == "client" else upstream).reset()
    stage.settle()
    assert (client.closed, upstream.closed) == (True, True)
    assert once("1xx") == stage.counts()


def test_one_direction_of_a_tunnel_may_end_before_the_other(stage: Stage) -> None:
    """A half-closed tunnel still carries the other direction."""
    client, upstream = tunnel(stage)
    client.end()
    assert upstream.ended
    upstream.say(b"last words")
    assert b"last words" == client.heard
    upstream.end()
    stage.settle()
    assert client.closed


HALF = Limits(body_stall=30.0, half_close=50.0, tunnel_idle=1000.0)


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_half_closed_tunnel_may_idle_only_as_long_as_a_body(make_stage: MakeStage, who: str) -> None:
    """`body_stall` instead of `tunnel_idle`, from the last byte on, so that a peer that is gone holds no tunnel."""
    stage = make_stage(table(limits=HALF))
    client, upstream = tunnel(stage)
    near, far = (client, upstream) if who == "client" else (upstream, client)
    stage.advance(900)
    near.end()
    stage.advance(29)
    far.say(b"more")
    assert b"more" == near.heard
    stage.advance(29)
    assert (client.closed, upstream.closed) == (False, False)
    stage.advance(2)
    assert (client.closed, upstream.closed) == (True, True)
    assert once("1xx") == stage.counts()


def test_half_close_is_no_limit_for_tunnels(make_stage: MakeStage) -> None:
    """A WebSocket client that has said its last may still be listening."""
    stage = make_stage(table(limits=replace(HALF, half_close=5.0)))
    client, upstream = tunnel(stage)
    client.end()
    stage.advance(29)
    upstream.say(b"more")
    assert b"more" == client.heard
    assert (client.closed, upstream.closed) == (False, False)


def test_a_client_that_catches_up_does_not_make_a_half_closed_tunnel_last(make_stage: MakeStage) -> None:
    """A drained buffer counts as movement, not as a whole tunnel."""
    stage = make_stage(table(limits=HALF))
    client, upstream = tunnel(stage)
    upstream.end()
    client.full()
    client.drained()
    stage.advance(29)
    assert not client.closed
    stage.advance(2)
    assert (client.closed, upstream.closed) == (True, True)


def test_a_client_that_half_closed_before_the_101_has_a_half_closed_tunnel(make_stage: MakeStage) -> None:
    """Its end came early, its tunnel is no longer for that."""
    stage = make_stage(table(limits=HALF))
    client = stage.ask(b"GET", b"/api/1", *UPGRADE)
    client.end()
    upstream = stage.new.wire
    upstream.say(SWITCH)
    assert (101, True) == (status(client), upstream.ended)
    stage.advance(29)
    assert not client.closed
    stage.advance(2)
    assert (client.closed, upstream.closed) == (True, True)


def test_a_tunnel_outlives_a_reload(stage: Stage) -> None:
    """Also one that changes its route."""
    client, upstream = tunnel(stage)
    stage.adopt(table(route(weight=1)))
    stage.advance(100)
    client.say(b"still here")
    assert b"still here" == upstream.heard


@pytest.mark.parametrize("after", ["rollback", "removal"])
def test_a_rolled_back_tunnel_is_closed_after_its_time(make_stage: MakeStage, after: str) -> None:
    """It may drain first; then it is closed and counted.  A route that is gone is no better than a rolled-back one."""
    limits = Limits(tunnel_drain=10.0)
    stage = make_stage(table(limits=limits))
    client, upstream = tunnel(stage)
    if after == "rollback":
        stage.adopt(table(limits=limits), rollback())
    else:
        stage.adopt(table(route("other", "/other"), limits=limits))
    stage.advance(9.5)
    assert not client.closed
    stage.advance(1)
    assert (client.closed, upstream.closed) == (True, True)
    assert 1 == stage.slot(WorkerSlot.TUNNELS_CLOSED_BY_ROLLBACK)
    assert once("1xx") == stage.counts()


def test_a_rollback_that_is_lifted_in_time_closes_no_tunnel(make_stage: MakeStage) -> None:
    """What counts is what holds when the time is over."""
    limits = Limits(tunnel_drain=10.0)
    stage = make_stage(table(limits=limits))
    client, _ = tunnel(stage)
    stage.adopt(table(limits=limits), rollback())
    stage.advance(5)
    stage.adopt(table(limits=limits))
    stage.advance(20)
    assert not client.closed


def test_tunnels_have_a_limit(make_stage: MakeStage) -> None:
    """One too many is refused with 503 and counted; no place is taken by it."""
    stage = make_stage(table(limits=Limits(tunnels=1)))
    tunnel(stage)
    client = stage.ask(b"GET", b"/api/1", *UPGRADE)
    stage.new.wire.say(SWITCH)
    assert (503, 1, 1) == (status(client), stage.slot(WorkerSlot.TUNNELS_REFUSED), len(stage.plane.tunnels))


def test_an_idle_tunnel_is_closed(make_stage: MakeStage) -> None:
    """After its own, long time."""
    stage = make_stage(table(limits=Limits(tunnel_idle=100.0)))
    client, upstream = tunnel(stage)
    stage.advance(99)
    assert not client.closed
    stage.advance(2)
    assert (client.closed, upstream.closed) == (True, True)

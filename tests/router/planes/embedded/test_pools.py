"""Pools: which connection is used, how many there may be, who waits, and what becomes of a pool that nobody names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from router.core.model import Endpoint, Fallback, Limits, Timeouts
from router.planes.embedded.pools import Destination, EndpointPool
from router.telemetry import EndpointBlock
from tests.router.planes.embedded.stage import NEW, NEW_TOO, OK, Service, Stage, Wire, route, table

MakeStage = Callable[..., Stage]
THRICE = Endpoint("10.0.0.9", 80, weight=3)
ONE_EACH = Limits(endpoint_connections=1, endpoint_waiting=2)


def status(client: Wire) -> int:
    return int(client.heard[9:12])


def answer_all(stage: Stage, service: Service) -> None:
    """Answer what has been asked on every open connection."""
    for wire in service.open:
        if wire.take():
            wire.say(OK)
    stage.settle()


def slot(stage: Stage, offset: int, endpoint: Endpoint = NEW) -> int:
    return stage.counters.slots[stage.pool(endpoint).block + offset]


# --------------------------------------------------------------------------------------------- which connection


def test_the_connection_used_last_is_used_first(stage: Stage) -> None:
    """The others grow old and go; the pool shrinks to what is needed."""
    clients = [stage.ask() for _ in range(3)]
    first, second, third = stage.new.wires
    for wire in (second, first, third):
        wire.take()
        wire.say(OK)
    assert [200] * 3 == [status(client) for client in clients]
    stage.ask()
    assert third.heard
    assert (b"", b"", 3) == (first.heard, second.heard, len(stage.new.wires))


def test_an_idle_connection_is_closed_when_its_time_has_come(make_stage: MakeStage) -> None:
    """Before the upstream does it, which would make the next request find it stale."""
    stage = make_stage(table(limits=Limits(pool_idle=5.0)))
    wire = stage.warm(stage.new)
    stage.advance(4.9)
    assert not wire.closed
    stage.advance(0.3)
    assert wire.closed
    assert ([], 0) == (stage.pool(NEW).idle, stage.pool(NEW).open)


def test_a_connection_in_use_never_grows_too_old(make_stage: MakeStage) -> None:
    """The time of an idle connection means nothing once it serves again."""
    stage = make_stage(table(limits=Limits(pool_idle=5.0)))
    wire = stage.warm(stage.new)
    stage.advance(4)
    client = stage.ask()
    stage.advance(20)
    assert not wire.closed
    wire.say(OK)
    assert 200 == status(client)


def test_a_connection_that_the_upstream_closed_while_idle_is_not_used(stage: Stage) -> None:
    """Known to be dead: no retry is needed, not even for a POST."""
    wire = stage.warm(stage.new)
    wire.end()
    stage.settle()
    client = stage.ask(b"POST", b"/api/1", body=b"order")
    assert 2 == len(stage.new.wires)
    stage.new.wire.say(OK)
    assert (200, {}) == (status(client), stage.errors())


def test_a_connection_closed_within_the_same_turn_is_not_used_either(stage: Stage) -> None:
    """Closed, but its end not told yet: `get` looks."""
    stage.warm(stage.new)
    pool = stage.pool(NEW)
    pool.idle[0].close()
    assert pool.get() is None


def test_bytes_that_belong_to_no_answer_end_their_connection(stage: Stage) -> None:
    """Whatever comes while it is idle could be taken for the next answer."""
    wire = stage.warm(stage.new)
    wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    client = stage.ask()
    assert wire.aborted
    assert stage.new.wire is not wire
    stage.new.wire.say(OK)
    assert client.heard.endswith(b"ok")


def test_idle_connections_have_a_limit(make_stage: MakeStage) -> None:
    """The rest is closed after use."""
    stage = make_stage(table(limits=Limits(pool_size=2)))
    for _ in range(4):
        stage.ask()
    answer_all(stage, stage.new)
    assert (2, 2) == (len(stage.pool(NEW).idle), len(stage.new.open))


# ------------------------------------------------------------------------------------------------- who waits


def test_more_requests_than_connections_wait_in_line_and_are_served_in_order(make_stage: MakeStage) -> None:
    """A connection that comes free goes to the first who waits, without a moment in the pool."""
    stage = make_stage(table(limits=ONE_EACH))
    clients = [stage.ask(target=b"/api/%d" % number) for number in range(3)]
    seen = []
    for _ in clients:
        seen.append(stage.new.wire.take().split(b" ")[1])
        stage.new.wire.say(OK)
        stage.settle()
    assert [b"/api/0", b"/api/1", b"/api/2"] == seen
    assert ([200] * 3, 1) == ([status(client) for client in clients], len(stage.new.wires))


def test_the_line_is_bounded(make_stage: MakeStage) -> None:
    """One too many is told at once that there is no room, 503, and counted as that."""
    stage = make_stage(table(limits=ONE_EACH))
    clients = [stage.ask() for _ in range(4)]
    assert 503 == status(clients[3])
    assert b"X-Strangler-Error: upstream-overload" in clients[3].heard
    assert {("10.0.0.2", "overload"): 1} == stage.errors()
    for _ in range(3):
        answer_all(stage, stage.new)
    assert [200] * 3 == [status(client) for client in clients[:3]]


def test_no_room_may_be_a_reason_to_fall_back(make_stage: MakeStage) -> None:
    """503 is what the client would be told, so a route that hides 503 asks legacy."""
    fallback = Fallback(statuses=frozenset({503}))
    stage = make_stage(table(route(fallback=fallback), limits=Limits(endpoint_connections=1, endpoint_waiting=1)))
    stage.ask()
    stage.ask()
    client = stage.ask()
    stage.old.wire.say(OK)
    assert (200, {"overload": 1}) == (status(client), stage.fallbacks())


def test_who_waits_too_long_is_told(make_stage: MakeStage) -> None:
    """As overload, since no connection is on its way."""
    stage = make_stage(table(route(timeouts=Timeouts(connect=2.0)), limits=ONE_EACH))
    stage.ask()
    client = stage.ask()
    stage.advance(2.0)
    assert b"" == client.heard
    stage.advance(0.5)
    assert 503 == status(client)
    assert {("10.0.0.2", "overload"): 1} == stage.errors()
    assert 0 == len(stage.pool(NEW).waiting)


def test_who_goes_away_leaves_the_line(make_stage: MakeStage) -> None:
    """Nobody is asked on behalf of a client that is gone."""
    stage = make_stage(table(limits=ONE_EACH))
    stage.ask(target=b"/api/1")
    gone = stage.ask(target=b"/api/2")
    last = stage.ask(target=b"/api/3")
    gone.reset()
    answer_all(stage, stage.new)
    assert stage.new.wire.heard.startswith(b"GET /api/3 ")
    answer_all(stage, stage.new)
    assert 200 == status(last)


def test_a_connection_that_is_lost_makes_room_for_who_waits(make_stage: MakeStage) -> None:
    """Its place is taken by a fresh one."""
    stage = make_stage(table(limits=ONE_EACH))
    first = stage.ask(b"POST")
    second = stage.ask()
    stage.new.wire.reset()
    stage.settle()
    assert (502, 2) == (status(first), len(stage.new.wires))
    stage.new.wire.say(OK)
    assert 200 == status(second)


def test_a_connect_that_fails_lets_the_next_in_line_try(make_stage: MakeStage) -> None:
    """Nobody waits for a connection that nobody is making."""
    stage = make_stage(table(limits=ONE_EACH))
    stage.new.refuses = True
    clients = [stage.client() for _ in range(2)]
    for client in clients:
        client.say(b"GET /api/1 HTTP/1.1\r\nHost: shop\r\n\r\n")
    stage.settle()
    assert [502] * 2 == [status(client) for client in clients]
    assert {("10.0.0.2", "connect"): 2} == stage.errors()


def test_who_left_while_connecting_leaves_the_connection_to_others(stage: Stage) -> None:
    """It is not thrown away."""
    client = stage.client()
    client.say(b"GET /api/1 HTTP/1.1\r\nHost: shop\r\n\r\n")
    client.reset()
    stage.settle()
    assert 1 == len(stage.pool(NEW).idle)
    stage.ask()
    assert 1 == len(stage.new.wires)


# ------------------------------------------------------------------------------------------ which endpoint


def test_requests_are_shared_among_endpoints(make_stage: MakeStage) -> None:
    """The less busy one first; by chance when they are alike."""
    stage = make_stage(table(new=(NEW, NEW_TOO)))
    for _ in range(10):
        stage.ask()
    assert (5, 5) == (len(stage.new.open), len(stage.new_too.open))
    for wire in stage.new.open:
        wire.say(OK)
    for _ in range(5):
        stage.ask()
    assert (10, 0) == (sum(pool.busy for pool in stage.plane.pools.all()), len(stage.pool(NEW).idle))


def test_an_endpoint_that_refused_is_passed_over_for_a_while(make_stage: MakeStage) -> None:
    """Longer each time up to a limit, and not at all when it is the only one."""
    stage = make_stage(table(new=(NEW, NEW_TOO)))
    stage.new.refuses = True
    refusals, pause = [], 0.0
    for _ in range(200):
        stage.ask()
        answer_all(stage, stage.new_too)
        if (count := stage.errors().get(("10.0.0.2", "connect"), 0)) > len(refusals):
            refusals.append(pause)
            pause = 0.0
        stage.advance(0.25)
        pause += 0.25
    assert {("api", "new", "2xx", "weight"): 200} == stage.counts()
    spans = refusals[1:6]
    assert spans == sorted(spans)
    assert [True] * 5 == [low <= span <= low + 1 for low, span in zip((0.5, 1, 2, 4, 8), spans, strict=True)]
    assert count == len(refusals)


def test_an_endpoint_that_accepts_again_is_as_good_as_new(make_stage: MakeStage) -> None:
    """One success wipes out all refusals."""
    stage = make_stage()
    stage.new.refuses = True
    for _ in range(3):
        stage.ask()
    pool = stage.pool(NEW)
    assert pool.sick_until > stage.plane.wheel.now
    stage.new.refuses = False
    stage.ask()
    assert 0.0 == pool.sick_until


def pool(stage: Stage, name: str) -> EndpointPool:
    return EndpointPool(stage.plane, name, NEW, 0)


def test_choosing_prefers_untried_then_healthy_then_idle(stage: Stage) -> None:
    """In this order, whatever chance says."""
    one, two, three = pools = [pool(stage, name) for name in ("one", "two", "three")]
    destination = Destination("new", {"": pools}, (("", 1_000_000),))
    one.open = 5
    assert {id(two), id(three)} == {id(destination.choose(pools, 0.0, ())) for _ in range(60)}
    assert [one] * 6 == [destination.choose(pools, 0.0, (two, three)) for _ in range(6)]
    two.sick_until = three.sick_until = 10.0
    assert [one] * 6 == [destination.choose(pools, 9.0, ()) for _ in range(6)]
    assert {id(two), id(three)} == {id(destination.choose(pools, 11.0, ())) for _ in range(60)}
    two.level = three.level = 0
    assert [one] * 6 == [destination.choose(pools, 11.0, ()) for _ in range(6)]
    one.level = 0
    assert two is destination.choose(pools, 11.0, (one, three))
    assert one is destination.choose([one], 9.0, [one])


def test_idle_endpoints_are_asked_by_weight_and_busy_ones_by_what_they_carry(stage: Stage) -> None:
    """Three times the weight is three times the requests; twice as busy for its weight is not asked."""
    light, heavy = pools = [EndpointPool(stage.plane, name, end, 0) for name, end in (("l", NEW), ("h", THRICE))]
    destination = Destination("new", {"": pools}, (("", 1_000_000),))
    drawn = Counter(destination.choose(pools, 0.0, ()).key for _ in range(4000))
    assert 0.75 == pytest.approx(drawn["h"] / 4000, abs=0.05)
    light.open, heavy.open = 2, 5
    assert {"h"} == {destination.choose(pools, 0.0, ()).key for _ in range(20)}
    heavy.open = 7
    assert {"l"} == {destination.choose(pools, 0.0, ()).key for _ in range(20)}


def test_a_place_that_fails_twice_is_left_for_another(stage: Stage) -> None:
    """The endpoint beside it first, then another site; at once, when all of them are known to refuse."""
    here, there = ([pool(stage, f"{site}{number}") for number in range(3)] for site in ("here", "there"))
    destination = Destination("new", {"here": here, "there": there}, (("here", 500_000), ("there", 500_000)))
    assert None is destination.elsewhere("here", ["there"], 0.0, here[:1])
    assert there is destination.elsewhere("here", ["there"], 0.0, here[:2])
    assert None is destination.elsewhere("here", ["here"], 0.0, here[:2])
    for each in here:
        each.sick_until = 5.0
    assert there is destination.elsewhere("here", ["here", "there"], 4.0, ())
    for each in there:
        each.sick_until = 5.0
    assert None is destination.elsewhere("here", ["here", "there"], 4.0, ())


# ----------------------------------------------------------------------------------------------- their lives


def test_a_pool_survives_changes_that_are_not_its_own(make_stage: MakeStage) -> None:
    """Weights, routes, limits, other endpoints: connections stay."""
    stage = make_stage()
    wire = stage.warm(stage.new)
    stage.adopt(table(route(weight=500_000), route("more", "/more"), new=(NEW, NEW_TOO), limits=Limits(pool_size=7)))
    stage.settle()
    assert not wire.closed
    assert 1 == len(stage.pool(NEW).idle)


def test_a_pool_that_nobody_names_any_more_is_retired(stage: Stage) -> None:
    """What is idle is closed at once, what is busy after its exchange."""
    stage.ask()
    busy = stage.new.wire
    idle = stage.warm(stage.new)
    stage.adopt(table(new=(NEW_TOO,)))
    stage.settle()
    assert (True, False) == (idle.closed, busy.closed)
    busy.say(OK)
    stage.settle()
    assert busy.closed
    stage.ask()
    assert 1 == len(stage.new_too.wires)


def test_a_request_that_began_before_a_removal_still_gets_its_connection(stage: Stage) -> None:
    """It routes by the snapshot of its first moment to its end."""
    stage.new.hangs = True
    client = stage.client()
    client.say(b"GET /api/1 HTTP/1.1\r\nHost: shop\r\n\r\n")
    stage.adopt(table(new=(NEW_TOO,)))
    stage.new.hangs = False
    stage.settle()
    stage.new.wire.say(OK)
    stage.settle()
    assert 200 == status(client)
    assert stage.new.wire.closed


def test_an_endpoint_that_comes_back_begins_anew(stage: Stage) -> None:
    """With a pool that keeps connections again."""
    stage.adopt(table(new=(NEW_TOO,)))
    stage.adopt(table())
    stage.warm(stage.new)
    assert 1 == len(stage.pool(NEW).idle)


def test_connections_are_counted_when_they_come_and_when_they_go(stage: Stage) -> None:
    """Made ones for ever, open ones as a gauge, requests on each."""
    stage.warm(stage.new)
    stage.ask()
    stage.ask()
    stage.advance(0.2)
    assert (2, 2, 3) == tuple(
        slot(stage, at) for at in (EndpointBlock.CONNECTS, EndpointBlock.OPEN, EndpointBlock.REQUESTS)
    )
    stage.new.wire.reset()
    stage.settle()
    assert (2, 1) == (slot(stage, EndpointBlock.CONNECTS), slot(stage, EndpointBlock.OPEN))


@pytest.mark.parametrize("draining", [True, False])
def test_a_draining_plane_keeps_no_idle_connections(stage: Stage, draining: bool) -> None:
    """Whoever is still answered gets an answer, and then everything is closed."""
    idle = stage.warm(stage.new)
    client = stage.ask()
    if draining:
        stage.plane.drain()
    idle.say(OK)
    stage.settle()
    assert draining is idle.closed
    assert draining is (b"Connection: close" in client.heard)

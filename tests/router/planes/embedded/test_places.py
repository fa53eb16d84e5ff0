"""What the data plane makes of health: endpoints, sites, sides, and the breaker of one API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from router.core.model import PPM, Breaker, Endpoint, Fallback, Site, Source, SubjectSource, Table, Upstream
from router.core.observed import Observed, target_key
from router.core.orders import Kind, Order, Reach, Scope
from router.planes.embedded.snapshot import Snapshot
from router.telemetry import BusyBlock, EndpointBlock, RouteBlock
from tests.router.planes.embedded.stage import BAD, NEW, NEW_TOO, OK, OLD, Service, Stage, Wire, route, table

MakeStage = Callable[..., Stage]
THIRD = Endpoint("10.0.0.4", 80)
BOTH_DOWN = Observed({target_key("new", NEW): 0, target_key("new", NEW_TOO): 0})
DOWN = Observed({target_key("new", NEW): 0})
SICK = b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad"


def places(**settings: Any) -> Table:
    """The new side in two places of equal weight, one endpoint each."""
    upstreams = {"old": Upstream("old", {"": (OLD,)}), "new": Upstream("new", {"a": (NEW,), "b": (NEW_TOO,)})}
    sites = {"a": Site("a", 50), "b": Site("b", 50)}
    subject = (SubjectSource(Source.HEADER, "X-User-Id"),)
    return replace(table(route(subject=subject, **settings)), upstreams=upstreams, sites=sites)


def drain(site: str) -> Order:
    return Order(2, Kind.DRAIN, Scope(Reach.SITE, site), "test", "test", 0.0)


def asked(stage: Stage) -> tuple[int, int, int]:
    """Requests that have come to legacy, to the first and to the second endpoint of the new side, all answered."""
    counts = []
    for service in (stage.old, stage.new, stage.new_too):
        wires = [wire for wire in service.open if b"HTTP/1.1" in wire.take()]
        for wire in wires:
            wire.say(OK)
        counts.append(len(wires))
    stage.settle()
    return counts[0], counts[1], counts[2]


def ask_many(stage: Stage, count: int = 20) -> tuple[int, int, int]:
    for number in range(count):
        stage.ask(b"GET", b"/api/%d" % number, b"X-User-Id: u%d" % number)
    return asked(stage)


def status(client: Wire) -> int:
    return int(client.heard[9:12])


# ------------------------------------------------------------------------------------------------ endpoints


def test_an_endpoint_that_is_seen_to_be_down_is_not_asked(make_stage: MakeStage) -> None:
    """Until it is seen to be up again."""
    stage = make_stage(table(new=(NEW, NEW_TOO)))
    stage.plane.observe(DOWN)
    assert (0, 0, 20) == ask_many(stage)
    stage.plane.observe(Observed())
    assert ask_many(stage)[1] > 0


def test_an_endpoint_that_returns_takes_its_part_little_by_little(make_stage: MakeStage) -> None:
    """At a tenth of its weight it gets about an eleventh of the requests."""
    stage = make_stage(table(new=(NEW, NEW_TOO)))
    stage.plane.observe(Observed({target_key("new", NEW): PPM // 10}))
    few = 0
    for _ in range(300):
        stage.ask()
        few += asked(stage)[1]
    assert 5 <= few <= 75


def test_what_is_seen_survives_a_reload(make_stage: MakeStage) -> None:
    """A new table is placed by the same observation, and new orders too."""
    stage = make_stage(table(new=(NEW, NEW_TOO)))
    stage.plane.observe(DOWN)
    stage.adopt(table(route(), route("other", "/other"), new=(NEW, NEW_TOO)))
    assert (0, 0, 20) == ask_many(stage)


def test_each_address_of_a_name_is_an_endpoint_of_its_own(make_stage: MakeStage) -> None:
    """They share the requests; one that is gone from DNS is asked no more."""
    name = Endpoint("svc.example", 80)
    stage = make_stage(table(new=(name,)))
    key = target_key("new", name)
    stage.plane.observe(Observed(addresses={key: (NEW.host, NEW_TOO.host)}))
    assert all(ask_many(stage)[1:])
    stage.plane.observe(Observed(addresses={key: (NEW_TOO.host,)}))
    assert (0, 0, 20) == ask_many(stage)
    stage.plane.observe(Observed({target_key("new", name, NEW_TOO.host): 0}, {key: (NEW.host, NEW_TOO.host)}))
    assert (0, 20, 0) == ask_many(stage)


def test_an_endpoint_takes_no_more_than_its_upstream_allows(make_stage: MakeStage) -> None:
    """`max_requests` of the upstream: the second request waits."""
    declared = table()
    upstreams = {**declared.upstreams, "new": replace(declared.upstreams["new"], max_requests=1)}
    stage = make_stage(replace(declared, upstreams=upstreams))
    for _ in range(2):
        stage.ask()
    assert (1, 1) == (len(stage.new.open), len(stage.pool(NEW).waiting))
    asked(stage)
    asked(stage)


def test_a_get_whose_endpoint_dies_is_asked_of_the_other_one(make_stage: MakeStage) -> None:
    """All of them, however many were under way: nobody works on them any more."""
    stage = make_stage(table(new=(NEW, NEW_TOO)))
    clients = [stage.ask() for _ in range(20)]
    stage.new.refuses = True
    for wire in stage.new.open:
        wire.reset()
    stage.settle()
    asked(stage)
    asked(stage)
    assert [200] * 20 == [status(client) for client in clients]
    block = stage.ledger.routes["api"]
    assert stage.errors()["10.0.0.2", "head"] == stage.slot(block + RouteBlock.SIDE + RouteBlock.REPEATED)


def test_bad_gateways_are_counted_by_endpoint_and_mere_failures_are_not(make_stage: MakeStage) -> None:
    """503 speaks of the endpoint, 500 and 404 of the request."""
    stage = make_stage()
    for answer in (BAD, SICK, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"):
        stage.ask()
        stage.new.wire.say(answer)
    assert 1 == stage.slot(stage.ledger.endpoints[target_key("new", NEW)] + EndpointBlock.BAD_GATEWAYS)


@pytest.mark.parametrize(("peer", "status_"), [("169.254.169.254", 502), ("192.0.2.7", 200)])
def test_a_name_that_leads_to_metadata_is_not_sent_to(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch, peer: str, status_: int
) -> None:
    """Whatever the name resolved to when control looked: the connection itself says where it has led."""
    monkeypatch.setattr(Wire, "get_extra_info", lambda _self, name: (peer, 80) if name == "peername" else None)
    named = Endpoint("svc.example", 80)
    stage = make_stage()
    stage.loop.services[named.host, 80] = stage.new_too
    stage.adopt(table(new=(named,)))
    client = stage.ask()
    answered = [wire for wire in stage.new_too.open if b"HTTP/1.1" in wire.take()]
    for wire in answered:
        wire.say(OK)
    assert (status_, status_ == 200) == (status(client), bool(answered))


# ---------------------------------------------------------------------------------------------------- sites


def test_a_dead_site_is_taken_over_by_the_other_and_no_side_changes(make_stage: MakeStage) -> None:
    """Site failover comes before side failover."""
    stage = make_stage(places(weight=PPM // 2))
    old, *new = ask_many(stage, 40)
    assert all((old, *new))
    stage.plane.observe(DOWN)
    assert (old, 0, sum(new)) == ask_many(stage, 40)


def test_when_all_of_new_is_dead_legacy_serves(make_stage: MakeStage) -> None:
    """And the reason is told."""
    stage = make_stage(places())
    stage.plane.observe(BOTH_DOWN)
    assert (20, 0, 0) == ask_many(stage)
    assert 20 == stage.counts()["api", "legacy", "2xx", "health"]


def test_a_finalised_route_never_falls_back(make_stage: MakeStage) -> None:
    """Its data has moved: the dead are asked rather than legacy; with every place closed the answer is 503."""
    stage = make_stage(places(finalised=True))
    stage.plane.observe(BOTH_DOWN)
    old, *new = ask_many(stage)
    assert (0, 20) == (old, sum(new))
    stage.adopt(places(finalised=True), drain("a"), replace(drain("b"), number=3))
    client = stage.ask()
    assert (503, True) == (status(client), b"no-place" in client.heard)


def test_when_everything_looks_dead_nothing_is_believed(make_stage: MakeStage) -> None:
    """The prober is wrong more often than everybody is dead."""
    stage = make_stage(places(weight=PPM // 2))
    before = ask_many(stage, 40)
    stage.plane.observe(Observed({**BOTH_DOWN.levels, target_key("old", OLD): 0}))
    assert before == ask_many(stage, 40)


def test_a_site_that_refuses_connections_is_left_before_anybody_says_so(make_stage: MakeStage) -> None:
    """Control may be dead: no client sees a failure, and after the first few nobody even tries."""
    stage = make_stage(places())
    stage.new.refuses = True
    clients = [stage.ask(b"GET", b"/api/1", b"X-User-Id: u%d" % number) for number in range(20)]
    asked(stage)
    assert [200] * 20 == [status(client) for client in clients]
    assert 1 == stage.errors()["10.0.0.2", "connect"]


def test_a_drained_site_is_not_asked_even_when_the_other_one_fails(make_stage: MakeStage) -> None:
    """What an operator has closed stays closed."""
    stage = make_stage()
    stage.adopt(places(fallback=Fallback(on_connect=True)), drain("b"))
    stage.new.refuses = True
    assert (20, 0, 0) == ask_many(stage)


def test_moving_all_weight_from_one_site_to_the_other_moves_nobody_to_the_other_side(make_stage: MakeStage) -> None:
    """From 100 : 0 to 0 : 100 in steps: the site is a second draw."""
    declared = places(weight=PPM // 3)
    stage = make_stage(declared)

    def sides() -> list[bool]:
        found = []
        for number in range(60):
            stage.ask(b"GET", b"/api/1", b"X-User-Id: u%d" % number)
            found.append(asked(stage)[0] == 0)
        return found

    before = sides()
    for weight in (0, 25, 50, 75, 100):
        stage.adopt(replace(declared, sites={"a": Site("a", 100 - weight), "b": Site("b", weight)}))
        assert before == sides()


# ------------------------------------------------------------------------------------------------ breakers of APIs


def fail(stage: Stage, count: int, target: bytes = b"/api/1", method: bytes = b"GET") -> None:
    for _ in range(count):
        stage.ask(method, target)
        stage.new.wire.say(SICK)
        stage.settle()
    for wire in stage.new.open:
        wire.take()


def entry_gauge(stage: Stage, name: str = "api") -> int:
    return stage.slot(stage.ledger.routes[name] + RouteBlock.SIDE + RouteBlock.BREAKER_OPEN)


@pytest.fixture
def sick(make_stage: MakeStage) -> Stage:
    """One API of two on the same endpoint has failed too often."""
    stage = make_stage(table(route(breaker=Breaker()), route("other", "/other", breaker=Breaker())))
    fail(stage, 20)
    return stage


def test_only_the_sick_api_is_pulled_to_legacy(sick: Stage) -> None:
    """Its neighbour on the same endpoint stays where it is."""
    assert 1 == entry_gauge(sick)
    sick.ask()
    sick.ask(target=b"/other")
    assert (1, 1, 0) == asked(sick)
    assert 1 == sick.counts()["api", "legacy", "2xx", "breaker"]


def test_real_requests_find_out_whether_it_is_well(sick: Stage) -> None:
    """One at a time and only safe ones; three good answers close it."""
    sick.advance(15)
    sick.ask(b"POST")
    assert (1, 0, 0) == asked(sick)
    clients = [sick.ask() for _ in range(2)]
    assert (1, 1, 0) == asked(sick)
    assert [200, 200] == [status(client) for client in clients]
    for _ in range(2):
        sick.ask()
        assert (0, 1, 0) == asked(sick)
    assert 0 == entry_gauge(sick)
    assert (0, 20, 0) == ask_many(sick)


def test_a_failed_trial_holds_longer(sick: Stage) -> None:
    """Twice as long."""
    sick.advance(15)
    fail(sick, 1)
    sick.advance(16)
    sick.ask()
    assert (1, 0, 0) == asked(sick)
    sick.advance(15)
    sick.ask()
    assert (0, 1, 0) == asked(sick)


def test_a_client_that_leaves_in_the_middle_of_a_trial_says_nothing(sick: Stage) -> None:
    """The next one may try."""
    sick.advance(15)
    sick.ask().reset()
    sick.settle()
    sick.ask()
    assert (0, 1, 0) == asked(sick)


def test_a_breaker_outlives_a_snapshot_that_is_sent_again(sick: Stage) -> None:
    """As a control does that cannot know what its predecessor has sent: another whole one, and it says the same."""
    sick.adopt(table(route(breaker=Breaker()), route("other", "/other", breaker=Breaker())))
    sick.ask()
    assert (1, 0, 0) == asked(sick)
    assert 1 == entry_gauge(sick)


def test_a_breaker_outlives_reloads_until_the_route_has_none(sick: Stage) -> None:
    """A reload is no cure; a file that says `breaker: off` is."""
    sick.adopt(table(route(breaker=Breaker(minimum=5))))
    sick.ask()
    assert (1, 0, 0) == asked(sick)
    sick.adopt(table(route()))
    sick.ask()
    assert ((0, 1, 0), 0) == (asked(sick), entry_gauge(sick))


def test_a_person_can_close_it(sick: Stage) -> None:
    """At once; a name that nobody has is told."""
    assert (True, False) == (sick.plane.close_breaker("api"), sick.plane.close_breaker("nobody"))
    sick.ask()
    assert ((0, 1, 0), 0) == (asked(sick), entry_gauge(sick))


def test_what_a_fallback_hides_counts(make_stage: MakeStage) -> None:
    """No client has seen a failure, and the API is sick all the same."""
    policy = Fallback(on_connect=True, statuses=frozenset({503}))
    stage = make_stage(table(route(breaker=Breaker(), fallback=policy)))
    stage.new.refuses = True
    for _ in range(25):
        stage.ask()
        asked(stage)
        stage.advance(0.2)
    assert 1 == entry_gauge(stage)
    assert {200} == {status(client) for client in stage.clients}


def test_requests_that_wait_for_room_are_no_failures_of_the_api(make_stage: MakeStage) -> None:
    """The router's own limits trip nothing."""
    declared = table(route(breaker=Breaker(minimum=1)))
    limits = replace(declared.limits, endpoint_connections=1, endpoint_waiting=1)
    stage = make_stage(replace(declared, limits=limits))
    for _ in range(5):
        stage.ask()
    assert 3 == stage.errors()["10.0.0.2", "overload"]
    assert 0 == entry_gauge(stage)
    asked(stage)
    asked(stage)


def test_what_is_under_way_is_told_by_place(make_stage: MakeStage) -> None:
    """Exchanges and tunnels apart, and also at an endpoint that no table names any more."""
    stage = make_stage(table(new=(NEW, NEW_TOO)))
    stage.ask(b"GET", b"/api/1", b"Connection: Upgrade", b"Upgrade: websocket")
    first = stage.new if stage.new.wires else stage.new_too
    first.wire.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    place = target_key("new", NEW if first is stage.new else NEW_TOO)
    assert {place: [0, 1]} == stage.plane.left_at_places()
    stage.adopt(table(new=(THIRD,)))
    assert {place: [0, 1]} == stage.plane.left_at_places()
    stage.clients[-1].reset()
    stage.settle()
    assert {} == stage.plane.left_at_places()


def test_gauges_of_a_predecessor_that_was_killed_begin_at_zero() -> None:
    """What it had under way is under way no more."""
    stage = Stage()
    block = stage.ledger.routes["api"]
    for slot in (RouteBlock.IN_FLIGHT, RouteBlock.SIDE + RouteBlock.TUNNELS, RouteBlock.SIDE + RouteBlock.BREAKER_OPEN):
        stage.counters.slots[block + slot] = 3
    for side in (0, 1):
        stage.counters.slots[stage.ledger.registry.busy["api"] + side * BusyBlock.SIDE + BusyBlock.IN_FLIGHT] = 3
    stage.plane._own_gauges.clear()
    stage.adopt(table(route(), route("other", "/other")))
    stage.close()  # checks that every gauge is at zero


def test_a_snapshot_without_places_costs_a_request_nothing(stage: Stage) -> None:
    """Live shares are the shares themselves."""
    snapshot: Snapshot = stage.plane.snapshot
    assert snapshot.live is snapshot.shares
    assert (None, None) == (snapshot.placings, snapshot.unlisted_placing)
    service: Service = stage.new
    assert [] == service.wires


# ----------------------------------------------------------------------------------------- drain and off


def tunnel_to_a(stage: Stage) -> Wire:
    """A tunnel to the first site's endpoint."""
    client = stage.ask(b"GET", b"/api/1", b"Connection: Upgrade", b"Upgrade: websocket")
    stage.new.wire.take()
    stage.new.wire.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    return client


@pytest.mark.parametrize(("kind", "cut"), [(Kind.DRAIN, False), (Kind.OFF, True)])
def test_a_tunnel_has_its_time_when_its_site_is_drained_and_none_when_it_is_switched_off(
    make_stage: MakeStage, kind: Kind, cut: bool
) -> None:
    """Nothing new goes there in either case."""
    declared = places()
    stage = make_stage(declared)
    stage.adopt(declared, drain("b"))
    client = tunnel_to_a(stage)
    stage.adopt(declared, replace(drain("a"), kind=kind))
    stage.settle()
    assert cut is client.closed
    assert (0, 0, 5) == ask_many(stage, 5)
    stage.advance(31)
    assert client.closed

"""Where requests go: which route and side, by whose word, and which site."""

from __future__ import annotations

from collections.abc import Callable
from time import time

import pytest

from router.core.model import (
    PPM,
    Side,
    Site,
    Source,
    SubjectSource,
    Table,
    Upstream,
)
from router.core.orders import Kind, Order, Reach, Scope
from router.core.override import sign
from router.core.split import bucket, seed_of
from router.telemetry import WorkerSlot
from tests.router.planes.embedded.stage import NEW, NEW_TOO, OK, OLD, Stage, code, once, route, status, table

MakeStage = Callable[..., Stage]


@pytest.mark.parametrize("path", [b"/other", b"/api", b"/api/1/2", b"/api/%2e%2e%2fx/y", b"/"])
def test_who_matches_no_route_goes_to_legacy_as_unlisted(stage: Stage, path: bytes) -> None:
    """The monolith answers whatever is not listed, and that is counted apart."""
    client = stage.ask(target=path)
    stage.old.wire.say(OK)
    assert b"X-Strangler-Side: legacy\r\nX-Strangler-Route: unlisted\r\n" in client.heard
    assert once(side="legacy", reason="unlisted", name="unlisted") == stage.counts()


def test_dot_segments_are_refused_before_anybody_is_asked(stage: Stage) -> None:
    """Two servers could resolve them differently; nothing is routed, so nothing is counted as an exchange."""
    client = stage.ask(target=b"/api/../admin")
    assert (400, b"bad-request") == (status(client), code(client))
    assert ([], {}, 1) == (stage.old.wires + stage.new.wires, stage.counts(), stage.slot(WorkerSlot.BAD_REQUESTS))


def test_a_subject_stays_on_its_side_of_the_share(make_stage: MakeStage) -> None:
    """The same bucket that `split` computes decides, and a request without a subject stays on legacy."""
    chain = (SubjectSource(Source.HEADER, "X-User-Id"),)
    stage = make_stage(table(route(weight=500_000, subject=chain)))
    for number in range(20):
        user = b"u%d" % number
        client = stage.ask(b"GET", b"/api/1", b"X-User-Id: " + user)
        side = b"new" if bucket(user, seed_of("api")) < 500_000 else b"legacy"
        (stage.new if side == b"new" else stage.old).wire.say(OK)
        assert b"X-Strangler-Side: " + side in client.heard
    client = stage.ask()
    stage.old.wire.say(OK)
    assert 1 == stage.counts()["api", "legacy", "2xx", "no-subject"]
    assert 21 == sum(stage.counts().values())


@pytest.mark.parametrize(("peers", "side"), [(("192.0.2.0/24",), b"new"), ((), b"legacy")])
def test_an_override_is_for_trusted_clients(make_stage: MakeStage, peers: tuple[str, ...], side: bytes) -> None:
    """From others it is not even passed on."""
    stage = make_stage(table(route(weight=0), trusted=peers))
    client = stage.ask(b"GET", b"/api/1", b"X-Strangler-Side: new")
    wire = (stage.new if side == b"new" else stage.old).wire
    assert b"X-Strangler-Side" not in wire.heard
    wire.say(OK)
    assert b"X-Strangler-Side: " + side in client.heard


@pytest.mark.parametrize(
    ("key", "side", "seconds", "allowed"),
    [(b"key", Side.NEW, 60, True), (b"other", Side.NEW, 60, False), (b"key", Side.LEGACY, 60, False),
     (b"key", Side.NEW, -60, False)],
)  # fmt: skip
def test_a_signed_token_allows_one_side_for_a_time(
    make_stage: MakeStage, key: bytes, side: Side, seconds: int, allowed: bool
) -> None:
    """To whoever holds it; neither header reaches the upstream."""
    stage = make_stage(table(route(weight=0)))
    stage.plane.override_key = b"key"
    token = sign(side, int(time()) + seconds, key).encode()
    stage.ask(b"GET", b"/api/1", b"X-Strangler-Side: NEW", b"X-Strangler-Token: " + token)
    wire = (stage.new if allowed else stage.old).wire
    assert b"strangler-" not in wire.heard.lower().replace(b"via: 1.1 strangler", b"")
    wire.say(OK)
    assert once(side="new" if allowed else "legacy", reason="override" if allowed else "weight") == stage.counts()


def test_without_a_key_no_token_is_believed(make_stage: MakeStage) -> None:
    """Not even one that was signed with nothing."""
    stage = make_stage(table(route(weight=0)))
    token = sign(Side.NEW, int(time()) + 60, b"").encode()
    stage.ask(b"GET", b"/api/1", b"X-Strangler-Side: new", b"X-Strangler-Token: " + token)
    assert 1 == len(stage.old.wires)


@pytest.mark.parametrize("path", ["/%EC%83%81%ED%92%88/{id}", "/%ec%83%81%ED%92%88/{id}"])
@pytest.mark.parametrize("target", ["/상품/1?q=é".encode(), "/상품/é".encode(), b"/%EC%83%81%ed%92%88/1"])
def test_a_raw_target_above_ascii_finds_its_route_and_is_sent_on_as_it_came(
    make_stage: MakeStage, path: str, target: bytes
) -> None:
    """Where the table allows it; the normal form is for comparing only."""
    stage = make_stage(table(route("wares", path), non_ascii_target=True))
    client = stage.ask(target=target)
    assert stage.new.wire.heard.startswith(b"GET %b HTTP/1.1\r\n" % target)
    stage.new.wire.say(OK)
    assert 200 == status(client)
    assert once(name="wares") == stage.counts()


def test_a_preflight_follows_the_route_of_the_method_it_asks_about(make_stage: MakeStage) -> None:
    """And stays on legacy below a whole share, since it has no subject."""
    stage = make_stage(table(route(methods=("PUT",), weight=PPM - 1, subject=(SubjectSource(Source.CLIENT_IP),))))
    stage.ask(b"OPTIONS", b"/api/1", b"Origin: http://a", b"Access-Control-Request-Method: PUT")
    stage.old.wire.say(OK)
    assert once(side="legacy", reason="preflight") == stage.counts()


def test_head_follows_get(make_stage: MakeStage) -> None:
    """The same API, so the same side."""
    stage = make_stage(table(route(methods=("GET",))))
    stage.ask(b"HEAD")
    stage.new.wire.say(OK.partition(b"ok")[0])
    assert once() == stage.counts()


def sites(*places: str) -> Table:
    """The new side in several places, one endpoint in each."""
    there = dict(zip(places, ((NEW,), (NEW_TOO,)), strict=False))
    upstreams = {"old": Upstream("old", {"": (OLD,)}), "new": Upstream("new", there)}
    subject = (SubjectSource(Source.HEADER, "X-User-Id"),)
    return Table("old", upstreams, (route(subject=subject),), sites={place: Site(place, 50) for place in places})


def test_a_subject_stays_at_its_site(make_stage: MakeStage) -> None:
    """By a draw of its own; each place gets about its share."""
    stage = make_stage(sites("here", "there"))
    went = {}
    for number in (*range(40), *range(40)):
        client = stage.ask(b"GET", b"/api/1", b"X-User-Id: u%d" % number)
        service = next(one for one in (stage.new, stage.new_too) if one.wires and one.wire.take())
        service.wire.say(OK)
        assert service is went.setdefault(number, service)
        client.end()
        stage.settle()
    assert 10 < list(went.values()).count(stage.new) < 30


def test_a_rolled_back_sites_subjects_go_to_legacy_and_the_others_stay(make_stage: MakeStage) -> None:
    """The route goes on at the other site; the reason says why some do not."""
    stage = make_stage(sites("here", "there"))
    stage.adopt(sites("here", "there"), Order(1, Kind.ROLLBACK, Scope(Reach.SITE, "there"), "test", "test", 0.0))
    for number in range(40):
        stage.ask(b"GET", b"/api/1", b"X-User-Id: u%d" % number)
        for service in (stage.new, stage.old):
            if service.wires and service.wire.take():
                service.wire.say(OK)
    counts = stage.counts()
    assert [] == stage.new_too.wires
    assert {("api", "new", "2xx", "weight"), ("api", "legacy", "2xx", "site-rollback")} == set(counts)
    assert 40 == sum(counts.values())

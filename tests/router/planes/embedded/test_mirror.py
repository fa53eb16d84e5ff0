"""Copies of requests: to whom, when, how many; and that no user's exchange ever notices.

The stage's users are answered by legacy (`old`) and copied to `new`, unless a test says otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from router.core.capture import MAX_BODY, Capture, Count, Who
from router.core.model import PPM, Credentials, Fallback, Shadow, Site, Table, Timeouts, Upstream
from router.planes.embedded.copying import CopyConnection
from router.planes.embedded.mirror import ACTIVE, ALIVE, OF_ONE_ROUTE, RUNNING, WAITING, Mirror
from tests.router.planes.embedded.stage import NEW, NEW_TOO, OK, OLD, Service, Stage, Wire, rollback, route, table

MakeStage = Callable[..., Stage]
EVERYTHING = Shadow(PPM, compare=True, methods=("GET", "HEAD", "POST"))
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"


class Pigeon:
    """A courier that keeps everything."""

    def __init__(self, noise: int = 0) -> None:
        self.captures: list[Capture] = []
        self.counts: Counter[Count] = Counter()
        self.noise = noise

    def noise_wanted(self, _route: str) -> int:
        return self.noise

    def count(self, _route: str, what: Count, times: int = 1) -> None:
        self.counts[what] += times

    def carry(self, capture: Capture) -> None:
        self.captures.append(capture)

    def close(self) -> None:
        pass


class Copying:
    """A stage whose worker copies."""

    def __init__(self, stage: Stage, noise: int = 0) -> None:
        self.stage = stage
        self.pigeon = Pigeon(noise)
        self.mirror = stage.plane.mirror = Mirror(stage.plane, self.pigeon)  # type: ignore[arg-type]

    @property
    def capture(self) -> Capture:
        (found,) = self.pigeon.captures
        return found


@pytest.fixture
def copying(make_stage: MakeStage) -> Iterator[Callable[..., Copying]]:
    made: list[Copying] = []

    def make(shadow: Shadow = EVERYTHING, noise: int = 0, **settings: object) -> Copying:
        given = {"weight": 0, "shadow": shadow} | settings
        made.append(Copying(make_stage(table(route(**given))), noise))
        return made[-1]

    yield make
    for each in made:  # whatever happened, nothing is kept when everybody has gone
        each.stage._send_home()
        each.stage.advance(70)
        assert (0, 0) == (each.mirror.alive, each.mirror._running.total())


def copies(service: Service) -> list[Wire]:
    """The connections on which copies came."""
    return [wire for wire in service.wires if isinstance(wire._protocol, CopyConnection)]


def users(service: Service) -> list[Wire]:
    return [wire for wire in service.wires if wire not in copies(service)]


def test_a_request_is_copied_and_both_answers_are_taken_down(copying: Callable[..., Copying]) -> None:
    """The user gets legacy's answer; what travels is that and the new side's, as they came."""
    here = copying()
    client = here.stage.ask(b"GET", b"/api/1?a=b", b"Accept: x")
    (copy,) = copies(here.stage.new)
    assert copy.heard.startswith(b"GET /api/1?a=b HTTP/1.1\r\n")
    assert b"\r\nX-Strangler-Shadow: 1\r\n" in copy.heard
    users(here.stage.old)[0].say(b"HTTP/1.1 201 Created\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi")
    here.stage.settle()
    assert client.heard.endswith(b"\r\n\r\nhi")
    copy.say(CHUNKED)
    here.stage.settle()
    found = here.capture
    legacy, new = found.answer(Who.LEGACY), found.answer(Who.NEW)
    assert legacy is not None
    assert new is not None
    assert (201, b"hi", ("X-A", "1")) == (legacy.status, legacy.body, legacy.headers[0])
    assert (200, b"abc", False) == (new.status, new.body, new.truncated)
    assert ("api", "GET", "/api/1?a=b", "shop", Who.LEGACY, 0) == (
        found.route, found.method, found.target, found.host, found.served_by, found.share
    )  # fmt: skip
    assert client.heard.partition(b"X-Request-Id: ")[2].startswith(found.request_id.encode())


def test_after_the_switch_legacy_is_shadowed(copying: Callable[..., Copying]) -> None:
    """New answers users, and the copy goes to legacy."""
    here = copying(weight=PPM)
    here.stage.ask()
    (copy,) = copies(here.stage.old)
    users(here.stage.new)[0].say(OK)
    copy.say(OK)
    here.stage.settle()
    assert (Who.NEW, {Who.NEW, Who.LEGACY}) == (here.capture.served_by, {each.who for each in here.capture.answers})


def test_a_new_side_that_hangs_is_never_noticed(copying: Callable[..., Copying]) -> None:
    """Users are answered at once; beyond a few copies on their way all others are dropped and counted."""
    here = copying(timeouts=Timeouts(connect=1.0, head=5.0))
    here.stage.new.hangs = True
    for _ in range(100):
        client = here.stage.ask()
        users(here.stage.old)[-1].say(OK)
        here.stage.settle()
        assert client.heard.endswith(b"ok")
    assert (OF_ONE_ROUTE, 100 - OF_ONE_ROUTE) == (here.pigeon.counts[Count.COPIED], here.pigeon.counts[Count.FULL])
    here.stage.advance(11)
    assert {"connect"} == {each.error for found in here.pigeon.captures for each in found.answers if each.error}


def test_a_copy_has_twice_the_time_of_its_original(copying: Callable[..., Copying]) -> None:
    """Then it is a timeout, and its connection is gone."""
    here = copying(timeouts=Timeouts(connect=1.0, head=5.0))
    here.stage.ask()
    users(here.stage.old)[0].say(OK)
    here.stage.advance(9.5)
    assert [] == here.pigeon.captures
    here.stage.advance(1.0)
    assert ["", "timeout"] == [each.error for each in here.capture.answers]
    assert [] == [wire for wire in copies(here.stage.new) if not wire.closed]


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [("refuses", "connect"), ("reset", "lost"), ("rubbish", "protocol"), ("tunnel", "protocol")],
)
def test_whatever_the_shadowed_side_does_is_an_answer_of_its_own(
    copying: Callable[..., Copying], trouble: str, expected: str
) -> None:
    """Refusals, resets, rubbish and tunnels are taken down as errors."""
    here = copying()
    here.stage.new.refuses = trouble == "refuses"
    client = here.stage.ask()
    if trouble == "reset":
        copies(here.stage.new)[0].reset()
    elif trouble == "rubbish":
        copies(here.stage.new)[0].say(b"SSH-2.0\r\n\r\n")
    elif trouble == "tunnel":
        copies(here.stage.new)[0].say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
    users(here.stage.old)[0].say(OK)
    here.stage.settle()
    assert client.heard.endswith(b"ok")
    assert ["", expected] == [each.error for each in here.capture.answers]


def test_connections_of_copies_are_used_again_and_not_for_long(copying: Callable[..., Copying]) -> None:
    """A clean one serves the next copy; after some seconds it is closed."""
    here = copying()
    for _ in range(3):
        here.stage.ask()
        users(here.stage.old)[-1].say(OK)
        copies(here.stage.new)[-1].say(OK)
        here.stage.settle()
    assert 1 == len(copies(here.stage.new))
    here.stage.advance(11)
    assert copies(here.stage.new)[0].closed


def test_large_answers_are_not_kept(copying: Callable[..., Copying]) -> None:
    """Beyond the limit a body is truncated and empty, on both sides, and the user has all of it."""
    here = copying()
    client = here.stage.ask()
    large = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1)
    for wire in (users(here.stage.old)[0], copies(here.stage.new)[0]):
        wire.say(large)
        wire.say(b"x" * (MAX_BODY + 1))
    here.stage.settle()
    assert client.heard.endswith(b"x" * (MAX_BODY + 1))
    assert [(b"", True), (b"", True)] == [(each.body, each.truncated) for each in here.capture.answers]


def test_a_body_is_copied_when_it_is_whole(copying: Callable[..., Copying]) -> None:
    """In pieces it is sent to legacy at once; the copy waits for its end."""
    here = copying()
    client = here.stage.client()
    client.say(b"POST /api/1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 6\r\n\r\nabc")
    here.stage.settle()
    assert users(here.stage.old)[0].heard.endswith(b"abc")
    assert [] == copies(here.stage.new)
    client.say(b"def")
    here.stage.settle()
    assert copies(here.stage.new)[0].heard.endswith(b"\r\n\r\nabcdef")


def test_a_chunked_body_is_copied_with_its_framing(copying: Callable[..., Copying]) -> None:
    """What the user's upstream gets, the copy's gets."""
    here = copying()
    client = here.stage.client()
    client.say(b"POST /api/1 HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    here.stage.settle()
    assert users(here.stage.old)[0].heard.endswith(b"3\r\nabc\r\n0\r\n\r\n")
    assert copies(here.stage.new)[0].heard.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")


def test_a_body_that_is_too_long_is_not_copied(copying: Callable[..., Copying]) -> None:
    """Known from its length, or found out on the way."""
    here = copying()
    here.stage.ask(b"POST", body=b"x" * (MAX_BODY + 1))
    client = here.stage.client()
    client.say(b"POST /api/1 HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(5):
        client.say(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        here.stage.settle()
    assert 2 == here.pigeon.counts[Count.BODY]
    assert [] == copies(here.stage.new)


def test_methods_percents_and_words_decide_what_is_copied(copying: Callable[..., Copying]) -> None:
    """Other methods are not even counted; what looks dangerous, conditional or like a tunnel is."""
    here = copying(Shadow(PPM, compare=True))
    stage = here.stage
    stage.ask(b"POST", body=b"a")
    stage.ask(b"DELETE")
    assert not here.pigeon.counts
    stage.ask(b"GET", b"/api/logout")
    stage.ask(b"GET", b"/api/1", b"If-None-Match: x")
    stage.ask(b"GET", b"/api/1", b"Connection: Upgrade", b"Upgrade: websocket")
    assert {Count.DANGER: 1, Count.CONDITIONAL: 1, Count.UPGRADE: 1} == here.pigeon.counts
    assert [] == copies(stage.new)


def test_nothing_is_copied_of_a_route_without_a_shadow(copying: Callable[..., Copying]) -> None:
    """Nor of one whose percentage is 0."""
    for shadow in (None, Shadow(0, compare=True)):
        here = copying(shadow)  # type: ignore[arg-type]
        here.stage.ask()
        assert [] == copies(here.stage.new)


def test_a_percentage_is_a_sample(copying: Callable[..., Copying]) -> None:
    """Of 200 requests about half are copied when half are wanted."""
    here = copying(Shadow(PPM // 2))
    for _ in range(200):
        here.stage.ask()
        users(here.stage.old)[-1].say(OK)
        for wire in copies(here.stage.new):
            if wire.take():
                wire.say(OK)
        here.stage.settle()
    assert 70 < here.pigeon.counts[Count.COPIED] < 130


def test_credentials_go_by_policy(copying: Callable[..., Copying]) -> None:
    """Stripped and said so; or passed."""
    for credentials, stripped in ((Credentials.STRIP, True), (Credentials.KEEP, False)):
        here = copying(Shadow(PPM, compare=True, credentials=credentials))
        here.stage.ask(b"GET", b"/api/1", b"Authorization: Basic x")
        assert stripped is (b"Authorization" not in copies(here.stage.new)[0].heard)
        users(here.stage.old)[0].say(OK)
        copies(here.stage.new)[0].say(OK)
        here.stage.settle()
        assert stripped is here.capture.stripped


def test_legacy_is_asked_twice_when_noise_is_to_be_learned(copying: Callable[..., Copying]) -> None:
    """Then there are three answers."""
    here = copying(noise=PPM)
    here.stage.ask()
    (again,) = copies(here.stage.old)
    (copy,) = copies(here.stage.new)
    users(here.stage.old)[0].say(OK)
    copy.say(OK)
    here.stage.settle()
    assert [] == here.pigeon.captures
    again.say(OK)
    here.stage.settle()
    assert {Who.LEGACY, Who.NEW, Who.AGAIN} == {each.who for each in here.capture.answers}


def test_the_second_request_to_legacy_and_the_copy_take_turns_at_being_first(copying: Callable[..., Copying]) -> None:
    """Neither of them always finds the caches warm."""
    here = copying(noise=PPM)
    first: Counter[bool] = Counter()
    heard: list[bool] = []
    for service in (here.stage.old, here.stage.new):
        connect = service.connect

        async def noting(
            loop: object, factory: object, service: Service = service, connect: object = connect
        ) -> object:
            if factory is CopyConnection:
                heard.append(service is here.stage.new)
            return await connect(loop, factory)  # type: ignore[operator]

        service.connect = noting  # type: ignore[method-assign,assignment]
    for _ in range(60):
        heard.clear()
        here.stage.ask()
        first[heard[0]] += 1
        for service in (here.stage.old, here.stage.new):
            for wire in service.open:
                wire.reset()
        here.stage.settle()
    assert min(first[True], first[False]) > 10


def test_an_answer_of_the_other_side_in_the_end_is_no_capture(copying: Callable[..., Copying]) -> None:
    """New failed and legacy answered: the copy was legacy's as well, and there is nothing to compare."""
    here = copying(weight=PPM, fallback=Fallback(statuses=frozenset({503})))
    here.stage.ask()
    users(here.stage.new)[0].say(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    here.stage.settle()
    users(here.stage.old)[0].say(OK)
    copies(here.stage.old)[0].say(OK)
    here.stage.settle()
    assert ([], 1) == (here.pigeon.captures, here.pigeon.counts[Count.SWITCHED])


def test_a_user_who_goes_away_leaves_nothing_to_compare(copying: Callable[..., Copying]) -> None:
    """The copy is finished all the same, and forgotten."""
    here = copying()
    client = here.stage.ask()
    client.reset()
    here.stage.settle()
    copies(here.stage.new)[0].say(OK)
    here.stage.settle()
    assert ([], 1) == (here.pigeon.captures, here.pigeon.counts[Count.UNANSWERED])


def test_an_answer_that_breaks_off_is_truncated(copying: Callable[..., Copying]) -> None:
    """It never counts as the whole."""
    here = copying()
    here.stage.ask()
    wire = users(here.stage.old)[0]
    wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    wire.reset()
    copies(here.stage.new)[0].say(OK)
    here.stage.settle()
    assert [True, False] == [each.truncated for each in here.capture.answers]


def test_without_comparing_copies_are_sent_and_forgotten(copying: Callable[..., Copying]) -> None:
    """Nothing is taken down, whatever comes back."""
    here = copying(Shadow(PPM))
    here.stage.ask()
    copies(here.stage.new)[0].say(OK)
    users(here.stage.old)[0].say(OK)
    here.stage.settle()
    assert ([], {Count.COPIED: 1}) == (here.pigeon.captures, here.pigeon.counts)


def test_a_busy_worker_makes_no_copies(copying: Callable[..., Copying]) -> None:
    """Copies are the first thing to go: with many exchanges, while it drains, and when its timers are late."""
    here = copying()
    plane = here.stage.plane
    plane.active += ACTIVE
    here.stage.ask()
    plane.active -= ACTIVE
    here.stage.loop.clock.now += 1.0
    client = here.stage.client()
    client.say(b"GET /api/1 HTTP/1.1\r\nHost: shop\r\n\r\n")  # before the wheel has turned
    plane.draining = True
    here.stage.ask()
    plane.draining = False
    assert (3, 0) == (here.pigeon.counts[Count.LOAD], here.pigeon.counts[Count.COPIED])


def test_copies_wait_in_a_bounded_line_and_not_for_long(copying: Callable[..., Copying]) -> None:
    """As many as may run, run; as many as may wait, wait; those who waited too long are dropped."""
    here = copying()
    here.mirror._running["others"] = RUNNING
    for _ in range(WAITING + 5):
        here.stage.ask()
    assert 5 == here.pigeon.counts[Count.FULL]
    here.stage.advance(1.0)
    del here.mirror._running["others"]
    here.mirror._pump()
    here.stage.settle()
    assert (WAITING, 0) == (here.pigeon.counts[Count.LATE], here.pigeon.counts[Count.COPIED])


def test_what_is_kept_for_users_that_wait_is_bounded(copying: Callable[..., Copying]) -> None:
    """The new side answers at once and legacy never: beyond a number nothing more is taken down."""
    here = copying(Shadow(PPM, compare=True), timeouts=Timeouts(connect=1.0, head=60.0))
    for _ in range(ALIVE + 20):
        here.stage.ask()
        for wire in copies(here.stage.new):
            if wire.take():
                wire.say(OK)
        here.stage.settle()
    assert ALIVE == here.mirror.alive
    assert 20 == here.pigeon.counts[Count.FULL]


def test_users_that_wait_for_an_endpoint_come_first(copying: Callable[..., Copying]) -> None:
    """While somebody waits for a connection to it, it gets no copies."""
    here = copying()
    pool = here.stage.pool(NEW)
    pool.waiting.append(None)  # type: ignore[arg-type]
    here.stage.ask()
    pool.waiting.clear()
    assert (1, []) == (here.pigeon.counts[Count.LOAD], copies(here.stage.new))


def test_copies_go_to_no_place_that_operators_have_closed(make_stage: MakeStage) -> None:
    """To the user's site where both sides are there; to none that is held or down."""
    sites = {"north": (NEW,), "south": (NEW_TOO,)}
    declared = Table(
        legacy="old",
        upstreams={"old": Upstream("old", {"": (OLD,)}), "new": Upstream("new", sites)},
        sites={"north": Site("north"), "south": Site("south")},
        routes=(route(weight=0, shadow=EVERYTHING),),
    )
    here = Copying(make_stage(declared))
    here.stage.plane.snapshot.held_sites = frozenset({"north"})
    here.stage.ask()
    assert (0, 1) == (len(copies(here.stage.new)), len(copies(here.stage.new_too)))
    here.stage.plane.snapshot.held_sites = frozenset({"north", "south"})
    here.stage.ask()
    assert 1 == here.pigeon.counts[Count.NOWHERE]


def test_a_route_that_is_rolled_back_is_left_alone_by_copies(copying: Callable[..., Copying]) -> None:
    """Whoever takes the new side out of service means everything that goes there."""
    here = copying(weight=PPM)
    here.stage.adopt(table(route(shadow=EVERYTHING)), rollback())
    here.stage.ask()
    assert (1, []) == (here.pigeon.counts[Count.HELD], copies(here.stage.new))


def test_an_exchange_that_is_not_copied_tells_nobody_anything(copying: Callable[..., Copying]) -> None:
    """A worker without a mirror, as one that stands alone, serves a shadowed route like any other."""
    here = copying()
    here.stage.plane.mirror = None
    client = here.stage.ask()
    here.stage.old.wire.say(OK)
    here.stage.settle()
    assert client.heard.endswith(b"ok")
    assert [] == copies(here.stage.new)

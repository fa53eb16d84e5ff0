"""The ring of recent exchanges: which side served this request, and why?"""

from __future__ import annotations

import time

from router.planes.embedded.recent import LONGEST_TARGET, MOST_FOUND, ORDINARY, Recent
from tests.router.planes.embedded.stage import OK, Stage


def test_an_exchange_is_found_by_its_id(stage: Stage) -> None:
    """With everything that led to it: route, side, reason, bucket, the share in force, revision and endpoint."""
    stage.ask(b"GET", b"/api/1?q=1", b"X-Request-Id: abc-1", b"X-User-Id: u7")
    stage.new.wire.say(OK)
    (found,) = stage.plane.recent.find(b"abc-1")
    share = stage.plane.snapshot.shares[stage.plane.snapshot.by_name["api"].index]
    assert ("abc-1", "GET", "/api/1?q=1", "api", "new", "weight", 200) == tuple(
        found[name] for name in ("request_id", "method", "target", "route", "side", "reason", "status")
    )
    assert (share, 1, False) == (found["share"], found["revision"], found["broken"])
    assert found["upstream"].startswith("new ")
    assert abs(time.time() - found["at"]) < 60
    assert found["ms"] >= 0


def test_a_request_without_a_route_has_no_share(stage: Stage) -> None:
    """Nor a bucket: legacy answered because nobody listed it."""
    stage.ask(b"GET", b"/nowhere", b"X-Request-Id: abc-2")
    stage.old.wire.say(OK)
    (found,) = stage.plane.recent.find(b"abc-2")
    assert ("unlisted", "legacy", "unlisted", None, None) == tuple(
        found[name] for name in ("route", "side", "reason", "share", "bucket")
    )


def put(ring: Recent, name: str, target: bytes = b"/") -> None:
    ring.put(name.encode(), b"GET", target, "r", True, 0, 123, 250_000, 7, "new http://h:1", 200, 1.0, 0.5, False)


def test_the_oldest_is_forgotten() -> None:
    """And nothing else, however often the ring has gone round."""
    ring = Recent(3)
    for number in range(8):
        put(ring, f"id-{number}")
    assert [0, 0, 0, 0, 0, 1, 1, 1] == [len(ring.find(b"id-%d" % number)) for number in range(8)]


def test_the_newest_of_an_id_comes_first() -> None:
    """Ids are the clients' to choose, so one may come often; there is an end to what is shown of it."""
    ring = Recent(40)
    for number in range(30):
        put(ring, "same", b"/%d" % number)
    found = ring.find(b"same")
    assert MOST_FOUND == len(found)
    assert ["/29", "/28"] == [each["target"] for each in found[:2]]
    assert (123, 250_000, 7, 500.0) == tuple(found[0][name] for name in ("bucket", "share", "revision", "ms"))


def test_a_long_target_is_cut() -> None:
    """So that the ring's size in memory has a bound."""
    ring = Recent(2)
    put(ring, "long", b"/" + b"x" * 10_000)
    assert LONGEST_TARGET == len(ring.find(b"long")[0]["target"])


def test_of_what_goes_as_it_should_a_tick_keeps_so_many(stage: Stage) -> None:
    """The next tick keeps more; so a busy worker has not forgotten in a moment what somebody may ask for."""

    def ask(name: bytes) -> int:
        stage.ask(b"GET", b"/api/1", b"X-Request-Id: " + name, b"X-User-Id: u7")
        stage.new.wire.say(OK)
        return len(stage.plane.recent.find(name))

    assert [1] * ORDINARY == [ask(b"first-%d" % number) for number in range(ORDINARY)]
    assert 0 == ask(b"too-many")
    stage.plane.recent.turn()
    assert 1 == ask(b"later")


def test_what_is_out_of_the_ordinary_is_kept_however_busy_the_worker_is(stage: Stage) -> None:
    """An answer that is not a 2xx, and a request that no route is listed for."""
    while stage.plane.recent.has_room():
        pass
    stage.ask(b"GET", b"/api/1", b"X-Request-Id: bad", b"X-User-Id: u7")
    stage.new.wire.say(OK.replace(b"200 OK", b"404 Not Found"))
    stage.ask(b"GET", b"/nowhere", b"X-Request-Id: elsewhere")
    stage.old.wire.say(OK)
    assert [404, 200] == [stage.plane.recent.find(name)[0]["status"] for name in (b"bad", b"elsewhere")]

"""Clients and slow answers of watched routes: each is counted once, by all workers together."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from router.core.census import AREA, LIMITS, Watched
from router.core.model import PPM, Fallback, Source, SubjectSource
from router.planes.embedded.census import Census, Watch
from router.telemetry import RouteBlock
from tests.router.planes.embedded.stage import BAD, OK, SMALL, Stage, rollback, route, table

MakeStage = Callable[..., Stage]
HALF = PPM // 2
USER = (SubjectSource(Source.HEADER, "X-User-Id"),)
EVERYTHING = (-1, -1, -1)
"""Limits beyond which every answer is."""


def declared(**settings: object) -> object:
    return table(route(**{"weight": HALF, "subject": USER, **settings}))  # type: ignore[arg-type]


def watch(stage: Stage, *, share: int = HALF, revision: int | None = None, limits: tuple[int, ...] = ()) -> None:
    revision = stage.revision if revision is None else revision
    stage.plane.watch({"api": Watched(revision, share, limits)}, (), anew=False)


def ask(stage: Stage, user: str, answer: bytes = OK) -> None:
    stage.ask(b"GET", b"/api/1", b"X-User-Id: " + user.encode())
    for service in (stage.new, stage.new_too, stage.old):
        for wire in service.open:
            if wire.take():
                wire.say(answer)
    stage.settle()


def sides(stage: Stage, slot: int) -> tuple[int, int]:
    """(legacy, new)."""
    block = stage.ledger.routes["api"] + slot
    return stage.slot(block), stage.slot(block + RouteBlock.SIDE)


def test_a_client_is_counted_once_however_often_it_asks(make_stage: MakeStage) -> None:
    """On the side that it has drawn."""
    stage = make_stage(declared())
    watch(stage)
    for _ in range(3):
        for number in range(20):
            ask(stage, f"user-{number}")
    counts = stage.counts()
    new = counts["api", "new", "2xx", "weight"] // 3
    assert 0 < new < 20
    assert (20 - new, new) == sides(stage, RouteBlock.FIRST_SEEN)
    assert (0, new) == sides(stage, RouteBlock.SEEN)


def test_nobody_is_counted_where_no_rollout_watches(make_stage: MakeStage) -> None:
    """Nor any more, once it does not."""
    stage = make_stage(declared())
    ask(stage, "kim")
    watch(stage, limits=EVERYTHING)
    stage.plane.watch({}, ("api",), anew=False)
    ask(stage, "kim")
    watch(stage, limits=EVERYTHING)
    stage.plane.watch({}, (), anew=True)
    ask(stage, "kim")
    assert (0, 0) == sides(stage, RouteBlock.FIRST_SEEN)
    assert (0, 0) == sides(stage, RouteBlock.SLOW)


def test_another_share_counts_everybody_anew_and_a_reload_does_not(make_stage: MakeStage) -> None:
    """What is watched outlives a table; what was routed by another share than is watched counts nowhere."""
    stage = make_stage(declared())
    watch(stage)
    ask(stage, "kim")
    stage.adopt(table(route(weight=HALF, subject=USER), route("other", "/other")))
    ask(stage, "kim")
    assert 1 == sum(sides(stage, RouteBlock.FIRST_SEEN))
    stage.adopt(declared(weight=PPM // 4))
    ask(stage, "ana")
    assert 1 == sum(sides(stage, RouteBlock.FIRST_SEEN))
    watch(stage, share=PPM // 4)
    ask(stage, "kim")
    assert 2 == sum(sides(stage, RouteBlock.FIRST_SEEN))
    watch(stage, share=PPM // 4, revision=stage.revision + 1)
    ask(stage, "ana")
    assert 2 == sum(sides(stage, RouteBlock.FIRST_SEEN))


def test_a_snapshot_that_is_sent_anew_is_watched_as_before(make_stage: MakeStage) -> None:
    """As it is when control has been away, or has been misunderstood; nothing else has changed."""
    stage = make_stage(declared())
    watch(stage, revision=1)
    stage.adopt(declared())
    ask(stage, "kim")
    assert 1 == sum(sides(stage, RouteBlock.FIRST_SEEN))


def test_what_the_share_did_not_decide_is_not_counted(make_stage: MakeStage) -> None:
    """A rollback, for one."""
    stage = make_stage(declared())
    stage.adopt(declared(), rollback())
    watch(stage, share=0, limits=EVERYTHING)
    ask(stage, "kim")
    assert (0, 0) == sides(stage, RouteBlock.FIRST_SEEN)
    assert (0, 0) == sides(stage, RouteBlock.SLOW)


def test_sides_are_not_held_against_each_other_while_a_breaker_has_tripped(make_stage: MakeStage) -> None:
    """Who is on new then is no question of the share; that he was there is one of the step."""
    stage = make_stage(declared(weight=PPM))
    watch(stage, share=PPM)
    stage.plane.snapshot.by_name["api"].tripped = False
    ask(stage, "kim")
    assert ((0, 1), (0, 1)) == (sides(stage, RouteBlock.FIRST_SEEN), sides(stage, RouteBlock.SEEN))
    stage.plane.snapshot.by_name["api"].tripped = True
    ask(stage, "ana")
    assert ((0, 1), (0, 1)) == (sides(stage, RouteBlock.FIRST_SEEN), sides(stage, RouteBlock.SEEN))


def test_a_slow_answer_counts_once_an_hour_for_each_limit(make_stage: MakeStage) -> None:
    """Of a client; of clients that are others with each request each counts."""
    stage = make_stage(declared(weight=PPM))
    watch(stage, share=PPM, limits=(-1, 13, 14))
    for _ in range(3):
        ask(stage, "kim")
    ask(stage, "ana")
    slow = [stage.slot(stage.ledger.routes["api"] + RouteBlock.SIDE + RouteBlock.SLOW + each) for each in range(LIMITS)]
    assert [2, 0, 0] == slow
    stage.adopt(declared(weight=PPM, subject=(SubjectSource(Source.RANDOM, ""),)))
    watch(stage, share=PPM, limits=EVERYTHING)
    for _ in range(3):
        ask(stage, "kim")
    assert (0, 5) == sides(stage, RouteBlock.SLOW)


def test_a_failure_that_legacy_has_made_good_was_a_client_of_new_and_no_slow_answer(make_stage: MakeStage) -> None:
    """It is an error already; how long both took together says nothing about either."""
    stage = make_stage(declared(weight=PPM, fallback=Fallback(on_connect=True)))
    watch(stage, share=PPM, limits=EVERYTHING)
    stage.new.refuses = True
    ask(stage, "kim")
    assert ((0, 1), (0, 1)) == (sides(stage, RouteBlock.FIRST_SEEN), sides(stage, RouteBlock.SEEN))
    assert ((0, 0), (0, 0)) == (sides(stage, RouteBlock.SLOW), sides(stage, RouteBlock.SLOW + 2))


def test_a_503_of_our_own_is_told_apart(make_stage: MakeStage) -> None:
    """For want of a connection; the service's own 503 is the service's."""
    stage = make_stage(replace(declared(weight=PPM), limits=SMALL))  # type: ignore[type-var]
    for _ in range(3):
        stage.ask(b"GET", b"/api/1", b"X-User-Id: kim")
    assert (0, 1) == sides(stage, RouteBlock.OURS)
    assert 1 == stage.counts()["api", "new", "5xx", "weight"]
    for _ in range(2):
        stage.new.wire.say(BAD)
        stage.settle()
    assert (0, 1) == sides(stage, RouteBlock.OURS)
    assert 3 == stage.counts()["api", "new", "5xx", "weight"]


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = os.memfd_create("census")
    os.ftruncate(descriptor, 64 * AREA)
    yield descriptor
    os.close(descriptor)


def test_workers_that_share_memory_count_a_client_once_together(make_stage: MakeStage, memory: int) -> None:
    """Also one that was started in the place of another; without memory each counts for itself."""
    seen = []
    for each in (memory, memory, -1):
        stage = make_stage(declared(weight=PPM))
        stage.plane.census = Census(each)
        watch(stage, share=PPM, limits=EVERYTHING)
        ask(stage, "kim")
        seen.append((sides(stage, RouteBlock.FIRST_SEEN), sides(stage, RouteBlock.SLOW)))
    assert [((0, 1), (0, 1)), ((0, 0), (0, 0)), ((0, 1), (0, 1))] == seen


def test_without_room_nobody_is_counted_and_requests_go_on(make_stage: MakeStage) -> None:
    """Memory that is gone, or too small."""
    stage = make_stage(declared(weight=PPM))
    stage.plane.census = Census(10**6)
    watch(stage, share=PPM, limits=EVERYTHING)
    ask(stage, "kim")
    assert (0, 0) == sides(stage, RouteBlock.FIRST_SEEN)
    assert 1 == stage.counts()["api", "new", "2xx", "weight"]


def test_marks_of_different_kinds_do_not_touch_each_other() -> None:
    """An area holds all of them, to its last byte."""
    area = memoryview(mmap.mmap(-1, AREA))
    watches = [Watch("api", Watched(revision, HALF, EVERYTHING), area) for revision in range(200)]
    slots = memoryview(bytearray(8 * RouteBlock.SIZE)).cast("Q")
    for each in watches:
        each.began(slots, 0, b"kim", on_new=True, fair=True)
        each.slow(slots, 0, b"kim", 3, 1_700_000_000.0, on_new=False, by_chance=False)
    assert (200, 200) == tuple(slots[RouteBlock.SIDE + each] for each in (RouteBlock.FIRST_SEEN, RouteBlock.SEEN))
    assert [1, 1, 1] == slots[RouteBlock.SLOW : RouteBlock.SLOW + LIMITS].tolist()

"""The machine that says whether a place is well: what takes it out, what brings it back, and how often."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.health import (
    ENOUGH,
    FIRST_PART,
    LONGEST,
    MOST_HOLD,
    RETURNS_APART,
    Counted,
    Evidence,
    SiteRecord,
    Source,
    Status,
    Tally,
    Target,
    elapsed,
    first,
    heard,
    level,
    resumed,
    site_seen,
    weigh,
)
from router.core.model import PPM, Health, Resume

HEALTH = Health()
UP = Target(Status.UP, 0.0)
GOOD = Evidence(Source.PROBE, good=True)
BAD = Evidence(Source.PROBE, good=False, why="no answer within 1s")
SAYS_SICK = Evidence(Source.PROBE, good=False, why="answered 503", own_word=True)
SERVED = Evidence(Source.TRAFFIC, good=True)
LOST = Evidence(Source.TRAFFIC, good=False, why="refuses connections")

evidences = st.sampled_from([GOOD, BAD, SAYS_SICK, SERVED, LOST, Evidence(Source.TRAFFIC, good=False, count=50)])
healths = st.builds(
    Health,
    down=st.integers(1, 6),
    up=st.integers(1, 6),
    min_down=st.sampled_from([0.0, 1.0, 15.0, 400.0]),
    ramp=st.sampled_from([0.0, 30.0]),
)


def fed(target: Target, *pieces: Evidence, at: float = 1.0, every: float = 0.0, health: Health = HEALTH) -> Target:
    """The target after these, one every so many seconds."""
    for number, piece in enumerate(pieces):
        target, _ = heard(target, piece, health, at + number * every)
    return target


def down(at: float = 0.0, **more: object) -> Target:
    return replace(Target(Status.DOWN, at, hold=15.0), **more)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------- before anything


@pytest.mark.parametrize(
    ("target", "part"),
    [
        (first(0.0, warm=True, probed=True), PPM),
        (first(0.0, warm=True, probed=False), PPM),
        (first(0.0, warm=False, probed=True, known_site=False), 0),
        (first(0.0, warm=False, probed=True, known_site=True), FIRST_PART),
        (first(0.0, warm=False, probed=False, known_site=False), FIRST_PART),
    ],
    ids=["warm", "warm, not probed", "new site", "new at a known site", "new, not probed"],
)
def test_what_a_target_takes_before_anything_is_known(target: Target, part: int) -> None:
    """All of its part at a start, nothing at a new site until a probe has spoken, a tenth elsewhere."""
    assert part == level(target, HEALTH, 0.0)


@pytest.mark.parametrize(("piece", "status"), [(GOOD, Status.UP), (BAD, Status.DOWN), (SAYS_SICK, Status.DOWN)])
def test_the_first_result_of_a_probe_decides(piece: Evidence, status: Status) -> None:
    """At once, without any count."""
    target, transition = heard(first(0.0, warm=True, probed=True), piece, HEALTH, 1.0)
    assert status is target.status
    assert transition is not None
    assert (Status.UNKNOWN, status, 1.0) == (transition.before, transition.after, transition.at)


def test_a_new_site_comes_in_slowly_once_a_probe_has_succeeded() -> None:
    """It was not usable before, so its caches are as cold as those of one that returns."""
    target = fed(first(0.0, warm=False, probed=True, known_site=False), GOOD, at=5.0)
    assert FIRST_PART == level(target, HEALTH, 5.0)


def test_one_failed_request_decides_nothing_about_an_unknown_target() -> None:
    """Only `down` of them do, as always."""
    target = first(0.0, warm=True, probed=True)
    assert Status.UNKNOWN is fed(target, LOST, LOST).status
    assert Status.DOWN is fed(target, LOST, LOST, LOST).status


# -------------------------------------------------------------------------------------------------- going out


def test_so_many_failures_take_a_target_out() -> None:
    """And one less does not."""
    assert Status.UP is fed(UP, BAD, BAD).status
    assert Status.DOWN is fed(UP, BAD, BAD, BAD).status


@pytest.mark.parametrize("bad", [BAD, SAYS_SICK])
def test_good_probes_in_between_take_no_failure_back(bad: Evidence) -> None:
    """Every second probe fails: down at the third failure, though nothing failed twice in a row."""
    assert Status.DOWN is fed(UP, bad, GOOD, bad, GOOD, bad).status


def test_enough_good_probes_in_a_row_take_all_failures_back() -> None:
    """Two failures, five successes, two failures: still up."""
    assert Status.UP is fed(UP, BAD, BAD, *[GOOD] * 5, BAD, BAD).status
    assert Status.DOWN is fed(UP, BAD, BAD, *[GOOD] * 4, BAD).status


def test_failed_requests_take_a_target_out_though_probes_succeed() -> None:
    """Traffic wins: it is what the place is for."""
    assert Status.DOWN is fed(UP, LOST, GOOD, LOST, GOOD, LOST).status


def test_a_prober_that_is_wrong_takes_nothing_out_that_serves() -> None:
    """Every probe fails, but requests are answered well in between: it stays up for ever."""
    assert Status.UP is fed(UP, *[BAD, SERVED] * 50).status


def test_a_target_that_says_itself_that_it_is_sick_is_believed() -> None:
    """503 at the probe's path is how a service asks for no more requests, while it still answers them well."""
    assert Status.DOWN is fed(UP, *[SAYS_SICK, *[SERVED] * 10] * 3).status
    assert Status.UP is fed(UP, *[SAYS_SICK, *[GOOD] * 5] * 3).status


# ------------------------------------------------------------------------------------------------ coming back


def test_a_return_takes_good_probes_in_a_row_and_time() -> None:
    """Five in a row, and 15 seconds: whichever comes later."""
    assert Status.DOWN is fed(down(), *[GOOD] * 6, every=2.0).status
    assert Status.UP is fed(down(), *[GOOD] * 8, at=2.0, every=2.0).status
    assert Status.DOWN is fed(down(), *[GOOD, GOOD, GOOD, GOOD, BAD] * 3, at=20.0, every=2.0).status


def test_good_requests_alone_bring_nothing_back() -> None:
    """Both must be well: in a panic traffic goes there anyhow."""
    assert Status.DOWN is fed(down(), *[SERVED] * 1000, at=100.0).status


def test_a_failed_request_keeps_a_target_out_though_probes_succeed() -> None:
    """Nothing may fail while it earns its return."""
    assert Status.DOWN is fed(down(), *[GOOD, GOOD, GOOD, GOOD, LOST] * 20, at=100.0).status


def test_a_target_that_returns_is_brought_back_slowly() -> None:
    """A tenth at first, half after almost half of the ramp, all at its end; without a ramp all at once."""
    target = fed(down(), *[GOOD] * 5, at=100.0)
    assert [100_000, 550_000, PPM, PPM] == [level(target, HEALTH, 100.0 + after) for after in (0.0, 15.0, 30.0, 999.0)]
    assert level(target, replace(HEALTH, ramp=0.0), 100.0) == PPM


def test_a_flap_doubles_the_hold_down() -> None:
    """15, 30, 60, 120, 240, 300 seconds; after ten quiet minutes it begins again."""
    holds: list[float] = []
    now, target = 0.0, UP
    for _ in range(7):
        target = fed(target, BAD, BAD, BAD, at=now)
        holds.append(target.hold)
        now += 2 * MOST_HOLD
        target = fed(target, *[GOOD] * 5, at=now)
        assert Status.UP is target.status
    assert [15.0, 30.0, 60.0, 120.0, 240.0, 300.0, 300.0] == holds
    assert 15.0 == fed(target, BAD, BAD, BAD, at=now + 601.0).hold


def test_a_target_nobody_probes_is_tried_again_when_its_hold_down_is_over() -> None:
    """With real requests, a few at first: there is no other way to know."""
    target = down()
    assert Status.DOWN is elapsed(target, 14.9, probed=False)[0].status
    back, transition = elapsed(target, 15.0, probed=False)
    assert Status.UP is back.status
    assert transition is not None
    assert FIRST_PART == level(back, HEALTH, 15.0)
    assert (target, None) == elapsed(target, 1000.0, probed=True)


def test_a_person_has_to_bring_back_what_is_resumed_by_hand() -> None:
    """However well it is; then it returns with the next good probe, without any hold-down."""
    manual = Health(resume=Resume.MANUAL)
    target = fed(UP, BAD, BAD, BAD, health=manual)
    target = fed(target, *[GOOD] * 100, at=1000.0, health=manual)
    assert Status.DOWN is target.status
    assert level(target, manual, 2000.0) == 0
    back = fed(resumed(target), GOOD, at=2000.0, health=manual)
    assert Status.UP is back.status


def test_a_person_ends_every_hold_down() -> None:
    """Also one that was doubled, and the time between two returns."""
    target = down(1000.0, hold=300.0, returned=999.0)
    assert Status.DOWN is fed(target, *[GOOD] * 5, at=1001.0).status
    assert Status.UP is fed(resumed(target), *[GOOD] * 5, at=1001.0).status


def test_what_a_person_brings_back_still_has_to_be_well() -> None:
    """A word does not heal."""
    assert Status.DOWN is fed(resumed(down(held=True)), *[BAD, GOOD] * 50, at=1000.0).status


# ------------------------------------------------------------------------------------------------- properties


@given(healths, st.lists(st.tuples(evidences, st.floats(0.0, 20.0)), max_size=300), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_target_changes_at_most_three_times_in_five_minutes(
    health: Health, told: list[tuple[Evidence, float]], probed: bool
) -> None:
    """Whatever it does and whenever, however well its flapping falls in with the probes."""
    target, now = UP, 0.0
    changes: list[float] = []
    for evidence, later in told:
        now += later
        target, returned = elapsed(target, now, probed=probed)
        target, transition = heard(target, evidence, health, now)
        changes += [now] * ((returned is not None) + (transition is not None))
    assert all(four[3] - four[0] >= RETURNS_APART for four in zip(*(changes[n:] for n in range(4)), strict=False))


@given(healths, st.lists(st.tuples(evidences, st.floats(0.0, 20.0)), max_size=100))
@settings(max_examples=300, deadline=None)
def test_a_target_takes_something_exactly_while_it_is_not_down(
    health: Health, told: list[tuple[Evidence, float]]
) -> None:
    """And a transition is told exactly when the status changes."""
    target, now = first(0.0, warm=True, probed=True), 0.0
    for evidence, later in told:
        now += later
        before = target.status
        target, transition = heard(target, evidence, health, now)
        assert (target.status is Status.DOWN) is (level(target, health, now) == 0)
        assert 0 <= level(target, health, now) <= PPM
        assert (transition is not None) is (before is not target.status)


@pytest.mark.parametrize("seed", range(20))
def test_a_target_that_flaps_every_second_is_out_within_seconds_and_stays_out(seed: int) -> None:
    """Up for a second, down for a second, probed every two with jitter: at most three changes in five minutes."""
    chance, target, now, changes = Random(seed), UP, 0.0, 0
    while now < 300.0:
        now += 2.0 * chance.uniform(0.5, 1.5)
        target, transition = heard(target, GOOD if int(now) % 2 else BAD, HEALTH, now)
        changes += transition is not None
    assert 1 <= changes <= 3


# --------------------------------------------------------------------------------------------------- traffic


def told(*moments: Counted, every: float = 0.25) -> list[Evidence | None]:
    """What each moment's counts say."""
    tally, found = Tally(), []
    for number, counted in enumerate(moments):
        tally, evidence = weigh(tally, counted, HEALTH, number * every)
        found.append(evidence)
    return found


def test_refused_connections_speak_for_themselves() -> None:
    """Each one is a failure."""
    assert [Evidence(Source.TRAFFIC, good=False, count=3, why="refuses connections")] == told(Counted(refused=3))


def test_a_connection_refused_now_and_then_is_no_failure() -> None:
    """A full queue at a busy place, that serves so many in between."""
    assert [Evidence(Source.TRAFFIC, good=True, count=100)] == told(Counted(good=100, refused=2))


def test_one_sick_api_does_not_take_out_the_place_of_its_neighbours() -> None:
    """A third of the answers are 503: that is for its breaker to deal with."""
    pieces = told(*[Counted(good=2, failed=1)] * 200)
    assert not any(piece is not None and not piece.good for piece in pieces)


def test_a_place_that_fails_most_requests_is_sick() -> None:
    """After so many outcomes, at once."""
    pieces = told(*[Counted(good=1, failed=3)] * 5)
    assert [None] * 4 == pieces[:4]
    assert Evidence(Source.TRAFFIC, good=False, count=15, why="15 of 20 requests failed") == pieces[4]
    assert ENOUGH == 20


def test_few_requests_are_judged_when_their_time_is_over() -> None:
    """Three lost of four within ten seconds; two lost are too few to say anything."""
    moments = [Counted(failed=1), Counted(failed=1), Counted(good=1), Counted(failed=1)]
    quiet = [Counted()] * 40
    assert [3] == [piece.count for piece in told(*moments, *quiet) if piece is not None and not piece.good]
    assert [] == [piece for piece in told(*moments[:2], *quiet) if piece is not None]
    assert LONGEST == 10.0


def test_nothing_counted_says_nothing() -> None:
    """A place without traffic is for the prober alone."""
    assert [None] * 100 == told(*[Counted()] * 100)


@given(st.lists(st.builds(Counted, st.integers(0, 50), st.integers(0, 3), st.integers(0, 50)), max_size=60))
def test_traffic_never_says_more_than_was_counted(moments: list[Counted]) -> None:
    """Not more failures than there were, nor successes."""
    pieces = [piece for piece in told(*moments) if piece is not None]
    bad = sum(piece.count for piece in pieces if not piece.good)
    assert bad <= sum(each.refused + each.failed for each in moments)
    assert sum(piece.count for piece in pieces if piece.good) <= sum(each.good for each in moments)
    assert all(piece.count > 0 for piece in pieces)


# ----------------------------------------------------------------------------------------------------- sites


def test_a_site_that_is_taken_out_for_the_third_time_in_an_hour_is_held() -> None:
    """Not at the second, and not when the first is longer ago; while it is out nothing is counted again."""
    record, held = SiteRecord(), []
    for now, alive in ((0.0, 2), (10.0, 0), (20.0, 0), (30.0, 1), (40.0, 0), (50.0, 2), (3000.0, 0), (3001.0, 0)):
        record, hold = site_seen(record, alive, now)
        held.append(hold)
    assert [False, False, False, False, False, False, True, False] == held
    record, _ = site_seen(record, 1, 3100.0)
    assert (SiteRecord(True, (3000.0, 3650.0)), False) == site_seen(record, 0, 3650.0)

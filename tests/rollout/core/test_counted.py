"""How readings of counters become evidence, and when they do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.counted import QUIET, Counted, Outcomes, Track, difference, limits_of, track
from rollout.core.evidence import Counts, Epoch, Evidence, Mark, Shadowed, Tally

AT = 1000.0


def read(new: int = 0, failed: int = 0, legacy: int = 0, legacy_failed: int = 0) -> Counted:
    return Counted(Outcomes(legacy, legacy_failed), Outcomes(new, failed))


def then(before: Track | None, counted: Counted, at: float, **more: Any) -> tuple[Track, Evidence | None]:
    usual: dict[str, Any] = {
        "route": "p", "share": 10_000, "revision": 3, "settled": True, "hurry": False, "span": 3600.0,
    }  # fmt: skip
    return track(before, counted, at=at, **usual | more)


BEGUN, _ = then(None, read(100, 5, 1000, 7), AT)


def test_a_failure_of_the_new_side_is_evidence_at_once() -> None:
    """With everything else that came since the last row."""
    after, row = then(BEGUN, read(103, 6, 1100, 8), AT + 0.5)
    assert row is not None
    assert Epoch("p", 3, 10_000) == row.epoch
    assert Counts(3, 1, 2) == row.new
    assert Counts(100, 1, 99) == row.legacy
    assert (AT + 0.5, 3) == (after.at, after.sample)


def test_quiet_readings_are_gathered() -> None:
    """Until some seconds have passed, or somebody is in a hurry."""
    kept, row = then(BEGUN, read(103, 5, 1100, 9), AT + 1)
    assert (BEGUN, None) == (kept, row)
    assert None is not then(BEGUN, read(103, 5, 1100, 9), AT + 1, hurry=True)[1]
    assert None is not then(BEGUN, read(103, 5, 1100, 9), AT + QUIET)[1]
    assert None is then(BEGUN, read(100, 5, 1000, 7), AT + QUIET)[1]


@pytest.mark.parametrize("change", [{"share": 50_000}, {"revision": 4}])
def test_what_was_counted_while_a_change_was_under_way_is_no_evidence(change: dict[str, Any]) -> None:
    """Nobody knows which share a request was routed by; counting begins anew when every worker has confirmed it."""
    unsound, row = then(BEGUN, read(200, 50, 2000, 7), AT + 1, **change, settled=False)
    assert None is row
    begun, row = then(unsound, read(300, 60, 3000, 7), AT + 2, **change)
    assert None is row
    _, row = then(begun, read(310, 61, 3100, 7), AT + 3, **change)
    assert row is not None
    assert (10, 1) == (row.new.requests, row.new.failures)


def test_what_was_counted_while_somebody_was_away_is_evidence() -> None:
    """A worker that dies, or a control that has just started, has changed nothing that was confirmed before."""
    _, row = then(BEGUN, read(200, 50, 2000, 7), AT + 600, settled=False)
    assert row is not None
    assert (100, 45) == (row.new.requests, row.new.failures)


def test_a_counter_that_ran_backwards_is_no_evidence() -> None:
    """The reading after it is counted from there."""
    after, row = then(BEGUN, read(50, 5, 1000, 7), AT + QUIET)
    assert None is row
    _, row = then(after, read(52, 6, 1000, 7), AT + 2 * QUIET)
    assert row is not None
    assert 2 == row.new.requests


def test_harm_is_what_legacy_would_not_have_done_as_well() -> None:
    """Failures beyond legacy's rate, within the budget's time."""
    known, _ = then(BEGUN, read(1100, 25, 101_000, 1007), AT + 10)
    assert 10.0 == pytest.approx(known.harm_since(0.0))
    later, _ = then(known, read(1200, 35, 101_100, 1008), AT + 2000)
    assert pytest.approx(19.0, abs=0.1) == later.harm_since(0.0)
    assert pytest.approx(9.0, abs=0.1) == later.harm_since(AT + 11)
    much, _ = then(later, read(1201, 36, 101_100, 1008), AT + 2000 + 3600)
    assert 1 == len(much.harm)


def test_slow_is_what_lies_beyond_legacys_quantiles() -> None:
    """Too little known of legacy: no limits."""
    assert (2, 3, 4) == limits_of((100, 350, 300, 150, 90, 10))
    assert () == limits_of((100, 100))


def test_clients_and_slow_answers_are_what_workers_have_counted() -> None:
    """Whatever each of them stands for; more slow than timed is what a glimpse in between shows."""
    before = Outcomes(10, durations=(4, 6), first_seen=7, seen=8, slow=(3, 2, 1))
    found = difference(before, replace(before, requests=20, durations=(10, 10), first_seen=12, slow=(9, 3, 1)))
    assert found is not None
    assert (10, 5, (6, 1, 0)) == (found.timed, found.clients, tuple(tally.count for tally in found.slow))
    glimpse = difference(before, replace(before, requests=11, durations=(4, 7), slow=(5, 2, 1)))
    assert glimpse is not None
    assert (1, 1) == (glimpse.timed, glimpse.slow[0].count)
    assert None is difference(before, replace(before, seen=7))


def test_the_clients_that_a_step_has_met_are_added_up() -> None:
    """Until the step's end; what was met before it began, or while a change was under way, does not count."""
    known, _ = then(BEGUN, replace(read(110, 5, 1100, 7), new=Outcomes(110, 5, seen=4)), AT + QUIET)
    assert 4 == known.seen
    known, _ = then(known, replace(read(120, 5, 1200, 7), new=Outcomes(120, 5, seen=9)), AT + 2 * QUIET)
    assert 9 == known.seen


numbers = st.integers(0, 50)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers, st.floats(0.1, 10.0), st.integers(3, 4)), max_size=40))
def test_nothing_is_counted_twice(readings: list[tuple[int, int, int, int, float, int]]) -> None:
    """The rows' sums are never more than the counters', and all of it while nothing changes."""
    sums, at, rows, revision = read(), AT, [], 3
    known, _ = then(None, sums, at)
    for new, failed, legacy, legacy_failed, seconds, revision in readings:
        at += seconds
        old, far = sums.legacy, sums.new
        sums = read(
            far.requests + new + failed,
            far.failures + failed,
            old.requests + legacy + legacy_failed,
            old.failures + legacy_failed,
        )
        known, row = then(known, sums, at, revision=revision)
        rows += [row] if row else []
    known, row = then(known, sums, at + QUIET, revision=revision)
    rows += [row] if row else []
    counted = sum(row.new.requests for row in rows), sum(row.new.failures for row in rows)
    whole = (sums.new.requests, sums.new.failures)
    assert counted[0] <= whole[0] and counted[1] <= whole[1]
    if all(each == 3 for *_, each in readings):
        assert whole == counted


def test_comparisons_are_evidence_and_at_the_shadow_step_they_are_the_sample() -> None:
    """What came since the last reading; the first mismatch is known once, the last one always."""
    first, mark, later = Mark(1.0, "r-1"), Mark(5.0, "r-5"), Mark(9.0, "r-9")
    usual = {"share": 0, "revision": 3}
    begun, _ = then(None, read(), AT, **usual)
    one = replace(read(), shadow=Shadowed(10, Tally(2, first, mark), 4, Tally(1, mark, mark), 1))
    after, row = then(begun, one, AT + QUIET, **usual)
    assert row is not None
    assert Shadowed(10, Tally(2, first, mark), 4, Tally(1, mark, mark), 1) == row.shadow
    assert 10 == after.sample
    assert None is then(after, one, AT + 2 * QUIET, **usual)[1]
    more = replace(read(), shadow=Shadowed(11, Tally(3, first, later), 4, Tally(1, mark, mark), 1))
    _, row = then(after, more, AT + 2 * QUIET, **usual)
    assert row is not None
    assert Shadowed(1, Tally(1, None, later)) == row.shadow
    begun, _ = then(None, replace(read(), shadow=Shadowed(5, Tally(4, None, Mark(0.5, "old")))), AT, **usual)
    _, row = then(begun, replace(read(), shadow=Shadowed(9, Tally(6, first, mark))), AT + QUIET, **usual)
    assert row is not None, "those of before the step are told of without their first"
    assert Shadowed(4, Tally(2, first, mark)) == row.shadow


def test_comparisons_that_were_counted_anew_are_no_evidence() -> None:
    """When rules change the comparer forgets; what it says next is counted from there."""
    begun, _ = then(None, replace(read(), shadow=Shadowed(10, Tally(5))), AT)
    after, row = then(begun, replace(read(), shadow=Shadowed(3, Tally(1))), AT + QUIET)
    assert None is row
    _, row = then(after, replace(read(), shadow=Shadowed(5, Tally(1))), AT + 2 * QUIET)
    assert row is not None
    assert (2, 0) == (row.shadow.compared, row.shadow.mismatches.count)
    begun, _ = then(None, replace(read(), shadow=Shadowed(10)), AT)
    assert None is then(begun, replace(read(), shadow=Shadowed(12, Tally(5))), AT + QUIET)[1]

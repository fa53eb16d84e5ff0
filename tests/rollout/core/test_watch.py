"""Which evidence goes into which test of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.core.evidence import Counts, Evidence, Shadowed, Step, Tally, Tolerance
from rollout.core.settings import Settings
from rollout.core.watch import Watch, absorb, begin
from router.core.model import PPM
from tests.rollout.core.traffic import compared, counts, row

SETTINGS = Settings(warm_up=60.0, warm_up_requests=50)
STEP = Step("a", 5, 10_000, "catalog")


def started(step: Step = STEP, at: float = 0.0) -> Watch:
    return begin(None, step, at, SETTINGS)


def heard(watch: Watch, *rows: Evidence, at: float = 1.0) -> Watch:
    for one in rows:
        watch = absorb(watch, one, at, SETTINGS)
    return watch


def bad(share: int = 10_000, revision: int = 5, *, random: bool = True) -> Evidence:
    return row("a", share, counts(10, 2), counts(990, 5), revision=revision, random=random)


def test_errors_go_into_the_ratio_and_the_floor_of_the_same_requests() -> None:
    """And into nothing that cannot compare."""
    watch = heard(started(), bad())
    assert (((10_000, (2, 5)),), ((0.002, (2, 8)),), ()) == (
        watch.against.ratio.open,
        watch.against.above.open,
        watch.against.alone.open,
    )


@pytest.mark.parametrize("row", [bad(PPM), bad(0), bad(random=False)])
def test_where_sides_cannot_be_compared_new_is_judged_alone(row: Evidence) -> None:
    """At the whole share, at none, and where the request chose its side."""
    watch = heard(started(), row)
    assert ((), (), ((0.002, (2, 8)),)) == (
        watch.against.ratio.open,
        watch.against.above.open,
        watch.against.alone.open,
    )


def test_judged_alone_new_is_held_against_what_legacy_did_before() -> None:
    """The floor at 100 % is above what legacy was seen to do at 50 %."""
    watch = heard(started(), row("a", 500_000, counts(1_000, 50), counts(1_000, 50), revision=5), bad(PPM, 6))
    ((floor, outcomes),) = watch.against.alone.open
    assert 0.06 <= floor <= 0.2
    assert (2, 8) == outcomes


def test_what_was_routed_before_the_run_is_none_of_its_business() -> None:
    """Requests of an older revision come in late."""
    watch = started()
    assert watch == heard(watch, bad(revision=4))


def test_a_promotion_is_judged_by_its_own_revision_and_share_only() -> None:
    """A step is judged only after its revision is confirmed; a rollback looks at everything of the run."""
    watch = begin(heard(started(), bad()), replace(STEP, revision=7, share=50_000), 2.0, SETTINGS)
    watch = heard(watch, bad(10_000, 6), bad(50_000, 6), bad(10_000, 8))
    assert () == watch.favour.below.open
    watch = heard(watch, bad(50_000, 8))
    assert ((0.005, (2, 8)),) == watch.favour.below.open
    assert (10, 990) == watch.trials


def test_every_step_has_its_margin() -> None:
    """They tighten with exposure."""
    shares = (0, 10_000, 49_999, 50_000, 250_000, 500_000, 950_000, PPM)
    margins = [started(replace(STEP, share=share)).margin for share in shares]
    assert [5.0, 5.0, 5.0, 3.0, 2.0, 1.5, 1.5, 1.5] == [margin.ratio for margin in margins]
    assert [0.01, 0.01, 0.01, 0.005, 0.002, 0.002, 0.002, 0.002] == [margin.rate for margin in margins]


def test_a_new_run_starts_from_zero() -> None:
    """After something was mended, what was seen before proves nothing."""
    watch = heard(started(), bad(), bad())
    assert started(replace(STEP, run=2), at=9.0) == begin(watch, replace(STEP, run=2), 9.0, SETTINGS)


def test_a_tolerance_is_frozen_for_its_run() -> None:
    """Whoever turns it while evidence comes in is peeking."""
    watch = begin(started(), replace(STEP, share=50_000, tolerance=Tolerance(ratio=9.0)), 1.0, SETTINGS)
    assert Tolerance() == watch.step.tolerance


def test_a_fresh_copy_joins_with_every_other_share_and_every_hour() -> None:
    """And not with a step at the same share, such as after a pause."""
    watch = heard(started(), bad())
    assert 1 == begin(watch, replace(STEP, revision=9), 2.0, SETTINGS).against.ratio.copies
    assert 2 == begin(watch, replace(STEP, share=50_000), 2.0, SETTINGS).against.ratio.copies
    assert 1 == heard(watch, bad(), at=3_599.0).against.ratio.copies
    assert 2 == heard(watch, bad(), at=3_600.0).against.ratio.copies


def slow(requests: int) -> Counts:
    return Counts(requests, 0, requests, timed=requests, slow=(Tally(requests), Tally(2), Tally(1)))


def test_cold_caches_are_no_evidence() -> None:
    """Slow answers count after a minute and fifty requests of new, whichever is later."""
    begun = heard(started(), row("a", 10_000, slow(60), slow(900), revision=5), at=10.0)
    early = heard(begun, row("a", 10_000, slow(10), slow(900), revision=5), at=69.0)
    late = heard(begun, row("a", 10_000, slow(10), slow(900), revision=5), at=70.0)
    assert ((), (), ()) == tuple(process.open for process in early.against.slow)
    assert [(10, 900), (2, 2), (1, 1)] == [process.open[0][1] for process in late.against.slow]
    few = heard(started(), row("a", 10_000, slow(30), slow(900), revision=5), at=10.0)
    few = heard(few, row("a", 10_000, slow(10), slow(900), revision=5), at=500.0)
    assert ((), (), ()) == tuple(process.open for process in few.against.slow)


def test_comparisons_speak_where_legacy_was_asked_twice() -> None:
    """For a pass, single comparisons speak as well: what seldom differs at all seldom differs beyond noise."""
    found = Shadowed(100, Tally(3), 40, Tally(2), 5)
    watch = heard(started(replace(STEP, share=0)), compared("a", found, revision=5))
    assert ((0.001, (2, 5, 33)),) == watch.against.differs.open == watch.favour.same.open
    assert ((0.001, (3, 97)),) == watch.favour.rarely.open


def test_clients_are_held_against_the_share() -> None:
    """Of this step's epoch only."""
    watch = heard(started(), row("a", 10_000, counts(7), counts(993), revision=5))
    assert ((10_000, (7, 993)),) == watch.favour.sides.open


def test_a_streak_ends_with_the_first_success() -> None:
    """Batches with nothing from new leave it alone; what legacy did meanwhile is counted."""
    failed = row("a", 10_000, counts(3, 3, marked=True), counts(90, 1), revision=5)
    idle = row("a", 10_000, Counts(), counts(10), revision=5)
    watch = heard(started(), idle, failed, idle, failed)
    streak = watch.streak
    assert (6, 6, 89 + 10 + 89, 2) == (streak.failures, streak.clients, streak.legacy_well, streak.legacy_ill)
    assert streak.first is not None and streak.last is not None
    assert ("first", "last") == (streak.first.request, streak.last.request)
    assert 0 == heard(watch, row("a", 10_000, counts(4, 3), counts(9), revision=5)).streak.failures

"""What follows from one route's evidence, and in which order."""

from __future__ import annotations

from dataclasses import replace

from rollout.core.evidence import Counts, Evidence, Mark, Shadowed, Step, Tally
from rollout.core.opinion import alarming, due, opinion, passes, present, read
from rollout.core.settings import Settings
from rollout.core.verdict import Kind, Metric, Standing, Verdict
from rollout.core.watch import Watch, absorb, begin
from router.core.model import PPM
from tests.rollout.core.traffic import compared, counts, row

SETTINGS = Settings(warm_up=0.0, warm_up_requests=0)
STEP = Step("a", 1, 10_000)


def watched(*rows: Evidence, step: Step = STEP) -> Watch:
    watch = begin(None, step, 0.0, SETTINGS)
    for one in rows:
        watch = absorb(watch, one, 1.0, SETTINGS)
    readings = read(watch)
    return replace(watch, alarmed=alarming(watch, readings, SETTINGS), passed=passes(watch, readings, SETTINGS))


def judged(*rows: Evidence, step: Step = STEP, at: float = 2.0) -> Verdict:
    watch = watched(*rows, step=step)
    return opinion(watch, read(watch), at, SETTINGS)


def bad(errors: int, requests: int = 20, share: int = 10_000, *, random: bool = True) -> Evidence:
    return row("a", share, counts(requests, errors, marked=True), counts(1_980, 2), random=random)


def said(verdict: Verdict) -> tuple[Kind, Standing, Metric]:
    return verdict.kind, verdict.standing, verdict.metric


def test_more_errors_than_tolerated_are_a_rollback_with_all_its_numbers() -> None:
    """Metric, counts, shares, E, threshold, tolerance, first and last offending request."""
    verdict = judged(bad(8))
    assert (Kind.ROLLBACK, Standing.FAILED, Metric.ERRORS) == said(verdict)
    assert verdict.log_e is not None and verdict.log_threshold is not None
    assert verdict.log_e >= verdict.log_threshold
    assert (1.2, 0.002, Mark(1.0, "first"), Mark(2.0, "last")) == (
        verdict.ratio,
        verdict.floor,
        verdict.first,
        verdict.last,
    )
    assert str(verdict).startswith("ROLLBACK route a; errors, failed; new 8 of 20 and legacy 2 of 1,980 failed at 1 %")


def test_rare_errors_are_harmless_however_clean_legacy_is() -> None:
    """Ten times legacy's rate, and a tenth of a percent: below the floor."""
    kind, *_ = said(judged(row("a", 10_000, counts(10_000, 10), counts(990_000, 99))))
    assert kind not in {Kind.ROLLBACK, Kind.HOLD}


def test_errors_as_frequent_as_legacys_are_harmless_however_many() -> None:
    """Half of everything fails on both sides."""
    kind, *_ = said(judged(row("a", 10_000, counts(1_000, 500), counts(99_000, 49_500))))
    assert kind not in {Kind.ROLLBACK, Kind.HOLD}


def test_a_request_that_chose_its_side_is_judged_alone_and_the_verdict_says_so() -> None:
    """By the floor only; a ratio would be no fair comparison."""
    verdict = judged(bad(10, random=False))
    assert (Kind.ROLLBACK, Metric.ERRORS, None) == (verdict.kind, verdict.metric, verdict.ratio)
    assert "could not be compared" in verdict.note


def test_slower_than_tolerated_is_a_rollback_that_names_the_quantile() -> None:
    """Every answer beyond the 90th percentile, none beyond the 99th."""
    slow = Counts(40, 0, 40, timed=40, slow=(Tally(40), Tally(40, Mark(3.0, "x"), Mark(4.0, "y")), Tally(0)))
    usual = Counts(3_960, 0, 3_960, timed=3_960, slow=(Tally(1_980), Tally(396), Tally(40)))
    warm = row("a", 10_000, Counts(1, 0, 1, timed=1), Counts())
    verdict = judged(warm, row("a", 10_000, slow, usual))
    assert (Kind.ROLLBACK, Standing.FAILED, Metric.LATENCY) == said(verdict)
    assert "beyond legacy's 90% quantile" in verdict.note
    assert (40, 396, "x") == (
        verdict.spans[0].new_bad,
        verdict.spans[0].legacy_bad,
        verdict.first and verdict.first.request,
    )


def test_a_trend_is_held_and_proves_nothing() -> None:
    """E between 20 and its threshold."""
    verdict = judged(bad(3))
    assert (Kind.HOLD, Standing.INCONCLUSIVE, Metric.ERRORS) == said(verdict)


def test_many_failures_in_a_row_trip_the_breaker_and_are_no_proof() -> None:
    """Ten of them, of two clients, while legacy answers: the client rule leaves too little for a test."""
    two = Counts(10, 10, 2, Tally(2, Mark(1.0, "p"), Mark(9.0, "q")), 10)
    verdict = judged(row("a", 10_000, two, counts(990, 400)))
    assert (Kind.BREAKER, Standing.INCONCLUSIVE, Metric.CONSECUTIVE) == said(verdict)
    assert (10, "p", "q") == (
        verdict.spans[0].new_bad,
        verdict.first and verdict.first.request,
        verdict.last and verdict.last.request,
    )


def test_the_breaker_needs_two_clients_and_a_legacy_that_is_well() -> None:
    """One broken client is no outage of new, and where legacy mostly fails as well there is no better place to be."""
    one = Counts(50, 50, 1, Tally(1), 50)
    assert Kind.BREAKER is not judged(row("a", 10_000, one, counts(990, 400))).kind
    two = Counts(50, 50, 2, Tally(2), 50)
    assert Kind.BREAKER is judged(row("a", 10_000, two, counts(990, 400))).kind
    assert Kind.BREAKER is not judged(row("a", 10_000, two, counts(990, 500))).kind


def test_sides_that_do_not_fit_the_share_put_the_data_in_doubt() -> None:
    """Not the new side: a hold, never a rollback."""
    verdict = judged(row("a", 10_000, counts(300), counts(9_700)))
    assert (Kind.HOLD, Standing.INCONCLUSIVE, Metric.SIDES) == said(verdict)
    assert "the data is in doubt" in verdict.note


def test_mismatches_beyond_noise_are_a_failed_hold() -> None:
    """Shadow hurts nobody, so nothing is rolled back; and nothing is promoted."""
    verdict = judged(
        compared("a", Shadowed(40, Tally(40), 40, Tally(40, Mark(1.0, "d"), Mark(2.0, "e")))),
        step=replace(STEP, share=0),
    )
    assert (Kind.HOLD, Standing.FAILED, Metric.MISMATCHES) == said(verdict)
    assert verdict.last is not None and "e" == verdict.last.request


def test_noise_of_legacy_itself_is_no_mismatch() -> None:
    """It differs from itself as often as new differs from it."""
    noisy = Shadowed(1_000, Tally(200), 1_000, Tally(150), 150)
    assert Kind.HOLD is not judged(compared("a", noisy), step=replace(STEP, share=0)).kind


def test_shadow_passes_by_comparisons_and_by_nothing_else() -> None:
    """Five thousand without a difference; requests are no comparisons."""
    shadow = replace(STEP, share=0)
    assert (Kind.PROMOTE, Standing.PASSED, Metric.MISMATCHES) == said(
        judged(compared("a", Shadowed(5_000, tripled=5_000)), step=shadow)
    )
    assert (Kind.NONE, Standing.NO_DATA, Metric.DATA) == said(
        judged(row("a", 0, Counts(), counts(100_000)), step=shadow)
    )


def test_a_new_side_that_fails_copies_gets_no_users_however_equal_its_other_answers_are() -> None:
    """One in ten fails: no promotion, and the verdict says why; one in a thousand is within the step's margin."""
    shadow = replace(STEP, share=0)
    failing = judged(compared("a", Shadowed(9_000, tripled=9_000, failed=1_000)), step=shadow)
    assert (Kind.NONE, Standing.INCONCLUSIVE, Metric.MISMATCHES) == said(failing)
    assert "new failed 1,000 of 10,000 copies; tolerated are 1 %" == failing.note
    seldom = judged(compared("a", Shadowed(9_000, tripled=9_000, failed=9)), step=shadow)
    assert (Kind.PROMOTE, Standing.PASSED) == (seldom.kind, seldom.standing)
    dead = judged(compared("a", Shadowed(failed=40)), step=shadow)
    assert (Kind.NONE, Standing.NO_DATA, Metric.DATA) == said(dead)
    assert "no answers were compared yet; new failed 40 of 40 copies" in dead.note


def test_a_new_side_that_was_down_passes_the_shadow_step_soon_after_it_is_up() -> None:
    """An hour of failed copies costs a few hundred comparisons more, not as many as it takes to make up for it."""
    shadow, down = replace(STEP, share=0), [compared("a", Shadowed(failed=1_000))] * 720
    assert Kind.NONE is judged(*down, compared("a", Shadowed(1_500, tripled=1_500)), step=shadow).kind
    assert Kind.PROMOTE is judged(*down, compared("a", Shadowed(6_000, tripled=6_000)), step=shadow).kind


def test_few_errors_of_enough_requests_pass_a_step() -> None:
    """E against the step's margin is past 20."""
    verdict = judged(row("a", 10_000, counts(500), counts(49_500, 50)))
    assert (Kind.PROMOTE, Standing.PASSED, Metric.SAFE) == said(verdict)
    assert (5.0, 0.01) == (verdict.ratio, verdict.floor)


def test_the_last_step_asks_for_more() -> None:
    """One in a hundred instead of one in twenty."""
    last = replace(STEP, last=True)
    assert due(watched(step=last), SETTINGS).safe > due(watched(), SETTINGS).safe
    assert Kind.NONE is judged(row("a", 10_000, counts(500), counts(49_500, 50)), step=last).kind


def test_a_side_that_gets_no_requests_never_passes() -> None:
    """Legacy's errors alone would prove that new has none: that is no data, and nothing else."""
    half, absent = replace(STEP, share=500_000), row("a", 500_000, Counts(), Counts(5_000, 500, 5_000, Tally(500)))
    assert read(watched(absent, step=half)).safe > 3
    verdict = judged(absent, step=half)
    assert (Kind.NONE, Standing.NO_DATA, Metric.DATA) == said(verdict)
    assert "no requests at this step yet" in verdict.note
    seldom = row("a", 500_000, Counts(2_000, 0, 2_000), Counts(7_000, 500, 7_000, Tally(500)))
    verdict = judged(seldom, step=half)
    assert (Kind.NONE, Standing.NO_DATA, Metric.DATA) == said(verdict)
    assert "less than half of the requests" in verdict.note


def test_nothing_for_too_long_is_no_data_and_no_failure() -> None:
    """After five minutes without any evidence the route is held."""
    evidence = row("a", 10_000, counts(10), counts(990))
    assert (Kind.NONE, Standing.INCONCLUSIVE, Metric.SAFE) == said(judged(evidence, at=301.0))
    assert (Kind.HOLD, Standing.NO_DATA, Metric.DATA) == said(judged(evidence, at=301.1))


def test_the_three_ways_of_not_knowing_are_told_apart() -> None:
    """Nothing yet, not enough yet, and proven."""
    standings = [
        judged().standing,
        judged(row("a", 10_000, counts(10), counts(990))).standing,
        judged(bad(8)).standing,
    ]
    assert [Standing.NO_DATA, Standing.INCONCLUSIVE, Standing.FAILED] == standings


def test_at_the_whole_share_new_passes_by_its_own_rate() -> None:
    """There is no legacy to compare with."""
    whole = replace(STEP, share=PPM)
    assert present(watched(row("a", PPM, counts(10), Counts()), step=whole))
    assert Kind.PROMOTE is judged(row("a", PPM, counts(4_000), Counts()), step=whole).kind


def test_what_has_passed_once_has_passed() -> None:
    """By the inequality behind it; a rollback or a hold comes before it all the same."""
    passed = replace(watched(row("a", 10_000, counts(10), counts(990))), passed=True)
    verdict = opinion(passed, read(passed), 2.0, SETTINGS)
    assert (Kind.PROMOTE, "it was enough at a time before") == (verdict.kind, verdict.note)
    failed = replace(watched(bad(8)), passed=True)
    assert Kind.ROLLBACK is opinion(failed, read(failed), 2.0, SETTINGS).kind


def test_a_rollback_is_final() -> None:
    """Whatever comes in afterwards."""
    verdict = judged(bad(8))
    rolled = replace(watched(bad(8)), final=verdict)
    assert verdict is opinion(rolled, read(rolled), 9_999.0, SETTINGS)
    assert rolled == absorb(rolled, row("a", 10_000, counts(1_000), counts(9_000)), 5.0, SETTINGS)


def test_later_runs_need_more() -> None:
    """The thresholds of errors, latency and mismatches rise with the run; those of a promotion do not."""
    first, second = due(watched(), SETTINGS), due(watched(step=replace(STEP, run=2)), SETTINGS)
    assert second.errors > first.errors and second.latency > first.latency and second.mismatches > first.mismatches
    assert second.safe == first.safe

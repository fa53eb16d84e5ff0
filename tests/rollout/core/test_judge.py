"""All rollouts judged at once, batch by batch; and judged anew from the log."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any

import pytest

from rollout.core.evidence import Batch, Counts, Evidence, Step, Tally, Tolerance
from rollout.core.judge import EVERYTHING, State, current, judge, replay
from rollout.core.records import BadRecord, batch_json
from rollout.core.settings import Settings
from rollout.core.verdict import Breadth, Kind, Metric, Standing
from tests.rollout.core.traffic import DEFAULTS, Court, binomial, counts, row, split


def bad(route: str = "a", errors: int = 8, revision: int = 1) -> Evidence:
    return row(route, 10_000, counts(20, errors, marked=True), counts(1_980, 2), revision=revision)


def well(route: str = "a", revision: int = 1, share: int = 10_000) -> Evidence:
    return row(route, share, counts(10), counts(990, 5), revision=revision)


def run_of(seed: int, new_rate: float) -> Court:
    """One route at 1 %, ten thousand requests a batch, legacy at 0.5 %."""
    chance, court = Random(seed), Court()
    court.begin("a")
    for _ in range(120):
        new, legacy = split(chance, 10_000, 10_000)
        answers = (
            counts(new, binomial(chance, new, new_rate), marked=True),
            counts(legacy, binomial(chance, legacy, 0.005)),
        )
        court.hear(row("a", 10_000, *answers), after=60)
    return court


def test_verdicts_are_given_out_when_they_change() -> None:
    """A second in which nothing new is known says nothing."""
    court = Court()
    court.begin("a")
    assert [Kind.NONE] == [one.kind for one in court.hear(well())]
    assert [] == court.hear(well())
    assert [(Kind.ROLLBACK, "a")] == [(one.kind, one.scope.name) for one in court.hear(bad())]
    assert [] == court.hear(bad())


@pytest.mark.parametrize("silence", [0, 1])
def test_a_rollback_is_due_in_every_state_of_the_rollout(silence: int) -> None:
    """Just promoted, held for lack of data, or with the next step begun: evidence decides, not the phase."""
    promoted = Court()
    promoted.begin("a")
    promoted.hear(row("a", 10_000, counts(500), counts(49_500, 50)))
    held = Court()
    held.begin("a")
    held.hear(well())
    held.hear(after=400)
    rising = Court()
    rising.begin("a")
    rising.hear(well())
    rising.begin("a", share=50_000, revision=2)
    assert (Kind.PROMOTE, Kind.HOLD, Kind.NONE) == (promoted.kinds()[-1], held.kinds()[-1], rising.kinds()[-1])
    for court in (promoted, held, rising):
        assert Kind.ROLLBACK in [one.kind for one in court.hear(bad(errors=20), after=400 * silence)]


def test_late_answers_of_the_step_before_still_count_against_new() -> None:
    """In flight when the share rose; under their own share."""
    court = Court()
    court.begin("a")
    court.begin("a", share=50_000, revision=2)
    (verdict, *_) = [one for one in court.hear(bad()) if one.kind is Kind.ROLLBACK]
    assert [10_000] == [span.share for span in verdict.spans]


def test_a_retry_is_judged_from_zero_and_more_strictly() -> None:
    """A mended service gets its chance, and no free throw."""
    court = Court()
    court.begin("a")
    court.hear(bad())
    first = court.said[-1]
    court.begin("a", revision=2, run=2)
    assert current(court.state, "a", DEFAULTS) is not None
    assert Standing.NO_DATA is current(court.state, "a", DEFAULTS).standing
    court.hear(bad(errors=10, revision=2))
    second = court.said[-1]
    assert (Kind.ROLLBACK, 2) == (second.kind, second.run)
    assert first.log_threshold is not None and second.log_threshold is not None
    assert second.log_threshold > first.log_threshold


def test_a_run_that_was_rolled_back_does_not_come_back_by_another_step() -> None:
    """Only a new run does."""
    court = Court()
    court.begin("a")
    court.hear(bad())
    court.begin("a", share=50_000, revision=2)
    verdict = current(court.state, "a", DEFAULTS)
    assert verdict is not None and Kind.ROLLBACK is verdict.kind


def test_routes_without_a_run_are_not_judged_and_not_remembered() -> None:
    """Nor are those whose run is over; memory goes by rollouts, not by routes."""
    court = Court()
    court.begin("a")
    court.hear(bad("b"))
    assert None is current(court.state, "b", DEFAULTS)
    court.hear(bad(), ended=("a",))
    assert {} == court.state.watches
    assert [] == [one for one in court.said if one.kind is Kind.ROLLBACK]


def test_an_upstream_that_fails_takes_all_its_routes() -> None:
    """And no other; `current` says it of routes that look well by themselves."""
    court = Court()
    court.begin("a", "b", "c", upstream="catalog")
    court.begin("d", upstream="cart")
    court.hear(bad("a", 3), bad("b", 3), well("c"), well("d"))
    rolled = [one for one in court.said if one.kind is Kind.ROLLBACK]
    assert [(Breadth.UPSTREAM, "catalog")] == [(one.scope.breadth, one.scope.name) for one in rolled]
    governing = [current(court.state, route, DEFAULTS) for route in "abcd"]
    assert [Kind.ROLLBACK] * 3 == [one.kind for one in governing[:3] if one]
    assert governing[3] is not None and Kind.ROLLBACK is not governing[3].kind


def test_a_route_that_is_rolled_back_takes_its_past_out_of_the_pool() -> None:
    """One bad route must not bring down the others through the evidence it has left behind."""
    court = Court()
    court.begin("a", "b", upstream="catalog")
    court.hear(bad("a", 20), bad("b", 1))
    assert [Breadth.ROUTE] == [one.scope.breadth for one in court.said if one.kind is Kind.ROLLBACK]
    assert [2, 2] == [court.state.pools[name].start for name in ("catalog", EVERYTHING)]


def test_an_upstream_begins_anew_with_a_new_run_only() -> None:
    """After it was rolled back, at a stricter threshold."""
    court = Court()
    court.begin("a", "b", upstream="catalog")
    court.hear(bad("a", 3), bad("b", 3))
    court.begin("a", share=50_000, revision=2, upstream="catalog")
    assert court.state.pools["catalog"].final is not None
    court.begin("a", revision=3, run=2, upstream="catalog")
    assert (None, 2) == (court.state.pools["catalog"].final, court.state.pools["catalog"].start)


def test_legacys_trouble_governs_every_route() -> None:
    """A route with enough evidence is held all the same, and promoted once legacy is well again."""
    court = Court()
    court.begin("a")
    for _ in range(30):
        court.hear(row("a", 10_000, counts(100), counts(9_900, 20)), after=60)
    assert Kind.PROMOTE is current(court.state, "a", DEFAULTS).kind
    court.hear(row("a", 10_000, counts(100, 20), counts(9_900, 1_980)), after=60)
    governing = current(court.state, "a", DEFAULTS)
    assert governing is not None
    assert (Kind.HOLD, Breadth.ALL, Metric.LEGACY) == (governing.kind, governing.scope.breadth, governing.metric)
    for _ in range(6):
        court.hear(row("a", 10_000, counts(100), counts(9_900, 20)), after=60)
    assert Kind.PROMOTE is current(court.state, "a", DEFAULTS).kind


def test_the_breaker_is_said_once_per_streak() -> None:
    """And the streak begins anew after it."""
    outage = row("a", 10_000, Counts(6, 6, 2, Tally(2), 6), counts(594, 240))
    court = Court()
    court.begin("a")
    for _ in range(4):
        court.hear(outage)
    assert 2 == court.kinds().count(Kind.BREAKER)


def test_a_clock_that_was_set_back_stands_still() -> None:
    """No evidence is lost and no silence invented."""
    court = Court(at=10_000.0)
    court.begin("a")
    court.hear(well(), after=-5_000)
    assert 10_001.0 == court.state.at == court.state.watches["a"].seen
    court.hear(bad(), after=1)
    assert Kind.ROLLBACK is court.kinds()[-1]


def test_rows_are_taken_in_by_epoch_in_whatever_order_they_come() -> None:
    """The live judgement and the replay of its log see the same."""
    rows = [bad("a", 2), well("b"), well("a", share=20_000), bad("b", 1)]
    start = judge(State(), Batch(1.0, (Step("a", 1, 10_000, "c"), Step("b", 1, 10_000, "c"))), DEFAULTS)[0]
    assert judge(start, Batch(2.0, (), tuple(rows)), DEFAULTS) == judge(
        start, Batch(2.0, (), tuple(rows[::-1])), DEFAULTS
    )


def test_work_goes_by_rows_and_not_by_routes() -> None:
    """Of 3,000 routes only the one with evidence is judged anew."""
    court = Court()
    court.begin(*(f"route-{number}" for number in range(3_000)))
    before = court.state.watches
    court.hear(well("route-7"))
    changed = [name for name, watch in court.state.watches.items() if watch is not before[name]]
    assert ["route-7"] == changed


# ------------------------------------------------------------------------------------------------------- replay


def log_of(court: Court) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(batch_json(batch))) for batch in court.log]


@pytest.mark.parametrize("new_rate", [0.005, 0.025, 0.5])
def test_a_replay_says_the_same_bit_for_bit(new_rate: float) -> None:
    """Every verdict with every digit, from the log alone."""
    court = run_of(1, new_rate)
    assert court.said == list(replay(log_of(court), DEFAULTS))


def test_a_replay_with_another_tolerance_shows_what_it_would_have_done() -> None:
    """New is one and a half times as bad: tolerated twice, it stays; tolerated 1.0 times, it does not."""
    court = Court()
    court.begin("a")
    for _ in range(40):
        court.hear(row("a", 500_000, counts(1_000, 15), counts(1_000, 10)), after=60)
    log = log_of(court)

    def kinds(ratio: float) -> set[Kind]:
        return {one.kind for one in replay(log, DEFAULTS, lambda tolerance: replace(tolerance, ratio=ratio))}

    assert Kind.ROLLBACK in kinds(1.0)
    assert Kind.ROLLBACK not in kinds(2.0)


def test_a_replay_may_begin_with_a_kept_state() -> None:
    """The log need not reach back for ever."""
    court = run_of(2, 0.025)
    state = State()
    for batch in court.log[:50]:
        state, _ = judge(state, batch, DEFAULTS)
    said = [one for one in court.said if one.at > court.log[49].at]
    assert said == list(replay(log_of(court)[50:], DEFAULTS, state=state))


def test_a_replay_stops_at_a_record_that_is_none() -> None:
    """What was said before it stands."""
    court = run_of(3, 0.5)
    verdicts = replay([*log_of(court), {"at": "never"}], DEFAULTS)
    assert court.said == list(islice(verdicts, len(court.said)))
    with pytest.raises(BadRecord):
        next(verdicts)


def test_settings_are_part_of_the_judgement() -> None:
    """A more cautious fleet holds sooner."""
    log = log_of(run_of(4, 0.015))
    kinds = [one.kind for one in replay(log, Settings(caution=3.0, calm=2.0))]
    usual = [one.kind for one in replay(log, DEFAULTS)]
    assert kinds.count(Kind.HOLD) >= usual.count(Kind.HOLD)
    assert Kind.HOLD in kinds


def test_tolerances_travel_with_the_log() -> None:
    """A strict route stays strict wherever its log is read."""
    strict = Tolerance(ratio=1.0, floor=0.0001)
    court = Court()
    court.hear(steps=(Step("a", 1, 500_000, tolerance=strict),))
    for _ in range(40):
        court.hear(row("a", 500_000, counts(1_000, 15), counts(1_000, 10)), after=60)
    (verdict, *_) = [one for one in replay(log_of(court), DEFAULTS) if one.kind is Kind.ROLLBACK]
    assert (1.0, 0.0001) == (verdict.ratio, verdict.floor)

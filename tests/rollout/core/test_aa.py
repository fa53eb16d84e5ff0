"""Legacy against legacy on tapes that are made up: who is drawn, what counts, and what is said of it."""

from __future__ import annotations

from random import Random

import pytest

from rollout.core.aa import (
    MOST,
    ROLLOUTS,
    ROWS,
    SHARES,
    Answered,
    End,
    Score,
    Standing,
    _readings,
    at_least,
    conclusion,
    crowd,
    expected,
    rollouts,
    standing,
)
from rollout.core.evidence import Counts, Tally, Tolerance
from rollout.core.settings import Settings
from rollout.core.verdict import Metric

AT = 1_700_000_000.0
ALPHA = Settings().alpha
LIMITS = (5, 8, 11)
QUICK, SLOW = 3, 12


def tape(
    seconds: int = 60,
    *,
    clients: int = 400,
    rate: int = 100,
    failing: float = 0.005,
    loud: int = 0,
    sticky: bool = True,
) -> list[Answered]:
    """Each of the `loud` clients, who send a third of all, fails and is slow every time; the others seldom."""
    chance, found = Random(7), []
    for number in range(seconds * rate):
        trouble = loud > 0 and chance.random() < 1 / 3
        client = chance.randrange(loud) if trouble else loud + chance.randrange(clients)
        bad = trouble or chance.random() < 0.005
        slow = trouble or chance.random() < 0.1
        client = client if sticky else 10**6 + number
        found.append(Answered(AT + number / rate, client, bad, SLOW if slow else QUICK))
    return found


def scores(answers: list[Answered], *, limits: tuple[int, ...] = LIMITS, times: int = ROLLOUTS) -> list[Score]:
    people, found = crowd(answers, limits), [Score(share) for share in SHARES]
    for number in range(times):
        ends = rollouts(people, number, SHARES, Tolerance(), Settings())
        found = [score + end for score, end in zip(found, ends, strict=True)]
    return found


def test_loud_and_slow_clients_who_stick_to_a_side_roll_nothing_back() -> None:
    """Though a third of all requests are theirs; if each of those counted, many rollouts would be rolled back."""
    answers = tape(loud=4)
    found = scores(answers, times=50)
    assert [0, 0, 0, 0] == [score.rollbacks for score in found]
    assert all(score.unruled > 1 for score in found), found
    assert Standing.EQUAL is standing(crowd(answers, LIMITS).counts, found, ALPHA)


def test_clients_who_are_others_with_each_request_are_no_trouble_with_or_without_the_rule() -> None:
    """Each request draws its side anew."""
    found = scores(tape(30, loud=4, sticky=False), times=25)
    assert [(0, 0)] * 4 == [(score.rollbacks, score.unruled) for score in found]


def test_a_crowd_that_the_rule_cannot_help_is_told_apart_and_said_to_be() -> None:
    """The same people as above, if each of their failures came from somebody else who had drawn the same side."""
    unruled = [Score(score.share, score.rollouts, score.unruled) for score in scores(tape(loud=4), times=50)]
    counts = crowd(tape(loud=4), LIMITS).counts
    assert Standing.TOLD_APART is standing(counts, unruled, ALPHA)
    assert "do not let this route be rolled back by itself" in conclusion(counts, LIMITS, unruled, ALPHA)


def test_a_client_counts_once_as_a_client_an_error_and_for_each_limit() -> None:
    """Whatever it does afterwards, until the next hour; its successes count as often as they come."""
    hour = AT - AT % 3600 + 3600
    answers = [Answered(AT + second, 1, failed=second < 3, bucket=9) for second in range(5)]
    counts = crowd([*answers, Answered(AT + 5, 2, failed=True, bucket=12)], LIMITS).counts
    assert (6, 4, 2, 2) == (counts.requests, counts.failures, counts.errors.count, counts.clients)
    assert 4 == counts.trials
    assert [2, 2, 1] == [tally.count for tally in counts.slow]
    later = crowd([*answers, Answered(hour, 1, failed=False, bucket=9)], LIMITS).counts
    assert [2, 2, 0] == [tally.count for tally in later.slow]


def test_nothing_is_lost_between_rows_and_sides() -> None:
    """Rows are few however long a tape is; more answers than it may have are left out, the newest ones."""
    people = crowd(tape(600, rate=20, loud=2), LIMITS)
    assert len(people.rows) <= ROWS + 1
    assert sum(people.rows) == sum(counted for parts in people.parts for _, counted in parts)
    assert 12_000 == people.counts.requests
    full = crowd([Answered(AT + number / 10_000, 1, failed=False, bucket=0) for number in range(MOST + 5)], ())
    assert MOST == full.counts.requests


def test_a_client_is_on_one_side_with_all_it_asks_and_stays_on_new_as_the_share_rises() -> None:
    """About as many clients are on new as the share says."""
    alone = crowd([Answered(AT + number, 7, number % 2 > 0, QUICK) for number in range(50)], ())
    seen = []
    for place in (5_000, 30_000, 900_000):
        new = [sum(mine for _, _, mine in _readings(alone, [place], share)) for share in SHARES]
        assert {0, sum(alone.rows)} >= set(new)
        seen.append([bool(each) for each in new])
    assert [[True] * 4, [False, True, True, True], [False] * 4] == seen


def test_every_rollout_has_a_draw_of_its_own_and_the_same_one_each_time() -> None:
    """Chance has a seed, so that anybody finds the same."""
    people = crowd(tape(20, loud=4), LIMITS)
    first, again, second = (list(rollouts(people, number, SHARES, Tolerance(), Settings())) for number in (1, 1, 2))
    assert first == again
    many = {tuple(rollouts(people, number, SHARES, Tolerance(), Settings())) for number in range(20)}
    assert {tuple(first), tuple(second)} <= many
    assert len(many) > 1


def test_an_outage_of_legacy_is_an_outage_of_both() -> None:
    """Everybody fails for ten seconds, and again: no rollback."""
    answers = [each._replace(failed=each.failed or int(each.at - AT) % 30 < 10) for each in tape(90)]
    assert [0, 0, 0, 0] == [score.rollbacks for score in scores(answers, times=20)]


@pytest.mark.parametrize(
    ("counts", "limits", "wrong", "how", "words"),
    [
        (Counts(), LIMITS, 0, Standing.UNKNOWN, "is there traffic on this route?"),
        (Counts(900, clients=90), LIMITS, 0, Standing.UNKNOWN, "nothing failed or was slow, so nothing could be told"),
        (Counts(90, clients=9), (), 0, Standing.UNKNOWN, "before legacy has answered 500 times"),
        (Counts(900, 9, 900, Tally(9)), LIMITS, 0, Standing.EQUAL, "none of 100 rollouts"),
        (Counts(900, 9, 900, Tally(9)), LIMITS, 1, Standing.EQUAL, "1 of 100 rollouts, as chance may have it"),
        (
            Counts(900, 9, 900, Tally(9)),
            LIMITS,
            3,
            Standing.TOLD_APART,
            "3 of 100 rollouts were rolled back",
        ),
        (Counts(900, 9, 900, Tally(9)), (), 0, Standing.EQUAL, "slow answers were not judged"),
        (Counts(900, slow=(Tally(3), Tally(), Tally())), LIMITS, 0, Standing.EQUAL, "slow answers only"),
    ],
)
def test_the_conclusion_claims_no_more_than_was_shown(
    counts: Counts, limits: tuple[int, ...], wrong: int, how: Standing, words: str
) -> None:
    """Silence is not taken for equality."""
    found = [Score(10_000, 100, latency=wrong)]
    assert how is standing(counts, found, ALPHA)
    assert words in conclusion(counts, limits, found, ALPHA)


def test_what_becomes_of_rollouts_is_added_up() -> None:
    """By what they were rolled back for."""
    ends = [End(Metric.ERRORS, held=True), End(Metric.LATENCY, sides=True), End(breaker=True), End(unruled=True), End()]
    found = sum(ends, Score(10_000))
    assert Score(10_000, 5, 1, 1, 1, 1, 1, 1) == found
    assert (2, 5 * (ALPHA.errors + ALPHA.latency)) == (found.rollbacks, expected(found, ALPHA))


def test_the_chance_of_so_many_is_exact() -> None:
    """By hand."""
    assert (1.0, 0.0) == (at_least(0, 10, 0.1), round(at_least(11, 10, 0.1), 12))
    assert pytest.approx(0.75) == at_least(1, 2, 0.5)
    assert pytest.approx(0.25) == at_least(2, 2, 0.5)

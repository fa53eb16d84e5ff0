"""When is it safe to try again?  The whole table of the rule, and its laws."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.attempt import (
    BUDGET_FLOOR,
    MAX_TRIES,
    Next,
    Stage,
    Try,
    after_failure,
    after_status,
    in_budget,
    may_repeat,
)
from router.core.model import Fallback, Side

EVERYTHING = Fallback(on_connect=True, statuses=frozenset({502, 503, 504}))

tries = st.builds(
    Try,
    side=st.sampled_from(Side),
    tries=st.integers(1, MAX_TRIES + 1),
    repeatable=st.booleans(),
    replayable=st.booleans(),
    delivered=st.booleans(),
    answered=st.booleans(),
    stale=st.booleans(),
    in_budget=st.booleans(),
    other_endpoint=st.booleans(),
    fallback=st.sampled_from((Fallback(), Fallback(on_connect=True), EVERYTHING)),
)
stages = st.sampled_from(Stage)

POST = Try(Side.NEW, 1, repeatable=False, replayable=True, delivered=True, fallback=EVERYTHING)
GET = replace(POST, repeatable=True)
UNSENT = replace(POST, delivered=False)
LEGACY = replace(GET, side=Side.LEGACY)


@given(tries, stages)
def test_nothing_is_repeated_unless_it_is_safe(what: Try, stage: Stage) -> None:
    """No stage, policy or pool makes an unsafe repeat safe: not after an answer, not without the body."""
    safe = not what.answered and what.replayable and (not what.delivered or what.repeatable)
    assert safe is may_repeat(what)
    if not safe:
        assert after_failure(stage, what) is Next.TELL
        assert after_status(503, what) is Next.TELL


@given(tries, stages)
def test_legacy_never_falls_back(what: Try, stage: Stage) -> None:
    """There is nothing behind legacy."""
    legacy = replace(what, side=Side.LEGACY)
    assert after_failure(stage, legacy) is not Next.FALLBACK
    assert after_status(503, legacy) is Next.TELL


@given(tries, stages)
def test_without_a_policy_nothing_falls_back(what: Try, stage: Stage) -> None:
    """`fallback: off` means that the client sees what happened."""
    silent = replace(what, fallback=Fallback())
    assert after_failure(stage, silent) is not Next.FALLBACK
    assert after_status(503, silent) is Next.TELL


@given(tries, stages)
def test_tries_end(what: Try, stage: Stage) -> None:
    """After the last try on a side the answer is never "again"."""
    assert after_failure(stage, replace(what, tries=MAX_TRIES)) is not Next.AGAIN


@given(tries, stages)
def test_outside_the_budget_nothing_that_was_delivered_is_repeated(what: Try, stage: Stage) -> None:
    """A storm of repeats ends here; a pooled connection that had gone stale costs the upstream nothing.

    Nor does the first repeat elsewhere of one whose endpoint has let it go: nobody works on it any more.
    """
    broke = replace(what, in_budget=False, delivered=True, stale=False)
    let_go = may_repeat(broke) and stage in {Stage.CONNECT, Stage.SEND, Stage.HEAD}
    free = let_go and broke.tries == 1 and broke.other_endpoint
    assert after_failure(stage, broke) is (Next.AGAIN if free else Next.TELL)
    assert after_status(503, replace(what, in_budget=False)) is Next.TELL


@given(tries, stages)
def test_what_was_not_delivered_needs_no_budget(what: Try, stage: Stage) -> None:
    """A request that found no connection is work for one side, so the rest of the rule alone decides."""
    unsent = replace(what, delivered=False)
    within, outside = (after_failure(stage, replace(unsent, in_budget=fits)) for fits in (True, False))
    assert within is outside


@pytest.mark.parametrize(
    ("stage", "what", "expected"),
    [
        (Stage.CONNECT, UNSENT, Next.FALLBACK),
        (Stage.CONNECT, replace(UNSENT, other_endpoint=True), Next.AGAIN),
        (Stage.CONNECT, replace(UNSENT, other_endpoint=True, tries=MAX_TRIES), Next.FALLBACK),
        (Stage.CONNECT, replace(UNSENT, side=Side.LEGACY), Next.TELL),
        (Stage.CONNECT, replace(UNSENT, in_budget=False), Next.FALLBACK),
        (Stage.CONNECT, replace(UNSENT, in_budget=False, other_endpoint=True), Next.AGAIN),
        (Stage.CONNECT, replace(UNSENT, in_budget=False, fallback=Fallback()), Next.TELL),
        (Stage.HEAD, GET, Next.FALLBACK),
        (Stage.HEAD, POST, Next.TELL),
        (Stage.HEAD, replace(GET, other_endpoint=True), Next.AGAIN),
        (Stage.SEND, replace(GET, other_endpoint=True, in_budget=False), Next.AGAIN),
        (Stage.HEAD, replace(GET, other_endpoint=True, in_budget=False, tries=2), Next.TELL),
        (Stage.HEAD, replace(POST, other_endpoint=True), Next.TELL),
        (Stage.TIMEOUT, replace(GET, other_endpoint=True, fallback=Fallback()), Next.TELL),
        (Stage.HEAD, replace(GET, fallback=Fallback(on_connect=True)), Next.TELL),
        (Stage.HEAD, replace(GET, stale=True), Next.AGAIN),
        (Stage.HEAD, replace(POST, stale=True), Next.TELL),
        (Stage.HEAD, replace(GET, stale=True, in_budget=False), Next.AGAIN),
        (Stage.HEAD, replace(GET, in_budget=False), Next.TELL),
        (Stage.SEND, replace(UNSENT, stale=True), Next.AGAIN),
        (Stage.TIMEOUT, GET, Next.FALLBACK),
        (Stage.TIMEOUT, replace(GET, fallback=Fallback(statuses=frozenset({502}))), Next.TELL),
        (Stage.OVERLOAD, UNSENT, Next.FALLBACK),
        (Stage.PROTOCOL, GET, Next.FALLBACK),
        (Stage.BODY, replace(GET, answered=True), Next.TELL),
        (Stage.HEAD, LEGACY, Next.TELL),
    ],
)
def test_each_failure_by_an_example(stage: Stage, what: Try, expected: Next) -> None:
    """Again, to legacy, or tell the client."""
    assert expected is after_failure(stage, what)


@pytest.mark.parametrize(
    ("status", "what", "expected"),
    [
        (503, GET, Next.FALLBACK),
        (503, POST, Next.TELL),
        (500, GET, Next.TELL),
        (200, GET, Next.TELL),
        (503, LEGACY, Next.TELL),
    ],
)
def test_a_bad_status_is_hidden_only_by_the_policy(status: int, what: Try, expected: Next) -> None:
    """A POST that was delivered may have done its work: its 503 is the client's to see."""
    assert expected is after_status(status, what)


@pytest.mark.parametrize(("stage", "status"), [(Stage.TIMEOUT, 504), (Stage.OVERLOAD, 503), (Stage.CONNECT, 502)])
def test_the_client_is_told_what_kind_of_trouble_it_was(stage: Stage, status: int) -> None:
    """504 for silence, 503 for no room, 502 for the rest."""
    assert status == stage.status


@pytest.mark.parametrize(
    ("repeats", "active", "expected"),
    [(0, 0, True), (BUDGET_FLOOR - 1, 1, True), (BUDGET_FLOOR, 1, False), (19, 100, True), (20, 100, False)],
)
def test_the_budget_is_a_fifth_of_the_active_requests_and_never_below_three(
    repeats: int, active: int, expected: bool
) -> None:
    """Small routers may repeat too; a failing upstream is not hit twice by everybody."""
    assert expected is in_budget(repeats, active)

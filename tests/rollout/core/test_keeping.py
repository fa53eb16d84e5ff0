"""A state that was kept goes on as if nothing had happened, and one that was tampered with is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.judge import State, judge
from rollout.core.keeping import decode, encode, state_from, state_json
from rollout.core.records import BadRecord
from rollout.core.verdict import Kind, Verdict
from rollout.core.watch import Watch
from tests.rollout.core.traffic import DEFAULTS, Court, binomial, counts, row, split


def busy_court(seed: int, batches: int = 60, worse: float = 8.0) -> Court:
    """Two routes of an upstream through two steps; one turns bad."""
    chance, court, share = Random(seed), Court(), 10_000
    court.begin("a", "b", upstream="catalog")
    for number in range(batches):
        if number == batches // 2:
            share = 50_000
            court.begin("a", "b", share=share, revision=2, upstream="catalog")
        rows = []
        for route, times in (("a", 1.0), ("b", worse if number > batches // 3 else 1.0)):
            new, legacy = split(chance, 4_000, share)
            answers = counts(new, binomial(chance, new, 0.005 * times), marked=True)
            rows.append(row(route, share, answers, counts(legacy, binomial(chance, legacy, 0.005)), revision=number))
        court.hear(*rows, after=300)
    return court


def through_json(state: State) -> State:
    return state_from(json.loads(json.dumps(state_json(state))))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(0, 62))
def test_a_restart_launders_no_evidence(seed: int, cut: int) -> None:
    """Wherever it is cut: what was kept and read again says the same to the end, bit for bit."""
    whole = busy_court(seed)
    state, said = State(), []
    for number, batch in enumerate(whole.log):
        if number == cut:
            state = through_json(state)
        state, verdicts = judge(state, batch, DEFAULTS)
        said += verdicts
    assert whole.said == said
    assert whole.state == state


def test_a_state_with_a_rollback_in_it_is_read_as_it_was_written() -> None:
    """With its verdict, whole."""
    court = busy_court(1)
    assert Kind.ROLLBACK in court.kinds()
    assert court.state == through_json(court.state)
    final = court.state.watches["b"].final
    assert final is not None
    assert final == decode(Verdict, json.loads(json.dumps(encode(final))))


def put(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("version", value=2), "the state has version 2, and 1 is read"),
        (put("watches", value=[]), "State.watches must be an object"),
        (put("watches", "a", "hour", value=1.5), "State.watches.a.hour must be int"),
        (put("watches", "a", "hour", value=True), "State.watches.a.hour must be int"),
        (put("watches", "a", "unheard", value=1), "State.watches.a has no unheard"),
        (put("watches", "a", value={}), "State.watches.a lacks step"),
        (put("watches", "a", "against", "ratio", "scores", value=[float("inf")]), "scores must be float"),
        (put("watches", "a", "trials", value=[1]), "trials must be a list of 2"),
        (put("pools", "catalog", "scope", "breadth", value="world"), "breadth must be one of route, upstream, all"),
        (put("at", value="now"), "State.at must be float, not 'now'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(change: Callable[[dict[str, Any]], None], said: str) -> None:
    """A broken state is never half believed; the log is there to judge anew."""
    document = json.loads(json.dumps(state_json(busy_court(2, batches=6).state)))
    change(document)
    with pytest.raises(BadRecord, match=said):
        state_from(document)


def test_one_watch_can_be_kept_by_itself() -> None:
    """For a store that keeps a record per route."""
    watch = busy_court(3, batches=9).state.watches["a"]
    assert watch == decode(Watch, json.loads(json.dumps(encode(watch))))

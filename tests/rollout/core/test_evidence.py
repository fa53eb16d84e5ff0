"""Evidence is added up: by whom, in which order and in how many parts makes no difference."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.evidence import Counts, Epoch, Evidence, Mark, Shadowed, Tally, merge

MARKS = st.builds(Mark, st.floats(0, 1e9), st.text(max_size=4))
NUMBERS = st.integers(0, 1000)


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    count = draw(NUMBERS)
    known = sorted(draw(st.lists(MARKS, min_size=1, max_size=2))) if count and draw(st.booleans()) else [None]
    return Tally(count, known[0], known[-1])


COUNTS = st.builds(
    Counts, NUMBERS, NUMBERS, NUMBERS, tallies(), NUMBERS, st.tuples(tallies(), tallies(), tallies()), NUMBERS, NUMBERS
)
SHADOWED = st.builds(Shadowed, NUMBERS, tallies(), NUMBERS, tallies(), NUMBERS, NUMBERS)
EPOCHS = st.builds(Epoch, st.sampled_from("ab"), st.integers(0, 2), st.sampled_from([0, 10_000]), st.booleans())
ROWS = st.builds(Evidence, EPOCHS, COUNTS, COUNTS, SHADOWED)


@given(rows=st.lists(ROWS, max_size=8), seed=st.integers(0, 1000), cut=st.integers(0, 8))
def test_evidence_merges_the_same_in_any_order_and_grouping(rows: list[Evidence], seed: int, cut: int) -> None:
    """Workers count for themselves, and whose counts arrive first or are added up before does not matter."""
    expected = merge(rows)
    shuffled = Random(seed).sample(rows, len(rows))
    assert expected == merge(shuffled)
    assert expected == merge((*merge(shuffled[:cut]), *merge(shuffled[cut:])))


@given(row=ROWS)
def test_adding_nothing_changes_nothing(row: Evidence) -> None:
    """An empty row is the zero of the addition, from both sides."""
    assert row == row + Evidence(row.epoch) == Evidence(row.epoch) + row


def test_the_first_and_the_last_request_are_kept() -> None:
    """Not the order in which tallies are added decides, but when the requests were routed."""
    early, late = Tally(1, Mark(1.0, "a"), Mark(1.0, "a")), Tally(2, Mark(5.0, "b"), Mark(9.0, "c"))
    assert Tally(3, Mark(1.0, "a"), Mark(9.0, "c")) == late + early


def test_rows_of_different_epochs_are_never_added() -> None:
    """A share is part of the evidence: adding over shares is how a healthy service looks sick (Simpson)."""
    with pytest.raises(ValueError, match="different epochs"):
        Evidence(Epoch("a", 1, 10_000)) + Evidence(Epoch("a", 1, 50_000))


def test_merged_rows_are_ordered_by_epoch_and_stand_once() -> None:
    """So that the same evidence is the same tuple."""
    rows = [
        Evidence(Epoch("b", 1, 0)),
        Evidence(Epoch("a", 2, 0)),
        Evidence(Epoch("a", 1, 0)),
        Evidence(Epoch("b", 1, 0)),
    ]
    assert [Epoch("a", 1, 0), Epoch("a", 2, 0), Epoch("b", 1, 0)] == [one.epoch for one in merge(rows)]

"""rollout.core.compare.tally: many comparisons in bounded memory, without anybody's data."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.compare.tally import LIMIT, OTHER, Discordance, Tally
from rollout.core.compare.values import Cause, Comparison, Difference, Kind, Severity, Verdict

KEY = b"k" * 32


def mismatch(path: str, legacy: object = "a", new: object = "b") -> Comparison:
    return Comparison(Verdict.MISMATCHED, differences=(Difference(path, Kind.VALUE, Severity.MAJOR, legacy, new),))


MATCH = Comparison(Verdict.MATCHED)


def test_no_value_is_kept() -> None:
    """Neither in the tally nor in what is written down."""
    tally = Tally()
    tally.add(mismatch("$.iban", "GB33BUKB20201555555555", "GB00"), 1.0, "r-1", KEY)
    text = json.dumps(tally.as_message()) + repr(tally.places)
    assert "GB33" not in text
    assert {"short string -> short string": 1} == tally.places["$.iban", Kind.VALUE].types


def test_equal_pairs_of_values_are_one_group_and_the_key_matters() -> None:
    """So a wrong value a thousand times is told from a thousand wrong values."""
    tally, other = Tally(), Tally()
    for _ in range(3):
        tally.add(mismatch("$.a", 1, 2), 1.0, "r", KEY)
    tally.add(mismatch("$.a", 1, 3), 1.0, "r", KEY)
    other.add(mismatch("$.a", 1, 2), 1.0, "r", b"another key")
    groups = tally.places["$.a", Kind.VALUE].groups
    assert [1, 3] == sorted(groups.values())
    assert not groups.keys() & other.places["$.a", Kind.VALUE].groups.keys()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2000), max_size=600))
def test_places_are_bounded_and_no_count_is_lost(paths: list[int]) -> None:
    """The rarest go to `$other`; the sum is that of all differences."""
    tally = Tally()
    for path in paths:
        tally.add(mismatch(f"$.k{path}"), 1.0, "r", KEY)
    assert len(tally.places) <= LIMIT
    assert len(paths) == sum(place.count for place in tally.places.values())


def test_a_frequent_place_outlasts_a_flood_of_rare_ones() -> None:
    """Dynamic keys cannot push out what matters."""
    tally = Tally()
    for _ in range(50):
        tally.add(mismatch("$.price"), 1.0, "r", KEY)
    for index in range(2000):
        tally.add(mismatch(f"$.k{index}"), 1.0, "r", KEY)
    assert 50 == tally.places["$.price", Kind.VALUE].count
    assert tally.places[OTHER, Kind.VALUE].count > 1000


def test_first_and_last_request_of_a_place_are_remembered() -> None:
    """Those are what somebody will want to repeat."""
    tally = Tally()
    for at in (1.0, 2.0, 3.0):
        tally.add(mismatch("$.a"), at, f"r-{at:.0f}", KEY)
    place = tally.places["$.a", Kind.VALUE]
    assert ((1.0, "r-1"), (3.0, "r-3")) == (place.first, place.last)


def test_discordant_pairs_are_told_apart() -> None:
    """Only the sides differ, only legacy from itself, both; failures and what is not comparable say nothing."""
    tally = Tally()
    bad, failed = mismatch("$.a"), Comparison(Verdict.MISMATCHED, Cause.NEW_FAILED)
    for comparison, noise in (
        (MATCH, None),
        (bad, None),
        (bad, MATCH),
        (MATCH, bad),
        (bad, bad),
        (MATCH, MATCH),
        (failed, MATCH),
        (Comparison(Verdict.NOT_COMPARABLE, Cause.TOO_DEEP), MATCH),
        (bad, failed),
    ):
        tally.add(comparison, 1.0, "r", KEY, noise=noise)
    assert Discordance(compared=7, mismatched=4, paired=4, only_sides=1, only_noise=1, both=1) == tally.discordance
    assert {"new_failed": 1} == tally.failures


def test_a_rule_is_counted_where_it_hides_and_where_it_makes_the_difference() -> None:
    """Hidden in a mismatch is hidden, hidden in a match is what would not have matched."""
    tally = Tally()
    rules = {0: "platform $.a ignore"}
    tally.add(Comparison(Verdict.MATCHED, hidden={0: 3}), 1.0, "r", KEY, rules=rules)
    tally.add(Comparison(Verdict.MISMATCHED, hidden={0: 1}), 1.0, "r", KEY, rules=rules)
    assert ({"platform $.a ignore": 2}, {"platform $.a ignore": 1}) == (tally.hidden, tally.saved)


def test_what_was_counted_survives_being_written_down() -> None:
    """Read back it is the same, and goes on counting."""
    tally = Tally()
    tally.add(mismatch("$.a"), 1.0, "r-1", KEY, noise=MATCH)
    tally.dropped["full"] += 2
    again = Tally.from_message(json.loads(json.dumps(tally.as_message())))
    assert tally.as_message() == again.as_message()
    again.add(mismatch("$.a"), 2.0, "r-2", KEY)
    assert (2, (1.0, "r-1")) == (again.places["$.a", Kind.VALUE].count, again.places["$.a", Kind.VALUE].first)

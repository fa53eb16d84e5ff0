"""While legacy itself is in trouble nothing rises, and an outage does not become what is usual."""

from __future__ import annotations

from rollout.core.evidence import Counts
from rollout.core.legacy import Legacy, absorb, assess
from rollout.core.settings import Settings
from rollout.core.verdict import Kind
from tests.rollout.core.traffic import counts, row

SETTINGS = Settings()
MINUTE = 60.0


def after(
    legacy: Legacy, minutes: int, failing: int, requests: int = 1_000, start: float = 0.0
) -> tuple[Legacy, float]:
    """So many minutes with so many failures each."""
    for _ in range(minutes):
        start += MINUTE
        legacy = absorb(legacy, (row("a", 10_000, Counts(), counts(requests, failing)),), start, SETTINGS)
    return legacy, start


def held(legacy: Legacy) -> bool:
    return assess(legacy, 0.0, SETTINGS).kind is Kind.HOLD


def test_three_times_as_many_failures_as_before_hold_everything() -> None:
    """Five minutes against the hour before; the verdict says by what."""
    legacy, now = after(Legacy(), 60, failing=5)
    assert not held(legacy)
    legacy, _ = after(legacy, 5, failing=20, start=now)
    assert held(legacy)
    assert "legacy failed 100 of 5,000 requests within five minutes" in assess(legacy, 0.0, SETTINGS).note


def test_twice_as_many_do_not() -> None:
    """Days are busier than nights."""
    legacy, now = after(Legacy(), 60, failing=5)
    assert not held(after(legacy, 10, failing=10, start=now)[0])


def test_a_handful_of_failures_is_no_trouble_however_clean_it_was() -> None:
    """Nine failures after an hour without any: fewer than `legacy_least`."""
    legacy, now = after(Legacy(), 60, failing=0)
    assert not held(after(legacy, 1, failing=9, start=now)[0])
    assert held(after(legacy, 1, failing=10, start=now)[0])


def test_a_long_outage_does_not_become_the_yardstick_by_which_it_is_over() -> None:
    """Four hours of it, and it still holds; minutes after its end it does not."""
    legacy, now = after(Legacy(), 60, failing=5)
    legacy, now = after(legacy, 240, failing=200, start=now)
    assert held(legacy)
    assert not held(after(legacy, 5, failing=5, start=now)[0])


def test_what_lasts_for_longer_than_patience_is_how_legacy_is() -> None:
    """Somebody has changed what counts as an error; promotions are not held for ever."""
    legacy, now = after(Legacy(), 60, failing=5)
    legacy, now = after(legacy, 5 + 6 * 60, failing=200, start=now)
    assert not held(legacy)
    assert not held(after(legacy, 30, failing=200, start=now)[0])


def test_a_route_that_begins_in_an_outage_has_nothing_to_compare_with() -> None:
    """Without an hour before there is no trouble to be seen; memory is a few numbers whatever happens."""
    legacy, _ = after(Legacy(), 4, failing=500)
    assert not held(legacy)
    assert len(after(Legacy(), 500, failing=5)[0].minutes) <= 5


def test_a_silence_neither_holds_nor_releases() -> None:
    """No requests, no news."""
    legacy, now = after(Legacy(), 60, failing=5)
    legacy, now = after(legacy, 5, failing=100, start=now)
    assert held(after(legacy, 30, failing=0, requests=0, start=now)[0])
    assert not held(after(Legacy(), 30, failing=0, requests=0)[0])

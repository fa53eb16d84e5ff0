"""The one ordered rule for the side, counted over every bucket there is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.decide import NO_SUBJECT, PREFLIGHT, Reason, decide
from router.core.model import PPM, Side
from router.core.orders import Cause
from tests.router.core.tables import shares

causes = st.sampled_from(Cause)
drawn = st.one_of(st.integers(0, PPM - 1), st.sampled_from((NO_SUBJECT, PREFLIGHT)))
overrides = st.sampled_from((None, Side.LEGACY, Side.NEW))


@settings(max_examples=4, deadline=None)
@given(shares)
def test_over_all_buckets_the_split_equals_the_share_exactly(share: int) -> None:
    """Not about, not within a tolerance: of a million buckets exactly `share` go to new."""
    counted = sum(decide(share, share, Cause.DECLARED, None, number)[0] for number in range(PPM))
    assert share == counted


@given(shares, shares, causes, drawn)
def test_raising_a_share_only_moves_to_new(one: int, two: int, cause: Cause, number: int) -> None:
    """Nobody is moved back by a raise, nobody forth by a cut."""
    lower, upper = sorted((one, two))
    assert decide(lower, lower, cause, None, number)[0] <= decide(upper, upper, cause, None, number)[0]


@given(shares, shares, overrides, drawn)
def test_a_rollback_beats_everything(share: int, live: int, override: Side | None, number: int) -> None:
    """Whatever the share, the bucket and even a trusted override say."""
    assert decide(share, live, Cause.ROLLBACK, override, number) == (Side.LEGACY, Reason.ROLLBACK)


@given(shares.map(lambda share: PPM if share else 0), overrides, drawn)
def test_a_pin_beats_overrides_and_buckets(share: int, override: Side | None, number: int) -> None:
    """It is an operator's word for everybody, like a rollback, but in either direction."""
    assert decide(share, share, Cause.PIN, override, number) == (Side.NEW if share else Side.LEGACY, Reason.PIN)


@given(
    shares, shares, causes.filter(lambda cause: cause not in {Cause.ROLLBACK, Cause.PIN}), st.sampled_from(Side), drawn
)
def test_a_trusted_override_beats_health_and_share(
    share: int, live: int, cause: Cause, override: Side, number: int
) -> None:
    """Also a share of 0: that is how a new service is tried before anybody is sent to it."""
    assert decide(share, live, cause, override, number) == (override, Reason.OVERRIDE)


@pytest.mark.parametrize(
    ("share", "number", "expected"),
    [
        (0, 0, (Side.LEGACY, Reason.WEIGHT)),
        (0, NO_SUBJECT, (Side.LEGACY, Reason.WEIGHT)),
        (1, 0, (Side.NEW, Reason.WEIGHT)),
        (1, 1, (Side.LEGACY, Reason.WEIGHT)),
        (PPM - 1, PPM - 1, (Side.LEGACY, Reason.WEIGHT)),
        (PPM - 1, NO_SUBJECT, (Side.LEGACY, Reason.NO_SUBJECT)),
        (PPM - 1, PREFLIGHT, (Side.LEGACY, Reason.PREFLIGHT)),
        (PPM, PPM - 1, (Side.NEW, Reason.WEIGHT)),
        (PPM, NO_SUBJECT, (Side.NEW, Reason.WEIGHT)),
        (PPM, PREFLIGHT, (Side.NEW, Reason.WEIGHT)),
    ],
)
def test_the_edges_of_the_share(share: int, number: int, expected: tuple[Side, Reason]) -> None:
    """0 means nobody, 100 everybody, and between them a request without a name stays on legacy."""
    assert expected == decide(share, share, Cause.DECLARED, None, number)


@given(shares, shares, causes, drawn)
def test_health_only_ever_takes_away(share: int, live: int, cause: Cause, number: int) -> None:
    """Nobody is on new who would not be if all were well, and whoever is moved is told why."""
    live = min(share, live)
    side, reason = decide(share, live, cause, None, number)
    well, why = decide(share, share, cause, None, number)
    assert side <= well
    assert (reason is Reason.HEALTH) if side < well else (reason is why)


@pytest.mark.parametrize("share", [PPM // 2, PPM])
def test_the_highest_buckets_wait_on_legacy(share: int) -> None:
    """What is live is a smaller share like any other, so whoever stays on new is the same people each time."""
    live = 200_000
    assert live == sum(decide(share, live, Cause.DECLARED, None, number)[0] for number in range(PPM))
    assert (Side.NEW, Reason.WEIGHT) == decide(share, live, Cause.DECLARED, None, live - 1)
    assert (Side.LEGACY, Reason.HEALTH) == decide(share, live, Cause.DECLARED, None, live)

"""The first error of a client within the hour counts; the rest of that hour says nothing more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core.clients import HOUR, Firsts, client_key, client_number

ANA, BEN = client_key("product", b"ana"), client_key("product", b"ben")


def test_an_error_counts_once_an_hour() -> None:
    """What a client does again and again is one observation, its successes included."""
    firsts = Firsts()
    assert firsts.admits(ANA, 0.0, failed=False)
    assert firsts.admits(ANA, 1.0, failed=True)
    assert not firsts.admits(ANA, 2.0, failed=True)
    assert not firsts.admits(ANA, 3.0, failed=False)
    assert firsts.admits(BEN, 4.0, failed=True)


def test_who_makes_no_errors_is_not_remembered() -> None:
    """Memory goes by errors, not by traffic."""
    firsts = Firsts()
    assert all(firsts.admits(number, 0.0, failed=False) for number in range(10_000))
    assert 0 == len(firsts)


@given(begins=st.floats(0, 1e9), waits=st.floats(0, HOUR))
def test_within_any_hour_nobody_is_counted_twice(begins: float, waits: float) -> None:
    """Wherever the hour begins; after two hours everybody counts again."""
    firsts = Firsts()
    firsts.admits(BEN, max(0.0, begins - 1000), failed=True)
    assert firsts.admits(ANA, begins, failed=True)
    assert not firsts.admits(ANA, begins + waits * 0.999, failed=True)
    assert firsts.admits(ANA, begins + 2 * HOUR + 1, failed=True)


def test_routes_are_counted_apart() -> None:
    """An error on one route says nothing about another."""
    firsts = Firsts()
    assert firsts.admits(ANA, 0.0, failed=True)
    assert firsts.admits(client_key("cart", b"ana"), 0.0, failed=True)


def test_a_flood_of_clients_costs_bounded_memory_and_forgets_the_oldest_first() -> None:
    """A full generation ends early; the newest clients are still known."""
    firsts = Firsts(most=100)
    for number in range(1_000):
        assert firsts.admits(number, 0.0, failed=True)
        assert len(firsts) <= 200
    assert not firsts.admits(950, 0.0, failed=True)
    assert firsts.admits(5, 0.0, failed=True)


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, HOUR)), max_size=40), st.integers(0, 20))
def test_a_memory_that_was_kept_goes_on_as_it_was(tries: list[tuple[int, float]], forgotten: int) -> None:
    """But for those who shall not be in it."""
    firsts, at = Firsts(), 1e9
    for client, later in tries:
        at += later / 4
        firsts.admits(client, at, failed=True)
    again = Firsts.restored(*firsts.kept({forgotten}))
    assert len(again) <= len(firsts)
    for client in range(21):
        expected = client == forgotten or firsts.admits(client, at + 1, failed=False)
        assert expected == again.admits(client, at + 1, failed=False)


def test_numbers_of_clients_are_the_same_for_ever() -> None:
    """Every worker and every version agrees, so that counts can be compared across a restart."""
    assert 12_528_796_061_155_531_066 == ANA
    assert client_key("product", b"Ana") != ANA


def test_whose_number_it_is_only_the_key_tells() -> None:
    """The same for ever under one key; another one under any other, so that no list of users helps."""
    assert client_number(b"ana", b"k" * 32) == client_number(b"ana", b"k" * 32) < 1 << 64
    others = {client_number(b"ana", b"k" * 32), client_number(b"ben", b"k" * 32), client_number(b"ana", b"q" * 32)}
    assert 3 == len(others | {client_number(b"ana", b"")}) - 1

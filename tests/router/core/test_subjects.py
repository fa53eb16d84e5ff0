"""How many users notice a change."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from router.core.model import PPM, Route, Table
from router.core.orders import Effective, EffectiveState
from router.core.subjects import moved_subjects

Shares = dict[str, tuple[str, int]]


def state(shares: Shares) -> tuple[Table, EffectiveState]:
    """Routes by name, each with its seed and its share in force."""
    routes = tuple(Route(name, f"/{name}", "old", new="new", seed=seed) for name, (seed, _) in shares.items())
    entries = tuple(Effective(share) for _, share in shares.values())
    return Table(legacy="old", upstreams={}, routes=routes), EffectiveState(entries)


def test_the_buckets_between_two_shares_move() -> None:
    """Upwards and downwards alike."""
    for before, after in ((100_000, 350_000), (350_000, 100_000)):
        moved = moved_subjects(state({"a": ("s", before)}), state({"a": ("s", after)}))
        assert (250_000, {"s": 250_000}) == (moved.total, moved.by_seed)


def test_a_user_of_two_routes_with_one_seed_counts_once() -> None:
    """Their buckets are the same ones."""
    moved = moved_subjects(
        state({"a": ("s", 100_000), "b": ("s", 200_000)}), state({"a": ("s", 300_000), "b": ("s", 250_000)})
    )
    assert {"s": 200_000} == moved.by_seed


def test_seeds_are_independent() -> None:
    """Half of the users on one, half on another: three quarters notice something."""
    moved = moved_subjects(state({"a": ("s", 0), "b": ("t", 0)}), state({"a": ("s", 500_000), "b": ("t", 500_000)}))
    assert 750_000 == moved.total


def test_a_new_seed_draws_everybody_anew() -> None:
    """At 50 % half of the users change side although the share stays."""
    moved = moved_subjects(state({"a": ("s", 500_000)}), state({"a": ("t", 500_000)}))
    assert {"t": 500_000} == moved.by_seed
    assert {} == moved_subjects(state({"a": ("s", 0)}), state({"a": ("t", 0)})).by_seed


def test_a_new_route_moves_its_users_from_legacy_and_a_removed_one_nobody() -> None:
    """What no route matches is answered by legacy; where its users went is not known."""
    assert {"s": 5} == moved_subjects(state({}), state({"a": ("s", 5)})).by_seed
    assert {} == moved_subjects(state({"a": ("s", 5)}), state({})).by_seed


shares = st.integers(0, PPM)


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.sampled_from("st"), shares)), st.data())
def test_the_count_is_that_of_the_buckets(before: Shares, data: st.DataObject) -> None:
    """Held against counting a sample of buckets one by one."""
    after = {name: (seed, data.draw(shares)) for name, (seed, _) in before.items()}
    moved = moved_subjects(state(before), state(after))
    edges = sorted({0, PPM, *(share for _, share in before.values()), *(share for _, share in after.values())})
    for seed in {seed for seed, _ in before.values()}:
        count = sum(
            high - low
            for low, high in pairwise(edges)
            if any((low < share) != (low < after[name][1]) for name, (own, share) in before.items() if own == seed)
        )
        assert moved.by_seed.get(seed, 0) == count
    assert 0 <= moved.total <= PPM
    assert moved.total >= max(moved.by_seed.values(), default=0)


def test_values_are_compared_by_name_not_by_place() -> None:
    """A file in another order changes nobody's side."""
    before = state({"a": ("s", 1), "b": ("s", 2)})
    routes, entries = before[0].routes[::-1], before[1].routes[::-1]
    assert {} == moved_subjects(before, (replace(before[0], routes=routes), EffectiveState(entries))).by_seed

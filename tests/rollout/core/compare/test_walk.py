"""rollout.core.compare.walk: differences with their places."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.core.compare.policy import Level, Policy
from rollout.core.compare.values import Kind, Severity
from rollout.core.compare.walk import Walk
from router.core.comparing import ArrayMode, Comparing, Rule, Treat


def walked(legacy: Any, new: Any, *rules: Rule, noisy: frozenset[tuple[str, Kind]] = frozenset()) -> Walk:
    walk = Walk(Policy([Level("platform", Comparing(rules=rules))]), noisy)
    walk.compare(legacy, new)
    return walk


def found(legacy: Any, new: Any, *rules: Rule) -> list[tuple[str, Kind]]:
    return sorted((each.path, each.kind) for each in walked(legacy, new, *rules).differences)


def array(path: str, mode: ArrayMode, key: str = "") -> Rule:
    return Rule(path, Treat.ARRAY, "team-a", "because", 1.0, array=mode, key=key)


@pytest.mark.parametrize(
    ("legacy", "new", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("$.a.b", Kind.VALUE)]),
        ({"a": 1}, {}, [("$.a", Kind.MISSING)]),
        ({}, {"a": 1}, [("$.a", Kind.ADDED)]),
        ({"a": 1}, {"b": 1}, [("$.a", Kind.MISSING), ("$.b", Kind.ADDED)]),
        ({"a": 1}, {"a": True}, [("$.a", Kind.TYPE)]),
        ({"a": {}}, {"a": []}, [("$.a", Kind.TYPE)]),
        ({"a": None}, {"a": 0}, [("$.a", Kind.TYPE)]),
        ([{"p": 1}, {"p": 2}], [{"p": 1}, {"p": 3}], [("$[*].p", Kind.VALUE)]),
        ([1, 2, 3], [1, 2], [("$", Kind.LENGTH)]),
        ([1, 2], [2, 1], [("$", Kind.ORDER)]),
        ({"x": [{"id": 1}, {"id": 2}]}, {"x": [{"id": 2.0}, {"id": 1}]}, [("$.x", Kind.ORDER)]),
        (1, 1.0, []),
        ([[True]], [[1]], [("$[*][*]", Kind.TYPE)]),
    ],
)
def test_each_kind_of_difference_is_told_at_its_place(legacy: Any, new: Any, expected: list[tuple[str, Kind]]) -> None:
    """Members, types, lengths, order; equal numbers of other forms are no difference."""
    assert expected == found(legacy, new)


def test_keys_that_are_data_are_called_alike() -> None:
    """Members of a wide object, with digits in front, with odd characters, or very long ones become `*`."""
    wide = {f"k{index}": index for index in range(60)}
    assert {("$.*", Kind.VALUE)} == set(found(wide, {key: value + 1 for key, value in wide.items()}))
    assert [("$.*", Kind.VALUE)] == found({"2026-11-22": 1}, {"2026-11-22": 2})
    assert [("$.*", Kind.VALUE)] == found({"x" * 101: 1}, {"x" * 101: 2})
    assert [("$.created-at", Kind.VALUE)] == found({"created-at": 1}, {"created-at": 2})


def test_a_rule_still_knows_a_key_that_reports_call_a_star() -> None:
    """The name in the answer counts, not the one in the report."""
    rule = Rule("$['2026-11-22']", Treat.IGNORE, "team-a", "because", 1.0)
    assert [] == found({"2026-11-22": 1}, {"2026-11-22": 2}, rule)


def test_a_set_is_a_multiset_and_its_rest_is_compared_in_order() -> None:
    """Two of one are not one and two, and what finds no equal item is walked."""
    rule = array("$", ArrayMode.SET)
    assert [] == found([1, 2, 2], [2, 1.0, 2], rule)
    assert [("$[*]", Kind.VALUE)] == found([1, 1, 2], [1, 2, 2], rule)
    assert [("$[*].b", Kind.VALUE)] == found([{"a": 1}, {"b": 1}], [{"b": 2}, {"a": 1}], rule)


def test_keyed_items_are_told_by_their_key() -> None:
    """Another order is hidden and counted, an item that is there on one side only is not."""
    rule = array("$", ArrayMode.KEYED, "id")
    walk = walked([{"id": 1, "v": 1}, {"id": 2, "v": 1}], [{"id": 2, "v": 2}, {"id": 1, "v": 1}], rule)
    assert ([("$[*].v", Kind.VALUE)], {0: 1}) == ([(each.path, each.kind) for each in walk.differences], walk.hidden)
    assert [("$[*]", Kind.ADDED), ("$[*]", Kind.MISSING)] == found([{"id": 1}], [{"id": 2}], rule)


def test_a_key_that_does_not_tell_items_apart_makes_a_set_of_them() -> None:
    """Twice the same key, or none: as many of each, in any order."""
    rule = array("$", ArrayMode.KEYED, "id")
    assert [] == found([{"id": 1, "v": 1}, {"id": 1, "v": 2}], [{"id": 1, "v": 2}, {"id": 1, "v": 1}], rule)


def test_auto_forgives_order_and_counts_it() -> None:
    """And nothing else."""
    rule = array("$.tags", ArrayMode.AUTO)
    walk = walked({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, rule)
    assert ([], {0: 1}) == (walk.differences, walk.hidden)
    assert [("$.tags[*]", Kind.VALUE)] == found({"tags": ["a", "b"]}, {"tags": ["a", "c"]}, rule)


def test_depth_costs_no_stack() -> None:
    """A thousand objects inside each other are walked like any other."""
    legacy: Any = 1
    new: Any = 2
    for _ in range(900):
        legacy, new = {"a": legacy}, {"a": new}
    assert [Kind.VALUE] == [each.kind for each in walked(legacy, new).differences]


def test_what_is_missing_or_of_another_type_is_never_taken_for_noise() -> None:
    """Not even where exactly that was learned as noise."""
    noisy = frozenset({("$.a", Kind.MISSING), ("$.a", Kind.TYPE), ("$.l", Kind.LENGTH)})
    assert [Kind.MISSING] == [each.kind for each in walked({"a": 1}, {}, noisy=noisy).differences]
    assert [Kind.TYPE] == [each.kind for each in walked({"a": 1}, {"a": "1"}, noisy=noisy).differences]
    assert [] == walked({"l": [1]}, {"l": [1, 2]}, noisy=noisy).differences


def test_what_is_gone_is_worse_than_what_is_new() -> None:
    """Clients miss what they read; what nobody reads hurts nobody."""
    severities = {each.path: each.severity for each in walked({"a": 1, "c": 1}, {"b": 1, "c": 2}).differences}
    assert {"$.a": Severity.CRITICAL, "$.b": Severity.MINOR, "$.c": Severity.MAJOR} == severities

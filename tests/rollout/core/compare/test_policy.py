"""rollout.core.compare.policy: which rules speak at a place."""

from __future__ import annotations

import pytest

from rollout.core.compare.policy import Level, Policy, reach
from router.core.comparing import ITEM, Comparing, Rule, Treat, read_path


def rule(path: str, treat: Treat = Treat.IGNORE, expires: float = 100.0) -> Rule:
    return Rule(path, treat, "team-a", "because", expires)


def numbers(policy: Policy, *path: str) -> list[int]:
    return [each.number for each in policy.at(path)]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("$", ("a",), (0,)),
        ("$.a", ("a", "b"), (1,)),
        ("$.a", ("b",), ()),
        ("$.a[*].b", ("a", ITEM, "b"), (3,)),
        ("$.*", ("a",), (1,)),
        ("$.*", (ITEM,), ()),
        ("$..b", ("a", ITEM, "b", "c"), (3,)),
        ("$..b", ("b", "b"), (1, 2)),
        ("$.a..b.c", ("a", "x", "b", "c"), (4,)),
        ("$.a..b", ("x", "b"), ()),
        ("$.a.b.c", ("a", "b"), ()),
    ],
)
def test_a_pattern_names_beginnings_of_paths(pattern: str, path: tuple[str, ...], expected: tuple[int, ...]) -> None:
    """Literal members, any member, any item, and a member at any depth."""
    segments = read_path(pattern)
    assert segments is not None
    assert expected == reach(segments, path)


def test_levels_add_up_and_the_nearest_is_asked_first() -> None:
    """A route has the rules of its group and of all."""
    policy = Policy(
        [
            Level("platform", Comparing(rules=(rule("$..traceId"),))),
            Level("route", Comparing(rules=(rule("$.traceId", Treat.CASE),))),
        ]
    )
    assert [1, 0] == numbers(policy, "traceId")
    assert [0] == numbers(policy, "deep", "traceId")


def test_exact_switches_off_the_outer_levels_at_its_place_and_below() -> None:
    """And nowhere else, and not the rules of its own level."""
    inner = Comparing(rules=(rule("$.money", Treat.EXACT), rule("$.money.tax", Treat.TRIM)))
    policy = Policy([Level("platform", Comparing(rules=(rule("$"),))), Level("route", inner)])
    assert [0] == numbers(policy, "other")
    assert [] == numbers(policy, "money", "net")
    assert [2] == numbers(policy, "money", "tax")


def test_a_rule_that_does_not_cover_speaks_at_its_very_place_only() -> None:
    """`ignore` holds below, `case` does not."""
    policy = Policy([Level("platform", Comparing(rules=(rule("$.a"), rule("$.a", Treat.CASE))))])
    assert [0, 1] == numbers(policy, "a")
    assert [0] == numbers(policy, "a", "b")


def test_an_expired_rule_is_not_applied_and_is_told_of() -> None:
    """Its end is the first moment at which it does not hold; numbers stay those of the file."""
    levels = [Level("group catalog", Comparing(rules=(rule("$.a", expires=5.0), rule("$.b", expires=6.0))))]
    policy = Policy(levels, now=5.0)
    assert ([], [1]) == (numbers(policy, "a"), numbers(policy, "b"))
    assert [("group catalog", "$.a")] == [(each.origin, each.rule.path) for each in policy.expired]


def test_what_is_remembered_about_paths_is_bounded() -> None:
    """A million places cost no million entries."""
    policy = Policy([Level("platform", Comparing(rules=(rule("$.a"),)))])
    for index in range(10_000):
        policy.at((str(index),))
    assert len(policy._known) <= 4096

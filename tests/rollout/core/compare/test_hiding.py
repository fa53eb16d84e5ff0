"""rollout.core.compare.hiding: each treatment hides what it says and nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rollout.core.compare.hiding import hiding
from rollout.core.compare.policy import Applying
from rollout.core.compare.values import MISSING
from router.core.comparing import Rule, Treat


def applying(treat: Treat, *, here: bool = True, number: int = 0, **more: Any) -> Applying:
    return Applying(number, Rule("$", treat, "team-a", "because", 1.0, **more), here)


@pytest.mark.parametrize(
    ("treat", "more", "one", "two", "expected"),
    [
        (Treat.IGNORE, {}, 1, MISSING, True),
        (Treat.TYPE_ONLY, {}, "a", "b", True),
        (Treat.TYPE_ONLY, {}, 1, True, False),
        (Treat.TYPE_ONLY, {}, "a", MISSING, False),
        (Treat.PRESENCE, {}, "a", 1, True),
        (Treat.PRESENCE, {}, "a", MISSING, False),
        (Treat.TOLERANCE, {"absolute": 0.01}, 19.99, 20.0, True),
        (Treat.TOLERANCE, {"absolute": 0.01}, 19.99, 20.01, False),
        (Treat.TOLERANCE, {"relative": 0.1}, -100, -91, True),
        (Treat.TOLERANCE, {"absolute": 1.0}, 10**400, 1, False),
        (Treat.TOLERANCE, {"absolute": 1.0}, Decimal("1e999999"), 1, False),
        (Treat.TOLERANCE, {"absolute": 1.0}, 1, True, False),
        (Treat.TIME_TOLERANCE, {"seconds": 5.0}, "2026-11-22T07:10:16Z", "2026-11-22T16:10:20+09:00", True),
        (Treat.TIME_TOLERANCE, {"seconds": 5.0}, "2026-11-22T07:10:16Z", "2026-11-22T07:10:22Z", False),
        (Treat.TIME_TOLERANCE, {"seconds": 5.0}, "yesterday", "today", False),
        (Treat.REGEX_SHAPE, {"pattern": "ORD-[0-9]+"}, "ORD-1", "ORD-22", True),
        (Treat.REGEX_SHAPE, {"pattern": "ORD-[0-9]+"}, "ORD-1", "ORD-", False),
        (Treat.REGEX_SHAPE, {"pattern": "a*"}, "a" * 2000, "a", False),
        (Treat.CASE, {}, "ACTIVE", "active", True),
        (Treat.CASE, {}, "a ", "a", False),
        (Treat.TRIM, {}, "a ", "a", True),
        (Treat.NULL_EQUALS_MISSING, {}, None, MISSING, True),
        (Treat.NULL_EQUALS_MISSING, {}, "", MISSING, False),
        (Treat.EMPTY_EQUALS_MISSING, {}, [], MISSING, True),
        (Treat.EMPTY_EQUALS_MISSING, {}, "", None, True),
        (Treat.EMPTY_EQUALS_MISSING, {}, 0, None, False),
        (Treat.NUMERIC_STRING, {}, "10.00", 10, True),
        (Treat.NUMERIC_STRING, {}, "10.01", 10, False),
        (Treat.NUMERIC_STRING, {}, "1", True, False),
        (Treat.NUMERIC_STRING, {}, "9" * 100, 1, False),
        (Treat.URL_HOST, {}, "http://legacy:8000/a?b=1", "https://new/a?b=1", True),
        (Treat.URL_HOST, {}, "http://legacy:8000/a", "/a", True),
        (Treat.URL_HOST, {}, "http://legacy/a", "http://new/b", False),
    ],
)
def test_a_treatment_hides_what_it_says_in_both_directions(
    treat: Treat, more: dict[str, Any], one: Any, two: Any, expected: bool
) -> None:
    """Exchanging the sides changes nothing."""
    rules = [applying(treat, **more)]
    assert [expected, expected] == [bool(hiding(rules, one, two)), bool(hiding(rules, two, one))]


def test_presence_does_not_look_below_its_place() -> None:
    """Further down even what is missing is hidden."""
    assert (0,) == hiding([applying(Treat.PRESENCE, here=False)], "a", MISSING)


def test_rules_about_texts_work_together_and_are_all_credited() -> None:
    """A text that differs in spaces and in case needs both rules."""
    rules = [applying(Treat.TRIM, number=3), applying(Treat.CASE, number=5)]
    assert (3, 5) == hiding(rules, "A ", "a")
    assert () == hiding(rules, "A ", "b")

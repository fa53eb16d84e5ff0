"""What workers tell of failures is read with care."""

from __future__ import annotations

from typing import Any

import pytest

from control.rollouts.failures import failed_from
from rollout.core.failures import Failed, Failure
from router.planes.embedded.failures import Failures

GOOD: list[Any] = ["p", 1, 10_000, 3, 2**64 - 1, "r-1", 5.0]


def test_what_a_worker_says_is_what_is_read() -> None:
    """The worker's own list, and its number of those that it dropped."""
    failures = Failures()
    failures.put("p", b"kim", b"r-1", on_new=True, share=10_000, revision=3)
    found = failed_from(failures.take()["found"], 7)
    ((route, new, share, revision, _, request, _),) = found.found
    assert ("p", True, 10_000, 3, "r-1", 7) == (route, new, share, revision, request, found.dropped)


@pytest.mark.parametrize(
    "row",
    [
        None, {}, "p", [], GOOD[:-1], [*GOOD, 1], [1, *GOOD[1:]], [GOOD[0], 2, *GOOD[2:]],
        ["p", 1, -1, *GOOD[3:]], ["p", 1, 1_000_001, *GOOD[3:]], ["p", 1, 1.5, *GOOD[3:]], [*GOOD[:5], None, 5.0],
        [*GOOD[:5], "r" * 129, 5.0], [*GOOD[:6], "now"], [*GOOD[:6], float("nan")], [*GOOD[:6], float("inf")],
        [*GOOD[:6], -1.0], [*GOOD[:4], -1, *GOOD[5:]], [*GOOD[:4], 2**64, *GOOD[5:]],
    ],
)  # fmt: skip
def test_what_is_no_failure_was_lost(row: Any) -> None:
    """It counts among the dropped; the others are read."""
    assert Failed((Failure("p", True, 10_000, 3, 2**64 - 1, "r-1", 5.0),), 1) == failed_from([GOOD, row], 0)

"""What the workers tell of failures, read with care: whatever does not look like one was lost, and says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from rollout.core.failures import Failed, Failure
from router.core.model import PPM

LONGEST: Final = 128
"""Characters of an id."""

Ask = Callable[[], Awaitable[tuple[Sequence[Any], int]]]
"""Rows of `router.planes.embedded.failures` from all workers, and how many failures are in no row."""


async def nobody() -> tuple[Sequence[Any], int]:
    """Where there are no workers."""
    return (), 0


def failed_from(rows: Sequence[Any], dropped: int) -> Failed:
    """The rows as failures."""
    found = tuple(failure for failure in map(_failure, rows) if failure is not None)
    return Failed(found, dropped + len(rows) - len(found))


def _failure(row: Any) -> Failure | None:
    match row:
        case [str() as route, 0 | 1 as side, int() as share, int() as revision, int() as client, str() as request, at]:
            if _fits(share, revision, client, at) and len(request) <= LONGEST:
                return Failure(route, bool(side), share, revision, client, request, float(at))
    return None


def _fits(share: int, revision: int, client: int, at: Any) -> bool:
    timed = isinstance(at, int | float) and 0 <= at < 1 << 40
    return timed and 0 <= share <= PPM and revision >= 0 and 0 <= client < 1 << 64

"""How many automatic rollbacks may there be?

Whoever rolls back much within an hour has a broken platform, or is broken itself.  The `MOST` first ones within an hour
are done at once.  Then everything is frozen, people are told, and each further one waits until the hour lets it
through; a person's rollback is never counted and never waits.  A rollback of all routes to one upstream counts once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from rollout.core.verdict import Breadth, Verdict

MOST: Final = 10
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Brake:
    """The automatic rollbacks of the last hour."""

    done: tuple[tuple[float, str], ...] = ()
    """When, and of what; oldest first."""
    frozen: float = 0.0
    """When everything was frozen because of them; 0: never."""


def what(verdict: Verdict | None, route: str) -> str:
    """What a rollback is counted as."""
    if verdict is not None and verdict.scope.breadth is Breadth.UPSTREAM:
        return str(verdict.scope)
    return f"route {route}"


def let_through(brake: Brake, name: str, at: float) -> tuple[Brake, bool]:
    """May it be done now?  If so, it is counted."""
    done = tuple(each for each in brake.done if each[0] > at - HOUR)
    if any(known == name for _, known in done):
        return replace(brake, done=done), True
    if len(done) >= MOST:
        return replace(brake, done=done), False
    return replace(brake, done=(*done, (at, name))), True


def must_freeze(brake: Brake, at: float) -> bool:
    """Has it not been done within the hour?"""
    return not brake.frozen or brake.frozen <= at - HOUR

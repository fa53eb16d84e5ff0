"""Who failed, as the workers tell it: a client's first failure of the hour on a route counts, the others do not.

One memory for all workers, whichever side it was (`router.core.clients`).  A worker forgets what it has told; what is
lost on the way (a worker or this process dies, a list is full) makes a failure count that would not have, never the
other way round.  After a restart nobody is remembered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from rollout.core.counted import Counted, Outcomes
from rollout.core.evidence import Mark
from router.core.clients import Firsts
from router.core.model import Side

ROUNDS: Final = 5
"""Questions to a worker in one reading: a full list has come in then."""

Ask = Callable[[], Awaitable[Sequence[Mapping[str, Any] | None]]]
"""Asks every worker for its failures; None for one that does not answer."""


@dataclass(slots=True)
class _Told:
    """Of one side of a route."""

    repeats: int = 0
    last: Mark | None = None


class Failures:
    """What has been told of the routes under judgement."""

    def __init__(self, ask: Ask, now: Callable[[], float]) -> None:
        self._ask = ask
        self._now = now
        self._firsts = Firsts()
        self._told: dict[tuple[str, int], _Told] = {}
        self._latest = 0.0

    async def gather(self, routes: Collection[str]) -> None:
        """Hears what the workers have to tell; what is about other routes is passed over."""
        for _ in range(ROUNDS):
            answers = await self._ask()
            for answer in answers:
                for row in answer["found"] if answer else ():
                    self._hear(row, routes)
            if not any(answer and answer["more"] for answer in answers):
                return

    def _hear(self, row: Sequence[Any], routes: Collection[str]) -> None:
        route, side, _share, _revision, client, request, at = row
        if route not in routes:
            return
        self._latest = max(self._latest, self._now())  # a clock that is set back stands still
        told = self._told.setdefault((route, side), _Told())
        if self._firsts.admits(client, self._latest, failed=True):
            told.last = Mark(at, request)
        else:
            told.repeats += 1

    def entered(self, route: str, counted: Counted) -> Counted:
        """A reading, with what was told of its route."""
        return replace(
            counted,
            legacy=self._entered(counted.legacy, route, Side.LEGACY),
            new=self._entered(counted.new, route, Side.NEW),
        )

    def _entered(self, outcomes: Outcomes, route: str, side: Side) -> Outcomes:
        told = self._told.get((route, side))
        return outcomes if told is None else replace(outcomes, repeats=told.repeats, last=told.last)

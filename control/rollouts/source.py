"""Outcomes from the workers' counters: the `Source` of rollouts.

Counted are requests whose side was drawn by the share, and no others: what was overridden, pinned, had no subject, or
went elsewhere for the sake of a sick place says nothing about the sides.  A request that fell back to legacy failed on
the new side, whatever legacy then answered; if that was for want of a connection, it was our doing and is no outcome.

Failures the workers tell one by one as well: whose they were, under which share they were routed, which request it was.
How the two are brought together, so that a client's first failure of the hour counts and no other, is the affair of
`rollout.core.failures`.

What nobody tells, and what is done about it:

* Who succeeded.  So all successes count, those of a client whose error was counted too; the fewest clients of a step
  cannot be asked for; and clients that are always slow are counted as often as they ask.
* Under which share a request was routed that succeeds after a change.  So nothing is counted while a change is under
  way, and for one reading afterwards (`rollout.core.counted`).
* That a 503 was ours, for want of a connection, where nothing fell back.  The workers name no failure then, and a
  failure without a name counts, some seconds later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from control.counters import CounterFiles
from control.rollouts.failures import Ask, failed_from, nobody
from rollout.core.counted import Counted, Outcomes
from rollout.core.evidence import Shadowed
from rollout.core.failures import Failed
from router.core.attempt import Stage
from router.core.decide import Reason
from router.core.model import Side
from router.telemetry import CODE_CLASSES, DURATION_BOUNDS, REASON_SLOTS, RouteBlock

SLICE: Final = 100
"""Routes read in one turn of the event loop."""

_NONE: Final = CODE_CLASSES.index("none")
_FAILED: Final = CODE_CLASSES.index("5xx")
_BUCKETS: Final = len(DURATION_BOUNDS) + 1


class CounterSource:
    """A `Source` over the counter files and what the workers tell."""

    def __init__(
        self,
        files: CounterFiles,
        blocks: Callable[[], Mapping[str, int]],
        compared: Callable[[str], Shadowed] = lambda _route: Shadowed(),
        failures: Ask = nobody,
    ) -> None:
        """`compared`: what comparing copies of a route's requests has found; `failures` asks the workers for theirs."""
        self._files = files
        self._blocks = blocks
        self._compared = compared
        self._failures = failures

    async def counted(self, routes: Collection[str]) -> Mapping[str, Counted]:
        self._files.refresh()
        blocks, found = self._blocks(), {}
        for number, route in enumerate(routes):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            if (start := blocks.get(route)) is not None:
                slots = self._files.block(start, RouteBlock.SIZE)
                counted = outcomes(slots or [0] * RouteBlock.SIZE)
                found[route] = replace(counted, shadow=self._compared(route))
        return found

    async def failed(self) -> Failed:
        return failed_from(*await self._failures())


def outcomes(slots: Sequence[int]) -> Counted:
    """What a route's block says about both sides."""
    legacy, new = _drawn(slots, Side.LEGACY), _drawn(slots, Side.NEW)
    fallen = sum(_by_code(slots, Side.LEGACY, Reason.FALLBACK)[1:])
    ours = min(fallen, slots[RouteBlock.FALLBACKS + Stage.OVERLOAD])
    hidden = fallen - ours
    repeated = slots[RouteBlock.SIDE + RouteBlock.REPEATED]
    return Counted(
        Outcomes(sum(legacy[1:]), legacy[_FAILED], legacy[_NONE], _durations(slots, Side.LEGACY)),
        Outcomes(sum(new[1:]) + hidden, new[_FAILED] + hidden, new[_NONE], _durations(slots, Side.NEW), repeated),
    )


def _drawn(slots: Sequence[int], side: Side) -> list[int]:
    """By class of status, the requests whose side was drawn."""
    return _by_code(slots, side, Reason.WEIGHT)


def _by_code(slots: Sequence[int], side: Side, reason: Reason) -> list[int]:
    start = RouteBlock.REQUESTS + side * RouteBlock.SIDE_REQUESTS + reason
    return [slots[start + code * REASON_SLOTS] for code in range(len(CODE_CLASSES))]


def _durations(slots: Sequence[int], side: Side) -> tuple[int, ...]:
    start = RouteBlock.DURATIONS + side * RouteBlock.SIDE + 1
    return tuple(slots[start : start + _BUCKETS])

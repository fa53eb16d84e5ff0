"""Outcomes from the workers' counters: the `Source` of rollouts.

Counted are requests whose side was drawn by the share, and no others: what was overridden, pinned, had no subject, or
went elsewhere for the sake of a sick place says nothing about the sides.  A request that fell back to legacy failed on
the new side, whatever legacy then answered.  What came to nothing for want of a connection was our doing, and is no
outcome.

Failures the workers tell one by one as well: whose they were, under which share they were routed, which request it was.
How the two are brought together, so that a client's first failure of the hour counts and no other, is the affair of
`rollout.core.failures`.

Clients and slow answers are counted by the workers while a route is watched, each client once (`router.core.census`).

What nobody tells, and what is done about it:

* Who succeeded.  So all successes count, those of a client whose error was counted too.
* Under which share a request was routed that succeeds after a change.  So nothing is counted while a change is under
  way, and for one reading afterwards (`rollout.core.counted`).
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
from router.core.census import LIMITS, Watched
from router.core.decide import Reason
from router.core.model import Side
from router.telemetry import CODE_CLASSES, DURATION_BOUNDS, REASON_SLOTS, RouteBlock, requests_of

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
        watch: Callable[[Mapping[str, Watched]], None] = lambda _watched: None,
    ) -> None:
        """`compared`: what comparing copies of a route's requests has found; `failures` asks the workers for theirs,
        `watch` tells them which routes' clients to count.
        """
        self._files = files
        self._blocks = blocks
        self._compared = compared
        self._failures = failures
        self._watch = watch

    async def counted(self, routes: Collection[str]) -> Mapping[str, Counted]:
        self._files.refresh()
        blocks, found = self._blocks(), {}
        for number, route in enumerate(routes):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            if (start := blocks.get(route)) is not None:
                counted = outcomes(self._files.route(start) or [0] * RouteBlock.SIZE)
                found[route] = replace(counted, shadow=self._compared(route))
        return found

    def watch(self, watched: Mapping[str, Watched]) -> None:
        self._watch(watched)

    async def failed(self) -> Failed:
        return failed_from(*await self._failures())


def outcomes(slots: Sequence[int]) -> Counted:
    """What a route's block says about both sides."""
    requests = requests_of(slots)
    fallen = sum(_by_code(requests, Side.LEGACY, Reason.FALLBACK)[1:])
    hidden = fallen - min(fallen, slots[RouteBlock.FALLBACKS + Stage.OVERLOAD])
    drawn = (_by_code(requests, Side.LEGACY, Reason.WEIGHT), _by_code(requests, Side.NEW, Reason.WEIGHT))
    return Counted(_outcomes(slots, Side.LEGACY, drawn[0]), _outcomes(slots, Side.NEW, drawn[1], hidden))


def _outcomes(slots: Sequence[int], side: Side, drawn: Sequence[int], hidden: int = 0) -> Outcomes:
    """Of one side; `drawn`: by class of status, the requests whose side was; `hidden`: failures made good by legacy."""
    at = side * RouteBlock.SIDE
    ours = min(drawn[_FAILED], slots[RouteBlock.OURS + at])
    return Outcomes(
        requests=sum(drawn[1:]) - ours + hidden,
        failures=drawn[_FAILED] - ours + hidden,
        aborted=drawn[_NONE],
        durations=_slots(slots, RouteBlock.DURATIONS + at + 1, _BUCKETS),
        mended=slots[RouteBlock.REPEATED + at] if side is Side.NEW else 0,
        first_seen=slots[RouteBlock.FIRST_SEEN + at],
        seen=slots[RouteBlock.SEEN + at],
        slow=_slots(slots, RouteBlock.SLOW + at, LIMITS),
    )


def _slots(slots: Sequence[int], start: int, number: int) -> tuple[int, ...]:
    return tuple(slots[start : start + number])


def _by_code(requests: Sequence[int], side: Side, reason: Reason) -> list[int]:
    start = side * RouteBlock.SIDE_REQUESTS + reason
    return [requests[start + code * REASON_SLOTS] for code in range(len(CODE_CLASSES))]

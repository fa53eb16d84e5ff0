"""What the workers have met at each endpoint since the last look, from their counters.

Heads of answers are successes, but for 502, 503 and 504; what is only sent says nothing yet, or an endpoint that hangs
would look well.  A connection that was not free, and what happens to a body, say nothing about the place either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from control.counters import CounterFiles
from router.core.attempt import Stage
from router.core.health import Counted
from router.telemetry import EndpointBlock

_FAILED: Final = (Stage.SEND, Stage.HEAD, Stage.TIMEOUT, Stage.PROTOCOL)


@dataclass(frozen=True, slots=True)
class _Slots:
    """What the counters of an endpoint said last."""

    answers: int
    bad_gateways: int
    refused: int
    failed: int


class Outcomes:
    """Remembers the last look at each block."""

    def __init__(self, files: CounterFiles) -> None:
        self._files = files
        self._last: dict[int, _Slots] = {}

    def refresh(self) -> None:
        """Sees the files of workers that have just been started."""
        self._files.refresh()

    def newly(self, start: int) -> Counted | None:
        """What a block says since the last look; the first look says nothing, since counters outlive processes."""
        block = self._files.block(start, EndpointBlock.SIZE)
        if block is None:
            return None
        found = _Slots(
            block[EndpointBlock.ANSWERS],
            block[EndpointBlock.BAD_GATEWAYS],
            block[EndpointBlock.ERRORS + Stage.CONNECT],
            sum(block[EndpointBlock.ERRORS + stage] for stage in _FAILED),
        )
        last, self._last[start] = self._last.get(start), found
        if last is None or last == found:
            return None if last is None else Counted()
        bad_gateways = found.bad_gateways - last.bad_gateways
        return Counted(
            max(0, found.answers - last.answers - bad_gateways),
            max(0, found.refused - last.refused),
            max(0, found.failed - last.failed + bad_gateways),
        )

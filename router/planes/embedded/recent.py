"""The newest exchanges of this worker, for those who ask afterwards: which side served this request, and why?

A ring of plain values, in which the oldest is forgotten.  Whatever was out of the ordinary is kept, and of what went as
it should so many a tick, or a busy worker would have forgotten a failure before anybody could ask.  It keeps neither
connections nor snapshots alive, and no more than the beginning of a long target.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import Any, Final, final

from router.core.decide import NO_SUBJECT, Reason
from router.core.model import Side

SIZE: Final = 1024
"""Exchanges of one worker."""
ORDINARY: Final = 100
"""Exchanges that went as they should, in one tick of the wheel: a thousand a second."""
LONGEST_TARGET: Final = 512
MOST_FOUND: Final = 10
"""A client may give one id to many requests."""


@final
class Recent:
    """The ring."""

    def __init__(self, size: int = SIZE) -> None:
        self._slots: list[Any] = [None] * size
        self._next = 0
        self._room = ORDINARY

    def turn(self) -> None:
        """A tick is over."""
        self._room = ORDINARY

    def has_room(self) -> bool:
        """Is one that went as it should to be kept?  If so it takes its place."""
        self._room -= 1
        return self._room >= 0

    def put(  # noqa: PLR0917  # the hot path calls by position
        self,
        request_id: bytes,
        method: bytes,
        target: bytes,
        route: str,
        on_new: bool,
        reason: int,
        drawn: int,
        share: Any,
        revision: Any,
        upstream: str,
        status: int,
        began: float,
        took: float,
        broken: bool,
    ) -> None:
        """Remember one.

        `drawn` is the bucket or what stands for it, `share` None for a request without a route.
        """
        if len(target) > LONGEST_TARGET:
            target = target[:LONGEST_TARGET]
        number = self._next
        self._slots[number] = (
            request_id, method, target, route, on_new, reason, drawn, share, revision, upstream, status, began, took,
            broken,
        )  # fmt: skip
        number += 1
        self._next = 0 if number == len(self._slots) else number

    def find(self, request_id: bytes) -> list[dict[str, Any]]:
        """The exchanges with this id, newest first."""
        found: list[dict[str, Any]] = []
        for back in range(1, len(self._slots) + 1):
            entry = self._slots[self._next - back]
            if entry is None or len(found) == MOST_FOUND:
                break
            if entry[0] == request_id:
                found.append(_view(entry))
        return found


def _view(entry: tuple[Any, ...]) -> dict[str, Any]:
    request_id, method, target, route, on_new, reason, drawn, share, revision, upstream, status, began, took, broken = (
        entry
    )
    return {
        "request_id": request_id.decode("latin-1"),
        "method": method.decode("latin-1"),
        "target": target.decode("latin-1"),
        "route": route,
        "side": (Side.NEW if on_new else Side.LEGACY).label,
        "reason": Reason(reason).label,
        "bucket": drawn if drawn > NO_SUBJECT else None,
        "share": share,
        "revision": revision,
        "upstream": upstream,
        "status": status,
        "at": time() - (perf_counter() - began),
        "ms": round(took * 1000, 3),
        "broken": broken,
    }

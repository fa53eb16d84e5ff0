"""What legacy has answered on one route, while somebody collects it (`rollout.core.aa`).

A bounded list that control empties every now and then; clients stand in it only as numbers.  When nobody comes for it
the newest are dropped, and counted; and after a while it is at its end.
"""

from __future__ import annotations

from time import time
from typing import Any, Final, final

from router.core.clients import client_number

MOST: Final = 4096
"""Answers that wait to be collected."""
AT_ONCE: Final = 2000
"""Answers of one collection: they have to fit into a line."""
PATIENCE: Final = 10.0
"""Seconds after which a tape that nobody collects is at its end."""


@final
class Tape:
    """The list of one route.  `now` is any clock that never runs backwards."""

    def __init__(self, route: str, now: float, key: bytes = b"") -> None:
        """`key`: what makes numbers of clients (`router.planes.embedded.failures`)."""
        self.route = route
        self._key = key[:64]
        self._collected = now
        self._found: list[list[Any]] = []
        self._dropped = 0

    def put(self, client: bytes, bucket: int, now: float, *, failed: bool) -> bool:
        """Remember one answer; False: nobody wants to know any more."""
        if now - self._collected > PATIENCE:
            return False
        if len(self._found) >= MOST:
            self._dropped += 1
        else:
            self._found.append([round(time(), 3), client_number(client, self._key), int(failed), bucket])
        return True

    def take(self, now: float) -> dict[str, Any]:
        """Some answers, oldest first, which are then forgotten; how many were dropped; and whether there are more.

        Each is [Unix time of its end, number of the client, 1 if it failed, bucket of its duration].
        """
        self._collected = now
        found, self._found = self._found[:AT_ONCE], self._found[AT_ONCE:]
        dropped, self._dropped = self._dropped, 0
        return {"found": found, "dropped": dropped, "more": bool(self._found)}

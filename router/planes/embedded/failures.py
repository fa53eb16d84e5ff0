"""Which first tries have failed, and whose they were: what counters cannot tell, for whoever judges a rollout.

A bounded list that control empties every now and then.  Only requests whose side was drawn by the share are in it, and
clients only as numbers (`router.core.clients`).  When nobody comes for them the newest are dropped, and counted.
"""

from __future__ import annotations

from time import time
from typing import Any, Final, final

from router.core.clients import client_number

MOST: Final = 4096
"""Failures that wait for control."""
AT_ONCE: Final = 2000
"""Failures of one answer: they have to fit into a line."""


@final
class Failures:
    """The list."""

    def __init__(self, key: bytes = b"") -> None:
        """`key`: what makes numbers of clients; all workers, and their successors, have to have the same one."""
        self._key = key[:64]
        self._found: list[list[Any]] = []
        self._dropped = 0

    def put(self, route: str, client: bytes, request_id: bytes, *, on_new: bool, share: int, revision: int) -> None:
        """Remember one; `client` is its subject, or its address.  Its number is the same on all routes."""
        if len(self._found) >= MOST:
            self._dropped += 1
            return
        known = request_id[:128].decode("latin-1")
        self._found.append([route, int(on_new), share, revision, client_number(client, self._key), known, time()])

    def take(self) -> dict[str, Any]:
        """Some of them, oldest first, which are then forgotten; how many were dropped; and whether there are more.

        Each is [route, 0 for legacy or 1 for new, share in force in ppm, revision, number of the client, request id,
        Unix time].
        """
        found, self._found = self._found[:AT_ONCE], self._found[AT_ONCE:]
        dropped, self._dropped = self._dropped, 0
        return {"found": found, "dropped": dropped, "more": bool(self._found)}

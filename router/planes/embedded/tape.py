"""What legacy has answered on one route, while somebody collects it (`rollout.core.aa`).

Clients stand on it only as numbers.  After a while in which nobody has come for it, it is at its end.
"""

from __future__ import annotations

from time import time
from typing import Any, Final, final

from router.core.clients import client_number
from router.planes.embedded.untold import Untold

PATIENCE: Final = 10.0
"""Seconds after which a tape that nobody collects is at its end."""


@final
class Tape:
    """That of one route.  `now` is any clock that never runs backwards."""

    def __init__(self, route: str, now: float, key: bytes = b"") -> None:
        """`key`: what makes numbers of clients (`router.planes.embedded.failures`)."""
        self.route = route
        self._key = key
        self._collected = now
        self._untold = Untold()

    def put(self, client: bytes, bucket: int, now: float, *, failed: bool) -> bool:
        """Remember one answer; False: nobody wants to know any more."""
        if now - self._collected > PATIENCE:
            return False
        self._untold.put([round(time(), 3), client_number(client, self._key), int(failed), bucket])
        return True

    def take(self, now: float) -> dict[str, Any]:
        """`Untold.take`; each is [Unix time of its end, client's number, 1 if it failed, bucket of its duration]."""
        self._collected = now
        return self._untold.take()

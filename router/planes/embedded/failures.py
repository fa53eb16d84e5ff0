"""Which first tries have failed, and whose they were: what counters cannot tell, for whoever judges a rollout.

Only requests whose side was drawn by the share are told, and clients only as numbers (`router.core.clients`).
"""

from __future__ import annotations

from time import time
from typing import Any, final

from router.core.clients import client_number
from router.planes.embedded.untold import Untold


@final
class Failures:
    """Those of one worker."""

    def __init__(self, key: bytes = b"") -> None:
        """`key`: what makes numbers of clients; all workers, and their successors, have to have the same one."""
        self._key = key
        self._untold = Untold()

    def put(self, route: str, client: bytes, request_id: bytes, *, on_new: bool, share: int, revision: int) -> None:
        """Remember one; `client` is its subject, or its address.  Its number is the same on all routes."""
        known = request_id[:128].decode("latin-1")
        self._untold.put([route, int(on_new), share, revision, client_number(client, self._key), known, time()])

    def take(self) -> dict[str, Any]:
        """`Untold.take`; each is [route, 0 for legacy or 1 for new, share in force in ppm, revision, number of the
        client, request id, Unix time].
        """
        return self._untold.take()

"""What was asked for that no route takes, counted: what counters cannot tell, for whoever looks for the next route.

A bounded count of method, path and status.  When there is no room for another kind, its requests are only counted.
It speaks of the table in force, so it begins anew with each, and it never keeps a query, where secrets stand.
"""

from __future__ import annotations

import json
from typing import Any, Final, final

MOST: Final = 2000
"""Different requests."""
LONGEST_PATH: Final = 200
"""Bytes; the rest of a path is cut off."""
LONGEST_METHOD: Final = 32
MOST_BYTES: Final = 900_000
"""Of an answer, which has to fit into a line; strange bytes take six each."""


@final
class Unlisted:
    """The count."""

    def __init__(self) -> None:
        self._counts: dict[Any, int] = {}
        self._more = 0

    def put(self, method: bytes, target: bytes, status: int) -> None:
        """Count one."""
        kind = (method[:LONGEST_METHOD], target.partition(b"?")[0][:LONGEST_PATH], status)
        counts = self._counts
        if kind in counts:
            counts[kind] += 1
        elif len(counts) < MOST:
            counts[kind] = 1
        else:
            self._more += 1

    def clear(self) -> None:
        """Begin anew."""
        self._counts = {}
        self._more = 0

    def view(self) -> dict[str, Any]:
        """The kinds, the busiest first, each [method, path, status, count]; and the requests of all others."""
        found: list[list[Any]] = []
        size, more = 0, self._more
        for (method, path, status), count in sorted(self._counts.items(), key=_count, reverse=True):
            row = [method.decode("latin-1"), path.decode("latin-1"), status, count]
            size += len(json.dumps(row)) + 1
            if size > MOST_BYTES:
                more += count
            else:
                found.append(row)
        return {"found": found, "more": more}


def _count(item: tuple[Any, int]) -> int:
    return item[1]

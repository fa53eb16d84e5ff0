"""What control has yet to be told, one by one: a bounded list that it empties every now and then.

When nobody comes for it the newest are dropped, and counted.
"""

from __future__ import annotations

from typing import Any, Final, final

MOST: Final = 4096
"""Rows that wait for control."""
AT_ONCE: Final = 2000
"""Rows of one answer: they have to fit into a line."""


@final
class Untold:
    """The list."""

    def __init__(self) -> None:
        self._rows: list[list[Any]] = []
        self._dropped = 0

    def put(self, row: list[Any]) -> None:
        """Remember one."""
        if len(self._rows) >= MOST:
            self._dropped += 1
        else:
            self._rows.append(row)

    def take(self) -> dict[str, Any]:
        """Some rows, oldest first, which are then forgotten; how many were dropped; and whether there are more."""
        found, self._rows = self._rows[:AT_ONCE], self._rows[AT_ONCE:]
        dropped, self._dropped = self._dropped, 0
        return {"found": found, "dropped": dropped, "more": bool(self._rows)}

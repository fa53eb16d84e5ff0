"""Takes over what the workers hold: from their greetings, from what they tell later, and from the state directory.

Runs beside the engine.  A hold's file goes once the order that was made of it is recorded; until then it is tried
again, since nothing but that file may know of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from router.core.hold import Hold, hold_of
from router.events import EventName, Events
from router.live import Live
from router.planes.embedded import holds as on_disk

RETRY: Final = 1.0
"""Seconds before holds that could not be recorded are looked at again."""


class Adoption:
    """Collects holds, and gives them to the engine."""

    def __init__(self, state: Path, events: Events) -> None:
        self._folder = state / on_disk.FOLDER
        self._events = events
        self._pending: dict[str, Hold] = {}
        self._found = asyncio.Event()

    def heard(self, worker: int, messages: Iterable[Mapping[str, Any]]) -> None:
        """A worker says what it holds."""
        for message in messages:
            try:
                self._add(hold_of(message))
            except ValueError as error:
                self._events.tell(EventName.WORKER_REFUSED, worker=worker, revision=0, why=str(error))

    def _add(self, hold: Hold) -> None:
        self._pending[hold.id] = hold
        self._found.set()

    async def run(self, live: Live) -> None:
        """Until it is cancelled."""
        for hold in await asyncio.to_thread(on_disk.read, self._folder):
            self._add(hold)
        while True:
            await self._found.wait()
            self._found.clear()
            holds = sorted(self._pending.values(), key=lambda hold: hold.at)
            recorded = await live.adopt(holds)
            if recorded:
                await asyncio.to_thread(on_disk.remove, self._folder, recorded)
            for made in recorded:
                self._pending.pop(made, None)
            if self._pending:
                asyncio.get_running_loop().call_later(RETRY, self._found.set)

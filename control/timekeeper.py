"""What the clock on the wall means: when orders end, and whether shares may rise at this hour."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from router.live import Live

TICK: Final = 0.5
"""Seconds between two looks.  A clock that is set, or a machine that slept, is noticed with the next one."""


async def keep_time(live: Live, tick: float = TICK) -> None:
    """Ends orders whose time has come.  Runs until it is cancelled."""
    while True:
        await live.expire()
        await asyncio.sleep(tick)


def local_time(at: float, zone: str) -> tuple[int, int]:
    """Weekday (0 is Monday) and minute of the day, as the clocks in a time zone show them."""
    there = datetime.fromtimestamp(at, ZoneInfo(zone))
    return there.weekday(), there.hour * 60 + there.minute

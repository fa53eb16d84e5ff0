"""Time in control: orders end while nobody asks, and windows follow the clocks of a place."""

from __future__ import annotations

import asyncio

import pytest

from control.timekeeper import keep_time, local_time
from router.core.orders import Kind
from tests.router.rig import Rig, accepted, route


async def test_orders_end_although_nobody_does_anything() -> None:
    """The loop looks again and again, also after a clock that was set."""
    rig = await Rig().started()
    accepted(await rig.live.give(Kind.WEIGHT, route("a"), share=500_000, lasts=60, reason="r", actor="lead"))
    keeping = asyncio.create_task(keep_time(rig.live, tick=0.001))
    rig.clock.time += 3600
    async with asyncio.timeout(10):
        while rig.shares()["a"] != 10:
            await asyncio.sleep(0.001)
    keeping.cancel()
    assert () == rig.live.orders


@pytest.mark.parametrize(
    ("at", "zone", "expected"),
    [
        (0.0, "UTC", (3, 0)),
        (0.0, "Asia/Seoul", (3, 9 * 60)),
        (15 * 3600.0, "Asia/Seoul", (4, 0)),
        (1_719_835_200.0, "Europe/Berlin", (0, 14 * 60)),  # 2024-07-01 12:00 UTC, summer
        (1_704_110_400.0, "Europe/Berlin", (0, 13 * 60)),  # 2024-01-01 12:00 UTC, winter
    ],
)
def test_a_window_follows_the_clocks_of_its_place(at: float, zone: str, expected: tuple[int, int]) -> None:
    """The day changes there, and so does summer time."""
    assert expected == local_time(at, zone)

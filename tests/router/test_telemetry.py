"""The layout of counters, as far as it has rules of its own."""

from __future__ import annotations

from router.core.decide import Reason
from router.telemetry import (
    BUSY_SLOTS,
    CODE_CLASSES,
    REASON_SLOTS,
    WORKER_SLOTS,
    BusyBlock,
    EndpointBlock,
    RouteBlock,
    requests_of,
)


def test_what_is_counted_apart_is_back_in_its_place() -> None:
    """By side: answers 2xx by weight, and nothing else, beside what stands there already."""
    slots = [0] * RouteBlock.SIZE
    place = CODE_CLASSES.index("2xx") * REASON_SLOTS + Reason.WEIGHT
    for side in (0, 1):
        slots[side * RouteBlock.SIDE_REQUESTS + place] = 1
        slots[side * RouteBlock.SIDE_REQUESTS + place + 1] = 5
        slots[RouteBlock.USUAL + side * RouteBlock.SIDE] = 10 + side
    found = requests_of(slots)
    assert 2 * RouteBlock.SIDE_REQUESTS == len(found)
    for side in (0, 1):
        assert 11 + side == found[side * RouteBlock.SIDE_REQUESTS + place]
        assert 5 == found[side * RouteBlock.SIDE_REQUESTS + place + 1]
    assert 2 * 16 + 1 == sum(found)


def test_what_every_exchange_touches_lies_in_one_cache_line() -> None:
    """Of either side: the gauge, what is usual, the sum of durations and the quick buckets; blocks are whole lines."""
    assert max(BusyBlock.IN_FLIGHT, BusyBlock.USUAL, BusyBlock.DURATIONS + BusyBlock.BUCKETS) < BusyBlock.SIDE == 8
    assert all(start % 8 == 0 for start in (WORKER_SLOTS, RouteBlock.SIZE, EndpointBlock.SIZE, BusyBlock.SIZE))
    assert RouteBlock.SLOW + 3 <= RouteBlock.SIDES + RouteBlock.SIDE


def test_what_a_busy_block_counts_has_its_place_in_the_route_s() -> None:
    """Every slot of it exactly one, that of the same name and side."""
    assert list(range(BusyBlock.SIZE)) == sorted(BUSY_SLOTS.values())
    for side in (0, 1):
        first, second = side * RouteBlock.SIDE, side * BusyBlock.SIDE
        assert second + BusyBlock.IN_FLIGHT == BUSY_SLOTS[first + RouteBlock.IN_FLIGHT]
        assert second + BusyBlock.USUAL == BUSY_SLOTS[first + RouteBlock.USUAL]
        for slot in range(BusyBlock.BUCKETS + 1):
            assert second + BusyBlock.DURATIONS + slot == BUSY_SLOTS[first + RouteBlock.DURATIONS + slot]

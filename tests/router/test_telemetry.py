"""The layout of counters, as far as it has rules of its own."""

from __future__ import annotations

from router.core.decide import Reason
from router.telemetry import CODE_CLASSES, REASON_SLOTS, RouteBlock, requests_of


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
    assert [0, 0] == [(RouteBlock.SIDES + side * RouteBlock.SIDE) % 8 for side in (0, 1)]
    assert max(RouteBlock.IN_FLIGHT, RouteBlock.USUAL, RouteBlock.DURATIONS + 5) < RouteBlock.SIDES + 8
    assert RouteBlock.SLOW + 3 <= RouteBlock.SIDES + RouteBlock.SIDE
    assert (0, 1) == (RouteBlock.SIZE % 8, RouteBlock.SIZE // 8 % 2)

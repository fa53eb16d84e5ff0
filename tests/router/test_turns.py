"""One at a time, urgent ones first."""

from __future__ import annotations

import asyncio

import pytest

from router.turns import Turns


async def queue(turns: Turns, done: list[str], name: str, *, first: bool = False) -> None:
    async with turns.turn(first=first):
        done.append(name)
        await asyncio.sleep(0)


async def test_turns_are_taken_in_the_order_of_arrival_but_urgent_ones_first() -> None:
    """Among urgent ones the last to come is served first: each goes before everybody who waits."""
    turns, done = Turns(), list[str]()
    async with asyncio.TaskGroup() as group:
        for name in ("one", "two", "three"):
            group.create_task(queue(turns, done, name))
        group.create_task(queue(turns, done, "urgent", first=True))
    assert ["one", "urgent", "two", "three"] == done


async def test_only_one_is_inside() -> None:
    """Whatever is awaited inside."""
    turns, inside, most = Turns(), 0, 0

    async def enter(number: int) -> None:
        nonlocal inside, most
        async with turns.turn(first=number % 3 == 0):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*map(enter, range(20)))
    assert most == 1


async def test_a_waiter_that_gives_up_keeps_nobody_waiting() -> None:
    """Neither while it waits nor in the moment in which its turn comes."""
    turns, done = Turns(), list[str]()
    async with turns.turn():
        gone = asyncio.create_task(queue(turns, done, "gone"))
        late = asyncio.create_task(queue(turns, done, "late"))
        kept = asyncio.create_task(queue(turns, done, "kept"))
        await asyncio.sleep(0)
        gone.cancel()
    late.cancel()
    async with asyncio.timeout(5):
        await kept
    assert ["kept"] == done


async def test_an_error_inside_passes_the_turn_on() -> None:
    """The lock is not lost with the one who held it."""
    turns = Turns()
    with pytest.raises(ZeroDivisionError):
        async with turns.turn():
            1 / 0  # noqa: B018
    async with asyncio.timeout(5), turns.turn():
        pass

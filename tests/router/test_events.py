"""Every event has one name, is emitted somewhere, and reaches the log and the subscribers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from router.events import EVENTS_REMEMBERED, Event, EventName, Events

ROOT = Path(__file__).parents[2]
NAMES = {key: value for key, value in vars(EventName).items() if key.isupper()}


@pytest.mark.parametrize("key", sorted(NAMES))
def test_every_event_is_emitted_somewhere(key: str) -> None:
    """A name that nothing emits would promise what never comes."""
    sources = [path for folder in ("router", "control") for path in (ROOT / folder).rglob("*.py")]
    telling = [path.name for path in sources if f"EventName.{key}" in path.read_text() and path.name != "logs.py"]
    assert telling


def test_no_two_events_share_a_name() -> None:
    """Else a dashboard could not tell them apart."""
    assert len(NAMES) == len(set(NAMES.values()))


def test_the_log_hears_everything() -> None:
    """With the time at which it was told, and numbered."""
    heard: list[Event] = []
    events = Events(lambda: 5.0, heard.append)
    events.tell(EventName.STARTED, pid=7)
    assert [Event(EventName.STARTED, 5.0, {"pid": 7}, 1)] == heard


async def test_a_subscriber_waits_for_the_next_event_and_ends_when_closed() -> None:
    """Closing also wakes one that waits."""
    events = Events(lambda: 5.0)
    with events.subscribe() as subscription:
        waiting = asyncio.create_task(anext(subscription))
        await asyncio.sleep(0)
        events.tell("one")
        assert "one" == (await waiting).name
        ending = asyncio.create_task(anext(subscription, None))
        await asyncio.sleep(0)
    assert await ending is None
    events.tell("two")
    assert await anext(subscription, None) is None


async def test_a_subscriber_that_comes_back_hears_what_it_missed() -> None:
    """From the number on that it knew, and nothing when it missed nothing."""
    events = Events(lambda: 5.0)
    for name in ("one", "two", "three"):
        events.tell(name)
    with events.subscribe(after=1) as subscription:
        events.tell("four")
        assert ["two", "three", "four"] == [(await anext(subscription)).name for _ in range(3)]
    with events.subscribe(after=4) as subscription:
        events.tell("five")
        assert "five" == (await anext(subscription)).name


@pytest.mark.parametrize("after", [0, 10**9])
async def test_a_subscriber_is_told_that_it_missed_more_than_is_remembered(after: int) -> None:
    """Or that it speaks of an earlier process; then everything that is remembered follows, and all of it fits."""
    events = Events(lambda: 5.0)
    for number in range(EVENTS_REMEMBERED + 10):
        events.tell("noise", number=number)
    with events.subscribe(after=after) as subscription:
        assert EventName.MISSED == (await anext(subscription)).name
        heard = [await anext(subscription) for _ in range(EVENTS_REMEMBERED)]
        assert [*range(11, EVENTS_REMEMBERED + 11)] == [event.number for event in heard]

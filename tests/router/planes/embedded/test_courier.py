"""router.planes.embedded.courier: captures on their way to the comparer, over real Unix sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from router.core.capture import SOCKET, Capture, Count, Counts, FrameReader, Message, Taken, Who, noise_frame
from router.core.model import PPM
from router.planes.embedded.courier import Courier

CAPTURE = Capture("a", 1, 0, 1.0, "r", "GET", "h", "/", Who.LEGACY, (Taken(Who.LEGACY, body=b"12"),))


class Comparer:
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Message] = []
        self.links: list[asyncio.Transport] = []

    async def listen(self, state: Path) -> asyncio.Server:
        (state / SOCKET).unlink(missing_ok=True)
        return await asyncio.get_running_loop().create_unix_server(lambda: Listener(self), state / SOCKET)


class Listener(asyncio.Protocol):
    """One courier's connection."""

    def __init__(self, comparer: Comparer) -> None:
        self._comparer = comparer
        self._frames = FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._comparer.links.append(transport)

    def data_received(self, data: bytes) -> None:
        self._comparer.told += self._frames.feed(data)


class Deaf(asyncio.Protocol):
    """Accepts and never reads."""

    links: ClassVar[list[asyncio.Transport]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self.links.append(transport)


async def gone(courier: Courier, server: asyncio.Server, links: list[asyncio.Transport]) -> None:
    """Everything is closed, and the loop has noticed."""
    courier.close()
    server.close()
    for link in links:
        link.abort()
    links.clear()
    await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_captures_and_counts_arrive_and_wishes_come_back(tmp_path: Path) -> None:
    """Until a wish has come, all copies want a second answer."""
    comparer = Comparer()
    server = await comparer.listen(tmp_path)
    courier = Courier(asyncio.get_running_loop(), tmp_path)
    assert PPM == courier.noise_wanted("a")
    courier.count("a", Count.COPIED)
    await until(lambda: comparer.links)
    await until(lambda: courier._transport)
    courier.carry(CAPTURE)
    courier.count("a", Count.FULL, 2)
    await until(lambda: len(comparer.told) == 2)
    assert [CAPTURE, Counts({("a", Count.COPIED): 1, ("a", Count.FULL): 2})] == comparer.told
    comparer.links[0].write(noise_frame("a", 7))
    await until(lambda: courier.noise_wanted("a") == 7)
    await gone(courier, server, comparer.links)


async def test_without_a_comparer_captures_are_counted_and_nothing_waits(tmp_path: Path) -> None:
    """What was counted meanwhile is told when one comes."""
    courier = Courier(asyncio.get_running_loop(), tmp_path)
    for _ in range(3):
        courier.carry(CAPTURE)
    comparer = Comparer()
    server = await comparer.listen(tmp_path)
    await until(lambda: comparer.told)
    assert [Counts({("a", Count.COMPARER): 3})] == comparer.told
    await gone(courier, server, comparer.links)


async def test_a_comparer_that_does_not_read_costs_captures_and_no_memory(tmp_path: Path) -> None:
    """What cannot be handed over is dropped beyond a bound."""
    silent = await asyncio.get_running_loop().create_unix_server(Deaf, tmp_path / SOCKET)
    courier = Courier(asyncio.get_running_loop(), tmp_path)
    courier.count("a", Count.COPIED)
    await until(lambda: courier._transport)
    large = Capture("a", 1, 0, 1.0, "r", "GET", "h", "/", Who.NEW, (Taken(Who.NEW, body=b"x" * 200_000),))
    for _ in range(100):
        courier.carry(large)
    assert courier._transport is not None
    assert courier._transport.get_write_buffer_size() < 3_000_000
    assert courier._counts["a", Count.COMPARER] > 50
    courier._transport.abort()
    await gone(courier, silent, Deaf.links)


async def test_a_comparer_that_comes_back_is_found_and_one_that_talks_rubbish_is_left(tmp_path: Path) -> None:
    """A connection that ends is made anew while there is something to carry."""
    comparer = Comparer()
    server = await comparer.listen(tmp_path)
    courier = Courier(asyncio.get_running_loop(), tmp_path)
    courier.count("a", Count.FULL)
    await until(lambda: comparer.told)
    comparer.links[0].write(b"rubbish\n")
    await until(lambda: courier._transport is None)
    courier.count("a", Count.LATE)
    await until(lambda: len(comparer.told) == 2)
    assert Counts({("a", Count.LATE): 1}) == comparer.told[1]
    await gone(courier, server, comparer.links)

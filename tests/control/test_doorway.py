"""Nobody keeps operators out by standing in the door of the admin address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web

from control.api import doorway
from control.api.doorway import Doorway

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = 32 * 2**20


@dataclass
class Door:
    doorway: Doorway
    port: int

    async def come(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**10)
        writer.write(data)
        return reader, writer


@asynccontextmanager
async def opened(most: int) -> AsyncIterator[Door]:
    async def small(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE))

    app = web.Application()
    app.add_routes([web.get("/", small), web.get("/large", large)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    listener = socket.create_server(("127.0.0.1", 0))
    made = Doorway(runner.server, most)
    server = await made.open(listener, None)
    try:
        yield Door(made, listener.getsockname()[1])
    finally:
        server.close()
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(20):
        try:
            while await reader.read(2**16):
                pass
        except ConnectionError:
            pass
    return True


async def test_a_flood_of_silent_connections_pushes_itself_out() -> None:
    """The oldest go first, and whoever asks is answered."""
    async with opened(most=5) as door:
        silent = [await door.come(b"GET / HTT") for _ in range(20)]
        await until(lambda: len(door.doorway) == 5)
        reader, writer = await door.come(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert await ended(silent[0][0])
        for _, each in [*silent, (reader, writer)]:
            each.close()
        await until(lambda: len(door.doorway) == 0)


async def test_those_who_have_asked_are_not_pushed_out() -> None:
    """When all have, the next one waits for another day."""
    async with opened(most=2) as door:
        asked = [await door.come(GET) for _ in range(2)]
        for reader, _ in asked:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        late, late_writer = await door.come(GET)
        assert await ended(late)
        for _, writer in asked:
            writer.write(GET)
        for reader, _ in asked:
            await reader.readuntil(b"ok")
            assert b"HTTP/1.1 200" in await reader.readline()
        for writer in (late_writer, *(writer for _, writer in asked)):
            writer.close()


@pytest.mark.parametrize("data", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """However far it has come."""
    monkeypatch.setattr(doorway, "HEAD_SECONDS", 0.2)
    async with opened(most=2) as door:
        reader, writer = await door.come(data)
        assert await ended(reader)
        writer.close()


@pytest.mark.parametrize("size", [1, 3, 7])
async def test_a_head_in_pieces_is_a_head(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Wherever it is cut; once it is there, the answer has all the time it needs."""
    async with opened(most=2) as door:
        reader, writer = await door.come()
        for start in range(0, len(GET), size):
            writer.write(GET[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert [1, 0] == [len(door.doorway._asked), len(door.doorway._silent)]
        writer.close()


async def test_an_answer_that_nobody_reads_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is not kept for ever."""
    monkeypatch.setattr(doorway, "STALL_SECONDS", 0.2)
    async with opened(most=2) as door:
        _, writer = await door.come(GET.replace(b"GET /", b"GET /large"))
        await until(lambda: len(door.doorway) == 1)
        await until(lambda: len(door.doorway) == 0)
        writer.close()

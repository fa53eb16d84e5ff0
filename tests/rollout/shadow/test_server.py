"""rollout.shadow.server: the process, over its real pipes and its real socket."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rollout.shadow.page import Subject, follow_message
from router.core.capture import SOCKET, Capture, Taken, Who, capture_frame

A = Subject("a", "old", "new")
JSON = (("Content-Type", "application/json"),)


def capture(legacy: bytes, new: bytes) -> Capture:
    answers = (Taken(Who.LEGACY, 200, JSON, legacy), Taken(Who.NEW, 200, JSON, new))
    return Capture("a", 1, 0, 5.0, "r", "GET", "h", "/", Who.LEGACY, answers)


class Process:
    """The comparer and both ends that it has."""

    def __init__(self, child: asyncio.subprocess.Process, state: Path) -> None:
        self.child = child
        self.state = state

    def say(self, message: dict[str, Any]) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(message).encode() + b"\n")

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.say({**message, "n": 1})
        assert self.child.stdout is not None
        found: dict[str, Any] = json.loads(await asyncio.wait_for(self.child.stdout.readline(), 20))
        return found

    async def worker(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(20):
            while True:
                try:
                    return await asyncio.open_unix_connection(self.state / SOCKET)
                except (FileNotFoundError, ConnectionRefusedError):
                    await asyncio.sleep(0.02)

    async def until_compared(self, count: int) -> dict[str, int]:
        async with asyncio.timeout(30):
            while True:
                found = await self.ask({"op": "totals"})
                verdicts: dict[str, int] = found["totals"]["a"]["verdicts"]
                if sum(verdicts.values()) >= count:
                    return verdicts
                await asyncio.sleep(0.02)


async def gone(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def started(state: Path) -> AsyncIterator[Process]:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "rollout.shadow", str(state)]
    child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield Process(child, state)
        assert child.stdin is not None
        child.stdin.close()
        _, complaint = await asyncio.wait_for(child.communicate(), 20)
        assert (0, b"") == (child.returncode, complaint)
    finally:
        if child.returncode is None:
            child.kill()
            await child.communicate()


async def test_captures_are_compared_and_questions_answered_and_nothing_is_forgotten(tmp_path: Path) -> None:
    """From a worker's socket to control's pipe; the next process begins where this one ended."""
    async with started(tmp_path) as process:
        process.say(follow_message([A]))
        reader, writer = await process.worker()
        for new in (b"1", b"2"):
            writer.write(capture_frame(capture(b"1", new)))
        assert {"matched": 1, "mismatched": 1, "not_comparable": 0} == await process.until_compared(2)
        report = (await process.ask({"op": "report", "route": "a"}))["report"]
        assert ["$"] == [place["path"] for place in report["places"]]
        wish = await asyncio.wait_for(reader.readline(), 20)
        assert {"op": "noise", "route": "a", "ppm": 1_000_000} == json.loads(wish)
        await gone(writer)
    async with started(tmp_path) as process:
        process.say(follow_message([A]))
        assert 2 == sum((await process.until_compared(2)).values())


async def test_rubbish_costs_the_connection_that_it_came_on(tmp_path: Path) -> None:
    """And nobody else's."""
    async with started(tmp_path) as process:
        process.say(follow_message([A]))
        bad_reader, bad = await process.worker()
        _, good = await process.worker()
        bad.write(b"rubbish\n")
        async with asyncio.timeout(20):
            while await bad_reader.read(1000):
                pass
        good.write(capture_frame(capture(b"1", b"1")))
        await process.until_compared(1)
        await gone(good)
        await gone(bad)


async def test_hostile_bodies_harm_nobody(tmp_path: Path) -> None:
    """JSON a hundred thousand deep and of nothing but differences; what comes after them is compared."""
    deep = b"[" * 100_000 + b"]" * 100_000
    wide = [json.dumps({str(index): value for index in range(20_000)}).encode() for value in (1, 2)]
    async with started(tmp_path) as process:
        process.say(follow_message([A]))
        _, writer = await process.worker()
        for one in (capture(deep, deep + b" "), capture(*wide), capture(b"1", b"1")):
            writer.write(capture_frame(one))
        assert {"matched": 1, "mismatched": 1, "not_comparable": 1} == await process.until_compared(3)
        await gone(writer)

"""A worker's life: from the snapshot on its disk or its channel to the last answer after SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from router.core.model import Endpoint, Table
from router.planes.embedded.worker import WorkerOptions, serve
from router.telemetry import WorkerSlot
from tests.router.planes.embedded.stage import Ledger, route, table

PATIENCE = 10.0
REQUEST = b"GET /api/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def _own_collector() -> Iterator[None]:
    """A worker tunes the collector of its process, which here is everybody's."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket as the parent would hand it down."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def run(scenario: Awaitable[None]) -> None:
    """Run a scenario on the loop that workers have."""

    async def limited() -> None:
        async with asyncio.timeout(PATIENCE * 2):
            await scenario

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(limited())


class Upstream:
    """Answers what it is asked, when it is let."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()
        self.port = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())  # type: ignore[arg-type]  # there is one
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.asked.set()
                await self.may_answer.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    made.may_answer.set()
    await asyncio.gather(*made.tasks)


@asynccontextmanager
async def worker(options: WorkerOptions) -> AsyncIterator[asyncio.Task[None]]:
    """A worker that is told to end when the block does, and ends."""
    task = asyncio.create_task(serve(options))
    await asyncio.sleep(0)
    yield task
    await end(task)


async def end(task: asyncio.Task[None]) -> None:
    if not task.done():
        os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await task


def declared(port: int) -> Table:
    return table(route("api"), new=(Endpoint("127.0.0.1", port),))


def lines(port: int, revision: int = 1) -> list[bytes]:
    return Ledger().lines(revision, declared(port))


async def ask(listener: socket.socket) -> bytes:
    """Everything that a client hears."""
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(REQUEST)
    try:
        return await reader.read()
    finally:
        writer.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)  # a glance at the file system, which tells nobody


async def channel(state: Path, number: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, dict[str, Any]]:
    """A connection to the worker's channel, and its greeting."""
    folder = os.open(state / "workers", os.O_PATH)
    try:
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{number}.sock")
    finally:
        os.close(folder)
    return reader, writer, json.loads(await reader.readline())


# ------------------------------------------------------------------------------------------------------ beginnings


def test_a_worker_serves_by_the_lines_it_was_given(listener: socket.socket, capfd: pytest.CaptureFixture[str]) -> None:
    """And says when it does."""

    async def scenario() -> None:
        async with upstream() as new, worker(WorkerOptions(listener, lines=lines(new.port), announce="here I am")):
            assert (await ask(listener)).startswith(b"HTTP/1.1 200 OK\r\n")

    run(scenario())
    assert "here I am\n" == capfd.readouterr().out


def test_a_worker_serves_by_the_snapshot_on_its_disk(listener: socket.socket, tmp_path: Path) -> None:
    """Nobody else has to be alive; its greeting on the channel tells what is in force."""

    async def scenario() -> None:
        async with upstream() as new:
            (tmp_path / "snapshot.ndjson").write_bytes(b"".join(lines(new.port, 41)))
            async with worker(WorkerOptions(listener, 2, tmp_path)):
                assert (await ask(listener)).startswith(b"HTTP/1.1 200 OK\r\n")
                _, writer, greeting = await channel(tmp_path, 2)
                assert (2, 41, os.getpid()) == (greeting["worker"], greeting["revision"], greeting["pid"])
                writer.close()

    run(scenario())


@pytest.mark.parametrize("damage", ["cut", "altered", "garbage", "missing"])
def test_with_a_damaged_snapshot_a_worker_waits_for_a_good_one(
    listener: socket.socket, tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: str
) -> None:
    """Whoever connects meanwhile waits in the queue of the listening socket and is answered then."""

    async def scenario() -> None:
        async with upstream() as new:
            good = b"".join(lines(new.port))
            bad = {"cut": good[:-40], "altered": good.replace(b"127.0.0.1", b"127.0.0.2"), "garbage": b"\xff\n{}"}
            if damage != "missing":
                (tmp_path / "snapshot.ndjson").write_bytes(bad[damage])
            async with worker(WorkerOptions(listener, 0, tmp_path)):
                await until((tmp_path / "workers" / "0.sock").exists)
                early = asyncio.create_task(ask(listener))
                reader, writer, greeting = await channel(tmp_path)
                assert (0, "") == (greeting["revision"], greeting["hash"])
                assert not early.done()
                writer.write(good)
                assert "confirmed" == json.loads(await reader.readline())["op"]
                assert (await early).startswith(b"HTTP/1.1 200 OK\r\n")
                writer.close()

    run(scenario())
    errors = capfd.readouterr().err
    assert ("" if damage in {"missing", "cut"} else "worker 0: the snapshot on disk is not usable") in errors


def test_a_worker_without_any_snapshot_ends_when_it_is_told(listener: socket.socket, tmp_path: Path) -> None:
    """SIGTERM is heard from the first moment."""

    async def scenario() -> None:
        async with worker(WorkerOptions(listener, 0, tmp_path)):
            await until((tmp_path / "workers" / "0.sock").exists)

    run(scenario())


# ----------------------------------------------------------------------------------------------------------- ends


def test_on_sigterm_the_exchanges_under_way_are_finished(listener: socket.socket) -> None:
    """The answer comes whole; then the worker ends by itself; the socket still is the parent's."""

    async def scenario() -> None:
        async with upstream() as new, worker(WorkerOptions(listener, lines=lines(new.port))) as task:
            new.may_answer.clear()
            busy = asyncio.create_task(ask(listener))
            await new.asked.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
            late = asyncio.create_task(ask(listener))
            new.may_answer.set()
            assert (await busy).endswith(b"\r\n\r\nok")
            async with asyncio.timeout(PATIENCE):
                await task
            late.cancel()

    run(scenario())


def test_draining_has_a_limit(listener: socket.socket) -> None:
    """An exchange that never ends does not keep a worker for ever."""

    async def scenario() -> None:
        async with upstream() as new, worker(WorkerOptions(listener, lines=lines(new.port), drain=0.05)) as task:
            new.may_answer.clear()
            busy = asyncio.create_task(ask(listener))
            await new.asked.wait()
            await end(task)
            with suppress(ConnectionError):
                assert b"" == await busy

    run(scenario())


# ------------------------------------------------------------------------------------------------- on its disk


def test_a_worker_counts_in_a_file_of_its_own(listener: socket.socket, tmp_path: Path) -> None:
    """Which its successor goes on with."""

    async def scenario() -> None:
        async with upstream() as new:
            (tmp_path / "snapshot.ndjson").write_bytes(b"".join(lines(new.port)))
            for expected in (1, 2):
                async with worker(WorkerOptions(listener.dup(), 3, tmp_path)):
                    await ask(listener)
                data = (tmp_path / "counters" / "worker-3.slots").read_bytes()
                assert expected == memoryview(data).cast("Q")[WorkerSlot.ACCEPTED]

    run(scenario())


def test_without_a_place_for_counters_a_worker_counts_in_memory(
    listener: socket.socket, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Traffic comes first."""
    (tmp_path / "counters").write_text("in the way")
    served(listener, tmp_path)
    assert "worker 0: counting in memory only" in capfd.readouterr().err


def test_with_a_full_disk_a_worker_still_begins(
    listener: socket.socket, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The counter file can be made but has no room for the table's blocks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        served(listener, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "worker 0: counting in memory only" in capfd.readouterr().err


def served(listener: socket.socket, state: Path) -> None:
    async def scenario() -> None:
        async with upstream() as new:
            (state / "snapshot.ndjson").write_bytes(b"".join(lines(new.port)))
            async with worker(WorkerOptions(listener, 0, state)):
                assert (await ask(listener)).startswith(b"HTTP/1.1 200 OK\r\n")

    run(scenario())


def test_the_channel_is_the_owners_and_replaces_a_dead_ones(listener: socket.socket, tmp_path: Path) -> None:
    """Also below a path that is too long for a Unix socket."""
    state = tmp_path / ("long" * 20) / ("longer" * 20)
    (state / "workers").mkdir(parents=True)
    (state / "workers" / "0.sock").write_text("left by somebody")

    async def scenario() -> None:
        async with worker(WorkerOptions(listener, 0, state)):
            await until((state / "workers" / "0.sock").is_socket)
            assert 0o600 == (state / "workers" / "0.sock").stat().st_mode & 0o777
            _, writer, greeting = await channel(state)
            assert "hello" == greeting["op"]
            writer.close()

    run(scenario())


def test_an_access_log_has_a_line_for_every_exchange_when_the_worker_has_ended(
    listener: socket.socket, tmp_path: Path
) -> None:
    """Nothing that was served is missing from it."""
    log = tmp_path / "access.log"

    async def scenario() -> None:
        async with upstream() as new, worker(WorkerOptions(listener, lines=lines(new.port), access_log=str(log))):
            for _ in range(3):
                await ask(listener)

    run(scenario())
    assert [200] * 3 == [json.loads(line)["status"] for line in log.read_text().splitlines()]

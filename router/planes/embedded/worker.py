"""One worker process: a listening socket, a plane, and a channel on which it is told what to route by.

It needs nobody to route.  At its start it takes the last good snapshot from disk if there is one, and begins to accept
as soon as it has any snapshot; what was queued on the listening socket meanwhile is served then.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from router.core.override import KEY_FILE
from router.planes.embedded.accesslog import AccessLog
from router.planes.embedded.census import Census
from router.planes.embedded.channel import ChannelConnection, Taker
from router.planes.embedded.client import ClientConnection
from router.planes.embedded.complaints import complain
from router.planes.embedded.counters import Counters
from router.planes.embedded.courier import Courier
from router.planes.embedded.failures import Failures
from router.planes.embedded.holds import FOLDER
from router.planes.embedded.mirror import Mirror
from router.planes.embedded.plane import Plane
from router.planes.embedded.snapshot import WireError

_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How one worker runs.  `state` is None for a worker that stands alone."""

    listener: socket.socket
    number: int = 0
    state: Path | None = None
    census: int = -1
    """The memory in which all workers mark clients; without it those of this one are its own."""
    lines: Iterable[bytes] = ()
    """A snapshot to begin with, instead of the one on disk."""
    access_log: str = ""
    drain: float = 30.0
    announce: str = ""
    """Printed on standard output once requests are accepted."""


async def serve(options: WorkerOptions) -> None:
    """Run until SIGTERM or SIGINT, then drain."""
    loop = asyncio.get_running_loop()
    counters = _counters(options)
    access_log = AccessLog(options.access_log, counters) if options.access_log else None
    plane = Plane(loop, counters, access_log)
    plane.census = Census(options.census)
    plane.override_key = _override_key(options)
    plane.failures = Failures(plane.override_key)
    plane.room = _room_for_clients()
    if options.state is not None:
        plane.mirror = Mirror(plane, Courier(loop, options.state))
    accepting = asyncio.Event()
    holds = None if options.state is None else options.state / FOLDER
    taker = Taker(plane, options.number, accepting.set, holds)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gc.set_threshold(100_000, 20, 50)
    _begin_with(taker, options, counters)
    channel = await _open_channel(taker, options)
    taker.run(taker.watch(), name="holds")
    server: asyncio.Server | None = None
    waiting = {loop.create_task(stop.wait(), name="stop"), loop.create_task(accepting.wait(), name="first snapshot")}
    _, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if accepting.is_set():
        server = await loop.create_server(
            lambda: ClientConnection(plane),  # type: ignore[arg-type,return-value]  # a protocol by shape
            sock=options.listener,
            backlog=_BACKLOG,
        )
        if options.announce:
            print(options.announce, flush=True)
        await stop.wait()
        server.close()
        await _drain(plane, options.drain)
    if channel is not None:
        channel.close()
    await plane.close()
    if access_log is not None:
        access_log.close()


def _room_for_clients() -> int:
    """How many clients there are file descriptors for, once this process may have as many as it is allowed at all.

    A client that waits has one and its exchange another; a quarter is left for upstreams that are busy with few.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # some systems promise more than they give
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft - soft // 4, 1) if soft != resource.RLIM_INFINITY else sys.maxsize


def _counters(options: WorkerOptions) -> Counters:
    """Counters on disk; in memory when the disk does not have them, since traffic comes first."""
    if options.state is None:
        return Counters(None)
    folder = options.state / "counters"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Counters(folder / f"worker-{options.number}.slots")
    except OSError as error:
        complain(f"worker {options.number}: counting in memory only: {error}")
        return Counters(None)


def _override_key(options: WorkerOptions) -> bytes:
    """The key of the state directory: `strangler override` signs with it, and clients are numbered by it.

    Without it no token is believed.
    """
    try:
        return b"" if options.state is None else (options.state / KEY_FILE).read_bytes()
    except OSError:
        return b""


def _begin_with(taker: Taker, options: WorkerOptions, counters: Counters) -> None:
    """Take a snapshot that is at hand; one that is damaged is as good as none."""
    lines = options.lines
    if options.state is not None:
        try:
            lines = (options.state / "snapshot.ndjson").read_bytes().splitlines(keepends=True)
        except OSError:
            return
    receiver = taker.receiver()
    try:
        for line in lines:
            snapshot = receiver.take(line, None)
            if snapshot is not None:
                _make_room(counters, receiver.slots, options.number)
                taker.adopt(snapshot, receiver.slots)
    except WireError as error:
        complain(f"worker {options.number}: the snapshot on disk is not usable: {error}")


def _make_room(counters: Counters, slots: int, number: int) -> None:
    """Room for the counters on disk; in memory when the disk is full."""
    try:
        counters.grow(slots)
    except OSError as error:
        complain(f"worker {number}: counting in memory only: {error}")
        counters.leave_disk()


async def _open_channel(taker: Taker, options: WorkerOptions) -> asyncio.Server | None:
    if options.state is None:
        return None
    listener = _channel_socket(options.state / "workers", options.number)
    return await asyncio.get_running_loop().create_unix_server(lambda: ChannelConnection(taker), sock=listener)


def _channel_socket(folder: Path, number: int) -> socket.socket:
    folder.mkdir(parents=True, exist_ok=True)
    # A socket's path may have 107 bytes; the folder's may have more, so it is named by a descriptor.
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    path = Path(f"/proc/self/fd/{descriptor}/{number}.sock")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    return listener


async def _drain(plane: Plane, seconds: float) -> None:
    """Let exchanges under way finish, for a limited time."""
    plane.drain()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await plane.deserted()

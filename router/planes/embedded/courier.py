"""Carries captures from a worker to whoever compares, and never waits for it.

The comparer listens on a Unix socket in the state directory.  Whatever is wrong with it (not there, too slow, dead)
costs the captures that it does not take and nothing else: they are counted as dropped, and a new connection is tried
at most once a second, while there is something to carry.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Final

from router.core.capture import SOCKET, Capture, Count, FrameError, FrameReader, NoiseWish, capture_frame, counts_frame
from router.core.model import PPM

_TRY_AGAIN: Final = 1.0
_UNSENT: Final = 2 * 1024 * 1024
"""Bytes that may wait to be taken."""
_MOST_ROUTES: Final = 10_000
_TELL: Final = 1.0
"""Seconds between two tellings of what was counted."""


class Courier:
    """One worker's way to the comparer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, state: Path) -> None:
        self._loop = loop
        self._state = state
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._counts: Counter[tuple[str, Count]] = Counter()
        self._telling: asyncio.TimerHandle | None = None
        self._noise: dict[str, int] = {}
        self._closed = False

    def noise_wanted(self, route: str) -> int:
        """For how many of the route's copies legacy is to be asked twice, in ppm; all until somebody knows better."""
        return self._noise.get(route, PPM)

    def count(self, route: str, what: Count, times: int = 1) -> None:
        """So many requests have come to this; it is told within a second or two."""
        self._counts[route, what] += times
        self._ready()
        if self._telling is None and not self._closed:
            self._telling = self._loop.call_later(_TELL, self._tell)

    def carry(self, capture: Capture) -> None:
        """Hand it over, or count that nobody took it."""
        transport = self._ready()
        if transport is None or transport.get_write_buffer_size() > _UNSENT:
            self.count(capture.route, Count.COMPARER)
        else:
            transport.write(capture_frame(capture))

    def close(self) -> None:
        """End the connection; what was counted and not told is lost with the process."""
        self._closed = True
        if self._telling is not None:
            self._telling.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.close()

    def _ready(self) -> asyncio.Transport | None:
        transport = self._transport
        if transport is None and self._connecting is None and self._loop.time() >= self._not_before:
            self._connecting = self._loop.create_task(self._connect(), name="courier")
        return transport

    def _tell(self) -> None:
        self._telling = None
        transport = self._ready()
        if transport is not None and transport.get_write_buffer_size() <= _UNSENT:
            transport.write(counts_frame(self._counts))
            self._counts.clear()
        else:
            self._telling = self._loop.call_later(_TELL, self._tell)

    async def _connect(self) -> None:
        self._not_before = self._loop.time() + _TRY_AGAIN
        folder = -1
        try:
            # A socket's path may have 107 bytes; the folder's may have more, so it is named by a descriptor.
            folder = os.open(self._state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            async with asyncio.timeout(_TRY_AGAIN):
                await self._loop.create_unix_connection(lambda: _Link(self), f"/proc/self/fd/{folder}/{SOCKET}")
        except (OSError, TimeoutError):
            pass
        finally:
            if folder >= 0:
                os.close(folder)
            self._connecting = None

    def connected(self, transport: asyncio.Transport) -> None:
        if self._closed:
            transport.close()
        else:
            self._transport = transport

    def lost(self) -> None:
        self._transport = None

    def told(self, wish: NoiseWish) -> None:
        """The comparer knows a route's noise."""
        if wish.route in self._noise or len(self._noise) < _MOST_ROUTES:
            self._noise[wish.route] = max(0, min(PPM, wish.ppm))


class _Link(asyncio.Protocol):
    """The connection; what comes back are wishes."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport is one
        self._courier.connected(transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                if isinstance(message, NoiseWish):
                    self._courier.told(message)
        except FrameError:
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._courier.lost()

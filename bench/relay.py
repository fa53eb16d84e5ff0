"""The floor: a byte relay on uvloop that understands nothing.

Each client connection gets one upstream connection; what is read on one is written to the other.  No proxy in Python
can do with less per exchange than these four system calls and four callbacks.

    python -m bench.relay LISTEN-PORT TARGET-PORT
"""

from __future__ import annotations

import asyncio
import sys

import uvloop


class _Half(asyncio.Protocol):
    """One side of a relayed connection."""

    transport: asyncio.Transport
    other: _Half | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()


class _Client(_Half):
    """The client's side: what comes before its upstream connection stands is kept for it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self.other.transport.write(data)

    async def _connect(self) -> None:
        try:
            _, upstream = await asyncio.get_running_loop().create_connection(_Half, "127.0.0.1", self._target)
        except OSError:
            self.transport.close()
            return
        upstream.transport.writelines(self._early)
        self.other, upstream.other = upstream, self
        if self.transport.is_closing():
            upstream.transport.close()


async def main(listen: int, target: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Client(target), "127.0.0.1", listen, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))

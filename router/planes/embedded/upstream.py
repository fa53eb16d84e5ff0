"""The upstream side of the data plane: one connection, which serves one exchange at a time.

It knows nothing of HTTP: bytes go to the exchange that holds it.  Bytes that come while nobody holds it belong to no
answer, so the connection is closed rather than trusted again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

from router.planes.embedded.deadlines import NEVER

if TYPE_CHECKING:
    from router.planes.embedded.exchange import Exchange
    from router.planes.embedded.plane import Plane
    from router.planes.embedded.pools import EndpointPool


@final
class UpstreamConnection:
    """One TCP connection to an endpoint; an asyncio protocol by shape rather than by name."""

    __slots__ = (
        "_plane", "_read_paused", "closed", "deadline", "exchange", "pool", "scheduled", "transport", "write_paused",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, plane: Plane, pool: EndpointPool) -> None:
        self._plane = plane
        self.pool = pool
        self.exchange: Exchange | None = None
        self.closed = False
        self.write_paused = False
        self._read_paused = False
        self.deadline = NEVER
        self.scheduled = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP transport is one
        self.pool.opened()

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.abort()
        else:
            exchange.upstream_data(data)

    def eof_received(self) -> bool:
        """True keeps our sending side open, which only a tunnel wants."""
        exchange = self.exchange
        if exchange is None:
            return False
        return exchange.upstream_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        exchange, self.exchange = self.exchange, None
        already_closed, self.closed = self.closed, True
        self._plane.wheel.forget(self)
        self.pool.lost(self)
        if exchange is not None and not already_closed:
            exchange.upstream_lost(self, exc)

    def pause_writing(self) -> None:
        self.write_paused = True
        if self.exchange is not None:
            self.exchange.upstream_full()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.exchange is not None:
            self.exchange.upstream_drained()

    def pause_reading(self) -> None:
        """What comes has to wait."""
        self._read_paused = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """It need not wait any more; harmless when it did not."""
        if self._read_paused:
            self._read_paused = False
            self.transport.resume_reading()

    def peer(self) -> str:
        """The address at the other end."""
        found = self.transport.get_extra_info("peername")
        return str(found[0]) if found else ""

    def expired(self) -> None:
        """Idle for too long."""
        if self.exchange is None:
            self.close()

    def release(self) -> None:
        """Back to the pool: both messages are complete and nothing is left over.

        Whatever made this exchange's answer wait is no reason to let the next one's wait.
        """
        self.exchange = None
        self.resume_reading()
        self.pool.put(self)

    def close(self) -> None:
        """No more use; what is still in the buffers may go out."""
        self.closed = True
        self.exchange = None
        self.transport.close()

    def abort(self) -> None:
        """No more use, and nothing more to say."""
        self.closed = True
        self.exchange = None
        self.transport.abort()

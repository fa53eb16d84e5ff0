"""A request that becomes a tunnel (WebSocket): bytes go both ways as they are, until both ends have said their last."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from router.core.attempt import Stage
from router.core.headers import tokens
from router.planes.embedded import writing
from router.planes.embedded.heads import Answer

if TYPE_CHECKING:
    from router.planes.embedded.bounds import Bounds
    from router.planes.embedded.client import ClientConnection
    from router.planes.embedded.deadlines import Wheel
    from router.planes.embedded.exchange import Exchange
    from router.planes.embedded.upstream import UpstreamConnection


@final
class Tunnel:
    """Both ends of one."""

    def __init__(self, client: ClientConnection, upstream: UpstreamConnection, wheel: Wheel, limits: Bounds) -> None:
        self._client = client
        self._upstream = upstream
        self._wheel = wheel
        self._limits = limits
        self._client_eof = False
        self._upstream_eof = False

    def moved(self) -> None:
        """A tunnel may idle for long; one of whose ends has said its last, only as long as a body may stall."""
        half = self._client_eof or self._upstream_eof
        self._client.wait_until(self._wheel.now + (self._limits.body_stall if half else self._limits.tunnel_idle))

    def client_data(self, data: bytes) -> None:
        if not self._upstream.closed:
            self._upstream.transport.write(data)
            self.moved()

    def upstream_data(self, data: bytes) -> None:
        self._client.transport.write(data)
        self.moved()

    def client_eof(self) -> None:
        """The client has said its last; the upstream may go on."""
        self._client_eof = True
        self.moved()
        if self._upstream.closed or self._upstream_eof:
            self._client.close()
        else:
            self._upstream.transport.write_eof()

    def upstream_eof(self) -> bool:
        """The upstream has said its last.  True: the client may go on."""
        self._upstream_eof = True
        self.moved()
        if self._client_eof:
            self._client.close()
            return False
        self._client.transport.write_eof()
        return True

    def upstream_lost(self, error: Exception | None) -> None:
        """The upstream's end is gone, and so is the tunnel; a client that it broke off for can see that."""
        if error is None:
            self._client.close()
        else:
            self._client.reset()


def switch(exchange: Exchange, answer: Answer, rest: bytes) -> None:
    """101: from here on bytes go through, those that came with it included."""
    wanted = exchange.request.upgrade.lower()
    upstream = exchange.connection
    if not wanted or tokens([answer.upgrade]) != [wanted] or upstream is None:
        exchange.failed(Stage.PROTOCOL, "the upstream switched protocols unasked")
        return
    plane = exchange.plane
    if not plane.open_tunnel(exchange):
        exchange.failed(Stage.OVERLOAD)
        return
    client = exchange.client
    exchange.answer = answer
    exchange.status = 101
    exchange.keep_alive = False
    tunnel = exchange.tunnel = Tunnel(client, upstream, plane.wheel, exchange.snapshot.limits)
    client.transport.write(b"\r\n".join([*writing.switching_head(exchange, answer), b"", rest]))
    tunnel.moved()
    client.tunnelled(tunnel)

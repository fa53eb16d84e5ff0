"""Limits as the hot path compares with them: a class of its own, whose numbers compiled code reads without a look-up.

Where an operator writes 0 for "no limit" stands a number that nothing reaches, so that nobody has to ask twice.
"""

from __future__ import annotations

from math import inf
from typing import Final, final

from router.core.model import Limits

_ENDLESS: Final = 2**60


@final
class Bounds:
    """The limits of a table, each under the name that it has there.  Never changed."""

    def __init__(self, limits: Limits) -> None:
        self.request_line: int = limits.request_line or _ENDLESS
        self.head: int = limits.head or _ENDLESS
        self.fields: int = limits.fields or _ENDLESS
        self.head_timeout: float = limits.head_timeout or inf
        self.body_stall: float = limits.body_stall or inf
        self.max_body: int = limits.max_body or _ENDLESS
        self.chunk_extension: int = limits.chunk_extension or _ENDLESS
        self.chunk_extensions: int = limits.chunk_extensions or _ENDLESS
        self.trailer: int = limits.trailer or _ENDLESS
        self.trailer_fields: int = limits.trailer_fields or _ENDLESS
        self.keepalive_idle: float = limits.keepalive_idle or inf
        self.keepalive_requests: int = limits.keepalive_requests or _ENDLESS
        self.send_stall: float = limits.send_stall or inf
        self.half_close: float = limits.half_close or inf
        self.connections: int = limits.connections or _ENDLESS
        self.endpoint_connections: int = limits.endpoint_connections or _ENDLESS
        self.endpoint_waiting: int = limits.endpoint_waiting or _ENDLESS
        self.pool_idle: float = limits.pool_idle or inf
        self.pool_size: int = limits.pool_size or _ENDLESS
        self.buffer: int = limits.buffer or _ENDLESS
        self.replay: int = limits.replay or _ENDLESS
        self.interim: int = limits.interim or _ENDLESS
        self.tunnels: int = limits.tunnels or _ENDLESS
        self.tunnel_idle: float = limits.tunnel_idle or inf
        self.tunnel_drain: float = limits.tunnel_drain or inf

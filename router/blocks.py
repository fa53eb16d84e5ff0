"""Who owns which counter slots: given out once, remembered for ever, never moved.

A route that comes back after a year finds its old counters.  Blocks of a kind that are given out together lie together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from router.core.model import UNLISTED, Table
from router.core.wire import Blocks, endpoint_key
from router.telemetry import WORKER_SLOTS, BusyBlock, EndpointBlock, RouteBlock

SPARE: Final = 32 * 1024
"""A counter file grows in steps of so many slots (256 KiB), so that most reloads need no larger one."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Which name owns the block at which offset."""

    routes: Mapping[str, int] = field(default_factory=dict)
    endpoints: Mapping[str, int] = field(default_factory=dict)
    busy: Mapping[str, int] = field(default_factory=dict)
    """By the name of the route."""
    end: int = WORKER_SLOTS
    """Where the next block begins."""

    def blocks(self) -> Blocks:
        """The same for those who count and who read."""
        busy = {start: self.busy[name] for name, start in self.routes.items() if name in self.busy}
        return Blocks(self.routes, self.endpoints, busy, -(-self.end // SPARE) * SPARE)


def extended(registry: Registry, table: Table) -> Registry:
    """The registry with a block for everything in the table; the same one if it had them all."""
    names = (UNLISTED, *(route.name for route in table.routes))
    busy, end = _given(names, registry.busy, BusyBlock.SIZE, registry.end)
    routes, end = _given(names, registry.routes, RouteBlock.SIZE, end)
    keys = (endpoint_key(up.name, endpoint) for up in table.upstreams.values() for endpoint in up.endpoints)
    endpoints, end = _given(keys, registry.endpoints, EndpointBlock.SIZE, end)
    return registry if end == registry.end else Registry(routes, endpoints, busy, end)


def _given(names: Iterable[str], known: Mapping[str, int], size: int, end: int) -> tuple[Mapping[str, int], int]:
    owned = dict(known)
    for name in names:
        if name not in owned:
            owned[name] = end
            end += size
    return owned, end

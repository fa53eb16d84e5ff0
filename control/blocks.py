"""Who owns which counter slots: given out once, remembered for ever, never moved.

A route that comes back after a year finds its old counters.  The registry is one small JSON file; it is written and
synced before any worker hears of a new block, so that no two names can ever own the same slots.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from router.core.model import UNLISTED, Table
from router.core.wire import Blocks, endpoint_key
from router.telemetry import WORKER_SLOTS, EndpointBlock, RouteBlock

VERSION: Final = 1
SPARE: Final = 32 * 1024
"""A counter file grows in steps of so many slots (256 KiB), so that most reloads need no larger one."""


class RegistryError(Exception):
    """The registry cannot be read or written; blocks must not be given out."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Which name owns the block at which offset."""

    routes: Mapping[str, int] = field(default_factory=dict)
    endpoints: Mapping[str, int] = field(default_factory=dict)
    end: int = WORKER_SLOTS
    """Where the next block begins."""

    def blocks(self) -> Blocks:
        return Blocks(self.routes, self.endpoints, -(-self.end // SPARE) * SPARE)


def extended(registry: Registry, table: Table) -> Registry:
    """The registry with a block for everything in the table; the same one if it had them all."""
    end = registry.end
    routes, end = _given((UNLISTED, *(route.name for route in table.routes)), registry.routes, RouteBlock.SIZE, end)
    keys = (endpoint_key(up.name, endpoint) for up in table.upstreams.values() for endpoint in up.endpoints)
    endpoints, end = _given(keys, registry.endpoints, EndpointBlock.SIZE, end)
    return registry if end == registry.end else Registry(routes, endpoints, end)


def _given(names: Iterable[str], known: Mapping[str, int], size: int, end: int) -> tuple[Mapping[str, int], int]:
    owned = dict(known)
    for name in names:
        if name not in owned:
            owned[name] = end
            end += size
    return owned, end


def read(path: Path) -> Registry:
    """What the file says; an absent file is an empty registry, an unreadable one is an error, never a guess."""
    try:
        found = json.loads(path.read_bytes())
        if found["version"] != VERSION or (found["route"], found["endpoint"]) != (RouteBlock.SIZE, EndpointBlock.SIZE):
            raise RegistryError(f"{path}: another version of strangler laid out these counters; move them away")
        return Registry(found["routes"], found["endpoints"], found["end"])
    except FileNotFoundError:
        return Registry()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{path}: {error}; move it and the counters beside it away") from error


def write(path: Path, registry: Registry) -> None:
    """Replaces the file in one step, synced."""
    message = {
        "version": VERSION,
        "route": RouteBlock.SIZE,
        "endpoint": EndpointBlock.SIZE,
        "end": registry.end,
        "routes": dict(registry.routes),
        "endpoints": dict(registry.endpoints),
    }
    try:
        replace_file(path, json.dumps(message, indent=0).encode())
    except OSError as error:
        raise RegistryError(f"{path}: {error}") from error


def replace_file(path: Path, data: bytes) -> None:
    """The whole file or the old one, whatever happens in between; synced before it is returned."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

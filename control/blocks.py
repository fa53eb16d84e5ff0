"""The registry of counter blocks on disk (`router.blocks`).

It is one small JSON file, written and synced before any worker hears of a new block, so that no two names can ever own
the same slots.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from router.blocks import Registry
from router.telemetry import BusyBlock, EndpointBlock, RouteBlock

VERSION: Final = 2
BEFORE: Final = 1
"""A version without busy blocks; the others lie where they lay, so counters go on."""
_SIZES: Final = {"route": RouteBlock.SIZE, "endpoint": EndpointBlock.SIZE, "busy_size": BusyBlock.SIZE}


class RegistryError(Exception):
    """The registry cannot be read or written; blocks must not be given out."""


def read(path: Path) -> Registry:
    """What the file says; an absent file is an empty registry, an unreadable one is an error, never a guess."""
    try:
        found = json.loads(path.read_bytes())
        if found["version"] == BEFORE:
            found |= {"busy": {}, "busy_size": BusyBlock.SIZE}
        if found["version"] not in {BEFORE, VERSION} or any(found[what] != size for what, size in _SIZES.items()):
            raise RegistryError(f"{path}: another version of strangler laid out these counters; move them away")
        return Registry(found["routes"], found["endpoints"], found["busy"], found["end"])
    except FileNotFoundError:
        return Registry()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{path}: {error}; move it and the counters beside it away") from error


def write(path: Path, registry: Registry) -> None:
    """Replaces the file in one step, synced."""
    message = {
        "version": VERSION,
        **_SIZES,
        "end": registry.end,
        "routes": dict(registry.routes),
        "endpoints": dict(registry.endpoints),
        "busy": dict(registry.busy),
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

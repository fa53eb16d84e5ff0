"""Holds on disk: one small file each, so that a worker that is started again holds what its predecessor held.

Every worker writes what it was told, since any of them may be the last one alive; equal files replace each other.
Control removes a file once the hold is a recorded order.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from router.core.hold import MOST, Hold, hold_of, message_of
from router.core.wire import encode
from router.planes.embedded.complaints import complain

FOLDER: Final = "holds"
"""In the state directory."""
_LONGEST: Final = 64 * 1024


def write(folder: Path, hold: Hold) -> None:
    """Survives a power cut once this returns; raises OSError, and leaves nothing half written, when it cannot."""
    folder.mkdir(mode=0o700, exist_ok=True)
    beside = folder / f".{hold.id}.{os.getpid()}.tmp"
    try:
        with beside.open("wb") as file:
            file.write(encode(message_of(hold)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / f"{hold.id}.json")
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def changed(folder: Path) -> int:
    """A number that is another one when files have come or gone; 0 while there is no folder."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def read(folder: Path) -> tuple[Hold, ...]:
    """All that lie there, oldest first; a file that is damaged is named on standard error and left where it is."""
    found: list[Hold] = []
    for path in sorted(folder.glob("E-*.json"))[:MOST]:
        try:
            with path.open("rb") as file:
                found.append(hold_of(json.loads(file.read(_LONGEST))))
        except FileNotFoundError:
            continue  # control has just adopted it
        except (OSError, ValueError, TypeError, RecursionError) as error:
            complain(f"{path}: {error}")
    return tuple(sorted(found, key=lambda hold: hold.at))


def remove(folder: Path, ids: tuple[str, ...]) -> None:
    """Those files, as far as they are there and can be removed."""
    for made in ids:
        try:
            (folder / f"{made}.json").unlink(missing_ok=True)
        except OSError as error:
            complain(f"{folder}: {error}")

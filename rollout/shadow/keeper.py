"""Pages on disk: one small file a route, replaced whole, readable by the router's user only.

No values are in them (`rollout.core.compare.tally`), and samples are never written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "shadow"
_LARGEST: Final = 4 * 1024 * 1024


class Keeper:
    """Reads and writes pages.  A disk that cannot do it is told of by `trouble`, which is empty while all is well."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER
        self.trouble = ""

    def read(self, route: str) -> Mapping[str, Any] | None:
        """What was kept about a route; None for nothing, and for what cannot be read."""
        try:
            path = self._path(route)
            if path.stat().st_size > _LARGEST:
                return None
            found = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) and found.get("route") == route else None

    def write(self, pages: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Each of them whole or not at all."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for route, page in pages:
                path = self._path(route)
                beside = path.with_suffix(".new")
                descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(json.dumps(page).encode())
                beside.replace(path)
        except OSError as error:
            self.trouble = str(error)
        else:
            self.trouble = ""

    def _path(self, route: str) -> Path:
        return self._folder / f"{blake2b(route.encode(), digest_size=16).hexdigest()}.json"

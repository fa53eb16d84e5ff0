"""Which targets wait for a person, on disk: a restart of control must not bring them back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from control.blocks import replace_file


class HeldFile:
    """A small JSON list of keys."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> frozenset[str]:
        """Nothing where there is no file; raises ValueError or OSError when it cannot be read."""
        try:
            found = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return frozenset()
        if not isinstance(found, list):
            raise ValueError(f"{self.path} is no list")  # noqa: TRY004  # of its content
        return frozenset(map(str, found))

    def write(self, keys: Iterable[str]) -> None:
        """Synced; raises OSError."""
        replace_file(self.path, json.dumps(sorted(keys), indent=0).encode())

"""The key that signs permissions to choose a side (`router.core.override`): made once, kept in the state directory."""

from __future__ import annotations

import os
from pathlib import Path

from router.core.override import KEY_FILE


def make_key(state: Path) -> None:
    """See to it that the state directory has a key that only its owner can read."""
    try:
        descriptor = os.open(state / KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(32))

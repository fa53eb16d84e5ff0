"""Files that people wrote, changed by a command: whole or not at all, or shown as a patch."""

from __future__ import annotations

import difflib
import os
import tempfile
from pathlib import Path


def patch(path: Path, before: str, after: str) -> str:
    one, two = (text.splitlines(keepends=True) for text in (before, after))
    return "".join(difflib.unified_diff(one, two, f"a/{path.name}", f"b/{path.name}"))


def replace(path: Path, text: str) -> None:
    """Whole or not at all; a link stays one, and the file keeps its mode.  Raises OSError."""
    real = path.resolve()
    if not os.access(real, os.W_OK):
        raise PermissionError(13, "Permission denied")
    with tempfile.NamedTemporaryFile("wb", dir=real.parent, prefix=f".{real.name}.", delete=False) as new:
        made = Path(new.name)
        try:
            new.write(text.encode())
            new.flush()
            os.fsync(new.fileno())
            made.chmod(real.stat().st_mode)
            made.replace(real)
        except BaseException:
            made.unlink()
            raise

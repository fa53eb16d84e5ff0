"""What a worker says on standard error.  Where that cannot be written either (a full disk), nothing is said."""

from __future__ import annotations

import sys


def complain(text: str) -> None:
    """One line; never an exception, since whoever complains has something more important to do."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # full, or closed
        pass

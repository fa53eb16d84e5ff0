"""The reference says what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_is_what_the_tool_writes() -> None:
    """A new key, command, metric or error code is not whole before `make reference` has been run."""
    command = [sys.executable, "tools/make_reference.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (0, "") == (done.returncode, done.stdout + done.stderr)

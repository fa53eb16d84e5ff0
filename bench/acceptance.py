"""Runs the acceptance journeys and prints the figure of every row that a journey can measure.

    python -m bench.acceptance [NAME ...]        all of them, or those whose file's name has one of these words in it

The journeys are tests (`tests/journeys/`): they assert what must hold and report what they measured.  CPU next to
other proxies is another question, and `python -m bench` answers it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import report

ROOT = Path(__file__).resolve().parent.parent
JOURNEYS = (
    "inventories", "large_bodies", "idle_connections", "rollback_under_load", "faults", "failover", "tunnels",
    "real_services", "page",
)  # fmt: skip
FIGURES = "STRANGLER_FIGURES"


def main(words: Sequence[str]) -> int:
    """Exit status: that of the journeys, or 2 for a word that no journey has in its name."""
    names = [name for name in JOURNEYS if not words or any(word in name for word in words)]
    if not names:
        print(f"no such journey; there are: {', '.join(JOURNEYS)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="strangler-acceptance-") as folder:
        figures = Path(folder) / "figures"
        code = run(names, figures)
        rows = read(figures)
    print(f"\n{report.table(report.Section('Acceptance', ('what', 'figure'), rows))}\n")
    return code


def run(names: Sequence[str], figures: Path) -> int:
    """The journeys one after the other, so that none is measured while another one works."""
    files = [str(where(name)) for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "--no-header", *files]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, FIGURES: str(figures)}, check=False).returncode


def where(name: str) -> Path:
    """A file, or a folder of its own."""
    folder = ROOT / "tests" / "journeys" / name
    return folder if folder.is_dir() else ROOT / "tests" / "journeys" / f"test_{name}.py"


def read(figures: Path) -> list[tuple[str, str]]:
    lines = figures.read_text(encoding="utf-8").splitlines() if figures.exists() else []
    return [(each["row"], each["value"]) for each in map(json.loads, lines)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

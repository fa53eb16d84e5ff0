"""What the acceptance journeys share: where their figures go, and the real services that a machine may lack."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MISSING

ROOT = Path(__file__).resolve().parents[2]
FIGURES = "STRANGLER_FIGURES"
"""Names a file; every figure is appended to it as a line of JSON (`python -m bench.acceptance` reads it)."""


@pytest.fixture
def figure() -> Callable[[str, str], None]:
    """Keeps a measured figure under the name of its row; figures are for people, tests assert wide bounds."""

    def keep(row: str, value: str) -> None:
        if path := os.environ.get(FIGURES):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"row": row, "value": value}) + "\n")

    return keep


@pytest.fixture(scope="session")
def installed() -> Callable[[str], Path]:
    """The virtual environment of a real service; skips loudly, or fails in CI, where it is not installed."""

    def find(name: str) -> Path:
        home = ROOT / f".venv-{name}"
        if (home / ".set-up").exists():
            return home
        lacking = f"{MISSING}{name} (python3 tests/journeys/services/install.py)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{lacking}; with CI=true nothing may be skipped", pytrace=False)
        pytest.skip(lacking)

    return find

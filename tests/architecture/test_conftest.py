"""A test that lacks its program does not vanish."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

EXAMPLE = """
import pytest

@pytest.mark.needs_tool("no-such-program")
def test_by_marker():
    raise AssertionError("must not run")

def test_by_fixture(needs_tool):
    needs_tool("no-such-program")

def test_with_its_tool(needs_tool):
    assert needs_tool("sh").endswith("sh")
"""


def run_example(where: Path, ci: str) -> subprocess.CompletedProcess[str]:
    (where / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (where / "test_example.py").write_text(EXAMPLE)
    (where / "pytest.ini").write_text("[pytest]\nmarkers = needs_tool(name): needs it\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-n", "2", str(where)]
    environment = os.environ | {"CI": ci}
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_missing_tool_is_a_loud_skip_on_a_developers_machine(tmp_path: Path) -> None:
    """The run passes and ends with what was not tested, also when the tests ran in several processes."""
    done = run_example(tmp_path, ci="")
    assert done.returncode == 0, done.stdout
    assert "NOT TESTED" in done.stdout
    assert "no-such-program: 2 test(s) skipped" in done.stdout


def test_a_missing_tool_is_a_failure_in_ci(tmp_path: Path) -> None:
    """With CI=true nothing goes untested unnoticed: a failure in the test, an error where a marker asked."""
    done = run_example(tmp_path, ci="true")
    assert done.returncode == 1
    assert "1 failed, 1 passed, 1 error" in done.stdout

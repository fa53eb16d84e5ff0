"""What a stranger downloads fits together: project file, locks, make targets, script of CI."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirement_names(lines: list[str]) -> set[str]:
    return {re.split(r"[\s<>=!~\[;]", line)[0].lower().replace("_", "-") for line in lines}


def locked(file: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_every_dependency_has_a_lower_bound() -> None:
    """A requirement without a bound would accept releases that nobody has ever tried."""
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    assert [line for line in wanted if ">=" not in line] == []


def test_the_locks_name_every_dependency_and_agree() -> None:
    """Run-time packages stand in both locks with one version; the development set stands in its own."""
    runtime, development = locked("requirements.lock"), locked("requirements-dev.lock")
    project = PROJECT["project"]
    assert requirement_names(project["dependencies"]) - set(runtime) == set()
    assert requirement_names(project["optional-dependencies"]["dev"]) - set(development) == set()
    assert {name: development.get(name) for name in runtime} == runtime


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_hashes_and_names_no_host(file: str) -> None:
    """Where packages come from is the installing machine's affair; what they contain is ours."""
    text = (ROOT / file).read_text()
    assert "://" not in text
    assert len(re.findall(r"^[A-Za-z0-9._-]+==.*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(locked(file))


def test_every_dependency_is_explained() -> None:
    """The decision page has a paragraph for each run-time dependency."""
    page = (ROOT / "docs/decisions/0001-dependencies.md").read_text()
    explained = set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE))
    assert requirement_names(PROJECT["project"]["dependencies"]) == explained


def test_an_interpreter_that_is_too_old_is_refused_in_plain_words(tmp_path: Path) -> None:
    """`make setup` says what it needs and what it found instead of failing somewhere inside pip."""
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ncase "$*" in *--version*) echo "Python 3.9.2";; *) exit 1;; esac\n')
    old.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["make", "setup", f"VENV={tmp_path}/venv", f"PYTHON={old}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "strangler needs Python 3.11 or newer; found: Python 3.9.2" in done.stdout


def test_the_script_of_ci_is_sound_and_ends_with_make_test() -> None:
    """bash can parse it, it may be executed, and its last command is the one that people run too."""
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=10)
    assert script.read_text().rstrip().splitlines()[-1].endswith("make --no-print-directory test")

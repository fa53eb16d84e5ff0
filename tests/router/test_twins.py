"""Compiled twins: used only while they are not a byte older than their sources, and never needed."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import pytest

from router import twins as real

ROOT = Path(__file__).parents[2]
SMALL = "def double(number: int) -> int:\n    return number * 2\n"
ASK = "import router.core.small as small, router.twins as t; print(small.double(21), small.__file__.endswith('.py'))"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("twins_of_a_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with our twins, our compiler and one small module."""
    for folder in ("router/core", "router/planes/embedded", "tools"):
        (tmp_path / folder).mkdir(parents=True)
    text = re.sub(
        r"(?s)MODULES: Final = \(.*?\n\)",
        'MODULES: Final = ("router.core.small",)',
        (ROOT / "router/twins.py").read_text(),
    )
    (tmp_path / "router/twins.py").write_text(text)
    shutil.copy(ROOT / "router/__init__.py", tmp_path / "router/__init__.py")
    shutil.copy(ROOT / "tools/compile_hot_path.py", tmp_path / "tools/compile_hot_path.py")
    (tmp_path / "router/core/__init__.py").touch()
    (tmp_path / "router/core/small.py").write_text(SMALL)
    return tmp_path


@pytest.fixture
def twins(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """That project's twins, with a home that is fresh; what they install is taken out again."""
    monkeypatch.delenv("STRANGLER_PURE", raising=False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    module = load(project / "router/twins.py")
    module.HOME.mkdir(parents=True)
    (module.HOME / module.STAMP).write_text(module.digest())
    return module


def run(project: Path, *arguments: str, **environment: str) -> str:
    """Output of a Python program in the project, which must end well."""
    kept = {name: value for name, value in os.environ.items() if name not in {"STRANGLER_PURE", "CC", "PYTHONPATH"}}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=kept | {"PYTHONPATH": str(project)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ------------------------------------------------------------------------------------------------- fresh or not


def test_fresh_twins_are_preferred(twins: ModuleType) -> None:
    """From the moment of `install` on."""
    assert twins.install() is True
    assert isinstance(sys.meta_path[0], twins.TwinFinder)


def a_changed_byte(project: Path) -> None:
    (project / "router/core/small.py").write_text(SMALL.replace("2", "3"))


def a_new_module(project: Path) -> None:
    (project / "router/core/more.py").touch()


def a_neighbour(project: Path) -> None:
    (project / "router/planes/embedded/other.py").write_text("x = 1\n")


def another_name(project: Path) -> None:
    (project / "router/core/small.py").rename(project / "router/core/tiny.py")


@pytest.mark.parametrize("change", [a_changed_byte, a_new_module, a_neighbour, another_name])
def test_twins_of_other_sources_are_not_used(twins: ModuleType, project: Path, change: Callable[[Path], None]) -> None:
    """Whatever changed in the packages: compiled code has the layout of its neighbours built in."""
    before = list(sys.meta_path)
    change(project)
    assert twins.install() is False
    assert before == sys.meta_path


def test_twins_without_a_stamp_are_not_used(twins: ModuleType) -> None:
    """Nobody knows what they were made of."""
    (twins.HOME / twins.STAMP).unlink()
    assert twins.install() is False


def test_without_twins_there_is_nothing_to_prefer(twins: ModuleType) -> None:
    """The commonest case on somebody else's machine."""
    shutil.rmtree(twins.HOME)
    assert twins.install() is False


def test_whoever_insists_gets_the_sources(twins: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """STRANGLER_PURE=1, for measuring and for debugging."""
    monkeypatch.setenv("STRANGLER_PURE", "1")
    assert twins.install() is False


def test_a_finder_knows_its_modules_and_leaves_others_alone(twins: ModuleType) -> None:
    """By their full names; the library that they share included."""
    for name in ("router/core/small", "shared__mypyc"):
        path = twins.HOME / (name + EXTENSION_SUFFIXES[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    finder = twins.TwinFinder(twins.HOME)
    assert [str(twins.HOME / ("router/core/small" + EXTENSION_SUFFIXES[0])), None, None] == [
        getattr(finder.find_spec(name), "origin", None) for name in ("router.core.small", "router.core", "small")
    ]
    assert finder.find_spec("shared__mypyc") is not None


# ---------------------------------------------------------------------------------------------------- the real ones


def test_every_twin_has_a_source() -> None:
    """A module that was renamed must be renamed in the list too."""
    assert [] == [module for module in real.MODULES if not real.source(module).is_file()]


def test_compiled_code_runs_exactly_when_it_is_fresh() -> None:
    """Here and now: as `make twins` left it, and not at all for those who insist on the sources."""
    ask = "import router.planes.embedded.exchange; from router import twins; print(twins.in_use())"
    fresh = real.HOME.is_dir() and (real.HOME / real.STAMP).read_text() == real.digest()
    assert f"{fresh}\n" == run(ROOT, "-c", ask)
    assert "False\n" == run(ROOT, "-c", ask, STRANGLER_PURE="1")


# ------------------------------------------------------------------------------------------------- the compiler


def test_without_a_compiler_the_project_stays_plain_python(project: Path) -> None:
    """It says so, changes nothing, and that is no failure."""
    said = run(project, "tools/compile_hot_path.py", PATH="/nowhere")
    assert "the hot path stays plain Python: there is no C compiler\n" == said
    assert not (project / "build").exists()
    assert "42 True\n" == run(project, "-c", ASK)


@pytest.mark.needs_tool("cc")
def test_what_is_compiled_is_the_same_program_until_a_source_changes(project: Path) -> None:
    """Compiled once, used at once, left alone while fresh, set aside by an edit, and kept when a compiler fails."""
    assert "compiled 1 modules of the hot path\n" in run(project, "tools/compile_hot_path.py")
    assert "42 False\n" == run(project, "-c", ASK)
    assert "42 True\n" == run(project, "-c", ASK, STRANGLER_PURE="1")
    assert "" == run(project, "tools/compile_hot_path.py")
    (project / "router/core/small.py").write_text(SMALL.replace("* 2", "* 3"))
    assert "63 True\n" == run(project, "-c", ASK)
    broken = project / "broken-cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    said = run(project, "tools/compile_hot_path.py", CC=str(broken))
    assert "the hot path stays plain Python: " in said
    assert "63 True\n" == run(project, "-c", ASK)
    assert ["cpython"] == [path.name[:7] for path in (project / "build/twins").iterdir()]

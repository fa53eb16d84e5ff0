"""The floors of ARCHITECTURE.md hold, and the cores are pure.

The contract itself stands in pyproject.toml (import-linter).  The second half goes further than an import graph can:
it lists the few modules a core may know and the built-ins it must not call, so that a new way to reach the outside
world has to be allowed rather than noticed.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter import cli

ROOT = Path(__file__).parents[2]

CORES = {
    "router/core": ("router.core",),
    "rollout/core": ("router.core", "rollout.core"),
    "discovery/core": ("router.core", "discovery.core"),
}

PURE_MODULES = {
    "__future__",
    "array",
    "binascii",
    "bisect",
    "collections",
    "collections.abc",
    "dataclasses",
    "decimal",
    "difflib",
    "enum",
    "fnmatch",
    "fractions",
    "functools",
    "hashlib",
    "hmac",
    "heapq",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "mypy_extensions",
    "operator",
    "orjson",
    "re",
    "statistics",
    "string",
    "struct",
    "types",
    "typing",
    "xxhash",
    "zlib",
}

IMPURE_BUILTINS = {"__import__", "breakpoint", "eval", "exec", "hash", "id", "input", "open", "print"}


def core_files() -> list[str]:
    return [str(path.relative_to(ROOT)) for core in CORES for path in sorted((ROOT / core).rglob("*.py"))]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def called_builtins(tree: ast.AST) -> set[str]:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {func.id for func in calls if isinstance(func, ast.Name)} & set(dir(builtins))


def foreign(module: str, own: tuple[str, ...]) -> bool:
    return module not in PURE_MODULES and not any(module == name or module.startswith(f"{name}.") for name in own)


def test_the_import_contract_holds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """import-linter finds no import that goes up a floor or across one."""
    monkeypatch.chdir(ROOT)
    code = cli.lint_imports(no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_the_import_contract_is_not_empty() -> None:
    """router.core is really there to be looked at; a renamed folder must not make these tests vacuous."""
    assert {"router/core/model.py", "router/core/decide.py"} <= set(core_files())


@pytest.mark.parametrize("path", core_files())
def test_a_core_imports_only_what_is_pure(path: str) -> None:
    """Every import in a core is on the short list of pure modules or comes from a core below."""
    own = next(names for core, names in CORES.items() if path.startswith(core))
    tree = ast.parse((ROOT / path).read_text())
    assert [module for module in imported(tree) if foreign(module, own)] == []


@pytest.mark.parametrize("path", core_files())
def test_a_core_calls_nothing_that_reaches_outside(path: str) -> None:
    """No open, print or input; and no hash(), which differs from process to process."""
    tree = ast.parse((ROOT / path).read_text())
    assert called_builtins(tree) & IMPURE_BUILTINS == set()

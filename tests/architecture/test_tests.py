"""The tests keep the rules of CONTRIBUTING.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def all_tests() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield f"{path.relative_to(ROOT)}::{node.name}", node


def test_every_test_says_its_claim_in_a_sentence() -> None:
    """Each test function has a docstring that ends like a sentence."""
    unsaid = [
        name for name, node in all_tests() if not (ast.get_docstring(node) or "").rstrip().endswith((".", "?", "!"))
    ]
    assert unsaid == []


def test_there_is_no_package_below_tests() -> None:
    """With an __init__.py there, `import router` would find tests/router."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []

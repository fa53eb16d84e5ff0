"""Names that dashboards depend on are written once, and the project speaks of itself only."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("router", "rollout", "discovery", "control", "demo")
METRIC = re.compile(r"strangler_[a-z0-9_]+")
HOME = "router/telemetry.py"


def source_files() -> list[Path]:
    return [path for package in SOURCES for path in sorted((ROOT / package).rglob("*.py"))]


def metric_literals(path: Path) -> list[str]:
    """Metric names spelled out as whole string constants."""
    constants = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str) and METRIC.fullmatch(value)]


def test_metric_names_stand_in_telemetry_only() -> None:
    """No other module spells a metric's name; it takes the one from router.telemetry."""
    spelled = {str(path.relative_to(ROOT)): names for path in source_files() if (names := metric_literals(path))}
    assert set(spelled) == {HOME}


def test_every_metric_name_is_registered_once() -> None:
    """No two entries of router.telemetry share a name."""
    counts = Counter(metric_literals(ROOT / HOME))
    assert [name for name, count in counts.items() if count > 1] == []

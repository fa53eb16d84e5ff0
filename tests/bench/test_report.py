"""Medians, ratios and tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import report
from bench.load import Outcome, parse
from bench.measure import Turn
from bench.processes import BenchError
from bench.report import Section


def turn(cpu_us: float, *, failed: int = 0) -> Turn:
    return Turn(cpu_us, Outcome(requests=1000, seconds=2.0, p50=1.0, p99=5.0, slowest=9.0, failed=failed))


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """A disturbance that both suffered in one round does not move it."""
    ours, theirs = [turn(10), turn(30), turn(12)], [turn(20), turn(60), turn(20)]

    assert 0.5 == report.ratio(ours, theirs)


def test_there_is_no_ratio_without_a_round_in_common() -> None:
    """A peer that was not measured, or used no measurable CPU, is not divided by."""
    assert report.ratio([], [turn(20)]) is None
    assert report.ratio([turn(20)], [turn(0)]) is None


def test_a_comparison_names_the_missing_and_adds_up_failures() -> None:
    """A peer that is not there is said to be missing; failed requests are never averaged away."""
    turns = {"ours": [turn(10), turn(14)], "peer": [turn(20, failed=1), turn(28, failed=2)]}
    section = report.comparison("One", turns, {"ours": "1", "peer": "2", "gone": "not found"}, "ours")

    assert [
        ["ours", "1", "12.0 (10.0–14.0)", "500", "1.00", "5.00", "0", "1.00"],
        ["peer", "2", "24.0 (20.0–28.0)", "500", "1.00", "5.00", "3", "0.50"],
        ["gone", "not found", "–", "–", "–", "–", "–", "–"],
    ] == section.rows


def test_a_table_is_aligned_markdown() -> None:
    """It can be read in a terminal as well as on a page."""
    assert "| a   | b |\n| --- | - |\n| 100 | x |" == report.table(Section("T", ("a", "b"), [("100", "x")]))


def test_saving_one_section_keeps_the_others_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of one scenario replaces its own table and nothing else."""
    monkeypatch.setattr(report, "STORE", tmp_path / "results.json")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "RESULTS.md")
    for name, title in (("b", "Second"), ("a", "First"), ("b", "Second again")):
        report.save(name, Section(title, ("x",), [("1",)]), "today", ["a", "b"])

    page = (tmp_path / "RESULTS.md").read_text()
    assert ["## First", "## Second again"] == [line for line in page.splitlines() if line.startswith("## ")]
    assert ["a", "b"] == list(json.loads((tmp_path / "results.json").read_text()))


def test_what_the_load_script_prints_is_read_back() -> None:
    """wrk's own report around it does not matter."""
    line = 'bench-result {"requests": 5, "seconds": 1.5, "p50": 0.1, "p99": 0.2, "slowest": 0.3, "failed": 2}'

    assert Outcome(5, 1.5, 0.1, 0.2, 0.3, 2) == parse(f"Running 1s test\n{line}\nRequests/sec: 3")


def test_a_load_without_a_result_is_an_error_that_shows_what_was_printed() -> None:
    """For instance when nothing listened."""
    with pytest.raises(BenchError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")

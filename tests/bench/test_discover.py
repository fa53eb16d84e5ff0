"""The bench of a million lines, with a few."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.discover import lines, measure
from discovery.core.lines import recognise


@pytest.mark.parametrize("kind", ["usual", "json", "distinct"])
def test_a_log_of_each_kind_is_read_to_its_end(kind: str, tmp_path: Path) -> None:
    """What is measured is the command on that log, all of it."""
    log = tmp_path / "access.log"
    log.write_text("".join(lines(2000, kind)))
    seconds, busy, peak, said = measure(log)
    assert "2,000 lines of the access log" in said
    assert 0 < busy <= seconds * 2 + 1
    assert peak > 10_000


def test_lines_are_what_they_say() -> None:
    """JSON is JSON, and distinct paths are distinct."""
    assert all(json.loads(line)["method"] == "GET" for line in lines(50, "json"))
    assert recognise([line.encode() for line in lines(50, "usual")]) == "combined"
    assert len({line.split(" ")[6] for line in lines(500, "distinct")}) == 500

"""The acceptance command: which journeys it runs, and the figures it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import acceptance
from tests.journeys import conftest


def test_every_journey_it_names_exists() -> None:
    """A renamed file must not vanish from the run."""
    assert [] == [name for name in acceptance.JOURNEYS if not acceptance.where(name).exists()]


def test_journeys_write_where_it_reads(tmp_path: Path) -> None:
    """Both sides name one variable and one form of lines."""
    assert acceptance.FIGURES == conftest.FIGURES
    (tmp_path / "figures").write_text('{"row": "idle", "value": "2 KiB"}\n{"row": "up", "value": "1 MiB"}\n')
    assert [("idle", "2 KiB"), ("up", "1 MiB")] == acceptance.read(tmp_path / "figures")
    assert [] == acceptance.read(tmp_path / "nothing was measured")


def test_an_unknown_journey_is_refused_with_the_names_of_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """Instead of running nothing and calling that a success."""
    assert 2 == acceptance.main(["no-such-journey"])
    assert "idle_connections" in capsys.readouterr().err

"""Holds on disk: what a worker's successor finds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from router.core.hold import Hold
from router.core.orders import Reach, Scope
from router.planes.embedded.holds import changed, read, remove, write

ONE = Hold("E-aaaa", Scope(Reach.ALL), "errors", "kim", 2.0)
OTHER = Hold("E-bbbb", Scope(Reach.ROUTE, "GET /v1/*"), "오류", "lee", 1.0)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Oldest first; written twice, by two workers, it is there once."""
    for hold in (ONE, OTHER, ONE):
        write(tmp_path / "holds", hold)
    assert (OTHER, ONE) == read(tmp_path / "holds")
    assert ["E-aaaa.json", "E-bbbb.json"] == sorted(path.name for path in (tmp_path / "holds").iterdir())


def test_nothing_there_is_nothing_held(tmp_path: Path) -> None:
    """The folder is made with the first hold."""
    assert () == read(tmp_path / "holds")


@pytest.mark.parametrize("damaged", ["", "[", "7", '{"id": "E-cccc"}', '{"op": "hol'])
def test_a_damaged_file_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str], damaged: str) -> None:
    """It is named, and the others are held."""
    write(tmp_path, ONE)
    (tmp_path / "E-cccc.json").write_text(damaged)
    assert (ONE,) == read(tmp_path)
    assert "E-cccc.json" in capsys.readouterr().err


def test_what_is_adopted_is_removed(tmp_path: Path) -> None:
    """Twice is no harm."""
    write(tmp_path, ONE)
    write(tmp_path, OTHER)
    for _ in range(2):
        remove(tmp_path, ("E-aaaa",))
    assert (OTHER,) == read(tmp_path)


def test_a_disk_that_cannot_says_so(tmp_path: Path) -> None:
    """And nothing half written is left."""
    (tmp_path / "holds").write_text("in the way")
    with pytest.raises(OSError, match="holds"):
        write(tmp_path / "holds", ONE)
    (tmp_path / "E-aaaa.json").mkdir()
    with pytest.raises(OSError, match="E-aaaa"):
        write(tmp_path, ONE)
    assert ["E-aaaa.json", "holds"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_glance_tells_whether_there_is_something_new(tmp_path: Path) -> None:
    """So that workers read only when somebody was told something."""
    folder = tmp_path / "holds"
    assert 0 == changed(folder)
    write(folder, ONE)
    before = changed(folder)
    assert before == changed(folder) != 0
    os.utime(folder, ns=(1, 1))
    remove(folder, ("E-aaaa",))
    assert 1 != changed(folder)

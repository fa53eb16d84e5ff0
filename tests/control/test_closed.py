"""Others on the machine get nothing of the state directory, and do not write the routes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.auth.tokens import FILE as TOKENS
from control.closed import anybody_may_write, close_to_others, group_may_write
from control.watcher import look


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_state_directory_that_was_open_is_closed(tmp_path: Path) -> None:
    """Files of earlier versions too; but for the tokens, which are refused while they are open."""
    (tmp_path / "workers").mkdir()
    files = [tmp_path / "strangler.db", tmp_path / "run.json", tmp_path / "workers" / "0.slots"]
    for path in (*files, tmp_path / TOKENS):
        path.write_text("{}")
        path.chmod(0o666)
    tmp_path.chmod(0o777)
    close_to_others(tmp_path, but=(TOKENS,))
    assert [0o600] * 3 == [mode(path) for path in files]
    assert (0o666, 0o755) == (mode(tmp_path / TOKENS), mode(tmp_path))


def test_what_a_link_points_to_is_left_alone(tmp_path: Path) -> None:
    """The state directory is closed, and nothing outside of it."""
    state, outside = tmp_path / "state", tmp_path / "other"
    state.mkdir()
    outside.write_text("")
    outside.chmod(0o644)
    (state / "link").symlink_to(outside)
    (state / "workers").symlink_to(tmp_path)
    close_to_others(state, but=())
    assert 0o644 == mode(outside)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A routes.yaml to which every folder on the way is open."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "routes.yaml"
        path.write_text("version: 1\n")
        path.chmod(0o644)
        yield path


def test_a_file_that_everybody_can_write_is_refused_with_what_to_do(reachable: Path) -> None:
    """Who knows who wrote it?  What is in force stays."""
    reachable.chmod(0o666)
    assert None is look(reachable).data
    assert f"chmod o-w {reachable}" in look(reachable).trouble


def test_a_shared_checkout_is_normal(reachable: Path) -> None:
    """The group may write there; that is told, and the file is read."""
    reachable.chmod(0o664)
    assert (False, True) == (anybody_may_write(reachable), group_may_write(reachable))
    assert b"version: 1\n" == look(reachable).data


def test_a_closed_folder_on_the_way_is_enough(reachable: Path) -> None:
    """Some build machines make every file open to all, in folders that nobody else enters."""
    reachable.chmod(0o666)
    reachable.parent.chmod(0o700)
    assert not anybody_may_write(reachable)
    assert b"version: 1\n" == look(reachable).data


def test_a_file_that_is_gone_is_nobodys(tmp_path: Path) -> None:
    """No folder, no file: no answer that frightens."""
    missing = tmp_path / "no" / "routes.yaml"
    assert (False, False) == (anybody_may_write(missing), group_may_write(missing))

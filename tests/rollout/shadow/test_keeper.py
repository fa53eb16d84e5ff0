"""rollout.shadow.keeper: pages on disk."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from rollout.shadow.keeper import FOLDER, Keeper

NAME = "GET /v1/products/{productNo}"


def test_a_page_is_read_as_it_was_written_by_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the route is called; nobody else may look."""
    keeper = Keeper(tmp_path)
    keeper.write([(NAME, {"route": NAME, "n": 1}), ("b", {"route": "b"})])
    assert ({"route": NAME, "n": 1}, "") == (keeper.read(NAME), keeper.trouble)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / FOLDER).iterdir()}
    assert ({0o600}, 0o700) == (modes, stat.S_IMODE((tmp_path / FOLDER).stat().st_mode))


def test_what_is_no_page_is_as_good_as_nothing(tmp_path: Path) -> None:
    """Cut, empty, of another route, a list, not there."""
    keeper = Keeper(tmp_path)
    keeper.write([(NAME, {"route": NAME})])
    (path,) = (tmp_path / FOLDER).iterdir()
    for text in ("", '{"route"', json.dumps({"route": "other"}), "[]", "[" * 100_000):
        path.write_text(text)
        assert None is keeper.read(NAME)
    assert None is keeper.read("never")


def test_a_disk_that_cannot_is_told_of_until_it_can(tmp_path: Path) -> None:
    """Comparing goes on meanwhile."""
    keeper = Keeper(tmp_path)
    (tmp_path / FOLDER).write_text("in the way")
    keeper.write([("a", {"route": "a"})])
    assert keeper.trouble
    (tmp_path / FOLDER).unlink()
    keeper.write([("a", {"route": "a"})])
    assert ("", {"route": "a"}) == (keeper.trouble, keeper.read("a"))

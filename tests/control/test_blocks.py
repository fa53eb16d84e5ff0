"""What is known of counter blocks survives on disk, or is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from control import blocks
from control.blocks import RegistryError
from router.blocks import Registry
from router.telemetry import BusyBlock, RouteBlock


def test_the_registry_survives_on_disk(tmp_path: Path) -> None:
    """Absent is empty; what was written is read."""
    path = tmp_path / "blocks.json"
    assert Registry() == blocks.read(path)
    registry = Registry({"a": 80}, {"m http://h:1": 400}, {"a": 64}, 416)
    blocks.write(path, registry)
    assert registry == blocks.read(path)
    assert ["blocks.json"] == [each.name for each in tmp_path.iterdir()]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 3}', '{"version": 2}', '{"version": 1}', '{"version": []}']
)
def test_a_registry_that_cannot_be_understood_is_an_error(tmp_path: Path, text: str) -> None:
    """Guessing would count one route's requests for another."""
    (tmp_path / "blocks.json").write_text(text)
    with pytest.raises(RegistryError, match=r"blocks\.json"):
        blocks.read(tmp_path / "blocks.json")


def test_a_registry_from_before_there_were_busy_blocks_is_read(tmp_path: Path) -> None:
    """So that counters go on after an update: what was given out stays, and the rest comes with the next table."""
    path = tmp_path / "blocks.json"
    blocks.write(path, Registry({"a": 64}, {"m http://h:1": 400}, {}, 416))
    now = json.loads(path.read_text())
    path.write_text(json.dumps({name: now[name] for name in now if not name.startswith("busy")} | {"version": 1}))
    assert Registry({"a": 64}, {"m http://h:1": 400}, {}, 416) == blocks.read(path)


@pytest.mark.parametrize(
    "other", [{"route": RouteBlock.SIZE + 1}, {"busy_size": BusyBlock.SIZE + 8}, {"endpoint": 8}, {"version": 0}]
)
def test_a_registry_of_another_layout_is_an_error(tmp_path: Path, other: dict[str, int]) -> None:
    """Blocks of another size would overlap."""
    path = tmp_path / "blocks.json"
    blocks.write(path, Registry())
    path.write_text(json.dumps(json.loads(path.read_text()) | other))
    with pytest.raises(RegistryError, match="another version"):
        blocks.read(path)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Whoever has the old one open reads the old one to its end."""
    path = tmp_path / "f"
    blocks.replace_file(path, b"old")
    with path.open("rb") as reading:
        blocks.replace_file(path, b"new and longer")
        assert b"old" == reading.read()
    assert b"new and longer" == path.read_bytes()


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    """And blocks that are not recorded are not given out."""
    with pytest.raises(RegistryError, match="absent"):
        blocks.write(tmp_path / "absent" / "blocks.json", replace(Registry(), end=99))

"""Counter blocks are given out once and never moved."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control import blocks
from control.blocks import Registry, RegistryError
from router.core.model import UNLISTED, Table
from router.core.wire import endpoint_key
from router.telemetry import WORKER_SLOTS, EndpointBlock, RouteBlock
from tests.router.core.tables import tables


@given(st.lists(tables(), min_size=1, max_size=5))
def test_no_two_names_ever_share_a_slot_and_nothing_ever_moves(story: list[Table]) -> None:
    """Over any sequence of tables; routes that come back find their old block; the file is large enough."""
    registry = Registry()
    for table in story:
        before, registry = registry, blocks.extended(registry, table)
        assert dict(before.routes).items() <= dict(registry.routes).items()
        assert dict(before.endpoints).items() <= dict(registry.endpoints).items()
        keys = {endpoint_key(up.name, end) for up in table.upstreams.values() for end in up.endpoints}
        assert {UNLISTED, *(route.name for route in table.routes)} <= set(registry.routes)
        assert keys <= set(registry.endpoints)
    taken = [(start, RouteBlock.SIZE) for start in registry.routes.values()]
    taken += [(start, EndpointBlock.SIZE) for start in registry.endpoints.values()]
    ordered = sorted(taken)
    assert ordered[0][0] == WORKER_SLOTS
    assert all(start + size <= following for (start, size), (following, _) in pairwise(ordered))
    assert sum(ordered[-1]) == registry.end <= registry.blocks().slots


@given(tables())
def test_a_table_that_is_known_changes_nothing(table: Table) -> None:
    """The very same registry, so that nothing need be written."""
    registry = blocks.extended(Registry(), table)
    assert registry is blocks.extended(registry, table)


def test_the_registry_survives_on_disk(tmp_path: Path) -> None:
    """Absent is empty; what was written is read."""
    path = tmp_path / "blocks.json"
    assert Registry() == blocks.read(path)
    registry = Registry({"a": 64}, {"m http://h:1": 300}, 316)
    blocks.write(path, registry)
    assert registry == blocks.read(path)
    assert ["blocks.json"] == [each.name for each in tmp_path.iterdir()]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"version": 1}'])
def test_a_registry_that_cannot_be_understood_is_an_error(tmp_path: Path, text: str) -> None:
    """Guessing would count one route's requests for another."""
    (tmp_path / "blocks.json").write_text(text)
    with pytest.raises(RegistryError, match=r"blocks\.json"):
        blocks.read(tmp_path / "blocks.json")


def test_a_registry_of_another_layout_is_an_error(tmp_path: Path) -> None:
    """Blocks of another size would overlap."""
    path = tmp_path / "blocks.json"
    blocks.write(path, Registry())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"route": RouteBlock.SIZE + 1}))
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

"""Files that are OpenAPI documents, or pretend to be."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from discovery import documents
from discovery.core import inventory
from discovery.documents import UnreadableError, read, values


def labels(data: bytes) -> list[str]:
    return [f"{each.method} {each.path}" for each in inventory.read(values(data)).operations]


YAML = b"""\
openapi: 3.1.0
x-shared: &item {get: {tags: [A], responses: {200: {}}}, put: {}}
components:
  schemas: {Big: {properties: {a: {type: string}}}}
  pathItems: {p: {delete: {}}}
paths:
  /a: *item
  /b: {<<: *item, post: {deprecated: true}}
  /c: {$ref: '#/components/pathItems/p'}
  /d: {additionalOperations: {QUERY: {tags: [B]}}}
"""


def test_yaml_is_read_with_its_anchors_and_merges() -> None:
    """What stands behind an alias is there, and only operations are kept."""
    assert labels(YAML) == ["GET /a", "PUT /a", "GET /b", "PUT /b", "POST /b", "DELETE /c", "QUERY /d"]
    found = inventory.read(values(YAML)).operations
    assert [(each.tag, each.deprecated) for each in found if each.path in {"/b", "/d"}] == [
        ("A", False), ("", False), ("", True), ("B", False),
    ]  # fmt: skip


def test_json_is_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    """JSON, with a byte order mark, gzipped or in UTF-16."""
    text = json.dumps({"swagger": "2.0", "paths": {"/a": {"get": {}}}})
    for data in (text.encode(), text.encode("utf-8-sig"), gzip.compress(text.encode()), text.encode("utf-16")):
        path = tmp_path / "api.yaml"
        path.write_bytes(data)
        assert len(inventory.read(read(path)).operations) == 1


PAIRS = zip("abcdefgh", "bcdefghi", strict=True)
LINES = [f"x-{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n" for before, after in PAIRS]
BOMB = "paths: {}\nx-a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(LINES)


def test_aliases_of_aliases_cost_nothing() -> None:
    """Nine to the ninth values are nine lists of nine."""
    assert labels(BOMB.encode()) == []


def test_an_alias_of_what_it_is_in_leads_nowhere() -> None:
    """A document that contains itself ends."""
    assert labels(b"paths: &p\n  /a: {get: {}}\n  /b: *p\n") == ["GET /a"]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"   \n", b"\0\0\0\0", b"\xff\xfe\xff", b"a: [", b"{" * 100_000, b"[" * 100_000, b"{\"a\":" * 50_000,
        b"a: b: c", b"\x89PNG\r\n\x1a\n", b"- " * 5000, b"'" * 1000, b"%TAG ! x", b"paths: *nowhere", b"\x80abc",
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused_in_words(data: bytes) -> None:
    """Empty, binary, cut off, nested without end: an error that says so, or no operations."""
    found, said = [], ""
    try:
        found = labels(data)
    except (UnreadableError, inventory.NotOpenApiError) as error:
        said = str(error)
    assert found == []
    assert said.isprintable()


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a plain one nor one that grows when it is unpacked."""
    monkeypatch.setattr(documents, "MAX_BYTES", 10_000)
    for data in (b"x" * 20_000, gzip.compress(b"x" * 20_000)):
        path = tmp_path / "large"
        path.write_bytes(data)
        with pytest.raises(UnreadableError, match="larger than"):
            read(path)


def test_too_many_values_end_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small each of them is."""
    monkeypatch.setattr(documents, "MAX_EVENTS", 100)
    with pytest.raises(UnreadableError, match="more than 100 values"):
        values(b"a: [" + b"x," * 200 + b"x]")


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_cannot_be_opened_is_an_error_in_words(name: str, tmp_path: Path) -> None:
    """A missing file and a folder."""
    with pytest.raises(UnreadableError):
        read(tmp_path / name)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"paths: {}" * 1000)[:30])
    with pytest.raises(UnreadableError):
        read(tmp_path / "cut.gz")

"""Positioned values are plain, immutable values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from router.core.document import Entry, Mapping, Scalar, Sequence


def test_documents_are_equal_when_values_and_places_are() -> None:
    """A place is part of the value: the same word on another line is another scalar."""
    assert Scalar("a", 1, 1, "a") == Scalar("a", 1, 1, "a")
    assert Scalar("a", 1, 1, "a") != Scalar("a", 2, 1, "a")
    assert Scalar(25, 1, 1, "25") != Scalar(25, 1, 1, "0x19")


def test_documents_cannot_be_changed() -> None:
    """Who reads a document cannot spoil it for the next reader."""
    for node in (Scalar(1, 1, 1, "1"), Sequence((), 1, 1), Mapping((), 1, 1), Entry("k", Sequence((), 1, 4), 1, 1)):
        with pytest.raises(FrozenInstanceError):
            node.line = 7  # type: ignore[misc]

"""Limits as the hot path compares with them."""

from __future__ import annotations

from dataclasses import fields, replace

from router.core.model import Limits
from router.planes.embedded.bounds import Bounds

ENDLESS = 2**50


def test_every_limit_stands_under_its_name() -> None:
    """Whatever the table says, each with a value of its own, so that none can stand for another."""
    names = [field.name for field in fields(Limits)]
    said = replace(Limits(), **{name: number + 1 for number, name in enumerate(names)})  # type: ignore[arg-type]
    bounds = Bounds(said)
    assert {name: number + 1 for number, name in enumerate(names)} == {name: getattr(bounds, name) for name in names}


def test_zero_is_no_limit() -> None:
    """Wherever it is written."""
    names = [field.name for field in fields(Limits)]
    bounds = Bounds(replace(Limits(), **dict.fromkeys(names, 0)))  # type: ignore[arg-type]
    assert all(getattr(bounds, name) > ENDLESS for name in names)

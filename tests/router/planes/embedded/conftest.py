"""A stage that checks its books when a test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from router.core.model import Table
from tests.router.planes.embedded.stage import Stage


@pytest.fixture
def make_stage() -> Iterator[Callable[..., Stage]]:
    """Makes stages; each is closed, and its books are checked, at the end of the test."""
    made: list[Stage] = []

    def make(declared: Table | None = None, access_log: Any = None) -> Stage:
        made.append(Stage(declared, access_log))
        return made[-1]

    yield make
    for stage in made:
        stage.close()


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """One route, all of it on the new side, without fallback."""
    return make_stage()

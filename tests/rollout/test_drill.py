"""The drill fires when the judgement works, and only then."""

from __future__ import annotations

import pytest

from rollout import controller, drill
from rollout.core.alpha import Alpha
from rollout.core.judge import State
from rollout.core.settings import Settings


async def test_the_fault_is_found() -> None:
    """Within a few failures; the sides that are equal are left alone."""
    found = await drill.drill(Settings())
    assert (True, True) == (found.fired, found.failed <= drill.MOST)
    assert "ROLLBACK route scratch" in found.why


async def test_a_judgement_that_looks_at_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst mistake of such machinery."""
    monkeypatch.setattr(controller, "judge", lambda state, *_: (state, ()))
    monkeypatch.setattr(controller, "current", lambda *_: None)
    found = await drill.drill(Settings())
    assert (False, "was not rolled back") == (found.fired, found.why[-19:])
    assert State() == State()


async def test_one_that_needs_too_much_is_found_out() -> None:
    """Sure beyond all measure is as good as never."""
    found = await drill.drill(Settings(alpha=Alpha(errors=1e-300)))
    assert not found.fired

"""The status page: what a person has to do about an order stands beside it."""

from __future__ import annotations

from typing import Any

import pytest

from control.api.page import render

ORDER: dict[str, Any] = {"id": "C-3", "kind": "cap", "text": "cap 30 % all", "reason": "sale", "actor": "kim"}
STATUS: dict[str, Any] = {
    "revision": 3,
    "persisted": True,
    "source": {"path": "routes.yaml", "status": "ok", "problems": []},
    "workers": [],
    "routes": [],
}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "when somebody lifts it"),
        ({"expires": 0.0, "provisional": False}, "1970-01-01 00:00:00 UTC"),
        (
            {"expires": 60.0, "provisional": True},
            "on trial until 1970-01-01 00:01:00 UTC: confirm it, or it is taken back",
        ),
        (
            {"kind": "rollback", "expires": 0.0, "provisional": False},
            "due 1970-01-01 00:00:00 UTC, but it holds until somebody resumes it",
        ),
    ],
)
def test_an_order_says_when_it_ends(more: dict[str, Any], says: str) -> None:
    """In a time that everybody can tell, and never that a rollback ends by itself."""
    assert f"<td>{says}</td>" in render(STATUS | {"orders": [ORDER | more]})

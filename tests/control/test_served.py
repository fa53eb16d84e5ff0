"""What became of a finished request: at the admin address, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from control.api.app import make_app
from control.api.context import Context
from control.api.served import view
from control.metrics import Metrics
from control.render_served import served
from control.terminal import Style
from router.core.decide import Reason
from tests.control.stage import Stage

EXCHANGE = {
    "request_id": "abc-1", "method": "GET", "target": "/v1/products/7", "route": "product", "side": "new",
    "reason": "weight", "bucket": 249_999, "share": 250_000, "revision": 12, "upstream": "catalog http://h:1",
    "status": 200, "at": 1_700_000_000.0, "ms": 12.5, "broken": False, "worker": 1,
}  # fmt: skip


async def asked(tmp_path: Path, query: str) -> tuple[int, Any]:
    async def remembered(request_id: str) -> list[Mapping[str, Any]]:
        return [EXCHANGE] if request_id == "abc-1" else []

    stage = Stage(tmp_path)
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler, remembered)
    await stage.start()
    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        answer = await client.get(f"/api/v1/explain?{query}")
        return answer.status, await answer.json()


async def test_a_finished_exchange_is_explained_by_its_id(tmp_path: Path) -> None:
    """With the share in percent, and where its subject flips."""
    status, found = await asked(tmp_path, "request-id=abc-1")
    (exchange,) = found["exchanges"]
    assert (200, 25.0, 25.0, "product") == (status, exchange["share"], exchange["flips_at"], exchange["route"])
    assert "its subject's bucket 249999 was below the share of 250000 ppm (25 %)" == exchange["why"]


@pytest.mark.parametrize(
    ("query", "status"), [("request-id=", 422), (f"request-id={'x' * 129}", 422), ("request-id=a", 404)]
)
async def test_an_id_that_nobody_knows_is_refused(tmp_path: Path, query: str, status: int) -> None:
    """And the answer says how far the memory reaches, or what an id looks like."""
    answered, problem = await asked(tmp_path, query)
    assert status == answered
    assert problem["instead"]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words(reason: Reason) -> None:
    """Nobody has to know our labels."""
    said = view({**EXCHANGE, "reason": reason.label})["why"]
    assert said
    assert reason.label != said


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, ["GET /v1/products/7: new, status 200", "25 %", "bucket    249999", "by worker 1", "revision 12"]),
        ({"bucket": None, "share": 1_000_000}, ["the share of the new side was 100 %"]),
        ({"bucket": None, "share": None, "reason": "unlisted", "upstream": ""}, ["no route matched", "none was asked"]),
        ({"broken": True, "status": 0}, ["status none, and broke off"]),
        ({"bucket": 250_000}, ["was not below the share"]),
    ],
)
def test_it_is_told_in_lines(more: dict[str, Any], words: list[str]) -> None:
    """For people at a terminal."""
    text = "\n".join(served({"exchanges": [view({**EXCHANGE, **more})]}, Style(), 1_700_000_060.0))
    assert [] == [word for word in words if word not in text], text

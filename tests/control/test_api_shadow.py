"""control.api.shadow: what the admin address tells of copies and comparisons."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer

from control.api.app import make_app
from control.api.context import Context
from control.metrics import Metrics
from tests.control.stage import ROUTES, Stage

SHADOWED = ROUTES.replace("weight: 5}", "shadow: {percent: 12.5}}").replace(
    "weight: 25, name", "shadow: {percent: 10, compare: true}, name"
)
SEARCH = "GET,POST /v1/products/search"
TOTALS = {
    "product": {
        "verdicts": {"matched": 7, "mismatched": 3, "not_comparable": 1},
        "failures": {"new_failed": 2},
        "copies": {"copied": 12, "full": 5},
        "epochs": [],
    }
}


@dataclass
class Comparing:
    """What control's end of the comparing process would say."""

    said: dict[str, Any] | None = field(default_factory=lambda: {"route": "product", "compared": 11})
    compared: tuple[str, ...] = ("product",)
    strangers: dict[str, int] = field(default_factory=lambda: {"error": 1})

    def totals(self) -> dict[str, Any]:
        return TOTALS

    async def report(self, route: str) -> dict[str, Any] | None:
        return self.said


@pytest.fixture
def comparing() -> Comparing:
    return Comparing()


@pytest.fixture
async def client(tmp_path: Path, comparing: Comparing) -> AsyncIterator[TestClient[Any, Any]]:
    stage = Stage(tmp_path)
    await stage.start(SHADOWED)
    metrics = Metrics(stage.live, stage.files, shadow=comparing.totals)
    context = Context(stage.live, stage.traffic, metrics, stage.compiler)
    context.shadowing = comparing  # type: ignore[assignment]
    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        yield client


async def get(client: TestClient[Any, Any], path: str, status: int = 200) -> Any:
    answer = await client.get(path)
    text = await answer.text()
    assert status == answer.status, text
    return json.loads(text)


async def test_shadowed_routes_are_listed_with_their_counts(client: TestClient[Any, Any]) -> None:
    """Also those that are copied and not compared; others are not there."""
    answer = await get(client, "/api/v1/shadow")
    found = answer["routes"]
    assert {"error": 1} == answer["strangers"]
    assert [("product", 10.0, True), (SEARCH, 12.5, False)] == [
        (row["route"], row["percent"], row["compare"]) for row in found
    ]
    assert TOTALS["product"]["verdicts"] == found[0]["verdicts"]


async def test_a_report_is_that_of_the_comparing_process(client: TestClient[Any, Any]) -> None:
    """With the revision in force."""
    assert {"revision": 1, "route": "product", "compared": 11} == await get(client, "/api/v1/shadow/product")


async def test_what_is_not_compared_has_no_report(client: TestClient[Any, Any], comparing: Comparing) -> None:
    """An unknown route, one that is only copied, and a comparing process that says nothing."""
    assert "unknown-route" == (await get(client, "/api/v1/shadow/nothing", 404))["code"]
    found = await get(client, f"/api/v1/shadow/{quote(SEARCH, safe='')}", 404)
    assert "not-compared" == found["code"]
    assert "compare: true" in found["instead"]
    comparing.said = None
    assert "comparer-silent" == (await get(client, "/api/v1/shadow/product", 503))["code"]


async def test_counts_stand_in_the_metrics(client: TestClient[Any, Any]) -> None:
    """Verdicts, failures, copies made and dropped, by route."""
    text = await (await client.get("/metrics")).text()
    for line in (
        'strangler_shadow_compared_total{route="product",verdict="mismatched"} 3',
        'strangler_shadow_failed_total{route="product",who="new"} 2',
        'strangler_shadow_copied_total{route="product"} 12',
        'strangler_shadow_dropped_total{route="product",reason="full"} 5',
    ):
        assert line in text

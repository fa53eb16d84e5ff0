"""The same POST twice: answered twice, done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from control.api.app import make_app
from control.api.context import Context
from control.api.guard import ANSWERS
from control.api.idempotency import MOST
from control.metrics import Metrics
from tests.control.stage import Stage

KEY = {"Idempotency-Key": "0d9e3f-1"}
CAP = {"scope": {"group": "catalog"}, "cap": 10, "reason": "slowly"}

Client = TestClient[Any, Any]


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.start()
    return stage


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[Client]:
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        yield client


async def test_the_same_answer_comes_again_and_nothing_is_done_twice(stage: Stage, client: Client) -> None:
    """Byte for byte, and marked as a replay; also when both come at once."""
    first, again = await asyncio.gather(*(client.post("/api/v1/caps", json=CAP, headers=KEY) for _ in range(2)))
    assert await first.read() == await again.read()
    assert {None, "true"} == {each.headers.get("Idempotent-Replay") for each in (first, again)}
    assert 2 == stage.live.revision
    other = await client.post("/api/v1/caps", json=CAP | {"cap": 20}, headers={"Idempotency-Key": "0d9e3f-2"})
    assert (200, 3) == (other.status, stage.live.revision)


async def test_a_key_with_another_body_is_refused(stage: Stage, client: Client) -> None:
    """A client that reuses keys must hear of it."""
    assert 200 == (await client.post("/api/v1/caps", json=CAP, headers=KEY)).status
    answer = await client.post("/api/v1/caps", json=CAP | {"cap": 20}, headers=KEY)
    assert (422, "idempotency-key-reused") == (answer.status, (await answer.json())["code"])
    assert 1 == len(stage.live.orders)


async def test_a_refusal_is_answered_again_too(client: Client) -> None:
    """What was refused stays refused under its key."""
    body = {"scope": {"route": "nothing"}, "cap": 20, "reason": "x"}
    answers = [await client.post("/api/v1/caps", json=body, headers=KEY) for _ in range(2)]
    assert [404, 404] == [answer.status for answer in answers]
    assert "true" == answers[1].headers["Idempotent-Replay"]


@pytest.mark.parametrize("key", ["short", "with space", "x" * 101, "schlüssel"])
async def test_what_is_no_key_is_refused(stage: Stage, client: Client, key: str) -> None:
    """Bounded and plain."""
    answer = await client.post("/api/v1/caps", json=CAP, headers={"Idempotency-Key": key})
    assert (400, ()) == (answer.status, stage.live.orders)


async def test_so_many_answers_are_kept_and_no_more(client: Client) -> None:
    """The oldest is forgotten first."""
    for number in range(MOST + 5):
        await client.post("/api/v1/caps", json={}, headers={"Idempotency-Key": f"key-{number:05}"})
    assert client.app is not None
    assert MOST == len(client.app[ANSWERS]._kept)

"""What the declarations of endpoints make possible: pages of routes, streams that go on, a document for all of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from control.api.app import make_app
from control.api.context import Context
from control.api.endpoints import ENDPOINTS
from control.metrics import Metrics
from tests.control.stage import Stage

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


async def test_the_document_names_every_endpoint_with_its_role(client: Client) -> None:
    """But for pages of people and second names."""
    document = await (await client.get("/api/v1/openapi.json")).json()
    assert "3.1.0" == document["openapi"]
    found = {
        (method.upper(), path, operation["x-role"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert {(each.method, each.path, each.role.label) for each in ENDPOINTS if each.listed} == found
    assert {"/", "/login", "/-/livez", "/-/readyz"} == {each.path for each in ENDPOINTS if not each.listed}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?limit=2", [0, 1]),
        ("?limit=2&offset=2", [2]),
        ("?offset=0", [0, 1, 2]),
        ("?offset=3", []),
        ("?limit=500", [0, 1, 2]),
    ],
)
async def test_routes_come_in_pages(client: Client, query: str, expected: list[int]) -> None:
    """In the order of the file, with how many there are in all."""
    whole = (await (await client.get("/api/v1/routes")).json())["routes"]
    found = await (await client.get(f"/api/v1/routes{query}")).json()
    assert (3, [whole[index] for index in expected]) == (found["total"], found["routes"])


@pytest.mark.parametrize("path", ["/api/v1/routes", "/api/v1/revisions"])
@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "limit=1&limit=2", "offset=-1", "before=0"])
async def test_a_page_out_of_bounds_is_refused_by_name(client: Client, path: str, query: str) -> None:
    """Never cut silently."""
    answer = await client.get(f"{path}?{query}")
    assert (422, query.partition("=")[0]) == (answer.status, (await answer.json())["field"])


async def event(answer: ClientResponse, name: str) -> tuple[str, dict[str, Any]]:
    """The id and the fields of the next event of this name."""
    number = ""
    async with asyncio.timeout(5):
        async for data in answer.content:
            line = data.decode().strip()
            if line.startswith("id: "):
                number = line[4:]
            elif line == f"event: {name}":
                return number, json.loads((await answer.content.readline())[6:])
            elif not line:
                number = ""
    raise AssertionError(f"the stream ended without {name}")


async def test_a_stream_goes_on_where_it_was_cut(stage: Stage, client: Client) -> None:
    """By the id of the last event; what happened in between comes first."""
    async with client.get("/api/v1/events") as answer:
        stage.live.events.tell("test.one")
        number, _ = await event(answer, "test.one")
    stage.live.events.tell("test.two", value=2)
    async with client.get("/api/v1/events", headers={"Last-Event-ID": number}) as answer:
        assert 2 == (await event(answer, "test.two"))[1]["value"]


async def test_a_stream_of_an_earlier_process_says_that_something_was_missed(stage: Stage, client: Client) -> None:
    """Numbers begin anew with each process."""
    stage.live.events.tell("test.one")
    async with client.get("/api/v1/events", headers={"Last-Event-ID": "0-1"}) as answer:
        await event(answer, "events.missed")
        await event(answer, "test.one")


async def test_what_is_no_id_of_an_event_is_refused(client: Client) -> None:
    """Instead of a stream that leaves something out."""
    assert 400 == (await client.get("/api/v1/events", headers={"Last-Event-ID": "latest"})).status

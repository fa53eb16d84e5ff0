"""`strangler watch`: every event as one line, over streams that end and are opened again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from control.cli import main
from control.cli_client import Admin, CannotAskError
from control.cli_watch import Stream

Pieces = list[bytes]


class Events:
    """An admin address that serves each stream from a list of pieces, and remembers what it was asked."""

    def __init__(self, *streams: Pieces) -> None:
        self.streams = list(streams)
        self.asked: list[str | None] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.headers.get("Last-Event-ID"))
        if not self.streams:
            return web.json_response({"detail": "enough", "status": 503}, status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in self.streams.pop(0):
            await response.write(piece)
        return response


@pytest.fixture
def events() -> Events:
    return Events(
        [b"id: 7\nevent: order.accepted\nda", b'ta: {"at": 0, "order": "R-1"}\n\n: still here\n\n'],
        [b'event: order.lifted\ndata: {"at": 0, "order": "R-1", "actor": "kim", "reason": "mended"}\n\n'],
    )


@pytest.fixture
async def url(events: Events) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/api/v1/events", events.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


def heard(stream: Stream) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    with suppress(CannotAskError):  # its end
        for name, fields in stream.events():
            found.append((name, fields.get("order")))
    return found


async def test_a_stream_is_read_event_by_event_and_taken_up_where_it_ended(events: Events, url: str) -> None:
    """Pieces may be cut anywhere, heartbeats are no events, and the last id goes along when it is opened again."""
    stream = Stream(Admin(url))
    assert [("order.accepted", "R-1")] == await asyncio.to_thread(heard, stream)
    assert [("order.lifted", "R-1")] == await asyncio.to_thread(heard, stream)
    assert [None, "7"] == events.asked


async def test_watching_goes_over_the_end_of_a_stream(
    events: Events, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so once, and ends when the address refuses, with its reason."""
    code = await asyncio.to_thread(main, ["watch", "--admin", url])
    out, err = capsys.readouterr()
    assert 1 == code
    assert ["order.accepted     R-1", "order.lifted       R-1 by kim: mended"] == [
        line[10:] for line in out.splitlines()
    ]
    assert "has ended; trying again" in err
    assert "strangler: refused: enough" in err


async def test_events_are_lines_of_json_for_programs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line."""
    await asyncio.to_thread(main, ["watch", "--json", "--admin", url])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()[:2]]
    assert ["order.accepted", "order.lifted"] == [line["event"] for line in lines]


def test_an_address_where_nobody_is_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It waits for a router that was there, not for one that never was."""
    assert 1 == main(["watch", "--admin", "http://127.0.0.1:1"])
    assert "nobody listens at http://127.0.0.1:1" in capsys.readouterr().err

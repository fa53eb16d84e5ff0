"""What is asked for that no route lists, from the end of the access log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from control.api import unlisted
from control.api.app import make_app
from control.api.context import Context
from control.api.unlisted import counted
from control.metrics import Metrics
from tests.control.stage import Stage


def line(path: str, route: str = "unlisted", second: int = 0, status: int = 200) -> bytes:
    at = f"2026-11-25T19:00:{second:02d}.000+00:00"
    entry = {"time": at, "method": "GET", "path": path, "route": route, "side": "legacy", "status": status}
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


async def asked(tmp_path: Path, access_log: str) -> tuple[int, Any]:
    stage = Stage(tmp_path)
    await stage.start()
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    context.access_log = access_log
    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        answer = await client.get("/api/v1/unlisted")
        return answer.status, await answer.json()


async def test_only_requests_without_a_route_come_back_counted(tmp_path: Path) -> None:
    """With how they were answered, the busiest first, and from when to when."""
    log = tmp_path / "access.log"
    log.write_bytes(line("/a", second=1) * 3 + line("/b", "product") + line("/c", second=9, status=404) + b"torn li")
    status, found = await asked(tmp_path, str(log))
    assert status == 200
    assert found["requests"] == [
        {"method": "GET", "path": "/a", "status": 200, "count": 3},
        {"method": "GET", "path": "/c", "status": 404, "count": 1},
    ]
    assert (found["since"][17:19], found["until"][17:19], found["whole"], found["lines"]) == ("01", "09", True, 6)


async def test_of_a_long_log_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole lines of it, and the answer says that it is not all."""
    monkeypatch.setattr(unlisted, "MOST_BYTES", 1000)
    log = tmp_path / "access.log"
    log.write_bytes(line("/old") * 1000 + line("/new") * 3)
    _, found = await asked(tmp_path, str(log))
    assert not found["whole"]
    assert found["lines"] <= 9
    assert {"method": "GET", "path": "/new", "status": 200, "count": 3} in found["requests"]


@pytest.mark.parametrize(("access_log", "status"), [("", 409), ("-", 409), ("/nonexistent/access.log", 503)])
async def test_without_a_log_the_answer_says_what_to_do(access_log: str, status: int, tmp_path: Path) -> None:
    """None, one on standard output, one that is gone."""
    answered, problem = await asked(tmp_path, access_log)
    assert status == answered
    assert problem["code"] == "no-access-log"
    assert problem["instead"]


def test_lines_that_lie_are_passed_over() -> None:
    """Half JSON, other types, other routes that only mention the word; and what is too much is counted."""
    mark = b'"route":"unlisted"'
    other = json.dumps({"route": "x", "path": mark.decode()}).encode()
    rubbish = [b"{" + mark, b"[" * 9000 + mark, other, b"{" + mark + b"}", b'{"route":"unlisted","time":1}']
    found = counted(b"\n".join([*rubbish, line("/a").strip()]))
    assert [each["path"] for each in found["requests"]] == ["/a"]


def test_different_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is a number."""
    monkeypatch.setattr(unlisted, "MOST_KINDS", 10)
    found = counted(b"".join(line(f"/{number}") for number in range(25)))
    assert (len(found["requests"]), found["more"]) == (10, 15)

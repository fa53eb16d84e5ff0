"""What is asked for that no route lists, from the workers and from the end of the access log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from control.api import unlisted
from control.api.app import make_app
from control.api.context import Context
from control.api.unlisted import counted
from control.metrics import Metrics
from router.planes.embedded.unlisted import LONGEST_PATH
from tests.control.stage import Stage

Answer = Mapping[str, Any]


def answer(*found: tuple[str, int], more: int = 0) -> Answer:
    """A worker's, with paths and counts."""
    return {"op": "unlisted", "found": [["GET", path, 200, count] for path, count in found], "more": more}


def counts(found: Any) -> list[tuple[str, int]]:
    return [(each["path"], each["count"]) for each in found["requests"]]


def line(path: str, route: str = "unlisted", second: int = 0, status: int = 200) -> bytes:
    at = f"2026-11-25T19:00:{second:02d}.000+00:00"
    entry = {"time": at, "method": "GET", "path": path, "route": route, "side": "legacy", "status": status}
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


async def asked(tmp_path: Path, access_log: str = "", told: Sequence[Answer | None] = ()) -> tuple[int, Any]:
    async def unlisted() -> Sequence[Answer | None]:
        return told

    stage = Stage(tmp_path)
    await stage.start()
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    context.unlisted, context.access_log = unlisted, access_log
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


async def test_without_a_log_the_workers_counts_are_added(tmp_path: Path) -> None:
    """The busiest first; they know no times."""
    status, found = await asked(
        tmp_path, "-", [answer(("/a", 1), ("/b", 2)), answer(("/a", 4), more=3), answer(more=1)]
    )
    assert ([("/a", 5), ("/b", 2)], 4) == (counts(found), found["more"])
    assert (200, None, None, 0, True) == (
        status,
        *(found[name] for name in ("since", "until", "lines", "whole")),
    )


async def test_a_worker_that_does_not_answer_makes_it_a_part(tmp_path: Path) -> None:
    """What the others say is told all the same."""
    _, found = await asked(tmp_path, "", [answer(("/a", 1)), None])
    assert ([("/a", 1)], False) == (counts(found), found["whole"])


async def test_nobody_counts_what_both_know_twice(tmp_path: Path) -> None:
    """What the log has is taken from it, long paths too, which workers cut; the rest is the workers'."""
    long = "/" + "x" * 500
    log = tmp_path / "access.log"
    log.write_bytes(line("/a") * 3 + line(long))
    told = [answer(("/a", 2), ("/b", 2), (long[:LONGEST_PATH], 1), more=7)]
    _, found = await asked(tmp_path, str(log), told)
    assert [("/a", 3), ("/b", 2), (long, 1)] == counts(found)
    assert (0, True) == (found["more"], found["whole"])


async def test_a_log_that_is_gone_makes_it_a_part(tmp_path: Path) -> None:
    """The workers know something all the same."""
    _, found = await asked(tmp_path, "/nonexistent/access.log", [answer(("/a", 1))])
    assert ([("/a", 1)], False) == (counts(found), found["whole"])


@pytest.mark.parametrize("access_log", ["", "-", "/nonexistent/access.log"])
async def test_when_nobody_knows_anything_that_is_an_error(access_log: str, tmp_path: Path) -> None:
    """No log that can be read, and no worker that answers."""
    status, problem = await asked(tmp_path, access_log, [None, None])
    assert (503, "no-answer") == (status, problem["code"])
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

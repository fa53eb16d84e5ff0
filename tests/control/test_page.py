"""The page is served as files that nobody else's text can get into; the journeys tell what it does in a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from control.api.app import make_app
from control.api.context import Context
from control.api.endpoints import ENDPOINTS
from control.api.page import FOLDER, files
from control.metrics import Metrics
from tests.control.stage import Stage

Client = TestClient[Any, Any]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    stage = Stage(tmp_path)
    await stage.start()
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    async with TestClient(TestServer(make_app(context, stage.live.events.tell))) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/login", "text/html"), ("/web/style.css", "text/css"), ("/web/main.js", "text/javascript")],
)
async def test_a_file_has_its_type_and_is_asked_about_every_time(client: Client, path: str, kind: str) -> None:
    """An upgraded router shows its own page at once, and an unchanged file travels once."""
    answer = await client.get(path)
    assert (200, kind, "utf-8", "no-cache") == (
        answer.status,
        answer.content_type,
        answer.charset,
        answer.headers["Cache-Control"],
    )
    again = await client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (304, b"") == (again.status, await again.read())
    assert 200 == (await client.get(path, headers={"If-None-Match": '"another"'})).status


@pytest.mark.parametrize(
    "path", ["nothing.js", "../grafana/x.json", "%2e%2e/%2e%2e/pyproject.toml", "..%2f..%2fpyproject.toml", "%00", "/"]
)
async def test_nothing_outside_of_the_folder_is_served(client: Client, path: str) -> None:
    """A path names a file of the page, or nothing."""
    answer = await client.get(URL(f"/web/{path}", encoded=True))
    assert 404 == answer.status


async def test_nothing_in_line_and_nothing_from_elsewhere_may_run(client: Client) -> None:
    """And no text becomes markup: a route named like a tag stays text."""
    policy = (await client.get("/")).headers["Content-Security-Policy"]
    assert {"default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'"} <= set(policy.split("; "))
    assert "unsafe" not in policy


def test_the_page_keeps_its_own_policy() -> None:
    """No script or style in line, no handler in markup, no address of another machine."""
    for name, file in files().items():
        text = file.data.decode()
        if name.endswith(".html"):
            assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=", text) == [], name
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text) == [], name
        assert set(re.findall(r"https?://[^\s\"'`)]+", text)) <= {"http://www.w3.org/2000/svg"}, name


def test_every_part_that_a_file_names_is_there() -> None:
    """A page with a missing module is a blank page."""
    known = files()
    for name, file in known.items():
        named = re.findall(r"(?:from|import)\s*\(?\"(\.[^\"]+)\"", file.data.decode()) if name.endswith(".js") else []
        here = FOLDER / name
        wanted = {(here.parent / one).resolve().relative_to(FOLDER).as_posix() for one in named}
        wanted |= {path.removeprefix("/web/") for path in re.findall(r"\"(/web/[^\"]+)\"", file.data.decode())}
        assert wanted - set(known) == set(), name


def test_every_module_is_fetched_ahead() -> None:
    """The first paint does not wait for one module to tell of the next."""
    index = files()["index.html"].data.decode()
    modules = {f"/web/{name}" for name in files() if name.endswith(".js")} - {"/web/login.js"}
    assert modules == set(re.findall(r"(?:src|href)=\"(/web/[^\"]+\.js)\"", index))


def test_whatever_the_page_asks_is_declared() -> None:
    """It has no way of its own: what it does, every program can do by the same address."""
    known = [re.compile(re.sub(r"\\{[^}]*\\}", "[^?]+", re.escape(each.path)) + "$") for each in ENDPOINTS]
    text = "\n".join(file.data.decode() for name, file in files().items() if name.endswith(".js"))
    asked = {re.sub(r"\$\{[^}]*\}", "x", path).split("?")[0] for path in re.findall(r"[\"`](/api/v1/[^\"`]*)", text)}
    assert 20 < len(asked)
    assert [] == sorted(path for path in asked if not any(pattern.match(path) for pattern in known))

"""`strangler discover`, as it is typed."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pty
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from control.api.app import make_app
from control.api.context import Context
from control.cli import main
from control.metrics import Metrics
from tests.control.stage import Stage

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests/data/discovery"

ROUTES = """\
version: 1
upstreams:
  old: {endpoints: ["http://127.0.0.1:9001"]}   # the shop
legacy: old
routes:
  - path: /get      # ours
    methods: [GET]
"""


class Said:
    """How a command ended and what it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err
        assert "Traceback" not in out + err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def called(*words: str) -> Said:
        try:
            code = main(["discover", *words])
        except SystemExit as left:
            code = int(left.code or 0)
        return Said(code, *capsys.readouterr())

    return called


def sample(name: str) -> str:
    return str(SAMPLES / f"{name}.gz")


HTTPBIN = sample("logs/httpbin-requests+httpie-suites_combined.log")
DOCUMENT = sample("documents/httpbin-spec.json")


def lines(*paths: str, status: int = 200) -> bytes:
    times = (f"22/Nov/2026:07:{number // 60 % 60:02d}:{number % 60:02d} +0000" for number in count())
    written = (f'1.2.3.4 - - [{at}] "GET {path} HTTP/1.1" {status} 1\n' for at, path in zip(times, paths, strict=False))
    return "".join(written).encode()


def test_a_log_and_a_document_become_a_file_that_check_takes(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The classes and rates stand in it; what was read is said on the other stream."""
    said = run("openapi", DOCUMENT, "--access-log", HTTPBIN, "--output", "routes.yaml")
    assert (said.code, said.out) == (0, "")
    assert "1,850 lines of the access log, read as combined" in said.err
    assert main(["check", "routes.yaml"]) == 0
    text = Path("routes.yaml").read_text()
    assert "107 requests, 20.4/min, 5.8 %; documented and used" in text
    assert "used but undocumented" in text
    assert "Documented but unused (46): retire instead of migrate" in text
    capsys.readouterr()


def test_either_order_of_log_and_document_says_the_same(run: Any) -> None:
    """`openapi DOC --access-log LOG` and `access-log LOG --openapi DOC`."""
    first = run("openapi", DOCUMENT, "--access-log", HTTPBIN).out
    assert first == run("access-log", HTTPBIN, "--openapi", DOCUMENT).out
    assert "documented and used" not in run("openapi", DOCUMENT).out


def test_an_existing_file_is_not_overwritten(run: Any) -> None:
    """Whoever wants to add to it is told how."""
    Path("routes.yaml").write_text("mine")
    said = run("access-log", HTTPBIN, "--output", "routes.yaml")
    assert said.code == 1
    assert "--merge routes.yaml" in said.err
    assert Path("routes.yaml").read_text() == "mine"


def test_merge_adds_lines_and_changes_none(run: Any) -> None:
    """In the file, or as a patch; twice is once."""
    path = Path("routes.yaml")
    path.write_text(ROUTES)
    path.chmod(0o640)
    said = run("access-log", HTTPBIN, "--openapi", DOCUMENT, "--merge", "routes.yaml", "--patch")
    assert path.read_text() == ROUTES
    assert "+  - path: /post\n" in said.out
    assert "routes would be added" in said.err
    said = run("access-log", HTTPBIN, "--openapi", DOCUMENT, "--merge", "routes.yaml")
    assert (said.code, said.out) == (0, "")
    once = path.read_text()
    assert once.startswith(ROUTES)
    assert "32 routes added, 1 operations have routes already" in said.err
    assert "line 10: POST /post  (418 requests" in said.err
    assert path.stat().st_mode & 0o777 == 0o640
    assert (
        "0 routes added, 33 operations"
        in run("access-log", HTTPBIN, "--openapi", DOCUMENT, "--merge", "routes.yaml").err
    )
    assert path.read_text() == once


def test_merge_leaves_out_what_a_setting_of_the_file_forbids(run: Any) -> None:
    """With `trailing_slash: same`, `/a/` and `/a` are one route, and the file would be refused with both."""
    Path("routes.yaml").write_text(ROUTES + "defaults: {trailing_slash: same}\n")
    Path("a.log").write_bytes(lines("/shop/a", "/shop/a/", "/shop/b"))
    said = run("access-log", "a.log", "--merge", "routes.yaml", "--json").json
    assert {each["route"] for each in said["added"]} >= {"GET /shop/b"}
    assert main(["check", "routes.yaml"]) == 0


@pytest.mark.parametrize(
    "content", ["version: 1\n", "routes: [{path: /a}]\n" + ROUTES.replace("routes:", "x:"), "\xff", "{}"]
)
def test_merge_refuses_a_file_that_is_not_sound(content: str, run: Any) -> None:
    """Nothing is written, and the first problem is named."""
    Path("routes.yaml").write_bytes(content.encode("latin-1"))
    said = run("access-log", HTTPBIN, "--merge", "routes.yaml")
    assert said.code == 1
    assert Path("routes.yaml").read_bytes() == content.encode("latin-1")


def test_a_file_that_cannot_be_written_gets_its_patch_printed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `bake` does it."""
    Path("routes.yaml").write_text(ROUTES)
    monkeypatch.setattr(os, "access", lambda *_: False)
    said = run("access-log", HTTPBIN, "--merge", "routes.yaml")
    assert said.code == 1
    assert said.out.startswith("--- a/routes.yaml")
    assert "cannot be written" in said.err


def test_json_has_everything(run: Any) -> None:
    """Operations with their classes, what was ignored, doubts, and the draft itself."""
    found = run("access-log", HTTPBIN, "--json").json
    assert (found["requests"], found["lines"], found["malformed"]) == (1850, 1850, 0)
    get = next(each for each in found["operations"] if each["path"] == "/get")
    assert (get["methods"], get["standing"], get["requests"]) == (["GET", "HEAD"], "used but undocumented", 596)
    assert found["ignored"]["noise"] == 10
    assert "routes:" in found["routes_yaml"]
    assert found["doubts"]


def test_malformed_lines_are_counted_and_shown(run: Any) -> None:
    """Three of them, and nothing of them is obeyed by a terminal."""
    Path("a.log").write_bytes(lines("/shop/a") + b"\x1b[31mred\x07 \xff \xe2\x80\xae\n" * 5)
    said = run("access-log", "a.log")
    assert said.code == 0
    assert "5 of them could not be read" in said.err
    assert said.err.count("such as: ") == 3
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())


def test_nothing_that_a_stranger_asked_for_reaches_terminal_or_file_raw(run: Any) -> None:
    """Escapes, line breaks and direction marks in paths, hosts, tags and file names."""
    evil = [
        "/a%1b%5b31m",
        "/\\x1b[31m/b",
        "/shop/\x1b]0;x\x07",
        "/shop/\u202e",
        "/shop/a'b",
        '/shop/a\\"b',
        "/shop/{x}",
    ]
    Path("\x1b[2Jevil.log").write_bytes(lines(*evil, *("/shop/ok",) * 5))
    tagged = {
        "openapi": "3.0.0",
        "paths": {"/shop/ok": {"get": {"tags": ["\x1b[31m\nroutes: []"]}}, "/\x1b{": {"get": {}}},
    }
    Path("d.json").write_text(json.dumps(tagged))
    for more in ([], ["--json"]):
        said = run("access-log", "\x1b[2Jevil.log", "--openapi", "d.json", *more)
        assert said.code == 0
        assert all(line.isprintable() for line in (said.out + said.err).splitlines())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not one line"),
        (b"\0" * 5000, "none of 1 lines can be read"),
        (b"hello\nworld\n", "none of 2 lines can be read"),
        (b"BZh91AY", "bzip2"),
        (gzip.compress(b"\0" * 10_000_000), "none of"),
    ],
)
def test_what_is_no_log_is_refused_in_words(content: bytes, says: str, run: Any) -> None:
    """Exit code 1, one line, no draft."""
    Path("a.log").write_bytes(content)
    said = run("access-log", "a.log")
    assert (said.code, said.out) == (1, "")
    assert says in said.err


def test_a_missing_file_and_a_document_of_another_kind_are_named(run: Any) -> None:
    """So that nobody has to guess which one it was."""
    Path("x.json").write_text("[1]")
    for words in (["access-log", "missing.log"], ["openapi", "missing.yaml"], ["openapi", "x.json"]):
        said = run(*words)
        assert said.code == 1
        assert words[1] in said.err


@pytest.mark.parametrize(
    "words",
    [
        [], ["openapi"], ["access-log"], ["access-log", "a", "--format", "morse"], ["access-log", "a", "--legacy", "x"],
        ["access-log", "a", "--host", "a b"], ["access-log", "a", "--merge", "r", "--output", "o"],
        ["access-log", "a", "--patch"], ["xml", "a"],
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_two(words: list[str], run: Any) -> None:
    """Before anything is read."""
    assert run(*words).code == 2


def test_a_host_narrows_log_and_routes(run: Any) -> None:
    """Only its lines count, and its routes say so."""
    Path("a.log").write_bytes(
        b"".join(b"shop.example.com " + line + b"\n" for line in lines("/a", "/b").splitlines()) + lines("/c")
    )
    said = run("access-log", "a.log", "--host", "Shop.example.com")
    assert said.out.count("host: ") == 2
    assert "1 of them are about other hosts" in said.err
    assert run("access-log", "a.log", "--host", "other.example.com").code == 1


async def test_live_traffic_that_no_route_lists_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the workers have counted it, or from the router's own access log, which knows rates."""

    async def unlisted() -> list[Any]:
        return told

    told: list[Any] = [None]
    stage = Stage(tmp_path)
    await stage.start()
    log = tmp_path / "access.log"
    entry = {"time": "2026-11-25T19:00:21.313+00:00", "method": "GET", "path": "/x", "route": "unlisted", "status": 200}
    log.write_text(
        "".join(
            json.dumps(entry | {"path": f"/shop/items/{number}"}, separators=(",", ":")) + "\n" for number in range(30)
        )
    )
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    context.unlisted = unlisted
    async with TestServer(make_app(context, stage.live.events.tell)) as server:
        monkeypatch.setenv("STRANGLER_ADMIN", str(server.make_url("/")))
        assert await asyncio.to_thread(main, ["discover", "live"]) == 1
        assert "no worker says" in capsys.readouterr().err
        told = [{"found": [["GET", f"/shop/carts/{number}", 200, 1] for number in range(30)], "more": 5}, None]
        assert await asyncio.to_thread(main, ["discover", "live"]) == 0
        said = capsys.readouterr().out
        assert "- path: /shop/carts/{cartId}\n" in said
        assert "since the routes changed last, but not all of it is known" in said
        assert "5 requests that were too many" in said
        context.access_log = str(log)
        assert await asyncio.to_thread(main, ["discover", "live"]) == 0
    said = capsys.readouterr().out
    assert "- path: /shop/items/{itemId}\n" in said
    assert "- path: /shop/carts/{cartId}\n" in said
    assert "own access log (30 lines), else as the workers" in said


def test_standard_input_and_the_progress_on_a_terminal(tmp_path: Path) -> None:
    """A bar on a terminal, none elsewhere; the draft itself is never mixed with it."""
    log = tmp_path / "a.log"
    log.write_bytes(lines(*(f"/shop/items/{number}" for number in range(3000))) * 10)
    command = [sys.executable, "-m", "control.cli", "discover", "access-log"]
    ours, theirs = pty.openpty()
    shown = bytearray()
    reader = threading.Thread(target=_drain, args=(ours, shown), daemon=True)
    reader.start()
    done = subprocess.run(
        [*command, str(log)], stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT, timeout=100, check=True
    )
    os.close(theirs)
    reader.join(20)
    os.close(ours)
    assert b"%" in shown
    assert b"lines" in shown
    assert b"\x1b" not in done.stdout
    with log.open("rb") as file:
        quiet = subprocess.run([*command, "-"], stdin=file, capture_output=True, cwd=ROOT, timeout=100, check=True)
    assert quiet.stdout.replace(b"the access log -", b"") == done.stdout.replace(f"the access log {log}".encode(), b"")
    assert b"\x1b" not in quiet.stderr


def _drain(terminal: int, shown: bytearray) -> None:
    """Reads until the other end is closed."""
    try:
        while data := os.read(terminal, 4096):
            shown += data
    except OSError:
        pass

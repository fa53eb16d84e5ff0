"""The access log: one valid JSON line an exchange, whatever was in it, and never a reason to wait."""

from __future__ import annotations

import json
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.core.decide import Reason
from router.core.model import Side
from router.planes.embedded.accesslog import AccessLog
from router.planes.embedded.counters import Counters
from router.telemetry import WorkerSlot
from tests.router.planes.embedded.stage import BAD, FALLBACK, OK, Stage, route, table

NAMES = {"time", "method", "path", "route", "side", "reason", "status", "ms", "upstream", "request_id", "client"}
MOST = 65_536
"""Lines that may wait."""


@dataclass
class Asked:
    method: bytes = b"GET"
    target: bytes = b"/api/1?token=secret"


@dataclass
class Entry:
    name: str = "api"


@dataclass
class Asker:
    address_text: str = "192.0.2.7"


@dataclass
class Over:
    """What an exchange says about itself at its end."""

    request: Asked = field(default_factory=Asked)
    entry: Entry = field(default_factory=Entry)
    side: Side = Side.NEW
    reason: int = Reason.WEIGHT
    status: int = 200
    pool_key: str = "new http://10.0.0.2:80"
    request_id: bytes = b"abc"
    client: Asker = field(default_factory=Asker)


def slots(counters: Counters) -> tuple[int, int]:
    """(written, dropped)."""
    return counters.slots[WorkerSlot.ACCESS_LOG_WRITTEN], counters.slots[WorkerSlot.ACCESS_LOG_DROPPED]


def put(log: AccessLog, over: Over | None = None, took: float = 0.0123456, *, broken: bool = False) -> None:
    log.put(over or Over(), took, broken=broken)  # type: ignore[arg-type]  # as much of an exchange as is looked at


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.001)


def logged(path: Path, *overs: Over) -> list[dict[str, Any]]:
    counters = Counters(None)
    log = AccessLog(str(path), counters)
    for over in overs:
        put(log, over)
    log.close()
    assert (len(overs), 0) == slots(counters)
    return [json.loads(line) for line in path.read_text().splitlines()]


# ------------------------------------------------------------------------------------------------------- lines


def test_a_line_says_what_was_asked_and_what_became_of_it(tmp_path: Path) -> None:
    """With the names that people search for; the query stays out of it."""
    began = time.time()
    (line,) = logged(tmp_path / "log", Over())
    at = datetime.fromisoformat(line.pop("time"))
    assert began - 1 <= at.timestamp() <= time.time()
    assert at.tzinfo is not None
    assert {
        "method": "GET",
        "path": "/api/1",
        "route": "api",
        "side": "new",
        "reason": "weight",
        "status": 200,
        "ms": 12.346,
        "upstream": "new http://10.0.0.2:80",
        "request_id": "abc",
        "client": "192.0.2.7",
    } == line


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("side", Side)
def test_sides_and_reasons_have_the_names_of_the_metrics(tmp_path: Path, side: Side, reason: Reason) -> None:
    """So that a line can be found for a number."""
    (line,) = logged(tmp_path / "log", Over(side=side, reason=int(reason)))
    assert (side.label, reason.label) == (line["side"], line["reason"])


def test_an_answer_that_broke_off_is_marked(tmp_path: Path) -> None:
    """Its status alone would look like a success."""
    log = AccessLog(str(tmp_path / "log"), Counters(None))
    put(log, broken=True)
    log.close()
    assert json.loads((tmp_path / "log").read_text())["broken"] is True


@given(
    st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40), st.text(max_size=10), st.binary(max_size=10)))
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_hostile_bytes_stay_within_their_line(tmp_path: Path, hostile: list[tuple[bytes, bytes, str, bytes]]) -> None:
    """Quotes, line ends, escapes of terminals: each line is one JSON object in ASCII with the bytes in it."""
    path = tmp_path / "log"
    path.unlink(missing_ok=True)
    overs = [Over(Asked(method, target), Entry(name), request_id=id_) for method, target, name, id_ in hostile]
    lines = logged(path, *overs)
    assert path.read_bytes().isascii()
    assert not set(path.read_bytes()) & (set(range(32)) - {10})
    for (method, target, name, request_id), line in zip(hostile, lines, strict=True):
        assert NAMES == set(line)
        assert method.decode("latin-1") == line["method"]
        assert target.split(b"?")[0].decode("latin-1") == line["path"]
        assert (name, request_id.decode("latin-1")) == (line["route"], line["request_id"])


def test_every_exchange_leaves_one_line_at_its_end(make_stage: Callable[..., Stage], tmp_path: Path) -> None:
    """A good one, a hidden failure, a refusal; what was refused before it had a route leaves none."""
    log = AccessLog(str(tmp_path / "log"), Counters(None))
    stage = make_stage(table(route(fallback=FALLBACK), route("off", "/off")), log)
    stage.ask()
    stage.new.wire.say(OK)
    stage.ask()
    stage.new.wire.say(BAD)
    stage.settle()
    stage.old.wire.say(OK)
    stage.new.refuses = True
    for _ in range(2):
        stage.ask(b"POST", b"/off", body=b"x")
    stage.ask(target=b"/api/../x")
    gone = stage.ask()
    gone.reset()
    stage.settle()
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [
        ("api", "new", "weight", 200),
        ("api", "legacy", "fallback", 200),
        ("off", "new", "weight", 502),
        ("off", "new", "weight", 502),
        ("api", "legacy", "fallback", 0),
    ] == [(line["route"], line["side"], line["reason"], line["status"]) for line in lines]
    assert sum(stage.counts().values()) == len(lines)


def test_standard_output_is_a_file_too(capfd: pytest.CaptureFixture[str]) -> None:
    """For containers, whose log it is; it stays open for others."""
    log = AccessLog("-", Counters(None))
    put(log)
    log.close()
    print("still open", flush=True)
    first, second = capfd.readouterr().out.splitlines()
    assert ("api", "still open") == (json.loads(first)["route"], second)


def test_lines_are_written_without_anybody_asking(tmp_path: Path) -> None:
    """Soon, not at the end only; and the next exchange carries the count over."""
    counters = Counters(None)
    log = AccessLog(str(tmp_path / "log"), counters)
    put(log)
    until(lambda: (tmp_path / "log").stat().st_size > 0)
    until(lambda: log._written == 1)
    put(log)
    assert (1, 0) == slots(counters)
    log.close()
    assert (2, 0) == slots(counters)


def test_an_existing_log_is_continued(tmp_path: Path) -> None:
    """A restarted worker does not wipe out what its predecessor wrote."""
    logged(tmp_path / "log", Over())
    logged_again = logged(tmp_path / "log", Over())
    assert 2 == len(logged_again)


# ------------------------------------------------------------------------------------------------------ trouble


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A "disk" that takes no more than 64 KiB before somebody reads."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def test_a_stalled_disk_drops_and_counts_and_never_blocks(pipe: tuple[Path, int]) -> None:
    """Everything that is put is written or counted as dropped; what is written is whole."""
    path, reader = pipe
    counters = Counters(None)
    log = AccessLog(str(path), counters)
    for _ in range(2000):
        put(log)
    until(lambda: not log._entries)
    for _ in range(MOST):
        put(log)
    assert (0, 0) == slots(counters)
    for _ in range(500):
        put(log)
    assert (0, 500) == slots(counters)
    text = bytearray()
    stop = threading.Event()
    drain = threading.Thread(target=read_all, args=(reader, text, stop))
    drain.start()
    until(lambda: not log._entries)
    log.close()
    stop.set()
    drain.join()
    assert (2000 + MOST, 500) == slots(counters)
    lines = text.splitlines()
    assert 2000 + MOST == len(lines)
    assert NAMES == set(json.loads(lines[0])) == set(json.loads(lines[-1]))


def read_all(reader: int, into: bytearray, stop: threading.Event) -> None:
    """Read what comes until nothing comes and nothing will."""
    while True:
        try:
            data = os.read(reader, 1 << 20)
        except BlockingIOError:
            data = b""
        into += data
        if not data and stop.is_set():
            return
        if not data:
            stop.wait(0.001)


def test_a_disk_that_is_stalled_for_good_does_not_keep_a_worker_from_ending(
    pipe: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left then is counted as dropped, as far as anybody knows."""
    path, reader = pipe
    counters = Counters(None)
    log = AccessLog(str(path), counters)
    for _ in range(2000):
        put(log)
    until(lambda: not log._entries)
    for _ in range(10):
        put(log)
    join = log._thread.join
    monkeypatch.setattr(log._thread, "join", lambda timeout: join(timeout / 100))
    log.close()
    assert 10 == slots(counters)[1]
    stop = threading.Event()
    stop.set()
    while log._thread.is_alive():
        read_all(reader, bytearray(), stop)
    os.close(log._file)


def test_a_full_disk_drops_and_counts() -> None:
    """Every line, batch after batch, and the worker goes on."""
    counters = Counters(None)
    log = AccessLog("/dev/full", counters)
    for number in range(1, 4):
        put(log)
        until(lambda: log._lost == number)  # noqa: B023  # called at once
    put(log)
    assert (0, 3) == slots(counters)
    log.close()
    assert (0, 4) == slots(counters)


def test_after_a_full_disk_lines_are_whole_again(tmp_path: Path) -> None:
    """A line that was cut by it is ended, so that only that one is lost to readers, and it is counted as dropped."""
    path = tmp_path / "log"
    counters = Counters(None)
    log = AccessLog(str(path), counters)
    put(log)
    until(lambda: log._written == 1)
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, hard))
    try:
        put(log)
        until(lambda: log._lost == 1)
        put(log)
        until(lambda: log._lost == 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    put(log)
    put(log)
    log.close()
    assert (3, 2) == slots(counters)
    lines = path.read_bytes().split(b"\n")
    assert b"" == lines.pop()
    assert 4 == len(lines)
    assert [True, False, True, True] == [line.endswith(b"}") for line in lines]


def test_no_count_is_lost_between_the_threads() -> None:
    """Put by put against write by write: what went in came out or was counted."""
    counters = Counters(None)
    log = AccessLog("/dev/full", counters)
    for _ in range(50_000):
        put(log)
    log.close()
    assert (0, 50_000) == slots(counters)

"""What breaks behind the router while many users are at it: services killed, cut, stalled; and the router's own parts.

Single faults, byte by byte, are the conformance suite's affair; here the question is who else suffers, and for how
long.  Services speak through plain asyncio streams, so that they can break in ways no server library allows.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from bench.ports import free_port
from tests.journeys.rig import Router
from tests.journeys.stamped import upstreams
from tests.journeys.traffic import Users, until

USERS = 24
CONTROLS_OWN = "strangler_config_"
"""Counters of control itself begin anew with it, as counters of a process do."""
WITHIN_BUDGET = 3
"""So many repeats of what was delivered are always allowed at once: with no more users, none has to be refused."""
ROUTES = """\
version: 1
upstreams:
  monolith: {{endpoints: ["http://127.0.0.1:{legacy}"]}}
  catalog: {{endpoints: ["http://127.0.0.1:{new}"]}}
legacy: monolith
defaults: {{subject: [header:X-User-Id], new: catalog, breaker: off,
           timeout: 1s, idle_timeout: 1s, connect_timeout: 1s}}
routes:
  - {{path: "/safe/{{id}}", weight: 100, fallback: {{on: [connect, 502, 503, 504]}}}}
  - {{path: "/alone/{{id}}", weight: 100, fallback: off}}
  - {{path: "/legacy/{{id}}", weight: 0}}
"""


# -- services that break ---------------------------------------------------------------------------------------------


@dataclass
class Service:
    """One side.  `answer` is what it does with each request; `begun` what it has been asked."""

    side: str
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
    begun: Counter[str] = field(default_factory=Counter)
    port: int = field(default_factory=free_port)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def die(self) -> None:
        """As a killed process does: the port refuses, every connection is reset, whatever was under way."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if found := re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE):
                    await reader.readexactly(int(found[1]))
                self.begun[head.split(b" ", 2)[1].decode()] += 1
                await (self.answer or self.ok)(writer)
        self._writers.discard(writer)
        writer.close()

    async def ok(self, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.005)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Side: %b\r\n\r\nok" % self.side.encode())
        await writer.drain()


@asynccontextmanager
async def both_sides() -> AsyncIterator[tuple[Service, Service, Router]]:
    legacy, new = Service("legacy"), Service("new")
    await legacy.start()
    await new.start()
    router = Router(ROUTES.format(legacy=legacy.port, new=new.port))
    await asyncio.to_thread(router.__enter__)
    try:
        yield legacy, new, router
    finally:
        await asyncio.to_thread(router.__exit__, None, None, None)
        legacy.die()
        new.die()


# -- users -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """One request: `status` 0 is a connection that broke, `whole` an answer that came to its clean end."""

    path: str
    began: float
    ended: float
    status: int
    side: str = ""
    error: str = ""
    whole: bool = False


class Crowd:
    """Users who never pause."""

    def __init__(self, router: Router, method: str, where: str, users: int = USERS) -> None:
        self._router, self._method, self._where, self._users = router, method, where, users
        self._stop = False
        self._number = 0
        self.told: list[Told] = []

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=self._users)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            for _ in range(self._users):
                group.create_task(self._run(session))
            try:
                yield
            finally:
                self._stop = True

    async def _run(self, session: aiohttp.ClientSession) -> None:
        while not self._stop:
            self._number += 1
            self.told.append(await ask(session, self._router, self._method, f"/{self._where}/{self._number}"))

    async def until(self, good: Callable[[Told], bool], count: int = 200) -> None:
        """So many more of this kind."""
        start, deadline = len(self.told), time.monotonic() + 20
        while sum(map(good, self.told[start:])) < count:
            assert time.monotonic() < deadline, Counter((one.status, one.side) for one in self.told[start:])
            await asyncio.sleep(0.01)


async def ask(session: aiohttp.ClientSession, router: Router, method: str, path: str) -> Told:
    url, data = f"http://127.0.0.1:{router.port}{path}", b"body" if method == "POST" else None
    began, status, side, error = time.monotonic(), 0, "", ""
    try:
        async with session.request(method, url, data=data, headers={"X-User-Id": path}) as answer:
            status, side = answer.status, answer.headers.get("X-Strangler-Side", "")
            error = answer.headers.get("X-Strangler-Error", "")
            await answer.read()
        return Told(path, began, time.monotonic(), status, side, error, whole=True)
    except (aiohttp.ClientError, OSError):
        return Told(path, began, time.monotonic(), status, side, error)


# -- services --------------------------------------------------------------------------------------------------------


async def test_nobody_notices_that_the_new_side_was_killed(figure: Callable[[str, str], None]) -> None:
    """With fallback every GET is answered, before, during and after; when the new side returns, so do its users."""
    async with both_sides() as (_, new, router):
        crowd = Crowd(router, "GET", "safe", WITHIN_BUDGET)
        async with crowd.at_work():
            await crowd.until(lambda one: one.side == "new")
            new.die()
            await crowd.until(lambda one: one.side == "legacy")
            await new.start()
            await crowd.until(lambda one: one.side == "new")
    failed = [one for one in crowd.told if one.status != 200 or not one.whole]
    figure("new side killed under load, with fallback", f"{len(failed)} of {len(crowd.told)} requests failed")
    assert [] == failed


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nobody_notices_that_the_new_side_is_down(figure: Callable[[str, str], None], method: str) -> None:
    """A refused connection may always fall back, however many users there are; the new side's return is seen, too."""
    async with both_sides() as (legacy, new, router):
        new.die()
        crowd = Crowd(router, method, "safe")
        async with crowd.at_work():
            await crowd.until(lambda one: one.side == "legacy", 500)
            await new.start()
            await crowd.until(lambda one: one.side == "new")
    failed = [one for one in crowd.told if one.status != 200 or not one.whole]
    figure(f"new side down, {USERS} users with fallback, {method}", f"{len(failed)} of {len(crowd.told)} failed")
    assert [] == failed
    assert {1} == {*new.begun.values(), *legacy.begun.values()}
    assert [] == [path for path in new.begun if path in legacy.begun]


async def test_a_post_is_never_given_to_both_sides() -> None:
    """What was on its way to the dying side fails visibly; the rest goes to legacy; nothing is executed twice."""
    async with both_sides() as (legacy, new, router):
        crowd = Crowd(router, "POST", "safe")
        async with crowd.at_work():
            await crowd.until(lambda one: one.side == "new")
            new.die()
            await crowd.until(lambda one: one.side == "legacy")
    assert [] == [path for path in new.begun if path in legacy.begun]
    assert {1} == {*new.begun.values(), *legacy.begun.values()}
    failed = [one for one in crowd.told if one.status != 200]
    assert len(failed) <= USERS
    assert {(502, "upstream-lost")} >= {(one.status, one.error) for one in failed}


async def test_without_fallback_the_trouble_is_shown_and_ends_with_its_cause() -> None:
    """502 by the router while the service is away, its answers as soon as it is back; legacy's routes never notice."""
    async with both_sides() as (_, new, router):
        crowd, others = Crowd(router, "GET", "alone"), Crowd(router, "GET", "legacy")
        async with crowd.at_work(), others.at_work():
            await crowd.until(lambda one: one.status == 200)
            new.die()
            await crowd.until(lambda one: one.status == 502)
            await others.until(lambda one: one.status == 200)
            await new.start()
            await crowd.until(lambda one: one.status == 200)
    assert {200, 502} == {one.status for one in crowd.told}
    assert all(one.error for one in crowd.told if one.status == 502)
    assert {200} == {one.status for one in others.told}


async def test_a_body_that_is_cut_is_never_a_clean_end_for_anybody() -> None:
    """Half of the answers are reset in the middle: those users see a cut message, and no socket is left over."""
    async with both_sides() as (_, new, router):
        chance = random.Random(1)

        async def sometimes_cut(writer: asyncio.StreamWriter) -> None:
            cut, chunked = chance.random() < 0.5, chance.random() < 0.5
            head = b"Transfer-Encoding: chunked\r\n\r\n4\r\n" if chunked else b"Content-Length: 8\r\n\r\n"
            end = b"\r\n4\r\n2222\r\n0\r\n\r\n" if chunked else b"2222"
            writer.write(b"HTTP/1.1 200 OK\r\nX-Cut: %d\r\n%b1111" % (cut, head))
            await writer.drain()
            await asyncio.sleep(0.002)
            if cut:
                writer.transport.abort()
                raise ConnectionResetError
            writer.write(end)

        before = open_files(router.pid)
        new.answer = sometimes_cut
        crowd = Crowd(router, "GET", "alone")
        async with crowd.at_work():
            await crowd.until(lambda one: one.whole)
            await crowd.until(lambda one: not one.whole)
        new.answer = None
        assert {200} == {one.status for one in crowd.told}
        whole = sum(one.whole for one in crowd.told)
        assert 0.3 < whole / len(crowd.told) < 0.7
        new.die()
        await reaches(lambda: open_files(router.pid), lambda now: now <= before)


async def test_who_stalls_is_given_up_and_delays_nobody_else(figure: Callable[[str, str], None]) -> None:
    """No head within the time-out: legacy answers, or 504; users of other routes are served as before meanwhile."""
    async with both_sides() as (_, new, router):
        stalled = asyncio.Event()

        async def never(writer: asyncio.StreamWriter) -> None:
            await stalled.wait()
            await new.ok(writer)

        new.answer = never
        alone, others = (Crowd(router, "GET", where) for where in ("alone", "legacy"))
        safe = Crowd(router, "GET", "safe", WITHIN_BUDGET)
        async with others.at_work(), safe.at_work(), alone.at_work():
            await safe.until(lambda one: one.status == 200, WITHIN_BUDGET)
            await alone.until(lambda one: one.status == 504, USERS)
            await others.until(lambda one: one.status == 200)
            stalled.set()
        assert {(200, "legacy")} == {(one.status, one.side) for one in safe.told if one.ended - one.began > 0.9}
        assert {200, 504} == {one.status for one in alone.told}
        slowest = max(one.ended - one.began for one in others.told)
        figure("new side stalls: slowest request of other routes", f"{slowest * 1000:.0f} ms")
        assert slowest < 0.9
        assert all(one.ended - one.began < 4 for one in (*safe.told, *alone.told))


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def reaches(look: Callable[[], Any], good: Callable[[Any], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not good(found := look()):
        assert time.monotonic() < deadline, f"it did not come about in time: {found}"
        await asyncio.sleep(0.02)


# -- the router's own parts ------------------------------------------------------------------------------------------


@pytest.fixture
def whole() -> Iterator[Router]:
    with upstreams() as ports, Router(ROUTES.format(**ports), workers=2) as router:
        yield router


def scraped(router: Router) -> dict[str, float]:
    """Every counter that workers keep; empty while control is away."""
    with closing(http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=5)) as connection:
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return {}
    lines = re.findall(r"^(strangler_\w+?_(?:total|count|bucket)(?:{.*})?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in lines if not name.startswith(CONTROLS_OWN)}


class Scraper:
    """Looks at the counters all the time and remembers where one went back."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.backwards: list[tuple[str, float, float]] = []
        self.looks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        last: dict[str, float] = {}
        while not self._over.wait(0.05):
            now = scraped(self._router)
            self.looks += bool(now)
            self.backwards += [(name, value, now[name]) for name, value in last.items() if now.get(name, value) < value]
            last |= now


def run_state(router: Router) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((router.state / "run.json").read_text())
    return found


def test_a_killed_worker_costs_what_it_had_in_hand_and_a_second(
    whole: Router, figure: Callable[[str, str], None]
) -> None:
    """Whoever asks after the kill is answered within a second, and no counter ever goes back."""
    with Scraper(whole) as scraper, Users(whole.port, ("/safe/1", "/legacy/1"), count=6, keep_alive=False) as users:
        longest = 0.0
        for number in range(4):
            users.wait_for(200, time.monotonic())
            pid = run_state(whole)["worker_pids"][number % 2]
            killed = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            users.wait_for(300, killed)
            until(lambda pid=pid, number=number: run_state(whole)["worker_pids"][number % 2] not in {None, pid})
            after = users.since(killed)
            assert [] == [one for one in after if one.status != 200]
            longest = max(longest, *(one.ended - one.began for one in after))
    lost = len(users.failed())
    figure("kill -9 of a worker, four times under load", f"{lost} of {len(users.sent)} requests lost, all in flight")
    figure("kill -9 of a worker: slowest request begun afterwards", f"{longest * 1000:.0f} ms")
    assert lost <= 4 * users.count
    assert longest < 1
    assert [] == scraper.backwards
    assert scraper.looks > 5


def test_a_killed_control_costs_no_request_and_no_counter_goes_back(
    whole: Router, figure: Callable[[str, str], None]
) -> None:
    """Users notice nothing while it is away; it comes back by itself."""
    with Scraper(whole) as scraper, Users(whole.port, ("/safe/1", "/legacy/1")) as users:
        users.wait_for(200)
        pid = run_state(whole)["control"]
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        until(lambda: run_state(whole)["control"] not in {None, pid} and scraped(whole))
        away = time.monotonic() - killed
        users.wait_for(200, time.monotonic())
        looks = scraper.looks
        until(lambda: scraper.looks > looks + 3)
    figure("kill -9 of control under load", f"{len(users.failed())} of {len(users.sent)} requests failed")
    figure("kill -9 of control: admin address answers again", f"after {away:.1f} s")
    assert [] == users.failed()
    assert [] == scraper.backwards

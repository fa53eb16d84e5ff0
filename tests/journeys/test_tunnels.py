"""WebSockets through the whole command: they survive reloads, and leave a side that is rolled back, in time.

Client and services are aiohttp's, so that both ends are somebody else's idea of the protocol.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.journeys.rig import Router

DRAIN = 2
ROUTES = """\
version: 1
upstreams:
  monolith: {{endpoints: ["http://127.0.0.1:{legacy}"]}}
  chat: {{endpoints: ["http://127.0.0.1:{new}"]}}
legacy: monolith
limits: {{tunnel_drain: {drain}s}}
routes:
  - {{path: /chat, new: chat, weight: 100}}
  - {{path: /news, new: chat, weight: 100}}
  - {{path: /other, new: chat, weight: 10}}
"""


@asynccontextmanager
async def service(side: str) -> AsyncIterator[int]:
    """Says who it is as soon as somebody connects (right behind the 101), then repeats what it hears."""

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(side)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        return socket

    application = web.Application()
    application.router.add_get("/{name}", talk)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(router: Router) -> AsyncIterator[Router]:
    """Entered and left in another thread, so that the services go on answering meanwhile."""
    await asyncio.to_thread(router.__enter__)
    try:
        yield router
    finally:
        await asyncio.to_thread(router.__exit__, None, None, None)


class Stage:
    """The router, its admin address and a session of clients."""

    def __init__(self, router: Router, session: aiohttp.ClientSession) -> None:
        self.router = router
        self._session = session

    async def tunnel(self, path: str) -> Tunnel:
        socket = await self._session.ws_connect(f"http://127.0.0.1:{self.router.port}{path}", max_msg_size=0)
        return Tunnel(socket, await socket.receive_str(timeout=10))

    async def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        url = f"http://127.0.0.1:{self.router.admin_port}{path}"
        async with self._session.request(method, url, json=body) as answer:
            text = await answer.text()
            assert answer.status < 300, text
            return json.loads(text) if answer.content_type == "application/json" else text

    async def open_tunnels(self) -> dict[tuple[str, str], int]:
        """As the metrics have it, by route and side."""
        text = await self.admin("GET", "/metrics")
        found = re.findall(r'^strangler_tunnels{route="ANY /(\w+)",side="(\w+)"} (\d+)', text, re.MULTILINE)
        return {(route, side): int(count) for route, side, count in found if int(count)}

    async def until_open(self, expected: dict[tuple[str, str], int]) -> None:
        await until(self.open_tunnels, lambda found: found == expected)

    async def reload(self, old: str, new: str) -> None:
        """Write the file and wait until every worker has it."""
        before = (await self.admin("GET", "/api/v1/status"))["revision"]
        self.router.config.write_text(self.router.config.read_text().replace(old, new))
        await until(lambda: self.admin("GET", "/api/v1/status"), lambda status: _settled(status, before))


class Tunnel:
    """A client's end."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, side: str) -> None:
        self._socket = socket
        self.side = side

    async def echoes(self, text: str) -> bool:
        await self._socket.send_str(text)
        return await self._socket.receive_str(timeout=10) == text

    async def echoes_bytes(self, data: bytes) -> bool:
        await self._socket.send_bytes(data)
        return await self._socket.receive_bytes(timeout=10) == data

    async def seconds_until_closed(self) -> float:
        began = time.monotonic()
        message = await self._socket.receive(timeout=10)
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR}, message
        return time.monotonic() - began

    async def close(self) -> None:
        await self._socket.close()


def _settled(status: dict[str, Any], before: int) -> bool:
    return status["revision"] > before and all(worker["revision"] == status["revision"] for worker in status["workers"])


async def until(look: Callable[[], Any], good: Callable[[Any], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not good(found := await look()):
        assert time.monotonic() < deadline, f"it did not come about in time: {found}"
        await asyncio.sleep(0.02)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with service("legacy") as legacy, service("new") as new:
        async with running(Router(ROUTES.format(legacy=legacy, new=new, drain=DRAIN), workers=2)) as router:
            async with aiohttp.ClientSession() as session:
                yield Stage(router, session)


async def test_tunnels_survive_reloads_of_their_own_route(stage: Stage) -> None:
    """Also when its weight, another route and the whole table change; what opens afterwards follows the new table."""
    tunnels = [await stage.tunnel("/chat") for _ in range(6)]
    assert {"new"} == {tunnel.side for tunnel in tunnels}
    for number, (old, new) in enumerate([("weight: 10}", "weight: 11}"), ("chat, weight: 100", "chat, weight: 0")]):
        await stage.reload(old, new)
        assert all([await tunnel.echoes(f"after reload {number}") for tunnel in tunnels])
    assert "legacy" == (await stage.tunnel("/chat")).side
    assert all([await tunnel.echoes_bytes(bytes(range(256)) * 4096) for tunnel in tunnels])


async def test_a_rollback_drains_tunnels_and_then_closes_them(stage: Stage, figure: Callable[[str, str], None]) -> None:
    """They go on for `tunnel_drain`, then end; those of other routes and of legacy do not; new ones are legacy's."""
    leaving = [await stage.tunnel("/chat") for _ in range(4)]
    staying = [await stage.tunnel("/news") for _ in range(2)]
    await stage.until_open({("chat", "new"): 4, ("news", "new"): 2})
    began = time.monotonic()
    answer = await stage.admin("POST", "/api/v1/rollbacks", {"scope": {"route": "ANY /chat"}, "reason": "chat is ill"})
    assert answer["confirmed"], answer
    assert all([await tunnel.echoes("one last word") for tunnel in leaving])
    moved = await stage.tunnel("/chat")
    assert "legacy" == moved.side
    await asyncio.gather(*(tunnel.seconds_until_closed() for tunnel in leaving))
    took = time.monotonic() - began
    figure("tunnels of a rolled-back route", f"closed {took:.2f} s after the command, with tunnel_drain {DRAIN} s")
    assert DRAIN * 0.6 < took < DRAIN + 5
    assert all([await tunnel.echoes("still here") for tunnel in (*staying, moved)])
    await stage.until_open({("chat", "legacy"): 1, ("news", "new"): 2})


async def test_a_resume_within_the_drain_keeps_the_tunnels(stage: Stage) -> None:
    """A rollback that was a mistake costs nobody a connection."""
    tunnel = await stage.tunnel("/chat")
    answer = await stage.admin("POST", "/api/v1/rollbacks", {"scope": {"all": True}, "reason": "wrong button"})
    await stage.admin("DELETE", f"/api/v1/orders/{answer['order']['id']}", {"reason": "sorry"})
    deadline = time.monotonic() + DRAIN + 1
    while time.monotonic() < deadline:
        assert await tunnel.echoes("here")
        await asyncio.sleep(0.1)


async def test_closed_tunnels_are_no_longer_counted(stage: Stage) -> None:
    """Whoever closes."""
    tunnels = [await stage.tunnel(path) for path in ("/chat", "/chat", "/unlisted")]
    await stage.until_open({("chat", "new"): 2})
    for tunnel in tunnels:
        await tunnel.close()
    await stage.until_open({})

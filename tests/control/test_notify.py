"""Webhooks are told what rollouts do: signed, again when they fail, and never at the cost of anything else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from control import notify
from control.notify import FAILED, HELD, SIGNATURE, Notifier, _Line, text_of, wanted
from rollout.core.run import Told
from router.core.model import Webhook
from router.events import Event, Events


@dataclass
class Hook:
    """A webhook that answers as the test wants, and remembers what it was sent."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/hook", self.handle)
        async with TestServer(app) as server:
            yield str(server.make_url("/hook"))

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@asynccontextmanager
async def told(*hooks: Webhook, pauses: tuple[float, ...] = (0.0, 0.0)) -> AsyncIterator[Events]:
    """Events that these webhooks hear of."""
    events = Events(lambda: 5.0)
    notifier = Notifier(events, lambda: hooks, lambda: 1_700_000_000.0, pauses=pauses, sender="s")
    task = asyncio.create_task(notifier.run())
    await until(lambda: len(notifier._lines) == len(hooks))
    try:
        yield events
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_an_event_arrives_whole_and_signed() -> None:
    """Whoever knows the secret can tell that it is ours, and when it was sent."""
    hook = Hook()
    async with hook.serving() as url, told(Webhook("audit", url, secret="hush")) as events:
        events.tell(Told.HELD, route="p", run=2, why="E is large")
        await until(lambda: hook.got)
    headers, body = hook.got[0]
    assert {"id": "s-1", "event": Told.HELD, "at": 5.0, "route": "p", "run": 2, "why": "E is large"} == json.loads(body)
    expected = hmac.new(b"hush", b"1700000000." + body, hashlib.sha256).hexdigest()
    assert f"t=1700000000,v1={expected}" == headers[SIGNATURE]


async def test_a_chat_gets_one_line_that_it_cannot_take_for_markup() -> None:
    """The form that Slack and its like show."""
    hook = Hook()
    async with hook.serving() as url, told(Webhook("chat", url, slack=True)) as events:
        events.tell(Told.ROLLED_BACK, route="p", verdict="new <b>3 of 5</b> failed")
        await until(lambda: hook.got)
    assert [{"text": "rollout.rolled_back p: new &lt;b&gt;3 of 5&lt;/b&gt; failed"}] == hook.bodies()
    assert SIGNATURE not in hook.got[0][0]


async def test_what_was_not_taken_is_sent_again_as_the_same() -> None:
    """Also 429; the next event waits for its turn."""
    hook = Hook([500, 429])
    async with hook.serving() as url, told(Webhook("audit", url)) as events:
        events.tell(Told.STARTED, route="p")
        events.tell(Told.DONE, route="p")
        await until(lambda: len(hook.got) == 4)
    assert ["s-1", "s-1", "s-1", "s-2"] == [body["id"] for body in hook.bodies()]


@pytest.mark.parametrize(("statuses", "attempts"), [([404], 1), ([302], 1), ([503, 503, 503], 3)])
async def test_what_is_refused_for_good_or_too_often_is_given_up_and_said_once(
    statuses: list[int], attempts: int
) -> None:
    """A redirect is not followed: it would take the event to somewhere nobody named."""
    hook = Hook([*statuses, 404])
    async with hook.serving() as url, told(Webhook("audit", url)) as events:
        with events.subscribe() as heard:
            events.tell(Told.STARTED, route="p")
            events.tell(Told.DONE, route="p")
            await until(lambda: len(hook.got) == attempts + 1)
            names = [event.name for event in heard._events]
    assert [Told.STARTED, Told.DONE, FAILED] == sorted(names, key=lambda name: name == FAILED)


async def test_one_that_cannot_be_reached_keeps_nobody_else_waiting() -> None:
    """Each has its own line; nothing of its address is told."""
    hook = Hook()
    gone = Webhook("gone", "http://127.0.0.1:1/secret-path")
    async with hook.serving() as url, told(gone, Webhook("audit", url), pauses=(30.0,)) as events:
        for _ in range(3):
            events.tell(Told.STARTED, route="p")
        await until(lambda: len(hook.got) == 3)
        assert not [event for event in events._told if "secret-path" in str(event)]


def test_a_line_is_bounded() -> None:
    """The oldest gives way, and it is counted."""
    line = _Line(Webhook("audit", "http://127.0.0.1:1/"))
    for number in range(HELD + 7):
        line.put(Event(Told.HELD, 0.0, {}, number))
    assert (HELD, 7, 7) == (len(line.waiting), line.dropped, line.waiting[0].number)


@pytest.mark.parametrize(
    ("events", "name", "expected"),
    [
        ((), Told.ROLLED_BACK, True),
        ((), Told.WAITING, False),
        ((), "order.accepted", False),
        (("rollout.*",), Told.WAITING, True),
        (("rollout.held", "order.*"), "order.accepted", True),
        (("rollout.held",), Told.DONE, False),
    ],
)
def test_each_hears_what_it_wants(events: tuple[str, ...], name: str, expected: bool) -> None:
    """Without a wish: what rollouts do and somebody may have to act upon."""
    assert expected is wanted(Webhook("x", "http://127.0.0.1:1/", events=events), name)


def test_a_text_is_never_endless() -> None:
    """A verdict may be long."""
    assert len(text_of(Event(Told.HELD, 0.0, {"route": "p", "why": "x" * 10_000}))) <= notify._SHOWN


async def test_the_lines_follow_routes_yaml() -> None:
    """One that is new is told from now on, one that is gone no more."""
    first, second, hooks = Hook(), Hook(), []
    events = Events(lambda: 5.0)
    async with first.serving() as one, second.serving() as two:
        hooks = [Webhook("one", one)]
        notifier = Notifier(events, lambda: tuple(hooks), lambda: 5.0)
        task = asyncio.create_task(notifier.run())
        await until(lambda: "one" in notifier._lines)
        hooks[:] = [Webhook("two", two)]
        await until(lambda: list(notifier._lines) == ["two"])
        events.tell(Told.DONE, route="p")
        await until(lambda: second.got)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [] == first.got

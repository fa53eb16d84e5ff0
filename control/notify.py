"""Tells the webhooks of routes.yaml (`notify`) what rollouts do.

Nothing that matters waits for them: events lie in a queue of bounded length, one a webhook, and each is sent again with
growing pauses until it is taken, it is refused for good, or its time is over.  What was dropped or given up is counted,
and the log says so once until something gets through again.

A webhook that has a secret gets `X-Strangler-Signature: t=UNIX,v1=HEX`, the HMAC-SHA256 of `UNIX.` and the body, as
bytes; whoever checks it and the time knows who sent it, and when.  An event that is sent again has the same `id`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

import aiohttp

from rollout.core.run import Told
from router.core.model import Webhook
from router.events import Event, Events

HELD: Final = 500
"""Events that wait for one webhook; with one more the oldest is dropped."""
PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds before an event is sent again; after the last of them it is given up."""
PATIENCE: Final = 10.0
"""Seconds for one attempt."""
LOOK: Final = 1.0
"""Seconds between two looks at what routes.yaml says."""
USUAL: Final = "rollout.*"
QUIET: Final = frozenset({Told.WAITING, Told.REFUSED, Told.DRILLED})
"""Told only to who names them: they say nothing that somebody has to do."""
SIGNATURE: Final = "X-Strangler-Signature"
FAILED: Final = "notify.failed"

_SHOWN: Final = 3000
"""Characters of a text for a chat."""


def wanted(hook: Webhook, name: str) -> bool:
    """Does this webhook want events of this name?"""
    if hook.events:
        return any(fnmatchcase(name, pattern) for pattern in hook.events)
    return fnmatchcase(name, USUAL) and name not in QUIET


def body_of(hook: Webhook, event: Event, sender: str) -> bytes:
    """What is sent: the whole event, or a text for a chat."""
    if hook.slack:
        return json.dumps({"text": text_of(event)}).encode()
    return json.dumps(
        {"id": f"{sender}-{event.number}", "event": event.name, "at": event.at, **_plain(event.fields)}
    ).encode()


def text_of(event: Event) -> str:
    """One line: `rollout.held product: HOLD route product; ...`."""
    fields = event.fields
    said = [str(fields[name]) for name in ("step", "why", "reason", "verdict") if isinstance(fields.get(name), str)]
    route = f" {fields['route']}" if fields.get("route") else ""
    return (
        f"{event.name}{route}: {'; '.join(said)}"[:_SHOWN].removesuffix(": ").replace("<", "&lt;").replace(">", "&gt;")
    )


def _plain(fields: Mapping[str, object]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(dict(fields), default=str))
    return found


def signature(secret: str, moment: int, body: bytes) -> str:
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


@dataclass
class _Line:
    """One webhook and what waits for it."""

    hook: Webhook
    waiting: deque[Event] = field(default_factory=deque)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    dropped: int = 0
    """Since something got through."""
    trouble: bool = False

    def put(self, event: Event) -> None:
        if len(self.waiting) >= HELD:
            self.waiting.popleft()
            self.dropped += 1
        self.waiting.append(event)
        self.ready.set()


class Notifier:
    """Keeps one line a webhook, as routes.yaml says at the moment."""

    def __init__(
        self,
        events: Events,
        hooks: Callable[[], tuple[Webhook, ...]],
        now: Callable[[], float],
        *,
        pauses: tuple[float, ...] = PAUSES,
        sender: str = "",
    ) -> None:
        """`sender` begins the ids of events, so that those of a restarted process are others."""
        self._events = events
        self._hooks = hooks
        self._now = now
        self._pauses = pauses
        self._sender = sender or f"{int(now() * 1000):x}"
        self._lines: dict[str, _Line] = {}

    async def run(self) -> None:
        """Until it is cancelled; what waits then is lost, and stands in the log of rollouts."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
            try:
                while True:
                    await self._hear(session)
            finally:
                await self._end(list(self._lines.values()))

    async def _hear(self, session: aiohttp.ClientSession) -> None:
        """One subscription; when it could not keep up, another one."""
        with self._events.subscribe() as subscription:
            while True:
                await self._follow(session)
                try:
                    event = await asyncio.wait_for(anext(subscription), LOOK)
                except TimeoutError:
                    continue
                except StopAsyncIteration:
                    return
                for line in self._lines.values():
                    if wanted(line.hook, event.name):
                        line.put(event)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        """The lines are those of the routes.yaml in force."""
        hooks = {hook.name: hook for hook in self._hooks()}
        gone = [line for name, line in self._lines.items() if hooks.get(name) != line.hook]
        if gone:
            await self._end(gone)
            self._lines = {name: line for name, line in self._lines.items() if line not in gone}
        for name, hook in hooks.items():
            if name not in self._lines:
                line = self._lines[name] = _Line(hook)
                line.task = asyncio.create_task(self._serve(line, session), name=f"notify-{name}")

    async def _end(self, lines: list[_Line]) -> None:
        tasks = [line.task for line in lines if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, line: _Line, session: aiohttp.ClientSession) -> None:
        while True:
            while not line.waiting:
                line.ready.clear()
                await line.ready.wait()
            await self._send(line, line.waiting.popleft(), session)

    async def _send(self, line: _Line, event: Event, session: aiohttp.ClientSession) -> None:
        """Again and again, until it is over with this event."""
        for pause in (*self._pauses, None):
            why, again = await self._attempt(line.hook, event, session)
            if not why:
                line.trouble, line.dropped = False, 0
                return
            if not again or pause is None:
                line.dropped += 1
                if not line.trouble:  # told once: it would be an event for the webhooks too
                    line.trouble = True
                    self._events.tell(FAILED, webhook=line.hook.name, why=why, event_given_up=event.name)
                return
            await asyncio.sleep(pause)

    async def _attempt(self, hook: Webhook, event: Event, session: aiohttp.ClientSession) -> tuple[str, bool]:
        """Why it was not taken (empty: it was), and whether it may be tried again."""
        data = body_of(hook, event, self._sender)
        headers = {"Content-Type": "application/json"}
        if hook.secret:
            headers[SIGNATURE] = signature(hook.secret, int(self._now()), data)
        try:
            async with session.post(hook.url, data=data, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return type(error).__name__, True
        if 200 <= status < 300:
            return "", False
        return f"it answered {status}", status in {408, 425, 429} or status >= 500

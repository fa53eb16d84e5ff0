"""Events as they happen (server-sent events), to a bounded number of listeners that keep up."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from control.api.problems import Problem
from control.api.reads import context
from router.events import Event, Subscription

LISTENERS: Final = 32
HEARTBEAT: Final = 5.0
"""Seconds of silence after which a comment tells both ends that the other one lives."""
BOOT: Final = secrets.token_hex(4)
"""Which process counted: numbers begin anew with each."""
NOTHING: Final = 2**60
"""A number that no event has."""
_ID: Final = re.compile("([0-9a-f]{1,16})-([0-9]{1,12})")
PATIENCE: Final = 10.0
"""Seconds a listener may take to read one event."""


async def events(request: web.Request) -> web.StreamResponse:
    """Every event from now on, or after `Last-Event-ID`; one that says `events.dropped` is the last one."""
    found = context(request)
    if found.listeners >= LISTENERS:
        raise Problem(503, "too-many-listeners", f"{LISTENERS} event streams are open already", "close one of them")
    found.listeners += 1
    try:
        with found.live.events.subscribe(_after(request)) as subscription:
            return await _streamed(request, subscription, found.live.revision, found.closing)
    finally:
        found.listeners -= 1


def _after(request: web.Request) -> int | None:
    """What `Last-Event-ID` names; None without it.  An id of an earlier process stands for nothing we have told."""
    said = request.headers.get("Last-Event-ID")
    if said is None:
        return None
    found = _ID.fullmatch(said)
    if found is None:
        raise Problem(400, "bad-event-id", "Last-Event-ID names no event", "send the id of the last event, as it came")
    return int(found[2]) if found[1] == BOOT else NOTHING


async def _streamed(
    request: web.Request, subscription: Subscription, revision: int, closing: asyncio.Event
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    )
    await response.prepare(request)
    try:
        await _write(response, _message("hello", {"revision": revision}))
        async for event in _until(subscription, closing):
            await _write(response, b": still here\n\n" if event is None else _event(event))
    except (ConnectionError, TimeoutError):
        pass  # the listener has gone, or does not read
    return response


async def _until(subscription: Subscription, closing: asyncio.Event) -> AsyncIterator[Event | None]:
    """The events; None after a silence; ends with the subscription or the address."""
    closed = asyncio.create_task(closing.wait(), name="events.closing")
    waiting: asyncio.Task[Event] | None = None
    try:
        while True:
            waiting = waiting or asyncio.create_task(anext(subscription), name="events.next")
            done, _ = await asyncio.wait({waiting, closed}, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            if closed in done:
                return
            if not done:
                yield None
                continue
            try:
                event = waiting.result()
            except StopAsyncIteration:
                return
            waiting = None
            yield event
    finally:
        for task in (closed, waiting):
            if task is not None:
                task.cancel()


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        await response.write(data)


def _event(event: Event) -> bytes:
    name = f"id: {BOOT}-{event.number}\n".encode() if event.number else b""
    return name + _message(event.name, {"at": event.at, **event.fields})


def _message(name: str, fields: dict[str, object]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(fields, default=str)}\n\n".encode()

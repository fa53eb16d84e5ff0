"""Events as they happen (server-sent events), to a bounded number of listeners that keep up."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from control.api import body
from control.api.access import PRINCIPAL
from control.api.problems import Problem
from control.api.reads import context
from control.counters import RecentTraffic
from router.events import Event, Subscription

LISTENERS: Final = 32
OF_ONE: Final = 16
"""Of one token: whoever leaves streams open leaves room for others."""
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
    """Every event from now on, or after `Last-Event-ID`; one that says `events.dropped` is the last one.

    With `?samples=true` also a `sample` whenever the counters have been looked at, for those who show them live.
    """
    found = context(request)
    samples = found.traffic if body.flag(request.query, "samples") else None
    if found.listeners >= LISTENERS:
        raise Problem(503, "too-many-listeners", f"{LISTENERS} event streams are open already", "close one of them")
    who = PRINCIPAL.get()
    name = who.name if who else ""
    if name and found.listening[name] >= OF_ONE:
        detail = f"{OF_ONE} event streams of {name} are open already"
        raise Problem(503, "too-many-listeners", detail, "close one of them")
    found.listeners += 1
    found.listening[name] += 1
    try:
        with found.live.events.subscribe(_after(request)) as subscription:
            source = _Source(subscription, found.closing, samples)
            return await _streamed(request, source, found.live.revision)
    finally:
        found.listeners -= 1
        found.listening[name] -= 1


def _after(request: web.Request) -> int | None:
    """What `Last-Event-ID` names; None without it.  An id of an earlier process stands for nothing we have told."""
    said = request.headers.get("Last-Event-ID")
    if said is None:
        return None
    found = _ID.fullmatch(said)
    if found is None:
        raise Problem(400, "bad-event-id", "Last-Event-ID names no event", "send the id of the last event, as it came")
    return int(found[2]) if found[1] == BOOT else NOTHING


@dataclass(frozen=True, slots=True)
class _Source:
    """What a listener hears, and until when."""

    events: Subscription
    closing: asyncio.Event
    samples: RecentTraffic | None


async def _streamed(request: web.Request, source: _Source, revision: int) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    )
    await response.prepare(request)
    try:
        await _write(response, _message("hello", {"revision": revision}))
        async for data in _until_closed(source):
            await _write(response, data)
    except (ConnectionError, TimeoutError):
        pass  # the listener has gone, or does not read
    return response


async def _until_closed(source: _Source) -> AsyncIterator[bytes]:
    """Events, samples, and a comment after a silence; ends with the subscription or the address."""
    closed = asyncio.create_task(source.closing.wait(), name="events.closing")
    heard: asyncio.Task[Event] | None = None
    sampled: asyncio.Task[None] | None = None
    try:
        while True:
            heard = heard or asyncio.create_task(anext(source.events), name="events.next")
            if source.samples is not None:
                sampled = sampled or asyncio.create_task(source.samples.until_sampled(), name="events.sample")
            waiting = {closed, heard} if sampled is None else {closed, heard, sampled}
            done, _ = await asyncio.wait(waiting, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            if closed in done:
                return
            if not done:
                yield b": still here\n\n"
            if heard in done:
                try:
                    event = heard.result()
                except StopAsyncIteration:
                    return
                heard = None
                yield _event(event)
            if sampled in done:
                sampled = None
                yield _message("sample", {"at": time.time()})
    finally:
        for task in (closed, heard, sampled):
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

"""Idempotency keys: a POST that is sent again is answered again, and nothing is done twice.

A client that heard nothing cannot know whether its change took force; with the same key it may simply ask again.
Answers are kept in memory, so many and so long; a restart forgets them, and then `If-Match` is what protects.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from control.api.problems import Problem

HEADER: Final = "Idempotency-Key"
KEY: Final = re.compile("[A-Za-z0-9._-]{8,100}")
MOST: Final = 1000
SECONDS: Final = 24 * 3600.0


@dataclass
class _Kept:
    fingerprint: bytes
    at: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    answer: tuple[int, str, bytes] | None = None


class Answers:
    """What was answered under which key; bounded."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()

    async def once(
        self, key: str, who: str, request: web.Request, data: bytes, handle: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """The answer of `handle`, or the one it gave before."""
        if not KEY.fullmatch(key):
            raise Problem(
                400, "bad-idempotency-key", "the Idempotency-Key is no key", "send 8 to 100 letters, digits or ._-"
            )
        kept = self._entry((who, request.raw_path, key), hashlib.blake2b(data).digest())
        async with kept.turn:
            if kept.answer is not None:
                status, kind, body = kept.answer
                return web.Response(status=status, body=body, content_type=kind, headers={"Idempotent-Replay": "true"})
            try:
                answer = await handle()
            except Problem as problem:
                answer = problem.answer()
            if isinstance(answer, web.Response) and answer.status < 500 and isinstance(answer.body, bytes):
                kept.answer = (answer.status, answer.content_type, answer.body)
            return answer

    def _entry(self, name: tuple[str, str, str], fingerprint: bytes) -> _Kept:
        kept, now = self._kept.get(name), self._now()
        if kept is None or now - kept.at >= SECONDS:
            kept = self._kept[name] = _Kept(fingerprint, now)
            self._kept.move_to_end(name)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        elif kept.fingerprint != fingerprint:
            detail = "this Idempotency-Key came with another body before"
            raise Problem(422, "idempotency-key-reused", detail, "send a new key with a new request")
        return kept

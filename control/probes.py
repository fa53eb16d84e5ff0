"""Active probes: one prober for each target, which asks again and again and hands on what it has met.

A probe is a new connection, so that it meets what a new client would; redirects are not followed, little of an answer
is read, and everything together has the time that `health.timeout` allows.  The pauses are drawn anew each time,
between half and one and a half intervals, so that neither a target that flaps in time with its prober nor the probers
of a whole fleet fall in step.  A failure is the target's own word when its answer says so: a 5xx, or a good status
without the text that a good answer has.

Nothing is judged here (`router.core.health` does).  Probers stop for what is gone and go on for what stays.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

import aiohttp
from yarl import URL  # aiohttp's own

from router.core.addresses import forbidden_address, is_address
from router.core.health import Evidence, Source
from router.core.model import Endpoint, Health

MOST_AT_ONCE: Final = 256
"""Probes under way; more wait, without losing of their time."""
READ_OF_A_BODY: Final = 64 * 1024
"""So much of an answer's body is looked at."""
LONGEST_LINE: Final = 8190
LONGEST_WHY: Final = 120

Heard = Callable[[str, Evidence], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a target is and what is asked of it."""

    endpoint: Endpoint
    health: Health
    address: str = ""
    """Of a name; empty: as the endpoint is written."""
    anywhere: bool = False
    """Addresses that are link-local or a cloud's metadata are meant."""


GOOD: Final = Evidence(Source.PROBE, good=True)


def bad(why: str, *, own_word: bool = False) -> Evidence:
    return Evidence(Source.PROBE, good=False, why=why[:LONGEST_WHY], own_word=own_word)


class Prober:
    """Probes targets until it is closed."""

    def __init__(self, heard: Heard, chance: Random | None = None) -> None:
        """`heard` is told a target's key and what was met there."""
        self._heard = heard
        self._chance = chance or Random()  # noqa: S311  # jitter is no secret
        self._wanted: dict[str, Asked] = {}
        self._probing: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None
        self._group: asyncio.TaskGroup | None = None

    def follow(self, wanted: Mapping[str, Asked]) -> None:
        """From now on these targets, by key; a prober whose target is asked the same as before goes on."""
        before, self._wanted = self._wanted, dict(wanted)
        for key in before:
            if self._wanted.get(key) != before[key] and (task := self._probing.pop(key, None)) is not None:
                task.cancel()
        self._begin()

    def _begin(self) -> None:
        if self._group is None:
            return
        for key, asked in self._wanted.items():
            if key not in self._probing:
                self._probing[key] = self._group.create_task(self._watch(key, asked), name=f"probe {key}")

    async def run(self) -> None:
        """Probes until it is cancelled."""
        connector = aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False)
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            skip_auto_headers=("Accept-Encoding",),
            headers={"User-Agent": "strangler-probe", "Connection": "close"},
        ) as self._session:
            try:
                async with asyncio.TaskGroup() as self._group:
                    self._begin()
                    await asyncio.get_running_loop().create_future()
            finally:
                self._group = None
                self._probing.clear()

    async def _watch(self, key: str, asked: Asked) -> None:
        while True:
            async with self._turns:
                met = await self.ask(asked)
            self._heard(key, met)
            await asyncio.sleep(asked.health.interval * self._chance.uniform(0.5, 1.5))

    async def ask(self, asked: Asked) -> Evidence:
        """One probe.  Never raises, and takes no longer than it may."""
        try:
            async with asyncio.timeout(asked.health.timeout):
                return await self._reached(asked)
        except TimeoutError:
            return bad(f"no answer within {asked.health.timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            return bad(f"no connection: {_reason(error.os_error)}")
        except (OSError, EOFError, aiohttp.ClientError, ValueError) as error:
            return bad(f"no answer: {_reason(error)}")

    async def _reached(self, asked: Asked) -> Evidence:
        """What is met at the first address that takes a connection: `localhost` has two, and is one place."""
        addresses = await _addresses(asked)
        if not addresses:
            return bad("its name leads nowhere that may be asked")
        ask = self._connect if asked.health.tcp else self._get
        for address in addresses[:-1]:
            try:
                return await ask(asked, address)
            except OSError:
                continue
        return await ask(asked, addresses[-1])

    async def _connect(self, asked: Asked, address: str) -> Evidence:
        _, writer = await asyncio.open_connection(address, asked.endpoint.port)
        writer.transport.abort()
        return GOOD

    async def _get(self, asked: Asked, address: str) -> Evidence:
        if self._session is None:
            raise RuntimeError("it does not run")
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{asked.endpoint.port}{asked.health.path}"
        headers = {"Host": asked.endpoint.authority}
        as_written = URL(url, encoded=True)
        async with self._session.get(as_written, headers=headers, allow_redirects=False, timeout=_NONE) as answer:
            return judged(answer.status, await self._beginning(asked, answer), asked.health)

    async def _beginning(self, asked: Asked, answer: aiohttp.ClientResponse) -> bytes:
        """As much of the body as is looked at; nothing when nothing is looked for."""
        read = b""
        while asked.health.body and len(read) < READ_OF_A_BODY:
            piece = await answer.content.read(READ_OF_A_BODY - len(read))
            read += piece
            if not piece or asked.health.body.encode() in read:
                break
        return read


async def _addresses(asked: Asked) -> tuple[str, ...]:
    """Where the target is; of a name, what the system says of it, but for what nobody may be sent to."""
    if asked.address or is_address(asked.endpoint.host):
        return (asked.address or asked.endpoint.host,)
    loop, port = asyncio.get_running_loop(), asked.endpoint.port
    found = await loop.getaddrinfo(asked.endpoint.host, port, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(each[4][0]) for each in found)
    return tuple(each for each in addresses if asked.anywhere or forbidden_address(each) is None)


def judged(status: int, body: bytes, health: Health) -> Evidence:
    """What an answer says of its target."""
    if not any(low <= status <= high for low, high in health.statuses):
        return bad(f"{health.path} answered {status}", own_word=status >= 500)
    if health.body.encode() not in body:
        return bad(f"{health.path} answered {status}, but without {health.body!r}", own_word=True)
    return GOOD


def _reason(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error) or type(error).__name__


_NONE: Final = aiohttp.ClientTimeout(total=None)
"""The time is kept by `ask`, over all of it."""

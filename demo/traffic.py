"""The demo's users: a handful of people who browse, search, fill carts, buy, watch their order and chat.

Traffic is modest and bounded: a user has at most one request in flight and thinks between two of them.
Every user keeps one identity (half of them a header, half a cookie), because that is what keeps a user on one side.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from demo.tally import Seen, Tally

_CORNERS = ("main", "main/spring", "event/autumn", "brand/hanbit")
_WORDS = ("kettle", "lamp", "jacket", "mirae", "tea set", "shoes")
_TIMEOUT = aiohttp.ClientTimeout(total=20)


@dataclass(slots=True)
class User:
    """One shopper: an identity, a session towards the router, and a place to write down what came back."""

    number: int
    session: aiohttp.ClientSession
    tally: Tally
    pause: float
    """Mean seconds of thinking between two requests."""
    random: random.Random

    @property
    def cart_id(self) -> str:
        return f"c{self.number:03d}"

    async def shop(self) -> None:
        """Goes on until cancelled."""
        habits: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.browse, 5),
            (self.search, 2),
            (self.fill_cart, 3),
            (self.order, 1),
        ]
        chat = self.number == 0
        while True:
            if chat:
                await self.chat()
            habit = self.random.choices([h for h, _ in habits], [weight for _, weight in habits])[0]
            await habit()

    async def browse(self) -> None:
        await self.ask("GET", f"/v1/display/{self.random.choice(_CORNERS)}")
        await self.ask("GET", f"/v1/products?page={self.random.randint(1, 4)}")
        for _ in range(self.random.randint(1, 4)):
            await self.ask("GET", f"/v1/products/{self._any_product()}")

    async def search(self) -> None:
        word = self.random.choice(_WORDS)
        if self.random.random() < 0.5:
            await self.ask("GET", f"/v1/products/search?q={word.replace(' ', '%20')}")
        else:
            await self.ask("POST", "/v1/products/search", {"q": word})

    async def fill_cart(self) -> None:
        await self.ask("POST", f"/v1/carts/{self.cart_id}/items", {"productNo": self._any_product(), "quantity": 1})
        await self.ask("GET", f"/v1/carts/{self.cart_id}")

    async def order(self) -> None:
        await self.fill_cart()
        answer = await self.ask("POST", "/v1/orders", {"cartId": self.cart_id})
        if answer and isinstance(answer.get("orderNo"), int):
            await self.ask("GET", f"/v1/orders/{answer['orderNo']}")
            await self.watch(f"/v1/orders/{answer['orderNo']}/events")

    async def watch(self, path: str) -> None:
        """Reads server-sent events to their end."""
        try:
            async with self.session.get(path) as response:
                async for line in response.content:
                    self.tally.order_events += line.startswith(b"event:")
                self._note(response, response.status, 0.0)
        except (TimeoutError, aiohttp.ClientError):
            self._note(None, 0, 0.0)

    async def chat(self) -> None:
        """Says a few lines over a WebSocket and waits for each answer."""
        try:
            async with self.session.ws_connect("/v1/chat") as socket:
                for line in ("hello", "where is my order?", "thanks"):
                    await socket.send_str(line)
                    await socket.receive_json(timeout=10)
                    self.tally.chat_lines += 1
                    await self._think()
        except (TimeoutError, TypeError, aiohttp.ClientError):
            self._note(None, 0, 0.0)

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, object] | None:
        """One request; its JSON, or None when there was no sound answer."""
        began = time.monotonic()
        try:
            async with self.session.request(method, path, json=body) as response:
                data = await response.json(content_type=None)
                self._note(response, response.status, (time.monotonic() - began) * 1000)
        except (TimeoutError, aiohttp.ClientError, ValueError):
            self._note(None, 0, (time.monotonic() - began) * 1000)
            data = None
        await self._think()
        return data if isinstance(data, dict) else None

    async def _think(self) -> None:
        await asyncio.sleep(self.random.uniform(0.5, 1.5) * self.pause)

    def _note(self, response: aiohttp.ClientResponse | None, status: int, ms: float) -> None:
        headers = response.headers if response is not None else {}
        route, side = headers.get("X-Strangler-Route", "?"), headers.get("X-Strangler-Side", "?")
        self.tally.add(Seen(time.monotonic(), route, side, status, ms))

    def _any_product(self) -> int:
        return self.random.randint(1001, 1048)


async def shop_together(url: str, tally: Tally, *, users: int, rate: float) -> None:
    """`users` people produce about `rate` requests per second together, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for number in range(users):
            group.create_task(_one(url, tally, number, users / rate), name=f"user {number}")


async def _one(url: str, tally: Tally, number: int, pause: float) -> None:
    identity = {"X-User-Id": f"u{number}"} if number % 2 else {"Cookie": f"sid=s{number}"}
    async with aiohttp.ClientSession(url, timeout=_TIMEOUT, headers=identity) as session:
        await User(number, session, tally, pause, random.Random(number)).shop()

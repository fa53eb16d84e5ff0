"""The demo's users shop without mistakes, and notice when the shop makes one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from demo.services import legacy_app, serving
from demo.shop import Shop
from demo.tally import Tally
from demo.traffic import shop_together


async def shop_until(port: int, tally: Tally, enough: Callable[[], bool], seconds: float = 20) -> None:
    """Lets the users loose until `enough` holds; fails when it does not within `seconds`."""
    users = asyncio.create_task(shop_together(f"http://127.0.0.1:{port}", tally, users=6, rate=400))
    deadline = time.monotonic() + seconds
    try:
        while not enough():
            assert time.monotonic() < deadline, f"not enough after {seconds} s: {tally}"
            assert not users.done(), users
            await asyncio.sleep(0.01)
    finally:
        users.cancel()
        await asyncio.gather(users, return_exceptions=True)


async def test_users_use_every_corner_of_the_shop_without_a_failure() -> None:
    """Pages, carts, orders, events and chat all get traffic, and everything is answered well."""
    tally, shop = Tally(started=time.monotonic()), Shop()

    def everything() -> bool:
        return bool(tally.total >= 100 and tally.order_events >= 4 and tally.chat_lines >= 3 and shop.orders)

    async with serving(legacy_app(shop)) as port:
        await shop_until(port, tally, everything)
    assert tally.failed == 0


async def test_identities_stay_what_they_are_and_what_the_router_says_is_counted() -> None:
    """Six users show six identities, three by header and three by cookie; side and route come from the answer."""
    tally, seen = Tally(started=time.monotonic()), set()

    async def answer(request: web.Request) -> web.Response:
        seen.add((request.headers.get("X-User-Id"), request.headers.get("Cookie")))
        labels = {"X-Strangler-Route": "any", "X-Strangler-Side": "new", "Set-Cookie": "sid=other; Path=/"}
        return web.json_response({}, headers=labels)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    async with serving(app) as port:
        await shop_until(port, tally, lambda: tally.sides["new"] >= 60 and len(seen) >= 6)
    identities = {(None, f"sid=s{n}") for n in (0, 2, 4)} | {(f"u{n}", None) for n in (1, 3, 5)}
    assert identities == seen
    assert "any" in tally.routes


async def test_a_shop_that_fails_is_counted_as_failing() -> None:
    """503 and a refused WebSocket are failures in the users' books."""
    tally = Tally(started=time.monotonic())

    async def broken(_request: web.Request) -> web.Response:
        return web.json_response({"error": "broken"}, status=503)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", broken)
    async with serving(app) as port:
        await shop_until(port, tally, lambda: tally.total >= 20)
    assert tally.total == tally.failed

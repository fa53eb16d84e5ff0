"""The programs behind the demo's router: a legacy shop that can do everything, and two new services.

They run inside the demo's own process, each on its own loopback port.  A service names itself in `X-Served-By`,
so that what the router says about an answer can be checked against who really gave it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from demo.shop import Shop

LEGACY = "legacy-shop"
CATALOG = "catalog"
CART = "cart"

ORDER_STEPS = ("received", "paid", "packed", "shipped")
_STEP_SECONDS = 0.4
_GRACE_SECONDS = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Service:
    """One program: its name, how long it thinks before it answers, and whether it is broken right now."""

    name: str
    shop: Shop
    think: float
    broken: bool = False

    def app(self, routes: Sequence[web.RouteDef]) -> web.Application:
        app = web.Application(middlewares=[self._manners])
        app.add_routes([web.get("/healthz", self.health), web.post("/-/break", self.break_)])
        app.add_routes([web.post("/-/mend", self.mend), *routes])
        app.on_response_prepare.append(self._sign)
        return app

    @web.middleware
    async def _manners(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Takes its time, fails while broken, and answers a missing resource in JSON."""
        if request.path.startswith("/-/"):
            return await handler(request)
        if self.broken:
            return web.json_response({"error": f"{self.name} is broken"}, status=503)
        if request.path != "/healthz":
            await asyncio.sleep(self.think)
        try:
            return await handler(request)
        except web.HTTPException as trouble:
            return web.json_response({"error": trouble.reason}, status=trouble.status)

    async def _sign(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Served-By"] = self.name

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "service": self.name})

    async def break_(self, _request: web.Request) -> web.Response:
        self.broken = True
        return web.json_response({"service": self.name, "broken": True})

    async def mend(self, _request: web.Request) -> web.Response:
        self.broken = False
        return web.json_response({"service": self.name, "broken": False})

    # products

    async def products(self, request: web.Request) -> web.Response:
        page = _whole_number(request.query.get("page", "1"))
        return web.json_response({"products": [product.view() for product in self.shop.page(page)]})

    async def product(self, request: web.Request) -> web.Response:
        product = self.shop.products.get(_whole_number(request.match_info["productNo"]))
        if product is None:
            raise web.HTTPNotFound
        return web.json_response(product.view())

    async def search(self, request: web.Request) -> web.Response:
        words = request.query.get("q", "")
        if request.method == "POST":
            words = str((await _json_object(request)).get("q", ""))
        return web.json_response({"q": words, "products": [product.view() for product in self.shop.search(words)]})

    async def categories(self, _request: web.Request) -> web.Response:
        return web.json_response({"categories": self.shop.categories()})

    # carts

    async def cart(self, request: web.Request) -> web.Response:
        return web.json_response(self.shop.cart_view(request.match_info["cartId"]))

    async def add_item(self, request: web.Request) -> web.Response:
        body = await _json_object(request)
        number, quantity = _whole_number(body.get("productNo")), _whole_number(body.get("quantity", 1))
        if number not in self.shop.products:
            raise web.HTTPNotFound
        self.shop.add(request.match_info["cartId"], number, quantity)
        return web.json_response(self.shop.cart_view(request.match_info["cartId"]), status=201)

    async def remove_item(self, request: web.Request) -> web.Response:
        self.shop.remove(request.match_info["cartId"], _whole_number(request.match_info["productNo"]))
        return web.Response(status=204)

    # orders, display, chat: only the monolith has them

    async def buy(self, request: web.Request) -> web.Response:
        order = self.shop.buy(str((await _json_object(request)).get("cartId", "")))
        if order is None:
            raise web.HTTPConflict(reason="the cart is empty")
        return web.json_response(order.view(), status=201)

    async def order(self, request: web.Request) -> web.Response:
        order = self.shop.orders.get(_whole_number(request.match_info["orderNo"]))
        if order is None:
            raise web.HTTPNotFound
        return web.json_response(order.view())

    async def order_events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: how an order gets on."""
        await self.order(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        with suppress(ConnectionResetError):  # whoever listened may leave at any time
            for step in ORDER_STEPS:
                await response.write(f"event: {step}\ndata: {json.dumps({'step': step})}\n\n".encode())
                await asyncio.sleep(_STEP_SECONDS)
        return response

    async def display(self, request: web.Request) -> web.Response:
        return web.json_response({"corner": request.match_info["corner"], "banners": ["spring sale", "new arrivals"]})

    async def chat(self, request: web.Request) -> web.WebSocketResponse:
        """A WebSocket that answers every line: the shop's support, unshakably kind."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_json({"from": self.name, "answer": f"Thank you for '{message.data}'."})
        return socket


def catalog_routes(service: Service) -> list[web.RouteDef]:
    return [
        web.get("/v1/products", service.products),
        web.get("/v1/products/search", service.search),
        web.post("/v1/products/search", service.search),
        web.get("/v1/products/{productNo}", service.product),
        web.get("/v1/categories", service.categories),
    ]


def cart_routes(service: Service) -> list[web.RouteDef]:
    return [
        web.get("/v1/carts/{cartId}", service.cart),
        web.post("/v1/carts/{cartId}/items", service.add_item),
        web.delete("/v1/carts/{cartId}/items/{productNo}", service.remove_item),
    ]


def legacy_routes(service: Service) -> list[web.RouteDef]:
    return [
        *catalog_routes(service),
        *cart_routes(service),
        web.post("/v1/orders", service.buy),
        web.get("/v1/orders/{orderNo}", service.order),
        web.get("/v1/orders/{orderNo}/events", service.order_events),
        web.get("/v1/display/{corner:.+}", service.display),
        web.get("/v1/chat", service.chat),
    ]


def legacy_app(shop: Shop) -> web.Application:
    service = Service(LEGACY, shop, think=0.012)
    return service.app(legacy_routes(service))


def catalog_app(shop: Shop, place: str) -> web.Application:
    service = Service(f"{CATALOG}@{place}", shop, think=0.004)
    return service.app(catalog_routes(service))


def cart_app(shop: Shop) -> web.Application:
    service = Service(CART, shop, think=0.004)
    return service.app(cart_routes(service))


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[int]:
    """Serves `app` on a free loopback port, which it yields; ends within a second even with streams open."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()


async def _json_object(request: web.Request) -> dict[str, object]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="the body must be a JSON object")
    return body


def _whole_number(text: object) -> int:
    try:
        return int(str(text))
    except ValueError:
        raise web.HTTPBadRequest(reason=f"not a whole number: {str(text)[:40]!r}") from None

"""The admin address put together: every path with its handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from control.api import reads, stream, writes
from control.api.body import MAX_BODY
from control.api.context import CONTEXT, Context
from control.api.guard import guard

_NAME: Final = r"{name:.+}"
"""Names of routes contain slashes and spaces; a client may escape the slashes or not."""


def make_app(context: Context, tell: Callable[..., None]) -> web.Application:
    """`tell` emits an event: its name and its fields."""
    app = web.Application(middlewares=[guard(tell)], client_max_size=MAX_BODY)
    app[CONTEXT] = context
    app.add_routes(
        [
            web.get("/", reads.front),
            *(web.get(f"{prefix}/livez", reads.livez) for prefix in ("", "/-")),
            *(web.get(f"{prefix}/readyz", reads.readyz) for prefix in ("", "/-")),
            web.get("/metrics", reads.metrics),
            web.get("/api/v1/status", reads.status),
            web.get("/api/v1/routes", reads.routes),
            web.put(f"/api/v1/routes/{_NAME}/weight", writes.weight),
            web.get(f"/api/v1/routes/{_NAME}", reads.route),
            web.post("/api/v1/weights", writes.weights),
            web.post("/api/v1/rollbacks", writes.rollback),
            web.post("/api/v1/pins", writes.pin),
            web.post("/api/v1/caps", writes.cap),
            web.post("/api/v1/freezes", writes.freeze),
            web.post("/api/v1/drains", writes.drain),
            web.get("/api/v1/orders", reads.orders),
            web.get("/api/v1/orders/{id}", reads.order),
            web.get("/api/v1/orders/{id}/traffic", reads.order_traffic),
            web.delete("/api/v1/orders/{id}", writes.resume),
            web.post("/api/v1/orders/{id}/confirm", writes.confirm),
            web.get("/api/v1/revisions", reads.revisions),
            web.get("/api/v1/revisions/{number}", reads.revision),
            web.get("/api/v1/revisions/{number}/diff/{other}", reads.difference),
            web.post("/api/v1/revisions/{number}/restore", writes.restore),
            web.post("/api/v1/check", reads.check),
            web.post("/api/v1/plan", reads.plan),
            web.get("/api/v1/explain", reads.explained),
            web.get("/api/v1/events", stream.events),
        ]
    )
    app.on_shutdown.append(_close_streams)
    return app


async def _close_streams(app: web.Application) -> None:
    app[CONTEXT].closing.set()

"""The admin address put together: every declared endpoint with its handler, behind the guard."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

from control.api.access import ACCESS, Access
from control.api.body import MAX_BODY
from control.api.context import CONTEXT, Context
from control.api.endpoints import ENDPOINTS
from control.api.guard import ANSWERS, DECLARED, guard
from control.api.idempotency import Answers
from control.api.openapi import DOCUMENT, encoded

_PATTERNS: Final = {
    "/api/v1/routes/{name}": "/api/v1/routes/{name:.+(?<!/weight)}",
    "/web/{file}": "/web/{file:.+}",
    "{name}": "{name:.+}",
}
"""Names of routes contain slashes and spaces; a client may escape the slashes or not.  One that ends in `/weight` is
read with its slashes escaped, or as `?name=`."""


def make_app(context: Context, tell: Callable[..., None], access: Access | None = None) -> web.Application:
    """`tell` emits an event: its name and its fields.  Without `access` everybody may do everything."""
    app = web.Application(middlewares=[guard(tell)], client_max_size=MAX_BODY)
    app[CONTEXT] = context
    app[ACCESS] = access or Access.nobody()
    app[ANSWERS] = Answers(time.monotonic)
    app[DOCUMENT] = encoded(ENDPOINTS)
    app[DECLARED] = {}
    for endpoint in ENDPOINTS:
        for method in (endpoint.method, "HEAD") if endpoint.method == "GET" else (endpoint.method,):
            app[DECLARED][app.router.add_route(method, _pattern(endpoint.path), endpoint.handler)] = endpoint
    app.on_shutdown.append(_close_streams)
    return app


def _pattern(path: str) -> str:
    return _PATTERNS.get(path) or path.replace("{name}", _PATTERNS["{name}"])


async def _close_streams(app: web.Application) -> None:
    app[CONTEXT].closing.set()

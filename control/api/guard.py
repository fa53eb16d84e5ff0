"""What stands before every handler: who may ask from where, and what no answer may give away.

Host      must be this address: a page that rebinds its own name to 127.0.0.1 gets nothing (421)
Origin    a write from another site's page is refused (403); browsers always say where they come from
errors    become problems; an unexpected one is logged with an id and answered with that id alone
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from control.api.page import STYLE_HASH
from control.api.problems import Problem
from control.loopback import is_loopback
from router.events import EventName

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}


def guard(tell: Callable[..., None]) -> Any:
    """The middleware.  `tell` is called with an event's name and fields when a handler fails unexpectedly."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await _answered(request, handler, tell)
        if not answer.prepared:
            answer.headers.update(_HEADERS)
        return answer

    return middleware


async def _answered(request: web.Request, handler: Handler, tell: Callable[..., None]) -> web.StreamResponse:
    try:
        _check_host(request)
        _check_origin(request)
        return await handler(request)
    except Problem as problem:
        return problem.answer()
    except web.HTTPException as error:
        return _plain(error, request)
    except Exception as error:  # noqa: BLE001 - the border: whatever it is, the caller gets an id and no traceback
        reference = secrets.token_hex(6)
        tell(EventName.ADMIN_FAILED, reference=reference, method=request.method, path=request.path, error=repr(error))
        unexpected = Problem(500, "internal", "something went wrong inside the router", "look for the id in its log")
        unexpected.more["id"] = reference
        return unexpected.answer()


def _plain(error: web.HTTPException, request: web.Request) -> web.StreamResponse:
    """aiohttp's own refusals, in our form."""
    details = {404: f"there is no {request.path}", 405: f"{request.path} does not take {request.method}"}
    instead = {404: "see GET /api/v1/status for what there is", 405: f"use {error.headers.get('Allow', '')}"}
    detail = details.get(error.status, error.reason)
    answer = Problem(error.status, f"http-{error.status}", detail, instead.get(error.status, "")).answer()
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


def _check_host(request: web.Request) -> None:
    host = request.headers.get("Host", "")
    name = urlsplit(f"//{host}").hostname if _well_formed(host) else None
    if name is None or not is_loopback(name):
        detail = f"the admin address does not answer to the name {host[:100]!r}"
        raise Problem(421, "wrong-host", detail, "use localhost or 127.0.0.1")


def _well_formed(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").port is not None or True
    except ValueError:
        return False


def _check_origin(request: web.Request) -> None:
    if request.method not in WRITES:
        return
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "none")
    same = origin is None or origin == f"http://{request.headers.get('Host', '')}"
    if not same or site not in {"none", "same-origin"}:
        raise Problem(403, "cross-site", "a page of another site asked for this", "use the command line, or this page")

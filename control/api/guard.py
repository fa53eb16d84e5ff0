"""What stands before every handler: who may ask from where, and what no answer may give away.

Host      must be this address: a page that rebinds its own name to 127.0.0.1 gets nothing (421)
Origin    a write or an event stream for another site's page is refused (403); browsers say where they come from
role      what the endpoint declares (401, 403); what is not declared needs at least a token
query     what the endpoint declares (422)
twice     a POST with an Idempotency-Key is done once and answered as often as it comes
trace     every request has an id of ours; every attempt to change something stands in the audit, refused or not
errors    become problems; an unexpected one is logged with the request's id and answered with that id alone
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from control.api import body, shapes
from control.api.access import ACCESS, PRINCIPAL, Access
from control.api.endpoint import Endpoint
from control.api.idempotency import HEADER, Answers
from control.api.page import CSP
from control.api.problems import Problem, invalid
from control.api.trace import REVISION, trace
from control.auth.audit import REQUEST
from control.auth.roles import Role
from control.loopback import is_loopback
from router.events import EventName

DECLARED: Final = web.AppKey("declared", dict[web.AbstractRoute, Endpoint])
ANSWERS: Final = web.AppKey("answers", Answers)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": CSP,
    "Cache-Control": "no-store",
}


def guard(tell: Callable[..., None]) -> Any:
    """The middleware.  `tell` is called with an event's name and fields when a handler fails unexpectedly."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await _answered(request, handler, tell)
        if not answer.prepared:
            for name, value in _HEADERS.items():
                answer.headers.setdefault(name, value)
            answer.headers["X-Request-Id"] = REQUEST.get()
            if request.app[ACCESS].required and not _known():
                answer.force_close()  # strangers keep no place in the door
            if request.app[ACCESS].tls:
                answer.headers["Strict-Transport-Security"] = "max-age=31536000"
        return answer

    return middleware


async def _answered(request: web.Request, handler: Handler, tell: Callable[..., None]) -> web.StreamResponse:
    code = ""
    REQUEST.set(secrets.token_hex(8))
    REVISION.set(None)
    shapes.SHAPE.set(None)
    PRINCIPAL.set(None)
    body.READ.set(None)
    answer: web.StreamResponse | None = None
    try:
        answer = await _admitted(request, handler)
    except Problem as problem:
        code = problem.code
        answer = problem.answer()
    except web.HTTPException as error:
        answer = _plain(error, request)
    except Exception as error:  # noqa: BLE001 - the border: whatever it is, the caller gets an id and no traceback
        reference = REQUEST.get()
        tell(EventName.ADMIN_FAILED, reference=reference, method=request.method, path=request.path, error=repr(error))
        unexpected = Problem(500, "internal", "something went wrong inside the router", "look for the id in its log")
        unexpected.more["id"] = reference
        answer = unexpected.answer()
    finally:
        trace(request, _endpoint(request), 499 if answer is None else answer.status, code)
    return answer


async def _admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    access, endpoint = request.app[ACCESS], _endpoint(request)
    _check_host(request, access)
    _check_origin(request, access, endpoint)
    try:
        principal = access.admit(request, Role.METRICS if endpoint is None else endpoint.role)
    except Problem as problem:
        if problem.status == 401 and request.path == "/":
            raise web.HTTPSeeOther("/login") from None
        raise
    PRINCIPAL.set(principal)
    if endpoint is None:
        return await handler(request)
    _check_query(request, endpoint)
    if isinstance(endpoint.body, shapes.Shape | shapes.Choice):
        shapes.SHAPE.set(endpoint.body)
    key = request.headers.get(HEADER)
    if key is None or not endpoint.repeatable:
        return await handler(request)
    data = await body.read_bytes(request)
    body.READ.set(data)
    who = principal.name or body.actor(request)
    return await request.app[ANSWERS].once(key, who, request, data, lambda: handler(request))


def _known() -> bool:
    """Has whoever asks shown a token, or a session of one?"""
    who = PRINCIPAL.get()
    return who is not None and bool(who.name)


def _endpoint(request: web.Request) -> Endpoint | None:
    """What was declared for this request; None: nothing, and the handler will say so to those who may ask at all."""
    return request.app[DECLARED].get(request.match_info.route)


def _check_query(request: web.Request, endpoint: Endpoint) -> None:
    body.only(request.query, [parameter.name for parameter in endpoint.query])
    for parameter in endpoint.query:
        if not parameter.many and len(request.query.getall(parameter.name, ())) > 1:
            raise invalid(parameter.name, "it stands several times", "say it once")


def _plain(error: web.HTTPException, request: web.Request) -> web.StreamResponse:
    """aiohttp's own refusals, in our form; a way elsewhere stays one."""
    if error.status < 400:
        return web.Response(status=error.status, headers={"Location": error.headers.get("Location", "/")})
    details = {404: f"there is no {request.path}", 405: f"{request.path} does not take {request.method}"}
    instead = {404: "see GET /api/v1/status for what there is", 405: f"use {error.headers.get('Allow', '')}"}
    detail = details.get(error.status, error.reason)
    answer = Problem(error.status, f"http-{error.status}", detail, instead.get(error.status, "")).answer()
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


def _check_host(request: web.Request, access: Access) -> None:
    host = request.headers.get("Host", "")
    name = urlsplit(f"//{host}").hostname if _well_formed(host) else None
    if name is None or not (is_loopback(name) or name in access.names):
        detail = f"the admin address does not answer to the name {host[:100]!r}"
        raise Problem(421, "wrong-host", detail, "use localhost or 127.0.0.1, or name it with --admin-name")


def _well_formed(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").port is not None or True
    except ValueError:
        return False


def _check_origin(request: web.Request, access: Access, endpoint: Endpoint | None) -> None:
    """Writes and event streams: browsers let every page ask for them."""
    if request.method not in WRITES and not (endpoint is not None and endpoint.streams):
        return
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "none")
    same = origin is None or origin == access.origin(request)
    if not same or site not in {"none", "same-origin"}:
        raise Problem(403, "cross-site", "a page of another site asked for this", "use the command line, or this page")

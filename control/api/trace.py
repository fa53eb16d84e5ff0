"""What the admin address writes into the audit: every attempt to change something, every login, every refusal.

What a change has changed stands in the line of its revision, which carries the same request id.  Refusals that anybody
can cause, as often as they like, are written so many times a minute; the next line says how many were left out.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from aiohttp import web

from control.api.access import ACCESS, PRINCIPAL
from control.api.endpoint import Endpoint
from control.auth.audit import REQUEST

REVISION: ContextVar[int | None] = ContextVar("revision", default=None)
"""What the request has brought into force; the guard sets it anew with each."""
REFUSED: Final = frozenset({401, 403, 421, 429})
_LONGEST: Final = 500


def trace(request: web.Request, endpoint: Endpoint | None, status: int, code: str) -> None:
    """One line, unless the request was allowed to read something and did."""
    access = request.app[ACCESS]
    what = _what(request, endpoint) or ("refused" if status in REFUSED else "")
    if access.audit is None or not what:
        return
    who = PRINCIPAL.get()
    name = who.name if who else ""
    left_out = access.seldom.let(f"{name} {request.remote}") if status in REFUSED else 0
    if left_out is None:
        return
    said = {
        "request": REQUEST.get(),
        "token": name,
        "says": request.headers.get("X-Strangler-Actor", "")[:100],
        "address": request.remote,
        "method": request.method,
        "path": request.path[:_LONGEST],
        "status": status,
        "code": code,
    }
    more = {"revision": REVISION.get(), "left_out": left_out}
    access.audit.write(what, **said, **{name: value for name, value in more.items() if value})


def _what(request: web.Request, endpoint: Endpoint | None) -> str:
    """The kind of what is always written; empty: only what is refused."""
    if endpoint is None or request.method in {"GET", "HEAD"}:
        return ""
    if endpoint.writes:
        return "change"
    if endpoint.path == "/api/v1/session":
        return "login" if endpoint.secured else "logout"
    return ""

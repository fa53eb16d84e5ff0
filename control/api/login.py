"""The way in for browsers: a token opens a session, whose cookie is all that the browser keeps."""

from __future__ import annotations

import json

from aiohttp import web

from control.api.access import ACCESS, PRINCIPAL
from control.api.problems import Problem
from control.auth.sessions import LONGEST, Session


async def enter(request: web.Request) -> web.Response:
    """A new session, whatever session there was."""
    access = request.app[ACCESS]
    if not access.required:
        raise Problem(409, "no-tokens", "there are no tokens here, and nobody has to log in", "just ask")
    principal = access.bearer(request)
    PRINCIPAL.set(principal)
    access.sessions.close(access.cookie_of(request))
    name, session = access.sessions.open(principal)
    answer = _answer(session)
    answer.set_cookie(
        access.cookie,
        name.reveal(),
        max_age=int(LONGEST),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=access.tls,
    )
    return answer


async def whoami(request: web.Request) -> web.Response:
    session = request.app[ACCESS].session(request)
    if session is None:
        raise Problem(404, "no-session", "nobody is logged in", "see POST /api/v1/session")
    return _answer(session)


async def leave(request: web.Request) -> web.Response:
    """The session ends here, not only in the browser."""
    access = request.app[ACCESS]
    access.sessions.close(access.cookie_of(request))
    answer = web.Response(body=b"{}", content_type="application/json")
    answer.del_cookie(access.cookie, path="/", httponly=True, samesite="Strict", secure=access.tls)
    return answer


def _answer(session: Session) -> web.Response:
    found = {"name": session.principal.name, "role": session.principal.role.label, "csrf": session.csrf.reveal()}
    return web.Response(body=json.dumps(found).encode(), content_type="application/json")

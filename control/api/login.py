"""The way in for browsers: a token opens a session, whose cookie is all that the browser keeps."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Final

from aiohttp import web

from control.api.access import ACCESS, PRINCIPAL
from control.api.problems import Problem
from control.auth.sessions import LONGEST, Session

SCRIPT: Final = """
document.forms[0].addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = document.getElementById("token"), says = document.getElementById("says");
  const answer = await fetch("/api/v1/session", {method: "POST", headers: {Authorization: "Bearer " + token.value}});
  token.value = "";
  if (answer.ok) location.replace("/"); else says.textContent = (await answer.json()).detail;
});
"""
SCRIPT_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
_PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>strangler</title></head><body>'
    '<h1>strangler</h1><form><label>Token <input id="token" type="password" autocomplete="current-password" required>'
    f'</label> <button>Log in</button></form><p id="says" role="alert"></p><script>{SCRIPT}</script></body></html>'
)
CSP: Final = (
    f"default-src 'none'; script-src '{SCRIPT_HASH}'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


async def page(_: web.Request) -> web.Response:
    return web.Response(text=_PAGE, content_type="text/html", headers={"Content-Security-Policy": CSP})


async def enter(request: web.Request) -> web.Response:
    """A new session, whatever session there was."""
    access = request.app[ACCESS]
    if not access.required:
        raise Problem(409, "no-tokens", "there are no tokens here, and nobody has to log in", "just ask")
    principal = access.bearer(request)
    PRINCIPAL.set(principal)
    access.sessions.close(request.cookies.get(access.cookie, ""))
    name, session = access.sessions.open(principal)
    answer = _answer(session)
    answer.set_cookie(
        access.cookie, name, max_age=int(LONGEST), path="/", httponly=True, samesite="Strict", secure=access.tls
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
    access.sessions.close(request.cookies.get(access.cookie, ""))
    answer = web.Response(body=b"{}", content_type="application/json")
    answer.del_cookie(access.cookie, path="/", httponly=True, samesite="Strict", secure=access.tls)
    return answer


def _answer(session: Session) -> web.Response:
    found = {"name": session.principal.name, "role": session.principal.role.label, "csrf": session.csrf}
    return web.Response(body=json.dumps(found).encode(), content_type="application/json")

"""Who asks, and may they?  The admin address's side of `control.auth`: headers, cookies, origins.

Without tokens (on loopback) everybody is an editor and says their name themselves.  With tokens the name is the
token's.  A token stands in Authorization and nowhere else; a browser gets a cookie for it that no script can read and
no other site can send, and repeats the session's own word in a header with every change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from control.api.problems import Problem
from control.auth.audit import Audit
from control.auth.roles import Principal, Role
from control.auth.sessions import Session, Sessions
from control.auth.throttle import Seldom, Throttle
from control.auth.tokens import Tokens
from control.loopback import is_loopback
from control.options import Options
from control.secret import Secret
from router.events import EventName, Events

CSRF: Final = "X-Strangler-CSRF"
MAX_SECRET: Final = 200


@dataclass
class Access:
    """Everything that decides who may in."""

    tokens: Tokens | None
    """None: no tokens are kept (only where nobody else can reach the address)."""
    sessions: Sessions
    throttle: Throttle
    audit: Audit | None
    tls: bool = False
    names: frozenset[str] = field(default_factory=frozenset)
    """What the address is called, beside the names of loopback."""
    seldom: Seldom = field(default_factory=lambda: Seldom(time.time))
    """Of what is refused, so much is written down."""

    @classmethod
    def nobody(cls) -> Access:
        """No tokens, no trace: for a control side in memory."""
        return cls(None, Sessions(lambda: 0.0, lambda _: False), Throttle(lambda: 0.0), None)

    @classmethod
    def of(
        cls, options: Options, events: Events, now: Callable[[], float] = time.time, audit: Audit | None = None
    ) -> Access:
        """Who may in, while control runs."""

        def tell(why: str) -> None:
            events.tell(EventName.ACCESS_TROUBLE, why=why)

        host, tls = options.admin.rpartition(":")[0].strip("[]").lower(), bool(options.tls_cert)
        if options.insecure_admin and not tls and not is_loopback(host):
            tell(f"--insecure-admin: tokens travel unencrypted to {options.admin}")
        names = {name.lower() for name in options.admin_names} | ({host} - {"", "0.0.0.0", "::"})
        tokens = Tokens(options.state, now, tell)
        audit = audit or Audit(options.state, now, tell)
        sessions, throttle = Sessions(now, tokens.holds), Throttle(now)
        return cls(tokens, sessions, throttle, audit, tls, frozenset(names), Seldom(now))

    @property
    def required(self) -> bool:
        return self.tokens is not None and self.tokens.required

    @property
    def cookie(self) -> str:
        return "__Host-strangler" if self.tls else "strangler"

    def origin(self, request: web.Request) -> str:
        return f"{'https' if self.tls else 'http'}://{request.headers.get('Host', '')}"

    def bearer(self, request: web.Request) -> Principal:
        """Whose token stands in Authorization; raises 401 or 429."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        found = None
        if self.tokens is not None and scheme.lower() == "bearer" and len(secret) <= MAX_SECRET:
            found = self.tokens.find(Secret(secret.strip()))
        if found is None:
            raise self._failure(request)
        return found

    def session(self, request: web.Request) -> Session | None:
        name = self.cookie_of(request)
        return self.sessions.find(name) if name else None

    def cookie_of(self, request: web.Request) -> Secret:
        """The session's name, as the browser says it; empty when it says none that could be one."""
        value = request.cookies.get(self.cookie, "")
        return Secret(value if len(value) <= MAX_SECRET else "")

    def admit(self, request: web.Request, role: Role) -> Principal:
        """Who asks; raises 401, 403 or 429 unless they may do what needs `role`."""
        if role is Role.ANYBODY:
            return Principal("", Role.ANYBODY)
        if not self.required:
            return Principal("", Role.EDITOR)
        principal = self._who(request)
        PRINCIPAL.set(principal)
        if principal.role < role:
            detail = f"this needs the role {role.label}, and the token {principal.name} has {principal.role.label}"
            raise Problem(403, "role", detail, f"ask somebody who has the role {role.label}")
        return principal

    def _who(self, request: web.Request) -> Principal:
        if "Authorization" in request.headers:
            return self.bearer(request)
        session = self.session(request)
        if session is None:
            if self.cookie in request.cookies:
                raise self._failure(request)
            raise _unknown()
        if request.method not in {"GET", "HEAD"}:
            self._check_page(request, session)
        return session.principal

    def _check_page(self, request: web.Request, session: Session) -> None:
        """A cookie goes with every request of the browser; that our page asked has to show otherwise."""
        ours = request.headers.get("Origin") == self.origin(request)
        ours = ours or request.headers.get("Sec-Fetch-Site") == "same-origin"
        if not ours or Secret(request.headers.get(CSRF, "")) != session.csrf:
            raise Problem(403, "csrf", "the session's own word is missing", f"repeat it in {CSRF}, from our own page")

    def _failure(self, request: web.Request) -> Problem:
        wait = self.throttle.failed(request.remote or "")
        if wait:
            problem = Problem(429, "too-many-failures", "too many wrong tokens from this address", "wait a minute")
            problem.headers["Retry-After"] = str(int(wait) + 1)
            return problem
        return _unknown()


def _unknown() -> Problem:
    problem = Problem(
        401,
        "unauthorized",
        "a valid token is needed",
        "send `Authorization: Bearer TOKEN` (for the command line: STRANGLER_TOKEN)",
    )
    problem.headers["WWW-Authenticate"] = "Bearer"
    return problem


ACCESS: Final = web.AppKey("access", Access)
PRINCIPAL: ContextVar[Principal | None] = ContextVar("principal", default=None)
"""Who asks, while a request is handled; the guard sets it anew with each."""

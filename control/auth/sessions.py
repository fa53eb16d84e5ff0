"""Sessions of browsers: a token opens one, and with the token it ends.

Kept in memory alone (a restart logs everybody out), by hash, so that not even a memory dump of this table opens one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from control.auth.roles import Principal
from control.auth.tokens import digest
from control.secret import Secret

IDLE: Final = 30 * 60.0
LONGEST: Final = 12 * 3600.0
MOST: Final = 256


@dataclass
class Session:
    """Somebody who has logged in."""

    principal: Principal
    since: float
    seen: float
    csrf: Secret
    """What its page repeats in a header with every change; a foreign page cannot know it."""


class Sessions:
    """All that are open; bounded."""

    def __init__(self, now: Callable[[], float], holds: Callable[[Principal], bool]) -> None:
        self._now = now
        self._holds = holds
        self._open: dict[str, Session] = {}

    def open(self, principal: Principal) -> tuple[Secret, Session]:
        """A new one with an id that nobody has had before."""
        self._sweep()
        if len(self._open) >= MOST:
            del self._open[min(self._open, key=lambda key: self._open[key].seen)]
        name, now = Secret(secrets.token_urlsafe(32)), self._now()
        self._open[digest(name)] = session = Session(principal, now, now, Secret(secrets.token_urlsafe(32)))
        return name, session

    def find(self, name: Secret) -> Session | None:
        key = digest(name)
        session = self._open.get(key)
        if session is None:
            return None
        if not self._good(session):
            del self._open[key]
            return None
        session.seen = self._now()
        return session

    def close(self, name: Secret) -> None:
        self._open.pop(digest(name), None)

    def _good(self, session: Session) -> bool:
        now = self._now()
        return now - session.seen < IDLE and now - session.since < LONGEST and self._holds(session.principal)

    def _sweep(self) -> None:
        self._open = {key: session for key, session in self._open.items() if self._good(session)}

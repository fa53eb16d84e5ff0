"""All routes that are shadowed and compared, and the answers to what is asked about them.

The book knows no sockets and no clock: captures, subjects and questions come in, messages go out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rollout.shadow.page import Page, Subject
from router.core.capture import Capture, Counts, Message

DAY: Final = 86_400.0
"""After which values are digested with another key, so that digests of long ago cannot be looked up."""

Restore = Callable[[str], Mapping[str, Any] | None]
"""What is on disk about a route."""


class Book:
    """Pages by route."""

    def __init__(self, secret: bytes, restore: Restore = lambda _route: None) -> None:
        self._secret = secret
        self._restore = restore
        self._pages: dict[str, Page] = {}
        self.strangers: Counter[str] = Counter()
        """Captures nothing came of: of routes that are not compared, without a pair, or that broke a comparison."""

    def follow(self, subjects: Iterable[Subject], now: float) -> None:
        """From now on these are compared, and no others."""
        pages: dict[str, Page] = {}
        for subject in subjects:
            known = self._pages.get(subject.name)
            if known is not None and known.digest == subject.digest:
                known.follow(subject, now)
                pages[subject.name] = known
            else:
                pages[subject.name] = self._opened(subject, now)
        self._pages = pages

    def _opened(self, subject: Subject, now: float) -> Page:
        page = Page(subject, now)
        kept = self._restore(subject.name)
        if kept is not None:
            try:
                page.restore(kept)
            except (LookupError, TypeError, ValueError, AttributeError):
                page = Page(subject, now)  # what lies there was not written by us, or not to its end
        return page

    def take(self, message: Message) -> int | None:
        """One message of a worker; a new wish for second answers of legacy, in ppm, if there is one."""
        if isinstance(message, Counts):
            for (route, what), times in message.counts.items():
                if (page := self._pages.get(route)) is not None:
                    page.count(what, times)
            return None
        if not isinstance(message, Capture):
            return None
        page = self._pages.get(message.route)
        if page is None:
            self.strangers["route"] += 1
            return None
        wanted = page.noise.wanted
        try:
            if page.take(message, self._key(message.at)) is None:
                self.strangers["pair"] += 1
        except Exception:  # noqa: BLE001  # a mistake in a comparison may cost that comparison and nothing more
            self.strangers["error"] += 1
        return page.noise.wanted if page.noise.wanted != wanted else None

    def _key(self, at: float) -> bytes:
        return hashlib.sha256(self._secret + b"%d" % (at // DAY)).digest()

    def wishes(self) -> dict[str, int]:
        """How often each route wants legacy to be asked twice, for a worker that has just come."""
        return {name: page.noise.wanted for name, page in self._pages.items()}

    def answer(self, question: Mapping[str, Any], now: float) -> dict[str, Any]:
        """What control asks."""
        if question["op"] == "report":
            page = self._pages.get(question["route"])
            return {"report": None if page is None else page.report(now)}
        if question["op"] == "totals":
            totals = {name: page.totals() for name, page in self._pages.items()}
            return {"totals": totals, "strangers": dict(self.strangers)}
        raise ValueError(f"nobody asks {question['op']!r}")

    def changed(self) -> list[tuple[str, dict[str, Any]]]:
        """Pages to be written; they count as written from here on."""
        found = [(name, page.as_message()) for name, page in self._pages.items() if page.dirty]
        for name, _ in found:
            self._pages[name].dirty = False
        return found

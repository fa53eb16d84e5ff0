"""The watched routes.yaml as people see it: is it what is in force, and if not, why.

Nothing here decides; the engine says what has become of a file, and this remembers it and tells it, once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import blake2b

from router.answers import Refusal, SourceState
from router.events import EventName, Events
from router.ports import FileState


class WatchedFile:
    """One for the life of the engine."""

    def __init__(self, path: str, events: Events) -> None:
        self._events = events
        self.state = SourceState(path)
        self.reloads: Counter[str] = Counter()
        """How often a routes.yaml was `ok`, `unchanged` or `refused`."""
        self.seen: bytes | None = None
        """Its bytes, as they were seen last."""

    @property
    def name(self) -> str:
        """For messages."""
        return self.state.path.rpartition("/")[2]

    def taken(self, text: bytes, at: float, notes: tuple[str, ...], until: float | None, *, changed: bool) -> None:
        """A text has taken force."""
        self.reloads["ok" if changed else "unchanged"] += 1
        self.state = replace(self.state, last_good_at=at, notes=notes, until=until)
        if text == self.seen:
            self.state = replace(self.state, status="ok", problems=())

    def replaced(self, text: bytes, at: float, notes: tuple[str, ...], why: str) -> None:
        """An old text is in force, whatever the file says."""
        self.state = replace(self.state, last_good_at=at, notes=notes, until=None)
        if self.differs(text):
            self.set_aside(why)

    def taken_up(self, at: float) -> None:
        """The last good text is in force until the file has been read."""
        self.state = replace(self.state, last_good_at=at)

    def confirmed(self) -> None:
        """It is on trial no longer."""
        self.state = replace(self.state, until=None)

    def differs(self, text: bytes) -> bool:
        """Does the file say something else?"""
        return self.seen is not None and self.seen != text

    def aside(self, text: bytes, why: str) -> FileState:
        """What has to be remembered when this text takes force over the file's."""
        return FileState(aside=digest_of(self.seen), why=why) if self.seen and self.differs(text) else FileState()

    def set_aside(self, why: str) -> None:
        """It is not what is in force, and somebody wanted it so."""
        self.state = replace(self.state, status="refused", problems=(f"{self.name}: {why}",), until=None)
        self._events.tell(EventName.REFUSED, path=self.state.path, code="set-aside", detail=why, problems=(why,))

    def missing(self, why: str) -> None:
        """It cannot be read: said aloud, once per reason."""
        if self.state.status == "missing" and self.state.problems == (why,):
            return
        self.state = replace(self.state, status="missing", problems=(why,))
        self.reloads["refused"] += 1
        self._events.tell(EventName.MISSING, path=self.state.path, why=why)

    def refused(self, refused: Refusal, notes: tuple[str, ...], *, watched: bool) -> Refusal:
        """A routes.yaml is refused; `watched`: it is this one, and its state says so until it is mended."""
        problems = refused.problems or (refused.detail,)
        if watched and (self.state.status, self.state.problems) == ("refused", problems):
            return refused  # looked at again, and nothing new to say about it
        self.reloads["refused"] += 1
        if watched:
            self.state = replace(self.state, status="refused", problems=problems, notes=notes)
        self._events.tell(
            EventName.REFUSED, path=self.state.path, code=refused.code, detail=refused.detail, problems=problems
        )
        return refused


def digest_of(text: bytes) -> str:
    """By which a text is known again."""
    return blake2b(text, digest_size=16).hexdigest()

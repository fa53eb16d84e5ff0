"""What the controller of rollouts needs from the outside, and what each part of it promises.

    Source      sums of outcomes by route, as the workers count them, and the failures that they tell one by one
    Platform    what is in force on a route, and orders: like everybody's, through the safety rules
    Journal     runs and the event log survive a power cut

`router.ports.Clock` is the fourth.  Every port has a double in `rollout.doubles`; the drill runs the controller on
them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rollout.core.counted import Counted
from rollout.core.failures import Failed
from rollout.core.run import Command, Facts, Ordered, Refused, Run
from router.core.census import Watched


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the event log."""

    at: float
    kind: str
    """`batch`: evidence, as `rollout.core.records` writes it; else the name of an event."""
    route: str
    """Empty: it is not about one route."""
    body: str
    """JSON."""
    number: int = 0
    """Grows with every line; 0: not written yet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction."""

    lines: tuple[Line, ...] = ()
    runs: Mapping[str, str] = field(default_factory=dict)
    """The newest run of a route and where its counting stands, as JSON; those that changed."""
    keep: Mapping[str, str] = field(default_factory=dict)
    """What else has to be remembered, as JSON by name; what is not named stays as it was."""

    def __bool__(self) -> bool:
        return bool(self.lines or self.runs or self.keep)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a journal still knows after a restart."""

    runs: Mapping[str, str]
    """The newest run of each route that ever had one."""
    keep: Mapping[str, str] = field(default_factory=dict)


class JournalError(Exception):
    """The journal could not do it; nothing of the transaction is in it."""


class Journal(Protocol):
    """Memory that outlives the process.  Raises JournalError."""

    async def load(self) -> Kept: ...

    async def commit(self, entry: Entry) -> int:
        """All of it or nothing; when this returns, a power cut loses none of it.  The number of the last line there is.

        A caller may stop waiting; calls are served in their order.
        """

    async def lines(self, *, kind: str = "", route: str = "", after: int = 0, limit: int = 1000) -> tuple[Line, ...]:
        """Lines of the log, oldest first, behind a number; of one kind and about one route, if that is said."""


class Source(Protocol):
    """Where outcomes come from."""

    async def counted(self, routes: Collection[str]) -> Mapping[str, Counted]:
        """A reading of now; routes that were never asked may be missing, and everything when nothing can be read."""

    def watch(self, watched: Mapping[str, Watched]) -> None:
        """Count the clients of these routes, and their slow answers, from now on; and of no others."""

    async def failed(self) -> Failed:
        """The failures of all routes since the last call; each is told once.

        Waits for nobody longer than a moment: what comes later is told the next time.  What is lost on the way is among
        the dropped, or nobody knows of it.
        """


class Platform(Protocol):
    """The router, as rollouts see it."""

    def facts(self, run: Run) -> Facts | None:
        """What is in force on its route; None while nothing is in force at all.

        `harm`, `seen`, `clients`, `sample` and `armed` are the controller's own affair.
        """

    async def order(self, command: Command) -> Ordered | Refused:
        """Does a command, through the safety rules, and waits a bounded time for the workers."""

    def done(self, command: Command) -> Ordered | None:
        """What became of a command that was given before: by this process, or by one that died over it."""

    async def freeze(self, reason: str) -> None:
        """No share may rise any more, anywhere."""

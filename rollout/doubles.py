"""Doubles of the controller's ports: everything in memory, and a router that does what it is told at once.

They keep the promises of `rollout.ports`; the journal passes the contract tests of the real one.  The drill runs the
whole controller on them, with faults that it makes up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from rollout.core.counted import Counted
from rollout.core.failures import Failed, Failure
from rollout.core.run import Act, Command, Facts, Ordered, Refused, Run
from rollout.ports import Entry, JournalError, Kept, Line
from router.core.census import Watched


@dataclass
class MemoryJournal:
    """A `Journal`.  `failing` holds the text of the error that every call raises."""

    log: list[Line] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    keep: dict[str, str] = field(default_factory=dict)
    failing: str = ""

    async def load(self) -> Kept:
        self._check()
        return Kept(dict(self.runs), dict(self.keep))

    async def commit(self, entry: Entry) -> int:
        self._check()
        self.log += [replace(line, number=len(self.log) + n) for n, line in enumerate(entry.lines, 1)]
        self.runs |= entry.runs
        self.keep |= entry.keep
        return len(self.log)

    async def lines(self, *, kind: str = "", route: str = "", after: int = 0, limit: int = 1000) -> tuple[Line, ...]:
        self._check()
        found = (
            line for line in self.log if line.number > after and kind in {"", line.kind} and route in {"", line.route}
        )
        return tuple(line for line, _ in zip(found, range(limit), strict=False))

    def _check(self) -> None:
        if self.failing:
            raise JournalError(self.failing)


@dataclass
class MemorySource:
    """A `Source`: what it says is set by whoever owns it."""

    sums: dict[str, Counted] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    """Those that nobody has asked for yet."""
    dropped: int = 0
    watched: Mapping[str, Watched] = field(default_factory=dict)
    """What it was told to watch."""

    def watch(self, watched: Mapping[str, Watched]) -> None:
        self.watched = watched

    async def failed(self) -> Failed:
        found, self.failures = Failed(tuple(self.failures), self.dropped), []
        self.dropped = 0
        return found

    async def counted(self, routes: Collection[str]) -> Mapping[str, Counted]:
        return {route: self.sums[route] for route in routes if route in self.sums}


@dataclass
class MemoryPlatform:
    """A `Platform` of routes whose shares are whatever was ordered last; `others` are a person's doing."""

    shares: dict[str, int]
    given: list[Command] = field(default_factory=list)
    """Every command that was done, in order."""
    orders: dict[str, str] = field(default_factory=dict)
    """By route, what decides its share."""
    revisions: dict[str, int] = field(default_factory=dict)
    refusing: str = ""
    fingerprint: str = "same"
    frozen: str = ""
    revision: int = 0

    def set(self, route: str, share: int, order: str) -> None:
        """Somebody's order."""
        self.revision += 1
        self.shares[route], self.orders[route], self.revisions[route] = share, order, self.revision

    def facts(self, run: Run) -> Facts | None:
        order = self.orders.get(run.route, "")
        share = self.shares.get(run.route)
        if share is None:
            return Facts(0, "", "", 0, confirmed=True, fingerprint="")
        revision = self.revisions.get(run.route, 0)
        return Facts(share, order, order, revision, confirmed=True, fingerprint=self.fingerprint, frozen=self.frozen)

    async def order(self, command: Command) -> Ordered | Refused:
        if self.refusing and command.act is Act.WEIGHT:
            return Refused(command.id, self.refusing, 60.0)
        if command.revision and command.revision != self.revisions.get(command.route, 0):
            return Refused(command.id, "the share has changed meanwhile", 0.0)
        share = 0 if command.act is Act.ROLLBACK else command.share
        prefix = "R" if command.act is Act.ROLLBACK else "W"
        self.set(command.route, share, f"{prefix}-{self.revision + 1}")
        self.given.append(command)
        return Ordered(command.id, self.orders[command.route], self.revision)

    def done(self, command: Command) -> Ordered | None:
        if all(command.id != other.id for other in self.given):
            return None
        return Ordered(command.id, self.orders[command.route], self.revisions[command.route])

    async def freeze(self, reason: str) -> None:
        self.frozen = reason

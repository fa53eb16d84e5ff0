"""What the engine (`router.live`) needs from the outside, and what each part of it promises.

    Store      orders, revisions, the audit trail and the last good routes.yaml survive a power cut
    Fleet      all workers, now and later, are brought to one target and say so
    Compiler   the bytes of a routes.yaml become a table and its lines, without stopping anybody else
    Traffic    which routes carry requests at the moment
    Clock      the time, so that tests can own it

Every port has a double that passes the same contract tests as the adapter.  This module has no behaviour but that
of its values; it opens nothing and knows no adapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

from router.core.model import Table
from router.core.observed import Observed
from router.core.orders import EffectiveState, Order
from router.core.wire import Blocks, snapshot_lines

KEPT: Final = 500
"""So many revisions back a store still knows which orders and which routes.yaml were in force."""

# ------------------------------------------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class RouteChange:
    """One route whose share in force changed, in ppm; None: there was or is no such route."""

    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a revision changed, for people and for programs."""

    lines: tuple[str, ...] = ()
    """Readable, one finding a line."""
    routes: tuple[RouteChange, ...] = ()
    order: str = ""
    """Id of the order that was given or lifted, if one was."""
    superseded: tuple[tuple[str, str], ...] = ()
    """(order id, route) for each weight order that gave way to an edited file."""
    overridden: tuple[tuple[str, str], ...] = ()
    """(rule, reason) for each safety rule that would have refused the change."""
    adopted: tuple[str, ...] = ()
    """The holds that became this order."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One accepted change."""

    number: int
    at: float
    """Unix time in seconds."""
    actor: str
    source: str
    """`file`, `order`, `restore`, or `emergency` for what the workers were told while control did not answer."""
    reason: str
    hash: str
    changes: Changes = Changes()


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, when and why; written once and never changed."""

    at: float
    actor: str
    action: str
    target: str
    reason: str
    before: str
    after: str
    revision: int


@dataclass(frozen=True, slots=True)
class LastGood:
    """The newest routes.yaml that was in force."""

    text: bytes
    at: float


@dataclass(frozen=True, slots=True)
class FileState:
    """What has to be remembered about the watched routes.yaml besides its text."""

    back_to: int = 0
    """The revision that takes force again at `until` unless somebody confirms the file; 0: none."""
    until: float = 0.0
    aside: str = ""
    """Digest of a text that lies in the file but shall not take force at the next start."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What one revision was computed from."""

    number: int
    orders: tuple[Order, ...]
    text: bytes
    """Its routes.yaml."""


@dataclass(frozen=True, slots=True)
class Past:
    """A revision of old; without a state when that is no longer kept."""

    revision: Revision
    state: State | None


@dataclass(frozen=True, slots=True)
class Saved:
    """What a store still knows after a restart."""

    orders: tuple[Order, ...] = ()
    last_order: int = 0
    """The highest order number ever given out, also to orders that are gone."""
    revisions: tuple[Revision, ...] = ()
    """The newest ones, newest first."""
    last_good: LastGood | None = None
    file: FileState = FileState()


@dataclass(frozen=True, slots=True)
class Write:
    """One transaction: the whole truth about orders, and what is new."""

    orders: tuple[Order, ...]
    last_order: int
    revision: int
    """The revision in force; the store forgets any later one."""
    revisions: tuple[Revision, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    last_good: LastGood | None = None
    """None: as it was."""
    states: tuple[State, ...] = ()
    """Of the new revisions."""
    file: FileState = FileState()


class StoreError(Exception):
    """The store could not do it; nothing of the transaction is in force there."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What one worker said, or did not say, about a change."""

    id: int
    revision: int
    """What the worker runs now, as far as is known."""
    ms: float | None
    """From the push to the worker's word; None: it has not confirmed."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker as control sees it."""

    id: int
    pid: int = 0
    revision: int = 0
    hash: str = ""
    connected: bool = False
    last_seen: float = 0.0
    """Unix time of its last word; 0: never."""


@dataclass(frozen=True)
class Target:
    """What every worker shall have in force."""

    revision: int
    digest: str
    slots: int
    structure: tuple[bytes, ...]
    state: EffectiveState
    base: int | None = None
    """The revision from which `delta` leads here; None: only the whole snapshot does."""
    delta: bytes = b""
    adopted: tuple[str, ...] = ()
    """The holds that have become orders."""

    @cached_property
    def snapshot(self) -> bytes:
        """All lines; made once, however many workers need them."""
        lines = snapshot_lines(self.revision, self.slots, self.structure, self.state, self.digest, self.adopted)
        return b"".join(lines)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A valid routes.yaml, ready to be put in force."""

    table: Table
    structure: tuple[bytes, ...]
    """Its `settings` and `routes` lines."""
    digest: str
    """`structure_digest` of them."""
    blocks: Blocks
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problems:
    """A routes.yaml that is refused: every problem, one a line, with its place."""

    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()


# -------------------------------------------------------------------------------------------------- ports


class Store(Protocol):
    """Memory that outlives the process.  Calls are served one after the other, in the order of the calls."""

    async def load(self) -> Saved:
        """What was written last.  Raises StoreError when it cannot be read."""

    async def commit(self, write: Write) -> None:
        """All of it or nothing; when this returns, a power cut loses none of it.  Raises StoreError.

        A caller may stop waiting; then it does not know what became of the transaction, and the next one, which
        again carries the whole truth about orders and revisions, puts it right.
        """

    async def history(self, limit: int, before: int | None = None) -> tuple[Revision, ...]:
        """The newest revisions, newest first, or those that come before one.  Raises StoreError."""

    async def recall(self, number: int) -> Past | None:
        """One revision, and what was in force with it if it is among the last `KEPT`.  Raises StoreError."""

    async def close(self) -> None:
        """Waits for what was begun; afterwards nothing is open."""


class Fleet(Protocol):
    """All workers of this router, whether they are up or not."""

    def aim(self, target: Target) -> None:
        """Sets what every worker shall have in force, and begins to send before it returns.

        Workers that connect later are brought to it as well, and one that starts while nobody is there to tell it
        begins with this or, shortly after a change, with the target before.
        """

    def observe(self, observed: Observed) -> None:
        """Tells every worker, now or when it connects, what is observed; what was observed before is forgotten.

        An observation is no revision: nobody confirms it, a worker that is slow may miss some, and gets the newest.
        """

    async def confirmed(self, target: Target, patience: float) -> tuple[Confirmation, ...]:
        """One answer per worker, as soon as all have confirmed, after `patience` seconds at the latest.

        Confirmed means that the worker itself has computed the same hash from what it has in force.  A worker that
        is not connected has not confirmed: what it runs is not known.
        """

    def states(self) -> tuple[WorkerState, ...]:
        """One entry per worker, by id."""


class Compiler(Protocol):
    """Makes a table out of text.  Never raises, takes a bounded time and never holds up the event loop for long.

    The counter blocks that a result speaks of are recorded for good before it is returned.
    """

    async def compile(self, data: bytes) -> Compiled | Problems: ...


class Traffic(Protocol):
    """What the counters say about the present."""

    def recent(self) -> Mapping[str, int]:
        """Requests answered within the last minute by route name; routes without any may be missing."""


class Clock(Protocol):
    """Where times come from."""

    def now(self) -> float:
        """Unix time in seconds."""

    def elapsed(self) -> float:
        """Seconds since some moment; never runs backwards."""

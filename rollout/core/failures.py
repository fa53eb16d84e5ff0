"""Which failures are errors: what workers tell of single failures, held against what they count.

Two witnesses speak of the same failures, at different moments, and neither is enough.

    counters   know every request and lose none, not even by a worker's death; but not whose it was, and a request is
               counted when it has ended, which may be long after its first try has failed
    lists      know whose it was, what it was routed by and its id, the moment the first try has failed; but what a
               dead process knew is lost, and when nobody comes for it a list is full

So errors come from the lists, after the client rule with one memory for all workers (`router.core.clients`), requests
come from the counters, and for either side books are kept as sums since the share came into force:

    errors = counted + unnamed
    trials = requests - (named - counted) - excused - waiting

where *waiting* are the failures of the counters that no list has named yet, and what has waited for longer than `GRACE`
becomes *unnamed*: an error each, since a rollback must not be prevented by a witness who is gone.  Unless there is an
innocent reason: the share came into force just before, so that nobody knows by which share the request was routed, or a
list was full.  Then it is *excused*, neither error nor trial.  A full list prevents no rollback either: it is full of
thousands of failures of that same second, and which of them are missing does not depend on the side; counted one by
one those would be the retries of an outage, and accuse whichever side has drawn the loudest clients.

A failure whose request is not counted yet counts at once, and so does the request; it is not counted again when it
comes, whichever row that is.  In no row are there more errors than trials.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from rollout.core.evidence import Counts, Epoch, Mark, Tally
from router.core.clients import Firsts, client_key

GRACE: Final = 6.0
"""Seconds that a counted failure waits for its name; a worker that is silent for five is not connected any more."""
NEAR: Final = 0.25
"""Seconds within which failures wait together."""
LENIENT: Final = 30.0
"""Seconds after a change or a full list in which failures without a name are excused."""


class Failure(NamedTuple):
    """A request whose side was drawn by the share, and whose first try has failed."""

    route: str
    new: bool
    """The side: new, or legacy."""
    share: int
    """In force, in ppm, when it was routed ..."""
    revision: int
    """... and the worker's revision then."""
    client: int
    """Its number."""
    request: str
    """Its id."""
    at: float
    """Unix time of the failure."""


class Failed(NamedTuple):
    """What the workers tell."""

    found: tuple[Failure, ...] = ()
    dropped: int = 0
    """Failures that are in no list because it was full."""


NONE: Final = Tally()


@dataclass(frozen=True, slots=True)
class Named:
    """The failures of one side that were told."""

    count: int = 0
    errors: Tally = NONE
    """Those that count ..."""
    elsewhere: int = 0
    """... though not for their upstream: the client has been counted on another of its routes."""


NOBODY: Final = Named()


@dataclass(frozen=True, slots=True)
class Heard:
    """What was told of one route, and is in no row yet."""

    legacy: Named = NOBODY
    new: Named = NOBODY
    clients: tuple[int, ...] = ()
    """What is to be remembered of those whose error counts."""
    dropped: int = 0
    """Failures of any route that are in no list."""


NOTHING: Final = Heard()


class Waiting(NamedTuple):
    """Failures that are counted and not named yet."""

    since: float
    number: int


@dataclass(frozen=True, slots=True)
class Books:
    """Where the books of one side stand."""

    waiting: tuple[Waiting, ...] = ()
    """Oldest first."""
    ahead: int = 0
    """Failures that are named, and not counted as such yet."""
    debt: int = 0
    """Trials that were given out before their requests were counted."""
    lenient: float = 0.0
    """Until when there is an innocent reason for having no name."""


OPENED: Final = (Books(), Books())


def hear(heard: Heard, found: Iterable[Failure], epoch: Epoch, upstream: str, firsts: Firsts, at: float) -> Heard:
    """With failures of a route more.  Those that were routed under another share are named, and do not count."""
    counts, elsewhere, clients = [0, 0], [0, 0], list[int]()
    errors: tuple[list[Failure], list[Failure]] = ([], [])
    for failure in sorted(found, key=_when):
        counts[failure.new] += 1
        if failure.share != epoch.share or failure.revision < epoch.revision:
            continue
        number = failure.client.to_bytes(8, "big")
        on_route, on_upstream = client_key(failure.route, number), client_key(f"\0{upstream}", number)
        if not firsts.admits(on_route, at, failed=True):
            continue
        errors[failure.new].append(failure)
        fresh = firsts.admits(on_upstream, at, failed=True)
        elsewhere[failure.new] += not fresh
        clients += (on_route, on_upstream) if fresh else (on_route,)
    return replace(
        heard,
        legacy=_more(heard.legacy, counts[False], errors[False], elsewhere[False]),
        new=_more(heard.new, counts[True], errors[True], elsewhere[True]),
        clients=(*heard.clients, *clients),
    )


def _when(failure: Failure) -> float:
    return failure.at


def _more(known: Named, count: int, errors: Sequence[Failure], elsewhere: int) -> Named:
    if not count:
        return known
    marks = [Mark(each.at, each.request) for each in (*errors[:1], *errors[-1:])]
    tally = Tally(len(errors), marks[0], marks[-1]) if marks else NONE
    return Named(known.count + count, known.errors + tally, known.elsewhere + elsewhere)


def opened(at: float) -> tuple[Books, Books]:
    """The books of both sides when a share has come into force."""
    books = Books(lenient=at + LENIENT)
    return books, books


def entered(books: Books, counts: Counts, named: Named, *, dropped: int, at: float) -> tuple[Books, Counts]:
    """What is evidence of one side's difference of counters, in which every failure is an error yet."""
    lenient = max(books.lenient, at + LENIENT) if dropped else books.lenient
    names = books.ahead + named.count
    waiting, names = _named(_added(books.waiting, counts.errors.count, at), names)
    ripe = [each for each in waiting if at - each.since >= GRACE]
    waiting = waiting[len(ripe) :]
    excused = sum(each.number for each in ripe if each.since <= lenient)
    errors = named.errors + Tally(sum(each.number for each in ripe) - excused)
    wanted = counts.requests - (named.count - named.errors.count) - excused - books.debt
    wanted -= _sum(waiting) - _sum(books.waiting)
    trials = max(wanted, errors.count)
    row = replace(counts, trials=trials, errors=errors, elsewhere=named.elsewhere)
    return Books(waiting, names, trials - wanted, lenient), row


def _added(waiting: tuple[Waiting, ...], count: int, at: float) -> tuple[Waiting, ...]:
    """With so many more; a few of nearly the same time wait as one."""
    if not count:
        return waiting
    if waiting and at - waiting[-1].since < NEAR:
        last = waiting[-1]
        return (*waiting[:-1], Waiting(last.since, last.number + count))
    return (*waiting, Waiting(at, count))


def _named(waiting: tuple[Waiting, ...], names: int) -> tuple[tuple[Waiting, ...], int]:
    """Those that have no name yet, and the names that are left: the oldest are named first."""
    for number, each in enumerate(waiting):
        if names < each.number:
            return (Waiting(each.since, each.number - names), *waiting[number + 1 :]), 0
        names -= each.number
    return (), names


def _sum(waiting: tuple[Waiting, ...]) -> int:
    return sum(each.number for each in waiting)


def pending(every: Iterable[Heard]) -> set[int]:
    """Clients that are remembered for errors that are in no row yet."""
    return {client for heard in every for client in heard.clients}

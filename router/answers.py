"""What the engine answers: a change that is in force, a refusal of which nothing is, and looks at what might be.

Values only; `router.live` makes them and the operators' ways in show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from router.core.orders import Order
from router.core.safety import Violation
from router.ports import Confirmation, RouteChange


@dataclass(frozen=True, slots=True)
class Change:
    """A change that is in force."""

    order: Order | None
    """The order that was given, lifted or confirmed."""
    already: bool
    """It was in force before; nothing changed."""
    revision: int
    confirmed: bool
    workers: tuple[Confirmation, ...]
    routes: tuple[RouteChange, ...]
    persisted: bool
    ms: float
    """From the call to the answer."""
    notes: tuple[str, ...] = ()
    overridden: tuple[Violation, ...] = ()
    """What would have refused it, had nobody overridden the rules."""
    until: float | None = None
    """Unix time at which it is taken back unless somebody confirms it."""
    more: tuple[Order, ...] = ()
    """Orders that were given in the same step as `order`."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that is not in force, nor any part of it."""

    code: str
    status: int
    """The HTTP status that says the same."""
    detail: str
    instead: str = ""
    problems: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()
    """The safety rules that it breaks, with `code` "safety"."""
    allowed: int | None = None
    """The largest weight in ppm, in whole percent, that would pass in its place."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How the watched routes.yaml is."""

    path: str
    status: str = "ok"
    """`ok`, `refused` or `missing`; the last good stays in force in the latter two."""
    problems: tuple[str, ...] = ()
    last_good_at: float = 0.0
    notes: tuple[str, ...] = ()
    until: float | None = None
    """Unix time at which it is taken back unless somebody confirms it (`safety.confirm`)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a routes.yaml would change if it were loaded now, or an order if it were given."""

    lines: tuple[str, ...]
    """Readable, one finding a line."""
    routes: tuple[RouteChange, ...]
    superseded: tuple[tuple[str, str], ...]
    """(order id, route) for each weight order that would give way."""
    moved: int
    """Ppm of the recent traffic that would change side."""
    moved_to_new: int
    """Of these, towards the new side."""
    subjects: int
    """Of a million subjects that use everything, so many would meet another side somewhere."""
    seeds: Mapping[str, int]
    """The same for the routes of each seed text, which is the group's name unless the file says otherwise."""
    violations: tuple[Violation, ...]
    """What would refuse it."""
    removal: tuple[str, ...]
    """Why it looks like an accident; it needs somebody who insists."""
    notes: tuple[str, ...] = ()
    confirm: float | None = None
    """Seconds within which it would have to be confirmed."""
    allowed: int | None = None
    """Of a weight that breaks a rule: the largest in ppm, in whole percent, that would pass in its place."""


@dataclass(frozen=True, slots=True)
class Difference:
    """From one revision to another, whichever of them came first."""

    first: int
    second: int
    lines: tuple[str, ...]
    """Of routes.yaml."""
    routes: tuple[RouteChange, ...]
    gone: tuple[Order, ...]
    given: tuple[Order, ...]


STATUS: Final[Mapping[str, int]] = {
    "invalid": 422,
    "mass-removal": 409,
    "missing": 422,
    "no-new-side": 409,
    "not-kept": 410,
    "not-started": 503,
    "nothing-raised": 409,
    "safety": 409,
    "stale-revision": 412,
    "storage": 503,
    "unknown-group": 404,
    "unknown-order": 404,
    "unknown-revision": 404,
    "unknown-route": 404,
    "unknown-site": 404,
    "not-closed": 409,
}


def refusal(code: str, detail: str, instead: str = "", problems: tuple[str, ...] = ()) -> Refusal:
    return Refusal(code, STATUS[code], detail, instead, problems)


def not_recorded() -> Refusal:
    return refusal(
        "storage", "the change could not be recorded, so it is not in force", "see the state directory's disk"
    )


def not_started() -> Refusal:
    return refusal("not-started", "nothing is in force yet", "try again in a moment")

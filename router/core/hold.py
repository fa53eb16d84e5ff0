"""Holds: rollbacks that an operator gives to the workers themselves while control does not answer.

A hold lies on top of whatever state is in force, now and after every later one, until control says that it has adopted
it: from then on it is an ordinary rollback order, which control computes into the state like any other.  Before that
nothing takes a hold away, since only a person's `resume` may move traffic forward.  Laid over a state that already has
the rollback it changes nothing, so the workers' hash is control's as soon as control has computed it.

    {"op": "hold", "id": "E-5f2c", "scope": {"group": "catalog"}, "reason": "...", "actor": "kim", "at": 1732550000.0}
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from router.core.model import Route
from router.core.orders import Cause, Reach, Scope

MOST: Final = 256
"""Holds that are kept at once."""
TEXT: Final = 4096
"""Characters of a name, a reason or an actor."""

_ID: Final = re.compile(r"E-[0-9a-z]{4,40}")


@dataclass(frozen=True, slots=True)
class Hold:
    """One rollback that came by no order.  `id` is made by whoever gives it, and is the same at every worker."""

    id: str
    scope: Scope
    reason: str
    actor: str
    at: float
    """Unix time in seconds."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The holds after one was given, and the one that holds its scope; `already`: it did before."""

    holds: tuple[Hold, ...]
    hold: Hold
    already: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A state with holds laid over it."""

    shares: list[int]
    causes: bytes
    held_sites: frozenset[str]


def message_of(hold: Hold) -> dict[str, Any]:
    """A hold as it travels, and as it lies on disk."""
    reach, name = hold.scope.reach, hold.scope.name
    scope = {"all": True} if reach is Reach.ALL else {reach.value: name}
    return {
        "op": "hold", "id": hold.id, "scope": scope, "reason": hold.reason, "actor": hold.actor, "at": hold.at
    }  # fmt: skip


def hold_of(message: Mapping[str, Any]) -> Hold:
    """The hold of a message; raises ValueError for anything else."""
    try:
        made, at = message["id"], float(message["at"])
        scope, reason, actor = _scope(message["scope"]), message["reason"], message["actor"]
        texts = (made, scope.name, reason, actor)
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ValueError(f"this is no hold: {type(error).__name__}: {error}") from None
    if not all(isinstance(text, str) and len(text) <= TEXT for text in texts) or not _ID.fullmatch(made):
        raise ValueError("this is no hold: its id, scope, reason or actor is no short text")
    if not isfinite(at):
        raise ValueError("this is no hold: it has no time")
    return Hold(made, scope, reason, actor, at)


def _scope(said: Mapping[str, Any]) -> Scope:
    ((reach, name),) = said.items()
    if reach == "all":
        if name is not True:
            raise ValueError("write {'all': true}")
        return Scope(Reach.ALL)
    return Scope(Reach(reach), name)


def kept(holds: Sequence[Hold], hold: Hold) -> Kept:
    """Remembers a hold; one of the same scope is enough.  Raises ValueError when there are too many."""
    for known in holds:
        if known.scope == hold.scope or known.id == hold.id:
            return Kept(tuple(holds), known, already=True)
    if len(holds) >= MOST:
        raise ValueError(f"{MOST} holds are kept already; give one with a wider scope")
    return Kept((*holds, hold), hold)


def left(holds: Iterable[Hold], adopted: Collection[str]) -> tuple[Hold, ...]:
    """The holds that control has not adopted yet."""
    return tuple(hold for hold in holds if hold.id not in adopted)


def reached(scope: Scope, routes: Iterable[Route], sites: Collection[str]) -> int:
    """How many routes a hold would cover, or sites; 0: it names nothing, and must not look as if it had worked."""
    if scope.reach is Reach.ALL:
        return max(1, sum(1 for _ in routes))
    if scope.reach is Reach.SITE:
        return int(scope.name in sites)
    return sum(map(scope.covers, routes))


def laid_over(
    routes: Sequence[Route], shares: Sequence[int], causes: bytes, held_sites: Collection[str], holds: Sequence[Hold]
) -> Held:
    """Legacy for all that any of the holds covers, whatever the state says."""
    shares, after = list(shares), bytearray(causes)
    for index, route in enumerate(routes):
        if any(hold.scope.covers(route) for hold in holds):
            shares[index] = 0
            after[index] = Cause.ROLLBACK
    sites = frozenset(hold.scope.name for hold in holds if hold.scope.reach is Reach.SITE)
    return Held(shares, bytes(after), frozenset(held_sites) | sites)

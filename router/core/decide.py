"""Legacy or new?  The one ordered rule, the same for live traffic and for `explain`.

    rollback > pin > trusted override > share

A share of 0 sends nobody to new but a trusted override, a share of 1,000,000 sends everybody; between them a request
without a subject (and a CORS preflight, which never has one) stays on legacy.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Final

from router.core.model import PPM, Side
from router.core.orders import Cause
from router.core.split import pick_site

NO_SUBJECT: Final = -1
"""Stands for the bucket of a request in which no source of the chain found a value."""
PREFLIGHT: Final = -2
"""Stands for the bucket of a CORS preflight."""


_ROLLBACK: Final = int(Cause.ROLLBACK)
_PIN: Final = int(Cause.PIN)


class Reason(IntEnum):
    """Why a request went where it went; label of `strangler_requests_total`, index in the counters."""

    WEIGHT = 0
    ROLLBACK = 1
    OVERRIDE = 2
    UNLISTED = 3
    NO_SUBJECT = 4
    PREFLIGHT = 5
    FALLBACK = 6
    SITE_ROLLBACK = 7
    PIN = 8
    DRAIN = 9
    """Every site of the new side is drained."""

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


def decide(share: int, cause: int, override: Side | None, drawn: int) -> tuple[Side, Reason]:
    """The side for one request and why.

    `share` and `cause` are those in force for its route; `override` is what a trusted client asked for;
    `drawn` is the subject's bucket, or NO_SUBJECT or PREFLIGHT.  A bucket that cannot matter need not be
    computed: for shares 0 and PPM any value gives the same answer.
    """
    if cause == _ROLLBACK:
        return Side.LEGACY, Reason.ROLLBACK
    if cause == _PIN:
        return (Side.NEW if share else Side.LEGACY), Reason.PIN
    if override is not None:
        return override, Reason.OVERRIDE
    if share >= PPM:
        return Side.NEW, Reason.WEIGHT
    if share <= 0:
        return Side.LEGACY, Reason.WEIGHT
    if drawn < 0:
        return Side.LEGACY, Reason.NO_SUBJECT if drawn == NO_SUBJECT else Reason.PREFLIGHT
    return (Side.NEW if drawn < share else Side.LEGACY), Reason.WEIGHT


def place_at_site(
    side: Side,
    spread: Sequence[tuple[str, int]],
    subject: bytes,
    seed: int,
    held: Collection[str],
    drained: Collection[str],
) -> tuple[str, Reason | None]:
    """The site for a subject, and the reason to ask legacy instead if the new side has none for it.

    A drained site takes nothing: its subjects are drawn again among the others.  A site that is rolled back keeps its
    subjects, and legacy answers them.  Legacy has nowhere to go: with all of its sites drained its first one is asked.
    """
    site = pick_site(spread, subject, seed, drained)
    if site is None:
        return spread[0][0], Reason.DRAIN if side is Side.NEW else None
    return site, Reason.SITE_ROLLBACK if side is Side.NEW and site in held else None

"""Legacy or new?  The one ordered rule, the same for live traffic and for `explain`.

    rollback > pin > trusted override > health > share

A share of 0 sends nobody to new but a trusted override, a share of 1,000,000 sends everybody; between them a request
without a subject (and a CORS preflight, which never has one) stays on legacy.  Health may lower a share, never raise
it: the subjects with the highest buckets are those who wait on legacy.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import Final

from router.core.model import PPM, Side
from router.core.orders import Cause
from router.core.places import Placing
from router.core.split import pick_site

NO_SUBJECT: Final = -1
"""Stands for the bucket of a request in which no source of the chain found a value."""
PREFLIGHT: Final = -2
"""Stands for the bucket of a CORS preflight."""


_ROLLBACK: Final = int(Cause.ROLLBACK)
_PIN: Final = int(Cause.PIN)
# Members of an Enum cost a look-up each on the hot path; these are the same objects.
_LEGACY: Final = Side.LEGACY
_NEW: Final = Side.NEW


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
    HEALTH = 10
    """The new side has no healthy room for this subject."""
    BREAKER = 11
    """This API fails on the new side, and was pulled to legacy."""

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


def decide(share: int, live: int, cause: int, override: Side | None, drawn: int) -> tuple[Side, Reason]:
    """The side for one request and why.

    `share` and `cause` are those in force for its route, `live` is what health leaves of the share; `override` is what
    a trusted client asked for; `drawn` is the subject's bucket, or NO_SUBJECT or PREFLIGHT.  A bucket that cannot
    matter need not be computed: it does not for a share of 0, nor for one of PPM that is live as a whole.
    """
    if cause == _ROLLBACK:
        return _LEGACY, Reason.ROLLBACK
    if cause != _PIN:
        if override is not None:
            return override, Reason.OVERRIDE
        reason = Reason.WEIGHT
    else:
        reason = Reason.PIN
    if live >= PPM:
        return _NEW, reason
    if share <= 0:
        return _LEGACY, reason
    if share >= PPM:  # but not all of it is live
        return (_NEW, reason) if 0 <= drawn < live else (_LEGACY, Reason.HEALTH)
    if drawn < 0:
        return _LEGACY, Reason.NO_SUBJECT if drawn == NO_SUBJECT else Reason.PREFLIGHT
    if drawn < live:
        return _NEW, reason
    return _LEGACY, Reason.HEALTH if drawn < share else reason


def place_at_site(
    side: Side, placing: Placing, subject: bytes, seed: int, held: Collection[str]
) -> tuple[str, Reason | None]:
    """The site for a subject, and the reason to ask legacy instead if the new side has none for it.

    A site that is rolled back keeps its subjects, and legacy answers them.
    """
    if side is _LEGACY:
        return pick_site(placing.legacy_spread, subject, seed, placing.legacy), None
    if not placing.new:
        return "", Reason.DRAIN
    site = pick_site(placing.new_spread, subject, seed, placing.new)
    return site, Reason.SITE_ROLLBACK if site in held else None

"""Legacy or new?  The one ordered rule, the same for live traffic and for `explain`.

    rollback > trusted override > share

A share of 0 sends nobody to new but a trusted override, a share of 1,000,000 sends everybody; between them a request
without a subject (and a CORS preflight, which never has one) stays on legacy.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from router.core.model import PPM, Side
from router.core.orders import Cause

NO_SUBJECT: Final = -1
"""Stands for the bucket of a request in which no source of the chain found a value."""
PREFLIGHT: Final = -2
"""Stands for the bucket of a CORS preflight."""


_ROLLBACK: Final = int(Cause.ROLLBACK)


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
    if override is not None:
        return override, Reason.OVERRIDE
    if share >= PPM:
        return Side.NEW, Reason.WEIGHT
    if share <= 0:
        return Side.LEGACY, Reason.WEIGHT
    if drawn < 0:
        return Side.LEGACY, Reason.NO_SUBJECT if drawn == NO_SUBJECT else Reason.PREFLIGHT
    return (Side.NEW if drawn < share else Side.LEGACY), Reason.WEIGHT

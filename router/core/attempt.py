"""What now?  After a failed try or a bad answer: again, to legacy, or tell the client.

Sending a request a second time is safe when nothing of an answer has reached the client, the body can be sent again,
and either nothing of the request was delivered or the method (or the route) is idempotent (RFC 9110 section 9.2.2).
Falling back to legacy follows the same rule plus the route's policy.  A budget keeps repeats from becoming a storm
on whatever is still alive; when it, or the rule, says no, the client gets what there is: the original answer.  Only
requests that were delivered count against it: one that found no connection is work for one side, not for two.  Nor
does the first repeat, at another endpoint, of one whose connection was lost: whoever had it works on it no more, and
when an endpoint dies all of its requests are in this state at once.

What a fallback hides from the client still counts as the new side's error: counting is the caller's last step and
looks at the first try.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from router.core.model import Fallback, Side

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""RFC 9110 section 9.2.2."""
SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
"""RFC 9110 section 9.2.1."""

MAX_TRIES: Final = 3
"""Tries on one side, the first included."""
BUDGET_PERCENT: Final = 20
BUDGET_FLOOR: Final = 3


class Stage(IntEnum):
    """Where an exchange with an upstream went wrong; label of `strangler_upstream_errors_total`."""

    CONNECT = 0
    """Refused, unreachable, or not connected in time."""
    OVERLOAD = 1
    """No connection free, and the waiting line full or too slow."""
    SEND = 2
    """Lost while the request was being sent."""
    HEAD = 3
    """Lost before the head of the answer was complete."""
    TIMEOUT = 4
    """No head of an answer in time."""
    PROTOCOL = 5
    """The answer is not one unambiguous HTTP message."""
    BODY = 6
    """Lost or stalled within the body of the answer."""

    @property
    def label(self) -> str:
        return self.name.lower()

    @property
    def status(self) -> int:
        """What the client is told."""
        return _STATUS.get(self, 502)


_LOST: Final = frozenset({Stage.CONNECT, Stage.SEND, Stage.HEAD})
"""No connection, or no longer: the endpoint does not work on the request any more."""
_STATUS: Final = {Stage.TIMEOUT: 504, Stage.OVERLOAD: 503}


class Next(Enum):
    """What happens after a try."""

    AGAIN = "again"
    FALLBACK = "fallback"
    TELL = "tell"


@dataclass(frozen=True, slots=True)
class Try:
    """Everything the rule needs to know about a try that did not end well."""

    side: Side
    tries: int
    """On this side so far, this one included."""
    repeatable: bool
    """The method is idempotent, or the route says that its requests are."""
    replayable: bool
    """All of the body that was sent, if any, is still at hand."""
    delivered: bool
    """Some of the request may have been read by the upstream."""
    answered: bool = False
    """Some of an answer has reached the client."""
    stale: bool = False
    """A pooled connection that the upstream closed before any byte of an answer."""
    in_budget: bool = True
    other_endpoint: bool = False
    """The same upstream has an endpoint that this exchange has not tried."""
    fallback: Fallback = Fallback()


def may_repeat(what: Try) -> bool:
    """Is sending the request once more safe?"""
    return not what.answered and what.replayable and (not what.delivered or what.repeatable)


def after_failure(stage: Stage, what: Try) -> Next:
    """No answer, or not a usable one.  A stale connection is not the upstream's failure: it costs no budget."""
    if not may_repeat(what):
        return Next.TELL
    if what.stale and what.tries < MAX_TRIES:
        return Next.AGAIN
    elsewhere = stage in _LOST and what.other_endpoint and what.tries < MAX_TRIES
    if elsewhere and what.tries == 1:
        return Next.AGAIN
    if what.delivered and not what.in_budget:
        return Next.TELL
    if elsewhere:
        return Next.AGAIN
    if what.side is Side.NEW and _covers(stage, what.fallback):
        return Next.FALLBACK
    return Next.TELL


def after_status(status: int, what: Try) -> Next:
    """A whole head of an answer, nothing of it passed on yet."""
    wanted = what.side is Side.NEW and status in what.fallback.statuses
    return Next.FALLBACK if wanted and may_repeat(what) and what.in_budget else Next.TELL


def _covers(stage: Stage, policy: Fallback) -> bool:
    return policy.on_connect if stage is Stage.CONNECT else stage.status in policy.statuses


def in_budget(repeats: int, active: int) -> bool:
    """May one more repeat run, with so many running among so many active requests?"""
    return repeats < max(BUDGET_FLOOR, active * BUDGET_PERCENT // 100)

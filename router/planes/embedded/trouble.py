"""When a try fails: again, to legacy, or tell the client.

The rules stand in `router.core.attempt`.  Here they are told how far an exchange has come, and what they say is done;
then the exchange goes its way again, or ends.  An answer that a fallback hides is kept until legacy has a better one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from router.core.attempt import IDEMPOTENT, MAX_TRIES, Next, Stage, Try, after_failure, after_status
from router.core.decide import Reason
from router.core.model import Side
from router.planes.embedded.answers import STAGE_CODES, stage_detail
from router.planes.embedded.heads import Answer, Refused
from router.planes.embedded.routing import open_sites
from router.telemetry import RouteBlock, WorkerSlot

if TYPE_CHECKING:
    from router.planes.embedded.exchange import Exchange
    from router.planes.embedded.upstream import UpstreamConnection

_LEGACY: Final = Side.LEGACY
_NEW: Final = Side.NEW
_WEIGHT: Final = int(Reason.WEIGHT)
_FALLBACK: Final = int(Reason.FALLBACK)
_SIDE: Final = int(RouteBlock.SIDE)


@final
class Hidden:
    """An answer of the new side that a fallback hides, and all it takes to deliver it after all."""

    def __init__(self, connection: UpstreamConnection, answer: Answer, rest: bytes, reason: int) -> None:
        self.connection = connection
        self.answer = answer
        self.rest = rest
        self.reason = reason


# ---------------------------------------------------------------------- no answer


def failed_try(exchange: Exchange, stage: Stage, *, lost_early: bool) -> Try:
    """What the rule needs to know.  `lost_early`: a connection that had served before, and had not begun to answer."""
    return Try(
        side=exchange.side,
        tries=exchange.tries,
        repeatable=_repeatable(exchange),
        replayable=exchange.replayable,
        delivered=exchange.sent,
        answered=exchange.answering,
        stale=lost_early and stage in {Stage.HEAD, Stage.SEND} and exchange.stales < MAX_TRIES,
        in_budget=exchange.repeating or exchange.plane.in_budget(),
        other_endpoint=_other_endpoint(exchange),
        fallback=exchange.handling.fallback,
    )


def go_on(exchange: Exchange, stage: Stage, what: Try, detail: str) -> None:
    """Nothing of an answer has gone out: do what the rule says."""
    found = after_failure(stage, what)
    if found is Next.TELL and after_failure(stage, replace(what, in_budget=True)) is not Next.TELL:
        exchange.plane.bump(WorkerSlot.BUDGET_REFUSALS)
    match found:
        case Next.AGAIN:
            _again(exchange, stale=what.stale)
        case Next.FALLBACK:
            _fall_back(exchange, stage)
        case Next.TELL:
            if exchange.hidden is not None:
                _deliver(exchange, exchange.hidden)
            else:
                _tell(exchange, stage, detail)


def _repeatable(exchange: Exchange) -> bool:
    return exchange.request.method in IDEMPOTENT or exchange.handling.idempotent


def _other_endpoint(exchange: Exchange) -> bool:
    """Has its side an endpoint that was not tried?  The one that was last is noted."""
    pool = exchange.pool
    if pool is None:
        return False
    tried = exchange.tried = (*exchange.tried, pool)
    destination = exchange.handling.destinations[1 if exchange.on_new else 0]
    if destination is None:
        return False
    placing = exchange.snapshot.placing(exchange.index)
    sites = [exchange.site] if placing is None or destination.only is not None else open_sites(exchange, placing)
    return any(other not in tried for site in sites for other in destination.sites.get(site, ()))


def _again(exchange: Exchange, *, stale: bool) -> None:
    plane = exchange.plane
    pool = exchange.pool
    if stale and pool is not None:
        plane.bump(WorkerSlot.STALE_RETRIES)
        exchange.stales += 1
        exchange.tried = exchange.tried[:-1]
        exchange.sent = False
        exchange.wait_for(pool)  # what else is idle there is probably as dead
        return
    _count_repeat(exchange)
    if exchange.on_new and exchange.tries == 1:
        plane.counters.slots[exchange.entry.block + _SIDE + RouteBlock.REPEATED] += 1
    exchange.dispatch()


def _count_repeat(exchange: Exchange) -> None:
    """Every repeat is counted; only what was delivered before counts against the budget."""
    exchange.plane.bump(WorkerSlot.RETRIES)
    if exchange.sent and not exchange.repeating:
        exchange.repeating = True
        exchange.plane.repeats += 1
    exchange.sent = False


def _fall_back(exchange: Exchange, cause: int) -> None:
    exchange.plane.counters.slots[exchange.entry.block + RouteBlock.FALLBACKS + cause] += 1
    _count_repeat(exchange)
    exchange.move_to(_LEGACY, _FALLBACK)
    exchange.dispatch()


def _tell(exchange: Exchange, stage: Stage, detail: str) -> None:
    if stage is Stage.OVERLOAD and not exchange.judged and exchange.reason == _WEIGHT:
        exchange.plane.counters.slots[exchange.entry.block + RouteBlock.OURS + exchange.on_new * _SIDE] += 1
    exchange.client.refuse(Refused(stage.status, STAGE_CODES[stage], detail or stage_detail(stage)))


# ---------------------------------------------------------------------- a bad answer


def hide(exchange: Exchange, answer: Answer, rest: bytes) -> bool:
    """Ask legacy instead of passing on a bad answer of the new side, if the rule allows."""
    what = Try(
        side=exchange.side,
        tries=exchange.tries,
        repeatable=_repeatable(exchange),
        replayable=exchange.replayable and exchange.request_done,
        delivered=True,
        in_budget=exchange.repeating or exchange.plane.in_budget(),
        fallback=exchange.handling.fallback,
    )
    if after_status(answer.status, what) is not Next.FALLBACK:
        if after_status(answer.status, replace(what, in_budget=True)) is Next.FALLBACK:
            exchange.plane.bump(WorkerSlot.BUDGET_REFUSALS)
        return False
    connection, exchange.connection = exchange.connection, None
    if connection is None:
        return False
    connection.pause_reading()
    exchange.hidden = Hidden(connection, answer, rest, exchange.reason)
    _fall_back(exchange, RouteBlock.STATUS_CAUSE)
    return True


def drop_hidden(exchange: Exchange) -> None:
    """The client gets another answer, or none at all."""
    hidden, exchange.hidden = exchange.hidden, None
    if hidden is not None and not hidden.connection.closed:
        hidden.connection.abort()


def _deliver(exchange: Exchange, hidden: Hidden) -> None:
    """Legacy could do no better: the client gets the original answer."""
    exchange.hidden = None
    connection = hidden.connection
    exchange.move_to(_NEW, hidden.reason)
    exchange.connection = connection
    exchange.pool = connection.pool
    connection.exchange = exchange
    exchange.begin_answer(hidden.answer, hidden.rest)
    if not exchange.uses(connection):
        return  # all of the answer was at hand
    if connection.closed:
        exchange.failed(Stage.BODY)
    elif not exchange.client.write_paused:  # else the client says when
        connection.resume_reading()

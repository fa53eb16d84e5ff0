"""What is told of an exchange: to counters and logs, and to those who judge rollouts, endpoints and new sides.

    began -> (answered, failed) -> ended

It looks at the exchange and changes nothing of it, but for the note that something has been told.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING, Any, Final

from router.core.decide import Reason
from router.core.model import Source
from router.planes.embedded.routing import is_preflight, subject_of
from router.telemetry import CODE_CLASSES, DURATION_BOUNDS, REASON_SLOTS, BusyBlock, EndpointBlock, RouteBlock

if TYPE_CHECKING:
    from router.planes.embedded.census import Watch
    from router.planes.embedded.exchange import Exchange
    from router.planes.embedded.tape import Tape

_BOUNDS: Final = [round(bound * 1_000_000) for bound in DURATION_BOUNDS]
"""In microseconds."""
_LAST: Final = len(_BOUNDS)
_LONG: Final = 1.0
"""Seconds from which on an exchange is out of the ordinary."""
_WEIGHT: Final = int(Reason.WEIGHT)
_FALLBACK: Final = int(Reason.FALLBACK)
_IN_FLIGHT: Final = int(BusyBlock.IN_FLIGHT)
_USUAL: Final = int(BusyBlock.USUAL)
_DURATIONS: Final = int(BusyBlock.DURATIONS)
_QUICK_BUCKETS: Final = int(BusyBlock.BUCKETS)
_BUSY_SIDE: Final = int(BusyBlock.SIDE)
_SIDE_REQUESTS: Final = int(RouteBlock.SIDE_REQUESTS)
_SLOW_DURATIONS: Final = int(RouteBlock.DURATIONS)
_WELL: Final = CODE_CLASSES.index("2xx")
_SIDE: Final = int(RouteBlock.SIDE)
_REASON_SLOTS: Final = int(REASON_SLOTS)
_BAD_GATEWAYS: Final = frozenset({502, 503, 504})
"""Statuses that speak of the endpoint rather than of the request."""
_ITS_FAILURES: Final = frozenset({502, 504})
"""What the client is told of a side that gave no answer."""
_NOT_DRAWN: Final = frozenset({int(Reason.OVERRIDE), int(Reason.FALLBACK), int(Reason.NO_SUBJECT)})
"""Requests that legacy had, though not as one of those that the share left to it."""


def began(exchange: Exchange, watch: Watch) -> None:
    """A request of a watched route is on its way."""
    if not _counts_for(exchange, watch):
        return
    entry, snapshot = exchange.entry, exchange.snapshot
    on_new = exchange.on_new or exchange.reason != _WEIGHT
    fair = snapshot.live[entry.index] == watch.share and not entry.tripped and not snapshot.held_sites
    client, _ = _client_of(exchange)
    watch.began(exchange.plane.counters.slots, entry.block, client, on_new=on_new, fair=fair)


def answered(exchange: Exchange, status: int) -> None:
    """A bad answer, or any to a trial: it speaks of the endpoint and of this API."""
    connection = exchange.connection
    if status in _BAD_GATEWAYS and connection is not None:
        exchange.plane.counters.slots[connection.pool.block + EndpointBlock.BAD_GATEWAYS] += 1
    if status >= 500:
        failed(exchange)
    elif exchange.trial:
        exchange.trial = False
        exchange.plane.trial_ended(exchange.entry, well=True)


def failed(exchange: Exchange) -> None:
    """The first try has failed: those who judge the sides hear of it, once, and the new side's breaker."""
    if exchange.judged or exchange.reason != _WEIGHT:
        return
    exchange.judged = True
    trial, exchange.trial = exchange.trial, False
    entry, snapshot = exchange.entry, exchange.snapshot
    client, _ = _client_of(exchange)
    exchange.plane.failures.put(
        entry.name,
        client,
        exchange.request_id,
        on_new=exchange.on_new,
        share=snapshot.shares[entry.index],
        revision=snapshot.revision,
    )
    if exchange.on_new:
        exchange.plane.new_side_failed(entry, trial=trial)


def ended(exchange: Exchange, *, broken: bool) -> None:
    """It is over, and is counted; `broken`: before its answer was whole."""
    took = perf_counter() - exchange.started
    plane = exchange.plane
    on_new = exchange.on_new
    slots = plane.counters.slots
    busy = exchange.busy + on_new * _BUSY_SIDE
    slots[busy + _IN_FLIGHT] -= 1
    kind = exchange.status // 100
    ordinary = kind == _WELL and exchange.reason == _WEIGHT
    if ordinary:
        slots[busy + _USUAL] += 1
    else:
        slots[exchange.entry.block + on_new * _SIDE_REQUESTS + kind * _REASON_SLOTS + exchange.reason] += 1
    micros = int(took * 1_000_000)
    bucket = 0
    while bucket < _LAST and micros > _BOUNDS[bucket]:  # most are in one of the first
        bucket += 1
    slots[busy + _DURATIONS] += micros
    if bucket < _QUICK_BUCKETS:
        slots[busy + _DURATIONS + 1 + bucket] += 1
    else:
        slots[exchange.entry.block + _SLOW_DURATIONS + 1 + bucket + on_new * _SIDE] += 1
    if exchange.special and (watch := exchange.entry.watch) is not None and bucket > watch.fastest:
        _watched_ended(exchange, watch, bucket, broken=broken)
    if plane.access_log is not None:
        plane.access_log.put(exchange, took, broken=broken)
    if not exchange.place and exchange.snapshot.unlisted is plane.snapshot.unlisted:  # a newer table may list it
        request = exchange.request
        plane.unlisted.put(request.method, request.target, exchange.status)
    if broken or not ordinary or took >= _LONG or plane.recent.has_room():
        _remember(exchange, took, broken=broken)


def _remember(exchange: Exchange, took: float, *, broken: bool) -> None:
    """Keep it for those who ask afterwards."""
    request, entry, pool, plane = exchange.request, exchange.entry, exchange.pool, exchange.plane
    index = entry.index
    shares: list[Any] = exchange.snapshot.shares  # Any: what lies there is passed on as it is
    plane.recent.put(
        exchange.request_id,
        request.method,
        request.target,
        entry.name,
        exchange.on_new,
        exchange.reason,
        exchange.drawn,
        shares[index] if index >= 0 else None,
        exchange.snapshot.number,
        pool.key if pool is not None else "",
        exchange.status,
        exchange.started,
        took,
        broken,
    )


def _watched_ended(exchange: Exchange, watch: Watch, bucket: int, *, broken: bool) -> None:
    """A request of a watched route was slow, or all of them are taped."""
    if watch.tape is not None and not exchange.on_new:
        _tape(exchange, watch.tape, bucket, broken=broken)
    if exchange.reason == _WEIGHT and _counts_for(exchange, watch):
        client, by_chance = _client_of(exchange)
        slots, block = exchange.plane.counters.slots, exchange.entry.block
        watch.slow(slots, block, client, bucket, time(), on_new=exchange.on_new, by_chance=by_chance)


def _tape(exchange: Exchange, tape: Tape, bucket: int, *, broken: bool) -> None:
    """What legacy has made of a request that a share might draw; what we refused ourselves is no outcome."""
    known = exchange.answering or exchange.status in _ITS_FAILURES
    found = subject_of(exchange)
    if not known or is_preflight(exchange.request) or found is None or exchange.reason in _NOT_DRAWN:
        return
    bad = broken or exchange.status >= 500 or exchange.tries > 1
    if not tape.put(found[0], bucket, exchange.plane.wheel.now, failed=bad):
        exchange.plane.tape(None)


def _counts_for(exchange: Exchange, watch: Watch) -> bool:
    """Is this evidence for the watched share?"""
    snapshot = exchange.snapshot
    drawn = exchange.reason == _WEIGHT or (exchange.reason == _FALLBACK and not exchange.on_new)
    return drawn and snapshot.revision >= watch.revision and snapshot.shares[exchange.index] == watch.share


def _client_of(exchange: Exchange) -> tuple[bytes, bool]:
    """Who this is to whoever judges the sides: the subject, else the address; and is it another one each time?"""
    found = subject_of(exchange)
    if found is None:
        return exchange.client.subject_address(exchange.request), False
    return found[0], found[1].source is Source.RANDOM

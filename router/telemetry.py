"""Every metric, counter slot and log field, named once.

Workers count in memory-mapped files of unsigned 64-bit slots, one file a worker; nobody but that worker writes it,
and control adds the files up at a scrape.  The files outlive the processes, so a counter never runs backwards when
a worker dies.  A *block* is a run of slots for one thing; `router.blocks` gives them out, `router.core.wire` carries
the offsets of each route's and endpoint's to the workers, and control remembers for ever which name owns which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

from router.core.attempt import Stage
from router.core.decide import Reason

MAGIC: Final = 0x53545247_4C523033
"""First slot of a counter file ("STRGLR03"): tells the layout below from an older one."""

CODE_CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""Index: status // 100; `none` when the exchange ended before a head was passed on."""
REASON_SLOTS: Final = 16
"""Room for reasons: more than there are, so that a new one moves no slot."""
DURATION_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds of the request duration's buckets; one more bucket takes what is above."""

_SIDES: Final = 2


class RouteBlock:
    """Offsets within a route's block."""

    REQUESTS: Final = 0
    """[side][code class][reason], but for those that are USUAL: `requests_of` puts them in."""
    SIDE_REQUESTS: Final = len(CODE_CLASSES) * REASON_SLOTS
    SIDES: Final = REQUESTS + _SIDES * SIDE_REQUESTS
    """[side]: all that follows, up to the fallbacks, is meant with `side * SIDE` added.  The first of it is counted in
    the route's `BusyBlock` instead; whoever reads puts it in."""
    SIDE: Final = 32
    IN_FLIGHT: Final = SIDES
    """A gauge: exchanges under way."""
    USUAL: Final = SIDES + 1
    """Answered with 2xx by weight: what most requests are."""
    DURATIONS: Final = SIDES + 2
    """The sum in microseconds, then the buckets."""
    DURATION_SLOTS: Final = len(DURATION_BOUNDS) + 2
    TUNNELS: Final = DURATIONS + DURATION_SLOTS
    """A gauge: open tunnels."""
    REPEATED: Final = TUNNELS + 1
    """First tries that failed and were repeated on the same side: what no client saw."""
    BREAKER_OPEN: Final = TUNNELS + 2
    """A gauge: 1 while this worker's breaker has pulled the route to legacy."""
    BREAKER_TRIPS: Final = TUNNELS + 3
    OURS: Final = TUNNELS + 4
    """First tries that ended with a 503 of our own, for want of a connection: no fault of the side."""
    FIRST_SEEN: Final = TUNNELS + 5
    """While a rollout watches the route (`router.core.census`): clients whose first request was on this side ..."""
    SEEN: Final = TUNNELS + 6
    """... and those that were on this side at all; counted of the new one only."""
    SLOW: Final = TUNNELS + 7
    """[limit]: slow answers, of which a client's first one within the hour counts, whichever side it came from."""
    FALLBACKS: Final = SIDES + _SIDES * SIDE
    """[cause]: a `Stage`, or STATUS_CAUSE."""
    STATUS_CAUSE: Final = len(Stage)
    FALLBACK_SLOTS: Final = len(Stage) + 1
    SIZE: Final = FALLBACKS + FALLBACK_SLOTS
    """Whole cache lines of 8 slots, and an odd number of them, so that the same line of many routes does not fall into
    the same few places of a cache."""


class BusyBlock:
    """Offsets within the block of what nearly every exchange of a route counts, with `side * SIDE` added.

    It is one cache line a side, in the order of the first slots of a side of a `RouteBlock`.  Those of all routes lie
    together: a table of thousands then keeps a worker in a few pages of memory instead of thousands.
    """

    SIDE: Final = 8
    IN_FLIGHT: Final = RouteBlock.IN_FLIGHT - RouteBlock.SIDES
    USUAL: Final = RouteBlock.USUAL - RouteBlock.SIDES
    DURATIONS: Final = RouteBlock.DURATIONS - RouteBlock.SIDES
    """The sum in microseconds, then the first buckets ..."""
    BUCKETS: Final = SIDE - DURATIONS - 1
    """... of which there are so many; slower ones are counted in the `RouteBlock`."""
    SIZE: Final = _SIDES * SIDE


BUSY_SLOTS: Final[Mapping[int, int]] = {
    RouteBlock.SIDES + side * RouteBlock.SIDE + slot: side * BusyBlock.SIDE + slot
    for side in range(_SIDES)
    for slot in range(BusyBlock.SIDE)
}
"""The slots of a `RouteBlock` to which one of the `BusyBlock` has to be added, and which one."""


def requests_of(slots: Sequence[int]) -> list[int]:
    """How often each code class and reason was met, [side][code class][reason], from the slots of a route's block.

    What the `BusyBlock` counts has been added to them.
    """
    found = list(slots[RouteBlock.REQUESTS : RouteBlock.REQUESTS + _SIDES * RouteBlock.SIDE_REQUESTS])
    for side in range(_SIDES):
        place = side * RouteBlock.SIDE_REQUESTS + CODE_CLASSES.index("2xx") * REASON_SLOTS + Reason.WEIGHT
        found[place] += slots[RouteBlock.USUAL + side * RouteBlock.SIDE]
    return found


FALLBACK_CAUSES: Final = (*(stage.label for stage in Stage), "status")


class EndpointBlock:
    """Offsets within an endpoint's block."""

    ERRORS: Final = 0
    """[stage]."""
    BAD_GATEWAYS: Final = 11
    """Answers 502, 503 and 504."""
    OPEN: Final = 12
    """A gauge: connections open."""
    CONNECTS: Final = 13
    REQUESTS: Final = 14
    ANSWERS: Final = 15
    """Heads of answers: what was asked and is not answered says nothing good yet."""
    SIZE: Final = 16


class WorkerSlot(IntEnum):
    """Slots of the worker as a whole, at the beginning of the file."""

    MAGIC = 0
    REVISION = 1
    """A gauge: the revision in force."""
    PID = 2
    CONNECTIONS = 3
    """A gauge: client connections open."""
    ACCEPTED = 4
    REFUSED_CONNECTIONS = 5
    """Over the limit of connections."""
    BAD_REQUESTS = 6
    """Refused with 400, 501 or 505: not one unambiguous HTTP request."""
    TOO_LARGE = 7
    """Refused with 413, 414 or 431."""
    HEAD_TIMEOUTS = 8
    BODY_STALLS = 9
    SEND_STALLS = 10
    IDLE_CLOSED = 11
    CLIENT_GONE = 12
    """Exchanges cancelled because the client went away."""
    RETRIES = 13
    BUDGET_REFUSALS = 14
    TUNNELS_REFUSED = 15
    TUNNELS_CLOSED_BY_ROLLBACK = 16
    ACCESS_LOG_DROPPED = 17
    ACCESS_LOG_WRITTEN = 18
    LONGEST_STALL_US = 19
    """A gauge: the longest turn of the event loop spent on taking in a snapshot."""
    STALE_RETRIES = 20


WORKER_SLOTS: Final = 64
"""Where the first block begins."""


class Metric:
    """Prometheus metric names."""

    REQUESTS: Final = "strangler_requests_total"
    DURATION: Final = "strangler_request_duration_seconds"
    UPSTREAM_ERRORS: Final = "strangler_upstream_errors_total"
    FALLBACKS: Final = "strangler_fallbacks_total"
    SHARE: Final = "strangler_share"
    ORDERS: Final = "strangler_orders"
    REVISION: Final = "strangler_revision"
    RELOADS: Final = "strangler_config_reloads_total"
    LAST_GOOD: Final = "strangler_config_last_good_timestamp_seconds"
    ROLLBACK: Final = "strangler_rollback_seconds"
    IN_FLIGHT: Final = "strangler_requests_in_flight"
    TUNNELS: Final = "strangler_tunnels"
    CONNECTIONS: Final = "strangler_client_connections"
    UPSTREAM_CONNECTIONS: Final = "strangler_upstream_connections"
    WORKER_UP: Final = "strangler_worker_up"
    CONFIG_OK: Final = "strangler_config_ok"
    PERSISTED: Final = "strangler_persisted"
    BREAKER_OPEN: Final = "strangler_breaker_open"
    BREAKER_TRIPS: Final = "strangler_breaker_trips_total"
    ENDPOINT_UP: Final = "strangler_endpoint_up"
    """{upstream, endpoint, address}; the address only of endpoints that are written as names."""
    ENDPOINT_LEVEL: Final = "strangler_endpoint_level"
    ENDPOINT_TRANSITIONS: Final = "strangler_endpoint_transitions_total"
    SITE_HEALTHY: Final = "strangler_site_healthy_ratio"
    SITE_OPEN: Final = "strangler_site_open"
    MIGRATION_APIS: Final = "strangler_migration_apis"
    MIGRATION_TRAFFIC: Final = "strangler_migration_traffic_ratio"
    MIGRATION_STUCK: Final = "strangler_migration_stuck"
    ROLLOUT_STATE: Final = "strangler_rollout_state"
    ROLLOUT_STEP: Final = "strangler_rollout_step_ratio"
    ROLLOUT_ARMED: Final = "strangler_rollout_armed"
    ROLLOUT_EVIDENCE: Final = "strangler_rollout_evidence_ratio"
    ROLLOUT_JUDGED: Final = "strangler_rollout_judged_requests"
    SHADOW_COMPARED: Final = "strangler_shadow_compared_total"
    SHADOW_FAILED: Final = "strangler_shadow_failed_total"
    """{who=...}: mismatches that say who was up."""
    SHADOW_COPIED: Final = "strangler_shadow_copied_total"
    SHADOW_DROPPED: Final = "strangler_shadow_dropped_total"
    """{reason=...}: a `Count` of `router.core.capture`."""
    LIMITS: Final = "strangler_limit_events_total"
    """{limit=...}: one series per countable WorkerSlot, its name in lower case."""


REASONS: Final = tuple(reason.label for reason in Reason)


class ErrorCode:
    """Values of `X-Strangler-Error` and of the problem's `code`: the router's own answers."""

    BAD_REQUEST: Final = "bad-request"
    HEAD_TIMEOUT: Final = "head-timeout"
    BODY_STALL: Final = "body-stall"
    BODY_TOO_LARGE: Final = "body-too-large"
    TARGET_TOO_LONG: Final = "target-too-long"
    HEAD_TOO_LARGE: Final = "head-too-large"
    UNKNOWN_CODING: Final = "unknown-transfer-coding"
    BAD_VERSION: Final = "unsupported-version"
    CONNECT_REFUSED: Final = "connect-not-supported"
    UPSTREAM_CONNECT: Final = "upstream-connect"
    UPSTREAM_LOST: Final = "upstream-lost"
    UPSTREAM_PROTOCOL: Final = "upstream-protocol"
    UPSTREAM_TIMEOUT: Final = "upstream-timeout"
    UPSTREAM_OVERLOAD: Final = "upstream-overload"
    OVERLOAD: Final = "overload"
    NO_PLACE: Final = "no-place"

"""The values that everything else speaks in.

A `Table` is what one valid routes.yaml says, with every default and group setting already resolved, so that
no reader ever has to ask "and if the route does not say?".  It holds no orders, no health and no revision:
those are other layers (see `router.core.orders`).

Shares are whole parts per million (ppm), 0..1_000_000, everywhere inside the code; percent exists only in
what people read and write.  Names, paths and hosts are text here; the data plane compiles them to bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from router.core.comparing import Comparing

PPM: Final = 1_000_000
"""A whole: the share that sends every subject to the new side."""

UNLISTED: Final = "unlisted"
"""The name that stands for the default route wherever a route's name is shown or counted."""


class Side(IntEnum):
    """Who answers.  Exactly two; the values are array indexes on the hot path."""

    LEGACY = 0
    NEW = 1

    @property
    def label(self) -> str:
        return self.name.lower()


class Source(StrEnum):
    """Where a subject's value is looked for."""

    HEADER = "header"
    COOKIE = "cookie"
    CLIENT_IP = "client-ip"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class SubjectSource:
    """One link of a subject chain: `header:X-User-Id`, `cookie:sid`, `client-ip`, `random`."""

    source: Source
    name: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.name}" if self.name else str(self.source)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One `http://host:port`; IPv6 literals are kept without brackets."""

    host: str
    port: int
    weight: int = field(default=1, compare=False)
    """How much of its site's requests it takes, relative to the others.  Not part of its identity."""

    def __str__(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        return str(self).removeprefix("http://")


class Resume(StrEnum):
    """Who brings back what was taken out: time and evidence, or a person."""

    AUTO = "auto"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Health:
    """How an upstream's endpoints are judged.  Times in seconds."""

    path: str = "/"
    interval: float = 2.0
    timeout: float = 1.0
    down: int = 3
    """Failures until an endpoint is down; successes in between do not take them back."""
    up: int = 5
    """Successes in a row that end a count of failures, and that a return takes."""
    statuses: tuple[tuple[int, int], ...] = ((200, 399),)
    """Ranges, both ends included."""
    body: str = ""
    """Text that a good answer contains; empty: any."""
    tcp: bool = False
    """A connection is enough."""
    min_down: float = 15.0
    """For so long an endpoint stays down at least; doubled by each flap."""
    ramp: float = 30.0
    """Within which an endpoint that has returned, or is new, takes its whole part again."""
    resume: Resume = Resume.AUTO


@dataclass(frozen=True, slots=True)
class Upstream:
    """A named set of endpoints: either a flat list (one nameless site "") or several sites."""

    name: str
    sites: Mapping[str, tuple[Endpoint, ...]]
    health: Health | None = None
    """None: not probed; what the workers meet still counts, with the numbers of `Health()`."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """By site, where this upstream shares differently from the others."""
    max_requests: int = 0
    """Most exchanges of a worker at one endpoint; 0: `limits.endpoint_connections`."""
    allow_link_local: bool = False
    """Addresses that `router.core.addresses` forbids are meant."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(endpoint for group in self.sites.values() for endpoint in group)


@dataclass(frozen=True, slots=True)
class Site:
    """A place where endpoints live.  `weight` is relative; `capacity` is percent of full traffic."""

    name: str
    weight: int = 100
    capacity: int = 100


@dataclass(frozen=True, slots=True)
class Fallback:
    """When the new side's trouble is hidden by asking legacy.  Neither set: never."""

    on_connect: bool = False
    statuses: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return self.on_connect or bool(self.statuses)


@dataclass(frozen=True, slots=True)
class Breaker:
    """When one API is pulled to legacy because its new side fails, whatever its neighbours on the same hosts do."""

    ratio: int = 500_000
    """Ppm of the requests of the window that fail."""
    minimum: int = 20
    """Requests in the window below which nothing is concluded."""
    window: float = 10.0
    hold: float = 15.0
    """Seconds until a real, safe request tries again; doubled each time it fails, up to `MOST_HOLD`."""
    resume: Resume = Resume.AUTO


class Panic(StrEnum):
    """What happens when both sides look dead: distrust the prober and go on, or say 503."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect; to the head of the answer; between two pieces of a body or answer."""

    connect: float = 3.0
    head: float = 60.0
    idle: float = 60.0


class Expose(StrEnum):
    """To whom the router says which side answered."""

    ALWAYS = "always"
    TRUSTED = "trusted"
    NEVER = "never"


class SlashRule(StrEnum):
    """Is `/a/` another path than `/a`?"""

    STRICT = "strict"
    SAME = "same"


class DotRule(StrEnum):
    """What happens to a path with `.` or `..` segments: 400, or unmatched to legacy as it came."""

    REFUSE = "refuse"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True)
class Group:
    """Routes that one team moves together."""

    name: str
    owner: str = ""
    cap: int | None = None
    """Ceiling in ppm for every route of the group; None: no ceiling."""
    seed: str = ""
    """Seed text of the group's buckets; the group's name unless it says otherwise."""
    compare: Comparing = Comparing()


class Credentials(StrEnum):
    """Whether a copy carries what its original proved itself with."""

    STRIP = "strip"
    KEEP = "pass"


SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
"""What may be sent twice without asking (RFC 9110, 9.2.1)."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """Copies of a share of requests to the side that does not answer them."""

    percent: int
    """In ppm."""
    compare: bool = False
    methods: tuple[str, ...] = SAFE_METHODS
    credentials: Credentials = Credentials.STRIP
    dangers: bool = False
    """Somebody says that a request that looks as if it did something may be copied."""
    samples: float = 0.0
    """Seconds for which masked samples of what differs are kept; 0: none are."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One API, everything resolved.  `new` is None while no new service exists (then weight is 0)."""

    name: str
    path: str
    """The template as written, e.g. `/v1/products/{productNo}`."""
    legacy: str
    methods: tuple[str, ...] = ()
    """Empty: any."""
    host: str = ""
    """Lower case, no port; empty: any."""
    new: str | None = None
    weight: int = 0
    """Declared share of the new side in ppm."""
    group: str = ""
    seed: str = ""
    subject: tuple[SubjectSource, ...] = ()
    timeouts: Timeouts = Timeouts()
    fallback: Fallback = Fallback()
    idempotent: bool = False
    """True: any method of this route may be sent twice."""
    trailing_slash: SlashRule = SlashRule.STRICT
    expose: Expose = Expose.ALWAYS
    shadow: Shadow | None = None
    compare: Comparing = Comparing()
    rollout: str = ""
    overflow: bool = True
    """What the new side has no healthy room for goes to legacy."""
    finalised: bool = False
    """The data has moved: legacy never answers instead of the new side."""
    panic: Panic = Panic.OPEN
    breaker: Breaker | None = None
    line: int = field(default=0, compare=False)
    """Where routes.yaml defines it; 0 when it does not come from a file.  Not part of equality."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, message or upstream may cost.  Sizes in bytes, times in seconds, 0 for no limit."""

    request_line: int = 16 * 1024
    head: int = 64 * 1024
    fields: int = 128
    head_timeout: float = 10.0
    body_stall: float = 30.0
    max_body: int = 0
    chunk_extension: int = 4 * 1024
    chunk_extensions: int = 16 * 1024
    trailer: int = 16 * 1024
    trailer_fields: int = 64
    keepalive_idle: float = 60.0
    keepalive_requests: int = 10_000
    send_stall: float = 60.0
    half_close: float = 2.0
    connections: int = 10_000
    endpoint_connections: int = 1024
    endpoint_waiting: int = 1024
    pool_idle: float = 30.0
    pool_size: int = 1024
    buffer: int = 64 * 1024
    replay: int = 64 * 1024
    interim: int = 100
    tunnels: int = 10_000
    tunnel_idle: float = 3600.0
    tunnel_drain: float = 30.0


@dataclass(frozen=True, slots=True)
class Window:
    """When shares may rise: days of the week (0 is Monday), and minutes of the day, the first included."""

    days: frozenset[int]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Safety:
    """What a change may do at most.  None or empty: no such rule."""

    max_step: int | None = None
    """Ppm by which one change may raise a route."""
    max_rise: int | None = None
    """Ppm by which a route may rise above its lowest share within `max_rise_span`, all changes together."""
    max_rise_span: float = 60.0
    """In seconds."""
    max_moved: int | None = None
    """Ppm of the recent real traffic that one change may move to the new side."""
    max_raised: int | None = None
    """Routes that one change may raise."""
    windows: tuple[Window, ...] = ()
    """When shares may rise; outside of them only lowering is allowed."""
    timezone: str = "UTC"
    """Whose clock the windows speak of."""
    confirm: float | None = None
    """Seconds within which a loaded file must be confirmed, or the one before takes force again."""


class Gate(StrEnum):
    """Who says that a step is over, once its evidence suffices."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step: the share, and what must have been seen at it before the next one."""

    share: int
    """In ppm; 0 is the step at which the new side is only shadowed."""
    gate: Gate = Gate.AUTOMATIC
    min_time: float = 600.0
    """Seconds."""
    min_clients: int = 20
    """Distinct clients on the new side."""
    min_sample: int = 100
    """Requests of the new side, or comparisons at the shadow step."""

    @property
    def shadow(self) -> bool:
        return self.share == 0


@dataclass(frozen=True, slots=True)
class Budget:
    """Failed requests of the new side that all rollouts of one upstream may cost together."""

    failed: int = 200
    per: float = 3600.0
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a route is moved."""

    name: str
    steps: tuple[PlanStep, ...]
    max_time: float = 168 * 3600.0
    """Seconds after which a step that has proved nothing waits for a person."""
    ratio: float = 1.2
    """So many times as many errors as legacy are tolerated ..."""
    floor: int = 2_000
    """... and so many in any case, in ppm of the requests."""
    mismatch: int = 1_000
    """At the shadow step: so much of the compared answers may differ beyond noise, in ppm."""
    budget: Budget = Budget()
    windows: tuple[Window, ...] = ()
    """When it may raise shares; empty: at any time."""
    timezone: str = "UTC"
    after: tuple[str, ...] = ()
    """Routes that must be wholly on the new side before."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Somebody who is told what rollouts do."""

    name: str
    url: str = field(repr=False)
    """It may hold a token, so it is written nowhere."""
    slack: bool = False
    """The text that chat programs show, instead of the whole event."""
    secret: str = field(default="", repr=False)
    """Signs what is sent; empty: nothing is signed."""
    events: tuple[str, ...] = ()
    """Names of events, the last word may be `*`; empty: everything that rollouts do."""


@dataclass(frozen=True, slots=True)
class Table:
    """Everything that one valid routes.yaml says."""

    legacy: str
    """Upstream that answers whatever no route sends elsewhere."""
    upstreams: Mapping[str, Upstream]
    routes: tuple[Route, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    sites: Mapping[str, Site] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    """Networks (CIDR) whose X-Forwarded-* and X-Strangler-Side are believed."""
    expose: Expose = Expose.ALWAYS
    """For requests that match no route."""
    dot_segments: DotRule = DotRule.REFUSE
    non_ascii_target: bool = False
    """True: raw bytes above 0x7E in a request target are forwarded instead of refused."""
    via: str = "strangler"
    """Pseudonym in the Via header; empty: no Via is added."""
    timeouts: Timeouts = Timeouts()
    """For requests that match no route."""
    limits: Limits = Limits()
    compare: Comparing = Comparing()
    """What holds in all comparisons of answers."""
    safety: Safety | None = None
    """None: the section is missing; then only `legacy-alive` and the guard on vanished routes hold."""
    plans: Mapping[str, Plan] = field(default_factory=dict)
    """How routes that name them are moved (`router.core.plans`)."""
    notify: tuple[Webhook, ...] = ()

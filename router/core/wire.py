"""A snapshot as lines of JSON: how control tells the workers what is in force.

    {"op": "begin", "revision": 12, "slots": 300000}           how large the counter file must be
    {"op": "settings", ...}                                     everything but the routes
    {"op": "routes", "rows": [...]}                             at most ROWS_PER_LINE routes, in table order
    {"op": "pack"}                                              pack some of the routes; as many as came lines before
    {"op": "state", "shares": [...], "causes": [...], "held_sites": [...], "drained_sites": [...],
     "off_sites": [...]}
    {"op": "commit", "revision": 12, "hash": "..."}

An order or a weight changes no structure; then one line is enough, with the changed routes only:

    {"op": "delta", "revision": 13, "base": 12, "hash": "...", "changes": [[index, share, cause], ...],
     "held_sites": [...], "drained_sites": [...], "off_sites": [...]}

The worker answers `{"op": "confirmed", "revision": 13, "hash": "...", "ms": 0.4}` or `{"op": "refused", "revision":
13, "why": "..."}`.  Both sides compute the hash from what they have in hand, so a confirmation speaks of content and
not of a number.  Lines are kept short so that a worker can take a snapshot in between requests.  The same lines lie
on disk as the last good snapshot.

A state or a delta may also say `"adopted": ["E-5f2c1a", ...]`: the holds (`router.core.hold`) that are orders by now,
so that the worker keeps them no longer.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from hashlib import blake2b
from itertools import repeat
from typing import Any, Final

from router.core.census import Watched
from router.core.model import (
    PPM,
    UNLISTED,
    Breaker,
    Credentials,
    DotRule,
    Endpoint,
    Expose,
    Fallback,
    Limits,
    Panic,
    Resume,
    Route,
    Shadow,
    SlashRule,
    Source,
    SubjectSource,
    Table,
    Timeouts,
    Upstream,
)
from router.core.observed import Observed, target_key
from router.core.orders import EffectiveState

ROWS_PER_LINE: Final = 32
WATCHED_PER_LINE: Final = 200
MAX_LINE: Final = 1024 * 1024
"""Bytes; a longer line is refused by the receiver."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Which slots of the counter files belong to what; given out by control and never moved."""

    routes: Mapping[str, int]
    """By route name, `UNLISTED` included."""
    endpoints: Mapping[str, int]
    """By `endpoint_key`."""
    busy: Mapping[int, int]
    """Where the `BusyBlock` of the route is whose `RouteBlock` is there."""
    slots: int
    """Size of a counter file in slots."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything of a table but its routes, as a worker needs it."""

    legacy: str
    upstreams: Mapping[str, Upstream]
    spread: Mapping[str, tuple[tuple[str, int], ...]]
    """Per upstream the sites and their shares in ppm, which sum to a whole."""
    capacities: Mapping[str, int]
    """By site, in percent, where it is not 100."""
    blocks: Mapping[str, int]
    """By `endpoint_key`."""
    unlisted_blocks: tuple[int, int]
    """The `RouteBlock` and the `BusyBlock` of requests without a route."""
    trusted: tuple[str, ...]
    expose: Expose
    dot_segments: DotRule
    non_ascii_target: bool
    via: str
    timeouts: Timeouts
    limits: Limits


def endpoint_key(upstream: str, endpoint: Endpoint) -> str:
    """The name under which an endpoint's counters are kept."""
    return target_key(upstream, endpoint)


def encode(message: Mapping[str, Any]) -> bytes:
    """One line, its LF included; equal messages give equal bytes."""
    return json.dumps(message, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def structure_lines(table: Table, blocks: Blocks) -> list[bytes]:
    """The `settings` and `routes` lines of a table."""
    starts = [blocks.routes[route.name] for route in table.routes]
    rows = [route_row(route, start, blocks.busy[start]) for route, start in zip(table.routes, starts, strict=True)]
    slices = (rows[start : start + ROWS_PER_LINE] for start in range(0, len(rows), ROWS_PER_LINE))
    settings = encode({"op": "settings", **_settings_message(table, blocks)})
    return [settings, *(encode({"op": "routes", "rows": some}) for some in slices)]


def snapshot_lines(
    revision: int,
    slots: int,
    structure: Sequence[bytes],
    state: EffectiveState,
    digest: str,
    adopted: Sequence[str] = (),
) -> Iterator[bytes]:
    """A whole snapshot, in the order in which a worker takes it."""
    yield encode({"op": "begin", "revision": revision, "slots": slots})
    yield from structure
    yield from repeat(encode({"op": "pack"}), len(structure))
    yield encode(
        {
            "op": "state",
            "shares": [entry.share for entry in state.routes],
            "causes": [int(entry.cause) for entry in state.routes],
            "held_sites": sorted(state.held_sites),
            "drained_sites": sorted(state.drained_sites),
            "off_sites": sorted(state.off_sites),
            **_adopted(adopted),
        }
    )
    yield encode({"op": "commit", "revision": revision, "hash": digest})


def delta_line(
    revision: int,
    base: int,
    before: EffectiveState,
    after: EffectiveState,
    digest: str,
    adopted: Sequence[str] = (),
) -> bytes:
    """What changed between two states of one structure."""
    changes = [
        [index, new.share, int(new.cause)]
        for index, (old, new) in enumerate(zip(before.routes, after.routes, strict=True))
        if (old.share, old.cause) != (new.share, new.cause)
    ]
    return encode(
        {
            "op": "delta",
            "revision": revision,
            "base": base,
            "changes": changes,
            "held_sites": sorted(after.held_sites),
            "drained_sites": sorted(after.drained_sites),
            "off_sites": sorted(after.off_sites),
            "hash": digest,
            **_adopted(adopted),
        }
    )


def _adopted(ids: Sequence[str]) -> Json:
    return {"adopted": list(ids)} if ids else {}


def health_line(observed: Observed) -> bytes:
    """What is observed, whole: how a worker learns of it, at any time and outside of all revisions."""
    return encode({"op": "health", "levels": dict(observed.levels), "addresses": dict(observed.addresses)})


def observed_from_message(message: Json) -> Observed:
    """The observation of a `health` line; raises what reading a liar's version raises."""
    levels = {str(target): min(max(int(level), 0), PPM) for target, level in message["levels"].items()}
    addresses = {str(key): tuple(map(str, found)) for key, found in message["addresses"].items() if found}
    return Observed(levels, addresses)


def watch_lines(changed: Mapping[str, Watched], gone: Iterable[str], *, anew: bool) -> Iterator[bytes]:
    """Which routes a rollout watches, outside of all revisions: what has changed, or all that there is (`anew`)."""
    rows: list[Any] = [[name, *watched] for name, watched in changed.items()]
    names = list(gone)
    for start in range(0, max(len(rows), len(names), int(anew)), WATCHED_PER_LINE):
        end = start + WATCHED_PER_LINE
        yield encode({"op": "watch", "anew": anew and not start, "routes": rows[start:end], "gone": names[start:end]})


def watch_from_message(message: Json) -> tuple[dict[str, Watched], tuple[str, ...], bool]:
    """What changed, what is watched no more, and whether nothing else is; raises as `observed_from_message` does."""
    changed = {
        str(name): Watched(int(revision), int(share), tuple(map(int, limits)))
        for name, revision, share, limits in message["routes"]
    }
    return changed, tuple(map(str, message["gone"])), bool(message["anew"])


def structure_digest(lines: Iterable[bytes]) -> str:
    """Identifies a structure by the bytes of its `settings` and `routes` lines."""
    digest = blake2b(digest_size=16)
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def content_hash(
    structure: str,
    shares: Iterable[int],
    causes: Iterable[int],
    held_sites: Iterable[str],
    drained_sites: Iterable[str] = (),
    off_sites: Iterable[str] = (),
) -> str:
    """Identifies everything that is in force: what `confirmed` speaks of."""
    digest = blake2b(structure.encode(), digest_size=16)
    digest.update(array("I", shares).tobytes())
    digest.update(bytes(causes))
    digest.update("\n".join(sorted(held_sites)).encode())
    digest.update(b"\0" + "\n".join(sorted(drained_sites)).encode())
    digest.update(b"\0" + "\n".join(sorted(off_sites)).encode())
    return digest.hexdigest()


def state_hash(structure: str, state: EffectiveState) -> str:
    """`content_hash` of an effective state."""
    return content_hash(
        structure,
        (entry.share for entry in state.routes),
        (entry.cause for entry in state.routes),
        state.held_sites,
        state.drained_sites,
        state.off_sites,
    )


def spread(table: Table, upstream: Upstream) -> tuple[tuple[str, int], ...]:
    """The sites of an upstream with their shares by weight; whole ppm that sum to a whole.

    What rounding leaves over goes to the first site.  When every weight is 0 the sites share alike: an upstream that
    takes traffic at all takes it somewhere.
    """
    declared = {name: table.sites[name].weight if name in table.sites else 1 for name in upstream.sites}
    weights = declared | {name: upstream.weights[name] for name in declared.keys() & upstream.weights.keys()}
    total = sum(weights.values()) or len(weights)
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1)
    shares = [weight * PPM // total for weight in weights.values()]
    shares[0] += PPM - sum(shares)
    return tuple(zip(weights, shares, strict=True))


def route_row(route: Route, block: int, busy: int) -> Json:
    """One route as it travels, with the offsets of its `RouteBlock` and its `BusyBlock`."""
    row: Json = {
        "name": route.name,
        "path": route.path,
        "legacy": route.legacy,
        "seed": route.seed,
        "subject": [str(link) for link in route.subject],
        "timeouts": [route.timeouts.connect, route.timeouts.head, route.timeouts.idle],
        "blocks": [block, busy],
        "expose": route.expose,
    }
    if route.methods:
        row["methods"] = route.methods
    if route.host:
        row["host"] = route.host
    if route.new:
        row["new"] = route.new
    if route.group:
        row["group"] = route.group
    if route.fallback:
        row["fallback"] = [route.fallback.on_connect, sorted(route.fallback.statuses)]
    if route.idempotent:
        row["idempotent"] = True
    if route.trailing_slash is SlashRule.SAME:
        row["trailing_slash"] = route.trailing_slash
    if not route.overflow:
        row["overflow"] = False
    if route.finalised:
        row["finalised"] = True
    if route.shadow and route.shadow.percent and route.new:
        row["shadow"] = _shadow_row(route.shadow)
    if route.panic is not Panic.OPEN:
        row["panic"] = route.panic
    if route.breaker:
        row["breaker"] = list(astuple(route.breaker))
    return row


def route_from_row(row: Json) -> tuple[Route, int, int]:
    """The route of a row and the offsets of its blocks; the inverse of `route_row` for all that travels."""
    on_connect, statuses = row.get("fallback", (False, ()))
    block, busy = row["blocks"]
    connect, head, idle = row["timeouts"]
    route = Route(
        name=row["name"],
        path=row["path"],
        legacy=row["legacy"],
        methods=tuple(row.get("methods", ())),
        host=row.get("host", ""),
        new=row.get("new"),
        group=row.get("group", ""),
        seed=row["seed"],
        subject=tuple(map(subject_source, row["subject"])),
        timeouts=Timeouts(connect, head, idle),
        fallback=Fallback(on_connect, frozenset(statuses)),
        idempotent=row.get("idempotent", False),
        trailing_slash=SlashRule(row.get("trailing_slash", "strict")),
        expose=Expose(row["expose"]),
        overflow=row.get("overflow", True),
        finalised=row.get("finalised", False),
        shadow=_shadow(*row["shadow"]) if "shadow" in row else None,
        panic=Panic(row.get("panic", Panic.OPEN)),
        breaker=_breaker(*row["breaker"]) if "breaker" in row else None,
    )
    return route, block, busy


def _shadow_row(shadow: Shadow) -> list[Any]:
    return [shadow.percent, shadow.compare, shadow.methods, shadow.credentials, shadow.dangers, shadow.samples > 0]


def _shadow(
    percent: int, compare: bool, methods: Sequence[str], credentials: str, dangers: bool, samples: bool
) -> Shadow:
    """All that a worker has to know; how long samples are kept is no concern of its."""
    return Shadow(percent, compare, tuple(methods), Credentials(credentials), dangers, float(samples))


def _breaker(ratio: int, minimum: int, window: float, hold: float, resume: str) -> Breaker:
    return Breaker(ratio, minimum, window, hold, Resume(resume))


def subject_source(text: str) -> SubjectSource:
    """`header:X-User-Id` as a value; raises ValueError for anything that is not a source."""
    source, _, name = text.partition(":")
    return SubjectSource(Source(source), name)


def _settings_message(table: Table, blocks: Blocks) -> Json:
    return {
        "legacy": table.legacy,
        "upstreams": {
            upstream.name: {site: [astuple(end) for end in ends] for site, ends in upstream.sites.items()}
            for upstream in table.upstreams.values()
        },
        "most": {upstream.name: upstream.max_requests for upstream in table.upstreams.values()},
        "capacities": {site.name: site.capacity for site in table.sites.values() if site.capacity != 100},
        "link_local": [upstream.name for upstream in table.upstreams.values() if upstream.allow_link_local],
        "spread": {upstream.name: spread(table, upstream) for upstream in table.upstreams.values()},
        "blocks": {
            key: blocks.endpoints[key]
            for upstream in table.upstreams.values()
            for key in (endpoint_key(upstream.name, endpoint) for endpoint in upstream.endpoints)
        },
        "unlisted_blocks": [blocks.routes[UNLISTED], blocks.busy[blocks.routes[UNLISTED]]],
        "trusted": table.trusted,
        "expose": table.expose,
        "dot_segments": table.dot_segments,
        "non_ascii_target": table.non_ascii_target,
        "via": table.via,
        "timeouts": [table.timeouts.connect, table.timeouts.head, table.timeouts.idle],
        "limits": asdict(table.limits),
    }


def settings_from_message(message: Json) -> Settings:
    """The settings of a `settings` line."""
    unlisted, unlisted_busy = message["unlisted_blocks"]
    return Settings(
        legacy=message["legacy"],
        upstreams={
            name: Upstream(
                name,
                {site: tuple(Endpoint(*end) for end in ends) for site, ends in sites.items()},
                max_requests=message["most"][name],
                allow_link_local=name in message["link_local"],
            )
            for name, sites in message["upstreams"].items()
        },
        capacities=message["capacities"],
        spread={name: tuple((site, share) for site, share in sites) for name, sites in message["spread"].items()},
        blocks=message["blocks"],
        unlisted_blocks=(unlisted, unlisted_busy),
        trusted=tuple(message["trusted"]),
        expose=Expose(message["expose"]),
        dot_segments=DotRule(message["dot_segments"]),
        non_ascii_target=message["non_ascii_target"],
        via=message["via"],
        timeouts=Timeouts(*message["timeouts"]),
        limits=Limits(**message["limits"]),
    )

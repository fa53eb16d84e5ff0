"""Where a request goes: its route, what says its side, and its site.

What the request, its client and the snapshot in force say is brought before the rules of `router.core`, and their word
is given back.  Nothing is kept here, and nothing is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.attempt import SAFE
from router.core.decide import NO_SUBJECT, PREFLIGHT, Reason, place_at_site
from router.core.headers import bare_host
from router.core.model import PPM, DotRule, Side, SubjectSource
from router.core.split import bucket, subject
from router.core.template import has_dots, normalise
from router.planes.embedded.heads import Refused, Request
from router.telemetry import ErrorCode

if TYPE_CHECKING:
    from router.core.places import Placing
    from router.planes.embedded.exchange import Exchange
    from router.planes.embedded.pools import Destination
    from router.planes.embedded.snapshot import Snapshot

_GET: Final = b"GET"
_HEAD: Final = b"HEAD"
_OPTIONS: Final = b"OPTIONS"
_LEGACY: Final = Side.LEGACY
_NEW: Final = Side.NEW
_ANY: Final = ("GET",)
_PERCENT: Final = 0x25
_QUESTION: Final = 0x3F
_DOT: Final = 0x2E
"""Searched for as numbers: `in` takes bytes for one first, and the error that this makes costs a microsecond."""


def route_of(request: Request, snapshot: Snapshot) -> int:
    """The place of the card of the request's route; 0 when it has none.  Raises `Refused` for an ambiguous path."""
    path = request.target
    if _QUESTION in path:
        path = path.partition(b"?")[0]
    if path[:1] != b"/":
        return 0
    if _PERCENT in path or not path.isascii():
        path = normalise(path)
    segments = path[1:].split(b"/")
    if _DOT in path and has_dots(segments):
        if snapshot.settings.dot_segments is DotRule.REFUSE:
            raise Refused(400, ErrorCode.BAD_REQUEST, "the path has dot segments; send the path they resolve to")
        return 0
    method = request.method
    also = None
    if method == _HEAD:
        also = _GET
    elif method == _OPTIONS:
        also = _asked_by_preflight(request)
    matcher = snapshot.matcher
    host = bare_host(request.host) if matcher.hosts and request.host else b""
    return matcher.find(host, segments, method, also)


def is_preflight(request: Request) -> bool:
    """Does a browser only ask what it may ask?"""
    return request.method == _OPTIONS and _asked_by_preflight(request) is not None


def _asked_by_preflight(request: Request) -> bytes | None:
    """The method that a CORS preflight asks about, else None."""
    asked = origin = None
    for line in request.lines:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name == b"access-control-request-method":
            asked = value.strip(b" \t")
        elif name == b"origin":
            origin = value
    return asked if origin is not None else None


def subject_of(exchange: Exchange) -> tuple[bytes, SubjectSource] | None:
    """Whose request this is, by the chain of its route, and which source says so."""
    request = exchange.request
    address = exchange.client.subject_address(request)
    return subject(exchange.handling.chain, request.named, address, exchange.request_id)


def draw(exchange: Exchange, share: int, live: int) -> int:
    """The bucket of its subject, if it can matter; else what stands for having none."""
    if share <= 0 or live >= PPM:
        return NO_SUBJECT
    if is_preflight(exchange.request):
        return PREFLIGHT
    found = subject_of(exchange)
    return NO_SUBJECT if found is None else bucket(found[0], exchange.snapshot.seed(exchange.place))


def wanted_side(exchange: Exchange) -> Side | None:
    """The side that a client asks for which may."""
    request = exchange.request
    wanted = request.override
    if not (exchange.client.trusted or exchange.plane.permits_override(request)):
        return None
    if wanted == b"legacy":
        return _LEGACY
    return _NEW if wanted == b"new" and exchange.handling.destinations[_NEW] is not None else None


def may_try_again(exchange: Exchange) -> bool:
    """Is this the request that tries now whether the new side is well again?  Where there are safe ones, a safe one."""
    entry = exchange.entry
    safe = exchange.request.method in SAFE or not SAFE.intersection(map(str.encode, entry.route.methods or _ANY))
    return exchange.plane.may_try_again(entry, safe=safe)


# ---------------------------------------------------------------------- sites


def site_of(exchange: Exchange, destination: Destination, placing: Placing) -> tuple[str, Reason | None]:
    """The site of its subject, or another one that has not failed it while that has.

    And the reason to ask legacy instead, if the new side has none for it.
    """
    found = subject_of(exchange)
    key = exchange.request_id if found is None else found[0]
    snapshot = exchange.snapshot
    seed = snapshot.site_seed(exchange.place)
    site, moved = place_at_site(exchange.side, placing, key, seed, snapshot.held_sites)
    if moved is not None:
        return site, moved
    others = open_sites(exchange, placing)
    other = destination.elsewhere(site, others, exchange.plane.wheel.now, exchange.tried)
    if other is not None:
        site = next(name for name, pools in destination.sites.items() if pools is other)
    return site, None


def open_sites(exchange: Exchange, placing: Placing) -> list[str]:
    """The sites that may take over for another one."""
    if not exchange.on_new:
        return [name for name, part in placing.legacy if part]
    held = exchange.snapshot.held_sites
    return [name for name, part in placing.new if part and name not in held]

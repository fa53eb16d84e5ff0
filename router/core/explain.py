"""Which route, which side, and why?  The answer in words, made by the functions that serve live traffic.

`Matcher.find` names the winner, `subject` and `bucket` the user's number, `effective` the share and `decide` the
side; this module only asks them and writes down what they said.  What it adds is the losers: `endings` goes through
the tree in the order of `match.walk` but does not stop at the first ending that allows the method.

Nothing here decides anything, and nothing on the hot path imports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from router.core.decide import NO_SUBJECT, PREFLIGHT, Reason, decide, place_at_site
from router.core.fill import Why
from router.core.headers import bare_host, valid_host
from router.core.match import ANY_METHOD, Matcher, Node, allowed
from router.core.model import PPM, UNLISTED, DotRule, Route, Side, Source, SubjectSource, Table, Upstream
from router.core.observed import UNOBSERVED, Observed
from router.core.orders import Cause, Effective, EffectiveState, Kind, Order, rules
from router.core.places import Filling, Placing
from router.core.split import SITE_SALT, bucket, links, seed_of, subject
from router.core.template import Literal, Parameter, Partial, Segment, has_dots, normalise, parse_template, split
from router.core.units import write_percent
from router.core.wire import spread

OVERRIDE_HEADER = b"x-strangler-side"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as somebody asks about it; it need never have been sent."""

    method: str
    target: str
    """A path, with or without a query, or a whole URL."""
    headers: tuple[tuple[str, str], ...] = ()
    client: str = ""
    """The client's address; empty: not said."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route whose path fits, in the order in which the matcher looks at them."""

    route: str
    path: str
    methods: tuple[str, ...]
    host: str
    won: bool
    why: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One thing that had a say in the share."""

    layer: str
    """`declared`, `order`, `cap` or `rollback`."""
    share: int
    """In ppm: what this layer asks for."""
    order: str
    """Its id, when the layer is an order."""
    why: str
    rules: bool
    """The effective share is this layer's."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that took part in one decision."""

    method: str
    path: str
    normalised: str
    host: str
    candidates: tuple[Candidate, ...]
    hint: str
    """For a request that no route takes: what nearly did."""
    route: str
    group: str
    chain: tuple[str, ...]
    subject: str | None
    subject_source: str
    bucket: int | None
    flips_at: int | None
    """The smallest share in ppm that sends this subject to new; None when no share alone does."""
    layers: tuple[Layer, ...]
    share: int
    live: int
    """What health leaves of the share, in ppm."""
    health: str
    """Why that is less, or why sites take other parts than their weights; empty when all is well."""
    cause: str
    override: str
    """What was said about the override header; empty when the request has none."""
    side: Side | None
    """None: the request is refused before any route is asked."""
    reason: str
    why: str
    upstream: str
    site: str
    endpoints: tuple[str, ...]


def compiled(table: Table) -> Matcher[int]:
    """A matcher over the table's routes whose values are their indexes."""
    matcher: Matcher[int] = Matcher()
    for index, route in enumerate(table.routes):
        matcher.add(route, index)
    return matcher


def filling(table: Table, state: EffectiveState, observed: Observed) -> Filling:
    """What health and operators leave of this table's shares and sites."""
    return Filling(
        table.upstreams,
        {name: spread(table, upstream) for name, upstream in table.upstreams.items()},
        {site.name: site.capacity for site in table.sites.values()},
        observed,
        state.drained_sites,
        state.held_sites,
    )


def explain(
    asked: Asked,
    table: Table,
    state: EffectiveState,
    orders: Sequence[Order],
    matcher: Matcher[int],
    observed: Observed = UNOBSERVED,
) -> Explanation:
    """What the data plane does with this request, and why.

    What single workers have met, such as an endpoint that refuses connections or a breaker, is not part of it.
    """
    request = _Request.of(asked)
    if has_dots(request.segments) and table.dot_segments is DotRule.REFUSE:
        return _refused(request)
    found = None
    if not has_dots(request.segments):
        found = matcher.find(request.host, request.segments, request.method, request.also)
    candidates = tuple(_candidates(request, table, matcher, found))
    if found is None:
        return _unlisted(request, table, candidates, _hint(request, table, matcher))
    return _listed(request, table, state, orders, candidates, (found, observed))


def endings(node: Node[int], segments: list[bytes], index: int = 0) -> Iterator[Mapping[bytes, int]]:
    """Every ending whose path fits, closest first: `match.walk` without its last question, the method."""
    if index == len(segments):
        if (ends := node.leaf) is not None:
            yield ends
        return
    segment = segments[index]
    if node.literals is not None and (child := node.literals.get(segment)) is not None:
        yield from endings(child, segments, index + 1)
    for _, regex, partial in node.partials or ():
        if regex.fullmatch(segment):
            yield from endings(partial, segments, index + 1)
    if segment and node.parameter is not None:
        yield from endings(node.parameter, segments, index + 1)
    if node.rest is not None and (segment or index + 1 < len(segments)):
        yield node.rest


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked, in the form in which the data plane would hold it."""

    method: bytes
    path: bytes
    segments: list[bytes]
    host: bytes
    headers: dict[bytes, bytes]
    also: bytes | None
    client: str

    @property
    def preflight(self) -> bool:
        return self.method == b"OPTIONS" and self.also is not None

    @classmethod
    def of(cls, asked: Asked) -> _Request:
        headers: dict[bytes, bytes] = {}
        for name, value in asked.headers:
            key = name.strip().lower().encode()
            if key == OVERRIDE_HEADER:
                headers[key] = value.strip().encode()  # of overrides the last one counts, of everything else the first
            headers.setdefault(key, value.strip().encode())
        method = asked.method.encode()
        host, path = _target(asked.target)
        authority = host or headers.get(b"host", b"")
        return cls(
            method,
            path,
            split(normalise(path)),
            bare_host(authority) if valid_host(authority) else b"",
            headers,
            _also(method, headers),
            asked.client,
        )


def _target(target: str) -> tuple[bytes, bytes]:
    """The authority, when the target is a whole URL, and the path as a client would send it."""
    authority = ""
    scheme, colon, rest = target.partition("://")
    if colon and scheme.lower() in {"http", "https"}:
        authority, slash, path = rest.partition("/")
        target = slash + path
    path = target.partition("#")[0].partition("?")[0] or "/"
    return authority.encode(), b"".join(_sent(char) for char in path)


def _sent(char: str) -> bytes:
    """Clients escape what may not stand in a URL; people who ask often do not."""
    return char.encode() if "!" <= char <= "~" else b"".join(b"%%%02X" % byte for byte in char.encode())


def _also(method: bytes, headers: Mapping[bytes, bytes]) -> bytes | None:
    if method == b"HEAD":
        return b"GET"
    if method == b"OPTIONS" and b"origin" in headers:
        return headers.get(b"access-control-request-method")
    return None


# -- the route -------------------------------------------------------------------------------------------------------


def _candidates(request: _Request, table: Table, matcher: Matcher[int], found: int | None) -> Iterator[Candidate]:
    """Those that the matcher looks at, closest first, then those that only another host keeps out."""
    seen: set[int] = set()
    roots = [matcher.hosts[request.host]] if request.host in matcher.hosts else []
    for ending in (ending for root in (*roots, matcher.any_host) for ending in endings(root, request.segments)):
        for index in dict.fromkeys(ending.values()):
            seen.add(index)
            yield _candidate(table, index, won=index == found, why=_why(request, table, found, index, ending))
    for host, root in matcher.hosts.items():
        for ending in endings(root, request.segments):
            for index in dict.fromkeys(ending.values()):
                if index not in seen:
                    seen.add(index)
                    yield _candidate(table, index, won=False, why=f"only for the host {host.decode()}")


def _candidate(table: Table, index: int, *, won: bool, why: str) -> Candidate:
    route = table.routes[index]
    return Candidate(route.name, route.path, route.methods, route.host, won, why)


def _why(request: _Request, table: Table, found: int | None, index: int, ending: Mapping[bytes, int]) -> str:
    route = table.routes[index]
    if index == found:
        return _how_it_allows(request, ending)
    mine = {method: owner for method, owner in ending.items() if owner == index}
    if allowed(mine, request.method, request.also) is None:
        return f"allows {', '.join(route.methods)}, not {request.method.decode()}"
    if found is None:
        return "the path has dot segments, which are never matched"
    winner = table.routes[found]
    if found in ending.values():
        return f"the same path, but {winner.name} names the method more closely"
    if winner.host != route.host:
        return f"for any host; {winner.name} names this one"
    return _less_specific(route, winner)


def _how_it_allows(request: _Request, ending: Mapping[bytes, int]) -> str:
    if request.method in ending:
        return "the closest path that allows the method"
    if request.also is not None and request.also in ending:
        return f"the closest path that allows {request.also.decode()}, which {request.method.decode()} follows"
    return "the closest path; it takes any method" if ANY_METHOD in ending else ""


def _less_specific(route: Route, winner: Route) -> str:
    mine, theirs = parse_template(route.path), parse_template(winner.path)
    texts, winning = route.path[1:].split("/"), winner.path[1:].split("/")
    for number, (one, two) in enumerate(zip(mine, theirs, strict=False)):
        if one != two:
            return f"{texts[number] or '/'} is {_kind(one)}; {winning[number] or '/'} of {winner.name} is closer"
    return f"{winner.name} is closer"


def _kind(segment: Segment) -> str:
    match segment:
        case Literal():
            return "a literal"
        case Partial():
            return "partly literal"
        case Parameter():
            return "a parameter"
        case _:
            return "a rest"


def _hint(request: _Request, table: Table, matcher: Matcher[int]) -> str:
    """The commonest near miss: a slash too many or too few."""
    bare = request.segments[-1:] == [b""]
    other = request.segments[:-1] if bare else [*request.segments, b""]
    found = matcher.find(request.host, other, request.method, request.also)
    if found is None:
        return ""
    slash = "without" if bare else "with"
    return f"{slash} a trailing slash it would be {table.routes[found].name} (see trailing_slash)"


# -- the side --------------------------------------------------------------------------------------------------------


def _listed(
    request: _Request,
    table: Table,
    state: EffectiveState,
    orders: Sequence[Order],
    candidates: tuple[Candidate, ...],
    where: tuple[int, Observed],
) -> Explanation:
    found, observed = where
    route, entry = table.routes[found], state.routes[found]
    placing = filling(table, state, observed).of(route, entry.share, pinned=entry.cause is Cause.PIN)
    named = subject(links(route.subject), request.headers, request.client.encode(), b"")
    who = None if request.preflight else named
    drawn = bucket(who[0], seed_of(route.seed)) if who else PREFLIGHT if request.preflight else NO_SUBJECT
    override, said = _override(request, table, route)
    side, reason = decide(entry.share, placing.live, entry.cause, override, drawn)
    site = ""
    if side is Side.NEW:
        site, elsewhere = _site(placing, route, named[0] if named else None, state)
        side, reason = (side, reason) if elsewhere is None or placing.refuses(side) else (Side.LEGACY, elsewhere)
    elif reason is Reason.HEALTH and not placing.new:
        reason = Reason.DRAIN
    upstream = table.upstreams[route.new if side is Side.NEW and route.new else route.legacy]
    return Explanation(
        method=request.method.decode(),
        path=request.path.decode(),
        normalised=normalise(request.path).decode(),
        host=request.host.decode(),
        candidates=candidates,
        hint="",
        route=route.name,
        group=route.group,
        chain=tuple(map(str, route.subject)),
        subject=who[0].decode(errors="replace") if who else None,
        subject_source=_subject_source(request, route, who[1] if who else None),
        bucket=drawn if drawn >= 0 else None,
        flips_at=_flips_at(route, drawn),
        layers=tuple(_layers(table, route, orders, entry)),
        share=entry.share,
        live=placing.live,
        health=said_of_health(placing, entry.share),
        cause=entry.cause.label,
        override=said,
        side=side,
        reason=reason.label,
        why=_refusal(placing) if placing.refuses(side) else _because(reason, entry, placing, drawn, site),
        upstream=upstream.name,
        site=site if side is Side.NEW else "",
        endpoints=_endpoints(upstream, site if side is Side.NEW else ""),
    )


def _subject_source(request: _Request, route: Route, link: SubjectSource | None) -> str:
    if link is not None:
        return str(link)
    if request.preflight:
        return "a CORS preflight has no subject"
    if any(each.source is Source.RANDOM for each in route.subject):
        return "random: drawn anew for every request"
    if any(each.source is Source.CLIENT_IP for each in route.subject) and not request.client:
        return "none but client-ip, and the question names no client"
    return "none of the chain is in the request"


def _flips_at(route: Route, drawn: int) -> int | None:
    if route.new is None:
        return None
    return PPM if drawn < 0 else drawn + 1


def _layers(table: Table, route: Route, orders: Sequence[Order], entry: Effective) -> Iterator[Layer]:
    """In the order in which they are laid over each other; the last that rules is the answer."""
    declared = entry.cause is Cause.DECLARED
    where = f"routes.yaml:{route.line}" if route.line else "declared"
    yield Layer("declared", route.weight, "", where, rules=declared)
    weights = [each for each in orders if each.kind is Kind.WEIGHT and route.name in each.declared]
    newest = max((each.number for each in weights if rules(each, route)), default=0)
    for order in weights:
        ruling = entry.cause is Cause.ORDER and order.id == entry.order
        yield Layer("order", order.share, order.id, _order_note(order, route, newest), rules=ruling)
    group = table.groups.get(route.group)
    covering = [order for order in orders if order.scope.covers(route)]
    if group is not None and group.cap is not None:
        limits = entry.cause is Cause.CAP and entry.order not in {order.id for order in covering if _is_cap(order)}
        note = f"ceiling of the group {group.name}" + ("" if limits else ", not the limit here")
        yield Layer("cap", group.cap, "", note, rules=limits)
    for order in filter(_is_cap, covering):
        limits = entry.cause is Cause.CAP and entry.order == order.id
        yield Layer(
            "cap", order.share, order.id, _said(order) + ("" if limits else " (not the limit here)"), rules=limits
        )
    for order in (each for each in covering if each.kind is Kind.PIN):
        share = PPM if order.side is Side.NEW else 0
        yield Layer("pin", share, order.id, f"to {order.side.label}, {_said(order)}", rules=order.id == entry.order)
    for order in (each for each in covering if each.kind is Kind.ROLLBACK):
        steps = "" if order.easing is None else ", on its way to 0 in steps"
        yield Layer("rollback", order.share, order.id, _said(order) + steps, rules=order.id == entry.order)
    for order in (each for each in covering if each.kind is Kind.FREEZE):
        yield Layer("freeze", entry.share, order.id, f"it may not rise: {_said(order)}", rules=False)


def _is_cap(order: Order) -> bool:
    return order.kind is Kind.CAP


def _said(order: Order) -> str:
    return f"{order.scope}, by {order.actor}: {order.reason}"


def _order_note(order: Order, route: Route, newest: int) -> str:
    said = f"by {order.actor}: {order.reason}"
    if not rules(order, route):
        return f"{said} (gave way: the file was edited since)"
    return said if order.number == newest else f"{said} (a newer order rules)"


def _override(request: _Request, table: Table, route: Route) -> tuple[Side | None, str]:
    """What the override header asks for, if this client may ask, and what to say about it."""
    value = request.headers.get(OVERRIDE_HEADER)
    if value is None:
        return None, ""
    wanted = {b"legacy": Side.LEGACY, b"new": Side.NEW}.get(value.lower())
    if wanted is None:
        return None, f"{value.decode(errors='replace')} is neither legacy nor new: ignored"
    if not _trusted(request.client, table.trusted):
        return None, "ignored: it does not come from a trusted network" if request.client else (
            "ignored: only trusted networks may override, and the question names no client"
        )
    if wanted is Side.NEW and route.new is None:
        return None, "ignored: the route has no new side"
    return wanted, f"{wanted.label}, from a trusted network"


def _trusted(client: str, networks: Sequence[str]) -> bool:
    try:
        address = ip_address(client)
    except ValueError:
        return False
    return any(address in ip_network(network, strict=False) for network in networks)


def _site(placing: Placing, route: Route, who: bytes | None, state: EffectiveState) -> tuple[str, Reason | None]:
    """Where at the new side this subject lives, and why legacy answers instead if it does.

    Empty: the upstream has one nameless place, or nobody was named and chance decides.
    """
    if who is None and len(placing.new) > 1:
        return "", None
    return place_at_site(Side.NEW, placing, who or b"", seed_of(route.seed + SITE_SALT), state.held_sites)


def said_of_health(placing: Placing, share: int) -> str:
    """How health and capacity change where a share goes, in one line; empty when they do not."""
    if placing.why is Why.WEIGHTS:
        return ""
    parts = [
        f"{site or 'new'} {write_percent(part)} instead of {write_percent(share * weight // PPM)} %"
        for (site, part), (_, weight) in zip(placing.filled.new, placing.new_spread, strict=False)
        if abs(part - share * weight // PPM) > len(placing.new_spread)
    ]
    return f"{_WHY[placing.why]}" + (f": {', '.join(parts)}" if parts else "")


_WHY = {
    Why.SITES: "sites take over from each other",
    Why.FAILOVER: "legacy takes over what the new side has no healthy room for",
    Why.OVERLOAD_NEW: "the new side takes more than it has healthy room for",
    Why.OVERLOAD_LEGACY: "legacy takes more than it has healthy room for",
    Why.PANIC: "both sides look dead: health is distrusted",
    Why.REFUSED: "every place of the new side is closed, and legacy may not answer instead",
    Why.CLOSED: "both sides look dead, and the route says `panic: closed`",
}


def _refusal(placing: Placing) -> str:
    return f"answered with 503: {_WHY[placing.why]}"


def _endpoints(upstream: Upstream, site: str) -> tuple[str, ...]:
    return tuple(map(str, upstream.sites.get(site, upstream.endpoints)))


def _because(reason: Reason, entry: Effective, placing: Placing, drawn: int, site: str) -> str:
    match reason:
        case Reason.HEALTH:
            left = write_percent(placing.live)
            return f"the new side has healthy room for {left} % instead of {write_percent(entry.share)} %"
        case Reason.ROLLBACK:
            return f"rolled back by {entry.order}; only resume lifts it"
        case Reason.PIN:
            return f"{entry.order} pins it to {'new' if entry.share else 'legacy'}"
        case Reason.DRAIN:
            return "every site of the new side is drained"
        case Reason.SITE_ROLLBACK:
            return f"the new side at {site} is rolled back"
        case Reason.OVERRIDE:
            return "a trusted client asked for this side"
        case Reason.NO_SUBJECT:
            return "without a subject a request stays on legacy until the share is 100 %"
        case Reason.PREFLIGHT:
            return "a CORS preflight stays on legacy until the share is 100 %"
        case _ if entry.share in {0, PPM}:
            return f"the share is {write_percent(entry.share)} %: the same for everybody"
        case _:
            sign = "<" if drawn < placing.live else ">="
            return f"bucket {drawn} {sign} share {placing.live}"


# -- no route --------------------------------------------------------------------------------------------------------


def _refused(request: _Request) -> Explanation:
    return _plain(request, (), "", side=None, reason="refused", why="dot segments are refused with 400 (dot_segments)")


def _unlisted(request: _Request, table: Table, candidates: tuple[Candidate, ...], hint: str) -> Explanation:
    upstream = table.upstreams[table.legacy]
    return _plain(
        request,
        candidates,
        hint,
        side=Side.LEGACY,
        reason=Reason.UNLISTED.label,
        why="no route takes it: the default, legacy",
        upstream=upstream.name,
        endpoints=_endpoints(upstream, ""),
    )


def _plain(
    request: _Request,
    candidates: tuple[Candidate, ...],
    hint: str,
    *,
    side: Side | None,
    reason: str,
    why: str,
    upstream: str = "",
    endpoints: tuple[str, ...] = (),
) -> Explanation:
    return Explanation(
        method=request.method.decode(),
        path=request.path.decode(),
        normalised=normalise(request.path).decode(),
        host=request.host.decode(),
        candidates=candidates,
        hint=hint,
        route=UNLISTED,
        group="",
        chain=(),
        subject=None,
        subject_source="",
        bucket=None,
        flips_at=None,
        layers=(),
        share=0,
        live=0,
        health="",
        cause=Cause.DECLARED.label,
        override="",
        side=side,
        reason=reason,
        why=why,
        upstream=upstream,
        site="",
        endpoints=endpoints,
    )

"""Random tables, orders and requests for the properties of the core, and the naive matcher they are held against."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import strategies as st

from router.core.explain import compiled
from router.core.match import conflicts
from router.core.model import PPM, Endpoint, Group, Route, Site, SlashRule, Source, SubjectSource, Table, Upstream
from router.core.orders import Kind, Order, Reach, Scope
from router.core.packed import Packed, Packer

METHODS = ("GET", "POST", "PUT", "HEAD", "OPTIONS")
HOSTS = ("", "shop.example.com", "api.example.com")
TEXTS = ("a", "b", "ab", "a.j", "xa", "x", "")
HOLES = ("{p}", "x{p}", "{p}.j", "x{p}.j", "{p}-{q}")
GROUPS = {"red": Group("red", cap=None), "blue": Group("blue", cap=400_000)}
UPSTREAMS = {
    "old": Upstream("old", {"": (Endpoint("127.0.0.1", 9001),)}),
    "new": Upstream("new", {"pangyo": (Endpoint("127.0.0.1", 9101),), "pyeongchon": (Endpoint("::1", 9201),)}),
}
SITES = {"pangyo": Site("pangyo", 60), "pyeongchon": Site("pyeongchon", 40)}
CHAIN = (
    SubjectSource(Source.HEADER, "X-User-Id"),
    SubjectSource(Source.COOKIE, "sid"),
    SubjectSource(Source.CLIENT_IP),
)

shares = st.one_of(st.integers(0, PPM), st.sampled_from((0, 1, PPM - 1, PPM)))


def numbered(segments: Sequence[str]) -> str:
    """A template of these segments in which no parameter's name stands twice."""
    texts = (text.replace("{p", f"{{p{number}").replace("{q", f"{{q{number}") for number, text in enumerate(segments))
    return "/" + "/".join(texts)


@st.composite
def templates(draw: st.DrawFn) -> str:
    segments = draw(st.lists(st.sampled_from((*TEXTS, *HOLES)), min_size=1, max_size=4))
    if draw(st.integers(0, 4)) == 0:
        segments.append("{rest...}")
    return numbered(segments)


@st.composite
def routes(draw: st.DrawFn, number: int) -> Route:
    group = draw(st.sampled_from(("", *GROUPS)))
    new = draw(st.sampled_from((None, "new", "new", "new")))
    return Route(
        name=f"route {number}",
        path=draw(templates()),
        legacy="old",
        methods=tuple(draw(st.lists(st.sampled_from(METHODS), max_size=2, unique=True))),
        host=draw(st.sampled_from(HOSTS)),
        new=new,
        weight=draw(shares) if new else 0,
        group=group,
        seed=group or f"route {number}",
        subject=CHAIN,
        trailing_slash=draw(st.sampled_from(SlashRule)),
        line=number,
    )


@st.composite
def tables(draw: st.DrawFn, *, most: int = 8) -> Table:
    """A valid table: of two routes that the rules cannot tell apart the later one is left out."""
    drawn = [draw(routes(number)) for number in range(draw(st.integers(1, most)))]
    out = {later for _, later, _ in conflicts(drawn)}
    kept = tuple(route for number, route in enumerate(drawn) if number not in out)
    return Table(legacy="old", upstreams=UPSTREAMS, routes=kept, groups=GROUPS, sites=SITES, trusted=("10.0.0.0/8",))


requests = st.tuples(
    st.sampled_from((b"", b"shop.example.com", b"other.example.com")),
    st.lists(st.sampled_from((*TEXTS, "x-a", "a-b.j", "xa.j")).map(str.encode), min_size=1, max_size=5),
    st.sampled_from(METHODS).map(str.encode),
    st.sampled_from((None, b"GET", b"PUT")),
)
"""Host, segments, method, and the method whose routes may stand in."""


@st.composite
def scopes(draw: st.DrawFn, table: Table) -> Scope:
    names = [route.name for route in table.routes]
    return draw(
        st.one_of(
            st.just(Scope(Reach.ALL)),
            st.sampled_from((*GROUPS, "nobody")).map(lambda name: Scope(Reach.GROUP, name)),
            st.sampled_from((*SITES, "nowhere")).map(lambda name: Scope(Reach.SITE, name)),
            st.sampled_from((*names, "route *", "route 1*", "none")).map(lambda name: Scope(Reach.ROUTE, name)),
        )
    )


@st.composite
def orders(draw: st.DrawFn, table: Table) -> tuple[Order, ...]:
    """Rollbacks and weight orders, some of which the file has overtaken."""
    found: list[Order] = []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        kind = draw(st.sampled_from((Kind.WEIGHT, Kind.WEIGHT, Kind.ROLLBACK)))
        if kind is Kind.ROLLBACK:
            found.append(Order(number, kind, draw(scopes(table)), "trouble", "kim", float(number)))
            continue
        covered = draw(
            st.lists(st.sampled_from(table.routes), min_size=1, max_size=3, unique_by=lambda each: each.name)
        )
        edited = draw(st.booleans())
        declared = {route.name: route.weight ^ 1 if edited else route.weight for route in covered}
        scope = Scope(Reach.ROUTE, covered[0].name)
        found.append(Order(number, kind, scope, "raise", "lee", float(number), draw(shares), declared))
    return tuple(found)


def packed(table: Table, positions: int = 1000) -> Packed:
    """What a worker has of a table, packed so many positions at a time; a card is the route's index in 4 bytes."""
    packer = Packer(compiled(table), lambda index: index.to_bytes(4, "little"))
    while not packer.step(positions):
        pass
    return packer.finish()


def naive_find(
    routes: Sequence[Route], host: bytes, segments: list[bytes], method: bytes, also: bytes | None
) -> int | None:
    """The matching rules the slow way: every route is tried, the smallest key wins."""
    fitting = []
    for index, route in enumerate(routes):
        ranked = [named for named in (method, also, None) if named is not None or not route.methods]
        allows = [rank for rank, named in enumerate(ranked) if named is None or named.decode() in route.methods]
        for path in spellings(route):
            key = path_key(path, segments)
            if key is not None and allows and route.host.encode() in {b"", host}:
                fitting.append((not route.host, key, allows[0], index))
    return min(fitting)[-1] if fitting else None


def spellings(route: Route) -> list[str]:
    same = route.trailing_slash is SlashRule.SAME and not route.path.endswith("...}") and route.path != "/"
    other = route.path[:-1] if route.path.endswith("/") else route.path + "/"
    return [route.path, other] if same else [route.path]


def path_key(path: str, segments: list[bytes]) -> list[tuple[object, ...]] | None:
    """One comparable entry a segment, closest first; None when the path does not fit."""
    key: list[tuple[object, ...]] = []
    texts = path[1:].split("/")
    for number, text in enumerate(texts):
        if text.endswith("...}"):
            return [*key, (3,)] if b"/".join(segments[number:]) else None
        if number == len(segments):
            return None
        fixed = re.split(r"\{[^{}]*\}", text)
        if not re.fullmatch(".+?".join(map(re.escape, fixed)), segments[number].decode(), re.DOTALL):
            return None
        partial = (1, -len("".join(fixed)), -len(fixed[0]), fixed)
        key.append((0,) if len(fixed) == 1 else (2,) if fixed == ["", ""] else partial)
    return key if len(texts) == len(segments) else None

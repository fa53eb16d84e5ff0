"""Which route is this request?  A tree of segments, walked from the left.

The rules, in order (they are the documentation; nothing else decides):

1. A candidate's host is the request's, or any; a named host wins over any.
2. Segment by segment from the left a literal wins over a partly literal segment (more fixed bytes first), that
   over a whole parameter, that over a rest.  A parameter never matches an empty segment.
3. A candidate must allow the method; among routes of one shape a named method wins over any.  HEAD may use a route
   for GET, and a CORS preflight one for the method it asks about.
4. The order in the file never matters: two routes that these rules cannot tell apart are refused at load.

Rule 3 is why the walk goes back: `PUT /carts/search` belongs to `PUT /carts/{id}` when `/carts/search` is only a GET.
Each tree node is visited at most once, and a literal costs one dict look-up, so the cost follows the length of
the path and not the number of routes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Generic, TypeVar

from router.core.model import Route, SlashRule
from router.core.template import Literal, Partial, Rest, Segment, parse_template

T = TypeVar("T")

ANY_METHOD = b""


class Node(Generic[T]):
    """One position in the tree; None stands for empty collections, since most positions have but one of them."""

    __slots__ = ("dynamic", "leaf", "literals", "parameter", "partials", "rest")

    def __init__(self) -> None:
        self.dynamic = False
        """A request may have to come back here."""
        self.literals: dict[bytes, Node[T]] | None = None
        self.parameter: Node[T] | None = None
        self.leaf: dict[bytes, T] | None = None
        """The values of the routes that end here, by method."""
        self.rest: dict[bytes, T] | None = None
        self.partials: list[tuple[Partial, re.Pattern[bytes], Node[T]]] | None = None

    def child(self, segment: Segment) -> Node[T]:
        """The node behind a literal, partial or parameter, made when it is not there yet."""
        match segment:
            case Literal(text):
                if self.literals is None:
                    self.literals = {}
                return self.literals.setdefault(text, Node())
            case Partial():
                self.dynamic = True
                return self._partial_child(segment)
            case _:
                self.dynamic = True
                if self.parameter is None:
                    self.parameter = Node()
                return self.parameter

    def _partial_child(self, segment: Partial) -> Node[T]:
        partials = self.partials or []
        for known, _, existing in partials:
            if known == segment:
                return existing
        node: Node[T] = Node()
        partials.append((segment, segment.regex(), node))
        partials.sort(key=lambda entry: (entry[0].rank, entry[0].pieces))
        self.partials = partials
        return node

    def end(self, last: Segment, methods: Iterable[bytes], value: T) -> None:
        """Let a route end behind this last segment."""
        if isinstance(last, Rest):
            self.dynamic = True
            self.rest = (self.rest or {}) | dict.fromkeys(methods, value)
            return
        node = self.child(last)
        node.leaf = (node.leaf or {}) | dict.fromkeys(methods, value)


class Matcher(Generic[T]):
    """All routes of a table, by host.  Built once, then only read."""

    __slots__ = ("any_host", "hosts")

    def __init__(self) -> None:
        self.hosts: dict[bytes, Node[T]] = {}
        self.any_host: Node[T] = Node()

    def add(self, route: Route, value: T) -> None:
        """Put one route in; the caller has made sure that it is unique (`conflicts`)."""
        root = self.hosts.setdefault(route.host.encode(), Node()) if route.host else self.any_host
        for segments in shapes(route):
            node = root
            for segment in segments[:-1]:
                node = node.child(segment)
            node.end(segments[-1], methods(route), value)

    def find(self, host: bytes, segments: list[bytes], method: bytes, also: bytes | None = None) -> T | None:
        """The route's value for a lower-case host without port and the segments of a normalised path.

        `also` is the method whose routes may serve this one: GET for HEAD, the asked-for one for a preflight.
        """
        if self.hosts:
            root = self.hosts.get(host)
            if root is not None and (found := walk(root, segments, 0, len(segments), method, also)) is not None:
                return found
        return walk(self.any_host, segments, 0, len(segments), method, also)


def walk(node: Node[T], segments: list[bytes], index: int, count: int, method: bytes, also: bytes | None) -> T | None:
    """Depth first in the order of rule 2; the first ending that allows the method is the answer."""
    while index < count:
        segment = segments[index]
        literals = node.literals
        child = None if literals is None else literals.get(segment)
        index += 1
        if not node.dynamic:
            if child is None:
                return None
            node = child
            continue
        if child is not None and (found := walk(child, segments, index, count, method, also)) is not None:
            return found
        if node.partials is not None:
            for _, regex, partial in node.partials:
                if regex.fullmatch(segment):
                    found = walk(partial, segments, index, count, method, also)
                    if found is not None:
                        return found
        if node.rest is None:
            if node.parameter is None or not segment:
                return None
            node = node.parameter
            continue
        if segment and node.parameter is not None:
            found = walk(node.parameter, segments, index, count, method, also)
            if found is not None:
                return found
        return allowed(node.rest, method, also) if segment or index < count else None
    return None if node.leaf is None else allowed(node.leaf, method, also)


def allowed(ending: Mapping[bytes, T], method: bytes, also: bytes | None) -> T | None:
    """Rule 3: the named method, then the one it may stand in for, then any."""
    found = ending.get(method)
    if found is None and also is not None:
        found = ending.get(also)
    return ending.get(ANY_METHOD) if found is None else found


def shapes(route: Route) -> Iterable[tuple[Segment, ...]]:
    """The segments of a route; both spellings when a trailing slash makes no difference."""
    segments = parse_template(route.path)
    yield segments
    if route.trailing_slash is SlashRule.SAME and not isinstance(segments[-1], Rest) and len(route.path) > 1:
        bare = segments[-1] == Literal(b"")
        yield segments[:-1] if bare else (*segments, Literal(b""))


def methods(route: Route) -> tuple[bytes, ...]:
    """The methods a route names, as the tree keys them."""
    return tuple(map(str.encode, route.methods)) or (ANY_METHOD,)


def conflicts(routes: Sequence[Route]) -> list[tuple[int, int, str]]:
    """Pairs of routes (by index, earlier first) that rules 1 to 3 cannot tell apart, and why."""
    found: set[tuple[int, int, str]] = set()
    taken: dict[tuple[str, tuple[Segment, ...], bytes], int] = {}
    alike: dict[tuple[str, tuple[Segment | _Rank, ...]], list[tuple[int, tuple[Segment, ...]]]] = defaultdict(list)
    for index, route in enumerate(routes):
        for segments in shapes(route):
            clashes = {taken.setdefault((route.host, segments, method), index) for method in methods(route)} - {index}
            found.update((other, index, "the same shape, host and method") for other in clashes)
            if any(_several(segment) for segment in segments):
                alike[route.host, tuple(map(_rank, segments))].append((index, segments))
    for entries in alike.values():
        for (one, first), (two, second) in combinations(entries, 2):
            if (
                one != two
                and first != second
                and _share_a_method(routes[one], routes[two])
                and _may_meet(first, second)
            ):
                found.add((one, two, "equally specific partly literal segments"))
    return sorted(found)


_Rank = tuple[tuple[int, int], bytes]


def _several(segment: Segment) -> bool:
    """Only a segment with several parameters can be as specific as another one: `{a}-{b}` and `{a}.{b}` on `x-y.z`.

    With one parameter, equal rank and a common match mean the same text.
    """
    return isinstance(segment, Partial) and len(segment.pieces) > 2


def _rank(segment: Segment) -> Segment | _Rank:
    """What two equally specific segments have in common, so that few routes have to be compared in pairs."""
    return (segment.rank, segment.pieces[0]) if isinstance(segment, Partial) and _several(segment) else segment


def _share_a_method(one: Route, two: Route) -> bool:
    return bool(set(methods(one)) & set(methods(two)))


def _may_meet(one: tuple[Segment, ...], two: tuple[Segment, ...]) -> bool:
    """Can some path fit both?  Their ranks and beginnings are equal already."""
    return all(_ends_meet(left, right) for left, right in zip(one, two, strict=True))


def _ends_meet(one: Segment, two: Segment) -> bool:
    if not (isinstance(one, Partial) and isinstance(two, Partial)):
        return True
    first, second = one.pieces[-1], two.pieces[-1]
    return first.endswith(second) or second.endswith(first)

"""What is documented and what is asked for, put together.

Every request counts for the documented operation that a router would take it for; what no document knows goes into the
tree from which templates are inferred.  Requests that never got a real answer (404 and the like) teach nothing: they
count for operations that are known anyway, they may add a method or a last segment to a path that does answer, and the
rest of them is noise, of which there is much on the internet.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from discovery.core.infer import Doubt, follow, guesses, infer
from discovery.core.naming import template
from discovery.core.shapes import NAMES, VALUE, key_of, kind_of
from discovery.core.trie import MOST_SEGMENTS, Node, Trie
from router.core.match import Matcher
from router.core.model import Route
from router.core.template import Segment, has_dots, normalise, parse_template

REFUSED: Final = frozenset({400, 404, 405, 410, 414, 501})
"""Answers that say: there is no such thing."""
MOST_REFUSED: Final = 50_000
"""Different paths that only were refused."""
MOST_NEW: Final = 20
"""Names that refused requests may add below one path; more is somebody guessing."""
MOST_HOSTS: Final = 1000
LONGEST_PATH: Final = 4096

_Place = tuple[int, bool]
"""A documented operation by number, and whether without its base."""

_METHOD: Final = re.compile(r"[A-Z]{3,20}")
_STATIC: Final = re.compile(
    r"\.(?:css|m?js|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|ttf|otf|eot|mp[34]|webm|ogg|swf)\Z", re.IGNORECASE
)


class Standing(StrEnum):
    """Is it documented, is it used?"""

    BOTH = "documented and used"
    UNDOCUMENTED = "used but undocumented"
    UNUSED = "documented but unused"
    DOCUMENTED = "documented"
    """Nobody has looked whether it is used."""


@dataclass(frozen=True, slots=True)
class Documented:
    """One operation of a document."""

    method: str
    path: str
    """A template that the router can read, without the base."""
    base: str = ""
    tag: str = ""
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One API: where, how it stands, how often it is asked for."""

    methods: tuple[str, ...]
    path: str
    standing: Standing
    requests: int = 0
    refused: int = 0
    """Of these, the ones answered with 404 and the like."""
    tag: str = ""
    deprecated: bool = False

    @property
    def label(self) -> str:
        return f"{','.join(self.methods)} {self.path}"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Requests that say nothing about APIs, by why."""

    static: int = 0
    preflights: int = 0
    noise: int = 0
    """Only ever refused, and like nothing that answers."""
    rare: int = 0
    """They begin with a value, and are too few to make a parameter of all that no route lists."""
    unreadable: int = 0
    """No path that a router would route: `*`, dot segments, endless ones."""
    crowded_out: int = 0
    """There was no room to look at them."""

    @property
    def total(self) -> int:
        return self.static + self.preflights + self.noise + self.rare + self.unreadable + self.crowded_out


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known at the end."""

    operations: tuple[Operation, ...]
    requests: int = 0
    seconds: float | None = None
    """What the log spans; None when it does not say, or there is none."""
    ignored: Ignored = Ignored()
    doubts: tuple[Doubt, ...] = ()
    hosts: tuple[tuple[str, int], ...] = ()
    remarks: tuple[str, ...] = ()
    logged: bool = False
    """Was there a log at all?"""


@dataclass
class _Count:
    requests: int = 0
    refused: int = 0
    heads: int = 0


@dataclass
class Survey:
    """Takes requests in, in any order and number; `findings` ends it."""

    documented: Sequence[Documented] = ()
    templates: Sequence[str] = ()
    """Paths that a person knows, whatever method they are asked for with."""
    trie: Trie = field(default_factory=Trie)

    def __post_init__(self) -> None:
        self.requests = 0
        self.hosts: Counter[str] = Counter()
        self._counts: dict[_Place, _Count] = {}
        self._matcher: Matcher[_Place] = Matcher()
        self._shapes: Matcher[str] = Matcher()
        self._extra: dict[tuple[str, str], _Count] = {}
        """Methods that known paths were asked for, but that no document has."""
        self._refused: Counter[tuple[str, str]] = Counter()
        self._ignored: Counter[str] = Counter()
        self._know()

    def _know(self) -> None:
        """Documents name a base that the traffic may not have; both are looked for, the declared one first."""
        taken: set[tuple[tuple[Segment, ...], str]] = set()
        numbered = list(enumerate(self.documented))
        for place in [*((i, False) for i, _ in numbered), *((i, True) for i, each in numbered if each.base)]:
            each, path = self.documented[place[0]], self._path(place)
            shape = (parse_template(path), each.method)
            if shape in taken:
                continue
            taken.add(shape)
            route = Route(name="", path=path, legacy="", methods=(each.method,))
            self._matcher.add(route, place)
            self._shapes.add(replace(route, methods=()), path)
            self._counts[place] = _Count()
        for path in self.templates:
            self._shapes.add(Route(name="", path=path, legacy=""), path)

    def _path(self, place: _Place) -> str:
        each = self.documented[place[0]]
        return each.path if place[1] else each.base + each.path

    # -- requests --------------------------------------------------------------------------------------------------

    def add(self, method: str, target: bytes, status: int, host: str, count: int) -> None:
        """`count` requests of one kind; a status of 0 is one that nobody knows."""
        self.requests += count
        if host and (host in self.hosts or len(self.hosts) < MOST_HOSTS):
            self.hosts[host] += count
        path = path_of(target)
        if path is None or method == "CONNECT" or not _METHOD.fullmatch(method):
            self._ignored["unreadable"] += count
        elif not self._is_documented(method, path, status, count):
            self._add_unknown(method, path, status, count)

    def _is_documented(self, method: str, path: str, status: int, count: int) -> bool:
        if not self._counts and not self.templates:
            return False
        segments = path[1:].encode().split(b"/")
        found = self._matcher.find(b"", segments, method.encode(), b"GET" if method == "HEAD" else None)
        if found is not None:
            entry = self._counts[found]
            entry.heads += count if method == "HEAD" and self.documented[found[0]].method == "GET" else 0
        else:
            shape = self._shapes.find(b"", segments, b"")
            if shape is None or method == "OPTIONS":
                return False
            entry = self._extra.setdefault((method, shape), _Count())
        entry.requests += count
        entry.refused += count if status in REFUSED else 0
        return True

    def _add_unknown(self, method: str, path: str, status: int, count: int) -> None:
        if method == "OPTIONS":
            self._ignored["preflights"] += count
        elif _STATIC.search(path):
            self._ignored["static"] += count
        elif status not in REFUSED:
            self.trie.add(method, path[1:].split("/"), count)
        elif (method, path) in self._refused or len(self._refused) < MOST_REFUSED:
            self._refused[method, path] += count
        else:
            self._ignored["noise"] += count

    # -- the end ---------------------------------------------------------------------------------------------------

    def findings(self, seconds: float | None = None, remarks: Iterable[str] = (), *, logged: bool = True) -> Findings:
        """Everything; the tree is used up."""
        inference = infer(self.trie.root)
        refused = self._place_refused(self.trie.root)
        bare = self._bare_bases()
        operations = [*self._known(bare, logged=logged), *self._guessed(refused)]
        self._ignored["rare"] += inference.dropped
        self._ignored["crowded_out"] += self.trie.lost
        said = [f"the log has {base} nowhere in front of the documented paths; it is left out" for base in bare]
        return Findings(
            tuple(sorted(_joined(operations), key=lambda each: -each.requests)),
            self.requests,
            seconds,
            Ignored(**self._ignored),
            inference.doubts,
            tuple(self.hosts.most_common(20)),
            (*remarks, *said),
            logged,
        )

    def _bare_bases(self) -> list[str]:
        """Declared bases that the traffic does not have."""
        hits: Counter[tuple[str, bool]] = Counter()
        for place, count in self._counts.items():
            hits[self.documented[place[0]].base, place[1]] += count.requests
        return sorted({base for base, bare in hits if bare and hits[base, True] > hits[base, False]})

    def _known(self, bare: Collection[str], *, logged: bool) -> Iterator[Operation]:
        """The documented operations, and what else documented paths were asked for."""
        for place, count in self._counts.items():
            each = self.documented[place[0]]
            if place[1] == (each.base in bare):
                used = Standing.BOTH if count.requests else Standing.UNUSED
                methods = ("GET", "HEAD") if count.heads else (each.method,)
                standing = used if logged else Standing.DOCUMENTED
                yield _operation(methods, self._path(place), standing, count, each)
            elif count.requests:
                yield _operation((each.method,), self._path(place), Standing.UNDOCUMENTED, count, each)
        for (method, path), count in self._extra.items():
            if count.refused < count.requests:
                yield _operation((method,), path, Standing.UNDOCUMENTED, count)
            else:
                self._ignored["noise"] += count.requests

    def _guessed(self, refused: Mapping[tuple[str, tuple[str, ...]], int]) -> Iterator[Operation]:
        for guess in guesses(self.trie.root):
            count = _Count(guess.requests, refused.get((guess.method, guess.keys), 0))
            yield _operation((guess.method,), template(guess.keys, guess.kinds), Standing.UNDOCUMENTED, count)

    def _place_refused(self, root: Node) -> dict[tuple[str, tuple[str, ...]], int]:
        """Puts what was only ever refused where it may belong; says how much was put where."""
        placed: Counter[tuple[str, tuple[str, ...]]] = Counter()
        added: Counter[tuple[str, ...]] = Counter()
        for (method, path), count in sorted(self._refused.items()):
            segments = path[1:].split("/")[:MOST_SEGMENTS]
            keys = [key_of(segment) for segment in segments]
            found = _belongs(root, segments, keys, added)
            if found is None:
                self._ignored["noise"] += count
                continue
            node, way = found
            node.ops[method] = node.ops.get(method, 0) + count
            placed[method, way] += count
        return dict(placed)


def _belongs(
    root: Node, segments: Sequence[str], keys: Sequence[str], added: Counter[tuple[str, ...]]
) -> tuple[Node, tuple[str, ...]] | None:
    """Where a refused path has its place: one that answers something, or right below such a one."""
    found = follow(root, segments, keys)
    named = segments[-1].lower() in NAMES
    if found is not None and found[0].ops and not (named and found[1][-1] == VALUE):
        return found
    above = follow(root, segments[:-1], keys[:-1]) if len(segments) > 1 else None
    if above is None or not above[0].ops or added[above[1]] >= MOST_NEW:
        return None
    node, way = above
    added[way] += 1
    child = node.children.setdefault(keys[-1], Node())
    if keys[-1] != segments[-1]:
        child.remember(segments[-1], kind_of(segments[-1]), 1)
    return child, (*way, keys[-1])


def _operation(
    methods: tuple[str, ...], path: str, standing: Standing, count: _Count, each: Documented | None = None
) -> Operation:
    tag, deprecated = (each.tag, each.deprecated) if each else ("", False)
    return Operation(methods, path, standing, count.requests, count.refused, tag, deprecated)


def _joined(operations: Iterable[Operation]) -> Iterator[Operation]:
    """One operation for each shape and method; HEAD goes with GET, as the router has it."""
    found: dict[tuple[tuple[Segment, ...], str], Operation] = {}
    for each in operations:
        shape = parse_template(each.path)
        method = "GET" if each.methods == ("HEAD",) else each.methods[0]
        other = found.get((shape, method))
        found[shape, method] = each if other is None else _both(other, each)
    yield from found.values()


def _both(one: Operation, two: Operation) -> Operation:
    methods = tuple(sorted({*one.methods, *two.methods}))
    return replace(one, methods=methods, requests=one.requests + two.requests, refused=one.refused + two.refused)


def path_of(target: bytes) -> str | None:
    """The path of a request's target in normal form; None when a router would not route it."""
    if len(target) > LONGEST_PATH:
        return None
    if target[:1] != b"/":
        scheme, slashes, rest = target.partition(b"://")
        if not slashes or not scheme.isalpha():
            return None
        target = b"/" + rest.partition(b"/")[2]
    path = normalise(target.partition(b"?")[0].partition(b"#")[0])
    return None if has_dots(path[1:].split(b"/")) else path.decode("ascii")

"""Requests with the route that the rules of ARCHITECTURE ("Matching") give them, said without the router's matcher.

Two kinds of labels.  Where every parameter is filled with a value that no template has as a fixed text, the label is
the operation itself: no template can be closer.  Where values are taken from neighbouring templates, the label comes
from `label`, which tries every route and compares segment by segment.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

UNLISTED = "unlisted"
PARAMETER = re.compile(r"\{[^{}]*\}")
REST = re.compile(r"\{[^{}]*\.\.\.\}")

AWKWARD = (
    "v%2Fw", "v%2fw", "%2F", "%ec%83%81%ed%92%88", "%EC%83%81%ED%92%88", "%e2%82%AC", "%C0%AF", "%00", "%25", "%252F",
    "%2e%2e%2e", "...", "..v", ".v", "v.", "v..w", "v.json", "%2Ev", "=", "v=w", ";", "v;w=x", ";v", "~",
    "%7Ev", "-", "_", "$", "!$&'()*+,;=:@", "v:w", "@v", "v,w", "(v)", "'", "*", "+", "%20", "v%20w", "%5C", "%3F",
    "%23", "%7B%7D", "0", "00000000-0000-0000-0000-000000000000", "v" * 4000, "%F0%9F%9B%92" * 200,
)  # fmt: skip
"""Values that are legal in a path segment and that matchers stumble over; none is a fixed text of any template."""

QUERIES = ("", "", "?", "?q=/a/../b", "?//", "?x=%2F%2e%2e", "?a?b", "?page=1&sort=-name")


@dataclass(frozen=True, slots=True)
class Operation:
    """One route of an inventory, as routes.yaml writes it."""

    method: str
    path: str
    host: str = ""

    @property
    def name(self) -> str:
        """The name that a route has when nobody gives it one."""
        return f"{self.method or 'ANY'} {self.host}{self.path}"

    def written(self) -> str:
        entry: dict[str, object] = {"path": self.path}
        if self.method:
            entry["methods"] = [self.method]
        if self.host:
            entry["host"] = self.host
        return f"  - {json.dumps(entry)}"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A request and the name of the route that it belongs to."""

    method: str
    target: str
    route: str
    host: str = "any.example"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


def routes_yaml(operations: Iterable[Operation], port: int) -> str:
    lines = [
        "version: 1",
        f"upstreams: {{monolith: {{endpoints: ['http://127.0.0.1:{port}']}}}}",
        "legacy: monolith",
        "routes:",
        *(operation.written() for operation in operations),
    ]
    return "\n".join(lines) + "\n"


# -- requests that can belong to nobody else -------------------------------------------------------------------------


def own(operations: Sequence[Operation]) -> list[Labelled]:
    """Every operation, once with one awkward value and once with another, and HEAD where only GET is there."""
    named = {(shape(operation.path), operation.method) for operation in operations}
    made = []
    for number, operation in enumerate(operations):
        for turn in (0, 1):
            target = filled(operation.path, number * 7 + turn * 13) + QUERIES[(number + turn) % len(QUERIES)]
            made.append(Labelled(operation.method, target, operation.name))
        if operation.method == "GET" and (shape(operation.path), "HEAD") not in named:
            made.append(Labelled("HEAD", filled(operation.path, number), operation.name))
        made.append(Labelled(operation.method, in_other_words(filled(operation.path, number + 5)), operation.name))
    return made


def filled(path: str, start: int) -> str:
    """The template with awkward values, each parameter another one."""
    numbers = iter(range(start, start + 100))
    return PARAMETER.sub(lambda _: AWKWARD[next(numbers) % len(AWKWARD)], path)


def in_other_words(path: str) -> str:
    """An equal path: the first letter of every second segment escaped, every other escape with its letters swapped."""
    segments = path.split("/")
    for number in range(1, len(segments), 2):
        text = segments[number]
        if text[:1].isalpha():
            segments[number] = f"%{ord(text[0]):02{'x' if number % 4 == 1 else 'X'}}{text[1:]}"
    swapped = iter(range(100_000))
    return re.sub(
        r"%[0-9A-Fa-f]{2}", lambda found: found[0].swapcase() if next(swapped) % 2 else found[0], "/".join(segments)
    )


def shape(path: str) -> str:
    return PARAMETER.sub("{}", path)


# -- requests that fit several templates -----------------------------------------------------------------------------


def borrowed(operations: Sequence[Operation]) -> list[Labelled]:
    """Parameters filled with the texts that other templates have in their place, every second one with an escape."""
    siblings: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for operation in operations:
        segments = shape(operation.path).split("/")
        for number, text in enumerate(segments):
            if text != "{}":
                siblings[tuple(segments[:number])].add(text)
    rules = Rules(operations)
    made: dict[tuple[str, str], Labelled] = {}
    for operation in operations:
        segments = shape(operation.path).split("/")
        for number, text in enumerate(segments):
            if text == "{}":
                for other in sorted(
                    siblings[tuple(segments[:number])] - {""}, key=lambda text: ("{" not in text, text)
                )[:6]:
                    tried = "/".join([*segments[:number], other, *segments[number + 1 :]]).replace("{}", "v%2fx")
                    tried = in_other_words(tried) if len(made) % 2 else tried
                    made[operation.method, tried] = rules.labelled(operation.method, tried)
    return list(made.values())


def slashed(operations: Sequence[Operation]) -> list[Labelled]:
    """The other spelling of the trailing slash, a doubled slash, an escaped one: all of them other paths."""
    rules = Rules(operations)
    made = []
    for number, operation in enumerate(operations):
        path = filled(operation.path, number)
        other = path[:-1] if path.endswith("/") else path + "/"
        variants = (other, path.replace("/", "//", 1), path[0] + path[1:].replace("/", "%2F", 1), path + ";v=1")
        made.append(rules.labelled(operation.method, variants[number % len(variants)]))
    return made


class Rules:
    """The naive rules: try every route, compare what fits."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._by_count: dict[int, list[tuple[Operation, list[_Segment]]]] = defaultdict(list)
        self._with_rest: list[tuple[Operation, list[_Segment]]] = []
        for operation in operations:
            segments = [_Segment.of(text) for text in operation.path[1:].split("/")]
            home = self._with_rest if segments[-1].kind == 3 else self._by_count[len(segments)]
            home.append((operation, segments))

    def labelled(self, method: str, target: str, host: str = "any.example") -> Labelled:
        return Labelled(method, target, self.label(method, target.partition("?")[0], host), host)

    def label(self, method: str, path: str, host: str = "") -> str:
        texts = [normal(text) for text in path[1:].split("/")]
        fitting = [
            (rank, operation.name)
            for operation, segments in (*self._by_count[len(texts)], *self._with_rest)
            if (rank := _rank(operation, segments, texts, method, host)) is not None
        ]
        return min(fitting)[1] if fitting else UNLISTED


@dataclass(frozen=True, slots=True)
class _Segment:
    """`kind`: 0 literal, 1 partly literal, 2 parameter, 3 rest."""

    kind: int
    closeness: tuple[int, int]
    fits: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> _Segment:
        if REST.fullmatch(text):
            return cls(3, (0, 0), re.compile(".+", re.DOTALL))
        fixed = [normal(piece) for piece in PARAMETER.split(text)]
        kind = 0 if len(fixed) == 1 else 2 if fixed == ["", ""] else 1
        pattern = re.compile(".+".join(map(re.escape, fixed)), re.DOTALL)
        return cls(kind, (-len("".join(fixed)), -len(fixed[0])), pattern)


def _rank(
    operation: Operation, segments: list[_Segment], texts: list[str], method: str, host: str
) -> tuple[object, ...] | None:
    """Smaller is closer; None: does not fit."""
    allows = {method: 0, "HEAD GET": 1, "": 2}.get(
        "HEAD GET" if (method, operation.method) == ("HEAD", "GET") else operation.method
    )
    if allows is None or operation.host not in {"", host}:
        return None
    if segments[-1].kind == 3:
        if len(texts) < len(segments):
            return None
        texts = [*texts[: len(segments) - 1], "/".join(texts[len(segments) - 1 :])]
    if not all(segment.fits.fullmatch(text) for segment, text in zip(segments, texts, strict=True)):
        return None
    return (not operation.host, [(segment.kind, segment.closeness) for segment in segments], allows)


def normal(text: str) -> str:
    """Unreserved characters unescaped, other escapes in capitals."""
    unreserved = re.compile(r"[A-Za-z0-9._~-]")

    def one(found: re.Match[str]) -> str:
        plain = unquote_to_bytes(found[0]).decode("latin-1")
        return plain if unreserved.fullmatch(plain) else found[0].upper()

    return re.sub(r"%[0-9A-Fa-f]{2}", one, text)

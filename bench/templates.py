"""Path templates of a real commerce inventory, and requests that hit them.

Pure but for reading the data file: the same arguments give the same templates and requests on every machine, so that
every peer, every round and every run sees the same load.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count, islice
from pathlib import Path

INVENTORY = Path(__file__).parent.parent / "tests" / "data" / "commerce-1500.json.gz"

_PARAMETER = re.compile(r"\{[^{}]+\}")
_PARTLY, _WHOLE = 1, 2
_SPECIAL = re.compile(r"([.+*?()\[\]^$|\\])")


@dataclass(frozen=True, slots=True)
class Template:
    """One path template, e.g. `/V1/carts/{cartId}/items`."""

    path: str

    @property
    def literal(self) -> bool:
        return "{" not in self.path

    @property
    def shape(self) -> str:
        """The template without its parameters' names: two of the same shape are the same route."""
        return _PARAMETER.sub("{}", self.path)

    @property
    def regex(self) -> str:
        """What PCRE and RE2 understand alike, anchored at both ends."""
        pieces = (_SPECIAL.sub(r"\\\1", piece) for piece in _PARAMETER.split(self.path))
        return f"^{'[^/]+'.join(pieces)}$"

    @property
    def rank(self) -> tuple[int, ...]:
        """Sorted by it, the first regex that matches is the most specific one: literal, partly literal, parameter."""
        return tuple(map(_segment_rank, self.path.split("/")))

    def fill(self, value: str) -> str:
        return _PARAMETER.sub(value, self.path)


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a load, before it becomes bytes."""

    path: str
    user: str
    method: str = "GET"


def templates(number: int, *, literals: bool = True) -> tuple[Template, ...]:
    """The first `number` templates: the inventory, then the inventory again below `/t1`, `/t2`, ..."""
    return tuple(islice((template for template in _endless() if literals or not template.literal), number))


def alike(number: int, some: tuple[Template, ...]) -> tuple[Template, ...]:
    """So many of them that are together as deep, as long and of the same kinds of segments as all of them are."""
    ranked = sorted(some, key=_effort)
    step = len(ranked) // number
    return tuple(ranked[step // 2 :: step][:number])


def _effort(template: Template) -> tuple[int, int, int, int]:
    """What a path of it costs, whatever the size of the table: segments, partly literal ones, parameters, bytes."""
    kinds = template.rank
    return len(kinds), kinds.count(_PARTLY), kinds.count(_WHOLE), len(template.path)


def ordered(some: tuple[Template, ...]) -> list[tuple[int, Template]]:
    """Numbered by their place in `some`, most specific first, for peers that take the first match."""
    return sorted(enumerate(some), key=lambda pair: pair[1].rank)


def requests(some: tuple[Template, ...], distinct: int, seed: int = 1) -> list[Request]:
    """A shuffled load in which every template is asked for equally often, over `distinct` paths or a few more.

    A template without parameters has one path only, which is then repeated as often as the others have different ones.
    Every request has its own user, so that a sticky split has something to decide.
    """
    fixed = sum(template.literal for template in some)
    each = max(1, -(-(distinct - fixed) // max(1, len(some) - fixed)))
    chance = random.Random(seed)
    load = [
        Request(template.fill(f"x{chance.getrandbits(36):09x}"), f"user-{chance.getrandbits(40):010x}")
        for template in some
        for _ in range(each)
    ]
    chance.shuffle(load)
    return load


def _segment_rank(segment: str) -> int:
    if "{" not in segment:
        return 0
    return _WHOLE if _PARAMETER.fullmatch(segment) else _PARTLY


def _endless() -> Iterator[Template]:
    inventory = _inventory()
    for copy in count():
        prefix = f"/t{copy}" if copy else ""
        yield from (Template(prefix + template.path) for template in inventory)


@cache
def _inventory() -> tuple[Template, ...]:
    with gzip.open(INVENTORY, "rt", encoding="utf-8") as file:
        operations = json.load(file)["ops"]
    by_shape = {template.shape: template for template in (Template(operation["path"]) for operation in operations)}
    return tuple(by_shape.values())

"""The tree of `router.core.match` in one piece of memory, for a data plane with thousands of routes.

A walk through objects waits for memory at every step, since each of them lies somewhere else; here all of a tree lies
in one string of bytes, what is below one position lies together, and what is needed of a route (its *card*) lies where
its path ends.  It finds what the tree finds, by the same rules in the same order, and is only ever made from a tree
(`Packer`), a piece at a time, because a worker serves meanwhile.

A position, from the offset that names it:

    flags                 what follows, and whether a request may have to come back here
    parameter             4 bytes, if there is one: its offset
    partials              4 bytes, if there are any: the offset of their list
    size, slots           1 + 5 << size bytes, if there are literals: a hash table with linear probing; a slot is the
                          next bits of the hash and the offset of an edge, or zeros
    method, card          2 bytes and a card, if one route with one method ends here; where there are more, 0xFFFF and
                          4 bytes that say which of `endings`

An edge is a literal's text, `/`, and the position behind it.  A list of partly literal segments has for each, in the
order in which they are tried, the offset of the position behind it, the lengths of the text before its parameter and of
the text behind it, and the two texts; zeros end it.  For segments with several parameters both lengths are 0, and the
number of a pattern follows, in 4 bytes.  Rests stand beside, by offset, since few positions have one.  Numbers are
little-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

from router.core.match import Matcher, Node, allowed

if TYPE_CHECKING:
    import re

    from mypy_extensions import i64

    from router.core.template import Partial

T = TypeVar("T")

_ENDS: Final = 1
_PARAMETER: Final = 2
_LITERALS: Final = 4
_PARTIALS: Final = 8
_REST: Final = 16
_DYNAMIC: Final = _PARAMETER | _PARTIALS | _REST

_OFFSET: Final = 4
_SLOT: Final = 5
_TEXTS: Final = _OFFSET + 2
"""How far behind a partly literal segment's beginning its texts are."""
_BYTE: Final = 255
_ONE_PARAMETER: Final = 2
"""So many pieces of fixed text are around one."""
_SEVERAL: Final = 0xFFFF
"""Stands for the method where several routes end, or one with several methods."""
_SLASH: Final = 0x2F


@final
class Packed:
    """All routes of a table, by host; what it gives of a route is the place of its card.  Only ever read."""

    def __init__(self) -> None:
        self.hosts: dict[bytes, int] = {}
        """The offsets of their trees."""
        self.any_host = 1
        self.endings: list[Mapping[bytes, int]] = []
        self.patterns: list[re.Pattern[bytes]] = []
        self.rests: dict[int, Mapping[bytes, int]] = {}
        self._bytes = b"\0\0"
        self._longest = 0
        self._methods: list[bytes] = []

    def take(self, packed: bytes, longest: int, methods: list[bytes]) -> None:
        """The bytes, the length of the longest literal, and the methods by number."""
        self._bytes = packed
        self._longest = longest
        self._methods = methods

    def find(self, host: bytes, segments: list[bytes], method: bytes, also: bytes | None = None) -> int:
        """The place of the card that belongs to what `Matcher.find` gives; 0 where that gives nothing."""
        if self.hosts:
            root = self.hosts.get(host)
            if root is not None and (found := self._walk(root, segments, 0, method, also)):
                return found
        return self._walk(self.any_host, segments, 0, method, also)

    def number(self, place: int) -> int:
        """The number of 4 bytes there."""
        return _number(self._bytes, place)

    def wide(self, place: int) -> int:
        """The number of 8 bytes there, modulo 2**64: where this is compiled, the upper half of them is negative."""
        low = _number(self._bytes, place)
        return low | _number(self._bytes, place + _OFFSET) << 32

    def text(self, place: int) -> bytes:
        """The text there, behind the 4 bytes of its length."""
        begin = place + _OFFSET
        return self._bytes[begin : begin + _number(self._bytes, place)]

    def _walk(self, at: i64, segments: list[bytes], index: int, method: bytes, also: bytes | None) -> i64:
        """As `match.walk`: depth first; the first ending that allows the method is the answer."""
        packed = self._bytes
        count = len(segments)
        while index < count:
            segment = segments[index]
            flags: i64 = packed[at]
            child: i64 = 0
            if flags & _LITERALS and len(segment) <= self._longest:
                child = _behind(packed, at + _table_at(flags), segment)
            index += 1
            if not flags & _DYNAMIC:
                if not child:
                    return 0
                at = child
                continue
            if child and (found := self._walk(child, segments, index, method, also)):
                return found
            if flags & _PARTIALS:
                some = _number(packed, at + (1 + _OFFSET if flags & _PARAMETER else 1))
                while partial := _number(packed, some):
                    if self._fits(some, segment) and (found := self._walk(partial, segments, index, method, also)):
                        return found
                    some = _next_partial(packed, some)
            if flags & _PARAMETER and segment:
                parameter = _number(packed, at + 1)
                if not flags & _REST:
                    at = parameter
                    continue
                found = self._walk(parameter, segments, index, method, also)
                if found:
                    return found
            if flags & _REST and (segment or index < count):
                return allowed(self.rests[at], method, also) or 0
            return 0
        return self._ending(at, method, also)

    def _fits(self, partial: i64, segment: bytes) -> bool:
        """Is the segment like the partly literal one that is written there?"""
        packed = self._bytes
        before: i64 = packed[partial + _OFFSET]
        after: i64 = packed[partial + _OFFSET + 1]
        text = partial + _TEXTS
        if not before and not after:
            return self.patterns[_number(packed, text)].fullmatch(segment) is not None
        length: i64 = len(segment)
        return (
            length > before + after
            and _same(packed, text, segment, 0, before)
            and _same(packed, text + before, segment, length - after, after)
        )

    def _ending(self, at: i64, method: bytes, also: bytes | None) -> i64:
        packed = self._bytes
        flags: i64 = packed[at]
        if not flags & _ENDS:
            return 0
        at += _table_at(flags)
        if flags & _LITERALS:
            size: i64 = packed[at]
            at += 1 + (_SLOT << size)
        low: i64 = packed[at]
        high: i64 = packed[at + 1]
        named = low | high << 8
        at += 2
        if named == _SEVERAL:
            return allowed(self.endings[_number(packed, at)], method, also) or 0
        only = self._methods[named]
        return at if only == method or not only or (also is not None and only == also) else 0


def _table_at(flags: i64) -> i64:
    """How far behind a position its hash table begins, or what is there in its place."""
    at: i64 = 1
    if flags & _PARAMETER:
        at += _OFFSET
    if flags & _PARTIALS:
        at += _OFFSET
    return at


def _next_partial(packed: bytes, at: i64) -> i64:
    """Where the partly literal segment behind this one is written."""
    before: i64 = packed[at + _OFFSET]
    after: i64 = packed[at + _OFFSET + 1]
    return at + _TEXTS + (before + after or _OFFSET)


def _number(packed: bytes, at: i64) -> i64:
    one: i64 = packed[at]
    two: i64 = packed[at + 1]
    three: i64 = packed[at + 2]
    four: i64 = packed[at + 3]
    return one | two << 8 | three << 16 | four << 24


def _same(packed: bytes, at: i64, segment: bytes, begin: i64, length: i64) -> bool:
    """Are so many bytes equal?  Byte by byte: slices are objects, which cost more than texts of this length."""
    place: i64 = 0
    while place < length:
        if packed[at + place] != segment[begin + place]:
            return False
        place += 1
    return True


def _hash(segment: bytes) -> i64:
    """32 bits; of a tree's own literals only, so nobody can send it texts that collide."""
    found: i64 = 0
    length: i64 = len(segment)
    place: i64 = 0
    while place < length:
        byte: i64 = segment[place]
        found = (found * 33 + byte) & 0xFFFFFFFF
        place += 1
    return found ^ found >> 15


def _behind(packed: bytes, table: i64, segment: bytes) -> i64:
    """The position behind a literal, by the table that begins there; 0 where none is."""
    size: i64 = packed[table]
    hashed = _hash(segment)
    tag = _tag(hashed, size)
    most: i64 = (1 << size) - 1
    slot: i64 = hashed & most
    length: i64 = len(segment)
    while True:
        at = table + 1 + slot * _SLOT
        edge = _number(packed, at + 1)
        if not edge:
            return 0
        if packed[at] == tag and packed[edge + length] == _SLASH and _same(packed, edge, segment, 0, length):
            return edge + length + 1
        slot = slot + 1 & most


def _tag(hashed: i64, size: i64) -> i64:
    """The bits of the hash that do not choose the slot: most other segments differ in them."""
    return hashed >> size & 0xFF


@final
class _Open(Generic[T]):
    """A position whose children are being packed; what it is reached by is the text of an edge, or None."""

    def __init__(self, node: Node[T], text: bytes | None) -> None:
        self.node = node
        self.text = text
        self.todo: list[tuple[bytes | None, Node[T]]] = []
        """The positions behind it: literals, then the parameter, then partly literal segments."""
        self.done: list[int] = []
        """The offsets of so many of them: of the edge, where they have one."""
        if node.literals is not None:
            self.todo += node.literals.items()
        if node.parameter is not None:
            self.todo.append((None, node.parameter))
        if node.partials is not None:
            self.todo += [(None, behind) for _, _, behind in node.partials]


@final
class Packer(Generic[T]):
    """Makes a packed tree of a tree, some positions at a time; the tree is taken apart meanwhile."""

    def __init__(self, matcher: Matcher[T], card: Callable[[T], bytes]) -> None:
        """`card`: what is to be found of a route."""
        self._packed = Packed()
        self._card = card
        self._bytes = bytearray(1)  # nothing has the offset 0
        self._longest = 0
        self._methods: dict[bytes, int] = {}
        self._roots: list[tuple[bytes, Node[T]]] = [*matcher.hosts.items(), (b"", matcher.any_host)]
        self._open: list[_Open[T]] = []

    def step(self, positions: int) -> bool:
        """Pack so many more at most; True once all are packed."""
        for _ in range(positions):
            if not self._open:
                if not self._roots:
                    return True
                self._open.append(_Open(self._roots[-1][1], None))
            top = self._open[-1]
            while len(top.done) < len(top.todo):
                text, node = top.todo[len(top.done)]
                top = _Open(node, text)
                self._open.append(top)
            self._open.pop()
            at = self._write(top)
            if self._open:
                self._open[-1].done.append(at)
            else:
                self._root(at)
        return not self._roots

    def finish(self) -> Packed:
        """Pack what is left."""
        while not self.step(1000):
            pass
        packed = self._packed
        packed.take(bytes(self._bytes) + bytes(self._longest + 1), self._longest, list(self._methods))
        return packed

    def _root(self, at: int) -> None:
        host, _ = self._roots.pop()
        if host:
            self._packed.hosts[host] = at
        else:
            self._packed.any_host = at

    def _write(self, top: _Open[T]) -> int:
        """Write a position, and the edge that leads to it; gives the offset of the two."""
        node, packed = top.node, self._packed
        ends = self._ends(node.leaf)
        rest = {} if node.rest is None else self._beside(node.rest)
        partials = self._partly(node.partials, top.done[-len(node.partials) :]) if node.partials else 0
        out, begin = self._bytes, len(self._bytes)
        if top.text is not None:
            out += top.text + b"/"
            self._longest = max(self._longest, len(top.text))
        at = len(out)
        out.append(0)
        flags = 0
        edges = [(text, edge) for (text, _), edge in zip(top.todo, top.done, strict=True) if text is not None]
        if node.parameter is not None:
            flags |= _PARAMETER
            out += top.done[len(edges)].to_bytes(_OFFSET, "little")
        if partials:
            flags |= _PARTIALS
            out += partials.to_bytes(_OFFSET, "little")
        if edges:
            flags |= _LITERALS
            out += _table(edges)
        if rest:
            flags |= _REST
            packed.rests[at] = rest
        if ends:
            flags |= _ENDS
            out += ends
        out[at] = flags
        node.literals = node.parameter = node.partials = None  # piece by piece, rather than all at the end
        return begin

    def _ends(self, ends: Mapping[bytes, T] | None) -> bytes:
        """What a position has at its end for the routes that end there."""
        if not ends:
            return b""
        if len(ends) == 1:
            ((method, value),) = ends.items()
            named = self._methods.setdefault(method, len(self._methods))
            if named < _SEVERAL:
                return named.to_bytes(2, "little") + self._card(value)
        self._packed.endings.append(self._beside(ends))
        return _SEVERAL.to_bytes(2, "little") + (len(self._packed.endings) - 1).to_bytes(_OFFSET, "little")

    def _partly(self, partials: Sequence[tuple[Partial, re.Pattern[bytes], object]], behind: Sequence[int]) -> int:
        """Write a list of partly literal segments; gives its offset."""
        begin, patterns = len(self._bytes), self._packed.patterns
        for (partial, regex, _), place in zip(partials, behind, strict=True):
            self._bytes += place.to_bytes(_OFFSET, "little")
            if len(partial.pieces) == _ONE_PARAMETER and max(map(len, partial.pieces)) <= _BYTE:
                self._bytes += bytes(map(len, partial.pieces)) + b"".join(partial.pieces)
            else:
                self._bytes += bytes(2) + len(patterns).to_bytes(_OFFSET, "little")
                patterns.append(regex)
        self._bytes += bytes(_OFFSET)
        return begin

    def _beside(self, ends: Mapping[bytes, T]) -> Mapping[bytes, int]:
        """The cards of several routes, or of several methods, are written by themselves."""
        found = {}
        for method, value in ends.items():
            found[method] = len(self._bytes)
            self._bytes += self._card(value)
        return found


def _table(edges: list[tuple[bytes, int]]) -> bytes:
    """The hash table of some edges by their texts: small, and never full, so that every search has an end."""
    size = 1
    while len(edges) * 4 > 3 << size:
        size += 1
    slots = bytearray(_SLOT << size)
    for text, edge in edges:
        hashed = _hash(text)
        slot = hashed & (1 << size) - 1
        while any(slots[slot * _SLOT + 1 : (slot + 1) * _SLOT]):
            slot = slot + 1 & (1 << size) - 1
        slots[slot * _SLOT] = _tag(hashed, size)
        slots[slot * _SLOT + 1 : (slot + 1) * _SLOT] = edge.to_bytes(_OFFSET, "little")
    return bytes((size,)) + bytes(slots)

"""What is in force for each route, kept small: a table of thousands of routes has a few different terms.

Every request asks for those of its route, so what it reads has to stay close to the processor: one byte a route, and
the terms that it numbers, instead of a number of each kind a route.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

_BYTE: Final = 0x100


@final
class Terms:
    """What some routes have in common.  Never changed."""

    def __init__(self, share: int, live: int, cause: int) -> None:
        self.share = share
        self.live = live
        """What health leaves of the share."""
        self.cause = cause


@final
class TermsOfAll:
    """The terms of each route by its index.  Never changed."""

    def __init__(self, shares: Sequence[int], lives: Sequence[int], causes: bytes) -> None:
        known: dict[tuple[int, int, int], int] = {}
        numbers = [
            known.setdefault((share, live, cause), len(known))
            for share, live, cause in zip(shares, lives, causes, strict=True)
        ]
        self._terms = [Terms(*each) for each in known]
        self._width = 1
        """Bytes of a number."""
        while len(known) > _BYTE**self._width:
            self._width += 1
        self._numbers = b"".join([number.to_bytes(self._width, "little") for number in numbers])

    def of(self, index: int) -> Terms:
        """Those of one route."""
        if self._width == 1:
            return self._terms[self._numbers[index]]
        place = index * self._width
        return self._terms[int.from_bytes(self._numbers[place : place + self._width], "little")]


@final
class Specials:
    """Which routes of a table are copied, watched or pulled to legacy: of those an exchange has to ask for more."""

    def __init__(self) -> None:
        self._marks = bytearray()
        self._number = 0

    def add(self) -> None:
        """Another route, which is none of them."""
        self._marks.append(0)

    def mark(self, index: int, special: bool) -> None:
        """Is this one?"""
        self._number += special - self._marks[index]
        self._marks[index] = special

    def has(self, index: int) -> bool:
        """Is this one?  While there is none nobody has to look."""
        return self._number > 0 and self._marks[index] != 0

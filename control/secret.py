"""A text that nobody sees by accident: a token, a cookie's value, the word of a session.

Whatever prints, logs, formats or records it writes `***`; only `reveal` gives it out, and those calls are few.
"""

from __future__ import annotations

import hmac
from typing import NoReturn

MASK = "***"


class Secret:
    """One of them; compared in a time that tells nothing."""

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # a table of secrets would be searched by their hashes

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself: for an answer, a header, or a hash."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (text.encode("utf-8", "surrogateescape") for text in (self._value, other._value))
        return hmac.compare_digest(mine, theirs)

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied into a file or another process")

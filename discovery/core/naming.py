"""Templates as people read them: keys of segments become text with named parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from discovery.core.shapes import VALUE
from discovery.core.trie import REST

_WORDS: Final = re.compile(r"[A-Za-z0-9]+")
_VERSION: Final = re.compile(r"[vV]\d+|api|rest|\d+\.\d+", re.IGNORECASE)
"""Segments that name no thing."""
_LONGEST: Final = 40


def template(keys: Sequence[str], kinds: Sequence[str]) -> str:
    """`/products/{productId}`; every name is there once."""
    taken: set[str] = set()
    written: list[str] = []
    before = ""
    for key, kind in zip(keys, kinds, strict=True):
        if key == REST:
            written.append("{rest...}")
        elif VALUE in key:
            written.append(_dynamic(key, kind, before, taken))
        else:
            written.append(key)
            before = "" if names_nothing(key) else key
    return "/" + "/".join(written)


def names_nothing(segment: str) -> bool:
    """Is it only the way to where the names begin?"""
    return _VERSION.fullmatch(segment) is not None


def _dynamic(key: str, kind: str, before: str, taken: set[str]) -> str:
    pieces = key.split(VALUE)
    wanted = _name(pieces[0].rstrip("="), "text", "") if pieces[0].endswith("=") else _name(before, kind, pieces[-1])
    text = pieces[0]
    for piece in pieces[1:]:
        text += "{" + unique(wanted, taken) + "}" + piece
    return text


def unique(wanted: str, taken: set[str]) -> str:
    """The name, with a number when it is taken; it is taken afterwards."""
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}{number}"
    taken.add(name)
    return name


def _name(before: str, kind: str, suffix: str) -> str:
    thing = singular(camel(before))
    if kind in {"date", "slug"}:
        return kind
    if suffix.startswith("."):
        return thing or "file"
    if kind == "id":
        return thing + "Id" if thing else "id"
    return thing or "value"


def camel(text: str) -> str:
    """`gift-cards` as `giftCards`."""
    words = _WORDS.findall(text)
    joined = "".join(word if number == 0 else word[0].upper() + word[1:] for number, word in enumerate(words))
    return (joined[:1].lower() + joined[1:])[:_LONGEST]


def singular(word: str) -> str:
    """English only, and only as far as it is safe; a wrong name harms nobody."""
    for plural, single in (("sses", "ss"), ("ies", "y"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if word.endswith(plural) and len(word) > len(plural) + 1:
            return word[: -len(plural)] + single
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3 else word


def slug(text: str) -> str:
    """Somebody's text as the name of a group; empty when nothing of it can be."""
    return "-".join(re.findall(r"[A-Za-z0-9_.]+", text))[:64].strip("-.").lower()

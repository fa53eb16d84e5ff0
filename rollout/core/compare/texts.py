"""Bodies that are not JSON, brought into a form in which unimportant differences are gone.

Each function is linear in the length of its text and gives up on nothing: what it does not understand stays as it is.
"""

from __future__ import annotations

import re
from typing import Any, Final

_TAG = re.compile(r"<([^<>]*)>")
_COMMENT = re.compile(r"<!--[\s\S]*?-->")
_ATTRIBUTE = re.compile(r"""([^\s=/"'<>]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'<>]+))?""")
_SPACE = re.compile(r"\s+")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
MAX_FIELDS: Final = 10_000


def plain(text: str) -> str:
    """Line ends are LF, lines do not end in spaces, nor does the text in empty lines."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).rstrip("\n")


def markup(text: str) -> str:
    """HTML or XML without comments, with single spaces and sorted attributes; the order of elements stays."""
    if "<!--" in text and "-->" in text:
        text = _COMMENT.sub("", text)
    parts = []
    end = 0
    for tag in _TAG.finditer(text):
        parts.append(_SPACE.sub(" ", text[end : tag.start()]).strip())
        parts.append(f"<{_tag(tag[1])}>")
        end = tag.end()
    parts.append(_SPACE.sub(" ", text[end:]).strip())
    return "".join(parts)


def _tag(inside: str) -> str:
    inside = inside.strip()
    if inside.startswith(("!", "?", "/")):
        return _SPACE.sub(" ", inside)
    name, _, rest = _SPACE.sub(" ", inside).partition(" ")
    closing = "/" if rest.endswith("/") or (not rest and name.endswith("/")) else ""
    attributes = sorted(_attribute(found) for found in _ATTRIBUTE.finditer(rest))
    return " ".join([name.rstrip("/"), *attributes]) + closing


def _attribute(found: re.Match[str]) -> str:
    value = found[2]
    if value is None:
        return found[1]
    bare = value[1:-1] if value[0] in "\"'" else value
    return f'{found[1]}="{bare}"'


def form(text: str) -> dict[str, Any]:
    """The fields of an HTML form: a text, or a list where a name stands more than once."""
    fields: dict[str, Any] = {}
    for pair in text.split("&", MAX_FIELDS):
        name, _, value = pair.partition("=")
        if not name and not value:
            continue
        name, value = _unescaped(name), _unescaped(value)
        before = fields.get(name)
        if before is None:
            fields[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            fields[name] = [before, value]
    return fields


def _unescaped(text: str) -> str:
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    raw = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text.encode("utf-8", "replace"))
    return raw.decode("utf-8", "replace")


def lines(text: bytes) -> list[bytes]:
    """The documents of NDJSON."""
    return [line for line in text.replace(b"\r\n", b"\n").split(b"\n") if line.strip()]

"""A badge: a title and a value in one line of SVG, with what is done as a bar below.  Text in, text out.

No font is measured, so the widths are estimates that `textLength` makes true.
"""

from __future__ import annotations

import unicodedata
from html import escape
from typing import Final

_NARROW: Final = 6.6
_WIDE: Final = 11.5
_MARGIN: Final = 8
_LONGEST: Final = 60


def badge(title: str, value: str, part: float) -> str:
    """`part`: how much of it is done, 0 to 1."""
    title, value = title[:_LONGEST], value[:_LONGEST]
    left, right = _width(title), _width(value)
    width = left + right + 4 * _MARGIN
    edge = left + 2 * _MARGIN
    done = round(width * min(max(part, 0.0), 1.0), 1)
    said = escape(f"{title}: {value}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="22" role="img" aria-label="{said}">'
        f"<title>{said}</title>"
        f'<rect width="{width}" height="22" rx="3" fill="#24292f"/>'
        f'<path d="M{edge} 0h{width - edge - 3}q3 0 3 3v16q0 3-3 3H{edge}z" fill="#0b5cad"/>'
        f'<rect y="19" width="{done}" height="3" fill="#4ac26b"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{_MARGIN}" y="14" textLength="{left}">{escape(title)}</text>'
        f'<text x="{edge + _MARGIN}" y="14" textLength="{right}">{escape(value)}</text>'
        "</g></svg>\n"
    )


def _width(text: str) -> int:
    return round(sum(_WIDE if unicodedata.east_asian_width(char) in "WF" else _NARROW for char in text))

"""The page for people: the files of `dashboards/web`, as they are.

They are no secret, so everybody may have them; what they show comes from the API, which asks who wants it.  Read once,
when the first is asked for; nothing outside of the folder is ever opened, whatever a path says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import web

FOLDER: Final = Path(__file__).resolve().parents[2] / "dashboards" / "web"
TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but our own files, nothing in line, and no text that becomes markup or script."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    data: bytes
    type: str
    tag: str


@cache
def files(folder: Path = FOLDER) -> dict[str, File]:
    """All of them, by their names below the folder."""
    found = (path for path in folder.rglob("*") if path.suffix in TYPES and path.is_file())
    return {path.relative_to(folder).as_posix(): _read(path) for path in found}


def _read(path: Path) -> File:
    data = path.read_bytes()
    return File(data, TYPES[path.suffix], hashlib.sha256(data).hexdigest()[:32])


async def front(request: web.Request) -> web.Response:
    return _answer(request, "index.html")


async def way_in(request: web.Request) -> web.Response:
    return _answer(request, "login.html")


async def part(request: web.Request) -> web.Response:
    return _answer(request, request.match_info["file"])


def _answer(request: web.Request, name: str) -> web.Response:
    """The file; 304 when the browser has it already.  It asks every time, so an upgrade is seen at once."""
    file = files().get(name)
    if file is None:
        raise web.HTTPNotFound
    headers = {"ETag": f'"{file.tag}"', "Cache-Control": "no-cache"}
    if any(known.value == file.tag for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.data, content_type=file.type, charset="utf-8", headers=headers)

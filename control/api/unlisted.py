"""What is asked for that no route lists: from the end of the router's own access log.

The counters know how much that is, never what; paths stand in the access log alone (`strangler run --access-log FILE`).
So the newest part of that file is read, in a thread, and only the requests without a route come back, counted.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from typing import Any, Final

from aiohttp import web

from control.api.context import CONTEXT
from control.api.problems import Problem
from router.core.model import UNLISTED

MOST_BYTES: Final = 16 * 2**20
"""Of the file, from its end; some sixty thousand requests."""
MOST_KINDS: Final = 20_000
"""Different requests in an answer; the others are counted."""

Json = dict[str, Any]

_MARK: Final = f'"route":"{UNLISTED}"'.encode()


async def unlisted(request: web.Request) -> web.Response:
    path = request.app[CONTEXT].access_log
    if path in {"", "-"}:
        raise Problem(
            409,
            "no-access-log",
            "paths of unlisted requests stand in the access log only, and there is none that can be read",
            "start the router with --access-log FILE",
        )
    try:
        data, whole = await asyncio.to_thread(_end, path)
        found = await asyncio.to_thread(counted, data)
    except OSError as error:
        why = error.strerror or str(error)
        raise Problem(503, "no-access-log", f"the access log cannot be read: {why}", "see that it is there") from None
    return web.Response(body=json.dumps(found | {"whole": whole}).encode(), content_type="application/json")


def _end(path: str) -> tuple[bytes, bool]:
    """The newest lines, and whether that is all of the file."""
    with open(path, "rb") as file:  # noqa: PTH123 - what is watched is a name, not a tree
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MOST_BYTES))
        data = file.read(MOST_BYTES)
    return (data, True) if size <= MOST_BYTES else (data.partition(b"\n")[2], False)


def counted(data: bytes) -> Json:
    """The unlisted requests among these lines, by what was asked for and how it was answered."""
    counts: Counter[tuple[str, str, int]] = Counter()
    times: list[str] = []
    lines = more = 0
    for line in data.split(b"\n"):
        lines += bool(line)
        if _MARK not in line or (entry := _entry(line)) is None:
            continue
        times = [*times[:1], entry[0]]
        if entry[1:] in counts or len(counts) < MOST_KINDS:
            counts[entry[1:]] += 1
        else:
            more += 1
    requests = [
        {"method": method, "path": path, "status": status, "count": count}
        for (method, path, status), count in counts.most_common()
    ]
    since, until = (times[0], times[-1]) if times else (None, None)
    return {"requests": requests, "more": more, "since": since, "until": until, "lines": lines}


def _entry(line: bytes) -> tuple[str, str, str, int] | None:
    """Time, method, path and status of an unlisted request."""
    try:
        said = json.loads(line)
        if said["route"] == UNLISTED:
            return str(said["time"]), str(said["method"]), str(said["path"]), int(said["status"])
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    return None

"""What is asked for that no route lists: as the workers count it, and from the end of the router's own access log.

Each worker keeps a bounded count since the table took force (`router.planes.embedded.unlisted`).  Where the workers
write a file (`strangler run --access-log FILE`) its newest part is read as well, in a thread: it knows times, and what
was asked for before.  Both know the same requests, so what the log has is taken from the log alone.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from control.api.context import CONTEXT
from control.api.problems import Problem
from router.core.model import UNLISTED
from router.planes.embedded.unlisted import LONGEST_PATH

MOST_BYTES: Final = 16 * 2**20
"""Of the file, from its end; some sixty thousand requests."""
MOST_KINDS: Final = 20_000
"""Different requests in an answer; the others are counted."""

Json = dict[str, Any]
Kinds = Counter[tuple[str, str, int]]

_MARK: Final = f'"route":"{UNLISTED}"'.encode()


async def unlisted(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    told = await context.unlisted()
    log = await asyncio.to_thread(_logged, context.access_log)
    answers = [answer for answer in told if answer is not None]
    if log is None and not answers:
        raise Problem(503, "no-answer", "no worker says what it was asked for", "see `strangler status`")
    whole = len(answers) == len(told) and (log is not None or not _is_file(context.access_log))
    found = await asyncio.to_thread(merged, answers, log)
    found["whole"] &= whole
    return web.Response(body=json.dumps(found).encode(), content_type="application/json")


def merged(answers: Sequence[Mapping[str, Any]], log: Json | None) -> Json:
    """The log's, and of the workers' counts the kinds that it does not have."""
    kinds: Kinds = Counter()
    for answer in answers:
        for method, path, status, count in answer["found"]:
            kinds[method, path, status] += count
    if log is None:
        more = sum(answer["more"] for answer in answers)
        log = {"requests": [], "more": more, "since": None, "until": None, "lines": 0, "whole": True}
    for each in log["requests"]:
        kinds.pop((each["method"], each["path"][:LONGEST_PATH], each["status"]), None)
    return log | {"requests": sorted(log["requests"] + _requests(kinds), key=lambda each: -each["count"])}


# -- the log -----------------------------------------------------------------------------------------------------------


def _is_file(path: str) -> bool:
    return path not in {"", "-"}


def _logged(path: str) -> Json | None:
    """What the log says; None: there is none, or it cannot be read."""
    if not _is_file(path):
        return None
    try:
        data, whole = _end(path)
    except OSError:
        return None
    return counted(data) | {"whole": whole}


def _end(path: str) -> tuple[bytes, bool]:
    """The newest lines, and whether that is all of the file."""
    with open(path, "rb") as file:  # noqa: PTH123 - what is watched is a name, not a tree
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MOST_BYTES))
        data = file.read(MOST_BYTES)
    return (data, True) if size <= MOST_BYTES else (data.partition(b"\n")[2], False)


def counted(data: bytes) -> Json:
    """The unlisted requests among these lines, by what was asked for and how it was answered."""
    counts: Kinds = Counter()
    since = until = ""
    lines = more = 0
    for line in data.split(b"\n"):
        lines += bool(line)
        if _MARK not in line or (entry := _entry(line)) is None:
            continue
        since, until = min(since or entry[0], entry[0]), max(until, entry[0])  # workers write by turns
        if entry[1:] in counts or len(counts) < MOST_KINDS:
            counts[entry[1:]] += 1
        else:
            more += 1
    span = {"since": since or None, "until": until or None}
    return {"requests": _requests(counts), "more": more, **span, "lines": lines}


def _requests(kinds: Kinds) -> list[Json]:
    """The busiest first."""
    return [
        {"method": method, "path": path, "status": status, "count": count}
        for (method, path, status), count in kinds.most_common()
    ]


def _entry(line: bytes) -> tuple[str, str, str, int] | None:
    """Time, method, path and status of an unlisted request."""
    try:
        said = json.loads(line)
        if said["route"] == UNLISTED:
            return str(said["time"]), str(said["method"]), str(said["path"]), int(said["status"])
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    return None

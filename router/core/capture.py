"""What a worker saw of a request that was copied, and how it travels to whoever compares.

A *frame* is one line of JSON and the bytes of the bodies that the line announces, so that a body is never written as
text.  Three kinds go from a worker to the comparer: a capture, counts, and nothing else; one comes back, for how many
of its requests a route wants legacy to be asked a second time.

    {"op": "capture", "route": "...", ..., "answers": [{"side": "legacy", "status": 200, "size": 17, ...}, ...]}  bodies
    {"op": "counts", "counts": [["GET /a", "full", 12], ...]}
    {"op": "noise", "route": "GET /a", "ppm": 20000}

Both ends hold on to limits: a frame that is larger is an error and ends the connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

MAX_BODY: Final = 256 * 1024
"""Bytes of one body that are kept."""
MAX_HEAD: Final = 512 * 1024
"""Bytes of the line: three heads and a request at their largest."""
MAX_ANSWERS: Final = 3
SOCKET: Final = "shadow.sock"
"""Within the state directory."""


class Who(StrEnum):
    """Whose answer it is."""

    LEGACY = "legacy"
    NEW = "new"
    AGAIN = "again"
    """Legacy's, when it was asked a second time."""


class Count(StrEnum):
    """What became of a request that could have been copied."""

    COPIED = "copied"
    BODY = "body"
    """Its body was longer than is kept."""
    CONDITIONAL = "conditional"
    """It asked for a change since a state that only one side knows."""
    DANGER = "danger"
    """It looked as if it did something."""
    UPGRADE = "upgrade"
    HELD = "held"
    """The route is rolled back: the new side is left alone, by copies as well."""
    LOAD = "load"
    """The worker had enough to do with its users."""
    FULL = "full"
    """As many copies as may be were on their way."""
    LATE = "late"
    """It waited too long for its turn."""
    NOWHERE = "nowhere"
    """The other side has no endpoint that could be asked."""
    SWITCHED = "switched"
    """The user was answered by the other side in the end."""
    UNANSWERED = "unanswered"
    """The user went away before there was an answer to compare with."""
    COMPARER = "comparer"
    """Nobody was there to compare, or not fast enough."""


DROPPED: Final = tuple(count for count in Count if count is not Count.COPIED)


class FrameError(ValueError):
    """The other end does not speak as agreed."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One answer as it was taken down."""

    who: Who
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    truncated: bool = False
    error: str = ""
    seconds: float = 0.0
    """From launch to the last byte."""


@dataclass(frozen=True, slots=True)
class Capture:
    """One request and the answers of both sides, perhaps a second one of legacy."""

    route: str
    revision: int
    share: int
    """In force when it was routed, in ppm."""
    at: float
    """Unix time."""
    request_id: str
    method: str
    host: str
    target: str
    served_by: Who
    """Whose answer the user got."""
    answers: tuple[Taken, ...]
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Of the request; only where samples are wanted."""
    stripped: bool = False
    skew: float = 0.0
    """Seconds between the first launch and the last."""

    def answer(self, who: Who) -> Taken | None:
        return next((each for each in self.answers if each.who is who), None)


def capture_frame(capture: Capture) -> bytes:
    """Line and bodies."""
    head = {
        "op": "capture",
        "route": capture.route,
        "revision": capture.revision,
        "share": capture.share,
        "at": capture.at,
        "id": capture.request_id,
        "method": capture.method,
        "host": capture.host,
        "target": capture.target,
        "served_by": capture.served_by,
        "headers": capture.headers,
        "stripped": capture.stripped,
        "skew": capture.skew,
        "answers": [
            {
                "who": each.who,
                "status": each.status,
                "headers": each.headers,
                "size": len(each.body),
                "truncated": each.truncated,
                "error": each.error,
                "seconds": each.seconds,
            }
            for each in capture.answers
        ],
    }
    return b"".join((_line(head), *(each.body for each in capture.answers)))


def counts_frame(counts: Mapping[tuple[str, Count], int]) -> bytes:
    return _line({"op": "counts", "counts": [[route, count, times] for (route, count), times in counts.items()]})


def noise_frame(route: str, ppm: int) -> bytes:
    """For so many of the route's copies legacy is to be asked twice."""
    return _line({"op": "noise", "route": route, "ppm": ppm})


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of requests, since the last time that it was told."""

    counts: Mapping[tuple[str, Count], int]


@dataclass(frozen=True, slots=True)
class NoiseWish:
    """How often a route wants legacy to be asked twice, in ppm."""

    route: str
    ppm: int


Message = Capture | Counts | NoiseWish


class FrameReader:
    """Takes a stream of frames apart.  Raises FrameError, after which nothing more may be fed."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: dict[str, Any] | None = None
        self._needed = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that these bytes complete."""
        self._data += data
        found: list[Message] = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Message | None:
        if self._head is None and not self._take_head():
            return None
        head = self._head
        if head is None or len(self._data) < self._needed:
            return None
        bodies = bytes(self._data[: self._needed])
        del self._data[: self._needed]
        self._head, self._needed = None, 0
        try:
            return _message(head, bodies)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise FrameError(f"malformed: {error!r}") from None

    def _take_head(self) -> bool:
        end = self._data.find(b"\n", 0, MAX_HEAD)
        if end < 0:
            if len(self._data) >= MAX_HEAD:
                raise FrameError("the line is too long")
            return False
        try:
            head = json.loads(bytes(self._data[:end]))
            sizes = [answer["size"] for answer in head.get("answers", ())]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise FrameError(f"malformed: {error!r}") from None
        if len(sizes) > MAX_ANSWERS or not all(isinstance(size, int) and 0 <= size <= MAX_BODY for size in sizes):
            raise FrameError("the bodies are too large or too many")
        del self._data[: end + 1]
        self._head, self._needed = head, sum(sizes)
        return True


def _message(head: Mapping[str, Any], bodies: bytes) -> Message:
    if head["op"] == "counts":
        return Counts({(str(route), Count(count)): int(times) for route, count, times in head["counts"]})
    if head["op"] == "noise":
        return NoiseWish(str(head["route"]), int(head["ppm"]))
    if head["op"] != "capture":
        raise ValueError(head["op"])
    answers: list[Taken] = []
    begin = 0
    for each in head["answers"]:
        end = begin + each["size"]
        answers.append(
            Taken(
                Who(each["who"]),
                int(each["status"]),
                _headers(each["headers"]),
                bodies[begin:end],
                bool(each["truncated"]),
                str(each["error"]),
                float(each["seconds"]),
            )
        )
        begin = end
    return Capture(
        str(head["route"]),
        int(head["revision"]),
        int(head["share"]),
        float(head["at"]),
        str(head["id"]),
        str(head["method"]),
        str(head["host"]),
        str(head["target"]),
        Who(head["served_by"]),
        tuple(answers),
        _headers(head["headers"]),
        bool(head["stripped"]),
        float(head["skew"]),
    )


def _headers(pairs: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in pairs)

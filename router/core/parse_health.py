"""The `health` of an upstream, and the `breaker` of a route: when a place, or an API, counts as sick.

health:
  path: /healthz            # or `tcp: true`: a connection is enough
  status: 200-399           # or a list such as [200, 204, 300-399]
  body: '"status":"UP"'     # text that a good answer contains
  interval: 2s
  timeout: 1s
  down: 3                   # failures, successes in between do not take them back
  up: 5                     # successes in a row
  min_down: 15s             # doubled by each flap
  ramp: 30s                 # 0: at once
  resume: manual            # or auto

breaker: off                # or what differs: {failures: 50, minimum: 20, window: 10s, hold: 15s, resume: manual}
"""

from __future__ import annotations

import re
from typing import Any, Final

from router.core import values
from router.core.document import Entry, Mapping, Node, Scalar, Sequence
from router.core.model import Breaker, Health, Resume
from router.core.problem import Code, Report
from router.core.schema import (
    Reader,
    boolean,
    choice,
    describe,
    duration,
    fields,
    list_of,
    percent,
    plain_text,
    whole,
    wrong_type,
)

LONGEST_BODY: Final = 256
"""Characters of `body`: a prober keeps little of an answer."""

_STATUSES = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_STATUS_HELP = "write a status, a range such as 200-399, or a list of them"


def health(node: Node, label: str, report: Report) -> Health:
    said = fields(node, label, _HEALTH, report)
    written = {each.key: each for each in node.entries} if isinstance(node, Mapping) else {}
    if said.get("tcp"):
        _check_tcp(written, report)
    if "status" in said:
        said["statuses"] = said.pop("status")
    return Health(**said)


def _check_tcp(written: dict[str, Entry], report: Report) -> None:
    for key in ("path", "status", "body"):
        if key in written:
            what = f"`{key}` is about an HTTP answer, and with `tcp: true` nothing is asked"
            report.problem(written[key], Code.CONTRADICTION, what, "keep one of the two")


def _status_range(node: Node, label: str, report: Report) -> tuple[int, int] | None:
    """A status, or the first and the last of a range."""
    written = node.written if isinstance(node, Scalar) and not isinstance(node.value, bool | float) else ""
    found = _STATUSES.fullmatch(written)
    if found is None or int(found[2] or found[1]) < int(found[1]):
        report.problem(node, Code.BAD_VALUE, f"{label} is {describe(node)}, not a range of statuses", _STATUS_HELP)
        return None
    return int(found[1]), int(found[2] or found[1])


_status_ranges: Final = list_of(_status_range, "200-399", _STATUS_HELP)


def _statuses(node: Node, label: str, report: Report) -> tuple[tuple[int, int], ...] | None:
    if isinstance(node, Sequence):
        return _status_ranges(node, label, report)
    one = _status_range(node, label, report)
    return None if one is None else (one,)


def _body(node: Node, label: str, report: Report) -> str | None:
    value = plain_text(node, label, report)
    if value is not None and len(value) > LONGEST_BODY:
        what = f"{label} has {len(value)} characters"
        report.problem(node, Code.BAD_VALUE, what, f"write at most {LONGEST_BODY} that tell a good answer")
        return None
    return value


_HEALTH: Final[dict[str, Reader[Any]]] = {
    "path": values.probe_path,
    "interval": duration,
    "timeout": duration,
    "down": whole(1, 1000),
    "up": whole(1, 1000),
    "status": _statuses,
    "body": _body,
    "tcp": boolean,
    "min_down": values.limit_time,
    "ramp": values.limit_time,
    "resume": choice(Resume),
}


# ---------------------------------------------------------------------------------------------- of routes


def breaker(node: Node, label: str, report: Report) -> Breaker | bool | None:
    """The breaker, or False for `off`: None would mean that nothing is said."""
    if isinstance(node, Scalar) and (node.value is False or node.value == "off"):
        return False
    if not isinstance(node, Mapping):
        instead = "write `breaker: off`, or what differs: `breaker: {failures: 50, minimum: 20, window: 10s}`"
        wrong_type(node, label, "off or a mapping", instead, report)
        return None
    said = fields(node, label, _BREAKER, report)
    if said.get("failures") == 0:
        what = "`failures: 0` would open the breaker without a failure"
        report.problem(node, Code.CONTRADICTION, what, "write a percentage above 0, or `breaker: off`")
    if "failures" in said:
        said["ratio"] = said.pop("failures")
    return Breaker(**said)


_BREAKER: Final[dict[str, Reader[Any]]] = {
    "failures": percent,
    "minimum": whole(1, 1_000_000),
    "window": duration,
    "hold": duration,
    "resume": choice(Resume),
}

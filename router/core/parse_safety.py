"""The `safety` section of routes.yaml: what a change may do at most.

    safety:
      max_step: 25                        # points by which one change may raise a route
      max_rise: {points: 30, per: 10m}    # and all changes within a time
      max_moved: 10                       # percent of the recent traffic that one change may move to the new side
      max_raised: 50                      # routes that one change may raise
      windows:                            # shares rise only then; lowering is always allowed
        - {days: [mon..fri], from: "09:00", to: "17:00"}
      timezone: Asia/Seoul                # whose clock the windows speak of; UTC if it is not said
      confirm: 10m                        # a loaded file is taken back unless somebody confirms it; true: 10m

What is left out is no rule; the rules themselves are in `router.core.safety`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from router.core.document import Entry, Mapping, Node, Scalar
from router.core.model import Safety, Window
from router.core.problem import Code, Report, show
from router.core.schema import (
    Reader,
    describe,
    duration,
    fields,
    list_of,
    missing,
    percent,
    plain_text,
    text,
    whole,
    wrong_type,
)
from router.core.units import DAYS

MIDNIGHT: Final = 24 * 60
CONFIRM_WITHIN: Final = 600.0
"""Seconds that `confirm: true` means."""

_TIME = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")
_TIME_HELP = 'write hours and minutes such as "09:00", up to "24:00"'
_DAYS_HELP = "write days such as mon, or a span such as mon..fri"
_RISE_HELP = "write `max_rise: {points: 30, per: 10m}`"
_WINDOW_HELP = 'write `{days: [mon..fri], from: "09:00", to: "17:00"}`'


def read_safety(entry: Entry | None, zone_known: Callable[[str], bool], report: Report) -> Safety | None:
    """The section; None when it is not there."""
    if entry is None:
        return None
    readers = _READERS | {"timezone": zone(zone_known)}
    said = fields(entry.value, f"`{entry.key}`", readers, report)
    _check_zone_is_used(entry.value, report)
    if "confirm" in said:
        said["confirm"] = said["confirm"] or None
    said |= said.pop("max_rise", {})
    return Safety(**said)


def _check_zone_is_used(node: Node, report: Report) -> None:
    entries = {each.key: each for each in node.entries} if isinstance(node, Mapping) else {}
    if "timezone" in entries and "windows" not in entries:
        what = "`timezone` says nothing without `windows`"
        report.note(entries["timezone"], Code.NO_EFFECT, what, "remove it, or say when shares may rise")


def _rise(node: Node, label: str, report: Report) -> dict[str, Any] | None:
    if not isinstance(node, Mapping):
        wrong_type(node, label, "a mapping", _RISE_HELP, report)
        return None
    said = fields(node, label, {"points": percent, "per": duration}, report)
    written = {each.key for each in node.entries}
    for key in ("points", "per"):
        if key not in written:
            missing(node, key, label, _RISE_HELP, report)
    if len(said) < 2:
        return None
    return {"max_rise": said["points"], "max_rise_span": said["per"]}


def _confirm(node: Node, label: str, report: Report) -> float | None:
    """Seconds; 0 for never."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return CONFIRM_WITHIN if node.value else 0.0
    return duration(node, label, report)


def zone(known: Callable[[str], bool]) -> Reader[str]:
    """A reader of names of time zones."""

    def read(node: Node, label: str, report: Report) -> str | None:
        value = plain_text(node, label, report)
        if value is None:
            return None
        if _ZONE.fullmatch(value) is None or not known(value):
            what = f"{label} is {show(value)}, which names no time zone that this machine knows"
            report.problem(node, Code.UNKNOWN_NAME, what, "write a name such as Asia/Seoul or UTC")
            return None
        return value

    return read


# -------------------------------------------------------------------------------------------------- windows


def _window(node: Node, label: str, report: Report) -> Window | None:
    if not isinstance(node, Mapping):
        wrong_type(node, label, "a mapping", _WINDOW_HELP, report)
        return None
    said = fields(node, label, _WINDOW, report)
    written = {each.key for each in node.entries}
    for key in ("from", "to"):
        if key not in written:
            missing(node, key, label, _WINDOW_HELP, report)
    days = said.get("days", None if "days" in written else frozenset(range(7)))
    if days is None or "from" not in said or "to" not in said:
        return None
    if said["from"] >= said["to"]:
        instead = "a window ends on the day it begins: write two, up to 24:00 and from 00:00"
        report.problem(node, Code.CONTRADICTION, f"{label} ends before it has begun", instead)
        return None
    return Window(days, said["from"], said["to"])


def _time(node: Node, label: str, report: Report) -> int | None:
    """Minutes of the day.  Without quotes YAML takes 17:00 for 1020: what is written there counts."""
    written = node.written if isinstance(node, Scalar) else ""
    found = _TIME.fullmatch(written)
    minutes = int(found[1]) * 60 + int(found[2]) if found else MIDNIGHT + 1
    if minutes > MIDNIGHT:
        said = show(written) if written else describe(node)
        report.problem(node, Code.BAD_VALUE, f"{label} is {said}, not a time of the day", _TIME_HELP)
        return None
    return minutes


def _span(node: Node, label: str, report: Report) -> frozenset[int] | None:
    """One day, or `mon..fri`; a span may go over the weekend."""
    value = text(node, label, report)
    if value is None:
        return None
    first, dots, last = value.partition("..")
    if first not in DAYS or (dots and last not in DAYS):
        report.problem(node, Code.BAD_VALUE, f"{label} is {show(value)}, not a day", _DAYS_HELP)
        return None
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return frozenset(day % 7 for day in range(begin, end + 1 if end >= begin else end + 8))


_spans: Final = list_of(_span, "mon..fri", "leave `days` out for every day")


def _days(node: Node, label: str, report: Report) -> frozenset[int] | None:
    spans = _spans(node, label, report)
    return None if spans is None else frozenset().union(*spans)


_WINDOW: Final[dict[str, Reader[Any]]] = {"days": _days, "from": _time, "to": _time}
WINDOWS: Final = list_of(_window, "{days: [mon..fri], ...}", "leave `windows` out, shares may rise at any time then")
_READERS: Final[dict[str, Reader[Any]]] = {
    "max_step": percent,
    "max_rise": _rise,
    "max_moved": percent,
    "max_raised": whole(0, 1_000_000),
    "windows": WINDOWS,
    "timezone": plain_text,
    "confirm": _confirm,
}

"""How far the migration is, as lines: the admin address's JSON in, text out.  Nothing here reads or decides."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from control.terminal import Json, Style, more, percent, plain, span, table

SHOWN: Final = 20
"""What is stuck; `--json` has all."""
_BAR: Final = 24
_WORDS: Final = {
    "partial": "stands at {share} since {days} days",
    "shadow": "shadowed since {days} days, and nothing was ever sent",
    "not-begun": "has a new side since {days} days, and nothing was ever sent there",
    "order": "{kind} in force since {days} days: forgotten?",
    "overdue": "{kind} overdue since {days} days",
}


def progress(found: Json, style: Style) -> Iterator[str]:
    """The whole first, then the stages, the groups, and what waits for a person."""
    everything = found["all"]
    yield style.bold(_headline(everything, found["window"]))
    yield from _stages(found, style)
    yield "  " + _forecast(everything)
    yield ""
    yield from _groups(found, style)
    yield ""
    yield from _stuck(found, style)


def _headline(whole: Json, window: float) -> str:
    lately = f"of what came in the last {span(window)} needed no legacy"
    traffic = f"; {percent(whole['traffic'])} {lately}" if whole["traffic"] is not None else ""
    done = f" ({percent(whole['percent'])})" if whole["total"] else ""
    return f"{whole['finished']} of {whole['total']} APIs are finished{done}{traffic}"


def _stages(found: Json, style: Style) -> Iterator[str]:
    """One line a stage that has anything, with a bar."""
    whole = found["all"]
    for stage in found["stages"]:
        count, part = whole["apis"][stage], whole["traffic_by_stage"][stage]
        if not count:
            continue
        number = "?" if stage == "unlisted" else str(count)
        full = 0 if stage == "unlisted" or not whole["total"] else -(-_BAR * count // whole["total"])
        traffic = f"{percent(part)} of the traffic" if part is not None else ""
        yield f"  {stage:<10}{number:>6}  {'█' * full:<{_BAR}}  {style.dim(traffic)}".rstrip()


def _forecast(whole: Json) -> str:
    found = whole["forecast"]
    if found is None:
        return f"no forecast: {whole['no_forecast']}"
    late = f"and {_day(found['latest'])}" if found["latest"] is not None else "and nobody knows when on a bad run"
    pace = f"{found['weekly']:g} a week over the last {found['weeks']} weeks"
    return f"finished about {_day(found['likely'])}: between {_day(found['earliest'])} {late} (80 %; {pace})"


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _groups(found: Json, style: Style) -> Iterator[str]:
    rows = [
        (
            each["group"] or "(none)",
            each["owner"],
            f"{each['finished']}/{each['total']}",
            percent(each["share"]),
            percent(each["traffic"]),
            "-" if each["forecast"] is None else _day(each["forecast"]["likely"]),
        )
        for each in found["groups"]
    ]
    head = ("group", "owner", "finished", "share", "traffic", "forecast")
    yield from table(head, rows, style, right=frozenset({2, 3, 4}))


def _stuck(found: Json, style: Style) -> Iterator[str]:
    if not found["stuck"]:
        yield "nothing is stuck"
        return
    yield style.bold(f"waits for a person ({len(found['stuck']) + found['more_stuck']})")
    for each in found["stuck"][:SHOWN]:
        what = _WORDS[each["why"]].format(days=each["days"], share=percent(each["share"]), kind=each["kind"])
        yield f"  {plain(each['route'] or each['order'])}: {style.warn(what)}"
    yield from more(len(found["stuck"]) + found["more_stuck"] - SHOWN, "  ")

"""Rollouts on a terminal: how they stand, what they would take, and what was judged.  Values in, lines out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any, Final

from control.terminal import Style, ago, more, paragraph, percent, plain, span, table

Json = Mapping[str, Any]

_SHOWN: Final = 40
_SHADOW: Final = "shadow"
_STANDING: Final = ("raising", "judging")
_EXPLANATION: Final = (
    "requests: of the new side, until the step is proven should it fail as often as legacy does.",
    "At the shadow step: copies that are compared, should none differ.",
    "time: what these take at the traffic of the last minute, or the plan's least time if that is longer.",
    "finds: the least rate of failures that so many requests find out; costs: failed requests until then.",
    "A new side that fails half of its requests is found after 3 to 20 failures; at 95 % it takes some hundreds.",
)


def acted(found: Json, style: Style) -> Iterator[str]:
    for run in found["rollouts"]:
        yield from paragraph(f"{run['route']}: {run['text']}", style, "", "  ")


def many(found: Json, style: Style, now: float) -> Iterator[str]:
    """One line for each; those that need somebody first."""
    yield from _unarmed(found, style)
    runs = sorted(found["rollouts"], key=lambda run: (not run["paused"], run["phase"], run["route"]))
    if not runs:
        yield "no rollout was ever started; `strangler rollout start ROUTE --reason TEXT` begins one"
        return
    head = ("ROUTE", "RUN", "STEP", "STATE", "SINCE", "")
    rows = [
        (
            run["route"],
            str(run["run"]),
            f"{run['step']}/{len(run['steps'])} {run['steps'][run['step'] - 1]['name']}",
            "paused" if run["paused"] else run["phase"],
            ago(run["since"], now),
            run["paused"] or run["held"] or "; ".join(run["waits"]) or run["standing"],
        )
        for run in runs
    ]
    yield from table(head, rows, style, right=frozenset({1}), gives=5)


def _unarmed(found: Json, style: Style) -> Iterator[str]:
    if not found["armed"]:
        yield style.bad("the last drill did not find its fault: nothing is promoted (`strangler rollout drill`)")


def one(found: Json, style: Style, now: float) -> Iterator[str]:
    """Everything about one."""
    yield from _unarmed(found, style)
    if not found["rollouts"]:
        yield "no rollout of it was ever started"
    for run in found["rollouts"]:
        name = f"{run['route']}, run {run['run']} of plan {run['plan']}"
        yield style.bold(plain(name)) + f", started {ago(run['started'], now)} by {plain(run['actor'])}"
        yield from paragraph(run["text"], style, "  ")
        yield ""
        for number, step in enumerate(run["steps"], 1):
            mark = ">" if number == run["step"] else " "
            gate = ", a person promotes it" if step["gate"] == "manual" else ""
            yield f"  {mark} {step['name']:>8}  at least {span(step['min_time'])}{gate}"
        if run["verdict"] is not None:
            yield ""
            yield from paragraph(f"judged: {run['verdict']['sentence']}", style, "  ", "    ")
        if run["steps"][run["step"] - 1]["name"] == _SHADOW and run["phase"] in _STANDING:
            yield f"  what was copied, and where answers differ: strangler shadow report {quote(plain(run['route']))}"


def forecast(found: Json, style: Style, *, explain: bool) -> Iterator[str]:
    rate, failing = found["requests_per_second"], percent(found["failing"])
    yield style.bold(plain(found["route"])) + f": {rate:g} requests a second, legacy fails {failing} of them"
    rows = [
        (
            step["name"],
            "-" if step["requests"] is None else f"{step['requests']:,}",
            _time(step["seconds"]),
            percent(step["detectable"]),
            "-" if step["harm"] is None else f"{step['harm']:,}",
        )
        for step in found["steps"]
    ]
    head = ("STEP", "REQUESTS", "TIME", "FINDS", "COSTS")
    yield from table(head, rows, style, right=frozenset({1, 2, 3, 4}))
    yield f"in all: {_time(found['seconds'])}"
    if explain:
        yield ""
        for line in _EXPLANATION:
            yield from paragraph(line, style, "")


def _time(seconds: float | None) -> str:
    return "never at this traffic" if seconds is None else span(seconds)


def calendar(found: Json, style: Style) -> Iterator[str]:
    yield (
        f"{found['week']:,} of {found['routes']:,} routes with a plan within a week, each for itself: "
        f"{found['day']:,} within a day, {found['month']:,} within 30 days"
    )
    slow = found["slow"]
    if slow:
        yield ""
        yield style.bold("too slow on their own traffic:")
        rows = [(each["route"], _time(each["seconds"]), _advice(each)) for each in slow[:_SHOWN]]
        yield from table(("ROUTE", "TIME", ""), rows, style, right=frozenset({1}))
        yield from more(len(slow) - _SHOWN, "  ")


def _advice(each: Json) -> str:
    if each["begin"] is None:
        return "pool it: move it with its group, by a person's promotion"
    return f"start it at {percent(each['begin'])}"


def verdicts(found: Sequence[Json], style: Style) -> Iterator[str]:
    """In the order in which they were found."""
    if not found:
        yield "the recorded evidence says nothing"
    for verdict in found:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(verdict["at"]))
        yield from paragraph(f"{at}  {verdict['sentence']}", style, "", "  ")


def self_test(found: Json, style: Style) -> Iterator[str]:
    if not found["requests"]:
        yield "no evidence of this route was ever recorded; start a rollout at a small share and ask again"
        return
    alarms = found["rollbacks"]
    says = f"{alarms} false rollbacks and {found['holds']} holds in {found['repeats']} repeats"
    yield (style.bad if alarms else style.good)(says)
    traffic = f"{found['requests']:,} requests of legacy, {found['failures']:,} failed"
    yield f"{traffic}; split by chance at {percent(found['share'])}"


def drilled(found: Json, style: Style) -> Iterator[str]:
    if found["fired"]:
        yield style.good(f"the fault was found after {found['failed']} failed requests")
    else:
        yield style.bad(f"the drill failed, nothing is promoted by itself: {plain(found['why'])}")

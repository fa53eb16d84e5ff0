"""What comparing has shown, for people: what is worst comes first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from control.terminal import Style, plain

Json = Mapping[str, Any]

SHOWN: Final = 30
"""Places of a report, unless all are asked for."""
_SEVERITIES: Final = {1: "minor", 2: "major", 3: "critical"}
_LOUD: Final = 0.4
"""Of the comparisons: a rule that hides so much has to be looked at."""


def table(found: Json) -> list[str]:
    """Every route that is shadowed, one a line."""
    rows = found["routes"]
    if not rows:
        return ["no route is shadowed; write `shadow: {percent: 10, compare: true}` in routes.yaml"]
    return [plain(_row(row)) for row in rows]


def _row(row: Json) -> str:
    share = f"{row['percent']:g}%"
    if not row["compare"]:
        return f"{row['route']}  {share} copied, not compared"
    verdicts = row["verdicts"]
    counts = ", ".join(f"{verdicts.get(name, 0)} {name.replace('_', ' ')}" for name in _VERDICTS)
    return f"{row['route']}  {share}  {counts}"


_VERDICTS: Final = ("matched", "mismatched", "not_comparable")


def report(found: Json, style: Style, *, whole: bool) -> list[str]:
    """One route."""
    return list(_report(found, style, whole=whole))


def _report(found: Json, style: Style, *, whole: bool) -> Iterator[str]:
    verdicts, compared = found["verdicts"], found["compared"]
    yield f"{style.bold(found['route'])}: {found['legacy']} against {found['new']}"
    if not compared:
        yield "nothing has been compared yet"
        yield from _copies(found["copies"])
        return
    yield f"{compared} compared since {_time(found['since'])}, the last {_time(found['until'])}"
    for name in _VERDICTS:
        yield f"  {name.replace('_', ' '):15} {verdicts[name]:8}  {_percent(verdicts[name], compared)}"
    for cause, count in found["failures"].items():
        yield f"    of these {cause.replace('_', ' ')}: {count} (who was up, not what was said)"
    yield from _parity(found["parity"])
    yield from _copies(found["copies"])
    yield from _noise(found["noise"])
    yield from _places(found, style, whole=whole)
    yield from _rules(found["rules"], style)


def _parity(parity: Json) -> Iterator[str]:
    if parity["paired"]:
        yield (
            f"legacy was asked twice {parity['paired']} times: only new differed {parity['only_sides']}, "
            f"only legacy from itself {parity['only_noise']}, both {parity['both']}"
        )


def _copies(copies: Json) -> Iterator[str]:
    dropped = {reason: count for reason, count in sorted(copies.items()) if reason != "copied"}
    said = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
    yield f"copies: {copies.get('copied', 0)} made" + (f"; not made or not used: {said}" if said else "")


def _noise(noise: Json) -> Iterator[str]:
    if noise["places"]:
        places = ", ".join(f"{path} ({kind})" for path, kind in noise["places"])
        yield f"noise, where only type and shape count: {places}"


def _places(found: Json, style: Style, *, whole: bool) -> Iterator[str]:
    places = [place for place in found["places"] if place["count"]]
    if not places:
        return
    yield ""
    yield style.bold("where answers differ")
    for place in places if whole else places[:SHOWN]:
        severity = _SEVERITIES[place["severity"]]
        types = ", ".join(f"{pair} {count}" for pair, count in place["types"].items())
        share = _percent(place["count"], found["compared"])
        yield plain(f"  {severity:8} {place['path']}  {place['kind']}  {place['count']} ({share})  {types}")
        yield plain(f"           first {_request(place['first'])}, last {_request(place['last'])}")
        for sample in place["samples"] if whole else place["samples"][-1:]:
            yield plain(f"           {sample['legacy']!r} -> {sample['new']!r}")
            yield plain(f"           {sample['command']}")
    if not whole and len(places) > SHOWN:
        yield f"  ... and {len(places) - SHOWN} more; see --all"


def _rules(rules: list[Json], style: Style) -> Iterator[str]:
    if not rules:
        return
    yield ""
    yield style.bold("rules, and what they hide")
    for rule in rules:
        what = f"  {rule['level']}: {rule['path']} {rule['treat']} ({rule['owner']}, until {rule['until']})"
        if rule["expired"]:
            yield f"{what}  EXPIRED: hides nothing any more"
        else:
            loud = "  look at it: it hides a lot" if rule["share"] >= _LOUD else ""
            yield f"{what}  hid something in {rule['hidden']}, made {rule['saved']} match{loud}"


def _request(mark: list[Any]) -> str:
    return f"{mark[1]} at {_time(mark[0])}"


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}%" if whole else "-"

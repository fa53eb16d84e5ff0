"""Tables: medians, ratios and the page that shows them.

Pure but for reading and writing the results' file.  Ratios are medians of the rounds' own ratios: two peers that were
measured in the same round shared the same disturbances.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.load import Outcome
from bench.measure import Turn

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
STORE = HERE / "results.json"

_HEAD = """\
# Results

Written by `python -m bench`; run it again rather than edit it. Figures are medians over the rounds, in which all
proxies took turns; the range stands in brackets. CPU is user and system time of all of a proxy's processes per
request that wrk counted. A ratio below 1.00 says that strangler costs less CPU than that peer.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the page: any text columns, and what must be said about it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    system = f"{os.cpu_count()} × {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{system}, load {load:.1f} before the run"


def comparison(
    title: str,
    turns: Mapping[str, Sequence[Turn]],
    versions: Mapping[str, str],
    ours: str,
    notes: Sequence[str] = (),
) -> Section:
    """One row per peer, in the order of `versions`; a peer without turns is said to be missing, and why."""
    columns = ["proxy", "version", "CPU µs/request", "req/s", "p50 ms", "p99 ms", "failed", f"{ours} ÷ it"]
    own = turns.get(ours, ())
    rows = [_row(name, version, turns.get(name, ()), own) for name, version in versions.items()]
    return Section(title, columns, rows, notes)


def ratio(own: Sequence[Turn], other: Sequence[Turn]) -> float | None:
    """How many times the CPU of `other` a request costs `own`: the median over rounds that both took part in."""
    pairs = [mine.cpu_us / its.cpu_us for mine, its in zip(own, other, strict=False) if its.cpu_us > 0]
    return median(pairs) if pairs else None


def spread(values: Sequence[float], digits: int) -> str:
    middle, low, high = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"


def latencies(when: str, outcome: Outcome) -> list[tuple[str, str]]:
    return [
        (f"{when}: requests", str(outcome.requests)),
        (f"{when}: failed", str(outcome.failed)),
        (f"{when}: p50 / p99 / slowest", f"{outcome.p50:.2f} / {outcome.p99:.2f} / {outcome.slowest:.2f} ms"),
    ]


def _row(name: str, version: str, turns: Sequence[Turn], own: Sequence[Turn]) -> list[str]:
    if not turns:
        return [name, version, *["–"] * 6]
    compared = ratio(own, turns)
    return [
        name,
        version,
        spread([turn.cpu_us for turn in turns], 1),
        f"{median(turn.rate for turn in turns):.0f}",
        f"{median(turn.outcome.p50 for turn in turns):.2f}",
        f"{median(turn.outcome.p99 for turn in turns):.2f}",
        str(sum(turn.outcome.failed for turn in turns)),
        "–" if compared is None else f"{compared:.2f}",
    ]


# ------------------------------------------------------------------------------------------------------ page


def table(section: Section) -> str:
    widths = [max(map(len, column)) for column in zip(section.columns, *section.rows, strict=True)]
    lines = [section.columns, ["-" * width for width in widths], *section.rows]
    return "\n".join("| " + " | ".join(map(str.ljust, cells, widths)) + " |" for cells in lines)


def page(sections: Mapping[str, Mapping[str, Any]]) -> str:
    return _HEAD + "".join(_chapter(stored) for stored in sections.values())


def save(name: str, section: Section, conditions: str, order: Sequence[str]) -> None:
    """Puts the section in the place of its predecessor of that name; the other sections stay."""
    stored = json.loads(STORE.read_text()) if STORE.exists() else {}
    stored[name] = {**asdict(section), "conditions": conditions}
    sections = {key: stored[key] for key in sorted(stored, key=lambda key: order.index(key) if key in order else 99)}
    STORE.write_text(json.dumps(sections, indent=1, ensure_ascii=False) + "\n")
    RESULTS.write_text(page(sections))


def _chapter(stored: Mapping[str, Any]) -> str:
    section = Section(stored["title"], stored["columns"], stored["rows"], stored["notes"])
    notes = "".join(f"- {note}\n" for note in section.notes)
    return f"\n## {section.title}\n\n{stored['conditions']}\n\n{table(section)}\n" + (f"\n{notes}" if notes else "")

"""What the command line prints: the admin address's JSON in, lines out.  Nothing here reads, waits or decides.

The first line says the most important thing; what an operator must not miss (a refused file, a worker that has not
confirmed, a change that is not recorded) is marked in words, and in colour where there is colour.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = Mapping[str, Any]

SHOWN: Final = 20
"""Routes of one change that are named; `--json` has all."""
_CONTROL: Final = dict.fromkeys((*range(32), *range(0x7F, 0xA0)), "\N{REPLACEMENT CHARACTER}")
_WIDE: Final = frozenset("WF")
_NARROWEST: Final = 12
_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Style:
    """What the terminal can show."""

    colour: bool = False
    width: int = 0
    """In columns; 0: as wide as it gets, nothing is cut."""

    def bold(self, text: str) -> str:
        return self._wrap("1", text)

    def dim(self, text: str) -> str:
        return self._wrap("2", text)

    def good(self, text: str) -> str:
        return self._wrap("32", text)

    def bad(self, text: str) -> str:
        return self._wrap("31;1", text)

    def warn(self, text: str) -> str:
        return self._wrap("33", text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


def plain(text: str) -> str:
    """Somebody's text without anything that a terminal would obey."""
    return text.translate(_CONTROL)


def width_of(text: str) -> int:
    """Columns on a terminal: Hangul and the like take two each."""
    return sum(2 if unicodedata.east_asian_width(char) in _WIDE else 1 for char in text)


def cut(text: str, width: int) -> str:
    """The text, or its beginning with an ellipsis."""
    if width_of(text) <= width:
        return text
    kept = ""
    for char in text:
        if width_of(kept + char) > width - 1:
            break
        kept += char
    return kept + "…"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], style: Style, *, right: frozenset[int]) -> Iterator[str]:
    """Columns as wide as they need; when the terminal is too narrow the first one gives way.  `right`: numbers."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(width_of, column)) for column in zip(head, *cells, strict=True)]
    if style.width:
        rest = sum(widths[1:]) + _GAP * len(widths)
        widths[0] = max(_NARROWEST, min(widths[0], style.width - rest))
    yield style.dim("  " + _row(head, widths, right))
    for row in cells:
        yield "  " + _row([cut(row[0], widths[0]), *row[1:]], widths, right)


def _row(cells: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    padded = []
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        room = " " * (width - width_of(cell))
        padded.append(room + cell if number in right else cell + room)
    return (" " * _GAP).join(padded).rstrip()


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}".rstrip("0").rstrip(".") + " %"


def ago(then: float, now: float) -> str:
    """`2 min ago`, in the largest unit that leaves a number above zero."""
    seconds = max(0, int(now - then))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


# -- what is in force --------------------------------------------------------------------------------------------------


def status(found: Json, style: Style, now: float) -> Iterator[str]:
    """Trouble first, then orders, then routes, then workers."""
    yield style.bold(_headline(found))
    yield from _trouble(found, style, now)
    yield ""
    yield from orders(found["orders"], style, now)
    yield ""
    yield from _routes(found["routes"], style)
    yield ""
    yield from _workers(found, style, now)


def _headline(found: Json) -> str:
    workers, traffic = found["workers"], found["traffic"]
    confirmed = sum(worker["confirmed"] for worker in workers)
    return (
        f"revision {found['revision']}, confirmed by {confirmed} of {len(workers)} workers; "
        f"{traffic['requests_per_second']:g} req/s, {percent(traffic['measured'])} of it new"
    )


def _trouble(found: Json, style: Style, now: float) -> Iterator[str]:
    source = found["source"]
    if source["status"] != "ok":
        good = f" ({ago(source['last_good_at'], now)})" if source["last_good_at"] else ""
        yield style.bad(
            f"!! {plain(source['path'])} is {source['status'].upper()}; the last good one{good} stays in force:"
        )
        yield from (f"   {plain(problem)}" for problem in source["problems"][:SHOWN])
        yield from _more(len(source["problems"]) - SHOWN, "   ")
    if not found["persisted"]:
        yield style.bad("!! the store does not answer: what is in force is NOT RECORDED yet")
    behind = [str(worker["id"]) for worker in found["workers"] if not worker["confirmed"]]
    if behind:
        yield style.bad(f"!! not confirmed by worker {', '.join(behind)}")


def orders(found: Sequence[Json], style: Style, now: float) -> Iterator[str]:
    if not found:
        yield style.bold("no orders in force") + ": every route follows routes.yaml"
        return
    yield style.bold("orders in force")
    rows = [
        (order["id"], order["text"], f"{order['actor']}, {ago(order['created'], now)}", order["reason"])
        for order in reversed(found)
    ]
    yield from table(("order", "what", "by", "why"), rows, Style(style.colour), right=frozenset())


def _routes(found: Sequence[Json], style: Style) -> Iterator[str]:
    yield style.bold(f"{len(found)} routes") if len(found) != 1 else style.bold("1 route")
    if not found:
        return
    rows = [
        (
            route["name"],
            route["group"],
            percent(route["declared"]),
            percent(route["ordered"]),
            percent(route["effective"]),
            _cause(route),
            percent(route["measured"]),
            f"{route['requests_per_second']:.1f}",
        )
        for route in found
    ]
    head = ("route", "group", "declared", "ordered", "effective", "by", "measured", "req/s")
    yield from table(head, rows, style, right=frozenset({2, 3, 4, 6, 7}))


def _cause(route: Json) -> str:
    """Which layer the share comes from, when it is not the file."""
    if route["cause"] == "declared":
        return ""
    return f"{route['cause']} {route['order'] or ''}".strip()


def _workers(found: Json, style: Style, now: float) -> Iterator[str]:
    yield style.bold("workers")
    for worker in found["workers"]:
        line = f"  {worker['id']}  pid {worker['pid']}  revision {worker['revision']}  "
        if worker["confirmed"]:
            yield line + style.good("confirmed")
        elif worker["connected"]:
            yield line + style.bad(f"BEHIND: runs {_runs(worker)}, {found['revision']} is in force")
        else:
            seen = f", last heard of {ago(worker['last_seen'], now)}" if worker["last_seen"] else ""
            yield line + style.bad(f"NOT CONNECTED{seen}")


# -- changes -----------------------------------------------------------------------------------------------------------


def change(found: Json, headline: str, style: Style, now: float) -> Iterator[str]:
    """What went from where to where, every worker's word, and what undoes it."""
    order = found["order"]
    if found["already"]:
        held = f"already held by {order['id']} ({plain(order['actor'])}, {ago(order['created'], now)})"
        yield style.bold(f"{held}: nothing changed, revision {found['revision']}")
    else:
        yield style.bold(f"{headline}, revision {found['revision']}")
    yield from _moves(found["routes"], style)
    yield from (f"  note: {plain(note)}" for note in found["notes"])
    yield from _confirmations(found, style)
    if not found["persisted"]:
        yield style.bad("!! in force, but the store did not answer: NOT RECORDED yet; it will be as soon as it does")


def undo(order: Json) -> str:
    return f"undo: strangler resume {order['id']} --reason '...'"


def _moves(routes: Sequence[Json], style: Style) -> Iterator[str]:
    rows = [(route["name"], percent(route["before"]), "->", percent(route["after"])) for route in routes[:SHOWN]]
    if rows:
        yield from list(table(("route", "before", "", "now"), rows, style, right=frozenset({1, 3})))[1:]
    yield from _more(len(routes) - SHOWN, "  ")


def _more(count: int, indent: str) -> Iterator[str]:
    if count > 0:
        yield f"{indent}and {count} more (--json has all)"


def _confirmations(found: Json, style: Style) -> Iterator[str]:
    for worker in found["workers"]:
        if "ms" in worker:
            yield f"  worker {worker['id']}: " + style.good("confirmed") + f" in {worker['ms']:.1f} ms"
        else:
            why = plain(worker.get("error", "it has not answered"))
            yield f"  worker {worker['id']}: " + style.bad(f"NOT CONFIRMED, runs {_runs(worker)}: {why}")


def _runs(worker: Json) -> str:
    return f"revision {worker['revision']}" if worker["revision"] else "nothing yet"


def stragglers(found: Json) -> list[str]:
    """The workers that have not confirmed, with what they still run."""
    return [f"{worker['id']} (runs {_runs(worker)})" for worker in found["workers"] if "ms" not in worker]


# -- what was ----------------------------------------------------------------------------------------------------------


def history(found: Sequence[Json], style: Style, now: float) -> Iterator[str]:
    rows = [
        (
            str(each["revision"]),
            ago(each["at"], now),
            each["actor"],
            each["source"],
            str(each["changed_routes"]),
            each["summary"] + (f" ({each['reason']})" if each["reason"] else ""),
        )
        for each in found
    ]
    head = ("revision", "when", "who", "by", "routes", "what")
    yield from table(head, rows, Style(style.colour), right=frozenset({0, 4}))


def revision(found: Json, style: Style, now: float) -> Iterator[str]:
    yield style.bold(f"revision {found['revision']}, {ago(found['at'], now)}, by {plain(found['actor'])}")
    if found["reason"]:
        yield f"  why: {plain(found['reason'])}"
    yield f"  from: {found['source']}" + (f", order {found['order']}" if found["order"] else "")
    yield f"  hash: {found['hash']}"
    yield from (f"  {plain(line)}" for line in found["lines"])


def plan(found: Json, style: Style) -> Iterator[str]:
    """What a file would change."""
    if not found["changes"] and not found["routes"]:
        yield style.bold(f"nothing would change against revision {found['revision']}")
    else:
        yield style.bold(f"against revision {found['revision']}:")
    yield from (f"  {plain(line)}" for line in found["changes"])
    yield from _more(found["more_changes"], "  ")
    if found["routes"]:
        yield style.bold("shares in force:")
        yield from _moves(found["routes"], style)
    moved = found["traffic_changing_side"]
    if moved is not None:
        yield f"{percent(moved)} of the last minute's requests would change side"
    yield from (
        f"{each['order']} would give way to the file for {plain(each['route'])}" for each in found["superseded"]
    )
    yield from (style.bad(f"!! would be refused as a mass removal: {plain(why)}") for why in found["mass_removal"])
    yield from (f"note: {plain(note)}" for note in found["notes"])


# -- why ---------------------------------------------------------------------------------------------------------------


def explanation(found: Json, style: Style) -> Iterator[str]:
    """Where it goes and why, from the answer down to everything that took part."""
    side = found["side"] or "refused"
    yield style.bold(f"{found['method']} {plain(found['path'])} -> {side}") + f": {plain(found['why'])}"
    facts = [
        ("route", found["route"] + (f" (group {found['group']})" if found["group"] else "")),
        ("upstream", _upstream(found)),
        ("host", found["host"]),
        ("normalised", found["normalised"] if found["normalised"] != found["path"] else ""),
        ("subject", _subject(found)),
        ("bucket", _bucket(found)),
        ("override", found["override"]),
        ("share", percent(found["share"]) if found["layers"] else ""),
        ("reason", found["reason"]),
        ("hint", found["hint"]),
    ]
    yield from (f"  {name:<12}{plain(value)}" for name, value in facts if value)
    yield from _layers(found["layers"], style)
    yield from _candidates(found["candidates"], style)


def _upstream(found: Json) -> str:
    if not found["upstream"]:
        return ""
    site = f" at {found['site']}" if found["site"] else ""
    return f"{found['upstream']}{site} ({', '.join(found['endpoints'])})"


def _subject(found: Json) -> str:
    if not found["chain"]:
        return ""
    if found["subject"] is None:
        return f"none: {found['subject_source']} (chain: {', '.join(found['chain'])})"
    return f"{found['subject']}, from {found['subject_source']} (chain: {', '.join(found['chain'])})"


def _bucket(found: Json) -> str:
    if found["bucket"] is None or found["flips_at"] is None:
        return "" if found["bucket"] is None else f"{found['bucket']:,} of 1,000,000"
    to = "legacy below" if found["side"] == "new" else "new at"
    return f"{found['bucket']:,} of 1,000,000; flips to {to} {percent(found['flips_at'])}"


def _layers(layers: Sequence[Json], style: Style) -> Iterator[str]:
    if layers:
        yield style.bold("the share, layer by layer")
    for layer in layers:
        name = f"{layer['layer']} {layer['order']}".strip()
        line = f"  {name:<16}{percent(layer['share']):>10}  {plain(layer['why'])}"
        yield f"{line}  " + style.good("<- rules") if layer["rules"] else line


def _candidates(candidates: Sequence[Json], style: Style) -> Iterator[str]:
    if not candidates:
        yield style.bold("no route fits this path")
        return
    yield style.bold("candidates, closest first")
    for candidate in candidates:
        mark = style.good("*") if candidate["won"] else " "
        yield f"  {mark} {plain(candidate['route'])}: {plain(candidate['why'])}"


# -- trouble -----------------------------------------------------------------------------------------------------------


def problem(found: Json) -> Iterator[str]:
    """A refusal, in the order in which people read: what, what instead, the list."""
    place = f"{found['field']}: " if found.get("field") else ""
    instead = f"; {found['instead']}" if found.get("instead") else ""
    reference = f" (id {found['id']})" if found.get("id") else ""
    yield plain(f"{place}{found.get('detail') or found.get('title')}{instead}{reference}")
    yield from (f"  {plain(line)}" for line in found.get("problems", ()))

"""What is in force and what was, as lines: the admin address's JSON in, text out.  Nothing here reads or decides.

The first line says the most important thing; what an operator must not miss (a refused file, a worker that has not
confirmed, a rollback that is overdue, an order on trial) is marked in words, and in colour where there is colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from control import render_places
from control.render_changes import confirm_by, moves, runs, violation
from control.terminal import Json, Style, ago, more, paragraph, percent, plain, span, table, width_of

SHOWN: Final = 20
"""Problems of a file, and orders in a status; `--json` has all."""
SOON: Final = 1800.0
"""Seconds before its end at which an order is marked."""
_ROOM: Final = 26
"""Columns that names of routes should have before other columns are left out."""

# -- what is in force --------------------------------------------------------------------------------------------------


def status(found: Json, style: Style, now: float) -> Iterator[str]:
    """Trouble first, then orders, then routes, then workers."""
    yield style.bold(_headline(found))
    yield from _trouble(found, style, now)
    yield from render_places.summary(found["places"], style, now)
    yield ""
    yield from orders(found["orders"], style, now, most=SHOWN)
    yield ""
    yield from _routes(found["routes"], style)
    yield ""
    yield from _workers(found, style, now)
    yield from _exercised(found, now)


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
        yield from more(len(source["problems"]) - SHOWN, "   ")
    elif source.get("confirm_until"):
        yield style.warn(f"!! {plain(source['path'])} is {confirm_by(source['confirm_until'], now, 'file')}")
    if not found["persisted"]:
        yield style.bad("!! the store does not answer: what is in force is NOT RECORDED yet")
    behind = [str(worker["id"]) for worker in found["workers"] if not worker["confirmed"]]
    if behind:
        yield style.bad(f"!! not confirmed by worker {', '.join(behind)}")


def orders(found: Sequence[Json], style: Style, now: float, *, most: int = 0) -> Iterator[str]:
    """The newest first, but what needs a person before everything else.  `most`: no more than that; 0 for all."""
    if not found:
        yield style.bold("no orders in force") + ": every route follows routes.yaml"
        return
    yield style.bold(f"orders in force ({len(found)})")
    ordered = sorted(found, key=lambda order: (_urgency(order, now), -order["created"]))
    for order in ordered[: most or None]:
        yield from _order(order, style, now)
    if most and len(found) > most:
        yield f"  and {len(found) - most} more: strangler orders"


def _urgency(order: Json, now: float) -> int:
    """0: its time has come; 1: it is on trial; 2: it ends soon; 3: nothing special."""
    if "expires" not in order:
        return 3
    left = order["expires"] - now
    return 0 if left <= 0 else 1 if order["provisional"] else 2 if left <= SOON else 3


def _order(order: Json, style: Style, now: float) -> Iterator[str]:
    """Who ordered what when on one line, why on the next."""
    left = f"  {order['id']:<5} {plain(order['text'])}"
    who = f"{plain(order['actor'])}, {ago(order['created'], now)}"
    gap = max(2, (style.width or 80) - width_of(left) - width_of(who))
    yield f"{left}{' ' * gap}{style.dim(who)}"
    yield from paragraph(order["reason"], style, " " * 8)
    if "easing" in order:
        left = f"at most {percent(order['easing']['leaves'])} is left, 0 in {span(order['easing']['ends'] - now)}"
        yield " " * 8 + style.warn(f"{left}; strangler rollback without --over brings the rest at once")
    if "expires" in order:
        yield " " * 8 + _end(order, style, now)


def _end(order: Json, style: Style, now: float) -> str:
    left = order["expires"] - now
    if left <= 0 and order["kind"] == "rollback":
        return style.bad(f"!! OVERDUE for {span(-left)}: it holds until strangler resume {order['id']}")
    if left <= 0:
        return style.bad(f"!! OVERDUE for {span(-left)}: a freeze holds it")
    if order["provisional"]:
        return style.warn(f"!! ON TRIAL: ends in {span(left)} unless strangler confirm {order['id']}")
    then = f", then {order['stands_in_for']} holds again" if "stands_in_for" in order else ""
    what = "due" if order["kind"] == "rollback" else "ends"
    line = f"{what} in {span(left)}{then}"
    return style.warn(line) if left <= SOON else line


def _routes(found: Sequence[Json], style: Style) -> Iterator[str]:
    """Shares in percent of the new side.  Columns that say nothing are left out when there is little room."""
    yield style.bold(f"{len(found)} routes") if len(found) != 1 else style.bold("1 route")
    if not found:
        return
    columns = _columns(found)
    head = ("route", *columns)
    rows = [(route["name"], *(column[number] for column in columns.values())) for number, route in enumerate(found)]
    while style.width and len(head) > 5 and _room(head, rows, style) < min(_ROOM, max(map(len, _names(found)))):
        spare = head.index(next(name for name in ("group", "ordered", "by", "declared") if name in head))
        head = (*head[:spare], *head[spare + 1 :])
        rows = [(*row[:spare], *row[spare + 1 :]) for row in rows]
    right = frozenset(number for number, name in enumerate(head) if name not in {"route", "group", "by"})
    yield from table(head, rows, style, right=right)


def _columns(found: Sequence[Json]) -> dict[str, list[str]]:
    """All but the names; empty ones are left out."""
    every = {
        "group": [route["group"] for route in found],
        "declared": [percent(route["declared"]) for route in found],
        "ordered": [percent(route["ordered"]) if route["ordered"] is not None else "" for route in found],
        "effective": [percent(route["effective"]) for route in found],
        "by": [_cause(route) for route in found],
        "measured": [percent(route["measured"]) for route in found],
        "req/s": [f"{route['requests_per_second']:.1f}" for route in found],
    }
    return {name: cells for name, cells in every.items() if any(cells)}


def _names(found: Sequence[Json]) -> list[str]:
    return [route["name"] for route in found]


def _room(head: Sequence[str], rows: Sequence[Sequence[str]], style: Style) -> int:
    """Columns left for the names."""
    taken = sum(2 + max(map(width_of, column)) for column in list(zip(head, *rows, strict=True))[1:])
    return style.width - 2 - taken


def _cause(route: Json) -> str:
    """Which order or layer the share comes from, when it is not the file."""
    return "" if route["cause"] == "declared" else route["order"] or route["cause"]


def _workers(found: Json, style: Style, now: float) -> Iterator[str]:
    yield style.bold("workers")
    for worker in found["workers"]:
        line = f"  {worker['id']}  pid {worker['pid']}  revision {worker['revision']}  "
        if worker["confirmed"]:
            yield line + style.good("confirmed")
        elif worker["connected"]:
            yield line + style.bad(f"BEHIND: runs {runs(worker)}, {found['revision']} is in force")
        else:
            seen = f", last heard of {ago(worker['last_seen'], now)}" if worker["last_seen"] else ""
            yield line + style.bad(f"NOT CONNECTED{seen}")


def _exercised(found: Json, now: float) -> Iterator[str]:
    """A rollback that nobody has tried for weeks is one that nobody should trust."""
    last = found.get("exercised")
    if last is None:
        yield "  rollback was not exercised lately: try `strangler drill ROUTE`"
    else:
        why = f": {plain(last['reason'])}" if last["reason"] else ""
        yield f"  rollback last exercised {ago(last['at'], now)} ({last['order']}, {plain(last['actor'])}{why})"


# -- what was ----------------------------------------------------------------------------------------------------------


def history(found: Sequence[Json], style: Style, now: float) -> Iterator[str]:
    """One line each; when there is little room the last column is cut, `strangler show` has it whole."""
    rows = [
        (
            str(each["revision"]),
            ago(each["at"], now),
            each["actor"],
            str(each["changed_routes"]),
            (each["summary"] or each["source"]) + (f" ({each['reason']})" if each["reason"] else ""),
        )
        for each in found
    ]
    head = ("revision", "when", "who", "routes", "what")
    yield from table(head, rows, style, right=frozenset({0, 3}), gives=4)


def revision(found: Json, style: Style, now: float) -> Iterator[str]:
    yield style.bold(f"revision {found['revision']}, {ago(found['at'], now)}, by {plain(found['actor'])}")
    if found["reason"]:
        yield f"  why: {plain(found['reason'])}"
    yield f"  from: {found['source']}" + (f", order {found['order']}" if found["order"] else "")
    yield f"  hash: {found['hash']}"
    for each in found.get("overridden", ()):
        yield style.warn(f"  overridden: {each['rule']} ({plain(each['reason'])})")
    yield from (f"  {plain(line)}" for line in found["lines"])


def plan(found: Json, style: Style) -> Iterator[str]:
    """What a file would change, how many would notice, and whether it would pass."""
    if not found["changes"] and not found["routes"]:
        yield style.bold(f"nothing would change against revision {found['revision']}")
    else:
        yield style.bold(f"against revision {found['revision']}:")
    yield from (f"  {plain(line)}" for line in found["changes"])
    yield from more(found["more_changes"], "  ")
    if found["routes"]:
        yield style.bold("shares in force:")
        yield from moves(found["routes"], style)
        yield style.bold("who would notice:")
        yield from _notice(found)
    yield from (
        f"{each['order']} would give way to the file for {plain(each['route'])}" for each in found["superseded"]
    )
    if found["confirm_within"]:
        yield f"it would have to be confirmed within {span(found['confirm_within'])} (strangler confirm file)"
    for note in found["notes"]:
        yield from paragraph(f"note: {note}", style, "", "      ")
    yield from (style.bad(f"!! would be refused as a mass removal: {plain(why)}") for why in found["mass_removal"])
    if found["violations"]:
        yield style.bad("!! would be refused by the safety rules:")
    for each in found["violations"]:
        yield from violation(each)


def _notice(found: Json) -> Iterator[str]:
    moved = found["traffic_changing_side"]
    if moved is None:
        yield "  no traffic within the last minute to compare with"
    else:
        to_new = found["traffic_to_new"]
        yield f"  {percent(moved)} of the last minute's requests change side, {percent(to_new)} of them to new"
    subjects = found["subjects_per_million"]
    yield f"  {subjects:,} in a million subjects move somewhere ({percent(subjects / 10_000)})"
    by_seed = sorted(found["subjects_by_seed"].items(), key=lambda each: -each[1])
    if len(by_seed) > 1:
        yield from (f"    {count:>9,}  {plain(seed)}" for seed, count in by_seed[:SHOWN])
        yield from more(len(by_seed) - SHOWN, "    ")


def difference(found: Json, style: Style) -> Iterator[str]:
    """From one revision to another: the file, the orders, the shares that follow."""
    empty = not (found["changes"] or found["routes"] or found["orders_gone"] or found["orders_given"])
    what = "nothing differs" if empty else "what differs"
    yield style.bold(f"from revision {found['from']} to {found['to']}: {what}")
    if found["changes"]:
        yield "routes.yaml"
        yield from (f"  {plain(line)}" for line in found["changes"])
        yield from more(found["more_changes"], "  ")
    if found["orders_gone"] or found["orders_given"]:
        yield "orders"
    for sign, orders in (("-", found["orders_gone"]), ("+", found["orders_given"])):
        for order in orders:
            yield f"  {sign} {order['id']:<5} {plain(order['text'])}"
            yield from paragraph(f"{order['actor']}: {order['reason']}", style, " " * 10)
    if found["routes"]:
        yield "shares in force"
        yield from moves(found["routes"], style)


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
        ("health", found["health"]),
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

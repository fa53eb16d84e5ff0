"""Sites and endpoints as lines: the admin address's JSON in, text out.  What needs a person is marked in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from control.terminal import Style, more, paragraph, percent, plain, span, table

Json = dict[str, Any]

SHOWN: Final = 20
"""Targets and changes of one kind; `--json` has all."""
_CLOSED: Final = frozenset({"off", "drain", "rollback"})


def sites(found: Json, style: Style, now: float) -> Iterator[str]:
    """Sites with their targets, then endpoints without a site, then what all that changes."""
    if not found["sites"]:
        yield style.bold("no sites")
    for site in found["sites"]:
        yield from _site(site, style, now)
    if found["endpoints"]:
        yield style.bold("endpoints without a site")
        yield from _targets(found["endpoints"], style, now)
    yield from changes(found["changes"], style)


def _site(site: Json, style: Style, now: float) -> Iterator[str]:
    yield f"{style.bold(plain(site['name']))}  {_state(site, style)}, {site['up']} of {site['of']} up"
    if site["order"] is not None:
        yield from paragraph(f"{site['order']}: {site['reason']}", style, "  ")
    if site["state"] in _CLOSED:
        yield f"  {under_way(site)}"
    yield f"  weight {site['weight']}, capacity {site['capacity']} %: {_upstreams(site['upstreams'])}"
    yield from _targets(site["targets"], style, now)


def _state(site: Json, style: Style) -> str:
    words = {
        "up": style.good("up"),
        "degraded": style.warn("DEGRADED"),
        "down": style.bad("DOWN"),
        "drain": style.warn("DRAINED"),
        "off": style.warn("OFF"),
        "rollback": style.warn("ROLLED BACK"),
    }
    return words[site["state"]]


def under_way(site: Json) -> str:
    """What is left at a site; where the workers do not say more, its connections."""
    if not left(site):
        return "nothing is under way there any more"
    if site["exchanges"] is None:
        return f"{_count(site['connections'], 'connection')} to it still open, idle ones included"
    return f"{_count(site['exchanges'], 'exchange')} and {_count(site['tunnels'], 'tunnel')} still there"


def left(site: Json) -> int:
    """How much of it."""
    under_way: int = site["connections"] if site["exchanges"] is None else site["exchanges"] + site["tunnels"]
    return under_way


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _upstreams(upstreams: Sequence[Json]) -> str:
    said = (
        f"{each['upstream']} {percent(each['weight'])}"
        + (f" ({percent(each['healthy'])} healthy)" if each["healthy"] < 100 else "")
        for each in upstreams
    )
    return plain(", ".join(said)) or "no upstream lives there"


def _targets(targets: Sequence[Json], style: Style, now: float) -> Iterator[str]:
    head = ("endpoint", "upstream", "status", "for", "takes")
    rows = [
        (
            each["endpoint"] + (f" at {each['address']}" if each["address"] else ""),
            each["upstream"],
            each["status"] if each["probed"] else f"{each['status']}, not probed",
            span(max(0.0, now - each["since"])),
            percent(each["level"]),
        )
        for each in targets
    ]
    yield from table(head, rows, style, right=frozenset({3, 4}))
    for each in [each for each in targets if each["status"] == "down"][:SHOWN]:
        yield "  " + down(each, style, now)


def down(target: Json, style: Style, now: float) -> str:
    """One line about a target that is down."""
    where = plain(target["endpoint"] + (f" at {target['address']}" if target["address"] else ""))
    why = f": {plain(target['why'])}" if target["why"] else ""
    since = span(max(0.0, now - target["since"]))
    return style.bad(f"!! {where} is DOWN for {since}{why}") + f"; {_back(target, now)}"


def _back(target: Json, now: float) -> str:
    if target["held"]:
        return f"held: strangler on {plain(target['site'] or target['endpoint'])}"
    left = (target["back_at"] or now) - now
    when = f"in {span(left)} at the earliest" if left > 0 else "as soon as"
    if not target["probed"]:
        return f"tried again {when}" if left > 0 else "tried again in a moment"
    return f"back {when}, when probes succeed" if left > 0 else f"back {when} probes succeed"


def changes(found: Sequence[Json], style: Style) -> Iterator[str]:
    """Where requests go elsewhere than ordered, and why."""
    if found:
        yield style.bold("because of that")
    for each in found[:SHOWN]:
        names = ", ".join(each["routes"][:5]) + (f" and {each['count'] - 5} more" if each["count"] > 5 else "")
        yield from paragraph(f"{names}: {each['text']}", style, "  ", "    ")
    yield from more(len(found) - SHOWN, "  ")


def summary(places: Json, style: Style, now: float) -> Iterator[str]:
    """The lines of a status: only what is not as it should be."""
    for site in places["sites"]:
        if site["state"] in {"down", "degraded"}:
            yield style.bad(f"!! the site {plain(site['name'])} is {site['state'].upper()}")
    for target in places["down"][:SHOWN]:
        yield down(target, style, now)
    yield from more(len(places["down"]) - SHOWN, "")
    yield from changes(places["changes"], style)

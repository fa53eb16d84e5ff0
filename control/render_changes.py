"""What a change did, as lines: from where to where, every worker's word, what traffic says, and the way back.

Refusals and events are written here as well.  Nothing here reads, waits or decides.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from control.terminal import Json, Style, ago, more, percent, plain, span, table

SHOWN: Final = 20
"""Routes of one change that are named; `--json` has all."""
_NAMED: Final = 3
"""Skipped routes that are named for each reason."""


def change(found: Json, headline: str, style: Style, now: float) -> Iterator[str]:
    """What went from where to where, every worker's word, and what else should be known."""
    order = found["order"]
    if found["already"]:
        held = f"already held by {order['id']} ({plain(order['actor'])}, {ago(order['created'], now)})"
        yield style.bold(f"{held}: nothing changed, revision {found['revision']}")
    else:
        yield style.bold(f"{plain(headline)}, revision {found['revision']}")
    yield from moves(found["routes"], style)
    yield from _notes(found, style, now)
    yield from _confirmations(found, style)
    if not found["persisted"]:
        yield style.bad("!! in force, but the store did not answer: NOT RECORDED yet; it will be as soon as it does")


def _notes(found: Json, style: Style, now: float) -> Iterator[str]:
    yield from (f"  note: {plain(note)}" for note in found["notes"])
    for each in found.get("overridden", ()):
        yield style.warn(f"  overridden: {each['rule']}: {plain(each['detail'])}; it is on record")
    order = found["order"]
    until = found.get("confirm_until")
    if until:
        yield style.warn(f"  {confirm_by(until, now, order['id'] if order else 'file')}")
    elif order and order["id"] != found.get("lifted") and order.get("expires", 0) > now:
        left = span(order["expires"] - now)
        yield f"  due in {left}; it holds all the same" if order["kind"] == "rollback" else f"  ends in {left}"


def confirm_by(until: float, now: float, name: str) -> str:
    """What somebody has to do, and by when."""
    at = time.strftime("%H:%M:%S", time.localtime(until))
    return f"ON TRIAL: taken back in {span(until - now)} (at {at}) unless strangler confirm {name}"


def undo(order: Json) -> str:
    return f"strangler resume {order['id']} --reason '...'"


def moves(routes: Sequence[Json], style: Style) -> Iterator[str]:
    """`product  25 % -> 0 %`."""
    rows = [(route["name"], percent(route["before"]), "->", percent(route["after"])) for route in routes[:SHOWN]]
    if rows:
        yield from table(("", "", "", ""), rows, style, right=frozenset({1, 3}))
    yield from more(len(routes) - SHOWN, "  ")


def _confirmations(found: Json, style: Style) -> Iterator[str]:
    for worker in found["workers"]:
        if "ms" in worker:
            yield f"  worker {worker['id']}: " + style.good("confirmed") + f" in {worker['ms']:.1f} ms"
        else:
            why = plain(worker.get("error", "it has not answered"))
            yield f"  worker {worker['id']}: " + style.bad(f"NOT CONFIRMED, runs {runs(worker)}: {why}")


def runs(worker: Json) -> str:
    return f"revision {worker['revision']}" if worker["revision"] else "nothing yet"


def stragglers(found: Json) -> list[str]:
    """The workers that have not confirmed, with what they still run."""
    return [f"{worker['id']} (runs {runs(worker)})" for worker in found["workers"] if "ms" not in worker]


# -- rollback ----------------------------------------------------------------------------------------------------------


def rollback(found: Json, style: Style, now: float) -> Iterator[str]:
    """A change like others, and what it left out."""
    what = ", ".join(f"{each['text'].partition(' ')[2].partition(',')[0]} ({each['id']})" for each in found["orders"])
    steps = any("easing" in order for order in found["orders"])
    done = "on the way back to legacy" if steps else "rolled back to legacy"
    yield from change(found, f"{done}: {what} in {found['ms']:.0f} ms", style, now)
    yield from _skipped(found["skipped"])


def _skipped(skipped: Sequence[Json]) -> Iterator[str]:
    counts = Counter(each["why"] for each in skipped)
    for why, count in counts.items():
        names = [plain(each["name"]) for each in skipped if each["why"] == why][:_NAMED]
        others = f" and {count - _NAMED} more" if count > _NAMED else ""
        yield f"  skipped: {', '.join(names)}{others}: {plain(why)}"


def proof(found: Json, proof: Json, style: Style) -> Iterator[str]:
    """What the counters of the workers say after it, and whether legacy can bear it."""
    yield style.bold("traffic")
    yield from _new_side(proof, style)
    legacy = found["legacy"]
    now, returning, highest = legacy["requests_per_second"], legacy["returning"], legacy["highest"]
    yield f"  legacy: {now:g} req/s, and {returning:g} req/s come back to it: {now + returning:g}"
    if not legacy["highest_over"]:
        yield "          how much it can bear is not known: nobody has looked long enough"
    elif legacy["above_highest"]:
        lately = span(legacy["highest_over"])
        yield style.bad(f"  !! that is MORE than legacy served in the last {lately} (at most {highest:g} req/s)")
        yield "     if it falters: resume with a small --weight; --over 20s is gentler"
    else:
        yield f"          it served up to {highest:g} req/s in the last {span(legacy['highest_over'])}"


def _new_side(proof: Json, style: Style) -> Iterator[str]:
    new = proof["new_side"]
    if new is None:
        yield style.warn(f"  new side: not known ({plain(proof['why'])}); see strangler status")
        return
    quiet = not new["answered_per_second"] and not new["in_flight"]
    rate = f"{new['answered_per_second']:g} req/s"
    flight = "" if new["in_flight"] is None else f", {_count(new['in_flight'], 'exchange')} in flight"
    tunnels = "" if new["tunnels"] is None else f", {_count(new['tunnels'], 'tunnel')} open"
    line = f"  new side: {rate}{flight}{tunnels} after {new['after']:.1f} s"
    yield style.good(line) if quiet else style.warn(line)
    if new["tunnels"]:
        yield f"            tunnels are closed within {span(new['tunnel_drain'])}"
    if not quiet:
        yield "            exchanges that began there end there; see strangler status"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# -- trouble -----------------------------------------------------------------------------------------------------------


def problem(found: Json, again: str = "") -> Iterator[str]:
    """A refusal, in the order in which people read: what, what instead, the list.  `again`: a command with a share."""
    if found.get("violations"):
        yield from _unsafe(found, again)
        return
    place = f"{found['field']}: " if found.get("field") else ""
    instead = f"; {found['instead']}" if found.get("instead") else ""
    reference = f" (id {found['id']})" if found.get("id") else ""
    yield plain(f"{place}{found.get('detail') or found.get('title')}{instead}{reference}")
    yield from (f"  {plain(line)}" for line in found.get("problems", ()))


def _unsafe(found: Json, again: str) -> Iterator[str]:
    violations = found["violations"]
    rules = list(dict.fromkeys(each["rule"] for each in violations))
    yield f"by the safety rules ({', '.join(rules)}); nothing is changed"
    for each in violations[:SHOWN]:
        yield from violation(each)
    yield from more(len(violations) - SHOWN, "  ")
    if found.get("allowed") is not None and again:
        yield f"allowed:  {again} {found['allowed']:g} --reason '...'"
    yield f"or once:  --override {' --override '.join(rules)}   (the reason goes on record)"


def violation(each: Json) -> Iterator[str]:
    """One broken rule: where, what, and what would be allowed."""
    line = f" (routes.yaml:{each['line']})" if each["line"] else ""
    where = f"{plain(each['route'])}{line}: " if each["route"] else ""
    yield f"  {each['rule']}: {where}{plain(each['detail'])}"
    if each["allowed"] is not None:
        yield f"    {percent(each['allowed'])} would be allowed"


# -- events ------------------------------------------------------------------------------------------------------------

_LOUD: Final = frozenset(
    {
        "config.refused",
        "config.missing",
        "config.taken_back",
        "change.unconfirmed",
        "order.overdue",
        "store.failed",
        "worker.lost",
        "worker.refused",
        "events.dropped",
        "admin.failed",
    }
)
_NOTICED: Final = frozenset({"order.ends_soon", "order.lapsed", "order.refused", "order.superseded"})


def event(name: str, fields: Json, style: Style) -> str:
    """`17:03:22  order.accepted   R-12 rollback group=catalog by kim: prices odd`."""
    at = time.strftime("%H:%M:%S", time.localtime(fields["at"])) if "at" in fields else "        "
    paint = style.bad if name in _LOUD else style.warn if name in _NOTICED else style.bold
    return f"{style.dim(at)}  {paint(f'{name:<18}')} {_details(fields)}".rstrip()


def _details(fields: Json) -> str:
    """What an order is about comes first; the rest as it is."""
    first = [str(fields[name]) for name in ("order", "action", "target") if fields.get(name)]
    who = f"by {fields['actor']}" if fields.get("actor") else ""
    why = f": {fields['reason']}" if fields.get("reason") else ""
    known = {"at", "order", "action", "target", "actor", "reason"}
    rest = (f"{name}={_value(value)}" for name, value in fields.items() if name not in known and value not in _EMPTY)
    return plain(" ".join(filter(None, (*first, who + why, *rest))))


_EMPTY: Final[tuple[Any, ...]] = (None, "", [], ())


def _value(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return str(value)

"""Evidence as JSON and back: the lines of the event log, from which every verdict can be computed anew.

Reading trusts nothing: a number that is none, a count below zero or more errors than trials is a `BadRecord` that says
which.  What is zero is not written, so that a quiet route costs few bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from rollout.core.evidence import (
    NO_SLOW,
    Batch,
    Counts,
    Epoch,
    Evidence,
    Mark,
    Shadowed,
    Step,
    Tally,
    Tolerance,
    merge,
)
from router.core.census import LIMITS
from router.core.clients import Firsts
from router.core.model import PPM

MOST: Final = 1 << 53
"""No count is larger: beyond it a double would not hold it."""
LONGEST_ID: Final = 256
LARGEST_RATIO: Final = 1000


class BadRecord(ValueError):
    """A record of the event log or of the store is not what it claims to be."""


# ----------------------------------------------------------------------------------------------------- writing


def tally_json(tally: Tally) -> Any:
    """`3` or `[3, [at, id], [at, id]]`: most tallies are bare counts."""
    if tally.first is None and tally.last is None:
        return tally.count
    return [tally.count, *(list(mark) if mark else None for mark in (tally.first, tally.last))]


def counts_json(counts: Counts) -> dict[str, Any]:
    """Only what is not zero, so that a quiet route costs few bytes."""
    numbers = {
        name: getattr(counts, name)
        for name in ("requests", "failures", "trials", "timed", "aborted", "clients", "elsewhere")
    }
    document = {name: number for name, number in numbers.items() if number}
    if counts.errors != Tally():
        document["errors"] = tally_json(counts.errors)
    if counts.slow != NO_SLOW:
        document["slow"] = [tally_json(one) for one in counts.slow]
    return document


_SHADOWED: Final = ("compared", "tripled", "only_legacy", "failed")


def shadowed_json(shadowed: Shadowed) -> dict[str, Any]:
    document = {name: number for name in _SHADOWED if (number := getattr(shadowed, name))}
    tallies = {"mismatches": shadowed.mismatches, "only_new": shadowed.only_new}
    return document | {name: tally_json(tally) for name, tally in tallies.items() if tally != Tally()}


def evidence_json(row: Evidence) -> dict[str, Any]:
    document: dict[str, Any] = dict(row.epoch._asdict())
    parts = {
        "legacy": counts_json(row.legacy),
        "new": counts_json(row.new),
        "shadow": shadowed_json(row.shadow),
    }
    return document | {name: part for name, part in parts.items() if part}


def tolerance_json(tolerance: Tolerance) -> dict[str, Any]:
    return {
        "ratio": tolerance.ratio,
        "floor": tolerance.floor,
        "slow": list(tolerance.slow),
        "mismatch": tolerance.mismatch,
    }


def step_json(step: Step) -> dict[str, Any]:
    return {
        "route": step.route,
        "revision": step.revision,
        "share": step.share,
        "upstream": step.upstream,
        "run": step.run,
        "last": step.last,
        "tolerance": tolerance_json(step.tolerance),
    }


def batch_json(batch: Batch, clients: Iterable[int] = ()) -> dict[str, Any]:
    """One line of the event log; `clients`: the numbers of those whose errors are in it for the first time."""
    document: dict[str, Any] = {"at": batch.at}
    if batch.ended:
        document["ended"] = list(batch.ended)
    if batch.steps:
        document["steps"] = [step_json(step) for step in batch.steps]
    if batch.rows:
        document["rows"] = [evidence_json(row) for row in batch.rows]
    if numbers := list(clients):
        document["clients"] = numbers
    return document


def firsts_json(firsts: Firsts, without: Collection[int] = ()) -> dict[str, Any]:
    """Who has been counted, but for those whose errors are in no batch yet."""
    until, young, old = firsts.kept(without)
    return {"until": until, "young": list(young), "old": list(old)}


# ----------------------------------------------------------------------------------------------------- reading


def whole(document: Mapping[str, Any], name: str, most: int = MOST) -> int:
    number = document.get(name, 0)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= most:
        raise BadRecord(f"{name} must be a whole number from 0 to {most}, not {number!r:.80}")
    return number


def real(document: Mapping[str, Any], name: str, default: float | None = None) -> float:
    number = document.get(name, default)
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < MOST:
        raise BadRecord(f"{name} must be a number, not {number!r:.80}")
    return float(number)


def text(document: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = document.get(name, default)
    if not isinstance(value, str):
        raise BadRecord(f"{name} must be text, not {value!r:.80}")
    return value


def flag(document: Mapping[str, Any], name: str, default: bool) -> bool:
    value = document.get(name, default)
    if not isinstance(value, bool):
        raise BadRecord(f"{name} must be true or false, not {value!r:.80}")
    return value


def section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name, {})
    if not isinstance(value, Mapping):
        raise BadRecord(f"{name} must be an object, not {value!r:.80}")
    return value


def listed(document: Mapping[str, Any], name: str, length: int | None = None) -> list[Any]:
    value = document.get(name, [])
    if not isinstance(value, list) or (length is not None and value and len(value) != length):
        raise BadRecord(f"{name} must be a list{f' of {length}' if length else ''}, not {value!r:.80}")
    return value


def objects(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = listed(document, name)
    for one in found:
        if not isinstance(one, Mapping):
            raise BadRecord(f"{name} must be a list of objects, not of {one!r:.80}")
    return found


def mark_from(value: Any) -> Mark | None:
    match value:
        case None:
            return None
        case [int() | float() as at, str() as request] if len(request) <= LONGEST_ID and abs(at) < MOST:
            return Mark(float(at), request)
    raise BadRecord(f"a request is [time, id], not {value!r:.80}")


def tally_from(value: Any) -> Tally:
    match value:
        case int():
            return Tally(whole({"count": value}, "count"))
        case [int() as count, first, last] if count:
            return Tally(whole({"count": count}, "count"), mark_from(first), mark_from(last))
    raise BadRecord(f"a tally is a count or [count, first, last] with a count above 0, not {value!r:.80}")


def counts_from(document: Mapping[str, Any]) -> Counts:
    counts = Counts(
        whole(document, "requests"),
        whole(document, "failures"),
        whole(document, "trials"),
        tally_from(document.get("errors", 0)),
        whole(document, "timed"),
        tuple(tally_from(one) for one in listed(document, "slow", LIMITS)) or NO_SLOW,
        whole(document, "aborted"),
        whole(document, "clients"),
        whole(document, "elsewhere"),
    )
    if counts.elsewhere > counts.errors.count:
        raise BadRecord(f"more errors of known clients than errors: {dict(document)!r:.200}")
    if counts.errors.count > counts.trials or max(one.count for one in counts.slow) > counts.timed:
        raise BadRecord(f"more errors than trials, or more slow than timed: {dict(document)!r:.200}")
    return counts


def shadowed_from(document: Mapping[str, Any]) -> Shadowed:
    shadowed = Shadowed(
        whole(document, "compared"),
        tally_from(document.get("mismatches", 0)),
        whole(document, "tripled"),
        tally_from(document.get("only_new", 0)),
        whole(document, "only_legacy"),
        whole(document, "failed"),
    )
    differing = shadowed.only_new.count + shadowed.only_legacy
    if shadowed.mismatches.count > shadowed.compared or differing > shadowed.tripled:
        raise BadRecord(f"more mismatches than comparisons: {dict(document)!r:.200}")
    return shadowed


def evidence_from(document: Mapping[str, Any]) -> Evidence:
    epoch = Epoch(
        text(document, "route"),
        whole(document, "revision"),
        whole(document, "share", PPM),
        flag(document, "random", default=True),
    )
    return Evidence(
        epoch,
        counts_from(section(document, "legacy")),
        counts_from(section(document, "new")),
        shadowed_from(section(document, "shadow")),
    )


def tolerance_from(document: Mapping[str, Any]) -> Tolerance:
    usual = Tolerance()
    ratios = [real({"slow": one}, "slow") for one in listed(document, "slow", LIMITS)]
    tolerance = Tolerance(
        real(document, "ratio", usual.ratio),
        real(document, "floor", usual.floor),
        tuple(ratios) or usual.slow,
        real(document, "mismatch", usual.mismatch),
    )
    factors, rates = (tolerance.ratio, *tolerance.slow), (tolerance.floor, tolerance.mismatch)
    if not (min(factors) >= 1 and max(factors) <= LARGEST_RATIO and min(rates) > 0 and max(rates) < 1):
        raise BadRecord(f"a tolerated ratio is from 1 to 1000 and a tolerated rate between 0 and 1, not {tolerance}")
    return tolerance


def step_from(document: Mapping[str, Any]) -> Step:
    step = Step(
        text(document, "route"),
        whole(document, "revision"),
        whole(document, "share", PPM),
        text(document, "upstream", ""),
        whole({"run": 1} | dict(document), "run"),
        flag(document, "last", default=False),
        tolerance_from(section(document, "tolerance")),
    )
    if step.run < 1:
        raise BadRecord("the first run has the number 1")
    return step


def clients_from(document: Mapping[str, Any], name: str = "clients") -> tuple[int, ...]:
    """Whose errors were counted with a line of the event log."""
    found = listed(document, name)
    if not all(type(client) is int and 0 <= client < 1 << 64 for client in found):
        raise BadRecord(f"{name} must be numbers of clients, not {found!r:.80}")
    return tuple(found)


def firsts_from(document: Mapping[str, Any]) -> Firsts:
    return Firsts.restored(real(document, "until"), clients_from(document, "young"), clients_from(document, "old"))


def batch_from(document: Mapping[str, Any]) -> Batch:
    """A line of the event log; `BadRecord` says what is wrong with it."""
    ended = listed(document, "ended")
    if not all(isinstance(route, str) for route in ended):
        raise BadRecord(f"ended must name routes, not {ended!r:.80}")
    return Batch(
        real(document, "at"),
        tuple(step_from(step) for step in objects(document, "steps")),
        merge(evidence_from(row) for row in objects(document, "rows")),
        tuple(ended),
    )

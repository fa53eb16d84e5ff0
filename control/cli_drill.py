"""`strangler drill ROUTE`: a rollback and its resume, rehearsed on one route, so that the real one surprises nobody.

The route's users are on legacy for the moment in between.  Whatever happens then, Ctrl-C included, the resume is tried;
if a safety rule forbids it, that rule is overridden for this once (the share goes back to what it was seconds ago), and
if it still fails the command says how to lift what is held.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from control.cli_client import Admin, CannotAskError, RefusedError
from control.cli_output import ending, show
from control.cli_values import FAILED
from control.terminal import percent, plain

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Timed:
    """An answer, and how long it took as seen from here."""

    found: Json
    ms: float


def drill(args: argparse.Namespace, admin: Admin) -> int:
    """The exit code: 0 when all workers have confirmed both ways."""
    before = _share(args, admin)
    if not before:
        raise CannotAskError(
            f"{args.route} has no share on the new side: a drill would move nobody; take another route"
        )
    out = _timed(admin, "POST", "/api/v1/rollbacks", {"scope": {"route": args.route}, "reason": _reason(args)})
    order = out.found["order"]["id"]
    if out.found["already"]:
        raise CannotAskError(f"{args.route} is already held by {order}: that is no drill; nothing was changed")
    try:
        between = _share(args, admin)
        served = _served_meanwhile(args, admin, order)
    finally:
        back = _resumed(args, admin, order)
    if back is None:
        return FAILED
    after = _share(args, admin)
    found = {
        "route": args.route,
        "share": {"before": before, "between": between, "after": after},
        "rollback": out.found | {"seen_ms": out.ms},
        "resume": back.found | {"seen_ms": back.ms},
        "new_side": {"seconds": args.hold, "answered": served},
        "confirmed": out.found["confirmed"] and back.found["confirmed"],
    }
    show(args, found, _lines(found))
    if between != 0 or after != before:
        print(f"strangler: the share of {args.route} is not what it was; see `strangler status`", file=sys.stderr)
        return FAILED
    return ending(out.found, back.found)


def _reason(args: argparse.Namespace) -> str:
    return f"drill: {args.reason}" if args.reason else "drill"


def _share(args: argparse.Namespace, admin: Admin) -> float:
    found = admin.get(f"/api/v1/routes?{urlencode({'name': args.route})}")
    return float(found["effective"])


def _served_meanwhile(args: argparse.Namespace, admin: Admin, order: str) -> int | None:
    """What the new side still answered while the route was held: exchanges that were under way, and nothing else.

    None: the counters cannot be read.
    """
    path = f"/api/v1/orders/{quote(order, safe='')}/traffic"
    first = admin.get(path)["answered"]
    time.sleep(args.hold)
    last = admin.get(path)["answered"]
    return None if first is None or last is None else int(last - first)


def _timed(admin: Admin, method: str, path: str, body: Json) -> _Timed:
    began = time.perf_counter()
    found = admin.ask(method, path, body)
    return _Timed(found, round((time.perf_counter() - began) * 1000, 1))


def _resumed(args: argparse.Namespace, admin: Admin, order: str) -> _Timed | None:
    """None: it is still held, and has been told how to be lifted."""
    path, body = f"/api/v1/orders/{quote(order, safe='')}", {"reason": _reason(args)}
    try:
        try:
            return _timed(admin, "DELETE", path, body)
        except RefusedError as refused:
            rules = {violation["rule"] for violation in refused.problem.get("violations", ())}
            if not rules:
                raise
            return _timed(admin, "DELETE", path, body | {"override": sorted(rules)})
    except (CannotAskError, RefusedError) as error:
        print(
            f"strangler: {args.route} IS STILL ROLLED BACK by {order}: {error}\n"
            f"lift it: strangler resume {order} --reason 'end of drill'",
            file=sys.stderr,
        )
        return None


def _lines(found: Json) -> Iterator[str]:
    share = found["share"]
    yield (
        f"drilled {plain(found['route'])}: {percent(share['before'])} -> {percent(share['between'])} -> "
        f"{percent(share['after'])} new"
    )
    meanwhile = found["new_side"]
    answered = "an unknown number of" if meanwhile["answered"] is None else meanwhile["answered"]
    yield f"  held      for {meanwhile['seconds']:g} s; the new side answered {answered} requests in that time"
    for name in ("rollback", "resume"):
        change = found[name]
        confirmed = [worker["ms"] for worker in change["workers"] if worker.get("ms") is not None]
        slowest = f", the slowest in {max(confirmed):g} ms" if confirmed else ""
        yield (
            f"  {name:<8}  {change['seen_ms']:g} ms from here; confirmed by {len(confirmed)} of "
            f"{len(change['workers'])} workers{slowest}"
        )

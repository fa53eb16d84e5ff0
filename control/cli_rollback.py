"""`strangler rollback`: legacy for a scope, at once, and everything an operator wants to know then in one output.

What is rolled back from where, what was skipped and why, every worker's word, what traffic says, whether legacy can
bear it, and the command that undoes it.  When control does not answer the workers are told themselves.

`--last` and `--since` are found out by control, and are one change; `--over` is carried out by control too, so this
command may end in between.  It watches, and Ctrl-C brings the rest at once.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from control import emergency
from control import render_changes as render
from control.cli_client import Admin, CannotAskError, NoAnswerError, RefusedError
from control.cli_output import ending, show, style
from control.cli_values import FAILED
from control.terminal import percent, span

PATIENCE: Final = 6.0
"""Seconds for one answer of a control that is alive: it waits two for the workers and one and a half for its store."""
PROOF_SECONDS: Final = 2.0
PROOF_EVERY: Final = 0.25
LOOK_SECONDS: Final = 0.2
"""Between two looks at a rollback that is on its way."""
LATE_SECONDS: Final = 10.0
"""How long after its time a rollback in steps may come to its end, and control may be away meanwhile."""

Json = dict[str, Any]


def rollback(args: argparse.Namespace, admin: Admin) -> int:
    """Through control, or past it: whatever state it is in, a rollback must work."""
    if why := emergency.absent(admin.url):
        return _without_control(args, admin, why)
    try:
        return _ordered(args, replace(admin, timeout=PATIENCE))
    except NoAnswerError as error:
        # Asked twice it is one rollback: control finds the workers' hold in force already, or the other way round.
        return _without_control(args, admin, str(error))
    except RefusedError as refused:
        if refused.status != 503:
            raise
        return _past_control(args, str(refused))


def _without_control(args: argparse.Namespace, admin: Admin, why: str) -> int:
    """Past control; where the workers are not at hand, all that is left is to wait for control or its successor."""
    try:
        return _past_control(args, why)
    except emergency.NotHereError as not_here:
        try:
            return _ordered(args, admin)
        except CannotAskError:
            raise not_here from None


def _past_control(args: argparse.Namespace, why: str) -> int:
    """To the workers themselves, who know holds and nothing else."""
    if args.over or args.lasts:
        print("strangler: without control there are no steps and no --for: at once, and for good", file=sys.stderr)
    return emergency.rollback(args, _named(args), why)


def _named(args: argparse.Namespace) -> Json:
    """The scope that the command names; empty with --last and --since."""
    if args.everything:
        return {"all": True}
    found = {"route": args.route, "group": args.group, "site": args.site}
    return {name: value for name, value in found.items() if value is not None}


def _ordered(args: argparse.Namespace, admin: Admin) -> int:
    if args.over and args.site is not None:
        raise argparse.ArgumentTypeError("a site has no share of its own: --over needs a route, a group or --all")
    body = {"reason": args.reason, "for": args.lasts, "override": args.override, "over": args.over}
    found = admin.ask("POST", "/api/v1/rollbacks", _what(args) | {name: said for name, said in body.items() if said})
    if not args.json:
        show(args, found, render.rollback(found, style(), time.time()))
    if any("easing" in order for order in found["orders"]):
        return _followed(args, admin, found)
    return _proved(args, admin, found)


def _what(args: argparse.Namespace) -> Json:
    """What control shall roll back."""
    if args.last:
        return {"last": True}
    return {"since": args.since} if args.since is not None else {"scope": _named(args)}


def _proved(args: argparse.Namespace, admin: Admin, found: Json) -> int:
    proof = _proof(admin, found["orders"])
    undo = [render.undo(order) for order in found["orders"]]
    lines = [*render.proof(found, proof, style()), *(f"undo: {command}" for command in undo)]
    show(args, found | {"proof": proof, "undo": undo[0] if len(undo) == 1 else undo}, lines)
    return ending(found)


# -- in steps ----------------------------------------------------------------------------------------------------------


def _followed(args: argparse.Namespace, admin: Admin, found: Json) -> int:
    """Watches control bring it down; whatever happens here, it goes on, and Ctrl-C makes it quick."""
    try:
        end = _watched(args, admin, found)
    except KeyboardInterrupt:
        _say(args, "interrupted: everything at once")
        return _at_once(args, admin, found)
    except CannotAskError as error:
        _say(args, f"{error}: everything at once")
        return _at_once(args, admin, found)
    if end is None:
        print("strangler: somebody has lifted it meanwhile; see strangler history", file=sys.stderr)
        return FAILED
    return _proved(args, admin, found | end)


def _at_once(args: argparse.Namespace, admin: Admin, found: Json) -> int:
    """The rest of what is on its way, through control or past it."""
    scopes = [order["scope"] for order in found["orders"]]
    try:
        now = admin.ask("POST", "/api/v1/rollbacks", {"scopes": scopes, "reason": args.reason})
    except NoAnswerError as error:
        return max(emergency.rollback(args, scope, str(error)) for scope in scopes)
    if not args.json:
        show(args, now, render.rollback(now, style(), time.time()))
    return _proved(args, admin, now)


def _watched(args: argparse.Namespace, admin: Admin, found: Json) -> Json | None:
    """Tells each step; what the workers say in the end, None when somebody has lifted it."""
    ids = {order["id"] for order in found["orders"]}
    ends = max(order["easing"]["ends"] for order in found["orders"] if "easing" in order)
    told, heard = "", time.monotonic()
    while True:
        try:
            mine = [order for order in admin.get("/api/v1/orders")["orders"] if order["id"] in ids]
            heard = time.monotonic()
        except NoAnswerError:
            if time.monotonic() - heard > LATE_SECONDS:
                raise
            mine = None
        if mine is not None:
            left = [order["easing"]["leaves"] for order in mine if "easing" in order]
            if len(mine) < len(ids):
                return None
            if not left:
                return _came_down(args, admin)
            if (line := f"at most {percent(max(left))} is left") != told:
                told = line
                _say(args, f"  {line}, 0 in {span(ends - time.time())}")
        if time.time() > ends + LATE_SECONDS:
            raise CannotAskError(f"it has not come down {LATE_SECONDS:g} s after its time")
        time.sleep(LOOK_SECONDS)


def _came_down(args: argparse.Namespace, admin: Admin) -> Json:
    """The end, with every worker's word."""
    deadline = time.monotonic() + PROOF_SECONDS
    while True:
        status = admin.get("/api/v1/status?routes=false")
        behind = [each for each in status["workers"] if not each["confirmed"]]
        if not behind or time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    _say(
        args,
        f"  nothing is left, revision {status['revision']}, confirmed by {len(status['workers']) - len(behind)}"
        f" of {len(status['workers'])} workers",
    )
    return {"confirmed": not behind, "workers": status["workers"]}


def _say(args: argparse.Namespace, line: str) -> None:
    """With --json the answer alone goes to standard output."""
    print(line, file=sys.stderr if args.json else sys.stdout, flush=True)


# -- proof -------------------------------------------------------------------------------------------------------------


def _proof(admin: Admin, orders: list[Json]) -> Json:
    """Looks at the new side until nothing goes there any more, for two seconds at most."""
    try:
        first = began = _look(admin, orders)
        while True:
            time.sleep(PROOF_EVERY)
            last = _look(admin, orders)
            quiet = last["answered"] == began["answered"] and not last["in_flight"]
            if quiet or last["at"] - first["at"] >= PROOF_SECONDS:
                break
            began = last
    except (CannotAskError, RefusedError) as error:
        return {"new_side": None, "why": str(error)}
    seconds = max(last["at"] - began["at"], 0.001)
    rate = round((last["answered"] - began["answered"]) / seconds, 2)
    return {"new_side": {**last, "answered_per_second": rate, "after": round(last["at"] - first["at"], 2)}}


def _look(admin: Admin, orders: list[Json]) -> Json:
    looks = [admin.get(f"/api/v1/orders/{quote(order['id'], safe='')}/traffic") for order in orders]
    total: Json = {name: looks[0][name] for name in ("at", "tunnel_drain")}
    for name in ("answered", "in_flight", "tunnels"):
        counts = [look[name] for look in looks if look[name] is not None]
        total[name] = sum(counts) if counts else None
    return total

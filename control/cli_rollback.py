"""`strangler rollback`: legacy for a scope, at once, and everything an operator wants to know then in one output.

What is rolled back from where, what was skipped and why, every worker's word, what traffic says, whether legacy can
bear it, and the command that undoes it.  When control does not answer the workers are told themselves.

`--last` and `--since` find out what was raised; `--over` takes a legacy that is cold a few steps down to 0 with caps
that are lifted at the end.  Whatever comes in between, the rollback itself follows.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import quote

from control import emergency
from control import render_changes as render
from control.cli_client import Admin, CannotAskError, NoAnswerError, RefusedError
from control.cli_output import ending, show, style
from control.terminal import percent

STEPS: Final = (0.75, 0.5, 0.25)
"""Of the highest share, before 0."""
PATIENCE: Final = 6.0
"""Seconds for one answer of a control that is alive: it waits two for the workers and one and a half for its store."""
PROOF_SECONDS: Final = 2.0
PROOF_EVERY: Final = 0.25
AT_ONCE: Final = 40
"""Routes that are rolled back one by one; for more a scope has to be named."""
FIRST: Final = 1
"""The revision in which everything began: within a time, it raised nothing."""
_PAGE: Final = 100

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
    scopes = [named] if (named := _named(args)) else _raised(args, admin)
    eased = _Easing(args, admin, scopes).run() if args.over else None
    body = {"reason": args.reason, "for": args.lasts, "override": args.override}
    body = {name: value for name, value in body.items() if value}
    done = []
    for scope in scopes:
        found = admin.ask("POST", "/api/v1/rollbacks", body | {"scope": scope})
        done.append(found)
        if not args.json:
            show(args, found, render.rollback(found, style(), time.time()))
    if eased is not None:
        eased.clear()
    found = done[0] if len(done) == 1 else _together(done)
    proof = _proof(admin, [each["order"] for each in done])
    undo = [render.undo(each["order"]) for each in done]
    lines = [*render.proof(found, proof, style()), *(f"undo: {command}" for command in undo)]
    show(args, found | {"proof": proof, "undo": undo[0] if len(undo) == 1 else undo}, lines)
    return ending(*done)


def _together(done: list[Json]) -> Json:
    """Several rollbacks as one answer."""
    legacy = done[-1]["legacy"]
    returning = round(sum(each["legacy"]["returning"] for each in done), 2)
    above = any(each["legacy"]["above_highest"] for each in done)
    return {
        "rollbacks": done,
        "confirmed": all(each["confirmed"] for each in done),
        "legacy": legacy | {"returning": returning, "above_highest": above},
    }


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


# -- what was raised ---------------------------------------------------------------------------------------------------


def _raised(args: argparse.Namespace, admin: Admin) -> list[Json]:
    """The scopes of what was raised last, or since; raises CannotAskError when there is nothing."""
    since = None if args.since is None else time.time() - args.since
    names: dict[str, None] = {}
    for revision in _revisions(admin):
        if since is not None and revision["at"] < since:
            break
        raised = [route["name"] for route in revision["routes"] if (route["after"] or 0) > (route["before"] or 0)]
        if revision["source"] == "restore" if since is None else revision["revision"] == FIRST:
            continue
        names |= dict.fromkeys(raised)
        if names and since is None:
            break
    routes = admin.get("/api/v1/routes")["routes"]
    now = [route for route in routes if route["name"] in names and route["effective"] > 0]
    if not now:
        raise CannotAskError(_nothing(args, names))
    return _scopes(routes, now)


def _nothing(args: argparse.Namespace, names: dict[str, None]) -> str:
    if names:
        return f"what was raised is at 0 % again already: {', '.join(list(names)[:5])}"
    when = "there ever was" if args.since is None else "in that time"
    return f"no revision {when} has raised a share; name a route or a group"


def _revisions(admin: Admin) -> Iterator[Json]:
    """The newest first, with their routes."""
    before = ""
    while True:
        page = admin.get(f"/api/v1/revisions?limit={_PAGE}&whole=true{before}")["revisions"]
        yield from page
        if len(page) < _PAGE:
            return
        before = f"&before={page[-1]['revision']}"


def _scopes(routes: list[Json], raised: list[Json]) -> list[Json]:
    """As few as say exactly that: groups that are raised as a whole, and single routes."""
    names = {route["name"] for route in raised}
    groups = {
        group
        for group in {route["group"] for route in raised if route["group"]}
        if names >= {route["name"] for route in routes if route["group"] == group and route["effective"] > 0}
    }
    single = [route["name"] for route in raised if route["group"] not in groups]
    if len(groups) == 1 and len(raised) == 1:
        groups, single = set(), [raised[0]["name"]]
    if len(single) > AT_ONCE:
        raise CannotAskError(
            f"{len(single)} routes were raised that are no whole groups: {', '.join(single[:5])} ...; "
            "name a glob or a group, or use --all"
        )
    return [*({"group": group} for group in sorted(groups)), *({"route": name} for name in single)]


# -- a graded return ---------------------------------------------------------------------------------------------------


class _Easing:
    """Caps that go down step by step, so that a cold legacy is not hit all at once."""

    def __init__(self, args: argparse.Namespace, admin: Admin, scopes: list[Json]) -> None:
        if any("site" in scope for scope in scopes):
            raise argparse.ArgumentTypeError("a site has no share of its own: --over needs a route, a group or --all")
        self._args = args
        self._admin = admin
        self._scopes = scopes
        self._before = [order for order in admin.get("/api/v1/orders")["orders"] if order["kind"] == "cap"]
        self._given: dict[str, Json] = {}
        """Ours, by id: the scope."""

    def run(self) -> _Easing:
        """The steps; when one cannot be taken the rest is left out, and the rollback comes at once."""
        peak = self._peak()
        pause = self._args.over / (len(STEPS) + 1)
        self._say(f"graded return over {self._args.over:g} s: {len(STEPS)} steps from {percent(peak)} down to 0")
        try:
            for number, step in enumerate(STEPS, 1):
                share = round(peak * step, 2)
                self._cap(share)
                self._say(f"  step {number} of {len(STEPS) + 1}: at most {percent(share)} on new for {pause:g} s")
                time.sleep(pause)
        except (CannotAskError, RefusedError) as error:
            self._say(f"  no more steps ({error}): everything at once")
        except KeyboardInterrupt:
            self._say("  interrupted: everything at once")
        self._say(f"  step {len(STEPS) + 1} of {len(STEPS) + 1}: the rollback itself")
        return self

    def clear(self) -> None:
        """Takes our caps away, now that the rollback holds; a cap that was there before is given again."""
        for order, scope in self._given.items():
            reason = {"reason": f"the graded return is over: {self._args.reason}"[:1000]}
            old = next((each for each in self._before if each["scope"] == scope), None)
            try:
                if old is None:
                    self._admin.ask("DELETE", f"/api/v1/orders/{order}", reason)
                else:
                    self._admin.ask("POST", "/api/v1/caps", {"scope": scope, "cap": old["cap"], **reason, **_rest(old)})
            except (CannotAskError, RefusedError) as error:
                print(f"strangler: the cap {order} of the graded return is still there: {error}", file=sys.stderr)

    def _peak(self) -> float:
        """The highest share within the scopes."""
        routes = self._admin.get("/api/v1/routes")["routes"]
        within = (route for route in routes if any(_covers(scope, route) for scope in self._scopes))
        return max((route["effective"] for route in within), default=0.0)

    def _cap(self, share: float) -> None:
        reason = f"graded return: {self._args.reason}"[:1000]
        for scope in self._scopes:
            old = next((each["cap"] for each in self._before if each["scope"] == scope), 100.0)
            body = {"scope": scope, "cap": min(share, old), "reason": reason}
            found = self._admin.ask("POST", "/api/v1/caps", body)
            self._given = {order: known for order, known in self._given.items() if known != scope}
            self._given[found["order"]["id"]] = scope

    def _say(self, line: str) -> None:
        """With --json the answer alone goes to standard output."""
        print(line, file=sys.stderr if self._args.json else sys.stdout, flush=True)


def _covers(scope: Json, route: Json) -> bool:
    """The same as the router's own `Scope.covers`."""
    if "route" in scope:
        return fnmatchcase(route["name"], scope["route"]) or route["name"] == scope["route"]
    return "all" in scope or (bool(route["group"]) and route["group"] == scope.get("group"))


def _rest(order: Json) -> Json:
    """For how long an order would have gone on."""
    left = order.get("expires", 0) - time.time()
    return {"for": f"{max(1, round(left))}s"} if "expires" in order else {}

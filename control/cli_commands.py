"""The commands that speak to the admin address: ask, print, and say by the exit code how it ended.

A change that is in force but not confirmed by every worker ends with 3 and names the workers; nobody may believe
that a rollback has taken when one worker still sends traffic.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from control import emergency, render
from control.cli_client import Admin, CannotAskError, RefusedError
from control.cli_values import DONE, FAILED, UNCONFIRMED, USAGE, weight_words
from control.render import Style

Json = dict[str, Any]


def perform(args: argparse.Namespace) -> int:
    """The exit code of a command."""
    admin = Admin(args.admin, os.environ.get("STRANGLER_TOKEN", ""))
    try:
        return _COMMANDS[args.command](args, admin)
    except argparse.ArgumentTypeError as error:
        print(f"strangler {args.command}: {error}", file=sys.stderr)
        return USAGE
    except RefusedError as refused:
        return _refused(args, refused)
    except CannotAskError as error:
        print(f"strangler: {error}", file=sys.stderr)
        return FAILED


def _refused(args: argparse.Namespace, refused: RefusedError) -> int:
    if args.json:
        print(json.dumps(refused.problem, indent=2))
    else:
        for number, line in enumerate(render.problem(refused.problem)):
            print(line if number else f"strangler: refused: {line}", file=sys.stderr)
    return FAILED


def style() -> Style:
    """What standard output can show."""
    if not sys.stdout.isatty():
        return Style()
    colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Style(colour, shutil.get_terminal_size().columns)


def _print(args: argparse.Namespace, found: Json, lines: Iterable[str]) -> None:
    if args.json:
        print(json.dumps(found, indent=2))
        return
    for line in lines:
        print(line)


# -- reading -----------------------------------------------------------------------------------------------------------


def _status(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get("/api/v1/status")
    found["routes"] = [route for route in found["routes"] if _wanted(route, args)]
    _print(args, found, render.status(found, style(), time.time()))
    return DONE


def _wanted(route: Mapping[str, Any], args: argparse.Namespace) -> bool:
    text = f"{route['name']}\n{route['path']}\n{route['host']}".lower()
    return args.text.lower() in text and args.group in {None, route["group"]}


def _explain(args: argparse.Namespace, admin: Admin) -> int:
    query = [("method", args.method), ("path", args.path), *(("header", header) for header in args.header)]
    query += [("client", args.client)] if args.client else []
    found = admin.get(f"/api/v1/explain?{urlencode(query)}")
    _print(args, found, render.explanation(found, style()))
    return DONE


def _orders(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get("/api/v1/orders")
    _print(args, found, render.orders(found["orders"], style(), time.time()))
    return DONE


def _history(args: argparse.Namespace, admin: Admin) -> int:
    before = f"&before={args.before}" if args.before else ""
    found = admin.get(f"/api/v1/revisions?limit={args.limit}{before}")
    _print(args, found, render.history(found["revisions"], style(), time.time()))
    return DONE


def _show(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get(f"/api/v1/revisions/{args.revision}")
    _print(args, found, render.revision(found, style(), time.time()))
    return DONE


def _plan(args: argparse.Namespace, admin: Admin) -> int:
    from control.cli_check import read_file  # noqa: PLC0415 - brings the YAML reader with it

    try:
        data = read_file(args.file)
    except OSError as error:
        raise CannotAskError(f"{args.file} cannot be read: {error.strerror or error}") from None
    found = admin.ask("POST", "/api/v1/plan", data)
    _print(args, found, render.plan(found, style()))
    return DONE


# -- changing ----------------------------------------------------------------------------------------------------------


def _weight(args: argparse.Namespace, admin: Admin) -> int:
    route, percent = weight_words(args.words, args.group)
    scope = {"route": route} if args.group is None else {"group": args.group}
    found = admin.ask("POST", "/api/v1/weights", {"scope": scope, "weight": percent, "reason": args.reason})
    return _changed(args, found, f"{found['order']['id']}: {found['order']['text']}")


def _rollback(args: argparse.Namespace, admin: Admin) -> int:
    """Through control, or past it: whatever state it is in, a rollback must work."""
    if why := emergency.absent(admin.url):
        return emergency.rollback(args, _scope(args), why)
    try:
        return _ordered_rollback(args, admin)
    except CannotAskError as error:
        # Asked twice it is one rollback: control finds the workers' hold in force already, or the other way round.
        if why := emergency.absent(admin.url):
            return emergency.rollback(args, _scope(args), f"{error}; {why}")
        raise
    except RefusedError as refused:
        if refused.status != 503:
            raise
        return emergency.rollback(args, _scope(args), str(refused))


def _ordered_rollback(args: argparse.Namespace, admin: Admin) -> int:
    scope, expected = _last(admin) if args.last else (_scope(args), None)
    body = {"scope": scope, "reason": args.reason}
    found = admin.ask("POST", "/api/v1/rollbacks", body, expected=expected)
    order = found["order"]
    return _changed(args, found, f"rolled back to legacy: {order['text'].partition(' ')[2]} ({order['id']})")


def _scope(args: argparse.Namespace) -> Json:
    if args.everything:
        return {"all": True}
    found = {"route": args.route, "group": args.group, "site": args.site}
    return {name: value for name, value in found.items() if value is not None}


def _last(admin: Admin) -> tuple[Json, int]:
    """What the newest change that raised a share was about, and the revision in which that was looked up."""
    found = admin.get("/api/v1/revisions?limit=100")
    for revision in found["revisions"]:
        if not revision["changed_routes"] or revision["source"] == "restore":
            continue
        routes = admin.get(f"/api/v1/revisions/{revision['revision']}")["routes"]
        raised = [route["name"] for route in routes if (route["after"] or 0) > (route["before"] or 0)]
        if raised:
            return _scope_of(admin, revision["revision"], raised), found["revision"]
    raise CannotAskError("none of the newest 100 revisions raised a share; name a route or a group")


def _scope_of(admin: Admin, revision: int, raised: list[str]) -> Json:
    """One scope for several routes: a group that is exactly them, or all there are."""
    if len(raised) == 1:
        return {"route": raised[0]}
    routes = admin.get("/api/v1/routes")["routes"]
    groups = {route["group"] for route in routes if route["name"] in raised}
    moved = {route["name"] for route in routes if route["group"] in groups and route["new"]}
    if len(groups) == 1 and "" not in groups and moved == set(raised):
        return {"group": groups.pop()}
    names = ", ".join(raised[:5]) + (f" and {len(raised) - 5} more" if len(raised) > 5 else "")
    raise CannotAskError(
        f"revision {revision} raised {len(raised)} routes that are no single group: {names}; "
        "name a route, a glob or a group, or use --all"
    )


def _resume(args: argparse.Namespace, admin: Admin) -> int:
    body = {"reason": args.reason} | ({} if args.weight is None else {"weight": args.weight})
    found = admin.ask("DELETE", f"/api/v1/orders/{quote(args.order, safe='')}", body)
    order = found["order"]
    done = f"{args.order} is lifted"
    return _changed(args, found, done if order["id"] == args.order else f"{done}; {order['id']}: {order['text']}")


def _changed(args: argparse.Namespace, found: Json, headline: str) -> int:
    """Prints a change in one output; the way back stands last."""
    lines = list(render.change(found, headline, style(), time.time()))
    if args.command != "resume":
        lines.append(render.undo(found["order"]))
    _print(args, found, lines)
    if found["confirmed"]:
        return DONE
    behind = ", ".join(render.stragglers(found)) or "any: none is running"
    print(f"strangler: recorded, but NOT CONFIRMED by worker {behind}; see `strangler status`", file=sys.stderr)
    return UNCONFIRMED


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace, Admin], int]]] = {
    "status": _status,
    "explain": _explain,
    "orders": _orders,
    "history": _history,
    "show": _show,
    "plan": _plan,
    "weight": _weight,
    "rollback": _rollback,
    "resume": _resume,
}

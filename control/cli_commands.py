"""The commands that speak to the admin address: ask, print, and say by the exit code how it ended."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from control import cli_orders, cli_places, render
from control.cli_client import Admin, CannotAskError, RefusedError
from control.cli_drill import drill
from control.cli_output import show, style
from control.cli_rollback import rollback
from control.cli_rollout import rollout
from control.cli_shadow import shadow
from control.cli_values import DONE, FAILED, USAGE
from control.cli_watch import watch
from control.render_changes import problem
from control.render_progress import progress
from control.render_served import served
from control.secret import Secret

Json = dict[str, Any]


def perform(args: argparse.Namespace) -> int:
    """The exit code of a command."""
    admin = Admin(args.admin, Secret(os.environ.get("STRANGLER_TOKEN", "")))
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
        for number, line in enumerate(problem(refused.problem, _again(args))):
            print(line if number else f"strangler: refused: {line}", file=sys.stderr)
    return FAILED


def _again(args: argparse.Namespace) -> str:
    """The command once more, up to the share that would be allowed; empty when it takes none."""
    if args.command == "resume":
        return f"strangler resume {args.order} --weight"
    if args.command != "weight":
        return ""
    option = "--all " if args.everything else f"--group {shlex.quote(args.group)} " if args.group is not None else ""
    return f"strangler weight {option or shlex.quote(args.words[0]) + ' '}".rstrip()


def _bake(args: argparse.Namespace, admin: Admin) -> int:
    from control.cli_bake import bake  # noqa: PLC0415 - brings the YAML reader with it

    return bake(args, admin)


def _discover(args: argparse.Namespace, admin: Admin) -> int:
    from control.cli_discover import discover  # noqa: PLC0415 - as above

    return discover(args, admin)


# -- reading -----------------------------------------------------------------------------------------------------------


def _status(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get("/api/v1/status")
    found["routes"] = [route for route in found["routes"] if _wanted(route, args)]
    show(args, found, render.status(found, style(), time.time()))
    return DONE


def _wanted(route: Mapping[str, Any], args: argparse.Namespace) -> bool:
    text = f"{route['name']}\n{route['path']}\n{route['host']}".lower()
    return args.text.lower() in text and args.group in {None, route["group"]}


def _explain(args: argparse.Namespace, admin: Admin) -> int:
    if args.request_id is not None:
        if args.method is not None:
            raise argparse.ArgumentTypeError("write METHOD PATH or --request-id ID, not both")
        found = admin.get(f"/api/v1/explain?{urlencode({'request-id': args.request_id})}")
        show(args, found, served(found, style(), time.time()))
        return DONE
    if args.path is None:
        raise argparse.ArgumentTypeError("write METHOD PATH, or --request-id ID")
    query = [("method", args.method), ("path", args.path), *(("header", header) for header in args.header)]
    query += [("client", args.client)] if args.client else []
    found = admin.get(f"/api/v1/explain?{urlencode(query)}")
    show(args, found, render.explanation(found, style()))
    return DONE


def _progress(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get("/api/v1/progress")
    show(args, found, progress(found, style()))
    return DONE


def _top(args: argparse.Namespace, admin: Admin) -> int:
    from control.cli_top import top  # noqa: PLC0415 - a terminal and threads, for this command alone

    return top(args, admin)


def _orders(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get("/api/v1/orders")
    show(args, found, render.orders(found["orders"], style(), time.time()))
    return DONE


def _history(args: argparse.Namespace, admin: Admin) -> int:
    before = f"&before={args.before}" if args.before else ""
    found = admin.get(f"/api/v1/revisions?limit={args.limit}{before}")
    show(args, found, render.history(found["revisions"], style(), time.time()))
    return DONE


def _show(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get(f"/api/v1/revisions/{args.revision}")
    show(args, found, render.revision(found, style(), time.time()))
    return DONE


def _plan(args: argparse.Namespace, admin: Admin) -> int:
    from control.cli_check import read_file  # noqa: PLC0415 - brings the YAML reader with it

    try:
        data = read_file(args.file)
    except OSError as error:
        raise CannotAskError(f"{args.file} cannot be read: {error.strerror or error}") from None
    found = admin.ask("POST", "/api/v1/plan", data)
    show(args, found, render.plan(found, style()))
    return DONE


def _diff(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get(f"/api/v1/revisions/{args.first}/diff/{args.second}")
    show(args, found, render.difference(found, style()))
    return DONE


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace, Admin], int]]] = {
    "status": _status,
    "explain": _explain,
    "progress": _progress,
    "top": _top,
    "orders": _orders,
    "history": _history,
    "show": _show,
    "diff": _diff,
    "plan": _plan,
    "weight": cli_orders.weight,
    "pin": cli_orders.pin,
    "cap": cli_orders.cap,
    "freeze": cli_orders.freeze,
    "drain": cli_places.drain,
    "off": cli_places.off,
    "on": cli_places.on,
    "sites": cli_places.sites,
    "breaker": cli_places.breaker,
    "rollback": rollback,
    "drill": drill,
    "resume": cli_orders.resume,
    "confirm": cli_orders.confirm,
    "restore": cli_orders.restore,
    "bake": _bake,
    "discover": _discover,
    "watch": watch,
    "rollout": rollout,
    "shadow": shadow,
}

"""`strangler rollout ...`: moves routes by their plans, and says how that goes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from control import render_rollouts as render
from control.cli_client import Admin
from control.cli_output import show, style
from control.cli_selftest import self_test
from control.cli_values import DONE, FAILED

Json = dict[str, Any]
ACTS: Final = ("start", "pause", "resume", "promote", "abort")


def rollout(args: argparse.Namespace, admin: Admin) -> int:
    if args.what in ACTS:
        return _act(args, admin)
    return _READS[args.what](args, admin)


def _act(args: argparse.Namespace, admin: Admin) -> int:
    scope: Json = {"all": True} if args.everything else {"route": args.route}
    if args.group is not None:
        scope = {"group": args.group}
    asked: Json = {"do": args.what, "scope": scope, "reason": args.reason}
    if getattr(args, "at", None) is not None:
        asked["at"] = args.at
    if getattr(args, "without_evidence", False):
        asked["without_evidence"] = True
    found = admin.ask("POST", "/api/v1/rollouts", asked)
    show(args, found, render.acted(found, style()))
    for each in found["refused"]:
        print(f"strangler: refused: {each['route']}: {each['why']}", file=sys.stderr)
    return FAILED if found["refused"] else DONE


def _status(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get(f"/api/v1/rollouts{_query(route=args.route)}")
    lines = render.one if args.route else render.many
    show(args, found, lines(found, style(), time.time()))
    return DONE


def _plan(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get(f"/api/v1/rollouts/plan{_query(route=args.route)}")
    if args.route:
        show(args, found, render.forecast(found["forecast"], style(), explain=args.explain))
    else:
        show(args, found, render.calendar(found["calendar"], style()))
    return DONE


def _replay(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get(f"/api/v1/rollouts/replay{_query(route=args.route, ratio=args.r0, floor=args.p0)}")
    show(args, found, render.verdicts(found["verdicts"], style()))
    return DONE


def _self_test(args: argparse.Namespace, admin: Admin) -> int:
    if not args.recorded:
        return self_test(args, admin)
    found = admin.get(f"/api/v1/rollouts/aa{_query(route=args.route, share=args.share)}")
    show(args, found, render.self_test(found, style()))
    return DONE


def _drill(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.ask("POST", "/api/v1/rollouts/drill", {})
    show(args, found, render.drilled(found, style()))
    return DONE if found["fired"] else FAILED


def _query(**parts: object) -> str:
    given = {name: part for name, part in parts.items() if part is not None}
    return f"?{urlencode(given)}" if given else ""


_READS: Final[Mapping[str, Callable[[argparse.Namespace, Admin], int]]] = {
    "status": _status,
    "plan": _plan,
    "replay": _replay,
    "aa": _self_test,
    "drill": _drill,
}

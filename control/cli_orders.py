"""The commands that give, confirm and lift orders, and the one that goes back to an old revision."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from control import render_changes as render
from control.cli_client import Admin
from control.cli_output import changed, show, style
from control.cli_values import DONE, FAILED, scope_words, weight_words
from control.render import plan
from control.terminal import percent

Json = dict[str, Any]


def weight(args: argparse.Namespace, admin: Admin) -> int:
    scope, percent = weight_words(args.words, wide_scope(args))
    return _give(args, admin, "weight", {"scope": scope, "weight": percent})


def pin(args: argparse.Namespace, admin: Admin) -> int:
    scope, side = scope_words(args.words, wide_scope(args), "legacy|new")
    if side not in {"legacy", "new"}:
        raise argparse.ArgumentTypeError(f"{side!r} is no side; write legacy or new")
    return _give(args, admin, "pin", {"scope": scope, "side": side})


def cap(args: argparse.Namespace, admin: Admin) -> int:
    scope, percent = weight_words(args.words, wide_scope(args))
    return _give(args, admin, "cap", {"scope": scope, "cap": percent})


def freeze(args: argparse.Namespace, admin: Admin) -> int:
    scope = wide_scope(args) or {"route": args.route}
    return _give(args, admin, "freeze", {"scope": scope})


def _give(args: argparse.Namespace, admin: Admin, kind: str, body: Json) -> int:
    if getattr(args, "preview", False):
        return _preview(args, admin, {"kind": kind} | body)
    found = admin.ask("POST", f"/api/v1/{kind}s", body | said(args))
    order = found["order"]
    return changed(args, found, f"{order['id']}: {order['text']}", render.undo(order))


def _preview(args: argparse.Namespace, admin: Admin, body: Json) -> int:
    """What the order would change, and 1 when the safety rules would refuse it; nothing is changed."""
    found = admin.ask("POST", "/api/v1/preview", body)
    lines = list(plan(found, style()))
    if found["allowed"] is not None:
        lines.append(f"allowed would be {percent(found['allowed'])}")
    show(args, found, lines)
    return FAILED if found["violations"] else DONE


def said(args: argparse.Namespace) -> Json:
    """What every order may say besides what it does."""
    more = {"for": args.lasts, "confirm_within": getattr(args, "trial", None), "override": args.override}
    return {"reason": args.reason} | {name: value for name, value in more.items() if value}


def wide_scope(args: argparse.Namespace) -> Json | None:
    """The scope that the options name; None: it is a route, and among the words."""
    if getattr(args, "everything", False):
        return {"all": True}
    if getattr(args, "group", None) is not None:
        return {"group": args.group}
    if getattr(args, "site", None) is not None:
        return {"site": args.site}
    return None


def resume(args: argparse.Namespace, admin: Admin) -> int:
    body = {"reason": args.reason} | ({} if args.weight is None else {"weight": args.weight})
    body |= {"override": args.override} if args.override else {}
    found = admin.ask("DELETE", f"/api/v1/orders/{quote(args.order, safe='')}", body)
    found["lifted"] = args.order
    order = found["order"]
    done = f"{args.order} is lifted"
    return changed(args, found, done if order["id"] == args.order else f"{done}; {order['id']}: {order['text']}")


def confirm(args: argparse.Namespace, admin: Admin) -> int:
    body = {"reason": args.reason} if args.reason else {}
    found = admin.ask("POST", f"/api/v1/orders/{quote(args.order, safe='')}/confirm", body)
    what = "routes.yaml" if found["order"] is None else f"{args.order} ({found['order']['text']})"
    if found["already"]:
        return changed(args, found | {"already": False}, f"{what} was confirmed before: nothing changed")
    return changed(args, found, f"{what} is confirmed and stays")


def restore(args: argparse.Namespace, admin: Admin) -> int:
    body = {"reason": args.reason} | ({"override": args.override} if args.override else {})
    found = admin.ask("POST", f"/api/v1/revisions/{args.revision}/restore", body)
    staying = [order for order in admin.get("/api/v1/orders")["orders"] if order["kind"] in {"rollback", "freeze"}]
    found["notes"] += [f"{order['id']} ({order['text']}) stays: only resume lifts it" for order in staying]
    if found["already"]:
        return changed(args, found | {"already": False}, f"revision {args.revision} is what is in force already")
    undo = f"strangler restore {found['revision'] - 1} --reason '...'"
    return changed(args, found, f"restored what was in force at revision {args.revision}", undo)

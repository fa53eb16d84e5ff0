"""The commands about places: what is known of them, drain and off, and the ways back."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, Final
from urllib.parse import quote

from control import render_places
from control.cli_client import Admin, CannotAskError
from control.cli_orders import said
from control.cli_output import changed, show, style
from control.cli_values import DONE, UNCONFIRMED

Json = dict[str, Any]

LOOK_EVERY: Final = 0.5
"""Seconds between two looks of a countdown."""


def sites(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.get("/api/v1/sites")
    show(args, found, render_places.sites(found, style(), time.time()))
    return DONE


def drain(args: argparse.Namespace, admin: Admin) -> int:
    """The order, and then a countdown until nothing is under way there any more; Ctrl-C ends the countdown alone."""
    return _closed(args, admin, "/api/v1/drains")


def off(args: argparse.Namespace, admin: Admin) -> int:
    return _closed(args, admin, "/api/v1/offs")


def _closed(args: argparse.Namespace, admin: Admin, path: str) -> int:
    found = admin.ask("POST", path, {"scope": {"site": args.site}} | said(args))
    undo = f"strangler on {args.site} --reason '...'"
    code = changed(args, found, f"{found['order']['id']}: {found['order']['text']}", undo if args.json else "")
    if not args.json:
        _count_down(args, admin)
        print(f"undo: {undo}")
    return code


def _count_down(args: argparse.Namespace, admin: Admin) -> None:
    until, last = time.monotonic() + args.wait, ""
    try:
        while True:
            site = _site(admin, args.site)
            line = "  " + render_places.under_way(site)
            if line != last:
                print(line)
                sys.stdout.flush()
            last = line
            if not render_places.left(site):
                return
            if time.monotonic() >= until:
                print("  it goes on; see strangler sites")
                return
            time.sleep(LOOK_EVERY)
    except KeyboardInterrupt:
        print("  the countdown ends here, the order stays; see strangler sites")
    except CannotAskError as error:
        print(f"  what is still under way there cannot be asked: {error}")


def _site(admin: Admin, name: str) -> Json:
    found: Json = next(site for site in admin.get("/api/v1/sites")["sites"] if site["name"] == name)
    return found


def on(args: argparse.Namespace, admin: Admin) -> int:
    """A site, an upstream or an endpoint: whatever waits for a person there may come back."""
    known = {site["name"] for site in admin.get("/api/v1/sites")["sites"]}
    if args.place in known:
        body = {"reason": args.reason} | ({"override": args.override} if args.override else {})
        found = admin.ask("POST", f"/api/v1/sites/{quote(args.place, safe='')}/on", body)
    else:
        found = admin.ask("POST", "/api/v1/places/revive", {"place": args.place, "reason": args.reason})
    lifted = f": {found['order']['id']} is lifted" if found["order"] else ""
    return changed(args, found | {"already": False}, f"{args.place} is on{lifted}")


def breaker(args: argparse.Namespace, admin: Admin) -> int:
    found = admin.ask("POST", f"/api/v1/breakers/{quote(args.route, safe='')}/close", {"reason": args.reason})
    silent = ", ".join(map(str, found["silent"]))
    done = f"the new side of {args.route} is tried again by every worker"
    show(args, found, [f"NOT CONFIRMED by worker {silent}" if silent else done])
    return UNCONFIRMED if silent else DONE

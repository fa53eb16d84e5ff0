"""`strangler shadow`: what is copied, and what comparing has shown."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from control import render_shadow
from control.cli_client import Admin
from control.cli_output import show, style
from control.cli_values import DONE


def shadow(args: argparse.Namespace, admin: Admin) -> int:
    """`report ROUTE`, or `list`."""
    if args.what == "list":
        found = admin.get("/api/v1/shadow")
        show(args, found, render_shadow.table(found))
        return DONE
    found = admin.get(f"/api/v1/shadow/{quote(args.route, safe='')}")
    show(args, found, render_shadow.report(found, style(), whole=args.all))
    return DONE

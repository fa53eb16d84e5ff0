"""`strangler token create | list | revoke`: who may use the admin address, by the file in the state directory.

It needs that directory and nobody else; a router that runs takes every change from the next request on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime

from control.auth import tokens
from control.auth.roles import Role
from control.auth.tokens import Token, TokenError
from control.cli_values import DONE, FAILED


def token(args: argparse.Namespace) -> int:
    """The exit code."""
    try:
        match args.what:
            case "create":
                _create(args)
            case "revoke":
                _revoke(args)
            case _:
                _list(args)
    except TokenError as error:
        print(f"strangler: {error}", file=sys.stderr)
        return FAILED
    return DONE


def _create(args: argparse.Namespace) -> None:
    secret = tokens.create(args.state, args.name, Role[args.role.upper()], time.time(), args.ttl)
    if args.json:
        print(json.dumps({"name": args.name, "role": args.role, "token": secret.reveal()}))
        return
    print(secret.reveal())
    print("It is shown this once. Give it to commands as STRANGLER_TOKEN.", file=sys.stderr)


def _revoke(args: argparse.Namespace) -> None:
    gone = tokens.revoke(args.state, args.name)
    print(json.dumps({"revoked": gone.name}) if args.json else f"{gone.name} is revoked; its sessions have ended.")


def _list(args: argparse.Namespace) -> None:
    found, used = tokens.read(args.state), tokens.uses(args.state)
    if args.json:
        print(json.dumps({"tokens": [_view(each, used.get(each.name)) for each in found or ()]}))
    elif found is None:
        print("no tokens: on loopback everybody may do everything, and no other admin address is opened")
    else:
        for each in found:
            print(f"{each.name:<24} {each.role.label:<9} {_ends(each)}, {_used(used.get(each.name))}")


def _view(each: Token, used: float | None) -> dict[str, object]:
    return {
        "name": each.name,
        "role": each.role.label,
        "created": each.created,
        "expires": each.expires,
        "expired": each.expired(time.time()),
        "last_use": used,
    }


def _ends(each: Token) -> str:
    if each.expires is None:
        return "does not expire"
    return f"{'expired' if each.expired(time.time()) else 'until'} {_moment(each.expires)}"


def _used(at: float | None) -> str:
    return "not used yet" if at is None else f"last used {_moment(at)}"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M UTC}"

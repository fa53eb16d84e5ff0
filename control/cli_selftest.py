"""`strangler rollout aa ROUTE`: starts a self-test on a route's present clients, and waits for what comes of it."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, Final

from control import render_selftest as render
from control.cli_client import Admin, CannotAskError
from control.cli_output import show, style
from control.cli_values import DONE, FAILED

WAITS: Final = 0.5
"""Seconds between two looks."""
PLACE: Final = "/api/v1/rollouts/aa/live"

Json = dict[str, Any]


def self_test(args: argparse.Namespace, admin: Admin) -> int:
    """Identical sides that are not told apart end with 0; silence proves nothing and does not."""
    asked: Json = {"do": "start", "route": args.route}
    asked |= {"share": args.share} if args.share is not None else {}
    asked |= {"for": args.span} if args.span is not None else {}
    found = _started(admin, asked)
    show(args, found, render.result(found, style()))
    return DONE if found["standing"] == "equal" else FAILED


def _started(admin: Admin, asked: Json) -> Json:
    """The result, once there is one; Ctrl-C stops the test as well."""
    test: Json = admin.ask("POST", PLACE, asked)["test"]
    progress = _Progress()
    try:
        while test["phase"] in {"taping", "judging"}:
            progress.say(render.progress(test))
            time.sleep(WAITS)
            test = _same(test, admin.get(PLACE)["test"])
    except KeyboardInterrupt:
        admin.ask("POST", PLACE, {"do": "stop"})
        raise
    finally:
        progress.end()
    return test


def _same(test: Json, found: Json | None) -> Json:
    if found is None or found["number"] != test["number"]:
        raise CannotAskError("the test is gone: control was started anew, or somebody has begun another one; try again")
    return found


class _Progress:
    """One line on standard error, written over and over; where nobody looks, only what begins."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._before = ""

    def say(self, text: str) -> None:
        if self._shown:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif not self._before:
            print(text, file=sys.stderr, flush=True)
        self._before = text

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

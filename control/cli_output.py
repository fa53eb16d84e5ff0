"""How commands end: what they print, and the exit code that says whether every worker has confirmed.

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
from collections.abc import Iterable
from typing import Any

from control import render_changes as render
from control.cli_values import DONE, UNCONFIRMED
from control.terminal import Style

Json = dict[str, Any]


def style() -> Style:
    """What standard output can show."""
    if not sys.stdout.isatty():
        return Style()
    colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Style(colour, shutil.get_terminal_size().columns)


def show(args: argparse.Namespace, found: Json, lines: Iterable[str]) -> None:
    """The answer for programs, or the lines for people."""
    if args.json:
        print(json.dumps(found, indent=2))
        return
    for line in lines:
        print(line)
    sys.stdout.flush()


def changed(args: argparse.Namespace, found: Json, headline: str, undo: str = "") -> int:
    """Prints a change in one output; the way back stands last."""
    lines = list(render.change(found, headline, style(), time.time()))
    show(args, found | {"undo": undo}, [*lines, *([f"undo: {undo}"] if undo else [])])
    return ending(found)


def ending(*found: Json) -> int:
    """The exit code of changes, with a last word to those who read nothing else."""
    missing = next((each for each in found if not each["confirmed"]), None)
    if missing is None:
        return DONE
    behind = ", ".join(render.stragglers(missing)) or "any: none is running"
    print(f"strangler: recorded, but NOT CONFIRMED by worker {behind}; see `strangler status`", file=sys.stderr)
    return UNCONFIRMED

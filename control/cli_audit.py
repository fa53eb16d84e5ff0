"""`strangler audit`: the trace of who did what, and whether every line of it follows from the one before.

It needs the state directory and nobody else.  It ends with 1 when a line was altered, cut out or torn: what was lost
there cannot be known, and somebody should look.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from typing import Any, Final

from control.auth import audit as trail
from control.cli_values import DONE, FAILED

_LONGEST: Final = 400
_CONTROL: Final = dict.fromkeys((*range(32), *range(0x7F, 0xA0)), "\N{REPLACEMENT CHARACTER}")


def audit(args: argparse.Namespace) -> int:
    """The exit code."""
    try:
        newest = _newest(args)
        count, broken = trail.verify(args.state)
    except OSError as error:
        print(f"strangler: {args.state}: {error.strerror or error}; name its directory with --state", file=sys.stderr)
        return FAILED
    if args.json:
        print(json.dumps({"lines": count, "broken_at": broken or None, "entries": newest}, indent=2))
    else:
        for entry in newest:
            print(_line(entry))
        print(f"{count} lines, each follows from the one before" if not broken else f"{count} lines are whole")
    if broken:
        print(f"strangler: BROKEN at {broken}: the line does not follow from the one before", file=sys.stderr)
    return FAILED if broken else DONE


def _newest(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The newest entries, the oldest of them first."""
    found = trail.files(args.state)
    if not found:
        raise FileNotFoundError(2, "there is no audit here", str(args.state))
    kept: deque[dict[str, Any]] = deque(maxlen=args.limit)
    for path in found:
        with path.open("rb") as file:
            kept.extend(entry for line in file if (entry := trail.entry_of(line)) is not None)
    return list(kept)


def _line(entry: dict[str, Any]) -> str:
    """`2026-11-25 19:40:02  change  kim 127.0.0.1 POST /api/v1/rollbacks 200`."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.get("at", 0)))
    who = entry.get("token") or entry.get("actor") or entry.get("says") or "-"
    if entry.get("what") == "revision":
        said = f"{entry.get('action')} {entry.get('target')} -> revision {entry.get('revision')}: {entry.get('reason')}"
    else:
        names = ("address", "method", "path", "status", "code")
        said = " ".join(str(entry[name]) for name in names if entry.get(name))
    return f"{at}  {entry.get('what', '?'):<8} {who}  {said}".translate(_CONTROL)[:_LONGEST]

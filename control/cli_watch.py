"""`strangler watch`: what happens, as it happens, one line an event, until somebody presses Ctrl-C.

When the stream ends it is opened again, with the id of the last event that was seen; what was missed meanwhile is
said to be missed, never passed over in silence.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any, Final

from control import render_changes as render
from control.cli_client import Admin, CannotAskError
from control.cli_output import style
from control.cli_values import DONE
from control.event_stream import Stream

WAITS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before each new attempt; the last one over and over."""

Json = dict[str, Any]


def watch(args: argparse.Namespace, admin: Admin) -> int:
    """Ends when whoever watches does, or when the address refuses."""
    stream = Stream(admin)
    failed = 0
    try:
        while True:
            try:
                for name, fields in stream.events():
                    failed = 0
                    _print(args, name, fields)
            except CannotAskError as error:
                if not stream.opened:
                    raise
                if not failed:
                    print(f"strangler: {error}; trying again", file=sys.stderr, flush=True)
            time.sleep(WAITS[min(failed, len(WAITS) - 1)])
            failed += 1
    except KeyboardInterrupt:
        return DONE


def _print(args: argparse.Namespace, name: str, fields: Json) -> None:
    print(json.dumps({"event": name, **fields}) if args.json else render.event(name, fields, style()), flush=True)

"""`strangler check`: what is wrong with a routes.yaml, without asking anybody.

Reads it with the very functions that the router reads it with, so that what passes here passes there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from router.core.model import Table
from router.core.parse import Parsed, Refused
from router.core.problem import Note, Problem
from router.sources.yaml_file import load_table


def read_file(name: str) -> bytes:
    """The file, or standard input for `-`; raises OSError."""
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def check(args: argparse.Namespace) -> int:
    try:
        data = read_file(args.file)
    except OSError as error:
        print(f"strangler: {args.file} cannot be read: {error.strerror or error}", file=sys.stderr)
        return 1
    parsed = load_table(data, "routes.yaml" if args.file == "-" else args.file, os.environ)
    if args.json:
        print(json.dumps(_as_json(parsed), indent=2))
    else:
        for line in _lines(args.file, parsed):
            print(line)
    return 1 if isinstance(parsed, Refused) else 0


def _lines(name: str, parsed: Parsed | Refused) -> list[str]:
    if isinstance(parsed, Refused):
        problems = list(map(str, parsed.problems))
        return [*problems, *_notes(parsed.notes), f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}"]
    return [*_notes(parsed.notes), f"{name} is fine: {_summary(parsed.table)}"]


def _notes(notes: tuple[Note, ...]) -> list[str]:
    return [f"note: {note}" for note in notes]


def _summary(table: Table) -> str:
    moving = sum(route.weight > 0 for route in table.routes)
    return (
        f"{len(table.routes)} routes ({moving} with a share on the new side), {len(table.groups)} groups, "
        f"{len(table.upstreams)} upstreams"
    )


def _as_json(parsed: Parsed | Refused) -> dict[str, object]:
    refused = isinstance(parsed, Refused)
    found: dict[str, object] = {
        "ok": not refused,
        "problems": list(map(_remark, parsed.problems)) if isinstance(parsed, Refused) else [],
        "notes": list(map(_remark, parsed.notes)),
    }
    return found if isinstance(parsed, Refused) else found | {"routes": len(parsed.table.routes)}


def _remark(remark: Problem | Note) -> dict[str, object]:
    return asdict(remark) | {"code": remark.code.value, "text": str(remark)}

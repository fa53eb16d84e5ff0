"""`strangler bake`: weight orders in force are written into routes.yaml, and are needed no more.

Exactly those lines are changed (`router.core.bake`); the result is read back and must mean the same table with the
new weights, or nothing is written.  The reload does the rest: each order gives way to the file, and no share changes.
A file that cannot be written is left alone, and the patch is printed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from control.cli_client import Admin, CannotAskError
from control.cli_files import patch, replace
from control.cli_output import show, style
from control.cli_values import DONE, FAILED, UNCONFIRMED
from control.terminal import Style, percent, plain
from router.core import bake as core
from router.core.model import Table
from router.core.parse import Refused
from router.core.problem import Report
from router.core.units import read_percent
from router.sources.yaml_file import load_table, read_document

PATIENCE: Final = 10.0
"""Seconds in which the router should have taken the file."""
_LOOK: Final = 0.1

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Written:
    """A file with what it says."""

    path: Path
    text: str
    table: Table

    @classmethod
    def read(cls, path: Path) -> _Written:
        try:
            data = path.read_bytes()
            text = data.decode()
        except OSError as error:
            raise CannotAskError(f"{path} cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise CannotAskError(f"{path} is not UTF-8") from None
        return cls(path, text, _table(path, text))


def _table(path: Path, text: str) -> Table:
    parsed = load_table(text.encode(), str(path), os.environ)
    if isinstance(parsed, Refused):
        raise CannotAskError(f"{path} has problems; mend them first: {parsed.problems[0]}")
    return parsed.table


def bake(args: argparse.Namespace, admin: Admin) -> int:
    status = admin.get("/api/v1/status")
    wanted, left = _wanted(status)
    file = _Written.read(Path(args.file or status["source"]["path"]))
    _check_same(file, status)
    root = read_document(file.text.encode(), Report(str(file.path)))
    assert root is not None, "it has just been read"  # noqa: S101 - `_Written.read` is the proof
    bare = file.text.removeprefix("\ufeff")
    baking = core.bake(bare, root, file.table, wanted)
    text = file.text[: len(file.text) - len(bare)] + baking.text
    if not core.means(file.table, _table(file.path, text), baking.baked):
        raise CannotAskError(f"{file.path} cannot be baked: it would say more than the new weights; nothing is written")
    return _Baking(args, admin, file, text, baking, left, status).run()


def _wanted(status: Json) -> tuple[dict[str, int], list[Json]]:
    """The shares to write, by route, and the orders that are left out because they end by themselves."""
    orders = {order["id"]: order for order in status["orders"] if order["kind"] == "weight"}
    left = [order for order in orders.values() if "expires" in order]
    keep = orders.keys() - {order["id"] for order in left}
    shares = {
        route["name"]: read_percent(f"{route['ordered']:g}") or 0
        for route in status["routes"]
        if route["ordered_by"] in keep
    }
    return shares, left


def _check_same(file: _Written, status: Json) -> None:
    """The lines to change must be those that are in force."""
    said = {route.name: route.weight for route in file.table.routes}
    known = {route["name"]: read_percent(f"{route['declared']:g}") for route in status["routes"]}
    if said != known:
        raise CannotAskError(
            f"{file.path} does not say what is in force (see `strangler plan {file.path}`); "
            "bake once it has been taken, or name the file that is in force"
        )


@dataclass(frozen=True, slots=True)
class _Baking:
    """What is to be written, and what becomes of it."""

    args: argparse.Namespace
    admin: Admin
    file: _Written
    text: str
    baking: core.Baking
    left: list[Json]
    status: Json

    def run(self) -> int:
        if self.args.patch:
            return self._told(written=False, why="")
        if not self.baking.baked:
            return self._told(written=False, why="", cleared=self._lift())
        try:
            replace(self.file.path, self.text)
        except OSError as error:
            why = f"{self.file.path} cannot be written ({error.strerror or error})"
            self._told(written=False, why=why)
            return FAILED
        return self._taken()

    def _taken(self) -> int:
        """Waits until the file has taken force and its orders have given way; lifts those that had nothing to say."""
        deadline = time.monotonic() + PATIENCE
        while (now := self.admin.get("/api/v1/status"))["revision"] == self.status["revision"]:
            if time.monotonic() > deadline or now["source"]["status"] == "refused":
                why = "; ".join(now["source"]["problems"][:3]) or f"it was not taken within {PATIENCE:g} s"
                self._told(written=True, why=f"written, but not in force: {why}")
                return UNCONFIRMED
            time.sleep(_LOOK)
        cleared = [order["id"] for order in self._baked_orders() if order["id"] not in _ids(now)] + self._lift()
        return self._told(written=True, why="", revision=now["revision"], cleared=cleared)

    def _baked_orders(self) -> list[Json]:
        names = {each.route for each in self.baking.baked}
        by = {route["ordered_by"] for route in self.status["routes"] if route["name"] in names}
        return [order for order in self.status["orders"] if order["id"] in by]

    def _lift(self) -> list[str]:
        """Lifts the orders that say what the file said before: no edit makes them give way, and no share changes."""
        idle = _idle(self.status)
        for order in idle:
            self.admin.ask("DELETE", f"/api/v1/orders/{quote(order, safe='')}", {"reason": "routes.yaml says the same"})
        return idle

    def _told(self, *, written: bool, why: str, revision: int = 0, cleared: Iterable[str] = ()) -> int:
        found: Json = {
            "file": str(self.file.path),
            "written": written,
            "why": why,
            "revision": revision or self.status["revision"],
            "baked": [
                {"route": each.route, "line": each.line, "before": each.before / 10_000, "after": each.after / 10_000}
                for each in self.baking.baked
            ],
            "left": [{"route": each.route, "line": each.line, "why": each.why} for each in self.baking.left],
            "temporary": [order["id"] for order in self.left],
            "cleared": list(cleared),
            "patch": "" if written else patch(self.file.path, self.file.text, self.text),
        }
        if why and not self.args.json:
            print(f"strangler: {why}" + ("" if written else "; the patch:"), file=sys.stderr)
        patch_alone = bool(found["patch"]) and not self.args.json
        show(self.args, found, found["patch"].splitlines() if patch_alone else _lines(found, style()))
        if patch_alone:
            for line in _leftovers(found):
                print(f"strangler: {line}", file=sys.stderr)
        return DONE


def _idle(status: Json) -> list[str]:
    """Orders for good that are alone in ruling their routes, with the very weights that the file declares."""
    weights = [order for order in status["orders"] if order["kind"] == "weight"]
    spoken = Counter(name for order in weights for name in order["routes"])
    ruled: dict[str, list[Json]] = {}
    for route in status["routes"]:
        ruled.setdefault(route["ordered_by"], []).append(route)
    return [
        order["id"]
        for order in weights
        if "expires" not in order
        and order["id"] in ruled
        and all(route["ordered"] == route["declared"] and spoken[route["name"]] == 1 for route in ruled[order["id"]])
    ]


def _ids(status: Json) -> set[str]:
    return {order["id"] for order in status["orders"]}


def _lines(found: Json, style: Style) -> Iterator[str]:
    if not found["baked"]:
        yield style.bold("nothing to bake") + ": no weight order for good says anything that the file does not"
    else:
        yield style.bold(f"baked into {plain(found['file'])}, revision {found['revision']}")
    for each in found["baked"]:
        moved = f"{percent(each['before'])} -> {percent(each['after'])}"
        yield f"  line {each['line']:>4}  {moved:<18}  {plain(each['route'])}"
    if found["cleared"]:
        yield f"  cleared: {', '.join(found['cleared'])}, the file says it now"
    yield from (f"  {line}" for line in _leftovers(found))


def _leftovers(found: Json) -> Iterator[str]:
    for each in found["left"]:
        yield f"left alone: {plain(each['route'])} (line {each['line']}): {each['why']}"
    if found["temporary"]:
        yield f"left alone: {', '.join(found['temporary'])}: what ends by itself does not belong into the file"

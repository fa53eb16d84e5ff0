"""How the migration went, on this machine's disk: the curve by group, and every route's way through the stages.

A file of its own, beside that of the orders: what grows and is swept here every few minutes must never stand in the way
of a rollback, and whoever deletes it loses a curve and nothing else.

Old points become coarser: five minutes for two days, hours for two months, days for five years.  A point is one row
that holds all groups, packed; a year of 1,500 routes stays far below 50 MB.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from control.stores.file import SqliteFile, bring_up, transaction
from rollout.core.progress import DAY, STAGES, Passage, Point, Stage, Tally, Track
from router.ports import StoreError

T = TypeVar("T")

VERSION: Final = 1
"""Of the schema below."""
GRAINS: Final = ((300, 2 * DAY), (3600, 60 * DAY), (86_400, 5 * 366 * DAY))
"""(seconds of a point, for how long such points are kept), the finest first."""
PASSAGES: Final = 200_000
"""Changes of stage that are remembered."""
GONE: Final = 400 * DAY
"""Seconds for which a route that is no more is remembered."""
_NOWHERE: Final = -1
"""Stands for the stage of a route that is new, or gone."""

SCHEMA: Final = """
CREATE TABLE routes (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, stage TEXT NOT NULL, since REAL NOT NULL, wish INTEGER NOT NULL,
    moved REAL NOT NULL, gone REAL
);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, route INTEGER NOT NULL, before INTEGER NOT NULL, after INTEGER NOT NULL
);
CREATE INDEX passages_route ON passages (route);
CREATE TABLE points (
    grain INTEGER NOT NULL, slot INTEGER NOT NULL, at REAL NOT NULL, whole TEXT NOT NULL, groups BLOB NOT NULL,
    PRIMARY KEY (grain, slot)
) WITHOUT ROWID;
"""


class ProgressStore(SqliteFile):
    """The memory of `control.progress`.  Every method raises StoreError when the disk does not do it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "progress")

    async def tracks(self) -> Mapping[str, Track]:
        return await self._run(_tracks)

    async def record(self, tracks: Mapping[str, Track], gone: Sequence[str], at: float) -> None:
        await self._run(lambda connection: _record(connection, tracks, gone, at))

    async def add(self, point: Point) -> None:
        await self._run(lambda connection: _add(connection, point))

    async def curve(self, since: float, groups: Collection[str] | None) -> Sequence[tuple[float, Tally]]:
        return await self._run(lambda connection: _curve(connection, since, groups))

    async def days(self, since: float) -> Sequence[Point]:
        return await self._run(lambda connection: _days(connection, since))

    async def passages(self, limit: int, route: str | None) -> Sequence[Passage]:
        return await self._run(lambda connection: _passages(connection, limit, route))

    # -- in the thread ------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._open())
        except (sqlite3.Error, zlib.error, OSError, ValueError, KeyError) as error:
            self._close()  # whatever it is, the next one begins with a new look at the file
            raise StoreError(f"{self._path}: {error}") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # A power cut may cost the last minutes of a curve.
        bring_up(connection, "NORMAL", VERSION, lambda _: SCHEMA.split(";\n"))


# -- routes ------------------------------------------------------------------------------------------------------------


def _tracks(connection: sqlite3.Connection) -> dict[str, Track]:
    rows = connection.execute("SELECT name, stage, since, wish, moved FROM routes WHERE gone IS NULL")
    return {name: Track(Stage(stage), since, wish, moved) for name, stage, since, wish, moved in rows}


def _record(connection: sqlite3.Connection, tracks: Mapping[str, Track], gone: Sequence[str], at: float) -> None:
    with transaction(connection):
        known = _tracks(connection)
        connection.executemany(
            "INSERT INTO routes (name, stage, since, wish, moved) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
            " SET stage = excluded.stage, since = excluded.since, wish = excluded.wish, moved = excluded.moved,"
            " gone = NULL",
            [(name, each.stage.value, each.since, each.wish, each.moved) for name, each in tracks.items()],
        )
        lost = [name for name in gone if name in known]
        connection.executemany("UPDATE routes SET gone = ? WHERE name = ?", [(at, name) for name in lost])
        passed = [(name, _stage(known.get(name)), _stage(track)) for name, track in tracks.items()]
        passed += [(name, _stage(known[name]), _NOWHERE) for name in lost]
        connection.executemany(
            "INSERT INTO passages (at, route, before, after) SELECT ?, id, ?, ? FROM routes WHERE name = ?",
            [(at, before, after, name) for name, before, after in passed if before != after],
        )
        _sweep(connection, at)


def _stage(track: Track | None) -> int:
    return _NOWHERE if track is None else STAGES.index(track.stage)


def _sweep(connection: sqlite3.Connection, at: float) -> None:
    connection.execute("DELETE FROM passages WHERE id <= (SELECT max(id) FROM passages) - ?", (PASSAGES,))
    old = "SELECT id FROM routes WHERE gone < ?"
    connection.execute(f"DELETE FROM passages WHERE route IN ({old})", (at - GONE,))  # noqa: S608 - our own text
    connection.execute("DELETE FROM routes WHERE gone < ?", (at - GONE,))


def _passages(connection: sqlite3.Connection, limit: int, route: str | None) -> list[Passage]:
    rows = connection.execute(
        "SELECT at, name, before, after FROM passages JOIN routes ON routes.id = passages.route"
        " WHERE ?1 IS NULL OR passages.route = (SELECT id FROM routes WHERE name = ?1)"
        " ORDER BY passages.id DESC LIMIT ?2",
        (route, limit),
    )
    return [Passage(at, name, _name(before), _name(after)) for at, name, before, after in rows]


def _name(stage: int) -> str:
    return "" if stage == _NOWHERE else STAGES[stage].value


# -- points ------------------------------------------------------------------------------------------------------------


def _add(connection: sqlite3.Connection, point: Point) -> None:
    with transaction(connection):
        for grain, kept in GRAINS:
            slot = int(point.at // grain)
            row = connection.execute("SELECT groups FROM points WHERE grain = ? AND slot = ?", (grain, slot)).fetchone()
            groups = point.groups if row is None else _merged(_unpacked(row[0]), point.groups)
            whole = json.dumps(_row(sum(groups.values(), Tally())))
            row = (grain, slot, point.at, whole, _packed(groups))
            connection.execute("REPLACE INTO points VALUES (?, ?, ?, ?, ?)", row)
            oldest = int((point.at - kept) // grain)
            connection.execute("DELETE FROM points WHERE grain = ? AND slot < ?", (grain, oldest))


def _merged(earlier: Mapping[str, Tally], later: Mapping[str, Tally]) -> dict[str, Tally]:
    """One coarser point: requests add up, everything else is as it was last.  Groups that have gone leave nothing."""
    found = {}
    for group, tally in later.items():
        before = earlier.get(group, Tally())
        requests = tuple(map(sum, zip(before.requests, tally.requests, strict=True)))
        found[group] = Tally(tally.apis, requests, before.new + tally.new, tally.share)
    return found


def _curve(connection: sqlite3.Connection, since: float, groups: Collection[str] | None) -> list[tuple[float, Tally]]:
    grain = _grain(connection, since)
    what = "whole" if groups is None else "groups"
    rows = connection.execute(
        f"SELECT at, {what} FROM points WHERE grain = ? AND at >= ? ORDER BY slot",  # noqa: S608 - our own text
        (grain, since),
    )
    if groups is None:
        return [(at, _tally(json.loads(whole))) for at, whole in rows]
    found = ((at, [tally for name, tally in _unpacked(packed).items() if name in groups]) for at, packed in rows)
    return [(at, sum(tallies, Tally())) for at, tallies in found if tallies]


def _days(connection: sqlite3.Connection, since: float) -> list[Point]:
    grain = GRAINS[-1][0]
    rows = connection.execute("SELECT at, groups FROM points WHERE grain = ? AND at >= ? ORDER BY slot", (grain, since))
    return [Point(at, _unpacked(groups)) for at, groups in rows]


def _grain(connection: sqlite3.Connection, since: float) -> int:
    """The finest that reaches back to `since`, or to the beginning."""
    ends = [_end(connection, grain, way) for grain, _ in GRAINS for way in ("ASC", "DESC")]
    known = [at for at in ends if at is not None]
    span = max(known) - max(since, min(known)) if known else 0.0
    return next((grain for grain, kept in GRAINS if span <= kept), GRAINS[-1][0])


def _end(connection: sqlite3.Connection, grain: int, way: str) -> float | None:
    """When the first or the last point of a grain was; without a walk over all of them."""
    row = connection.execute(
        f"SELECT at FROM points WHERE grain = ? ORDER BY slot {way} LIMIT 1",  # noqa: S608 - our own text
        (grain,),
    ).fetchone()
    return row[0] if row else None


def _packed(groups: Mapping[str, Tally]) -> bytes:
    rows = {name: _row(tally) for name, tally in groups.items()}
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode())


def _unpacked(data: bytes) -> dict[str, Tally]:
    return {name: _tally(row) for name, row in json.loads(zlib.decompress(data)).items()}


def _row(tally: Tally) -> list[int]:
    return [*tally.apis, *tally.requests, tally.new, tally.share]


def _tally(row: Sequence[int]) -> Tally:
    count = len(STAGES)
    return Tally(tuple(row[:count]), tuple(row[count : 2 * count]), row[2 * count], row[2 * count + 1])

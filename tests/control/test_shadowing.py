"""control.shadowing: what is told to the comparing process, what is asked, and what happens when it is not well."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control.shadowing import Shadowing, subjects
from rollout.core.compare.policy import Level
from rollout.core.evidence import Mark, Shadowed, Tally
from router.core.comparing import Comparing, Rule, Treat
from router.core.model import PPM, Endpoint, Group, Route, Shadow, Table, Upstream
from router.events import Event, EventName, Events

RULE = Comparing(rules=(Rule("$.a", Treat.IGNORE, "me", "because", 2e9),))
HEADERS = Comparing(headers=("x-a",))
COMPARED = Route(
    "a", "/a", "old", new="new", group="g", shadow=Shadow(PPM, compare=True, samples=60.0), compare=HEADERS
)
TABLE = Table(
    "old",
    {name: Upstream(name, {"": (Endpoint("127.0.0.1", 1),)}) for name in ("old", "new")},
    routes=(
        COMPARED,
        Route("copied", "/b", "old", new="new", shadow=Shadow(PPM)),
        Route("never", "/c", "old", new="new", shadow=Shadow(0, compare=True)),
        Route("plain", "/d", "old", new="new"),
    ),
    groups={"g": Group("g", compare=RULE)},
    compare=RULE,
)

TALKER = """
import json, sys
mark = [5.0, "r"]
row = [3, [1, mark, mark], 2, [1, mark, mark], 0]
epochs = [[1, 0, row], [2, 0, row], [1, 9, row]]
told = None
totals = {"a": {"verdicts": {"matched": 2}, "failures": {}, "copies": {}, "epochs": epochs}}
for line in sys.stdin:
    asked = json.loads(line)
    if asked["op"] == "follow":
        told = [route[0] for route in asked["routes"]]
    elif asked["op"] == "totals":
        print(json.dumps({"n": asked["n"], "totals": totals}), flush=True)
    else:
        report = told and {"told": told, "route": asked["route"]}
        print(json.dumps({"n": asked["n"], "report": report}), flush=True)
"""


@asynccontextmanager
async def running(state: Path, script: str, told: list[Event]) -> AsyncIterator[Shadowing]:
    shadowing = Shadowing(state, Events(lambda: 0.0, told.append), (sys.executable, "-c", script))
    task = asyncio.create_task(shadowing.run())
    try:
        yield shadowing
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_levels_are_all_the_group_and_the_route() -> None:
    """In this order, without those that say nothing; only routes that are compared are told of."""
    (found,) = subjects(TABLE)
    levels = (Level("platform", RULE), Level("group g", RULE), Level("route a", HEADERS))
    assert ("a", "old", "new", 60.0, levels) == (found.name, found.legacy, found.new, found.samples, found.levels)


async def test_it_is_told_what_to_compare_and_asked_what_it_found(tmp_path: Path) -> None:
    """Once something is compared at all."""
    async with running(tmp_path, TALKER, []) as shadowing:
        assert None is await shadowing.report("a")
        shadowing.follow(TABLE)
        async with asyncio.timeout(20):
            while (found := await shadowing.report("a")) is None:
                await asyncio.sleep(0.02)
            while not shadowing.totals():
                await asyncio.sleep(0.02)
    assert {"told": ["a"], "route": "a"} == found
    assert ("a",) == shadowing.compared
    mark = Mark(5.0, "r")
    newest = Shadowed(6, Tally(2, mark, mark), 4, Tally(2, mark, mark), 0)
    assert (newest, Shadowed()) == (shadowing.evidence("a"), shadowing.evidence("b"))
    assert newest == shadowing.evidence("a", 2)
    nobody_knows = Shadowed(6, Tally(2, None, mark), 4, Tally(2, None, mark), 0)
    assert nobody_knows == shadowing.evidence("a", 3)


async def test_one_that_dies_is_started_anew_and_told_of(tmp_path: Path) -> None:
    """Questions are answered with nothing meanwhile, and nobody waits."""
    told: list[Event] = []
    flag = tmp_path / "second"
    first = (
        f"import pathlib, sys\nflag = pathlib.Path({str(flag)!r})\nif not flag.exists():\n flag.touch()\n sys.exit(3)\n"
    )
    script = first + TALKER
    async with running(tmp_path, script, told) as shadowing:
        shadowing.follow(TABLE)
        async with asyncio.timeout(30):
            while await shadowing.report("a") is None:
                await asyncio.sleep(0.02)
    assert [EventName.COMPARER_RESTARTED] == [event.name for event in told]
    assert "3" in str(told[0].fields["why"])


async def test_one_that_talks_rubbish_is_replaced(tmp_path: Path) -> None:
    """As one that has died."""
    told: list[Event] = []
    async with running(tmp_path, "print('rubbish', flush=True)\nimport time\ntime.sleep(60)", told) as shadowing:
        shadowing.follow(TABLE)
        async with asyncio.timeout(20):
            while not told:
                await asyncio.sleep(0.02)
    assert EventName.COMPARER_RESTARTED == told[0].name


async def test_one_that_does_not_end_by_itself_is_killed_though_we_are_in_a_hurry(tmp_path: Path) -> None:
    """Control is told to stop while it still waits for the child to go."""
    told: list[Event] = []
    note = tmp_path / "pid"
    script = f"import os, pathlib, time\npathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
    script += "print('rubbish', flush=True)\ntime.sleep(60)"
    async with running(tmp_path, script, told) as shadowing:
        shadowing.follow(TABLE)
        async with asyncio.timeout(20):
            while not told:
                await asyncio.sleep(0.02)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


async def test_while_nothing_is_compared_there_is_no_process(tmp_path: Path) -> None:
    """The first table in which something is compared brings it up."""
    flag = tmp_path / "started"
    script = f"import pathlib\npathlib.Path({str(flag)!r}).touch()\n{TALKER}"
    async with running(tmp_path, script, []) as shadowing:
        shadowing.follow(Table("old", TABLE.upstreams))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not flag.exists()
        shadowing.follow(TABLE)
        async with asyncio.timeout(20):
            while not flag.exists():
                await asyncio.sleep(0.02)

"""Control's end of the comparing process: starts it, tells it what to compare, asks it what it found.

It is a child like the compiler, and of less consequence: when it dies it is started anew a second later, with what it
had written to disk, and when it does not answer in time the question is answered with nothing.  While no route in
force is compared there is no child at all.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rollout.core.compare.policy import Level
from rollout.core.evidence import Shadowed
from rollout.shadow.page import Subject, follow_message, shadowed_from
from router.core.comparing import Comparing
from router.core.model import Table
from router.events import EventName, Events

PATIENCE: Final = 10.0
"""Seconds that an answer may take: the child is in no hurry, and may be in the middle of a large comparison."""
AGAIN: Final = 1.0
"""Seconds before it is started anew."""
FRESH: Final = 2.0
"""Seconds between two looks at the counts."""
MAX_ANSWER: Final = 64 * 1024 * 1024

Totals = Mapping[str, Mapping[str, Any]]
"""By route: verdicts, failures, copies, epochs."""


def subjects(table: Table) -> tuple[Subject, ...]:
    """The routes that are compared, with the rules of all their levels."""
    found = []
    for route in table.routes:
        shadow = route.shadow
        if shadow is None or not shadow.compare or not shadow.percent or route.new is None:
            continue
        group = table.groups.get(route.group)
        levels = [("platform", table.compare), (f"route {route.name}", route.compare)]
        if group is not None:
            levels.insert(1, (f"group {group.name}", group.compare))
        said = tuple(Level(name, comparing) for name, comparing in levels if comparing != Comparing())
        found.append(Subject(route.name, route.legacy, route.new, shadow.samples, said))
    return tuple(found)


class Shadowing:
    """Asks the comparing process.  `run` keeps it alive; everything else waits for it a short time at most."""

    def __init__(
        self,
        state: Path,
        events: Events,
        command: tuple[str, ...] = (sys.executable, "-m", "rollout.shadow"),
    ) -> None:
        self._state = state
        self._events = events
        self._command = command
        self._subjects: tuple[Subject, ...] = ()
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        self._questions: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._totals: Totals = {}
        self.strangers: Mapping[str, int] = {}
        """Captures nothing came of, by why: of a `route` that is not compared, without a `pair`, or for an `error`."""

    @property
    def compared(self) -> tuple[str, ...]:
        """The routes in force whose answers are compared."""
        return tuple(subject.name for subject in self._subjects)

    def follow(self, table: Table) -> None:
        """A table that is in force from now on."""
        self._subjects = subjects(table)
        if self._subjects:
            self._wanted.set()
        self._changed.set()

    async def report(self, route: str) -> dict[str, Any] | None:
        """What came of comparing a route; None: nobody knows, or nobody answers."""
        answer = await self._ask({"op": "report", "route": route})
        found = None if answer is None else answer.get("report")
        return found if isinstance(found, dict) else None

    def totals(self) -> Totals:
        """Counts of all routes, a few seconds old at most; of a child that does not answer, those of before."""
        return self._totals

    def evidence(self, route: str, since: int = 0) -> Shadowed:
        """What comparisons say about a route under the share that it was compared with last.

        Counts are sums since ever; the first that differed is the first since a revision.
        """
        rows = self._totals.get(route, {}).get("epochs", ())
        if not rows:
            return Shadowed()
        share = max(rows, key=lambda row: row[0])[1]
        found = ((revision, shadowed_from(row)) for revision, of, row in rows if of == share)
        return sum((row if revision >= since else _without_first(row) for revision, row in found), Shadowed())

    async def run(self) -> None:
        """Keeps the child alive until it is cancelled."""
        while True:
            await self._wanted.wait()
            try:
                await self._live()
            except OSError as error:
                self._events.tell(EventName.COMPARER_RESTARTED, why=str(error))
            await asyncio.sleep(AGAIN)

    async def _live(self) -> None:
        """One life of the child."""
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *self._command, str(self._state), stdin=pipe, stdout=pipe, start_new_session=True, limit=MAX_ANSWER
        )
        self._child = child
        beside = [
            asyncio.create_task(self._tell(), name="what to compare"),
            asyncio.create_task(self._look(), name="what was compared"),
        ]
        try:
            if child.stdout is not None:
                while line := await child.stdout.readline():
                    self._heard(line)
            self._events.tell(EventName.COMPARER_RESTARTED, why=f"it ended with {await child.wait()}")
        except ValueError as error:
            self._events.tell(EventName.COMPARER_RESTARTED, why=f"it said what nobody understands: {error}")
        finally:
            for task in beside:
                task.cancel()
            self._child = None
            self._forget_questions()
            await _end(child)

    def _heard(self, line: bytes) -> None:
        answer = json.loads(line)
        waiting = self._questions.pop(answer["n"], None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def _tell(self) -> None:
        """What is compared, now and whenever that changes; written out in a thread, since rules may be many."""
        self._changed.set()
        while await self._changed.wait():
            self._changed.clear()
            self._write(await asyncio.to_thread(_told, self._subjects))

    async def _look(self) -> None:
        """Asks for the counts again and again."""
        while True:
            answer = await self._ask({"op": "totals"})
            if answer is not None and "totals" in answer:
                self._totals, self.strangers = answer["totals"], answer.get("strangers", {})
            await asyncio.sleep(FRESH)

    def _write(self, line: bytes) -> bool:
        child = self._child
        if child is None or child.stdin is None or child.stdin.is_closing():
            return False
        if child.stdin.transport.get_write_buffer_size() > MAX_ANSWER:
            return False
        child.stdin.write(line)
        return True

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        self._number += 1
        number = self._number
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._questions[number] = future
        try:
            if not self._write(_line({**question, "n": number})):
                return None
            return await asyncio.wait_for(future, PATIENCE)
        except TimeoutError:
            return None
        finally:
            self._questions.pop(number, None)

    def _forget_questions(self) -> None:
        for future in self._questions.values():
            if not future.done():
                future.set_result({})
        self._questions.clear()


def _without_first(row: Shadowed) -> Shadowed:
    mismatches, only_new = replace(row.mismatches, first=None), replace(row.only_new, first=None)
    return replace(row, mismatches=mismatches, only_new=only_new)


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _told(subjects: tuple[Subject, ...]) -> bytes:
    return _line(follow_message(subjects))


async def _end(child: asyncio.subprocess.Process) -> None:
    """Closing its standard input asks it to write everything down and end; after a second it is made to."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        await asyncio.wait_for(child.wait(), 1.0)
    except TimeoutError:
        pass
    finally:  # also when we are cancelled meanwhile: nobody else knows of it
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()

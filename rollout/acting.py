"""Does what runs want done: orders, one of a route at a time, and what became of them.

A rise is ordered only when its run is recorded; a rollback at once, as far as the brake lets it (`rollout.core.brake`).
Answers wait here until the controller takes them in with its next turn.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final

from rollout.core import brake as brakes
from rollout.core.brake import Brake
from rollout.core.keeping import decode, encode
from rollout.core.run import Act, Command, Event, Refused, Run, Told
from rollout.ports import Line, Platform
from rollout.record import Record

WITHHELD: Final = 60.0
"""Seconds before a withheld rollback is tried again."""
AT_ONCE: Final = 50
"""Orders under way; with so many of them no further rise is ordered, a rollback is."""
FREEZE: Final = ""
"""Stands for the route of the one order that is about all of them."""


class Acting:
    """The orders that are under way, and the answers that nobody has heard yet."""

    def __init__(
        self, platform: Platform, record: Record, tell: Callable[..., None], answered: Callable[[], None]
    ) -> None:
        """`answered` is called whenever there is an answer to take in."""
        self._platform = platform
        self._record = record
        self._tell = tell
        self._answered = answered
        self._answers: list[tuple[str, Event]] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By route."""
        self._brake = Brake()
        self._broken: BaseException | None = None
        """A mistake of ours while an order was given: it ends the loop."""

    def take_up(self, runs: Mapping[str, Run], brake: str | None) -> None:
        """After a restart: which of the wanted orders were given?  `brake` is how it was kept."""
        self._brake = decode(Brake, json.loads(brake)) if brake else Brake()
        for route, run in runs.items():
            if run.pending is not None and (done := self._platform.done(run.pending)) is not None:
                self._answers.append((route, done))

    def answers(self) -> list[tuple[str, Event]]:
        """Those that have come since the last time."""
        if self._broken is not None:
            raise self._broken
        answers, self._answers = self._answers, []
        return answers

    def act(self, runs: Mapping[str, Run], at: float) -> None:
        """What is wanted and may be done now is begun."""
        busy = self._tasks.keys() | {route for route, _ in self._answers}  # an answer that is there is heard first
        for route, run in runs.items():
            command = run.pending
            if command is None or run.over or route in busy or at < run.retry:
                continue
            if command.act is Act.WEIGHT and (len(self._tasks) >= AT_ONCE or not self._record.has(route)):
                continue
            if command.act is Act.ROLLBACK and not self._let_through(run, command, at):
                continue
            self._begin(route, self._do(command))

    async def finish(self) -> None:
        """Waits for the orders that are under way."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks.values()))

    def _let_through(self, run: Run, command: Command, at: float) -> bool:
        before = self._brake
        self._brake, free = brakes.let_through(before, brakes.what(run.verdict, run.route), at)
        if not free:
            why = f"there were {brakes.MOST} automatic rollbacks within an hour; a person has to look at it"
            self._answers.append((run.route, Refused(command.id, why, WITHHELD)))
            if brakes.must_freeze(self._brake, at):
                self._brake = replace(self._brake, frozen=at)
                self._begin(FREEZE, self._platform.freeze(f"{why}; {run.route} would have been the next"))
                said = {"route": run.route, "run": run.number, "why": why}
                self._record.add(Line(at, Told.WITHHELD, run.route, json.dumps(said)))
                self._tell(Told.WITHHELD, **said)
        if self._brake != before:
            self._record.keep("brake", json.dumps(encode(self._brake)))
        return free

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"rollout.{name or 'freeze'}")
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._ended(name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._tasks[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error
        self._answered()

    async def _do(self, command: Command) -> None:
        answer = await self._platform.order(command)
        self._answers.append((command.route, answer))  # to the list of that moment: a turn may have taken the other

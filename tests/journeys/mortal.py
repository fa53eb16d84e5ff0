"""Starts control again and again, each time to die by SIGKILL before a step that chance has chosen.

    python tests/journeys/mortal.py SEED STOP OPTIONS ADMIN_FD READY_FD

A step is a statement of SQL (so that BEGIN, each write and COMMIT are told apart), aiming the workers, and writing a
file.  Each process's id is printed.  Once the file STOP exists, the next control lives until it is told to end.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from control import channel, main, watcher  # noqa: F401  # loaded once, for all lives
from control.channel import WorkerFleet
from control.stores.sqlite import SqliteStore
from control.supervisor import dies_with_parent

LONGEST_LIFE = 130
"""Steps."""


class Fate:
    """Counts the steps that are left."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def step(self, *_: object) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **more: Any) -> Any:
            self.step()
            result = work(*args, **more)
            self.step()
            return result

        return stepped


def arm(fate: Fate) -> None:
    """Everything that leaves a trace outside of the process is a step."""
    opened = SqliteStore._open

    def traced(self: SqliteStore) -> Any:
        fresh = self._connection is None
        connection = opened(self)
        if fresh:
            connection.set_trace_callback(fate.step)
        return connection

    SqliteStore._open = traced  # type: ignore[method-assign]
    WorkerFleet.aim = fate.around(WorkerFleet.aim)  # type: ignore[method-assign]
    channel.replace_file = fate.around(channel.replace_file)


def live(arguments: list[str], steps: int) -> None:
    if steps:
        arm(Fate(steps))
    os._exit(main.main(arguments))


def run(seed: int, stop: Path, arguments: list[str]) -> None:
    chance = random.Random(seed)
    while True:
        steps = 0 if stop.exists() else chance.randrange(4, LONGEST_LIFE)
        bound = dies_with_parent(signal.SIGKILL)
        pid = os.fork()
        if pid == 0:
            bound()
            live(arguments, steps)
        print(pid, flush=True)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    run(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])

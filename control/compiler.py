"""Makes tables out of text in a process of its own.

PyYAML holds the interpreter for a quarter of a second on 1,500 routes, and a file made to hurt may hold it for much
longer; in the control process, a thread for it would still delay a rollback.  So a child process parses, validates,
gives out counter blocks and writes the lines for the workers; control only takes the result over.  The child lives
on from one file to the next, and is replaced when it dies or takes too long.

    python -m control.compiler      the child: length-prefixed pickles on stdin and stdout, between these two only
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import struct
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from control import blocks
from control.blocks import RegistryError
from router.blocks import Registry, extended
from router.core.addresses import Place
from router.core.parse import Refused
from router.core.wire import structure_digest, structure_lines
from router.ports import Compiled, Problems
from router.sources.yaml_file import load_table

PATIENCE: Final = 10.0
"""Seconds a routes.yaml may take."""
_LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class _Asked:
    data: bytes
    registry: Registry
    own: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class _Answer:
    outcome: Compiled | Problems
    registry: Registry
    """With the blocks of the outcome."""


class ChildCompiler:
    """A `Compiler` that keeps one child at hand."""

    def __init__(
        self,
        registry: Path | None,
        *,
        filename: str = "routes.yaml",
        own: Collection[Place] = (),
        patience: float = PATIENCE,
        restarted: Callable[[str], None] = lambda _why: None,
        command: tuple[str, ...] = (sys.executable, "-m", "control.compiler"),
    ) -> None:
        """Without a registry nothing is recorded: then results are good to look at, not to put in force.

        `own` are the places on which this router listens: no upstream may be there.
        """
        self._path = registry
        self._registry = Registry() if registry is None else blocks.read(registry)
        self._filename = filename
        self._own = tuple(own)
        self._patience = patience
        self._restarted = restarted
        self._command = command
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def compile(self, data: bytes) -> Compiled | Problems:
        async with self._turn:
            try:
                answer = await asyncio.wait_for(self._ask(data), self._patience)
                if self._path is not None and answer.registry.end != self._registry.end:
                    await asyncio.to_thread(blocks.write, self._path, answer.registry)
                    self._registry = answer.registry
            except asyncio.CancelledError:
                await self._drop()  # or its answer would be taken for that to the next question
                raise
            except TimeoutError:
                return await self._gave_up(f"it takes longer than {self._patience:g} s", "make it smaller or simpler")
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                return await self._gave_up(f"reading it ended the compiler ({error!r})", "see the log")
            except RegistryError as error:
                return Problems((f"{self._filename}:1:1: no counters for it: {error}; see the state directory's disk",))
            return answer.outcome

    async def start(self) -> None:
        """Has the child ready before it is needed."""
        async with self._turn:
            await self._running()

    async def close(self) -> None:
        async with self._turn:
            await self._drop()

    async def _ask(self, data: bytes) -> _Answer:
        child = await self._running()
        if child.stdin is None or child.stdout is None:
            raise EOFError("it has no pipes")
        asked = pickle.dumps(_Asked(data, self._registry, self._own))
        child.stdin.writelines((_LENGTH.pack(len(asked)), asked))
        await child.stdin.drain()
        (length,) = _LENGTH.unpack(await child.stdout.readexactly(_LENGTH.size))
        return await asyncio.to_thread(_unpickled, await child.stdout.readexactly(length))

    async def _running(self) -> asyncio.subprocess.Process:
        if self._child is not None and self._child.returncode is not None:
            await self._drop()
        if self._child is None:
            pipe = asyncio.subprocess.PIPE
            environment = {**os.environ, "STRANGLER_FILENAME": self._filename}
            self._child = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, env=environment, start_new_session=True
            )
        return self._child

    async def _drop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        try:
            child.kill()
        except ProcessLookupError:
            pass
        await child.communicate()  # reads the pipes to their ends, so that they are closed

    async def _gave_up(self, what: str, instead: str) -> Problems:
        await self._drop()
        self._restarted(what)
        return Problems((f"{self._filename}:1:1: {what}; {instead}",))


def _unpickled(data: bytes) -> _Answer:
    answer: _Answer = pickle.loads(data)  # noqa: S301  written by our own child, over a pipe nobody else holds
    return answer


# ----------------------------------------------------------------------------------------------- the child


def compiled(
    data: bytes, filename: str, environ: dict[str, str], registry: Registry, own: Collection[Place] = ()
) -> tuple[Compiled | Problems, Registry]:
    """What the child does with one file."""
    parsed = load_table(data, filename, environ, own)
    notes = tuple(map(str, parsed.notes))
    if isinstance(parsed, Refused):
        return Problems(tuple(map(str, parsed.problems)), notes), registry
    registry = extended(registry, parsed.table)
    owned = registry.blocks()
    lines = tuple(structure_lines(parsed.table, owned))
    return Compiled(parsed.table, lines, structure_digest(lines), owned, notes), registry


def serve(source: BinaryIO, sink: BinaryIO, environ: dict[str, str]) -> None:
    """Answers until the parent closes the pipe."""
    filename = environ.pop("STRANGLER_FILENAME", "routes.yaml")
    while len(head := source.read(_LENGTH.size)) == _LENGTH.size:
        asked: _Asked = pickle.loads(source.read(*_LENGTH.unpack(head)))  # noqa: S301  from our parent's pipe
        gc.disable()  # a quarter of the time would go into looking for garbage among what is being built
        answer = pickle.dumps(_Answer(*compiled(asked.data, filename, environ, asked.registry, asked.own)))
        sink.write(_LENGTH.pack(len(answer)) + answer)
        sink.flush()
        gc.enable()
        gc.collect()


if __name__ == "__main__":
    # The classes must be those of the importable module, or the other side could not name what it is sent.
    from control.compiler import serve as _serve

    _serve(sys.stdin.buffer, sys.stdout.buffer, dict(os.environ))

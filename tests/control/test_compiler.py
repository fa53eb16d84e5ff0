"""The compiler's child: a table or all problems, in bounded time, whatever happens to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control import blocks
from control.compiler import ChildCompiler, compiled
from router.blocks import Registry
from router.core.wire import structure_digest
from router.ports import Compiled, Problems
from tests.router.rig import yaml

GOOD = yaml({"a": 10, "b": 20})
MUTE = (sys.executable, "-c", "import time; time.sleep(60)")
LIAR = (sys.executable, "-c", r"import sys; sys.stdout.buffer.write(b'\0\0\0\4oops'); sys.stdout.flush(); input()")


@pytest.fixture
async def compiler(tmp_path: Path) -> AsyncIterator[ChildCompiler]:
    made = ChildCompiler(tmp_path / "blocks.json")
    yield made
    await made.close()


async def test_the_child_says_what_the_function_says(compiler: ChildCompiler) -> None:
    """The same table, lines, digest and blocks as without a process between."""
    outcome = await compiler.compile(GOOD)
    assert isinstance(outcome, Compiled)
    assert compiled(GOOD, "routes.yaml", {}, Registry())[0] == outcome
    assert structure_digest(outcome.structure) == outcome.digest


async def test_blocks_are_recorded_before_a_result_is_returned(compiler: ChildCompiler, tmp_path: Path) -> None:
    """And the next compiler goes on where this one ended."""
    await compiler.compile(GOOD)
    before = blocks.read(tmp_path / "blocks.json")
    assert {"unlisted", "a", "b"} == set(before.routes)
    later = ChildCompiler(tmp_path / "blocks.json")
    outcome = await later.compile(yaml({"c": 1}))
    await later.close()
    assert isinstance(outcome, Compiled)
    assert before.routes["a"] == outcome.blocks.routes["a"]
    assert outcome.blocks.routes["c"] >= before.end


async def test_a_compiler_without_a_registry_records_nothing(tmp_path: Path) -> None:
    """It is for files that are only asked about."""
    checker = ChildCompiler(None)
    assert isinstance(await checker.compile(GOOD), Compiled)
    await checker.close()
    assert not (tmp_path / "blocks.json").exists()


async def test_problems_come_back_with_their_places(tmp_path: Path) -> None:
    """Under the name that the file has."""
    compiler = ChildCompiler(tmp_path / "blocks.json", filename="my.yaml")
    outcome = await compiler.compile(b"version: 1\nlegacy: nobody\nroutes: 7\n")
    await compiler.close()
    assert isinstance(outcome, Problems)
    assert all(line.startswith("my.yaml:") for line in outcome.lines)
    assert len(outcome.lines) >= 2


async def test_the_environment_reaches_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`${NAME}` in an endpoint."""
    monkeypatch.setenv("OLD_HOST", "10.1.2.3")
    compiler = ChildCompiler(tmp_path / "blocks.json")
    outcome = await compiler.compile(GOOD.replace(b"http://127.0.0.1:9001", b"'http://${OLD_HOST}:9001'"))
    await compiler.close()
    assert isinstance(outcome, Compiled), outcome
    assert "10.1.2.3" == outcome.table.upstreams["old"].endpoints[0].host


async def test_a_child_that_dies_is_replaced(compiler: ChildCompiler) -> None:
    """Between two files nobody notices; the file after it compiles."""
    await compiler.compile(GOOD)
    child = compiler._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()
    assert isinstance(await compiler.compile(GOOD), Compiled)


async def test_an_answer_that_nobody_waited_for_is_not_given_to_the_next(compiler: ChildCompiler) -> None:
    """Whoever asked and went away leaves no table behind for others."""
    await compiler.compile(GOOD)
    gone = asyncio.create_task(compiler.compile(yaml({f"r{number}": 1 for number in range(300)})))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gone, 0.01)
    outcome = await compiler.compile(GOOD)
    assert isinstance(outcome, Compiled)
    assert len(outcome.table.routes) == 2


@pytest.mark.parametrize("command", [MUTE, LIAR], ids=["mute", "liar"])
async def test_a_file_that_breaks_the_child_is_refused_and_said(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A child that hangs or talks nonsense costs its patience, not the process that asked."""
    said: list[str] = []
    compiler = ChildCompiler(tmp_path / "blocks.json", patience=1.0, restarted=said.append, command=command)
    outcome = await compiler.compile(GOOD)
    await compiler.close()
    assert isinstance(outcome, Problems)
    assert outcome.lines[0].startswith("routes.yaml:1:1: ")
    assert len(said) == 1


async def test_an_impossible_registry_refuses_the_file(tmp_path: Path) -> None:
    """No blocks, no table: counters would be mixed up."""
    compiler = ChildCompiler(tmp_path / "blocks.json")
    (tmp_path / ".blocks.json.new").mkdir()
    outcome = await compiler.compile(GOOD)
    assert isinstance(outcome, Problems)
    assert "blocks.json" in outcome.lines[0]
    (tmp_path / ".blocks.json.new").rmdir()
    assert isinstance(await compiler.compile(GOOD), Compiled)
    await compiler.close()


async def test_the_event_loop_goes_on_while_a_large_file_is_compiled(compiler: ChildCompiler) -> None:
    """1,500 routes take a quarter of a second of CPU, but not here: most of that time is free for others."""
    large = yaml({f"r{number}": number % 100 for number in range(1500)})
    await compiler.compile(GOOD)
    began = time.thread_time()
    outcome = await compiler.compile(large)
    assert isinstance(outcome, Compiled)
    assert len(outcome.table.routes) == 1500
    assert time.thread_time() - began < 0.1


async def test_files_are_compiled_one_after_the_other(compiler: ChildCompiler) -> None:
    """Two at once would be given the same blocks."""
    first, second = await asyncio.gather(compiler.compile(yaml({"a": 1})), compiler.compile(yaml({"b": 1})))
    assert isinstance(first, Compiled)
    assert isinstance(second, Compiled)
    assert first.blocks.routes["a"] != second.blocks.routes["b"]

"""Self-tests at the admin address and on the command line: started, watched, refused and stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from control import cli_selftest
from control.api.app import make_app
from control.api.context import Context
from control.cli import main
from control.metrics import Metrics
from control.rollouts import aa
from control.rollouts.service import rollouts_of
from rollout.doubles import MemoryJournal
from tests.control.stage import Stage, utc

ROUTES = """\
version: 1
upstreams: {old: {endpoints: [http://127.0.0.1:1]}}
legacy: old
routes:
  - {path: /p, name: p}
  - {path: /q, name: q}
"""
PLACE = "/api/v1/rollouts/aa/live"
PATIENCE = 20.0

Json = dict[str, Any]


class Here:
    """A client, the rollouts behind it, and workers with the same few rows to tell over and over."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.step = 30.0
        """Seconds that pass with each question for the tape."""
        self.rows = [[1_700_000_000.0 + number / 10, number % 9, int(number % 20 == 0), 3] for number in range(100)]
        self.rollouts = rollouts_of(
            stage.live, stage.files, MemoryJournal(), stage.clock, stage.traffic, utc, tape=self.tape
        )
        self.client: Any = None

    async def tape(self, route: str | None) -> tuple[Sequence[Any], int, int]:
        self.stage.clock.time += self.step
        return (self.rows if route == "p" else []), 0, 0

    async def do(self, status: int = 200, **body: object) -> Json:
        async with self.client.post(PLACE, json=body) as answer:
            found: Json = await answer.json()
            assert status == answer.status, found
            return found

    async def test(self) -> Any:
        async with self.client.get(PLACE) as answer:
            assert 200 == answer.status
            return (await answer.json())["test"]

    async def until(self, *phases: str) -> Json:
        async with asyncio.timeout(PATIENCE):
            while (found := await self.test()) is None or found["phase"] not in phases:
                await asyncio.sleep(0.002)
        return dict(found)

    async def cli(self, *words: str) -> int:
        return await asyncio.to_thread(main, ["rollout", "aa", *words, "--admin", str(self.client.make_url("/"))])


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Here]:
    monkeypatch.setattr(aa, "COLLECTS", 0.001)
    monkeypatch.setattr(aa, "ROLLOUTS", 5)
    monkeypatch.setattr(cli_selftest, "WAITS", 0.01)
    stage = Stage(tmp_path)
    await stage.start(ROUTES)
    made = Here(stage)
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    context.rollouts = made.rollouts
    task = asyncio.create_task(made.rollouts.tests.run())
    async with TestClient(TestServer(make_app(context, lambda *_, **__: None))) as made.client:
        yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_test_is_started_and_looked_at_until_it_is_done(here: Here) -> None:
    """Each share has its row; the result stays."""
    assert None is await here.test()
    began = (await here.do(do="start", route="p"))["test"]
    assert ("p", "taping", 60.0, None) == (began["route"], began["phase"], began["seconds"], began["standing"])
    found = await here.until("done")
    assert (200, 9, "equal") == (found["answers"], found["clients"], found["standing"])
    assert [1.0, 5.0, 25.0, 50.0] == [each["share"] for each in found["shares"]]
    assert {5} == {each["rollouts"] for each in found["shares"]}
    assert "slow answers were not judged" in found["text"]
    assert found == await here.test()


async def test_one_share_and_another_time_may_be_asked_for(here: Here) -> None:
    """As orders are: a number and a span."""
    await here.do(do="start", route="p", share=12.5, **{"for": "5s"})
    found = await here.until("done")
    assert ([12.5], 5.0) == ([each["share"] for each in found["shares"]], found["seconds"])


async def test_a_second_one_is_told_who_is_at_it(here: Here) -> None:
    """Until that is stopped."""
    here.step = 0.0
    await here.do(do="start", route="p")
    refused = await here.do(409, do="start", route="q")
    assert ("busy", True) == (refused["code"], "tests p since" in refused["detail"])
    assert "60 s are left" in refused["detail"]
    await here.do(do="stop")
    assert None is (await here.until("stopped"))["standing"]
    await here.do(do="start", route="q")
    await here.do(do="stop")
    await here.until("stopped")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"do": "start", "route": "x"}, 404, "no route"),
        ({"do": "start"}, 422, "it is missing"),
        ({"do": "start", "route": "p", "share": 0}, 422, "two sides only"),
        ({"do": "start", "route": "p", "share": 100}, 422, "two sides only"),
        ({"do": "start", "route": "p", "for": "4s"}, 422, "write 5s to 10m"),
        ({"do": "start", "route": "p", "for": "11m"}, 422, "write 5s to 10m"),
        ({"do": "stop", "route": "p"}, 422, "it belongs to start"),
        ({"do": "wait"}, 422, "there is no do"),
    ],
)
async def test_what_cannot_be_is_refused_with_words(here: Here, body: Json, status: int, words: str) -> None:
    """And nothing is begun."""
    assert words in json.dumps(await here.do(status, **body))
    assert None is await here.test()


async def test_the_command_waits_for_the_table(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 where identical sides were not told apart; what happens meanwhile goes to standard error."""
    assert 0 == await here.cli("p", "--share", "5", "--for", "5s")
    said = capsys.readouterr()
    assert "identical sides were told apart in none of 5 rollouts" in said.out
    assert "answers of legacy" in said.err
    assert 0 == await here.cli("p", "--json")
    assert "equal" == json.loads(capsys.readouterr().out)["standing"]


async def test_silence_is_no_success(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """A route without traffic says so, and the command fails."""
    assert 1 == await here.cli("q")
    assert "is there traffic on this route?" in capsys.readouterr().out


async def test_the_recorded_one_is_still_there(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """For a route that has had a rollout."""
    assert 0 == await here.cli("p", "--recorded")
    assert "no evidence of this route was ever recorded" in capsys.readouterr().out


async def test_a_test_that_is_gone_is_not_waited_for(
    here: Here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control was started anew meanwhile."""
    here.step = 0.0

    def forgotten(_: float) -> None:
        here.rollouts.tests.report = None

    monkeypatch.setattr("control.cli_selftest.time.sleep", forgotten)
    assert 1 == await here.cli("p")
    assert "the test is gone" in capsys.readouterr().err


async def test_ctrl_c_stops_the_test_as_well(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the next one need not wait for it."""
    here.step = 0.0

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("control.cli_selftest.time.sleep", interrupted)
    assert 130 == await here.cli("p")
    await here.until("stopped")

"""Rollouts at the admin address: what is asked, what is answered, and what is refused with which words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from control.api.app import make_app
from control.api.context import Context
from control.metrics import Metrics
from control.rollouts.service import Rollouts
from rollout.core.run import Phase, Told
from tests.control.stage import Stage

ROUTES = """\
version: 1
upstreams: {old: {endpoints: [http://127.0.0.1:1]}, new: {endpoints: [http://127.0.0.1:2]}}
legacy: old
groups: {g: {rollout: quick, new: new}}
plans: {quick: {steps: [1, 50, 100], time: 1s, clients: 0, sample: 5}}
routes:
  - {path: /p, name: p, group: g}
  - {path: /q, name: q, group: g}
  - {path: /r, name: r, new: new}
  - {path: /s, name: s, rollout: careful}
"""

Json = dict[str, Any]


class Here:
    """A client, and what stands behind."""

    def __init__(self, client: Any, stage: Stage, rollouts: Rollouts) -> None:
        self.client, self.stage, self.rollouts = client, stage, rollouts

    async def get(self, path: str, status: int = 200) -> Json:
        async with self.client.get(path) as answer:
            found: Json = await answer.json()
            assert status == answer.status, found
            return found

    async def do(self, what: str, scope: Json | None = None, status: int = 200, **more: object) -> Json:
        body = {"do": what, "scope": scope or {"route": "p"}, "reason": "try"} | more
        async with self.client.post("/api/v1/rollouts", json=body) as answer:
            found: Json = await answer.json()
            assert status == answer.status, found
            return found

    async def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.stage.clock.time += 1.0
            await self.rollouts.controller.turn()
            await self.rollouts.controller.finish()

    async def run(self, route: str = "p") -> Json:
        (found,) = (await self.get(f"/api/v1/rollouts?route={route}"))["rollouts"]
        return dict(found)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    stage = Stage(tmp_path)
    await stage.start(ROUTES)
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    context.rollouts = stage.rollouts()
    async with TestClient(TestServer(make_app(context, lambda *_, **__: None))) as client:
        yield Here(client, stage, context.rollouts)


async def test_a_rollout_is_started_watched_and_stopped(here: Here) -> None:
    """From the first word to the last."""
    (started,) = (await here.do("start"))["rollouts"]
    assert ("p", 1, "quick", 1.0, "raising") == tuple(
        started[key] for key in ("route", "run", "plan", "share", "phase")
    )
    await here.turn(3)
    assert Phase.JUDGING == (await here.run())["phase"]
    assert 1.0 == (await here.get("/api/v1/routes/p"))["effective"]
    assert "root" not in (await here.do("pause"))["rollouts"][0]["paused"]
    assert "paused" in (await here.run())["text"]
    await here.do("resume")
    await here.turn(3)
    await here.do("promote", without_evidence=True)
    await here.turn(3)
    assert (2, 50.0) == ((await here.run())["step"], (await here.get("/api/v1/routes/p"))["effective"])
    await here.do("abort")
    await here.turn(2)
    assert (Phase.ABORTED, 0.0) == ((await here.run())["phase"], (await here.get("/api/v1/routes/p"))["effective"])
    kinds = [line["kind"] for line in (await here.get("/api/v1/rollouts/log?route=p"))["lines"]]
    assert (Told.STARTED, Told.ABORTED) == (kinds[0], kinds[-1])


async def test_a_group_starts_together_and_one_that_cannot_says_why(here: Here) -> None:
    """The others are started all the same."""
    await here.do("start")
    found = await here.do("start", {"group": "g"})
    assert ["q"] == [run["route"] for run in found["rollouts"]]
    assert ["p"] == [each["route"] for each in found["refused"]]
    assert "under way" in found["refused"][0]["why"]
    found = await here.do("pause", {"all": True})
    assert ["p", "q"] == [run["route"] for run in found["rollouts"]]


async def test_it_may_begin_with_a_later_step_of_the_plan(here: Here) -> None:
    """But with no other share."""
    refused = await here.do("start", at=30, status=409)
    assert "the steps are 1, 50, 100" in refused["detail"]
    assert 50.0 == (await here.do("start", at=50))["rollouts"][0]["share"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"scope": {"route": "r"}}, 409, "names no plan"),
        ({"scope": {"route": "s"}}, 409, "has no new side"),
        ({"scope": {"route": "nobody"}}, 404, "names nothing"),
        ({"scope": {"site": "north"}}, 422, "a site has no share of its own"),
        ({"do": "fly"}, 422, "there is no do"),
        ({"do": "pause"}, 409, "no rollout of it was ever started"),
        ({"reason": ""}, 422, "it is empty"),
        ({"do": "pause", "at": 5}, 422, "it belongs to start"),
        ({"without_evidence": True}, 422, "it belongs to promote"),
        ({"do": "promote", "without_evidence": "yes"}, 422, "true or false"),
        ({"more": 1}, 422, "there is no field"),
    ],
)
async def test_what_cannot_be_is_refused_with_words(here: Here, body: Json, status: int, words: str) -> None:
    """And nothing is started."""
    usual = {"do": "start", "scope": {"route": "p"}, "reason": "try"}
    async with here.client.post("/api/v1/rollouts", json=usual | body) as answer:
        said = await answer.text()
        assert (status, True) == (answer.status, words in said), said
    assert {} == here.rollouts.controller.runs


async def test_another_revision_is_a_lost_race(here: Here) -> None:
    """If-Match, as for orders."""
    body = {"do": "start", "scope": {"route": "p"}, "reason": "try"}
    async with here.client.post("/api/v1/rollouts", json=body, headers={"If-Match": '"99"'}) as answer:
        assert 412 == answer.status


async def test_what_it_would_take_is_told_for_one_and_for_all(here: Here) -> None:
    """In detail for a route; the calendar for those with a plan and a new side."""
    forecast = (await here.get("/api/v1/rollouts/plan?route=p"))["forecast"]
    assert [1.0, 50.0, 100.0] == [step["share"] for step in forecast["steps"]]
    assert None is forecast["seconds"]
    assert 2 == (await here.get("/api/v1/rollouts/plan"))["calendar"]["routes"]
    assert "no-plan" == (await here.get("/api/v1/rollouts/plan?route=r", 404))["code"]
    assert "unknown-route" == (await here.get("/api/v1/rollouts/plan?route=x", 404))["code"]


async def test_the_drill_and_the_questions_about_the_past_have_answers(here: Here) -> None:
    """Before anything was recorded."""
    async with here.client.post("/api/v1/rollouts/drill", json={}) as answer:
        assert (200, True) == (answer.status, (await answer.json())["fired"])
    assert {"verdicts": []} == await here.get("/api/v1/rollouts/replay?ratio=1.1&floor=0.5")
    found = await here.get("/api/v1/rollouts/aa?route=p")
    assert (0, 0) == (found["requests"], found["rollbacks"])
    assert "unknown-route" == (await here.get("/api/v1/rollouts/aa?route=x", 404))["code"]


@pytest.mark.parametrize(
    "query", ["ratio=0.5", "ratio=nan", "ratio=1e999", "floor=0", "floor=x", "ratio=", "nonsense=1"]
)
async def test_tolerances_that_are_none_are_refused(here: Here, query: str) -> None:
    """Also numbers that are no numbers."""
    await here.get(f"/api/v1/rollouts/replay?{query}", 422)


async def test_filters_find_what_they_say(here: Here) -> None:
    """And a phase that does not exist is no empty answer."""
    await here.do("start", {"group": "g"})
    await here.do("pause", {"route": "q"})
    assert ["p", "q"] == [run["route"] for run in (await here.get("/api/v1/rollouts?group=g"))["rollouts"]]
    assert [] == (await here.get("/api/v1/rollouts?phase=done"))["rollouts"]
    await here.get("/api/v1/rollouts?phase=flying", 422)


async def test_a_journal_that_cannot_be_read_takes_rollouts_away_and_nothing_else(here: Here) -> None:
    """Said as an event and to everybody who asks; orders go on."""
    here.rollouts.journal.runs["p"] = "{"  # type: ignore[attr-defined]
    with here.stage.live.subscribe() as heard:
        await here.rollouts.take_up()
        assert Told.UNAVAILABLE in [event.name for event in heard._events]
    await here.rollouts.run()
    assert "cannot be understood" in (await here.get("/api/v1/rollouts", 503))["detail"]
    assert "storage" == (await here.do("start", status=503))["code"]
    body = {"weight": 5, "reason": "by hand"}
    async with here.client.put("/api/v1/routes/p/weight", json=body) as answer:
        assert 200 == answer.status


async def test_without_rollouts_every_question_says_so(here: Here) -> None:
    """503, not an empty list."""
    context = Context(
        here.stage.live, here.stage.traffic, Metrics(here.stage.live, here.stage.files), here.stage.compiler
    )
    async with TestClient(TestServer(make_app(context, lambda *_, **__: None))) as client:
        async with client.get("/api/v1/rollouts") as answer:
            assert 503 == answer.status

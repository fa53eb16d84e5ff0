"""The router as rollouts see it: what is in force, orders like everybody's, and what became of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from control.rollouts.platform import LONGEST, LivePlatform, fingerprint
from rollout.core.advance import begin
from rollout.core.run import ACTOR, Act, Command, Facts, Ordered, Refused, Run
from router.core.model import PPM, Fallback, Plan, PlanStep, Route, Window
from router.core.orders import Kind, Reach, Scope
from tests.control.stage import Stage

PERCENT = PPM // 100
ROOT = Path(__file__).parents[3]
ROUTES = """\
version: 1
upstreams: {old: {endpoints: [http://127.0.0.1:1]}, new: {endpoints: [http://127.0.0.1:2]}}
legacy: old
groups: {g: {cap: 50}}
plans: {careful: {steps: [1, 100]}}
safety: {max_step: 40}
routes:
  - {path: /p, name: p, new: new, group: g, rollout: careful}
  - {path: /q, name: q, new: new, weight: 100}
"""


class Here:
    """An engine in memory and the platform over it."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.live = stage, stage.live
        self.platform = LivePlatform(stage.live, lambda _at, _zone: (0, 600), stage.clock.now)

    def run(self, after: tuple[str, ...] = (), windows: tuple[Window, ...] = ()) -> Run:
        plan = Plan("careful", (PlanStep(PERCENT),), after=after, windows=windows)
        return begin(
            "p", 1, plan, plan.steps, upstream="new", fingerprint="", base=0, actor="kim", reason="go", at=0.0
        ).run  # fmt: skip

    def facts(self, **more: tuple[str, ...]) -> Facts:
        found = self.platform.facts(self.run(**more))  # type: ignore[arg-type]
        assert found is not None
        return found

    async def weight(self, percent: int, number: int = 1, revision: int = 0) -> Ordered | Refused:
        reason = f"step 1 [p#1.{number}]"
        return await self.platform.order(Command(f"p#1.{number}", Act.WEIGHT, "p", reason, percent * PERCENT, revision))


@pytest.fixture
async def here(tmp_path: Path) -> Here:
    stage = Stage(tmp_path)
    await stage.start(ROUTES)
    return Here(stage)


async def test_an_order_is_given_like_everybodys_and_found_again(here: Here) -> None:
    """Its command's id ends the reason; whoever takes over finds it, and no other."""
    answer = await here.weight(10)
    assert isinstance(answer, Ordered)
    facts = here.facts()
    assert (10 * PERCENT, answer.order, answer.revision) == (facts.share, facts.order, facts.revision)
    (order,) = here.live.orders
    assert (ACTOR, "step 1 [p#1.1]") == (order.actor, order.reason)
    again = LivePlatform(here.live, lambda _at, _zone: (0, 0), here.stage.clock.now)
    assert answer == again.done(Command("p#1.1", Act.WEIGHT, "p", ""))
    assert None is again.done(Command("p#1.11", Act.WEIGHT, "p", ""))


async def test_the_safety_rules_hold_for_it_too(here: Here) -> None:
    """A refusal is an answer."""
    answer = await here.weight(50)
    assert isinstance(answer, Refused)
    assert "max-step" in answer.why
    assert answer.again > 0
    assert () == here.live.orders


async def test_a_rollback_passes_whatever_holds_rises_back(here: Here) -> None:
    """And a very long verdict is cut before the id."""
    await here.live.give(Kind.FREEZE, Scope(Reach.ALL), reason="night", actor="kim")
    command = Command("p#1.2", Act.ROLLBACK, "p", "x" * 5000 + " [p#1.2]")
    answer = await here.platform.order(command)
    assert isinstance(answer, Ordered)
    rollback = here.live.orders[-1]
    assert (Kind.ROLLBACK, True) == (rollback.kind, rollback.reason.endswith("[p#1.2]"))
    assert len(rollback.reason) <= LONGEST + 20
    assert "rollback" in here.facts().because


async def test_what_is_resumed_after_a_rollback_is_the_share_before_the_rollout(here: Here) -> None:
    """Not the step's, which nobody judges any more; a person's own weight is left alone."""
    await here.weight(10)
    command = Command("p#1.2", Act.ROLLBACK, "p", "errors [p#1.2]", 2 * PERCENT)
    answer = await here.platform.order(command)
    assert isinstance(answer, Ordered)
    assert ("R", answer) == (answer.order[0], here.platform.done(command))
    await here.live.resume(answer.order, reason="mended", actor="kim")
    assert 2 * PERCENT == here.facts().share
    await here.live.weight(Scope(Reach.ROUTE, "p"), 30 * PERCENT, reason="mine", actor="kim")
    again = await here.platform.order(Command("p#1.3", Act.ROLLBACK, "p", "errors [p#1.3]", 0))
    assert isinstance(again, Ordered)
    await here.live.resume(again.order, reason="mended", actor="kim")
    assert 30 * PERCENT == here.facts().share


async def test_a_rise_that_somebody_has_overtaken_is_not_ordered(here: Here) -> None:
    """The share is not the one that it was decided upon."""
    before = here.facts().revision
    await here.live.weight(Scope(Reach.ROUTE, "p"), 5 * PERCENT, reason="mine", actor="kim")
    answer = await here.weight(10, revision=before)
    assert isinstance(answer, Refused)
    assert (0.0, 5 * PERCENT) == (answer.again, here.facts().share)


async def test_it_is_confirmed_when_every_worker_has_the_share(here: Here) -> None:
    """A change of another route does not take that back; one that is gone is not asked, unless all of them are."""
    here.stage.fleet.silent = {1}
    await here.weight(10)
    assert not here.facts().confirmed
    here.stage.fleet.silent = set()
    await here.live.weight(Scope(Reach.ROUTE, "q"), 50 * PERCENT, reason="other", actor="kim")
    assert here.facts().confirmed
    here.stage.fleet.silent = {1}
    await here.live.weight(Scope(Reach.ROUTE, "q"), 40 * PERCENT, reason="other", actor="kim")
    assert here.facts().confirmed
    here.stage.fleet.gone = {1}
    assert here.facts().confirmed
    here.stage.fleet.gone = {0, 1}
    assert not here.facts().confirmed


async def test_freezes_caps_windows_and_dependencies_are_facts(here: Here) -> None:
    """Each with its words for people."""
    await here.live.give(Kind.FREEZE, Scope(Reach.GROUP, "g"), reason="exam week", actor="kim")
    facts = here.facts()
    assert ("exam week" in facts.frozen, False) == (True, facts.frozen_itself)
    await here.live.give(Kind.FREEZE, Scope(Reach.ROUTE, "p"), reason="mine", actor="kim")
    assert ("mine" in here.facts().frozen, True) == (True, here.facts().frozen_itself)
    assert here.facts(windows=(Window(frozenset({0}), 540, 660),)).window  # type: ignore[arg-type]
    assert not here.facts(windows=(Window(frozenset({1}), 540, 660),)).window  # type: ignore[arg-type]
    assert ("p", "nobody") == here.facts(after=("p", "q", "nobody")).undone
    await here.live.give(Kind.CAP, Scope(Reach.ROUTE, "q"), share=30 * PERCENT, reason="full", actor="kim")
    assert ("q",) == here.facts(after=("q",)).undone


async def test_an_edit_of_the_route_or_its_plan_is_another_fingerprint(here: Here) -> None:
    """The weight is not: that is what orders are about.  A route that is gone has none."""
    before = here.facts().fingerprint
    for text, same in (
        (ROUTES.replace("weight: 100", "weight: 90").replace("name: p,", "name: p, weight: 1,"), True),
        (ROUTES.replace("name: p,", "name: p, timeout: 1s,"), False),
        (ROUTES.replace("[1, 100]", "[2, 100]"), False),
    ):
        await here.live.load(text.encode(), actor="file")
        assert same is (before == here.facts().fingerprint), text
    await here.live.load(ROUTES.replace("name: p,", "name: other,").encode(), actor="file", allow_removal=True)
    assert "" == here.facts().fingerprint


async def test_the_platform_can_be_frozen(here: Here) -> None:
    """Everything, with the reason on record."""
    await here.platform.freeze("too many rollbacks")
    (order,) = here.live.orders
    assert (Kind.FREEZE, Reach.ALL, "too many rollbacks") == (order.kind, order.scope.reach, order.reason)


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    """No order of sets, no line, no weight: another process would see another edit in each restart."""
    route = Route("p", "/p", "old", fallback=Fallback(statuses=frozenset({503, 502, 504})))
    seeds = [str(number) for number in range(3)]
    script = (
        "from control.rollouts.platform import fingerprint\nfrom router.core.model import Fallback, Route\n"
        "route = Route('p', '/p', 'old', fallback=Fallback(statuses=frozenset({503, 502, 504})), weight=5, line=9)\n"
        "print(fingerprint(route, None))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in seeds
    }
    assert {fingerprint(route, None)} == said

"""What runs want done is done once, in time, and heard."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rollout.acting import Acting
from rollout.core.advance import begin
from rollout.core.brake import MOST
from rollout.core.run import Act, Command, Ordered, Phase, Refused, Run, Told
from rollout.doubles import MemoryJournal, MemoryPlatform
from rollout.record import Record
from tests.rollout.stage import QUICK


def run(route: str, act: Act = Act.WEIGHT) -> Run:
    began = begin(
        route, 1, QUICK, QUICK.steps, upstream=f"u-{route}", fingerprint="f", base=0, actor="kim", reason="go", at=0.0
    )  # fmt: skip
    phase = Phase.RAISING if act is Act.WEIGHT else Phase.ROLLING_BACK
    return replace(began.run, pending=Command(f"{route}#1.1", act, route, "why", 50_000), phase=phase)


class Here:
    def __init__(self, *routes: str) -> None:
        self.platform = MemoryPlatform(dict.fromkeys(routes, 0))
        self.record = Record(MemoryJournal(), lambda _route: "{}")
        self.told: list[str] = []
        self.woken = 0
        self.acting = Acting(self.platform, self.record, lambda name, **_: self.told.append(name), self._wake)

    def _wake(self) -> None:
        self.woken += 1


async def test_a_rise_waits_for_the_record_and_a_rollback_does_not() -> None:
    """What nobody has recorded would be forgotten by a successor; legacy need not be remembered to be right."""
    here = Here("p", "q")
    here.record.changed("p")
    here.record.changed("q")
    runs = {"p": run("p"), "q": run("q", Act.ROLLBACK)}
    here.acting.act(runs, 0.0)
    await here.acting.finish()
    assert ["q"] == [command.route for command in here.platform.given]
    await here.record.write(1.0)
    here.acting.act(runs, 0.0)
    await here.acting.finish()
    assert ["q", "p"] == [command.route for command in here.platform.given]
    assert here.woken


async def test_one_order_of_a_route_at_a_time_until_its_answer_was_heard() -> None:
    """However often it is asked."""
    here = Here("p")
    for _ in range(3):
        here.acting.act({"p": run("p")}, 0.0)
        await asyncio.sleep(0)
    await here.acting.finish()
    here.acting.act({"p": run("p")}, 0.0)
    assert 1 == len(here.platform.given)
    ((route, answer),) = here.acting.answers()
    assert ("p", True) == (route, isinstance(answer, Ordered))
    assert [] == here.acting.answers()


async def test_a_refused_order_is_not_tried_again_before_its_time() -> None:
    """The run says when."""
    here = Here("p")
    later = replace(run("p"), retry=10.0)
    here.acting.act({"p": later}, 9.9)
    assert [] == here.platform.given
    here.acting.act({"p": later}, 10.0)
    await here.acting.finish()
    assert 1 == len(here.platform.given)


async def test_beyond_the_brake_rollbacks_are_withheld_and_everything_is_frozen() -> None:
    """Told once; the brake is remembered."""
    routes = [f"r{number}" for number in range(MOST + 2)]
    here = Here(*routes)
    here.acting.act({route: run(route, Act.ROLLBACK) for route in routes}, 100.0)
    await here.acting.finish()
    answers = [answer for _, answer in here.acting.answers()]
    assert (MOST, 2) == (len(here.platform.given), sum(isinstance(answer, Refused) for answer in answers))
    assert ([Told.WITHHELD], True) == (here.told, bool(here.platform.frozen))
    await here.record.write(1.0)
    kept = here.record._journal.keep["brake"]  # type: ignore[attr-defined]
    again = Here("another")
    again.acting.take_up({}, kept)
    again.acting.act({"another": run("another", Act.ROLLBACK)}, 101.0)
    await again.acting.finish()
    assert [] == again.platform.given


async def test_what_a_predecessor_has_ordered_is_not_ordered_again() -> None:
    """Its answer is taken in instead."""
    here = Here("p", "q")
    await here.platform.order(Command("p#1.1", Act.WEIGHT, "p", "why", 50_000))
    runs = {"p": run("p"), "q": run("q")}
    here.acting.take_up(runs, None)
    assert [("p", Ordered("p#1.1", "W-1", 1))] == here.acting.answers()


async def test_a_mistake_of_ours_is_not_swallowed() -> None:
    """It ends the loop, and with it the process, which begins anew."""
    here = Here("p")

    async def broken(_command: Command) -> Ordered | Refused:
        raise ZeroDivisionError

    here.platform.order = broken  # type: ignore[method-assign]
    here.acting.act({"p": run("p")}, 0.0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        here.acting.answers()

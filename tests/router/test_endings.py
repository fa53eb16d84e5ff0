"""What time does to orders: warnings, ends, and what is overdue."""

from __future__ import annotations

from typing import Any

from router.core.model import Side
from router.core.orders import Kind, Scope
from router.events import EventName
from router.live import Change
from tests.router.rig import ALL, WEIGHTS, Rig, accepted, group, route, yaml


async def give(rig: Rig, kind: Kind, scope: Scope, percent: float | None = None, **more: Any) -> Change:
    share = None if percent is None else int(percent * 10_000)
    return accepted(await rig.live.give(kind, scope, reason="r", actor="lead", share=share, **more))


async def test_a_weight_a_cap_and_a_pin_end_in_their_time() -> None:
    """What holds without them holds again, with a revision that says which ended."""
    rig = await Rig().started()
    await give(rig, Kind.WEIGHT, route("a"), 15, lasts=60)
    await give(rig, Kind.CAP, route("b"), 5, lasts=60)
    await give(rig, Kind.PIN, group("green"), side=Side.LEGACY, lasts=120)
    assert {"a": 15, "b": 5, "g1": 0} == rig.shares()
    await rig.later(59.9)
    assert {"a": 15, "b": 5, "g1": 0} == rig.shares()
    await rig.later(0.1)
    assert {"a": 10, "b": 20, "g1": 0} == rig.shares()
    lines = rig.live.history(1)[0].changes.lines
    assert ("W-1 (weight route=a) has had its time", "C-2 (cap route=b) has had its time") == lines[:2]
    assert ["W-1", "C-2"] == [said["order"] for said in rig.said(EventName.LAPSED)]
    await rig.later(60)
    assert ({"a": 10, "b": 20, "g1": 30}, ()) == (rig.shares(), rig.live.orders)
    rig.assert_all_agree()
    assert () == rig.store.disk.orders


async def test_nothing_happens_while_nothing_is_due() -> None:
    """However often one looks."""
    rig = await Rig().started()
    await give(rig, Kind.WEIGHT, route("a"), 15, lasts=60)
    for _ in range(3):
        await rig.later(1)
    assert (2, 2) == (rig.live.revision, rig.store.commits)


async def test_looking_before_the_start_is_harmless() -> None:
    """The clock runs while the file is still being read."""
    await Rig().live.expire()


async def test_a_rollback_never_ends_by_itself_and_says_so_once() -> None:
    """Time alone never moves traffic forward: it is overdue until a person resumes it."""
    rig = await Rig().started()
    change = accepted(await rig.live.rollback(ALL, reason="r", actor="sre", lasts=3600))
    await rig.later(1799)
    assert [] == rig.said(EventName.ENDS_SOON)
    for _ in range(3):
        await rig.later(1)
    assert ["R-1"] == [said["order"] for said in rig.said(EventName.ENDS_SOON)]
    assert [] == rig.said(EventName.OVERDUE)
    for _ in range(3):
        await rig.later(3600)
    assert ["R-1"] == [said["order"] for said in rig.said(EventName.OVERDUE)]
    assert {"a": 0, "b": 0, "g1": 0} == rig.shares()
    assert change.order
    assert change.order.overdue(rig.clock.time)
    accepted(await rig.resume("R-1"))
    assert WEIGHTS == rig.shares()


async def test_a_freeze_holds_back_what_would_rise_by_ending() -> None:
    """The cap is overdue until the freeze is lifted; a weight that lowers by ending is not held back."""
    rig = await Rig().started()
    await give(rig, Kind.CAP, route("a"), 5, lasts=60)
    await give(rig, Kind.WEIGHT, route("b"), 50, lasts=60)
    freeze = await give(rig, Kind.FREEZE, ALL)
    await rig.later(61)
    assert {"a": 5, "b": 20, "g1": 30} == rig.shares()
    await rig.later(61)
    assert ["C-1"] == [said["order"] for said in rig.said(EventName.OVERDUE)]
    assert freeze.order
    accepted(await rig.resume(freeze.order.id))
    await rig.later(1)
    assert WEIGHTS == rig.shares()


async def test_an_end_is_in_force_although_it_cannot_be_recorded() -> None:
    """A trial that failed is over, whatever the disk says; the recorded order carries its own end."""
    rig = await Rig().started()
    await give(rig, Kind.WEIGHT, route("a"), 90, trial=60)
    rig.store.failing = "database or disk is full"
    await rig.later(61)
    assert WEIGHTS == rig.shares()
    assert not rig.live.persisted
    again = rig.again()
    assert await again.live.start(yaml(WEIGHTS)) is None
    await again.later(120)
    assert WEIGHTS == again.shares()

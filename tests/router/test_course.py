"""What is in force is recorded, also later; its numbers only grow, and memory of it is bounded."""

from __future__ import annotations

import asyncio
import json

import pytest

from router.course import REMEMBERED
from router.events import EventName
from tests.router.rig import ALL, Rig, accepted, refused, route, yaml

# ---------------------------------------------------------------------------------------------------- recording


async def test_every_change_is_recorded_before_it_is_answered() -> None:
    """Orders, revision and audit: who, when, why, before and after."""
    rig = await Rig().started()
    accepted(await rig.weight(route("a"), 15))
    disk = rig.store.disk
    assert rig.live.orders == disk.orders
    entry = disk.audit[-1]
    assert ("lead", "weight", "route=a", "next step", 2) == (
        entry.actor,
        entry.action,
        entry.target,
        entry.reason,
        entry.revision,
    )
    assert ({"a": 100_000}, {"a": 150_000}) == (json.loads(entry.before), json.loads(entry.after))
    assert rig.clock.time == entry.at


async def test_a_weight_that_cannot_be_recorded_is_refused_and_not_in_force() -> None:
    """Nowhere: not in the engine, not at a worker."""
    rig = await Rig().started()
    rig.store.failing = "database or disk is full"
    refusal = refused(await rig.weight(route("a"), 15))
    assert ("storage", 503) == (refusal.code, refusal.status)
    assert {"a": 10, "b": 20, "g1": 30} == rig.shares()
    rig.assert_all_agree()


async def test_a_resume_that_cannot_be_recorded_is_refused() -> None:
    """Going back to new is never urgent."""
    rig = await Rig().started()
    held = accepted(await rig.rollback(ALL))
    rig.store.failing = "database or disk is full"
    assert held.order
    assert "storage" == refused(await rig.resume(held.order.id)).code
    assert {"a": 0, "b": 0, "g1": 0} == rig.shares()


async def test_a_rollback_holds_although_it_cannot_be_recorded_and_is_recorded_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer says so; once the store answers again, order, revision and audit are there."""
    monkeypatch.setattr("router.course.RETRY", 0.001)
    rig = await Rig().started()
    rig.store.failing = "database or disk is full"
    change = accepted(await rig.rollback(ALL))
    assert (True, False) == (change.confirmed, change.persisted)
    assert not rig.live.persisted
    rig.assert_all_agree()
    keeping = asyncio.create_task(rig.live.keep_saving())
    rig.store.failing = ""
    async with asyncio.timeout(10):
        while not rig.live.persisted:
            await asyncio.sleep(0.001)
    keeping.cancel()
    assert rig.live.orders == rig.store.disk.orders
    assert {1, 2} == set(rig.store.disk.revisions)
    assert "rollback" == rig.store.disk.audit[-1].action
    assert len(rig.said(EventName.STORE_RECOVERED)) == 1


async def test_what_a_stalled_store_does_too_late_is_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight was refused because the disk stood still; that it was written in the end does not bring it back."""
    monkeypatch.setattr("router.recorder.STORE_PATIENCE", 0.01)
    monkeypatch.setattr("router.course.RETRY", 0.001)
    rig = await Rig().started()
    rig.store.stall()
    assert "storage" == refused(await rig.weight(route("a"), 15)).code
    rig.store.go()
    keeping = asyncio.create_task(rig.live.keep_saving())
    async with asyncio.timeout(10):
        while not rig.live.persisted:
            await asyncio.sleep(0.001)
    keeping.cancel()
    assert ((), {1}) == (rig.store.disk.orders, set(rig.store.disk.revisions))


async def test_an_order_number_is_never_given_out_twice() -> None:
    """Not after a restart either, and not when the order is gone."""
    rig = await Rig().started()
    first = accepted(await rig.rollback(ALL))
    assert first.order
    await rig.resume(first.order.id)
    rig = rig.again()
    await rig.live.start(yaml({"a": 10, "b": 20, "g1": 30}))
    second = accepted(await rig.rollback(ALL))
    assert second.order and second.order.number > first.order.number


async def test_a_revision_is_above_everything_that_a_worker_has_seen() -> None:
    """Even when the store was put back from an old copy."""
    rig = await Rig().started()
    rig.fleet.workers[0].revision = 41
    assert 42 == accepted(await rig.rollback(ALL)).revision


# --------------------------------------------------------------------------------------------------- history


async def test_history_is_newest_first_and_pages() -> None:
    """Details are found by number; the store knows what memory has forgotten."""
    rig = await Rig().started()
    for percent in range(1, 5):
        await rig.weight(route("a"), percent)
    assert [5, 4] == [each.number for each in rig.live.history(2)]
    assert [2, 1] == [each.number for each in rig.live.history(10, before=3)]
    detail = rig.live.revision_detail(3)
    assert detail is not None
    assert "W-2: weight 2% route=a" == detail.changes.lines[0]
    assert detail.changes.routes[0].after == 20_000
    past = await rig.live.past(3)
    assert isinstance(past, list)
    assert [5, 4, 3] == [each.number for each in past]


async def test_memory_of_revisions_is_bounded() -> None:
    """The oldest are left to the store."""
    rig = await Rig().started()
    for number in range(REMEMBERED + 5):
        await rig.weight(route("a"), 1 + number % 90)
    assert REMEMBERED == len(rig.live.history(10_000))
    assert rig.live.revision_detail(1) is None

"""The engine: what each change does to what is in force, with doubles for everything outside."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.stores.memory import Disk
from router.core.hold import Hold
from router.core.model import PPM
from router.core.orders import Kind, Reach, Scope
from router.course import REMEMBERED
from router.events import EVENTS_HELD, EventName
from router.live import Refusal
from router.ports import StoreError
from tests.router.rig import ALL, Rig, accepted, group, refused, route, yaml

# ---------------------------------------------------------------------------------------------------- start


async def test_the_first_file_becomes_revision_1_everywhere() -> None:
    """Engine, workers, store and history agree on it."""
    rig = await Rig().started()
    assert {"a": 10, "b": 20, "g1": 30} == rig.shares()
    assert rig.live.revision == 1
    assert ["file"] == [revision.source for revision in rig.live.history()]
    assert rig.store.disk.last_good is not None
    rig.assert_all_agree()


async def test_a_bad_first_file_leaves_nothing_in_force_and_names_all_problems() -> None:
    """There is no last good to fall back to, so the start is refused."""
    rig = Rig()
    refusal = await rig.live.start(b"version: 1\nlegacy: nobody\nroutes: 7\n")
    assert isinstance(refusal, Refusal)
    assert len(refusal.problems) >= 2
    assert all(line.startswith("routes.yaml:") for line in refusal.problems)
    assert not rig.live.started


@pytest.mark.parametrize("data", [b"version: 1\n", b"", None], ids=["bad", "empty", "missing"])
async def test_the_last_good_is_used_at_the_next_start(data: bytes | None) -> None:
    """A file that went bad while control was away changes nothing, and is said aloud."""
    before = await Rig().started()
    rig = before.again()
    assert await rig.live.start(data, "routes.yaml does not exist" if data is None else "") is None
    assert (1, before.live.digest) == (rig.live.revision, rig.live.digest)
    assert rig.live.source.status == ("missing" if data is None else "refused")
    assert rig.live.source.problems
    assert len(rig.said(EventName.LAST_GOOD_USED)) == 1
    rig.assert_all_agree()


async def test_a_restart_with_the_same_content_keeps_the_revision() -> None:
    """Orders included; nothing is written about it."""
    before = await Rig().started()
    await before.rollback(route("a"))
    rig = before.again()
    assert await rig.live.start(yaml({"a": 10, "b": 20, "g1": 30})) is None
    assert (2, before.live.digest) == (rig.live.revision, rig.live.digest)
    assert before.live.orders == rig.live.orders
    assert {1, 2} == set(rig.store.disk.revisions)
    rig.assert_all_agree()


async def test_a_restart_after_an_edit_makes_the_next_revision_and_keeps_the_rollback() -> None:
    """The file is taken up as if control had been there when it was edited."""
    before = await Rig().started()
    await before.rollback(route("a"))
    rig = before.again()
    assert await rig.live.start(yaml({"a": 50, "b": 21, "g1": 30})) is None
    assert rig.live.revision == 3
    assert {"a": 0, "b": 21, "g1": 30} == rig.shares()
    rig.assert_all_agree()


async def test_the_guard_also_holds_over_a_restart() -> None:
    """A file that was cut while control was away is refused; the last good goes on."""
    weights = {f"r{number}": 1.0 for number in range(10)}
    before = await Rig().started(**weights)
    rig = before.again()
    assert await rig.live.start(yaml({"r0": 1})) is None
    assert len(rig.live.table.routes) == 10
    assert rig.live.source.status == "refused"


async def test_the_start_does_not_wait_for_workers_that_are_not_there_yet() -> None:
    """They are started by the parent once control is ready."""
    rig = Rig(patience=60)
    rig.fleet.stop(0)
    async with asyncio.timeout(5):
        await rig.started()


async def test_a_store_that_cannot_be_read_at_the_start_is_an_error() -> None:
    """Going on without the orders would forget rollbacks."""
    rig = Rig()
    rig.store.failing = "disk I/O error"
    with pytest.raises(StoreError):
        await rig.live.start(yaml({"a": 1}))


# ---------------------------------------------------------------------------------------------------- files


async def test_an_edited_weight_takes_force_and_is_confirmed() -> None:
    """The answer names the route, before and after, and both workers."""
    rig = await Rig().started()
    change = accepted(await rig.load(yaml({"a": 11, "b": 20, "g1": 30})))
    assert change.confirmed
    assert [("a", 100_000, 110_000)] == [(each.name, each.before, each.after) for each in change.routes]
    assert [0, 1] == [worker.id for worker in change.workers]
    assert {"a": 11, "b": 20, "g1": 30} == rig.shares()
    rig.assert_all_agree()


async def test_weights_alone_travel_as_a_delta_and_structure_as_a_snapshot() -> None:
    """A worker rebuilds its matcher only when it has to."""
    rig = await Rig().started()
    await rig.load(yaml({"a": 11, "b": 20, "g1": 30}))
    assert rig.fleet.aimed[-1].base == 1
    await rig.load(yaml({"a": 11, "b": 20, "g1": 30, "c": 5}))
    assert rig.fleet.aimed[-1].base is None
    rig.assert_all_agree()


async def test_a_file_that_says_nothing_new_makes_no_revision() -> None:
    """Comments and order of keys are not changes, but the new text is the last good."""
    rig = await Rig().started()
    text = yaml({"a": 10, "b": 20, "g1": 30}) + b"# nothing\n"
    change = accepted(await rig.load(text))
    assert (True, 1) == (change.already, rig.live.revision)
    assert rig.store.disk.last_good is not None
    assert text == rig.store.disk.last_good.text


async def test_a_bad_file_is_refused_whole_and_visible_until_mended() -> None:
    """State, event and count say so; what is in force stays."""
    rig = await Rig().started()
    refusal = refused(await rig.load(yaml({"a": 99}) + b"nonsense: true\n"))
    assert ("invalid", 422) == (refusal.code, refusal.status)
    assert {"a": 10, "b": 20, "g1": 30} == rig.shares()
    assert ("refused", refusal.problems) == (rig.live.source.status, rig.live.source.problems)
    assert rig.live.reloads["refused"] == 1
    assert rig.said(EventName.REFUSED)[0]["problems"] == refusal.problems
    accepted(await rig.load(yaml({"a": 10, "b": 20, "g1": 30})))
    assert ("ok", ()) == (rig.live.source.status, rig.live.source.problems)


async def test_a_file_that_somebody_else_sends_says_nothing_about_the_watched_one() -> None:
    """A refused upload leaves the state of routes.yaml alone; an accepted one does not hide its problems."""
    rig = await Rig().started()
    refused(await rig.live.load(b"x", actor="lead"))
    assert rig.live.source.status == "ok"
    refused(await rig.load(b"x"))
    accepted(await rig.live.load(yaml({"a": 12, "b": 20, "g1": 30}), actor="lead"))
    assert rig.live.source.status == "refused"


async def test_a_missing_file_is_visible_and_changes_nothing() -> None:
    """It is never "no routes", and it is said once."""
    rig = await Rig().started()
    rig.live.missing("routes.yaml does not exist")
    rig.live.missing("routes.yaml does not exist")
    assert "missing" == rig.live.source.status
    assert len(rig.said(EventName.MISSING)) == 1
    assert {"a": 10, "b": 20, "g1": 30} == rig.shares()


async def test_a_file_in_which_much_has_vanished_needs_somebody_who_insists() -> None:
    """More than a fifth and more than three: refused with names, taken with allow_removal."""
    rig = await Rig().started(**{f"r{number}": 1.0 for number in range(10)})
    cut = yaml({f"r{number}": 1 for number in range(6)})
    refusal = refused(await rig.load(cut))
    assert ("mass-removal", 409) == (refusal.code, refusal.status)
    assert "r9" in refusal.detail
    assert len(rig.live.table.routes) == 10
    accepted(await rig.load(cut, insist=True))
    assert len(rig.live.table.routes) == 6
    assert rig.live.source.status == "ok"


async def test_a_route_that_carries_traffic_does_not_vanish_by_accident() -> None:
    """Even a single one is refused while it had requests within the last minute."""
    rig = await Rig().started()
    rig.traffic.requests = {"b": 3}
    refusal = refused(await rig.load(yaml({"a": 10, "g1": 30})))
    assert "mass-removal" == refusal.code
    assert "b" in refusal.detail
    rig.traffic.requests = {"b": 0}
    accepted(await rig.load(yaml({"a": 10, "g1": 30})))


async def test_a_file_that_cannot_be_recorded_is_refused() -> None:
    """Otherwise a restart would silently go back."""
    rig = await Rig().started()
    rig.store.failing = "database or disk is full"
    refusal = refused(await rig.load(yaml({"a": 11, "b": 20, "g1": 30})))
    assert ("storage", 503) == (refusal.code, refusal.status)
    assert {"a": 10, "b": 20, "g1": 30} == rig.shares()
    rig.assert_all_agree()


async def test_the_same_trouble_is_said_once() -> None:
    """While a disk is full the file is tried again every second; the log need not grow by it."""
    rig = await Rig().started()
    rig.store.failing = "database or disk is full"
    for _ in range(3):
        refused(await rig.load(yaml({"a": 11, "b": 20, "g1": 30})))
    assert (1, 1) == (len(rig.said(EventName.STORE_FAILED)), len(rig.said(EventName.REFUSED)))
    assert 1 == rig.live.reloads["refused"]
    rig.store.failing = ""
    accepted(await rig.load(yaml({"a": 11, "b": 20, "g1": 30})))
    assert "ok" == rig.live.source.status


# --------------------------------------------------------------------------------------------------- orders


async def test_a_rollback_puts_its_scope_on_legacy() -> None:
    """One route, a group, everything."""
    rig = await Rig().started()
    accepted(await rig.rollback(route("a")))
    assert {"a": 0, "b": 20, "g1": 30} == rig.shares()
    accepted(await rig.rollback(group("green")))
    assert {"a": 0, "b": 20, "g1": 0} == rig.shares()
    accepted(await rig.rollback(ALL))
    assert {"a": 0, "b": 0, "g1": 0} == rig.shares()
    rig.assert_all_agree()


async def test_a_rollback_of_a_site_holds_the_site() -> None:
    """Shares stay; the workers are told which site is held."""
    rig = await Rig().started()
    accepted(await rig.rollback(Scope(Reach.SITE, "north")))
    assert {"a": 10, "b": 20, "g1": 30} == rig.shares()
    assert [["north"], ["north"]] == [worker.held_sites for worker in rig.fleet.workers]


async def test_the_same_rollback_again_changes_nothing_and_asks_the_workers_again() -> None:
    """An operator may press twice; the second answer is about the present."""
    rig = await Rig().started()
    first = accepted(await rig.rollback(ALL))
    rig.fleet.stop(1)
    second = accepted(await rig.rollback(ALL))
    assert (first.order, True, first.revision) == (second.order, second.already, second.revision)
    assert (True, False) == (first.confirmed, second.confirmed)
    assert len(rig.live.orders) == 1


async def test_an_order_for_nothing_is_refused_with_what_was_probably_meant() -> None:
    """A typing error in a rollback must not look like a rollback."""
    rig = await Rig().started(checkout=10)
    refusal = refused(await rig.rollback(route("chekout")))
    assert ("unknown-route", 404) == (refusal.code, refusal.status)
    assert "checkout" in refusal.instead
    assert rig.live.revision == 1


async def test_resume_leads_back_to_what_was_in_force_before() -> None:
    """To the weight that was ordered, else to the declared one; other rollbacks still hold."""
    rig = await Rig().started()
    await rig.weight(route("a"), 15)
    held = accepted(await rig.rollback(ALL))
    also = accepted(await rig.rollback(route("b")))
    assert held.order and also.order
    change = accepted(await rig.resume(held.order.id))
    assert {"a": 15, "b": 0, "g1": 30} == rig.shares()
    assert ("R-2", "R-3 (route=b) still holds legacy") == (held.order.id, *change.notes)
    await rig.resume(also.order.id)
    assert {"a": 15, "b": 20, "g1": 30} == rig.shares()
    rig.assert_all_agree()


async def test_resume_with_a_weight_is_one_step() -> None:
    """No moment in which the declared weight would hold."""
    rig = await Rig().started()
    held = accepted(await rig.rollback(route("b")))
    assert held.order
    change = accepted(await rig.resume(held.order.id, share=50_000))
    assert {"a": 10, "b": 5, "g1": 30} == rig.shares()
    assert (held.revision + 1, Kind.WEIGHT) == (change.revision, change.order and change.order.kind)


async def test_a_weight_order_is_atomic_over_all_its_routes() -> None:
    """One order, one revision, for a glob or a group; the cap holds."""
    rig = await Rig().started()
    change = accepted(await rig.weight(Scope(Reach.ROUTE, "[ab]"), 77))
    assert ({"a": 77, "b": 77, "g1": 30}, 2) == (rig.shares(), change.revision)
    change = accepted(await rig.weight(group("green"), 100))
    assert 40 == rig.shares()["g1"]
    assert ("the cap of group green holds its routes at 40 %",) == change.notes
    rig.assert_all_agree()


async def test_a_weight_below_a_rollback_waits_for_resume() -> None:
    """It is recorded, and the answer says why nothing moves."""
    rig = await Rig().started()
    held = accepted(await rig.rollback(ALL))
    change = accepted(await rig.weight(route("a"), 50))
    assert ((), 0) == (change.routes, rig.shares()["a"])
    assert "still holds legacy" in change.notes[0]
    assert held.order
    await rig.resume(held.order.id)
    assert 50 == rig.shares()["a"]


async def test_an_order_against_a_revision_that_has_passed_is_refused() -> None:
    """Whoever decided on old facts decides again."""
    rig = await Rig().started()
    await rig.rollback(route("a"))
    refusal = refused(await rig.live.weight(route("a"), 1, reason="r", actor="x", expected=1))
    assert ("stale-revision", 412) == (refusal.code, refusal.status)
    accepted(await rig.live.weight(route("a"), 1, reason="r", actor="x", expected=2))


async def test_an_order_before_the_start_is_refused() -> None:
    """There is nothing yet that it could speak of."""
    assert "not-started" == refused(await Rig().rollback(ALL)).code


async def test_an_order_needs_a_reason() -> None:
    """The history is read by people who were not there."""
    rig = await Rig().started()
    assert "invalid" == refused(await rig.live.rollback(ALL, reason=" ", actor="sre")).code


# ------------------------------------------------------------------------------------------ orders and files


async def test_a_reload_never_undoes_an_order() -> None:
    """Other edits in the file leave both kinds alone."""
    rig = await Rig().started()
    await rig.weight(route("a"), 15)
    await rig.rollback(route("b"))
    await rig.load(yaml({"a": 10, "b": 20, "g1": 31, "c": 5}))
    assert {"a": 15, "b": 0, "g1": 31, "c": 5} == rig.shares()
    rig.assert_all_agree()


async def test_a_weight_order_gives_way_to_a_later_edit_of_that_weight_for_good() -> None:
    """It is recorded in the revision, and editing the file back does not revive it."""
    rig = await Rig().started()
    await rig.weight(Scope(Reach.ROUTE, "[ab]"), 50)
    await rig.load(yaml({"a": 12, "b": 20, "g1": 30}))
    assert {"a": 12, "b": 50, "g1": 30} == rig.shares()
    revision = rig.live.history(1)[0]
    assert (("W-1", "a"),) == revision.changes.superseded
    assert "W-1 gave way to the file for a" in revision.changes.lines
    assert [{"order": "W-1", "route": "a", "revision": 3}] == rig.said(EventName.SUPERSEDED)
    await rig.load(yaml({"a": 10, "b": 20, "g1": 30}))
    assert 10 == rig.shares()["a"]


async def test_a_rollback_holds_whatever_the_file_says() -> None:
    """Edited, removed and brought back: legacy, until somebody resumes."""
    rig = await Rig().started()
    await rig.rollback(route("a"))
    for weights in ({"a": 100, "b": 20, "g1": 30}, {"b": 20, "g1": 30}, {"a": 100, "b": 20, "g1": 30}):
        await rig.load(yaml(weights))
    assert 0 == rig.shares()["a"]


# -------------------------------------------------------------------------------------------- confirmation


async def test_a_change_is_confirmed_only_by_every_worker() -> None:
    """A worker that hangs and one that is gone are named with what they still run."""
    rig = await Rig(fleet=None).started()
    rig.fleet.hang(1)
    change = accepted(await rig.rollback(ALL))
    assert not change.confirmed
    assert [(0, 2, True), (1, 1, False)] == [(each.id, each.revision, each.ms is not None) for each in change.workers]
    assert rig.said(EventName.UNCONFIRMED)[0]["missing"] == [{"worker": 1, "runs": 1, "why": "it has not answered"}]
    rig.fleet.start(1)
    assert accepted(await rig.rollback(ALL)).confirmed


async def test_a_worker_that_comes_back_in_time_confirms() -> None:
    """It is brought to the revision on its own, and the change that waits hears of it."""
    rig = await Rig(patience=30).started()
    rig.fleet.stop(0)
    waiting = asyncio.create_task(rig.rollback(ALL))
    while rig.live.revision == 1:
        await asyncio.sleep(0)
    rig.fleet.start(0)
    assert accepted(await waiting).confirmed
    rig.assert_all_agree()


async def test_a_revision_is_above_everything_that_a_worker_has_seen() -> None:
    """Even when the store was put back from an old copy."""
    rig = await Rig().started()
    rig.fleet.workers[0].revision = 41
    assert 42 == accepted(await rig.rollback(ALL)).revision


# -------------------------------------------------------------------------------------------------- recording


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


# -------------------------------------------------------------------------------------------- side by side


async def test_a_rollback_does_not_wait_for_a_file_that_is_being_compiled() -> None:
    """And the file takes force on top of it."""
    rig = await Rig().started()
    rig.compiler.hold()
    loading = asyncio.create_task(rig.load(yaml({"a": 99, "b": 20, "g1": 30})))
    while rig.compiler.compiled < 2:
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        accepted(await rig.rollback(route("a")))
    rig.compiler.go()
    accepted(await loading)
    assert 0 == rig.shares()["a"]
    rig.assert_all_agree()


async def test_a_rollback_goes_before_those_that_wait() -> None:
    """Behind a stalled write stand two weights; the rollback is the next revision all the same."""
    rig = await Rig().started()
    rig.store.stall()
    waiting = [asyncio.create_task(rig.weight(route(name), 50)) for name in ("a", "b")]
    while not rig.store.waiting:
        await asyncio.sleep(0)
    urgent = asyncio.create_task(rig.rollback(ALL))
    await asyncio.sleep(0)
    rig.store.go()
    first, second = [accepted(await each).revision for each in waiting]
    assert (2, 3, 4) == (first, accepted(await urgent).revision, second)
    rig.assert_all_agree()


async def test_weights_at_the_same_time_both_hold() -> None:
    """Each is decided on what the one before has left."""
    rig = await Rig().started()
    await asyncio.gather(*(rig.weight(route(name), 50) for name in ("a", "b")))
    assert {"a": 50, "b": 50, "g1": 30} == rig.shares()


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


# ---------------------------------------------------------------------------------------------------- events


async def test_subscribers_hear_of_changes() -> None:
    """In order, from the moment of subscribing."""
    rig = await Rig().started()
    with rig.live.subscribe() as events:
        await rig.rollback(ALL)
    assert [EventName.ORDERED, EventName.CONFIRMED] == [event.name async for event in events]


async def test_a_subscriber_that_does_not_keep_up_is_told_and_let_go() -> None:
    """Its queue stays bounded, and the last thing it hears is why."""
    rig = await Rig().started()
    events = rig.live.subscribe()
    for number in range(EVENTS_HELD + 10):
        rig.live.events.tell("test.event", number=number)
    names = [event.name async for event in events]
    assert ["test.event"] * EVENTS_HELD + [EventName.DROPPED] == names


# ------------------------------------------------------------------------------------------------ properties

NAMES = ("a", "b", "c", "g1", "g2")
scopes = st.one_of(
    st.just(ALL),
    st.sampled_from([group("green"), Scope(Reach.SITE, "north"), route("[ab]"), route("g*")]),
    st.sampled_from(NAMES).map(route),
)
files = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 100), min_size=1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("load"), files),
        st.tuples(st.just("weight"), scopes, st.integers(0, PPM)),
        st.tuples(st.just("rollback"), scopes),
        st.tuples(st.just("resume"), st.integers(0, 9), st.none() | st.integers(0, PPM)),
        st.tuples(st.just("restart")),
    ),
    max_size=12,
)


async def play(rig: Rig, step: tuple[object, ...]) -> Rig:
    match step:
        case ("load", dict() as weights):
            await rig.load(yaml(weights), insist=True)
        case ("weight", Scope() as scope, int() as share):
            await rig.live.weight(scope, share, reason="r", actor="a")
        case ("rollback", Scope() as scope):
            await rig.rollback(scope)
        case ("resume", int() as index, share):
            if rig.live.orders:
                assert share is None or isinstance(share, int)
                await rig.resume(rig.live.orders[index % len(rig.live.orders)].id, share)
        case ("restart",):
            good = rig.store.disk.last_good
            assert good is not None
            rig = rig.again()
            assert await rig.live.start(good.text) is None
    return rig


@given(steps)
@settings(max_examples=150, deadline=None)
def test_any_sequence_of_changes_keeps_the_layers_together(played: list[tuple[object, ...]]) -> None:
    """What is in force is exactly what table and orders come to, at every worker and after every restart;
    a rollback that nobody lifted holds; store and engine agree on orders; revisions only grow.
    """

    async def story() -> None:
        rig = await Rig(Disk()).started()
        held: set[str] = set()
        revision = rig.live.revision
        for step in played:
            before = {order.id for order in rig.live.orders}
            rig = await play(rig, step)
            now = {order.id: order for order in rig.live.orders}
            if step[0] == "resume":
                held -= before - set(now)
            held |= {order.id for order in rig.live.orders if order.kind is Kind.ROLLBACK}
            assert held <= set(now)
            assert revision <= rig.live.revision
            revision = rig.live.revision
            assert rig.live.orders == rig.store.disk.orders
            rig.assert_all_agree()

    asyncio.run(story())


# ------------------------------------------------------------------------------------------------------ holds


def hold(scope: Scope, made: str = "E-aaaa") -> Hold:
    return Hold(made, scope, "3 a.m.", "kim", 999_000.0)


async def test_a_hold_becomes_an_order_with_its_own_actor_reason_and_time() -> None:
    """What was told to the workers is an ordinary rollback afterwards, recorded, and once."""
    rig = await Rig().started(a=10, b=20)
    assert ("E-aaaa",) == await rig.live.adopt([hold(route("a"))])
    assert ("E-aaaa",) == await rig.live.adopt([hold(route("a"))])
    (order,) = rig.live.orders
    assert ("kim", "3 a.m.", 999_000.0) == (order.actor, order.reason, order.created)
    assert {"a": 0, "b": 20} == rig.shares()
    (found,) = [one for one in rig.store.disk.revisions.values() if one.source == "emergency"]
    assert ("E-aaaa",) == found.changes.adopted
    rig.assert_all_agree()


async def test_workers_are_told_of_the_adoption_before_traffic_moves_again() -> None:
    """The change that lifts the order names the hold, now and for whoever connects later, also after a restart."""
    rig = await Rig().started(a=10)
    await rig.live.adopt([hold(route("a"))])
    assert () == rig.fleet.aimed[-1].adopted
    accepted(await rig.resume(rig.live.orders[0].id))
    target = rig.fleet.aimed[-1]
    assert ("E-aaaa",) == target.adopted
    assert ["E-aaaa"] == json.loads(target.delta)["adopted"]
    again = await rig.again().started(a=10)
    assert ("E-aaaa",) == again.fleet.aimed[-1].adopted
    assert ("E-aaaa",) == await again.live.adopt([hold(route("a"))])
    assert () == again.live.orders


async def test_a_hold_of_something_that_is_gone_is_an_order_too() -> None:
    """The workers hold it if it comes back, so somebody must be able to lift it."""
    rig = await Rig().started(a=10)
    await rig.live.adopt([hold(route("gone"))])
    accepted(await rig.resume(rig.live.orders[0].id))
    assert () == rig.live.orders


async def test_a_hold_that_cannot_be_recorded_is_still_the_workers() -> None:
    """It is an order at once, but nobody is told to let go of it before a record is made."""
    rig = await Rig().started(a=10, b=10)
    rig.store.failing = "disk full"
    assert () == await rig.live.adopt([hold(route("a"))])
    assert {"a": 0, "b": 10} == rig.shares()
    accepted(await rig.rollback(route("b")))
    assert () == rig.fleet.aimed[-1].adopted
    rig.store.failing = ""
    accepted(await rig.weight(route("b"), 20))
    assert ("E-aaaa",) == rig.fleet.aimed[-1].adopted
    assert ("E-aaaa",) == await rig.live.adopt([hold(route("a"))])

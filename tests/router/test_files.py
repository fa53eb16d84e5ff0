"""How a routes.yaml takes force, or is refused whole: at the start, when it is loaded, under the safety rules."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from router.core.safety import Rule
from router.events import EventName
from router.live import Refusal
from router.ports import StoreError
from tests.router.rig import WEIGHTS, Rig, accepted, refused, route, yaml

STEPS = "safety: {max_step: 25}\n"


def text(weights: Mapping[str, float]) -> bytes:
    return yaml(WEIGHTS | weights, extra=STEPS)


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


# --------------------------------------------------------------------------------------- under the safety rules


async def test_a_file_that_breaks_a_rule_is_refused_whole_with_its_lines() -> None:
    """Visible like any refused file until it is mended, each violation where its route stands."""
    rig = Rig()
    assert await rig.live.start(text({})) is None
    bad = text({"a": 90, "b": 21})
    answer = refused(await rig.load(bad))
    assert ("safety", 409) == (answer.code, answer.status)
    line = next(index for index, written in enumerate(bad.decode().split("\n"), 1) if "name: a," in written)
    expected = "max-step: a: 10 % to 90 % is more than 25 points at once; 35 % would be allowed"
    assert (f"routes.yaml:{line}:1: {expected}",) == answer.problems
    assert ("refused", answer.problems) == (rig.live.source.status, rig.live.source.problems)
    assert {"a": 10, "b": 20, "g1": 30} == rig.shares()
    accepted(await rig.load(text({"a": 35, "b": 21})))
    assert "ok" == rig.live.source.status


async def test_a_file_may_be_loaded_over_a_rule_with_a_reason() -> None:
    """Also over the guard against vanished routes."""
    rig = Rig()
    assert await rig.live.start(text({})) is None
    rig.traffic.requests = {"b": 5}
    without = yaml({"a": 90, "g1": 30}, extra=STEPS)
    reasons = {"max-step": "measured it", "mass-removal": "b is gone for good"}
    change = accepted(await rig.live.load(without, actor="lead", override=reasons))
    assert [Rule.MAX_STEP] == [one.rule for one in change.overridden]
    assert {"a": 90, "g1": 30} == rig.shares()


async def test_the_rules_also_hold_over_a_restart() -> None:
    """A leap that was written into the file while control was away is refused; the last good goes on."""
    before = Rig()
    assert await before.live.start(text({})) is None
    rig = before.again()
    assert await rig.live.start(text({"a": 90})) is None
    assert ({"a": 10, "b": 20, "g1": 30}, "refused") == (rig.shares(), rig.live.source.status)

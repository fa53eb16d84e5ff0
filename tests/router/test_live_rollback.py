"""Rollbacks of several scopes, of what was raised, and in steps."""

from __future__ import annotations

import pytest

from router.core.hold import Hold
from router.core.observed import Observed, target_key
from router.core.orders import Kind, Scope
from router.events import EventName
from router.live import Change, Refusal
from tests.router.rig import ALL, Rig, accepted, group, refused, route, yaml


async def back(rig: Rig, *scopes: Scope, over: float | None = None) -> Change | Refusal:
    return await rig.live.rollback(*scopes, reason="odd", actor="kim", over=over)


async def raised(rig: Rig, within: float | None = None, over: float | None = None) -> Change | Refusal:
    return await rig.live.rollback_raised(within, reason="odd", actor="kim", over=over)


# -- several -----------------------------------------------------------------------------------------------------------


async def test_several_scopes_are_one_revision_with_an_order_each() -> None:
    """Each order is resumed by itself, or one restore undoes it all."""
    rig = await Rig().started()
    before = rig.live.revision
    change = accepted(await back(rig, route("a"), group("green")))
    assert (before + 1, {"a": 0, "b": 20, "g1": 0}) == (rig.live.revision, rig.shares())
    assert change.order is not None
    assert ("R-1", ["R-2"]) == (change.order.id, [order.id for order in change.more])
    assert ("R-1, R-2", "R-1: rollback route=a; R-2: rollback group=green") == (
        rig.live.history(1)[0].changes.order,
        rig.live.history(1)[0].changes.lines[0],
    )
    accepted(await rig.resume("R-2"))
    assert {"a": 0, "b": 20, "g1": 30} == rig.shares()
    accepted(await rig.weight(route("b"), 21))
    assert "W-3" == rig.live.orders[-1].id
    rig.assert_all_agree()


async def test_one_wrong_scope_refuses_them_all() -> None:
    """Nothing is half rolled back, and no number is lost."""
    rig = await Rig().started()
    assert "unknown-route" == refused(await back(rig, route("a"), route("x"))).code
    assert {"a": 10, "b": 20, "g1": 30} == rig.shares()
    assert "R-1" == accepted(await back(rig, route("a"))).order.id  # type: ignore[union-attr]


# -- what was raised ---------------------------------------------------------------------------------------------------


async def test_what_was_raised_last_is_rolled_back() -> None:
    """The newest change that raised something, however many routes; what lowered does not count."""
    rig = await Rig().started()
    accepted(await rig.load(yaml({"a": 15, "b": 25, "g1": 30})))
    accepted(await rig.weight(route("g1"), 5))
    change = accepted(await raised(rig))
    assert ({"a": 0, "b": 0, "g1": 5}, 2) == (rig.shares(), len([change.order, *change.more]))
    assert "nothing-raised" == refused(await raised(rig)).code


async def test_what_was_raised_since_a_time_is_rolled_back_also_over_many_revisions() -> None:
    """More than memory has; what was raised before that time stays."""
    rig = await Rig().started()
    accepted(await rig.weight(route("a"), 11))
    rig.clock.time += 3600
    accepted(await rig.weight(route("b"), 30))
    for number in range(205):
        accepted(await rig.weight(route("g1"), 20 + number % 2 / 100))
    accepted(await raised(rig, 60))
    assert {"a": 11, "b": 0, "g1": 0} == rig.shares()
    assert "rollback" == rig.store.disk.audit[-1].action


async def test_what_was_raised_is_found_in_memory_when_the_store_does_not_answer() -> None:
    """A rollback waits for no disk."""
    rig = await Rig().started()
    accepted(await rig.weight(route("b"), 30))
    rig.store.failing = "the disk is gone"
    change = accepted(await raised(rig, 3600))
    assert ({"a": 10, "b": 0, "g1": 30}, False) == (rig.shares(), change.persisted)


# -- in steps ----------------------------------------------------------------------------------------------------------


async def test_a_rollback_in_steps_comes_down_with_time_and_is_told() -> None:
    """One revision a step; the order stays, and is an ordinary rollback in the end."""
    rig = await Rig().started(a=100, b=20)
    change = accepted(await back(rig, ALL, over=30))
    assert change.order is not None and change.order.easing is not None
    found = [rig.shares()]
    for _ in range(4):
        await rig.later(10)
        found.append(rig.shares())
        rig.assert_all_agree()
    assert [{"a": 75, "b": 20}, {"a": 50, "b": 20}, {"a": 25, "b": 20}, {"a": 0, "b": 0}, {"a": 0, "b": 0}] == found
    assert ["R-1"] * 3 == [said["order"] for said in rig.said(EventName.EASED)]
    assert [500_000, 250_000, 0] == [said["share"] for said in rig.said(EventName.EASED)]
    assert ("R-1 (rollback all) is at 0", "ease") == (
        rig.live.history(1)[0].changes.lines[0],
        rig.store.disk.audit[-1].action,
    )
    assert None is rig.live.orders[0].easing


@pytest.mark.parametrize(("away", "expected"), [(10, {"a": 50, "b": 20}), (1000, {"a": 0, "b": 0})])
async def test_it_goes_on_after_a_restart_of_control(away: float, expected: dict[str, float]) -> None:
    """At the step that the time says, however long control was away."""
    rig = await Rig().started(a=100, b=20)
    accepted(await back(rig, ALL, over=30))
    other = rig.again()
    other.clock.time = rig.clock.time + away
    assert await other.live.start(yaml({"a": 100, "b": 20})) is None
    assert {"a": 75, "b": 20} == other.shares()
    await other.live.expire()
    assert expected == other.shares()
    other.assert_all_agree()


async def test_an_immediate_rollback_overtakes_it_and_needs_no_store() -> None:
    """Of the same scope, of a wider one, or a hold of the workers."""
    for scope in (group("green"), ALL):
        rig = await Rig().started()
        accepted(await back(rig, group("green"), over=30))
        rig.store.failing = "full"
        change = accepted(await back(rig, scope))
        assert (False, 0) == (change.already, rig.shares()["g1"])
    rig = await Rig().started()
    accepted(await back(rig, group("green"), over=30))
    await rig.live.adopt([Hold("E-aaaa", group("green"), "3 a.m.", "kim", rig.clock.time)])
    assert (0, 1) == (rig.shares()["g1"], len(rig.live.orders))
    await rig.later(30)
    assert 0 == rig.shares()["g1"]


async def test_it_goes_on_when_the_disk_is_full() -> None:
    """What cannot be recorded now is recorded later."""
    rig = await Rig().started(a=100)
    accepted(await back(rig, ALL, over=30))
    rig.store.failing = "full"
    await rig.later(30)
    assert ({"a": 0}, False) == (rig.shares(), rig.live.persisted)


async def test_a_resume_lifts_it_on_its_way() -> None:
    """Somebody has seen that it is not needed."""
    rig = await Rig().started(a=100)
    accepted(await back(rig, ALL, over=30))
    accepted(await rig.resume("R-1"))
    await rig.later(30)
    assert ({"a": 100}, ()) == (rig.shares(), rig.live.orders)


@pytest.mark.parametrize("over", [0, -1, 601, float("nan")])
async def test_a_time_that_is_no_time_for_a_rollback_is_refused(over: float) -> None:
    """Ten minutes are enough for the coldest legacy."""
    rig = await Rig().started()
    assert "invalid" == refused(await back(rig, ALL, over=over)).code
    assert () == rig.live.orders
    assert Kind.ROLLBACK.value == rig.said(EventName.ORDER_REFUSED)[-1]["action"]


# -- a legacy that is dead ---------------------------------------------------------------------------------------------


def legacy_is_dead(rig: Rig, *, all_are: bool = False) -> None:
    """As the probes say it."""
    upstreams = rig.live.table.upstreams.values()
    dead = [each for each in upstreams if all_are or each.name == rig.live.table.legacy]
    levels = {target_key(each.name, endpoint): 0 for each in dead for endpoint in each.endpoints}
    rig.live.observe(Observed(levels))


async def test_nothing_moves_to_a_dead_legacy_unless_somebody_says_so() -> None:
    """The one rule that may stop a rollback, by its name; overriding it is on record."""
    rig = await Rig().started()
    legacy_is_dead(rig)
    for said in (await back(rig, ALL), await back(rig, ALL, over=30), await rig.weight(route("a"), 1)):
        assert ["legacy-alive"] == [each.rule.value for each in refused(said).violations]
    assert {"a": 10, "b": 20, "g1": 30} == rig.shares()
    change = await rig.live.rollback(ALL, reason="fire", actor="kim", override={"legacy-alive": "new is worse"})
    assert ["legacy-alive"] == [each.rule.value for each in accepted(change).overridden]
    assert (("legacy-alive", "new is worse"),) == rig.live.history(1)[0].changes.overridden


async def test_raises_and_what_the_workers_do_already_do_not_ask_whether_legacy_lives() -> None:
    """A hold is adopted, a step that was begun is taken, and when everything looks dead the prober is distrusted."""
    rig = await Rig().started(a=100, b=20, g1=30)
    accepted(await back(rig, route("a"), over=30))
    legacy_is_dead(rig)
    accepted(await rig.weight(route("b"), 30))
    await rig.later(30)
    assert 0 == rig.shares()["a"]
    await rig.live.adopt([Hold("E-aaaa", group("green"), "3 a.m.", "kim", rig.clock.time)])
    assert 0 == rig.shares()["g1"]
    legacy_is_dead(rig, all_are=True)
    accepted(await back(rig, ALL))

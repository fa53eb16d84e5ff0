"""Orders of every kind through the engine: what they do, on trial, against the safety rules, and overridden."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.model import Side
from router.core.orders import Kind, Reach, Scope
from router.core.safety import Rule
from router.events import EventName
from router.live import Change, Refusal
from tests.router.rig import ALL, WEIGHTS, Rig, accepted, group, refused, route, yaml


async def started(safety: str = "", **weights: float) -> Rig:
    rig = Rig()
    assert await rig.live.start(yaml(weights or WEIGHTS, extra=f"safety: {{{safety}}}\n" if safety else "")) is None
    return rig


async def give(rig: Rig, kind: Kind, scope: Scope, percent: float | None = None, **more: Any) -> Change | Refusal:
    share = None if percent is None else int(percent * 10_000)
    return await rig.live.give(kind, scope, **{"reason": "r", "actor": "lead"} | more, share=share)


def number(change: Change) -> str:
    assert change.order is not None
    return change.order.id


# --------------------------------------------------------------------------------------------------- kinds


async def test_a_pin_sends_a_scope_to_one_side() -> None:
    """All of it, and legacy wins where two of them meet."""
    rig = await started()
    accepted(await give(rig, Kind.PIN, group("green"), side=Side.NEW))
    assert {"a": 10, "b": 20, "g1": 100} == rig.shares()
    accepted(await give(rig, Kind.PIN, ALL, side=Side.LEGACY))
    assert {"a": 0, "b": 0, "g1": 0} == rig.shares()
    rig.assert_all_agree()


async def test_a_cap_is_a_ceiling() -> None:
    """For weights that are declared and for those that are ordered."""
    rig = await started()
    accepted(await give(rig, Kind.CAP, ALL, 15))
    accepted(await rig.weight(route("a"), 90))
    assert {"a": 15, "b": 15, "g1": 15} == rig.shares()
    rig.assert_all_agree()


async def test_a_freeze_refuses_every_raise_and_no_lowering() -> None:
    """By an order, by the file and by a resume alike; the route and the freeze are named."""
    rig = await started()
    held = accepted(await rig.rollback(route("b")))
    accepted(await give(rig, Kind.FREEZE, ALL))
    for answer in (
        await rig.weight(route("a"), 11),
        await rig.load(yaml(WEIGHTS | {"a": 11})),
        await rig.resume(number(held)),
    ):
        (violation,) = refused(answer).violations
        assert Rule.FROZEN is violation.rule
        assert "F-2 (all, lead: r)" in violation.detail
    accepted(await rig.weight(route("a"), 9))
    accepted(await rig.load(yaml(WEIGHTS | {"g1": 29})))
    assert {"a": 9, "b": 0, "g1": 29} == rig.shares()


async def test_a_drain_is_for_a_site_and_reaches_the_workers() -> None:
    """No share changes by it."""
    rig = await started()
    assert "invalid" == refused(await give(rig, Kind.DRAIN, ALL)).code
    accepted(await give(rig, Kind.DRAIN, Scope(Reach.SITE, "north")))
    assert frozenset({"north"}) == rig.live.state.drained_sites
    rig.assert_all_agree()


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (Kind.WEIGHT, {}),
        (Kind.CAP, {}),
        (Kind.PIN, {}),
        (Kind.WEIGHT, {"percent": 1, "lasts": 0.0}),
        (Kind.WEIGHT, {"percent": 1, "lasts": float("nan")}),
        (Kind.WEIGHT, {"percent": 1, "lasts": 1e12}),
        (Kind.WEIGHT, {"percent": 1, "lasts": 60.0, "trial": 60.0}),
        (Kind.ROLLBACK, {"trial": 60.0}),
        (Kind.WEIGHT, {"percent": 1, "override": {"max-stp": "because"}}),
        (Kind.WEIGHT, {"percent": 1, "override": {"max-step": " "}}),
    ],
)
async def test_an_order_that_says_too_little_or_too_much_is_refused(kind: Kind, more: dict[str, Any]) -> None:
    """Without a share or a side, with an impossible time, with a rule that is none or without a reason."""
    rig = await started()
    answer = refused(await give(rig, kind, ALL, **more))
    assert ("invalid", 422, 1) == (answer.code, answer.status, rig.live.revision)
    assert answer.instead


# -------------------------------------------------------------------------------------------------- trials


async def test_a_trial_that_nobody_confirms_leads_back_to_what_was_ordered_before() -> None:
    """Not to the file: the weight before it was in force."""
    rig = await started()
    accepted(await rig.weight(route("a"), 15))
    change = accepted(await give(rig, Kind.WEIGHT, route("a"), 40, trial=600))
    assert "W-2: weight 40% route=a on trial" == rig.live.history(1)[0].changes.lines[0]
    assert ("W-2 stands in for W-1 until it ends",) == change.notes
    assert rig.clock.time + 600 == change.until
    assert {"a": 40, "b": 20, "g1": 30} == rig.shares()
    await rig.later(600)
    assert {"a": 15, "b": 20, "g1": 30} == rig.shares()
    assert ("expiry", "control") == (rig.live.history(1)[0].source, rig.live.history(1)[0].actor)
    assert "W-2 (weight route=a) was not confirmed in time; W-1 holds again" == rig.live.history(1)[0].changes.lines[0]
    rig.assert_all_agree()
    assert rig.store.disk.orders == rig.live.orders


async def test_a_trial_that_is_confirmed_stays() -> None:
    """It is a revision of its own, with who and why; confirming twice changes nothing."""
    rig = await started()
    change = accepted(await give(rig, Kind.WEIGHT, route("a"), 40, trial=600))
    kept = accepted(await rig.live.confirm(number(change), reason="looks well", actor="lead"))
    assert (3, False) == (kept.revision, kept.already)
    assert accepted(await rig.live.confirm(number(change), reason="again", actor="lead")).already
    await rig.later(10_000)
    assert {"a": 40, "b": 20, "g1": 30} == rig.shares()
    assert ["W-1"] == [said["order"] for said in rig.said(EventName.KEPT)]
    assert ("confirm", "looks well") == (rig.store.disk.audit[-1].action, rig.store.disk.audit[-1].reason)


async def test_confirming_what_is_not_there_is_refused() -> None:
    """Neither an order nor a file is on trial."""
    rig = await started()
    for name in ("W-1", "file"):
        assert "unknown-order" == refused(await rig.live.confirm(name, reason="r", actor="a")).code


async def test_a_trial_survives_a_restart() -> None:
    """What nobody confirms ends, even if control was away when its time came."""
    before = await started()
    accepted(await give(before, Kind.WEIGHT, route("a"), 40, trial=600))
    rig = before.again()
    assert await rig.live.start(yaml(WEIGHTS)) is None
    assert 40 == rig.shares()["a"]
    rig.clock.time = before.clock.time + 601
    await rig.live.expire()
    assert {"a": 10, "b": 20, "g1": 30} == rig.shares()


# -------------------------------------------------------------------------------------------------- safety


async def test_a_step_that_is_too_large_is_refused_with_what_would_be_allowed() -> None:
    """For the route, and as a weight that could be given instead; nothing has happened."""
    rig = await started("max_step: 25")
    answer = refused(await rig.weight(route("a"), 60))
    assert ("safety", 409) == (answer.code, answer.status)
    assert ["max-step: a: 10 % to 60 % is more than 25 points at once; 35 % would be allowed"] == list(answer.problems)
    assert (350_000, "a weight of 35 % would be allowed, or override max-step by name, with a reason") == (
        answer.allowed,
        answer.instead,
    )
    assert ({"a": 10, "b": 20, "g1": 30}, 1, ()) == (rig.shares(), rig.live.revision, rig.live.orders)
    assert "W-1" == number(accepted(await rig.weight(route("a"), 35))), "a refusal costs no number"


async def test_what_would_be_allowed_is_found_for_all_routes_of_a_scope_together() -> None:
    """The least of them, and it passes."""
    rig = await started("max_step: 25", a=10, b=20, c=0)
    answer = refused(await rig.weight(ALL, 100))
    assert (3, 250_000) == (len(answer.violations), answer.allowed)
    accepted(await rig.weight(ALL, 25))
    rig = await started("max_moved: 10", a=0, b=0)
    rig.traffic.requests = {"a": 3, "b": 1}
    answer = refused(await rig.weight(ALL, 40))
    assert ([None], 100_000) == ([one.allowed for one in answer.violations], answer.allowed)
    accepted(await rig.weight(ALL, 10))


async def test_a_resume_goes_through_the_rules_and_says_which_weight_would_pass() -> None:
    """The jump back from 0 is a raise like any other."""
    rig = await started("max_step: 25", a=60)
    held = accepted(await rig.rollback(route("a")))
    answer = refused(await rig.resume(number(held)))
    assert 250_000 == answer.allowed
    assert "a weight of 25 % would be allowed" in answer.instead
    assert {"a": 0} == rig.shares()
    accepted(await rig.resume(number(held), 250_000))
    assert {"a": 25} == rig.shares()


async def test_nothing_stands_in_the_way_of_legacy() -> None:
    """Rollbacks, lower weights, caps and pins to legacy pass every rule at any hour."""
    rule = "max_step: 0, max_rise: {points: 0, per: 1h}, max_moved: 0, max_raised: 0"
    rig = await started(f'{rule}, windows: [{{from: "00:00", to: "00:01"}}]')
    rig.traffic.requests = {"a": 100}
    rig.clock.time += 12 * 3600
    accepted(await give(rig, Kind.FREEZE, ALL))
    accepted(await rig.weight(route("a"), 9))
    accepted(await give(rig, Kind.CAP, ALL, 8))
    accepted(await give(rig, Kind.PIN, route("b"), side=Side.LEGACY))
    accepted(await rig.load(yaml(WEIGHTS | {"g1": 1})))
    accepted(await rig.rollback(ALL))
    assert {"a": 0, "b": 0, "g1": 0} == rig.shares()


async def test_a_rollback_asks_for_nothing_that_only_raises_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for the traffic, the hour or the history: nothing of it may cost time, or fail."""
    rig = await started("max_step: 25, max_moved: 10, max_rise: {points: 30, per: 10m}")
    monkeypatch.setattr("router.judge.Witness.facts", None)
    accepted(await rig.rollback(ALL))
    with pytest.raises(TypeError):
        await rig.resume("R-1")


async def test_a_rise_counts_with_those_before_it() -> None:
    """Small steps do not add up to a leap; after a while they are forgotten."""
    rig = await started("max_rise: {points: 30, per: 10m}")
    accepted(await rig.weight(route("a"), 30))
    answer = refused(await rig.weight(route("a"), 41))
    assert ([Rule.MAX_RISE], 400_000) == ([one.rule for one in answer.violations], answer.allowed)
    accepted(await rig.weight(route("a"), 40))
    rig.clock.time += 601
    accepted(await rig.weight(route("a"), 70))


async def test_a_rollback_and_its_resume_are_no_rise_however_often() -> None:
    """Counted is the distance from the lowest share, not the way there and back."""
    rig = await started("max_rise: {points: 30, per: 10m}", a=25)
    for _ in range(3):
        held = accepted(await rig.rollback(route("a")))
        accepted(await rig.resume(number(held)))
    answer = refused(await rig.weight(route("a"), 31))
    assert ([Rule.MAX_RISE], 300_000) == ([one.rule for one in answer.violations], answer.allowed)


async def test_a_rise_is_remembered_over_a_restart() -> None:
    """The history is in the store."""
    before = await started("max_rise: {points: 30, per: 10m}")
    accepted(await before.weight(route("a"), 30))
    rig = before.again()
    assert await rig.live.start(before.live.text) is None
    assert "safety" == refused(await rig.weight(route("a"), 60)).code


async def test_what_takes_force_at_the_first_start_has_not_risen() -> None:
    """A route that begins with the router may rise at once."""
    rig = await started("max_step: 25, max_rise: {points: 30, per: 10m}", a=50)
    accepted(await rig.weight(route("a"), 75))


async def test_one_change_may_raise_only_so_many_routes() -> None:
    """The change as a whole is refused, with the count."""
    rig = await started("max_raised: 2")
    answer = refused(await rig.weight(ALL, 35))
    assert ("max-raised: 3 routes would rise at once; 2 may",) == answer.problems
    assert 300_000 == answer.allowed, "then only two of them rise"
    accepted(await rig.weight(Scope(Reach.ROUTE, "[ab]"), 35))


async def test_shares_rise_within_the_windows_only() -> None:
    """In the time zone of the file; lowering is always allowed."""
    rig = await started('windows: [{days: [mon..fri], from: "09:00", to: "17:00"}]')
    monday = 4 * 86400.0  # 1970-01-05
    for hour, allowed in ((8.99, False), (9, True), (16.99, True), (17, False), (9 - 24, False), (9 + 24, True)):
        rig.clock.time = monday + hour * 3600
        assert allowed is isinstance(await rig.weight(route("a"), 10 + hour / 100 + 1), Change), hour
        accepted(await rig.weight(route("a"), 5))


async def test_an_overridden_rule_is_on_record_with_its_reason() -> None:
    """In the answer, in the revision and in the audit trail; other rules still hold."""
    rig = await started("max_step: 25, max_raised: 0")
    answer = refused(await give(rig, Kind.WEIGHT, route("a"), 60, override={"max-step": "measured it"}))
    assert [Rule.MAX_RAISED] == [one.rule for one in answer.violations]
    reasons = {"max-step": "measured it", "max-raised": "only this one"}
    change = accepted(await give(rig, Kind.WEIGHT, route("a"), 60, override=reasons))
    assert [Rule.MAX_STEP, Rule.MAX_RAISED] == [one.rule for one in change.overridden]
    revision = rig.live.history(1)[0]
    assert tuple(reasons.items()) == revision.changes.overridden
    assert "overrides max-step: measured it" in revision.changes.lines
    assert "r; overrides max-step: measured it; overrides max-raised: only this one" == rig.store.disk.audit[-1].reason


async def test_an_override_that_is_not_needed_is_not_on_record() -> None:
    """Only what would have been refused has been overridden."""
    rig = await started("max_step: 25")
    change = accepted(await give(rig, Kind.WEIGHT, route("a"), 11, override={"max-step": "in case"}))
    assert ((), ()) == (change.overridden, rig.live.history(1)[0].changes.overridden)

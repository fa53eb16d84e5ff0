"""Looks at what might be and what was: nothing changes by them."""

from __future__ import annotations

from router.live import Difference, Plan
from tests.router.rig import Rig, accepted, route, yaml


async def test_a_plan_says_what_would_change_and_changes_nothing() -> None:
    """Routes, the part of the traffic that changes side, users, orders that give way, rules that would refuse it."""
    rig = await Rig().started()
    accepted(await rig.weight(route("a"), 15))
    rig.traffic.requests = {"a": 60, "b": 20, "g1": 20}
    plan = await rig.live.plan(yaml({"a": 50, "b": 10, "g1": 30}, extra="safety: {max_step: 25, confirm: 10m}\n"))
    assert isinstance(plan, Plan)
    assert [("a", 150_000, 500_000), ("b", 200_000, 100_000)] == [(r.name, r.before, r.after) for r in plan.routes]
    assert (0.35 * 60 + 0.1 * 20, 0.35 * 60) == (plan.moved / 10_000, plan.moved_to_new / 10_000)
    assert {"a": 350_000, "b": 100_000} == plan.seeds
    assert round(1_000_000 * (1 - 0.65 * 0.9)) == plan.subjects
    assert ["max-step"] == [str(one.rule) for one in plan.violations]
    assert ((("W-1", "a"),), 600) == (plan.superseded, plan.confirm)
    assert "route a: weight 10% -> 50%" in plan.lines
    assert ({"a": 15, "b": 20, "g1": 30}, 2) == (rig.shares(), rig.live.revision)


async def test_a_plan_says_why_a_file_looks_like_an_accident() -> None:
    """A route that carries traffic would vanish."""
    rig = await Rig().started()
    rig.traffic.requests = {"b": 1}
    plan = await rig.live.plan(yaml({"a": 10, "g1": 30}))
    assert isinstance(plan, Plan)
    assert "b" in plan.removal[0]
    assert "invalid" == getattr(await rig.live.plan(b"x"), "code", "")


async def test_the_difference_of_two_revisions_is_exact() -> None:
    """Lines of the file, shares of routes, orders that went and came; in either direction."""
    rig = await Rig().started()
    accepted(await rig.weight(route("a"), 15))
    accepted(await rig.load(yaml({"a": 10, "b": 21, "g1": 30})))
    accepted(await rig.rollback(route("b")))
    found = await rig.live.difference(2, 4)
    assert isinstance(found, Difference)
    assert ("route b: weight 20% -> 21%",) == found.lines
    assert [("b", 200_000, 0)] == [(each.name, each.before, each.after) for each in found.routes]
    assert ([], ["R-2"]) == ([order.id for order in found.gone], [order.id for order in found.given])
    back = await rig.live.difference(4, 1)
    assert isinstance(back, Difference)
    assert {("a", 150_000, 100_000), ("b", 0, 200_000)} == {
        (each.name, each.before, each.after) for each in back.routes
    }
    assert ["W-1", "R-2"] == [order.id for order in back.gone]
    assert "unknown-revision" == getattr(await rig.live.difference(1, 99), "code", "")

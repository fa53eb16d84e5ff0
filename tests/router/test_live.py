"""The engine: what orders do to what is in force, beside files and each other, with doubles for everything outside."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from control.stores.memory import Disk
from router.core.hold import Hold
from router.core.model import PPM
from router.core.orders import Kind, Reach, Scope
from router.events import EVENTS_HELD, EventName
from tests.router.rig import ALL, Rig, accepted, group, refused, route, yaml

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

"""The engine and places: what is observed reaches rules and workers, tables reach who observes, sites open again."""

from __future__ import annotations

import pytest

from router.core.hold import Hold
from router.core.observed import UNOBSERVED, Observed
from router.core.orders import Kind, Reach, Scope
from router.events import EventName
from router.live import Change, Live, Refusal
from router.ports import Compiled
from tests.router.rig import ALL, Rig, accepted, refused, route, yaml

OLD, NORTH, SOUTH = "old http://127.0.0.1:9001", "new http://127.0.0.1:9101", "new http://127.0.0.1:9201"
LEGACY_DEAD = Observed({OLD: 0})
SITE = Scope(Reach.SITE, "north")


async def on(rig: Rig, site: str = "north", **more: object) -> Change | Refusal:
    return await rig.live.reopen(site, **({"reason": "mended", "actor": "kim"} | more))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- observing


async def test_what_is_observed_reaches_every_worker() -> None:
    """Without a revision; and who asks is told the same."""
    rig = await Rig().started()
    assert UNOBSERVED is rig.live.observed
    revision = rig.live.revision
    rig.live.observe(LEGACY_DEAD)
    assert [LEGACY_DEAD] * 2 == [worker.observed for worker in rig.fleet.workers]
    assert (LEGACY_DEAD, revision) == (rig.live.observed, rig.live.revision)


async def test_who_observes_hears_of_a_table_before_the_workers_do() -> None:
    """So that a site that is new takes nothing before its first probe; orders are no tables."""
    rig, seen = Rig(), []

    def look(compiled: Compiled) -> None:
        seen.append((len(compiled.table.routes), len(rig.fleet.aimed)))

    rig.live = Live(
        store=rig.store, fleet=rig.fleet, compiler=rig.compiler, clock=rig.clock, traffic=rig.traffic, look=look
    )
    await rig.started(a=10)
    await rig.weight(route("a"), 20)
    await rig.load(yaml({"a": 10, "b": 5}))
    assert [(1, 0), (2, 2)] == seen
    again = Live(
        store=rig.again().store, fleet=rig.fleet, compiler=rig.compiler, clock=rig.clock, traffic=rig.traffic, look=look
    )
    assert await again.start(yaml({"a": 10, "b": 5})) is None
    assert (2, 3) == seen[-1]


# ---------------------------------------------------------------------------------------------- legacy-alive


async def test_nothing_moves_to_a_legacy_that_is_dead_while_the_new_side_lives() -> None:
    """Not by a rollback, a weight or a file; whoever means it overrides the rule by its name."""
    rig = await Rig().started(a=10)
    rig.live.observe(LEGACY_DEAD)
    for answer in (await rig.rollback(ALL), await rig.weight(route("a"), 5), await rig.load(yaml({"a": 5}))):
        assert "legacy-alive" in refused(answer).detail
    accepted(await rig.live.rollback(ALL, reason="all the same", actor="sre", override={"legacy-alive": "I see it"}))
    assert {"a": 0.0} == rig.shares()


@pytest.mark.parametrize(
    "observed",
    [UNOBSERVED, Observed({OLD: 0, NORTH: 0, SOUTH: 0}), Observed({OLD: 100_000}), Observed({NORTH: 0})],
    ids=["unobserved", "all dead", "legacy comes back", "new is sick"],
)
async def test_the_way_to_legacy_is_open_otherwise(observed: Observed) -> None:
    """When everything looks dead it is the prober that is distrusted."""
    rig = await Rig().started(a=10)
    rig.live.observe(observed)
    accepted(await rig.rollback(ALL))


async def test_what_the_workers_hold_already_is_adopted_whatever_is_observed() -> None:
    """They were told while nobody was here to ask."""
    rig = await Rig().started(a=10)
    rig.live.observe(LEGACY_DEAD)
    hold = Hold("E-aaaa", route("a"), "no answer", "sre", rig.clock.time)
    assert ("E-aaaa",) == await rig.live.adopt([hold])
    assert {"a": 0.0} == rig.shares()


# ----------------------------------------------------------------------------------------------------- sites


async def test_a_site_is_off_until_it_is_on_again() -> None:
    """One change lifts whatever closes it; workers are told of both."""
    rig = await Rig().started()
    accepted(await rig.live.give(Kind.DRAIN, SITE, reason="upgrade", actor="kim"))
    accepted(await rig.live.give(Kind.OFF, SITE, reason="now", actor="kim", lasts=60.0))
    assert (["north"], ["north"]) == (rig.fleet.workers[0].drained_sites, rig.fleet.workers[0].off_sites)
    change = accepted(await on(rig))
    assert ("O-2", ("D-1 is lifted",)) == (change.order.id if change.order else "", change.notes)
    assert (([], []), ()) == ((rig.fleet.workers[0].drained_sites, rig.fleet.workers[0].off_sites), rig.live.orders)
    assert "site=north is on: O-2 (off) is lifted" == rig.live.history()[0].changes.lines[0]
    assert ["on"] == [said["action"] for said in rig.said(EventName.LIFTED)]
    rig.assert_all_agree()


async def test_a_site_that_nothing_closes_is_no_change() -> None:
    """Nor is one that is not there; both are refused and told."""
    rig = await Rig().started()
    revision = rig.live.revision
    assert "not-closed" == refused(await on(rig)).code
    assert "unknown-site" == refused(await on(rig, "nowhere")).code
    assert "invalid" == refused(await on(rig, override={"nonsense": "x"})).code
    assert (revision, 3) == (rig.live.revision, len(rig.said(EventName.ORDER_REFUSED)))


async def test_only_a_site_can_be_switched_off() -> None:
    """A route has sides for that."""
    rig = await Rig().started()
    answer = await rig.live.give(Kind.OFF, route("a"), reason="r", actor="kim")
    assert "only a site can be drained or switched off" == refused(answer).detail

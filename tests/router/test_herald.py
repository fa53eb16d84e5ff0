"""An answer waits for every worker, but not for ever, and names those that have not confirmed."""

from __future__ import annotations

import asyncio

from router.events import EventName
from tests.router.rig import ALL, Rig, accepted


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

"""Back to an old routes.yaml: one that nobody confirms is taken back, and a revision is restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from router.core.orders import Kind
from router.events import EventName
from router.live import Change, Refusal
from router.ports import KEPT, Past
from tests.router.rig import ALL, WEIGHTS, Rig, accepted, refused, route, yaml

ON_TRIAL = "safety: {confirm: 10m}\n"
STEPS = "safety: {max_step: 25}\n"


async def restore(rig: Rig, number: int, **more: Any) -> Change | Refusal:
    return await rig.live.restore(number, reason="as it was", actor="lead", **more)


def text(weights: Mapping[str, float], extra: str = ON_TRIAL) -> bytes:
    return yaml(WEIGHTS | weights, extra=extra)


# ------------------------------------------------------------------------------------------ files on trial


async def test_a_file_that_nobody_confirms_is_taken_back() -> None:
    """With `safety.confirm`; orders given since stay, and the file's state says what happened."""
    rig = await Rig().started()
    change = accepted(await rig.load(text({"a": 50})))
    assert rig.clock.time + 600 == change.until == rig.live.source.until
    accepted(await rig.weight(route("b"), 25))
    await rig.later(599)
    assert {"a": 50, "b": 25, "g1": 30} == rig.shares()
    await rig.later(1)
    assert {"a": 10, "b": 25, "g1": 30} == rig.shares()
    assert ("refused", None) == (rig.live.source.status, rig.live.source.until)
    assert "nobody confirmed it in time" in rig.live.source.problems[0]
    assert [{"revision": 4, "back_to": 1}] == rig.said(EventName.TAKEN_BACK)
    rig.assert_all_agree()


async def test_a_file_that_is_confirmed_stays() -> None:
    """By the name "file"; that is a revision with who and why."""
    rig = await Rig().started()
    accepted(await rig.load(text({"a": 50})))
    change = accepted(await rig.live.confirm("file", reason="looks well", actor="lead"))
    assert (3, None, None) == (change.revision, change.until, rig.live.source.until)
    await rig.later(10_000)
    assert {"a": 50, "b": 20, "g1": 30} == rig.shares()
    assert "looks well" == rig.live.history(1)[0].reason


async def test_a_second_file_before_the_first_is_confirmed_leads_back_as_far() -> None:
    """To the last state that nobody doubted."""
    rig = await Rig().started()
    accepted(await rig.load(text({"a": 50})))
    await rig.later(300)
    accepted(await rig.load(text({"a": 60})))
    await rig.later(599)
    assert 60 == rig.shares()["a"]
    await rig.later(1)
    assert WEIGHTS == rig.shares()


async def test_a_weight_that_gave_way_to_the_file_comes_back_with_its_end() -> None:
    """Unless somebody has given or lifted one for the same scope since."""
    rig = await Rig().started()
    accepted(await rig.weight(route("a"), 15))
    accepted(await rig.weight(route("b"), 25))
    accepted(await rig.load(text({"a": 50, "b": 55})))
    accepted(await rig.weight(route("b"), 56))
    await rig.later(600)
    assert {"a": 15, "b": 20, "g1": 30} == rig.shares()


@pytest.mark.parametrize("seconds", [0, 601])
async def test_a_trial_of_a_file_survives_a_restart(seconds: float) -> None:
    """Control may be away when its time comes; what was taken back does not return at the start after that."""
    before = await Rig().started()
    file = text({"a": 50})
    accepted(await before.load(file))
    rig = before.again()
    rig.clock.time = before.clock.time + seconds
    assert await rig.live.start(file) is None
    assert 50 == rig.shares()["a"]
    await rig.later(601 - seconds)
    assert WEIGHTS == rig.shares()
    third = rig.again()
    assert await third.live.start(file) is None
    assert (WEIGHTS, "refused") == (third.shares(), third.live.source.status)
    accepted(await third.load(text({"a": 51})))
    assert 51 == third.shares()["a"]


async def test_a_file_that_is_confirmed_in_the_last_moment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even while the one before is already being looked up."""
    rig = await Rig().started()
    accepted(await rig.load(text({"a": 50})))
    recall = rig.store.recall

    async def slowly(number: int) -> Past | None:
        accepted(await rig.live.confirm("file", reason="looks well", actor="lead"))
        return await recall(number)

    monkeypatch.setattr(rig.store, "recall", slowly)
    await rig.later(600)
    assert (50, "ok") == (rig.shares()["a"], rig.live.source.status)


async def test_what_cannot_be_taken_back_is_said_once_and_tried_again() -> None:
    """The store is away when the time comes; the file stays until it is back."""
    rig = await Rig().started()
    accepted(await rig.load(text({"a": 50})))
    rig.store.failing = "disk I/O error"
    for _ in range(3):
        await rig.later(600)
    assert 50 == rig.shares()["a"]
    assert len(rig.said(EventName.REFUSED)) == 1
    assert "cannot be had: disk I/O error" in rig.live.source.problems[0]
    rig.store.failing = ""
    await rig.later(1)
    assert WEIGHTS == rig.shares()
    assert "is in force again" in rig.live.source.problems[0]


async def test_the_first_file_and_one_that_changes_nothing_are_not_on_trial() -> None:
    """There is nothing to go back to."""
    rig = Rig()
    assert await rig.live.start(text({})) is None
    assert rig.live.source.until is None
    accepted(await rig.load(text({}) + b"# a comment\n"))
    assert rig.live.source.until is None


# ------------------------------------------------------------------------------------------------- restore


async def test_restore_brings_back_file_and_orders_in_one_revision() -> None:
    """Atomically, as a new revision; the old text is in force, byte for byte."""
    rig = await Rig().started()
    accepted(await rig.weight(route("a"), 15))
    accepted(await rig.load(yaml({"a": 10, "b": 21, "g1": 31, "c": 5})))
    accepted(await rig.weight(route("a"), 17))
    change = accepted(await restore(rig, 2))
    assert ({"a": 15, "b": 20, "g1": 30}, 5) == (rig.shares(), change.revision)
    assert {"a", "b", "g1", "c"} == {each.name for each in change.routes}
    assert yaml(WEIGHTS) == rig.live.text
    assert ("restore", "as it was", "lead") == (
        rig.live.history(1)[0].source,
        rig.live.history(1)[0].reason,
        rig.live.history(1)[0].actor,
    )
    rig.assert_all_agree()
    assert rig.store.disk.orders == rig.live.orders


async def test_restore_keeps_the_rollbacks_and_freezes_in_force() -> None:
    """Going back in history never moves traffic forward past them."""
    rig = await Rig().started()
    accepted(await rig.rollback(route("a")))
    accepted(await rig.live.give(Kind.FREEZE, route("b"), reason="r", actor="lead"))
    accepted(await restore(rig, 1))
    assert {"a": 0, "b": 20, "g1": 30} == rig.shares()
    assert ["R-1", "F-2"] == [order.id for order in rig.live.orders]


async def test_restore_does_not_bring_back_what_ran_out() -> None:
    """An order that has ended meanwhile stays ended."""
    rig = await Rig().started()
    accepted(await rig.live.weight(route("a"), 500_000, lasts=60, reason="r", actor="lead"))
    await rig.later(61)
    change = accepted(await restore(rig, 2))
    assert (WEIGHTS, True) == (rig.shares(), change.already)


async def test_restore_goes_through_the_safety_rules() -> None:
    """Refused whole, and overridden by name."""
    rig = Rig()
    assert await rig.live.start(text({"a": 90}, STEPS)) is None
    accepted(await rig.load(text({"a": 1}, STEPS)))
    answer = refused(await restore(rig, 1))
    assert ("safety", 1) == (answer.code, rig.shares()["a"])
    accepted(await restore(rig, 1, override={"max-step": "it ran like this for a week"}))
    assert 90 == rig.shares()["a"]


async def test_a_restored_revision_outlives_a_restart_until_the_file_is_edited() -> None:
    """The file on the disk says something else; it does not sneak back in."""
    rig = await Rig().started()
    edited = yaml(WEIGHTS | {"a": 50})
    accepted(await rig.load(edited))
    accepted(await restore(rig, 1))
    assert "revision 1 was restored over it by lead" in rig.live.source.problems[0]
    again = rig.again()
    assert await again.live.start(edited) is None
    assert (WEIGHTS, 3, "refused") == (again.shares(), again.live.revision, again.live.source.status)
    accepted(await again.load(yaml(WEIGHTS | {"a": 51})))
    assert (51, "ok") == (again.shares()["a"], again.live.source.status)
    third = again.again()
    assert await third.live.start(edited) is None
    assert 50 == third.shares()["a"], "the old text is not set aside for ever"


async def test_what_cannot_be_restored_is_refused() -> None:
    """Unknown, not kept any more, against another revision, without a reason, or with a store that is away."""
    rig = await Rig().started()
    assert ("unknown-revision", 404) == (refused(await restore(rig, 9)).code, refused(await restore(rig, 9)).status)
    assert "stale-revision" == refused(await restore(rig, 1, expected=7)).code
    assert "invalid" == refused(await rig.live.restore(1, reason=" ", actor="a")).code
    rig.fleet.workers[0].revision = KEPT + 10
    accepted(await rig.rollback(ALL))
    assert ("not-kept", 410) == (refused(await restore(rig, 1)).code, refused(await restore(rig, 1)).status)
    rig.store.failing = "disk I/O error"
    assert "storage" == refused(await restore(rig, 1)).code

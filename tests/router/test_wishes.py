"""What somebody wants is a value before anybody looks at what is in force."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.orders import Kind, Reach, Scope
from router.wishes import NAMED, giving, resuming, rolling_back
from tests.router.rig import ALL, Rig, route

SAID: dict[str, Any] = {"reason": "r", "actor": "lead"}


def test_what_everybody_says_is_written_once_and_stands_in_the_wish() -> None:
    """Who, why, against which rules and on which revision; on trial it ends with the trial."""
    wish = giving(Kind.WEIGHT, route("a"), 1, None, None, 60.0, override={"max-step": "x"}, expected=7, **SAID)
    who = wish.who
    assert ("lead", "order", "r", "weight", "route=a") == (who.actor, who.source, who.reason, who.action, who.target)
    assert ({"max-step": "x"}, 7, 60.0, True) == (who.override, who.expected, who.lasts, who.trial)
    assert None is wish.objection


def test_what_cannot_be_is_said_without_looking_at_anything() -> None:
    """An order for no time, a rollback that takes an hour, a rule that is none."""
    for wish in (
        giving(Kind.PIN, ALL, None, None, None, None, **SAID),
        rolling_back([ALL], None, 3600.0, **SAID),
        resuming("R-1", None, override={"max-stp": "x"}, **SAID),
    ):
        assert wish.objection is not None
        assert "invalid" == wish.objection.code


def test_only_weights_and_resumes_can_be_placed_with_another_share() -> None:
    """For others there is no share that would be allowed instead."""
    assert [True, False, True, False] == [
        wish.again is not None
        for wish in (
            giving(Kind.WEIGHT, ALL, 1, None, None, None, **SAID),
            giving(Kind.CAP, ALL, 1, None, None, None, **SAID),
            resuming("R-1", None, **SAID),
            rolling_back([ALL], None, None, **SAID),
        )
    ]


def test_a_rollback_of_many_scopes_has_a_short_name() -> None:
    """It stands in events and in the audit trail."""
    scopes = [Scope(Reach.ROUTE, f"r{number}") for number in range(NAMED + 3)]
    target = rolling_back(scopes, None, None, **SAID).who.target
    assert (True, NAMED) == (target.endswith("and 3 more"), target.count("route="))


@pytest.mark.parametrize("said", [{"actor": "lead"}, {"reason": "r"}, SAID | {"overide": {}}], ids=str)
async def test_who_leaves_out_or_mistypes_what_has_to_be_said_hears_it_at_once(said: dict[str, Any]) -> None:
    """A word that nobody knows is never dropped."""
    rig = await Rig().started()
    with pytest.raises(TypeError):
        await rig.live.rollback(ALL, **said)
    assert () == rig.live.orders

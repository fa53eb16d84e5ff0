"""Holds: rollbacks that need no control, laid over whatever state is in force."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.hold import MOST, Hold, hold_of, kept, laid_over, left, message_of, reached
from router.core.model import PPM, Route
from router.core.orders import Cause, Kind, Order, Reach, Scope, effective
from router.core.wire import encode
from tests.strategies import tables

ROUTES = (
    Route("a", "/a", "old", new="new", group="shop"),
    Route("ab", "/ab", "old", new="new"),
    Route("c", "/c", "old", new="new", group="shop"),
)
ALL = Scope(Reach.ALL)
SCOPES = (ALL, Scope(Reach.GROUP, "shop"), Scope(Reach.ROUTE, "a*"), Scope(Reach.SITE, "north"))


def hold(scope: Scope, made: str = "E-0a1b") -> Hold:
    return Hold(made, scope, "too many errors", "kim", 1_700_000_000.0)


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_a_hold_survives_its_way_over_the_wire(scope: Scope) -> None:
    """Whoever reads the message has the same hold."""
    assert hold(scope) == hold_of(json.loads(encode(message_of(hold(scope)))))


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "E-../../etc"}, {"id": "R-1"}, {"id": 7}, {"id": "E-0A1B"}, {"scope": {}}, {"scope": {"all": False}},
        {"scope": {"route": 7}}, {"scope": {"planet": "x"}}, {"scope": {"all": True, "group": "g"}}, {"scope": "all"},
        {"at": math.nan}, {"at": "soon"}, {"reason": None}, {"actor": "k" * 5000},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_hold_is_refused(wrong: dict[str, Any]) -> None:
    """An id becomes the name of a file, so nothing but letters and digits may be in it."""
    with pytest.raises(ValueError, match="no hold"):
        hold_of(message_of(hold(ALL)) | wrong)


@pytest.mark.parametrize("missing", ["id", "scope", "reason", "actor", "at"])
def test_a_hold_says_everything(missing: str) -> None:
    """Who, why and when are for the order that control makes of it."""
    message = {name: value for name, value in message_of(hold(ALL)).items() if name != missing}
    with pytest.raises(ValueError, match="no hold"):
        hold_of(message)


@given(table=tables(), number=st.integers(0, 3))
def test_a_hold_does_what_a_rollback_does(table: Any, number: int) -> None:
    """Laid over a state it gives exactly what control will compute once it has adopted it, so that the hashes agree."""
    scope = SCOPES[number]
    if number == 2 and table.routes:
        scope = Scope(Reach.ROUTE, table.routes[0].name)
    before = effective(table, ())
    after = effective(table, (Order(1, Kind.ROLLBACK, scope, "r", "kim", 0.0),))
    shares = [entry.share for entry in before.routes]
    causes = bytes(entry.cause for entry in before.routes)
    held = laid_over(table.routes, shares, causes, before.held_sites, (hold(scope),))
    assert [entry.share for entry in after.routes] == held.shares
    assert bytes(entry.cause for entry in after.routes) == held.causes
    assert after.held_sites == held.held_sites


def test_legacy_wins_over_any_state() -> None:
    """A pin to new under a hold is legacy; what the hold does not cover is left as it is."""
    held = laid_over(ROUTES, [PPM, PPM, 7], bytes([Cause.PIN, Cause.PIN, 0]), {"south"}, (hold(SCOPES[2]),))
    assert [0, 0, 7] == held.shares
    assert bytes([Cause.ROLLBACK, Cause.ROLLBACK, Cause.DECLARED]) == held.causes
    assert frozenset({"south"}) == held.held_sites


def test_a_hold_is_kept_once_per_scope() -> None:
    """The second SRE is told of the first one's."""
    first, second = hold(ALL), hold(ALL, "E-0a1c")
    again = kept((first,), second)
    assert (again.holds, again.hold, again.already) == ((first,), first, True)
    new = kept((first,), hold(SCOPES[1], "E-0a1c"))
    assert (False, 2) == (new.already, len(new.holds))


def test_there_is_an_end_to_holds() -> None:
    """Nobody can fill a worker's memory with them."""
    many = tuple(hold(Scope(Reach.ROUTE, f"r{number}"), f"E-{number:04}") for number in range(MOST))
    with pytest.raises(ValueError, match="wider scope"):
        kept(many, hold(ALL, "E-zzzz"))


def test_adopted_holds_are_let_go_of() -> None:
    """The others stay."""
    one, two = hold(ALL), hold(SCOPES[1], "E-0a1c")
    assert (two,) == left((one, two), {"E-0a1b", "E-ffff"})


def test_a_hold_that_names_nothing_reaches_nothing() -> None:
    """So that a typing error is refused instead of confirmed."""
    found = [reached(scope, ROUTES, {"north"}) for scope in SCOPES]
    assert [3, 2, 2, 1] == found
    for scope in (Scope(Reach.GROUP, "shops"), Scope(Reach.ROUTE, "x"), Scope(Reach.SITE, "nord")):
        assert 0 == reached(scope, ROUTES, {"north"})
    assert 0 < reached(ALL, (), ())

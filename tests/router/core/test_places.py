"""What is left of shares and sites, for whole routes."""

from __future__ import annotations

from typing import Any

from router.core.fill import Why
from router.core.model import PPM, Endpoint, Route, Side, Upstream
from router.core.observed import UNOBSERVED, Observed, target_key
from router.core.places import Filling, Placing

OLD, A, B = (Endpoint("127.0.0.1", port) for port in (1, 2, 3))
UPSTREAMS = {"old": Upstream("old", {"": (OLD,)}), "new": Upstream("new", {"a": (A,), "b": (B,)})}
SPREAD = {"old": (("", PPM),), "new": (("a", 600_000), ("b", 400_000))}
ROUTE = Route("r", "/r", "old", new="new")
DOWN_A = Observed({target_key("new", A): 0})
DOWN_BOTH = Observed({target_key("new", A): 0, target_key("new", B): 0})


def placing(observed: Observed = UNOBSERVED, share: int = 300_000, route: Route = ROUTE, **said: Any) -> Placing:
    closed, held = said.pop("closed", ()), said.pop("held", ())
    return Filling(UPSTREAMS, SPREAD, said.pop("capacities", {}), observed, closed, held).of(route, share, **said)


def test_while_all_is_well_places_take_their_weights() -> None:
    """And nothing is said about it."""
    found = placing()
    assert (300_000, SPREAD["new"], Why.WEIGHTS) == (found.live, found.new, found.why)


def test_one_nameless_place_that_is_well_needs_no_placing() -> None:
    """The most common table costs a request nothing."""
    one = {"old": UPSTREAMS["old"]}
    assert Filling(one, SPREAD, {}, UNOBSERVED, (), ()).plain
    assert not Filling(one, SPREAD, {}, Observed({target_key("old", OLD): 0}), (), ()).plain
    assert not Filling(UPSTREAMS, SPREAD, {}, UNOBSERVED, (), ()).plain


def test_parts_are_of_what_goes_to_the_side() -> None:
    """A share of 30 % with one site dead is all for the other one."""
    assert (300_000, (("a", 0), ("b", PPM))) == (placing(DOWN_A).live, placing(DOWN_A).new)


def test_what_finds_no_room_lowers_the_live_share() -> None:
    """The other site is sized for 20 %."""
    assert 200_000 == placing(DOWN_A, capacities={"b": 20}).live
    assert 0 == placing(DOWN_BOTH).live


def test_a_share_of_nothing_still_knows_where_an_override_would_go() -> None:
    """To what is well; to nowhere, when all is closed."""
    assert (("a", 0), ("b", PPM)) == placing(DOWN_A, 0).new
    assert () == placing(share=0, closed={"a", "b"}).new


def test_legacy_always_has_somewhere_to_go() -> None:
    """Somebody has to answer, whatever is closed."""
    assert (("", PPM),) == placing(share=PPM, closed={""}).legacy


def test_a_pin_to_new_beats_health_but_not_a_closed_place() -> None:
    """The operator said new: health does not send it back; closing every place does."""
    assert PPM == placing(DOWN_BOTH, PPM, pinned=True).live
    assert 0 == placing(share=PPM, closed={"a", "b"}, pinned=True).live


def test_only_the_part_of_the_new_side_is_refused_when_it_may_not_fall_back() -> None:
    """A finalised route at 30 % with every place closed: 503 for those 30 %, legacy for the others."""
    found = placing(route=Route("r", "/r", "old", new="new", finalised=True), closed={"a", "b"})
    assert (300_000, True, False) == (found.live, found.refuses(Side.NEW), found.refuses(Side.LEGACY))


def test_a_site_that_is_rolled_back_keeps_its_part_though_it_is_dead() -> None:
    """Its subjects are answered by legacy: nobody else moves."""
    assert SPREAD["new"] == placing(DOWN_A, held={"a"}).new


def test_equal_questions_are_answered_once() -> None:
    """1,500 routes have a few combinations."""
    filling = Filling(UPSTREAMS, SPREAD, {}, DOWN_A, (), ())
    assert filling.of(ROUTE, 10) is filling.of(Route("other", "/o", "old", new="new"), 10)

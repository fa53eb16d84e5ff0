"""What the safety rules are told about the world, and what they say of a step."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from router.core.model import Route, Safety, Table, Window
from router.core.orders import effective
from router.core.wire import Blocks
from router.judge import Witness, utc
from router.ports import Changes, Compiled, Revision, RouteChange
from router.steps import Force
from tests.router.rig import SaidTraffic, StillClock

SAFETY = Safety(max_rise=1, max_rise_span=60.0, windows=(Window(frozenset({0}), 0, 1),), timezone="Asia/Seoul")
TABLE = Table("old", {}, tuple(Route(n, f"/{n}", "old", new="new", weight=w) for n, w in (("a", 500_000), ("b", 9))))


def in_force() -> Force:
    compiled = Compiled(TABLE, (), "digest", Blocks({}, {}, {}, 0))
    return Force(compiled, b"", (), effective(TABLE, ()), 1, "digest")


def revision(at: float, *routes: RouteChange) -> Revision:
    return Revision(1, at, "a", "order", "r", "h", Changes(routes=routes))


def test_the_world_is_told_as_it_is() -> None:
    """Now, the hour of the place, the traffic, and how far each route stands above its lowest share lately."""
    clock = StillClock()
    history = [
        revision(clock.time - 61, RouteChange("b", 0, 9)),
        revision(clock.time - 59, RouteChange("a", 300_000, 600_000), RouteChange("gone", 0, 5)),
        revision(clock.time - 1, RouteChange("a", 600_000, 500_000), RouteChange("b", None, 9)),
    ]
    witness = Witness(clock, SaidTraffic({"a": 7}), lambda at, zone: (int(at) % 7, len(zone)))
    facts = witness.facts(SAFETY, in_force(), history)
    assert (clock.time, int(clock.time) % 7, 10, {"a": 7}) == (facts.now, facts.weekday, facts.minute, facts.traffic)
    assert [("a", 200_000)] == [(rise.route, rise.by) for rise in facts.rises]


def test_what_no_rule_asks_for_is_not_looked_up() -> None:
    """Without windows nobody needs a time zone, without a rule about rises nobody reads the history."""
    witness = Witness(StillClock(), SaidTraffic(), lambda _at, _zone: (1 // 0, 0))
    for safety in (None, Safety()):
        facts = witness.facts(safety, in_force(), [revision(1e9, RouteChange("a", 0, 500_000))])
        assert ((), 0, 0) == (facts.rises, facts.weekday, facts.minute)


@given(st.floats(0, 4e9))
def test_without_another_clock_the_hour_is_that_of_utc(at: float) -> None:
    """Held against the calendar."""
    there = datetime.fromtimestamp(int(at), UTC)
    assert (there.weekday(), there.hour * 60 + there.minute) == utc(at, "anywhere")

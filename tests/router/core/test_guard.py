"""Which steps from one table to the next look like accidents."""

from __future__ import annotations

import pytest

from router.core.guard import mass_removal, vanished
from router.core.model import Route, Table


def table(*routes: Route) -> Table:
    return Table("old", {}, routes)


def numbered(count: int) -> tuple[Route, ...]:
    return tuple(Route(f"r{number}", f"/r{number}", "old") for number in range(count))


@pytest.mark.parametrize(
    ("had", "has", "refused"),
    [(10, 7, False), (10, 6, True), (20, 16, False), (20, 15, True), (3, 0, False), (4, 0, True), (1500, 1200, False)],
)
def test_more_than_a_fifth_and_more_than_three_may_not_vanish(had: int, has: int, refused: bool) -> None:
    """Both bounds must be passed; exactly a fifth is allowed."""
    assert refused == bool(mass_removal(table(*numbered(had)), table(*numbered(has)), {}))


def test_a_renamed_route_has_not_vanished() -> None:
    """Neither under a new name nor with other parameter names: its requests still find it."""
    before = table(Route("GET /a/{id}", "/a/{id}", "old", ("GET",)))
    after = table(Route("GET /a/{number}", "/a/{number}", "old", ("GET",)))
    assert () == vanished(before, after)


def test_a_route_that_lost_a_method_to_nobody_has_vanished() -> None:
    """Its name may be gone because it was split; then all its methods must be found again."""
    before = table(Route("both", "/a", "old", ("GET", "PUT")))
    split = table(Route("get", "/a", "old", ("GET",)), Route("put", "/a", "old", ("PUT",)))
    assert () == vanished(before, split)
    assert ("both",) == tuple(route.name for route in vanished(before, table(*split.routes[:1])))


def test_a_busy_route_may_not_vanish_alone() -> None:
    """It is named; one whose last minute was quiet may go."""
    before, after = table(*numbered(30)), table(*numbered(29))
    (message,) = mass_removal(before, after, {"r29": 1})
    assert message.endswith("r29")
    assert () == mass_removal(before, after, {"r29": 0, "r1": 7})


def test_a_long_list_of_names_is_cut() -> None:
    """Ten names, and how many more."""
    (message,) = mass_removal(table(*numbered(1500)), table(), {})
    assert message.startswith("1500 of 1500 routes would vanish: r0, r1,")
    assert message.endswith("r9 and 1490 more")

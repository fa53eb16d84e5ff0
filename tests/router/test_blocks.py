"""Counter blocks are given out once and never moved."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from router.blocks import Registry, extended
from router.core.model import UNLISTED, Table
from router.core.wire import endpoint_key
from router.telemetry import WORKER_SLOTS, BusyBlock, EndpointBlock, RouteBlock
from tests.router.core.tables import tables


@given(st.lists(tables(), min_size=1, max_size=5))
def test_no_two_names_ever_share_a_slot_and_nothing_ever_moves(story: list[Table]) -> None:
    """Over any sequence of tables; routes that come back find their old block; the file is large enough."""
    registry = Registry()
    for table in story:
        before, registry = registry, extended(registry, table)
        assert dict(before.routes).items() <= dict(registry.routes).items()
        assert dict(before.endpoints).items() <= dict(registry.endpoints).items()
        assert dict(before.busy).items() <= dict(registry.busy).items()
        keys = {endpoint_key(up.name, end) for up in table.upstreams.values() for end in up.endpoints}
        assert {UNLISTED, *(route.name for route in table.routes)} <= set(registry.routes)
        assert keys <= set(registry.endpoints)
        assert set(registry.routes) == set(registry.busy)
        assert {registry.routes[name]: registry.busy[name] for name in registry.routes} == registry.blocks().busy
    taken = [(start, RouteBlock.SIZE) for start in registry.routes.values()]
    taken += [(start, BusyBlock.SIZE) for start in registry.busy.values()]
    taken += [(start, EndpointBlock.SIZE) for start in registry.endpoints.values()]
    ordered = sorted(taken)
    assert ordered[0][0] == WORKER_SLOTS
    assert all(start + size <= following for (start, size), (following, _) in pairwise(ordered))
    assert sum(ordered[-1]) == registry.end <= registry.blocks().slots


@given(tables())
def test_a_table_that_is_known_changes_nothing(table: Table) -> None:
    """The very same registry, so that nothing need be written."""
    registry = extended(Registry(), table)
    assert registry is extended(registry, table)


@given(tables())
def test_busy_blocks_of_a_table_lie_together(table: Table) -> None:
    """Also where its other blocks were given out before there were any."""
    before = replace(extended(Registry(), table), busy={})
    for registry in (extended(Registry(), table), extended(before, table)):
        starts = sorted(registry.busy.values())
        assert {BusyBlock.SIZE} >= {following - start for start, following in pairwise(starts)}
    assert (before.routes, before.endpoints) == (registry.routes, registry.endpoints)
    assert starts[0] == before.end

"""What control sends is what a worker has: round trips, hashes and deltas."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import (
    PPM,
    UNLISTED,
    Credentials,
    Endpoint,
    Expose,
    Fallback,
    Limits,
    Route,
    Shadow,
    Site,
    SlashRule,
    Table,
    Timeouts,
    Upstream,
)
from router.core.orders import Effective, EffectiveState, effective
from router.core.wire import (
    MAX_LINE,
    ROWS_PER_LINE,
    Blocks,
    content_hash,
    delta_line,
    encode,
    endpoint_key,
    route_from_row,
    route_row,
    settings_from_message,
    snapshot_lines,
    spread,
    state_hash,
    structure_digest,
    structure_lines,
    subject_source,
)
from tests.router.core.tables import CHAIN, orders, shares, tables

shadows = st.builds(
    Shadow,
    st.integers(1, PPM),
    st.booleans(),
    st.lists(st.sampled_from(("GET", "POST")), min_size=1, unique=True).map(tuple),
    st.sampled_from(Credentials),
    st.booleans(),
    st.sampled_from((0.0, 1.0)),
)
routes = st.builds(
    Route,
    name=st.text(min_size=1, max_size=20),
    path=st.just("/v1/{id}"),
    legacy=st.just("old"),
    methods=st.lists(st.sampled_from(("GET", "PUT")), unique=True).map(tuple),
    host=st.sampled_from(("", "shop.example.com")),
    new=st.sampled_from((None, "new")),
    group=st.text(max_size=5),
    seed=st.text(max_size=5),
    subject=st.just(CHAIN),
    timeouts=st.builds(Timeouts, st.floats(0.1, 9), st.floats(0.1, 9), st.floats(0.1, 9)),
    fallback=st.builds(Fallback, st.booleans(), st.frozensets(st.integers(500, 504))),
    idempotent=st.booleans(),
    trailing_slash=st.sampled_from(SlashRule),
    expose=st.sampled_from(Expose),
)


def blocks_of(table: Table) -> Blocks:
    names = [UNLISTED, *(route.name for route in table.routes)]
    keys = [endpoint_key(up.name, end) for up in table.upstreams.values() for end in up.endpoints]
    starts = range(64, 64 + len(names) * 240, 240)
    return Blocks(
        dict(zip(names, starts, strict=True)),
        {key: 9000 + number * 16 for number, key in enumerate(keys)},
        {start: 10_000 + number * 16 for number, start in enumerate(starts)},
        20_000,
    )


@given(routes, st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_route_travels_whole(route: Route, block: int, busy: int) -> None:
    """All that a worker needs of a route survives the line of JSON; shares travel apart."""
    row = json.loads(encode(route_row(route, block, busy)))
    assert (route, block, busy) == route_from_row(row)


@given(routes, shadows)
def test_a_shadow_travels_where_there_is_a_side_to_copy_to(route: Route, shadow: Shadow) -> None:
    """Without a new side, or of no request, it stays at home; how long samples are kept does so always."""
    for said, expected in (
        (shadow, shadow if route.new else None),
        (replace(shadow, percent=0), None),
        (replace(shadow, samples=99.0, reason="r"), replace(shadow, samples=1.0) if route.new else None),
    ):
        row = json.loads(encode(route_row(replace(route, shadow=said), 7, 8)))
        assert expected == route_from_row(row)[0].shadow


@given(tables(), st.builds(Limits, fields=st.integers(0, 999), head_timeout=st.floats(0, 99)))
def test_the_settings_travel_whole(table: Table, limits: Limits) -> None:
    """Everything of a table that is not a route."""
    table = replace(table, limits=limits)
    blocks = blocks_of(table)
    settings = settings_from_message(json.loads(structure_lines(table, blocks)[0]))
    assert limits == settings.limits
    assert table.upstreams == settings.upstreams
    assert (table.legacy, table.trusted, table.timeouts) == (settings.legacy, settings.trusted, settings.timeouts)
    assert (table.expose, table.dot_segments, table.via) == (settings.expose, settings.dot_segments, settings.via)
    assert blocks.endpoints == settings.blocks
    start = blocks.routes[UNLISTED]
    assert (start, blocks.busy[start]) == settings.unlisted_blocks
    assert {name: spread(table, up) for name, up in table.upstreams.items()} == settings.spread


@given(st.data())
def test_a_snapshot_tells_all_there_is(data: st.DataObject) -> None:
    """Begin, settings, routes, state, commit; the hash can be computed from the lines alone."""
    table = data.draw(tables())
    state = effective(table, data.draw(orders(table)))
    structure = structure_lines(table, blocks_of(table))
    digest = state_hash(structure_digest(structure), state)
    lines = list(snapshot_lines(12, 20_000, structure, state, digest))
    messages = [json.loads(line) for line in lines]
    assert ["begin", "settings"] == [message["op"] for message in messages[:2]]
    assert ["state", "commit"] == [message["op"] for message in messages[-2:]]
    got = messages[-2]
    received = structure_digest(
        line for line, message in zip(lines, messages, strict=True) if message["op"] in {"settings", "routes"}
    )
    assert messages[-1]["hash"] == content_hash(received, got["shares"], got["causes"], got["held_sites"])
    rows = [row for message in messages if message["op"] == "routes" for row in message["rows"]]
    assert [route.name for route in table.routes] == [row["name"] for row in rows]


@given(st.data())
def test_a_delta_leads_from_one_state_to_the_next(data: st.DataObject) -> None:
    """A worker that applies the changes has exactly the new state, hash included."""
    table = data.draw(tables())
    before = effective(table, data.draw(orders(table)))
    after = effective(table, data.draw(orders(table)))
    digest = state_hash("s", after)
    message = json.loads(delta_line(13, 12, before, after, digest))
    rows = [[entry.share, int(entry.cause)] for entry in before.routes]
    for index, share, cause in message["changes"]:
        rows[index] = [share, cause]
    assert [[entry.share, int(entry.cause)] for entry in after.routes] == rows
    assert digest == content_hash("s", (row[0] for row in rows), (row[1] for row in rows), message["held_sites"])


@given(st.data(), shares)
def test_the_hash_speaks_of_content(data: st.DataObject, share: int) -> None:
    """Any other share, cause or held site gives another hash; the order's name does not matter to a worker."""
    table = data.draw(tables())
    state = effective(table, data.draw(orders(table)))
    first = state.routes[0]
    for other in (
        replace(state, routes=(replace(first, share=(first.share + 1) % (PPM + 1)), *state.routes[1:])),
        replace(state, held_sites=state.held_sites | {"another"}),
    ):
        assert state_hash("s", state) != state_hash("s", other)
    renamed = replace(state, routes=(replace(first, order="W-99"), *state.routes[1:]))
    assert state_hash("s", state) == state_hash("s", renamed)


def test_equal_messages_give_equal_bytes() -> None:
    """Whatever the order in which a dictionary was filled: hashes depend on it."""
    assert b'{"a":1,"b":2}\n' == encode({"b": 2, "a": 1}) == encode({"a": 1, "b": 2})


def test_no_line_outgrows_what_a_worker_takes() -> None:
    """Long names and many routes are cut into lines below the limit, the state of 15,000 routes too."""
    many = tuple(
        Route(f"{number} {'n' * 200}", f"/{number}/{'p' * 4000}", "old", seed="s" * 200) for number in range(64)
    )
    table = Table(legacy="old", upstreams={"old": Upstream("old", {"": (Endpoint("h", 1),)})}, routes=many)
    structure = structure_lines(table, blocks_of(table))
    lines = list(snapshot_lines(1, 1, structure, EffectiveState((Effective(PPM),) * 15_000), "h"))
    assert len(many) / ROWS_PER_LINE == sum(json.loads(line)["op"] == "routes" for line in structure)
    assert max(map(len, lines)) < MAX_LINE


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((60, 40), (600_000, 400_000)),
        ((1, 2), (333_334, 666_666)),
        ((0, 5), (0, 1_000_000)),
        ((0, 0), (500_000, 500_000)),
    ],
)
def test_sites_share_a_whole(weights: tuple[int, int], expected: tuple[int, int]) -> None:
    """Whole ppm that sum to a whole, the rest to the first; nobody left means all alike."""
    sites = {name: Site(name, weight) for name, weight in zip("ab", weights, strict=True)}
    upstream = Upstream("new", {name: (Endpoint("h", 1),) for name in sites})
    table = Table(legacy="new", upstreams={"new": upstream}, sites=sites)
    assert tuple(zip("ab", expected, strict=True)) == spread(table, upstream)


@pytest.mark.parametrize("text", ["header:X-User-Id", "cookie:sid", "client-ip", "random"])
def test_a_subject_source_reads_back_what_it_writes(text: str) -> None:
    """The notation of routes.yaml."""
    assert text == str(subject_source(text))


@pytest.mark.parametrize("text", ["", "headers:X", "ip", ":x"])
def test_an_unknown_subject_source_is_a_value_error(text: Any) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="is not a valid Source"):
        subject_source(text)

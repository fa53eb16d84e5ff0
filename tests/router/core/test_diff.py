"""The difference of two tables is what changed, all of it, in words of routes.yaml."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings

from router.core.comparing import ArrayMode, Comparing, Rule, Treat
from router.core.diff import Change, FieldChange, Kind, Subject, diff
from router.core.model import (
    Breaker,
    Credentials,
    Endpoint,
    Expose,
    Fallback,
    Group,
    Health,
    Limits,
    Panic,
    Route,
    Shadow,
    Site,
    Source,
    SubjectSource,
    Table,
    Timeouts,
    Upstream,
)
from tests.strategies import tables

OLD = Upstream("old", {"": (Endpoint("old", 1),)})
NEW = Upstream("new", {"": (Endpoint("new", 1),)})
ROUTE = Route("GET /a", "/a", "old", ("GET",), new="new", weight=50_000, seed="GET /a")
TABLE = Table("old", {"old": OLD, "new": NEW}, (ROUTE,), {"g": Group("g", seed="g")}, {"pangyo": Site("pangyo")})


def lines(table: Table) -> list[str]:
    return list(map(str, diff(TABLE, table)))


def with_route(**changes: object) -> Table:
    return replace(TABLE, routes=(replace(ROUTE, **changes),))  # type: ignore[arg-type]


@given(tables())
@settings(max_examples=50, deadline=None)
def test_a_table_does_not_differ_from_itself(table: Table) -> None:
    """Equal tables have no changes, whatever the order and the lines of their routes."""
    moved = replace(table, routes=tuple(replace(route, line=route.line + 1) for route in reversed(table.routes)))
    assert () == diff(table, moved)


@given(tables(), tables())
@settings(max_examples=100, deadline=None)
def test_every_difference_is_told_and_none_is_made_up(one: Table, two: Table) -> None:
    """There is a change for each thing that is not equal, of the right kind, on one line, and back again."""
    changes = diff(one, two)
    told = {(change.subject, change.name): change.kind for change in changes}
    assert len(told) == len(changes)
    for subject, old, new in (
        (Subject.ROUTE, {route.name: route for route in one.routes}, {route.name: route for route in two.routes}),
        (Subject.UPSTREAM, one.upstreams, two.upstreams),
        (Subject.GROUP, one.groups, two.groups),
        (Subject.SITE, one.sites, two.sites),
    ):
        expected = {name: Kind.CHANGED for name in old.keys() & new.keys() if old[name] != new[name]}  # type: ignore[index]
        expected |= dict.fromkeys(old.keys() - new.keys(), Kind.REMOVED)
        expected |= dict.fromkeys(new.keys() - old.keys(), Kind.ADDED)
        assert expected == {name: kind for (about, name), kind in told.items() if about == subject}
    assert all("\n" not in str(change) for change in changes)
    assert len(changes) == len(diff(two, one))


def test_a_changed_weight_reads_as_before_and_after() -> None:
    """The most common change is one short line; its parts are there for programs."""
    (change,) = diff(TABLE, with_route(weight=250_000))
    assert Change(Kind.CHANGED, Subject.ROUTE, "GET /a", (FieldChange("weight", "5%", "25%"),)) == change
    assert "route GET /a: weight 5% -> 25%" == str(change)


def test_several_fields_of_one_route_share_a_line() -> None:
    """Field by field, in the notation of routes.yaml."""
    changed = with_route(
        new=None,
        methods=(),
        host="shop",
        group="g",
        subject=(SubjectSource(Source.COOKIE, "sid"), SubjectSource(Source.RANDOM)),
        fallback=Fallback(on_connect=True, statuses=frozenset({503, 502})),
        timeouts=Timeouts(head=15.0),
        idempotent=True,
        shadow=Shadow(100_000, True, ("GET", "POST"), Credentials.KEEP, True, 3600.0, "a search"),
        compare=Comparing(("x-a",), (Rule("$.a", Treat.ARRAY, "me", "b", 86_400.0, array=ArrayMode.KEYED, key="id"),)),
    )
    (line,) = lines(changed)
    assert line == (
        "route GET /a: new new -> none, methods [GET] -> (any), host (any) -> shop, group none -> g, "
        "subject [] -> [cookie:sid, random], fallback off -> [connect, 502, 503], idempotent false -> true, "
        "shadow none -> 10% compared [GET, POST] with credentials dangers accepted samples for 1h (a search), "
        "compare none -> [x-a, $.a array keyed id until 1970-01-01 (me: b)], timeout 1m -> 15s"
    )


def test_an_added_and_a_removed_route_say_what_they_are() -> None:
    """A rename is both."""
    removed, added = lines(with_route(name="a"))
    assert removed.startswith("route GET /a removed, was: weight 5%, new new, legacy old, path /a, methods [GET], ")
    assert added.startswith("route a added: weight 5%, new new, legacy old, path /a, methods [GET], ")


def test_upstreams_sites_and_groups_are_told_apart() -> None:
    """Endpoints, health, weights of sites, caps and owners have their own lines."""
    moved = replace(NEW, sites={"pangyo": (Endpoint("new", 2), Endpoint("::1", 3))}, health=Health("/up"))
    changed = replace(
        TABLE,
        upstreams={"old": OLD, "new": moved},
        sites={"pangyo": Site("pangyo", weight=60)},
        groups={"g": Group("g", "team", 500_000, "g")},
    )
    judged = "down after 3, up after 5, for 15s at least, back within 30s by auto"
    health = f"health none -> /up 200-399 every 2s within 1s, {judged}"
    sites = "sites.pangyo none -> [http://new:2, http://[::1]:3]"
    assert [
        f"upstream new: endpoints [http://new:1] -> none, {health}, {sites}",
        "site pangyo: weight 100 -> 60",
        "group g: owner none -> team, cap none -> 50%",
    ] == lines(changed)


def test_the_weight_of_an_endpoint_is_told_although_it_is_no_part_of_its_identity() -> None:
    """Its share of the requests changes, so people must see it."""
    heavy = replace(NEW, sites={"": (Endpoint("new", 1, 2),)}, weights={"pangyo": 30}, max_requests=50)
    told = "endpoints [http://new:1] -> [http://new:1 weight 2], weights none -> [pangyo 30], max_requests none -> 50"
    assert [f"upstream new: {told}"] == lines(replace(TABLE, upstreams={"old": OLD, "new": heavy}))


def test_what_a_route_does_when_the_new_side_is_sick_is_told() -> None:
    """Overflow, finalised, panic and breaker."""
    (line,) = lines(with_route(overflow=False, finalised=True, panic=Panic.CLOSED, breaker=Breaker()))
    assert line == (
        "route GET /a: overflow legacy -> none, finalised false -> true, panic open -> closed, "
        "breaker off -> 50% of 20 within 10s, for 15s by auto"
    )


def test_settings_of_the_file_are_one_line() -> None:
    """Everything at the top that is no section of named things."""
    changed = replace(
        TABLE,
        legacy="new",
        expose=Expose.NEVER,
        via="",
        trusted=("10.0.0.0/8",),
        timeouts=Timeouts(connect=0.25),
        limits=Limits(head=1024, head_timeout=0.0),
    )
    (line,) = lines(changed)
    assert line == (
        "settings: legacy old -> new, trusted [] -> [10.0.0.0/8], expose always -> never, http.via strangler -> off, "
        "connect_timeout 3s -> 250ms, limits.head 65536 -> 1024, limits.head_timeout 10s -> 0"
    )

"""The invariants of the effective share, on ten thousand random histories of orders, reloads and expiries.

Each history begins with a random table; then orders of every kind are given, lifted and confirmed, the file is edited,
and time passes.  After each step the shares are held against the formula, written down here a second time and naively,
and against what must hold whatever has happened.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from random import Random

from router.core.lapses import due, eased, restored
from router.core.model import PPM, Group, Route, Side, Table
from router.core.orders import EffectiveState, Kind, Order, Reach, Scope, effective, supersede
from router.core.place import (
    Objection,
    Placed,
    Stamp,
    confirm,
    lift,
    place_cap,
    place_drain,
    place_freeze,
    place_off,
    place_on,
    place_pin,
    place_rollback,
    place_weight,
)
from tests.router.core.tables import UPSTREAMS

HISTORIES = 10_000
STEPS = 8
GROUPS = ("red", "blue")
SITES = ("pangyo", "pyeongchon")


def a_share(random: Random) -> int:
    return random.choice((0, 1, PPM - 1, PPM, random.randrange(PPM), random.randrange(PPM)))


def a_table(random: Random) -> Table:
    return Table(
        legacy="old",
        upstreams=UPSTREAMS,
        routes=tuple(a_route(random, number) for number in range(random.randint(1, 6))),
        groups={name: Group(name, cap=random.choice((None, a_share(random)))) for name in GROUPS},
    )


def a_route(random: Random, number: int) -> Route:
    new = random.choice(("new", "new", "new", None))
    weight = a_share(random) if new else 0
    name = f"r{number}"
    return Route(name, f"/{name}", "old", new=new, weight=weight, group=random.choice(("", *GROUPS)))


def edited(random: Random, table: Table) -> Table:
    """Weights, caps, and now and then a route that vanishes, comes or changes its group."""
    kept = [a_route(random, n) if random.random() < 0.3 else route for n, route in enumerate(table.routes)]
    if len(kept) > 1 and random.random() < 0.2:
        kept.pop(random.randrange(len(kept)))
    if random.random() < 0.2:
        kept.append(a_route(random, 6 + random.randrange(3)))
    unique = {route.name: route for route in kept}
    groups = {name: Group(name, cap=random.choice((each.cap, a_share(random)))) for name, each in table.groups.items()}
    return replace(table, routes=tuple(unique.values()), groups=groups)


def a_scope(random: Random, table: Table) -> Scope:
    names = [route.name for route in table.routes] or ["r0"]
    return random.choice(
        (
            Scope(Reach.ALL),
            Scope(Reach.GROUP, random.choice(GROUPS)),
            Scope(Reach.ROUTE, random.choice(names)),
            Scope(Reach.ROUTE, random.choice(names)),
            Scope(Reach.ROUTE, random.choice(("*", "r[0-2]", "r?"))),
            Scope(Reach.SITE, random.choice(SITES)),
        )
    )


@dataclass
class World:
    """What is in force in one history."""

    table: Table
    orders: tuple[Order, ...] = ()
    now: float = 0.0
    last: int = 0
    past: tuple[Order, ...] = ()

    @property
    def state(self) -> EffectiveState:
        return effective(self.table, self.orders)

    def shares(self) -> dict[str, int]:
        return {route.name: entry.share for route, entry in zip(self.table.routes, self.state.routes, strict=True)}

    def stamp(self, random: Random) -> Stamp:
        ends = random.choice((None, None, self.now + random.choice((1, 5, 20))))
        return Stamp(
            self.last + 1, "why", "who", self.now, ends, provisional=ends is not None and random.random() < 0.5
        )

    def take(self, answer: Placed | Objection) -> None:
        if isinstance(answer, Placed):
            self.orders = answer.orders
            self.last = max(self.last, answer.order.number)


# --------------------------------------------------------------------------------------- what may happen


def give(world: World, random: Random) -> None:
    table, orders, stamp = world.table, world.orders, world.stamp(random)
    scope = a_scope(random, table)
    match random.choice(list(Kind)):
        case Kind.WEIGHT:
            world.take(place_weight(table, orders, scope, a_share(random), stamp))
        case Kind.ROLLBACK:
            before = world.shares()
            over = random.choice((None, None, 1.0, 20.0))
            world.take(place_rollback(table, orders, scope, stamp, over))
            assert all(share <= before[name] for name, share in world.shares().items()), "a rollback only lowers"
            if over is None:
                assert all(share in {0, before[name]} for name, share in world.shares().items()), "and at once"
        case Kind.PIN:
            world.take(place_pin(table, orders, scope, random.choice(list(Side)), stamp))
        case Kind.CAP:
            before = world.shares()
            world.take(place_cap(table, orders, scope, a_share(random), stamp))
            if not any(order.kind is Kind.CAP and order.scope == scope for order in orders):
                assert all(share <= before[name] for name, share in world.shares().items()), "a cap only lowers"
        case Kind.FREEZE:
            before = world.shares()
            world.take(place_freeze(table, orders, scope, stamp))
            assert before == world.shares(), "a freeze moves nobody"
        case Kind.DRAIN:
            before = world.shares()
            world.take(place_drain(table, orders, scope.name or "pangyo", stamp))
            assert before == world.shares(), "a drain changes no share"
        case Kind.OFF:
            before = world.shares()
            site = scope.name or "pangyo"
            world.take(place_off(table, orders, site, stamp))
            assert before == world.shares(), "nor does a site that is switched off"
            if random.random() < 0.3 and site in world.state.off_sites:
                world.take(place_on(table, world.orders, site, world.stamp(random)))
                assert site not in world.state.drained_sites, "on lifts whatever closes a site"


def take_back(world: World, random: Random) -> None:
    if world.orders:
        order = random.choice(world.orders)
        share = random.choice((None, None, a_share(random)))
        if random.random() < 0.3:
            before = world.shares()
            world.take(confirm(world.orders, order.id))
            assert before == world.shares(), "confirming moves nobody"
        else:
            world.take(lift(world.table, world.orders, order.id, share, world.stamp(random)))


def reload(world: World, random: Random) -> None:
    held = [order for order in world.orders if order.kind is not Kind.WEIGHT]
    world.table = edited(random, world.table)
    before = world.shares()
    world.orders, gone = supersede(world.orders, world.table)
    assert before == world.shares(), "what gave way did not speak any more"
    assert held == [order for order in world.orders if order.kind is not Kind.WEIGHT], "only weights give way"
    assert (world.orders, ()) == supersede(world.orders, world.table), "and they do it once"
    assert all(name.startswith("W-") for name, _ in gone)


def pass_time(world: World, random: Random) -> None:
    world.now += random.choice((0.5, 2, 10, 30))
    before = world.shares()
    world.orders, _ = eased(world.orders, world.now)
    after = world.shares()
    assert all(after[name] <= share for name, share in before.items()), "a rollback in steps only lowers"
    assert (world.orders, ()) == eased(world.orders, world.now), "and each step once"
    before, rollbacks = after, [order for order in world.orders if order.kind is Kind.ROLLBACK]
    assert all(order.easing is None or order.easing.ends > world.now for order in rollbacks), "and it comes to its end"
    found = due(world.table, world.orders, world.now)
    world.orders = found.kept
    assert rollbacks == [order for order in world.orders if order.kind is Kind.ROLLBACK], "time ends no rollback"
    frozen = [order.scope for order in world.orders if order.kind is Kind.FREEZE]
    for route, entry in zip(world.table.routes, world.state.routes, strict=True):
        if any(scope.covers(route) for scope in frozen):
            assert entry.share <= before[route.name], "nothing rises under a freeze"
    late = {order.id for order in world.orders if order.overdue(world.now)}
    assert late == {order.id for order in found.overdue}, "what is over is gone, or said to be overdue"
    assert (found.kept, ()) == (
        due(world.table, found.kept, world.now).kept,
        due(world.table, found.kept, world.now).gone,
    )


def go_back(world: World, random: Random) -> None:
    holding = {order.scope for order in world.orders if order.kind is Kind.ROLLBACK}
    world.orders, _ = supersede(restored(world.orders, world.past, world.now), world.table)
    assert holding <= {order.scope for order in world.orders if order.kind is Kind.ROLLBACK}, "rollbacks stay"
    world.past = world.orders if random.random() < 0.5 else world.past


# ---------------------------------------------------------------------------------------- what must hold


def formula(table: Table, orders: tuple[Order, ...], route: Route) -> int:
    """The rules as the documentation says them."""

    def over(kind: Kind) -> list[Order]:
        return [order for order in orders if order.kind is kind and reaches(order.scope, route)]

    pins = {order.side for order in over(Kind.PIN)}
    rollbacks = [order.share for order in over(Kind.ROLLBACK)]
    if 0 in rollbacks or Side.LEGACY in pins:
        return 0
    if Side.NEW in pins and route.new:
        return min([PPM, *rollbacks])
    speaking = [o for o in orders if o.kind is Kind.WEIGHT and o.declared.get(route.name) == route.weight]
    weight = max(speaking, key=lambda order: order.number).share if speaking else route.weight
    caps = [order.share for order in over(Kind.CAP)]
    group = table.groups.get(route.group)
    if group is not None and group.cap is not None:
        caps.append(group.cap)
    return min([weight if route.new else 0, *caps, *rollbacks])


def reaches(scope: Scope, route: Route) -> bool:
    if scope.reach is Reach.ALL:
        return True
    if scope.reach is Reach.GROUP:
        return route.group == scope.name
    return scope.reach is Reach.ROUTE and fnmatchcase(route.name, scope.name)


def check_invariants(world: World) -> None:
    state = world.state
    for route, entry in zip(world.table.routes, state.routes, strict=True):
        assert formula(world.table, world.orders, route) == entry.share
        assert 0 <= entry.share <= PPM
        assert route.new is not None or entry.share == 0, "nothing opens a route that has no new side"
    sites = {order.scope.name for order in world.orders if order.scope.reach is Reach.SITE}
    assert state.held_sites | state.drained_sites == sites
    assert state.off_sites <= state.drained_sites
    scopes = [(order.kind, order.scope) for order in world.orders]
    assert len(scopes) == len(set(scopes)), "one order of a kind for a scope"
    assert len({order.number for order in world.orders}) == len(world.orders)


def test_the_invariants_hold_on_ten_thousand_random_histories() -> None:
    """After every order, lifting, confirmation, reload, expiry and restore; a failure names its seed."""
    happenings = (give, give, give, take_back, reload, pass_time, go_back)
    for seed in range(HISTORIES):
        random = Random(seed)
        world = World(a_table(random))
        for _ in range(random.randint(2, STEPS)):
            try:
                random.choice(happenings)(world, random)
                check_invariants(world)
            except AssertionError as error:
                raise AssertionError(f"history {seed}: {error}") from error


def test_any_scope_rolled_back_is_at_zero_whatever_happens_until_it_is_resumed() -> None:
    """Orders, reloads, time and restores come and go; the routes that it covers stay on legacy."""
    happenings = (give, reload, pass_time, go_back)
    for seed in range(1_000):
        random = Random(seed)
        world = World(a_table(random))
        for _ in range(2):
            give(world, random)
        scope = a_scope(random, world.table)
        world.take(place_rollback(world.table, world.orders, scope, world.stamp(random)))
        held = any(order.kind is Kind.ROLLBACK and order.scope == scope for order in world.orders)
        for _ in range(STEPS):
            random.choice(happenings)(world, random)
            covered = [
                name for name in world.shares() if any(r.name == name and reaches(scope, r) for r in world.table.routes)
            ]
            assert not held or all(world.shares()[name] == 0 for name in covered), seed
            assert not held or scope.reach is not Reach.SITE or scope.name in world.state.held_sites

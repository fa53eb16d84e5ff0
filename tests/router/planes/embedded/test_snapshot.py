"""Snapshots: lines in, one immutable state out, and nothing at all when a single byte is not as it should be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import PPM, Limits, Route, Source, SubjectSource, Table, Upstream
from router.core.observed import UNOBSERVED
from router.core.orders import Cause, EffectiveState, effective
from router.core.split import SITE_SALT, seed_of
from router.core.wire import Settings, delta_line, encode, state_hash, structure_digest, structure_lines
from router.planes.embedded.pools import Destination
from router.planes.embedded.snapshot import Receiver, Snapshot, WireError
from tests.router.planes.embedded.stage import NEW, NEW_TOO, OLD, Ledger, rollback, route, table

ROUTES = tuple(route(f"r{number}", f"/r{number}/{{id}}", weight=number * 10_000) for number in range(40))
BIG = table(*ROUTES, trusted=("10.0.0.0/8", "::1/128"))


class NoPools:
    """Destinations without pools: nothing is ever connected to."""

    def destination(self, settings: Settings, upstream: str) -> Destination:
        return Destination(
            upstream, {site: [] for site in settings.upstreams[upstream].sites}, settings.spread[upstream]
        )


def take(lines: Sequence[bytes], current: Snapshot | None = None, receiver: Receiver | None = None) -> Snapshot | None:
    """The last snapshot that these lines make."""
    receiver = receiver or Receiver(NoPools())
    made = None
    for line in lines:
        made = receiver.take(line, current) or made
    return made


def made(declared: Table = BIG, *orders: object, revision: int = 7) -> Snapshot:
    snapshot = take(Ledger().lines(revision, declared, orders))  # type: ignore[arg-type]  # orders are orders
    assert snapshot is not None
    return snapshot


def delta(declared: Table, before: EffectiveState, after: EffectiveState, base: int = 7) -> bytes:
    structure = structure_digest(structure_lines(declared, Ledger().blocks(declared)))
    return delta_line(base + 1, base, before, after, state_hash(structure, after))


def state_of(snapshot: Snapshot) -> tuple[object, ...]:
    return (snapshot.revision, snapshot.digest, list(snapshot.shares), bytes(snapshot.causes), snapshot.held_sites)


# ----------------------------------------------------------------------------------------------- what comes out


def test_lines_become_the_snapshot_that_control_hashed() -> None:
    """Revision, shares and causes in the order of the table; the hash is computed here from what was understood."""
    ledger = Ledger()
    lines = ledger.lines(7, BIG)
    snapshot = take(lines)
    assert snapshot is not None
    assert (7, json.loads(lines[-1])["hash"]) == (snapshot.revision, snapshot.digest)
    assert [one.weight for one in ROUTES] == snapshot.shares
    assert bytes(40) == snapshot.causes
    assert [one.name for one in ROUTES] == [entry.name for entry in snapshot.entries]
    assert [ledger.routes[one.name] for one in ROUTES] == [entry.block for entry in snapshot.entries]
    busy = ledger.registry.busy
    assert [busy[one.name] for one in ROUTES] == [entry.busy for entry in snapshot.entries]
    nobody = snapshot.unlisted
    assert (ledger.routes["unlisted"], busy["unlisted"]) == (nobody.block, nobody.busy)


def test_its_matcher_finds_its_routes() -> None:
    """By the same rules as everywhere."""
    snapshot = made()
    found = snapshot.matcher.find(b"", [b"r7", b"x"], b"GET")
    snapshot.observe(UNOBSERVED)
    index, busy, handling = snapshot.card(found)
    terms = snapshot.terms.of(index)
    entry = snapshot.by_name["r7"]
    assert (entry.index, entry.busy) == (index, busy)
    assert entry.handling is handling
    assert (snapshot.shares[index], snapshot.causes[index]) == (terms.share, terms.cause)
    assert entry is snapshot.entry(index)
    assert b"r7" == snapshot.name(found)
    assert not snapshot.matcher.find(b"", [b"r7"], b"GET")


def test_routes_that_differ_in_nothing_but_their_users_are_handled_as_one() -> None:
    """Each route without a group has a seed of its own, which must not cost an object of its own."""
    snapshot = made()
    assert 2 == len({entry.handling for entry in (*snapshot.entries, snapshot.unlisted)})
    for number in (0, 7, 39):
        place = snapshot.matcher.find(b"", [b"r%d" % number, b"x"], b"GET")
        text = ROUTES[number].seed
        assert seed_of(text) == snapshot.seed(place) % 2**64
        assert seed_of(text + SITE_SALT) == snapshot.site_seed(place) % 2**64
    assert seed_of(SITE_SALT) == snapshot.site_seed(0)


def test_a_route_travels_with_everything_it_says() -> None:
    """Side by side with the declared one."""
    chain = (SubjectSource(Source.HEADER, "X-User-Id"), SubjectSource(Source.COOKIE, "sid"))
    declared = route(subject=chain, idempotent=True, methods=("GET", "PUT"), host="shop.example.com")
    entry = made(table(declared)).by_name["api"]
    assert replace(declared, weight=0) == replace(entry.route, weight=0)
    assert frozenset({b"x-user-id", b"cookie"}) == made(table(declared)).subject_names


def test_a_route_without_a_new_side_has_one_destination() -> None:
    """Where no new service exists yet."""
    snapshot = made(table(Route("api", "/api", "old", seed="api")))
    old, new = snapshot.entries[0].handling.destinations
    assert ("old", None) == (old.name, new)
    assert (old, None) == snapshot.unlisted.handling.destinations


def test_zero_is_no_limit() -> None:
    """What people write as 0 is compared with as a number that nothing reaches; other numbers stay."""
    limits = made(table(limits=Limits(max_body=0, head_timeout=0.0, buffer=5))).limits
    assert limits.max_body > 2**50
    assert limits.head_timeout > 2**50
    assert 5 == limits.buffer


@pytest.mark.parametrize(
    ("address", "trusted"),
    [("10.1.2.3", True), ("11.0.0.1", False), ("::1", True), ("::2", False), ("unknown", False), ("", False),
     ("10.1.2.3, 10.1.2.4", False)],
)  # fmt: skip
def test_trust_is_a_question_of_networks(address: str, trusted: bool) -> None:
    """What is no address is not trusted."""
    assert trusted is made().trusts(address)
    assert not made(table()).trusts(address)


def test_what_is_held_on_legacy_or_gone_is_recalled() -> None:
    """A weight of 0 recalls nothing: it is about new requests."""
    snapshot = made(BIG, rollback("r3"))
    assert snapshot.recalls("r3", "")
    assert not snapshot.recalls("r0", "")
    assert snapshot.recalls("never heard of", "")


def test_what_is_at_a_held_or_drained_site_is_recalled() -> None:
    """Whatever its route says."""
    snapshot = made(BIG)
    snapshot.take_sites({"held_sites": ["here"], "drained_sites": ["there"]})
    assert snapshot.recalls("r0", "here")
    assert snapshot.recalls("r0", "there")
    assert not snapshot.recalls("r0", "elsewhere")


# ------------------------------------------------------------------------------------------------------- deltas


def test_a_delta_changes_shares_and_causes_and_shares_everything_else() -> None:
    """One line for any number of routes; matcher, entries and settings are the same objects."""
    current = made()
    before, after = effective(BIG, ()), effective(BIG, (rollback("r3*"),))
    changed = take([delta(BIG, before, after)], current)
    assert changed is not None
    assert changed is not current
    assert 8 == changed.revision
    assert [0 if str(index).startswith("3") else one.weight for index, one in enumerate(ROUTES)] == changed.shares
    assert {index for index, cause in enumerate(changed.causes) if cause == Cause.ROLLBACK} == {3, *range(30, 40)}
    assert (current.matcher, current.entries, current.settings, current.unlisted, current.structure) == (
        changed.matcher, changed.entries, changed.settings, changed.unlisted, changed.structure
    )  # fmt: skip


def test_a_delta_never_touches_the_snapshot_in_force() -> None:
    """Requests that began before go on by it."""
    current = made()
    was = state_of(current)
    take([delta(BIG, effective(BIG, ()), effective(BIG, (rollback("*"),)))], current)
    assert was == state_of(current)


def test_a_delta_leads_to_what_a_whole_snapshot_would() -> None:
    """The same hash by both ways."""
    orders = (rollback("r1*"),)
    changed = take([delta(BIG, effective(BIG, ()), effective(BIG, orders))], made())
    assert changed is not None
    assert made(BIG, *orders, revision=8).digest == changed.digest


@pytest.mark.parametrize("base", [6, 8])
def test_a_delta_on_another_base_is_refused(base: int) -> None:
    """Nobody knows what it would lead to."""
    line = delta(BIG, effective(BIG, ()), effective(BIG, (rollback(),)), base)
    with pytest.raises(WireError, match="base"):
        take([line], made())
    with pytest.raises(WireError, match="base"):
        take([line], None)


@pytest.mark.parametrize(
    "change", [[40, 0, 0], [0, -1, 0], [0, 2**40, 0], [0, 0, 256], [0, 0], ["0", 0, 0], 5, [0, 1, 0]]
)
def test_a_delta_that_does_not_lead_to_its_hash_is_refused(change: object) -> None:
    """Beyond the table, out of range, of another type, or simply not what was hashed."""
    line = delta(BIG, effective(BIG, ()), effective(BIG, (rollback("r3"),)))
    message = json.loads(line) | {"changes": [change]}
    current = made()
    was = state_of(current)
    with pytest.raises(WireError):
        take([encode(message)], current)
    assert was == state_of(current)


# ------------------------------------------------------------------------------------------------- damaged lines

LINES = Ledger().lines(7, BIG)
DIGEST = json.loads(LINES[-1])["hash"]


def outcome(lines: Sequence[bytes]) -> Snapshot | None:
    try:
        return take(lines)
    except WireError:
        return None


@given(st.permutations(range(len(LINES))), st.integers(0, len(LINES)))
def test_lines_in_another_order_or_missing_make_the_same_snapshot_or_none(order: list[int], many: int) -> None:
    """Never a snapshot that is half of one."""
    found = outcome([LINES[index] for index in order[:many]])
    assert found is None or (DIGEST, 40) == (found.digest, len(found.entries))


@given(st.integers(0, len(LINES) - 1), st.integers(0, 3000), st.binary(min_size=1, max_size=3))
def test_a_damaged_line_makes_the_same_snapshot_or_none(number: int, place: int, damage: bytes) -> None:
    """Whatever the bytes: the content of the hash, or WireError."""
    line = LINES[number]
    place %= len(line)
    found = outcome([*LINES[:number], line[:place] + damage + line[place + len(damage) :], *LINES[number + 1 :]])
    assert found is None or (DIGEST, 7, 40) == (found.digest, found.revision, len(found.entries))


@given(st.integers(0, len(LINES) - 1), st.integers(0, len(LINES) - 1))
def test_a_line_that_comes_twice_makes_the_same_snapshot_or_none(number: int, before: int) -> None:
    """A sender that lost count does no harm."""
    found = outcome([*LINES[:before], LINES[number], *LINES[before:]])
    assert found is None or (DIGEST, 40) == (found.digest, len(found.entries))


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b"null", b"7", b"\xff", b'{"op":1}', b'{"op":"sing"}', b'{"op":"begin"}', b"{" * 10,
     b"[" * 100_000,
     b'{"op":"routes","rows":[{}]}', b'{"op":"routes","rows":7}', b'{"op":"settings"}', b'{"op":"commit"}',
     b'{"op":"state","shares":[-1],"causes":[300],"held_sites":[],"drained_sites":[]}', b'{"op":"delta"}'],
)  # fmt: skip
def test_what_is_no_line_is_refused_and_ends_what_was_begun(line: bytes) -> None:
    """After a refusal only a new beginning is taken; the receiver lives on."""
    receiver = Receiver(NoPools())
    take(LINES[:2], receiver=receiver)
    with pytest.raises(WireError):
        receiver.take(line, None)
    with pytest.raises(WireError):
        receiver.take(LINES[2], None)
    assert take(LINES, receiver=receiver) is not None


def test_a_share_that_no_counter_can_hold_is_refused() -> None:
    """Hashing it would overflow; that is a refusal like any other."""
    message = json.loads(LINES[-2])
    for share in (-1, 2**40):
        state = encode(message | {"shares": [share] * 40})
        with pytest.raises(WireError):
            take([*LINES[:-2], state, LINES[-1]])


def test_a_commit_without_settings_is_refused() -> None:
    """Even when its hash fits: nothing could be routed by it."""
    empty = EffectiveState((), frozenset())
    state = encode({"op": "state", "shares": [], "causes": [], "held_sites": [], "drained_sites": []})
    digest = state_hash(structure_digest([]), empty)
    with pytest.raises(WireError):
        take([LINES[0], state, encode({"op": "commit", "revision": 7, "hash": digest})])


def test_a_commit_of_another_revision_is_refused() -> None:
    """Two senders' lines have got mixed up."""
    commit = encode({"op": "commit", "revision": 8, "hash": DIGEST})
    with pytest.raises(WireError):
        take([*LINES[:-1], commit])


def test_unknown_names_are_refused() -> None:
    """A route to an upstream that the settings do not have."""
    other = Table("old", {"old": Upstream("old", {"": (OLD,)})}, (route(new=None, weight=0),))
    with pytest.raises(WireError):
        take([*Ledger().lines(7, other)[:2], *LINES[2:]])


# ---------------------------------------------------------------------------------------------- in the meantime


def test_nothing_is_handed_out_before_the_commit() -> None:
    """A snapshot that is being taken does not exist."""
    receiver = Receiver(NoPools())
    assert [None] * (len(LINES) - 1) == [receiver.take(line, None) for line in LINES[:-1]]
    assert receiver.take(LINES[-1], None) is not None


def test_a_rollback_overtakes_a_snapshot_that_is_being_taken() -> None:
    """A delta is one line: it takes effect between two lines of a long reload, which then goes on."""
    current = made()
    receiver = Receiver(NoPools())
    half = len(LINES) // 2
    take(LINES[:half], current, receiver)
    changed = receiver.take(delta(BIG, effective(BIG, ()), effective(BIG, (rollback("*"),))), current)
    assert changed is not None
    assert [0] * 40 == changed.shares
    assert take(LINES[half:], changed, receiver) is not None


def test_the_slots_that_a_snapshot_needs_are_known_from_its_beginning() -> None:
    """The counter file has to grow before anything is counted in it."""
    receiver = Receiver(NoPools())
    receiver.take(LINES[0], None)
    assert json.loads(LINES[0])["slots"] == receiver.slots > PPM // 1_000_000


def test_upstreams_become_destinations_by_site() -> None:
    """With the shares of the sites beside them."""
    upstreams = {"old": Upstream("old", {"": (OLD,)}), "new": Upstream("new", {"here": (NEW,), "there": (NEW_TOO,)})}
    snapshot = made(Table("old", upstreams, (route(),)))
    old, new = snapshot.entries[0].handling.destinations
    assert new is not None
    assert ([""], ["here", "there"]) == (list(old.sites), list(new.sites))
    assert PPM == sum(share for _, share in new.spread)

"""The third layer: probes, counters and DNS become one observation, which follows the table."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from control.held import HeldFile
from control.observer import GATHER, SLICE, Observer, Place
from control.probes import GOOD, bad
from control.resolver import Found, LookupFailedError
from router.core.attempt import Stage
from router.core.health import FIRST_PART, Evidence, Source, Status
from router.core.model import PPM, Endpoint, Health, Resume, Table, Upstream
from router.core.observed import Observed
from router.events import Event, EventName, Events
from router.telemetry import EndpointBlock

BAD = bad("no connection")
LOST = Evidence(Source.TRAFFIC, good=False, count=50, why="refuses connections")
OLD = Endpoint("127.0.0.1", 9001)
ONE, TWO, THREE = (Endpoint("127.0.0.1", port) for port in (9101, 9102, 9201))
PROBED = Health(interval=3600.0, ramp=0.0)
TABLE = Table(
    "old",
    {
        "old": Upstream("old", {"": (OLD,)}),
        "new": Upstream("new", {"pangyo": (ONE, TWO), "pyeongchon": (THREE,)}, PROBED),
    },
)
KEY_OLD = f"old {OLD}"
KEYS = KEY_ONE, KEY_TWO, KEY_THREE = tuple(f"new {each}" for each in (ONE, TWO, THREE))
BLOCKS = {key: number * EndpointBlock.SIZE for number, key in enumerate((KEY_OLD, *KEYS))}


class Clock:
    """Time as the test wants it."""

    time = 1000.0

    def now(self) -> float:
        return self.time + 1_700_000_000.0

    def elapsed(self) -> float:
        return self.time


class Files:
    """Counters in memory."""

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}

    def add(self, key: str, offset: int, count: int) -> None:
        slot = BLOCKS[key] + offset
        self.slots[slot] = self.slots.get(slot, 0) + count

    def refresh(self) -> None:
        """They are all there."""

    def block(self, start: int, size: int) -> list[int]:
        return [self.slots.get(start + offset, 0) for offset in range(size)]


class Stage_:  # noqa: N801  # `Stage` is what goes wrong
    """An observer with everything around it in the test's hand."""

    def __init__(self, held: HeldFile | None = None) -> None:
        self.clock = Clock()
        self.files = Files()
        self.published: list[Observed] = []
        self.events: list[Event] = []
        self.names: dict[str, tuple[str, ...]] = {}
        self.observer = Observer(
            self.published.append,
            self.files,  # type: ignore[arg-type]  # as much of it as is needed
            self.clock,
            Events(self.clock.now, self.events.append),
            self.lookup,
            held=held,
        )

    async def lookup(self, name: str) -> Found:
        if name not in self.names:
            raise LookupFailedError("nobody knows it")
        return Found(self.names[name], 300.0)

    def follow(self, table: Table) -> None:
        self.observer.follow(table, BLOCKS)

    def started(self, table: Table = TABLE) -> Stage_:
        """With this table in force, and everything well."""
        self.follow(table)
        for key, seen in self.targets().items():
            if seen is Status.UNKNOWN:
                self.observer.heard(key, GOOD)
        return self

    def tick(self, after: float = 0.25) -> None:
        self.clock.time += after
        deque(self.observer.look(), maxlen=0)

    def fail(self, *keys: str, times: int = 3) -> None:
        for key in keys * times:
            self.observer.heard(key, BAD)

    def heal(self, *keys: str, after: float = 1000.0) -> None:
        self.clock.time += after
        for key in keys * 5:
            self.observer.heard(key, GOOD)

    @property
    def levels(self) -> Mapping[str, int]:
        return self.published[-1].levels

    def targets(self) -> dict[str, Status]:
        return {seen.place.key: seen.target.status for seen in self.observer.seen()}

    def told(self, name: str) -> list[Mapping[str, object]]:
        return [event.fields for event in self.events if event.name == name]


# --------------------------------------------------------------------------------------------------- a start


def test_nothing_is_published_before_everything_has_been_heard_of() -> None:
    """The workers go on with what they were told before control was restarted."""
    stage = Stage_()
    stage.follow(TABLE)
    stage.tick()
    assert [] == stage.published
    for key in KEYS:
        stage.observer.heard(key, BAD if key == KEY_TWO else GOOD)
    assert [Observed({KEY_TWO: 0})] == stage.published


def test_after_a_while_what_is_known_is_published_all_the_same() -> None:
    """What has not been heard of is taken for well."""
    stage = Stage_()
    stage.follow(TABLE)
    stage.observer.heard(KEY_ONE, BAD)
    stage.tick(GATHER)
    assert [Observed({KEY_ONE: 0})] == stage.published


def test_that_all_is_well_is_published_too() -> None:
    """A worker may have been told something else by our predecessor."""
    assert [Observed()] == Stage_().started().published


# -------------------------------------------------------------------------------------------------- evidence


def test_failed_probes_take_a_target_out_and_that_is_told() -> None:
    """With who, where, and why."""
    stage = Stage_().started()
    stage.fail(KEY_ONE)
    assert {KEY_ONE: 0} == stage.levels
    (told,) = stage.told(EventName.TARGET_CHANGED)
    assert ("new", "pangyo", str(ONE), "up", "down", "no connection") == tuple(
        told[field] for field in ("upstream", "site", "endpoint", "before", "after", "why")
    )


def test_a_ramp_is_published_step_by_step() -> None:
    """Each time the level is another one, and no more often."""
    table = replace(TABLE, upstreams={"new": Upstream("new", {"a": (ONE,)}, Health(interval=3600.0))}, legacy="new")
    stage = Stage_().started(table)
    stage.fail(KEY_ONE)
    stage.heal(KEY_ONE)
    before = len(stage.published)
    for _ in range(400):
        stage.tick(0.1)
    assert {} == stage.levels
    assert 18 == len(stage.published) - before


def test_refused_connections_of_the_workers_take_a_target_out() -> None:
    """Also one that nobody probes; it is tried again when its hold-down is over."""
    stage = Stage_().started()
    stage.tick()
    stage.files.add(KEY_OLD, EndpointBlock.ERRORS + Stage.CONNECT, 3)
    stage.tick()
    assert {KEY_OLD: 0} == stage.levels
    stage.tick(15.0)
    assert {KEY_OLD: FIRST_PART} == stage.levels


def test_what_was_counted_before_the_start_says_nothing() -> None:
    """Counters outlive processes; only what is added counts."""
    stage = Stage_()
    stage.files.add(KEY_OLD, EndpointBlock.ERRORS + Stage.CONNECT, 1000)
    stage.started()
    stage.tick()
    stage.tick()
    assert {} == stage.levels


def test_answers_502_503_and_504_count_when_they_are_most_of_all() -> None:
    """Other 5xx are no fault of the place, nor are 4xx: they are answers."""
    stage = Stage_().started()
    stage.tick()
    stage.files.add(KEY_ONE, EndpointBlock.ANSWERS, 40)
    stage.files.add(KEY_ONE, EndpointBlock.BAD_GATEWAYS, 30)
    stage.files.add(KEY_TWO, EndpointBlock.ANSWERS, 40)
    stage.tick()
    assert {KEY_ONE: 0} == stage.levels


def test_lost_and_late_answers_count_as_well() -> None:
    """Sent and lost, no head in time, no HTTP; but not what the client or our own limits did."""
    for stage_of in Stage:
        stage = Stage_().started()
        stage.tick()
        stage.files.add(KEY_ONE, EndpointBlock.ERRORS + stage_of, 30)
        stage.tick()
        expected = {} if stage_of in {Stage.OVERLOAD, Stage.BODY} else {KEY_ONE: 0}
        assert expected == stage.levels, stage_of


def test_traffic_that_is_served_outweighs_a_prober_that_is_wrong() -> None:
    """Every probe fails, and the target stays up as long as requests are answered."""
    stage = Stage_().started()
    for _ in range(50):
        stage.observer.heard(KEY_ONE, BAD)
        stage.files.add(KEY_ONE, EndpointBlock.ANSWERS, 3)
        stage.tick()
    assert {} == stage.levels
    stage.fail(KEY_ONE)
    assert {KEY_ONE: 0} == stage.levels


def test_what_was_served_since_the_last_look_counts_before_a_failed_probe_does() -> None:
    """However seldom anybody looks."""
    stage = Stage_().started()
    stage.files.add(KEY_ONE, EndpointBlock.ANSWERS, 1)
    stage.tick()
    for _ in range(10):
        stage.files.add(KEY_ONE, EndpointBlock.ANSWERS, 1)
        stage.observer.heard(KEY_ONE, BAD)
    assert {} == stage.levels


# ------------------------------------------------------------------------------------------------- the table


def test_what_stays_keeps_its_state_and_what_is_gone_is_forgotten() -> None:
    """Through any number of changes of the table."""
    stage = Stage_().started()
    stage.fail(KEY_ONE, KEY_THREE)
    upstream = TABLE.upstreams["new"]
    stage.follow(replace(TABLE, upstreams={**TABLE.upstreams, "new": replace(upstream, sites={"pangyo": (ONE, TWO)})}))
    assert {KEY_ONE: 0} == stage.levels
    assert [KEY_OLD, KEY_ONE, KEY_TWO] == list(stage.targets())
    stage.observer.heard(KEY_THREE, BAD)
    stage.follow(TABLE)
    assert Status.UNKNOWN is stage.targets()[KEY_THREE]


def test_a_site_that_is_new_takes_nothing_before_its_first_probe() -> None:
    """It is told before the table takes force, so no request goes there meanwhile."""
    stage = Stage_().started()
    added = Endpoint("127.0.0.1", 9301)
    upstream = TABLE.upstreams["new"]
    sites = {**upstream.sites, "tokyo": (added,)}
    stage.follow(replace(TABLE, upstreams={**TABLE.upstreams, "new": replace(upstream, sites=sites)}))
    assert {f"new {added}": 0} == stage.levels
    stage.observer.heard(f"new {added}", GOOD)
    assert {} == stage.levels


def test_an_endpoint_that_is_new_at_a_known_site_comes_in_slowly() -> None:
    """Without waiting for anything."""
    slow = Upstream("new", {"pangyo": (ONE,)}, Health(interval=3600.0))
    stage = Stage_().started(Table("new", {"new": slow}))
    stage.follow(Table("new", {"new": replace(slow, sites={"pangyo": (ONE, TWO)})}))
    assert {KEY_TWO: FIRST_PART} == stage.levels


def test_a_look_at_many_targets_lets_others_have_their_turns_and_bears_what_they_change() -> None:
    """A table of thousands must not hold up a rollback, and another table may come meanwhile."""
    many = tuple(Endpoint("127.0.0.1", 20_000 + number) for number in range(3 * SLICE))
    stage = Stage_().started(Table("new", {"new": Upstream("new", {"pangyo": many}, PROBED)}))
    look = stage.observer.look()
    next(look)
    stage.follow(Table("new", {"new": Upstream("new", {"pangyo": many[:1]}, PROBED)}))
    assert 2 == len(list(look))
    assert 1 == len(stage.targets())


# ----------------------------------------------------------------------------------------------------- names


@asynccontextmanager
async def resolving(stage: Stage_) -> AsyncIterator[None]:
    task = asyncio.create_task(stage.observer._resolver.run())  # no prober: nobody is there to answer
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until_addresses(stage: Stage_, expected: Sequence[str]) -> None:
    async with asyncio.timeout(20):
        while not stage.published or tuple(expected) not in stage.published[-1].addresses.values():
            deque(stage.observer.look(), maxlen=0)
            await asyncio.sleep(0.005)


NAMED = Endpoint("catalog.example", 9101)


def by_name(**more: bool) -> Table:
    return Table("new", {"new": Upstream("new", {"": (NAMED,)}, PROBED, **more)})  # type: ignore[arg-type]


async def test_each_address_of_a_name_is_a_target() -> None:
    """With a state of its own; the endpoint as it is written is none then."""
    stage = Stage_()
    stage.names["catalog.example"] = ("10.0.0.1", "fd00::1")
    stage.started(by_name())
    async with resolving(stage):
        await until_addresses(stage, ("10.0.0.1", "fd00::1"))
    keys = [f"new {NAMED} at 10.0.0.1", f"new {NAMED} at fd00::1"]
    assert keys == list(stage.targets())
    stage.fail(keys[0])
    assert Observed({keys[0]: 0}, {f"new {NAMED}": ("10.0.0.1", "fd00::1")}) == stage.published[-1]


async def test_what_is_counted_at_several_addresses_is_nobody_s() -> None:
    """The prober alone judges there."""
    stage = Stage_()
    stage.names["catalog.example"] = ("10.0.0.1", "10.0.0.2")
    stage.started(by_name())
    key = f"new {NAMED}"
    stage.observer.follow(by_name(), {key: BLOCKS[KEY_ONE]})
    async with resolving(stage):
        await until_addresses(stage, ("10.0.0.1", "10.0.0.2"))
    stage.tick()
    stage.files.add(KEY_ONE, EndpointBlock.ERRORS + Stage.CONNECT, 100)
    stage.tick()
    assert {} == stage.levels


async def test_a_name_that_leads_to_the_metadata_of_a_cloud_leads_nowhere() -> None:
    """Unless the upstream says that it is meant; other addresses of the name count."""
    for meant, expected in ((False, ("10.0.0.1",)), (True, ("10.0.0.1", "169.254.169.254"))):
        stage = Stage_()
        stage.names["catalog.example"] = ("10.0.0.1", "169.254.169.254")
        stage.started(by_name(allow_link_local=meant))
        async with resolving(stage):
            await until_addresses(stage, expected)


async def test_a_name_is_probed_only_where_it_is_known_to_lead() -> None:
    """Not one that cannot be looked up, nor one that leads nowhere that may be asked; what users meet there counts."""
    for addresses, probed in (((), 1), (("10.0.0.1", "10.0.0.2"), 2), (("169.254.169.254",), 0), (None, 0)):
        stage = Stage_()
        if addresses is not None:
            stage.names["catalog.example"] = addresses
        stage.started(by_name())
        assert {} == stage.observer._prober._wanted
        async with resolving(stage):
            async with asyncio.timeout(20):
                while not stage.observer._resolver.settled:
                    await asyncio.sleep(0.005)
        assert probed == len(stage.observer._prober._wanted), addresses


# ----------------------------------------------------------------------------------------------------- sites


def test_a_site_is_out_when_all_its_targets_are_down() -> None:
    """And back with the first."""
    stage = Stage_().started()
    stage.fail(KEY_ONE)
    stage.tick()
    assert [] == stage.told(EventName.SITE_OUT)
    stage.fail(KEY_TWO)
    stage.tick()
    assert [{"site": "pangyo", "times_in_an_hour": 1}] == stage.told(EventName.SITE_OUT)
    stage.heal(KEY_TWO)
    stage.tick()
    assert ["pangyo"] == [told["site"] for told in stage.told(EventName.SITE_BACK)]


def out_three_times(stage: Stage_) -> None:
    for _ in range(3):
        stage.fail(KEY_ONE, KEY_TWO)
        stage.tick()
        stage.heal(KEY_ONE, KEY_TWO)
        stage.tick()


async def test_a_site_that_is_taken_out_for_the_third_time_in_an_hour_is_to_be_held() -> None:
    """By a person's word it begins to count anew."""
    stage = Stage_().started()
    out_three_times(stage)
    assert "pangyo" == await asyncio.wait_for(stage.observer.next_to_hold(), 20)
    stage.observer.resume(lambda place: place.site == "pangyo")
    stage.fail(KEY_ONE, KEY_TWO)
    stage.tick()
    assert [1, 2, 3, 1] == [told["times_in_an_hour"] for told in stage.told(EventName.SITE_OUT)]


async def test_the_last_site_of_an_upstream_is_held_by_no_machine() -> None:
    """Where nothing else is well there is nothing to gain."""
    stage = Stage_().started()
    stage.fail(KEY_THREE)
    out_three_times(stage)
    waiting = asyncio.create_task(stage.observer.next_to_hold())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


def test_what_a_person_has_to_bring_back_comes_back_by_its_place() -> None:
    """However long it has been well."""
    stage = Stage_().started(manual_table())
    stage.fail(KEY_ONE)
    stage.heal(KEY_ONE)
    assert {KEY_ONE: 0} == stage.levels
    assert 1 == stage.observer.resume(lambda place: place.endpoint == ONE)
    stage.heal(KEY_ONE)
    assert {} == stage.levels


def manual_table() -> Table:
    manual = replace(PROBED, resume=Resume.MANUAL)
    return replace(TABLE, upstreams={**TABLE.upstreams, "new": replace(TABLE.upstreams["new"], health=manual)})


async def test_what_waits_for_a_person_waits_through_a_restart(tmp_path: Path) -> None:
    """Until somebody brings it back; then that is remembered."""
    file = HeldFile(tmp_path / "held.json")
    stage = Stage_(file).started(manual_table())
    stage.fail(KEY_ONE)
    await stage.observer._remember()
    again = Stage_(file).started(manual_table())
    again.heal(KEY_ONE)
    assert {KEY_ONE: 0} == again.levels
    again.observer.resume(lambda place: place.endpoint == ONE)
    await again.observer._remember()
    assert {} == Stage_(file).started(manual_table()).levels


async def test_who_is_not_in_the_table_now_is_not_forgotten(tmp_path: Path) -> None:
    """A name's addresses come later than the table."""
    file = HeldFile(tmp_path / "held.json")
    file.write([KEY_ONE, "elsewhere"])
    stage = Stage_(file).started(manual_table())
    stage.observer.resume(lambda place: place.endpoint == ONE)
    await stage.observer._remember()
    assert frozenset({"elsewhere"}) == file.read()


async def test_a_file_of_those_who_wait_that_is_broken_or_unwritable_is_said(tmp_path: Path) -> None:
    """And nothing ends because of it."""
    file = HeldFile(tmp_path / "held.json")
    for broken in (b"{", b"{}", b"\xff"):
        file.path.write_bytes(broken)
        assert 1 == len(Stage_(file).told(EventName.HELD_UNREADABLE))
    file.path.unlink()
    stage = Stage_(file).started(manual_table())
    file.path = tmp_path / "nowhere" / "held.json"
    stage.fail(KEY_ONE)
    for _ in range(3):
        await stage.observer._remember()
    assert 1 == len(stage.told(EventName.SNAPSHOT_UNWRITABLE))
    file.path = tmp_path / "held.json"
    await stage.observer._remember()
    assert frozenset({KEY_ONE}) == file.read()


# ----------------------------------------------------------------------------------------------- for people


def test_every_target_is_seen_with_what_is_known_of_it() -> None:
    """Status, level, since when, why, and how often."""
    stage = Stage_().started()
    stage.clock.time += 60.0
    stage.fail(KEY_ONE)
    stage.clock.time += 5.0
    seen = {each.place.key: each for each in stage.observer.seen()}
    one = seen[KEY_ONE]
    assert (Status.DOWN, 0, 1_700_001_060.0, "no connection") == (
        one.target.status,
        one.level,
        one.since,
        one.target.why,
    )
    assert {Status.DOWN: 1} == dict(one.changes)
    assert isinstance(one.place, Place)
    assert (PPM, {}) == (seen[KEY_TWO].level, dict(seen[KEY_TWO].changes))

"""The third layer: what is observed of the places, from probes, from what the workers count, and from DNS.

Each endpoint of the table in force is a target, or one target for each address that its name leads to.  What is met
there goes through the machine of `router.core.health`; what comes out is published whole, whenever it differs.  State
is kept for what stays when the table changes, and forgotten for what is gone.

What the workers count belongs to an endpoint; where a name has several addresses nobody can tell which of them it was,
and the prober alone judges.  Control decides nothing else here, and routes go on without it: a worker that is told
nothing more keeps to what it was told last.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from control.counters import CounterFiles
from control.held import HeldFile
from control.outcomes import Outcomes
from control.probes import Asked, Prober
from control.resolver import Lookup, Resolver
from router.core.addresses import forbidden_address, is_address
from router.core.health import (
    Evidence,
    SiteRecord,
    Status,
    Tally,
    Target,
    Transition,
    elapsed,
    first,
    heard,
    level,
    resumed,
    site_seen,
    weigh,
)
from router.core.model import PPM, Endpoint, Health, Resume, Table, Upstream
from router.core.observed import Observed, target_key
from router.core.wire import endpoint_key
from router.events import EventName, Events
from router.ports import Clock

EVERY: Final = 0.25
"""Seconds between two looks at the counters and at the time ..."""
IDLE: Final = 4
"""... or so many times as long as a look takes, where there are thousands of targets."""
REFRESH: Final = 1.0
"""Seconds between two looks for files that have grown or come."""
SLICE: Final = 50
"""Targets looked at in one turn of the event loop: about two milliseconds."""
GATHER: Final = 5.0
"""So long after a start, at most, nothing is published: workers go on with what the one before us has told them."""

Blocks = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A target as the table speaks of it."""

    key: str
    upstream: str
    site: str
    endpoint: Endpoint
    address: str
    """Of a name; empty: as the endpoint is written."""
    health: Health
    probed: bool
    alone: bool
    """It is all there is behind its endpoint, so that what is counted there is its own."""
    reachable: bool = True
    """Is it known where to ask?  Not of a name that leads nowhere, or nowhere that may be asked."""
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A target, for people."""

    place: Place
    target: Target
    level: int
    since: float
    """Unix time."""
    changes: Mapping[Status, int]
    """How often it has come to stand so."""


class Observer:
    """Watches all places of the table in force."""

    def __init__(
        self,
        publish: Callable[[Observed], None],
        files: CounterFiles,
        clock: Clock,
        events: Events,
        lookup: Lookup,
        *,
        chance: Random | None = None,
        held: HeldFile | None = None,
    ) -> None:
        """`publish` is given each observation that differs from the one before; `held` remembers who waits."""
        self._publish = publish
        self._outcomes = Outcomes(files)
        self._clock = clock
        self._events = events
        self._prober = Prober(self.heard, chance)
        self._resolver = Resolver(lookup, self._addresses_changed, events.tell)
        self._table: Table | None = None
        self._blocks: Blocks = {}
        self._places: dict[str, Place] = {}
        self._targets: dict[str, Target] = {}
        self._changes: dict[str, Counter[Status]] = {}
        self._tallies: dict[str, Tally] = {}
        self._sites: dict[str, SiteRecord] = {}
        self._to_hold: dict[str, None] = {}
        self._hold_wanted = asyncio.Event()
        self._began = clock.elapsed()
        self._refreshed: float | None = None
        self._held_file = held
        self._held_before = self._remembered()
        self._held_written = self._held_before
        self._unwritable = False
        self._observed: Observed | None = None

    def _remembered(self) -> frozenset[str]:
        """Who waited for a person before a restart."""
        if self._held_file is None:
            return frozenset()
        try:
            return self._held_file.read()
        except (OSError, ValueError) as error:
            self._events.tell(EventName.HELD_UNREADABLE, path=str(self._held_file.path), why=str(error))
            return frozenset()

    # -- the table ------------------------------------------------------------------------------------

    def follow(self, table: Table, blocks: Blocks) -> None:
        """The table that is about to take force; what is new in it is watched from now on."""
        warm, known = self._table is None, self._known_sites()
        self._table, self._blocks = table, blocks
        self._resolver.follow(endpoint.host for up in table.upstreams.values() for endpoint in up.endpoints)
        self._settle(warm=warm, known=known)

    def _addresses_changed(self) -> None:
        self._settle(warm=False, known=self._known_sites())

    def _known_sites(self) -> frozenset[tuple[str, str]]:
        return frozenset((place.upstream, place.site) for place in self._places.values())

    def _settle(self, *, warm: bool, known: frozenset[tuple[str, str]]) -> None:
        """The targets that there are now, with all that is known of those that were there before."""
        before, now = self._places, self._clock.elapsed()
        self._places = {place.key: place for place in self._found()}
        for key, place in self._places.items():
            if key in before and before[key].probed is place.probed:
                continue
            as_written = target_key(place.upstream, place.endpoint)
            if key in self._held_before:
                self._held_before -= {key}
                why = "it was held before control was restarted"
                self._targets[key] = Target(Status.DOWN, now, held=place.health.resume is Resume.MANUAL, why=why)
            elif (
                as_written in before and as_written not in self._places
            ):  # its name has led somewhere for the first time
                self._targets[key] = self._targets[as_written]
            else:
                known_site = (place.upstream, place.site) in known
                self._targets[key] = first(now, warm=warm, probed=place.probed, known_site=known_site)
        for key in before.keys() - self._places.keys():
            del self._targets[key]
            self._changes.pop(key, None)
            self._tallies.pop(key, None)
        self._prober.follow(
            {
                place.key: Asked(place.endpoint, place.health, place.address, place.anywhere)
                for place in self._places.values()
                if place.probed and place.reachable
            }
        )
        self._publish_changes()

    def _found(self) -> Iterator[Place]:
        for upstream in self._table.upstreams.values() if self._table else ():
            for site, endpoints in upstream.sites.items():
                for endpoint in endpoints:
                    yield from self._at(upstream, site, endpoint)

    def _at(self, upstream: Upstream, site: str, endpoint: Endpoint) -> Iterator[Place]:
        health, probed = upstream.health or Health(), upstream.health is not None
        host = endpoint.host
        addresses = self._allowed(upstream, endpoint) or ("",)
        reachable = bool(addresses[0]) or is_address(host) or self._resolver.as_written(host)
        for address in addresses:
            yield Place(
                target_key(upstream.name, endpoint, address),
                upstream.name,
                site,
                endpoint,
                address,
                health,
                probed,
                alone=len(addresses) == 1,
                reachable=reachable,
                anywhere=upstream.allow_link_local,
            )

    def _allowed(self, upstream: Upstream, endpoint: Endpoint) -> tuple[str, ...]:
        """The addresses of a name, but for those that nobody may be sent to unless it is meant."""
        found = self._resolver.addresses(endpoint.host)
        return found if upstream.allow_link_local else tuple(each for each in found if not forbidden_address(each))

    # -- evidence -------------------------------------------------------------------------------------

    def heard(self, key: str, evidence: Evidence) -> None:
        """Something was met at a target.  Before a failure counts, what users have met there meanwhile does."""
        place = self._places.get(key)
        if place is None:
            return
        now, before = self._clock.elapsed(), self._targets[key].status
        if not evidence.good:
            self._look_at_traffic(place, now)
        self._take(place, *heard(self._targets[key], evidence, place.health, now))
        if self._targets[key].status is not before:
            self._publish_changes()

    def _take(self, place: Place, target: Target, transition: Transition | None) -> None:
        self._targets[place.key] = target
        if transition is None:
            return
        if (transition.before, transition.after) == (Status.UNKNOWN, Status.UP):
            return  # as everybody supposed
        self._changes.setdefault(place.key, Counter())[transition.after] += 1
        self._events.tell(
            EventName.TARGET_CHANGED,
            upstream=place.upstream,
            site=place.site or None,
            endpoint=str(place.endpoint),
            address=place.address or None,
            before=transition.before.value,
            after=transition.after.value,
            why=transition.why or None,
            held=target.held,
        )

    def look(self) -> Iterator[None]:
        """A look at the counters and at the time, with a turn for everybody else now and then."""
        began = self._clock.elapsed()
        if self._refreshed is None or began - self._refreshed >= REFRESH:
            self._outcomes.refresh()
            self._refreshed = began
        for number, key in enumerate(tuple(self._places), 1):
            if number % SLICE == 0:
                yield
            place = self._places.get(key)
            if place is not None:
                now = self._clock.elapsed()
                self._take(place, *elapsed(self._targets[key], now, probed=place.probed))
                self._look_at_traffic(place, now)
        self._look_at_sites(self._clock.elapsed())
        self._publish_changes()

    def _look_at_traffic(self, place: Place, now: float) -> None:
        if place.alone and (evidence := self._weighed(place, now)) is not None:
            self._take(place, *heard(self._targets[place.key], evidence, place.health, now))

    def _weighed(self, place: Place, now: float) -> Evidence | None:
        start = self._blocks.get(endpoint_key(place.upstream, place.endpoint))
        counted = None if start is None else self._outcomes.newly(start)
        if counted is None:
            return None
        tally = self._tallies.get(place.key, Tally())
        self._tallies[place.key], evidence = weigh(tally, counted, place.health, now)
        return evidence

    # -- sites ----------------------------------------------------------------------------------------

    def _look_at_sites(self, now: float) -> None:
        alive: Counter[str] = Counter()
        for key, place in self._places.items():
            alive[place.site] += self._targets[key].status is not Status.DOWN
        del alive[""]
        for site in self._sites.keys() - alive.keys():
            del self._sites[site]
        for site, count in alive.items():
            before = self._sites.get(site, SiteRecord())
            self._sites[site], hold = site_seen(before, count, now)
            if self._sites[site].out is not before.out:
                name = EventName.SITE_OUT if not count else EventName.SITE_BACK
                self._events.tell(name, site=site, times_in_an_hour=len(self._sites[site].taken_out))
            if hold and self._dispensable(site):
                self._to_hold[site] = None
                self._hold_wanted.set()

    def _dispensable(self, site: str) -> bool:
        """Does every upstream that lives there also live, and well, somewhere else?  A machine closes no last place."""
        there = {place.upstream for place in self._places.values() if place.site == site}
        elsewhere = {
            place.upstream
            for key, place in self._places.items()
            if place.site != site and self._targets[key].status is not Status.DOWN
        }
        return there <= elsewhere

    async def next_to_hold(self) -> str:
        """A site that shall be held for a person, as soon as there is one."""
        await self._hold_wanted.wait()
        site = next(iter(self._to_hold))
        del self._to_hold[site]
        if not self._to_hold:
            self._hold_wanted.clear()
        return site

    def resume(self, chosen: Callable[[Place], bool]) -> int:
        """A person brings places back: their hold-downs end.  To how many that was news."""
        found = [key for key, place in self._places.items() if chosen(place)]
        told = 0
        for key in found:
            target = resumed(self._targets[key])
            told += self._targets[key].status is Status.DOWN
            self._targets[key] = target
        for site in {self._places[key].site for key in found} & self._sites.keys():
            self._sites[site] = replace(self._sites[site], taken_out=())
        return told

    # -- what is seen ---------------------------------------------------------------------------------

    def _publish_changes(self) -> None:
        if self._observed is None and not self._knows_enough():
            return
        observed = self._now_observed()
        if observed != self._observed:
            self._observed = observed
            self._publish(observed)

    def _knows_enough(self) -> bool:
        """Has everything been heard of once, or should we wait no more?"""
        if self._clock.elapsed() - self._began >= GATHER:
            return True
        known = all(target.status is not Status.UNKNOWN for target in self._targets.values())
        return self._table is not None and known and self._resolver.settled

    def _now_observed(self) -> Observed:
        now = self._clock.elapsed()
        levels: dict[str, int] = {}
        addresses: dict[str, tuple[str, ...]] = {}
        for key, place in self._places.items():
            if (part := level(self._targets[key], place.health, now)) < PPM:
                levels[key] = part
            if place.address:
                endpoint = endpoint_key(place.upstream, place.endpoint)
                addresses[endpoint] = (*addresses.get(endpoint, ()), place.address)
        return Observed(levels, addresses)

    def seen(self) -> Iterable[Seen]:
        """Every target, in the order of the table."""
        now = self._clock.elapsed()
        ago = self._clock.now() - now
        for key, place in self._places.items():
            target = self._targets[key]
            changes = self._changes.get(key, Counter())
            yield Seen(place, target, level(target, place.health, now), ago + target.since, changes)

    # -- life -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Watches until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._prober.run(), name="prober")
            group.create_task(self._resolver.run(), name="resolver")
            pause = EVERY
            while True:
                await asyncio.sleep(pause)
                began = self._clock.elapsed()
                for _ in self.look():
                    await asyncio.sleep(0)
                pause = max(EVERY, IDLE * (self._clock.elapsed() - began))
                await self._remember()

    async def _remember(self) -> None:
        """Writes down who waits for a person, if that has changed; one that cannot be written is tried again."""
        held = frozenset(key for key, target in self._targets.items() if target.held) | self._held_before
        if self._held_file is None or held == self._held_written:
            return
        try:
            await asyncio.to_thread(self._held_file.write, held)
        except OSError as error:
            if not self._unwritable:
                self._events.tell(EventName.SNAPSHOT_UNWRITABLE, path=str(self._held_file.path), why=str(error))
            self._unwritable = True
        else:
            self._held_written, self._unwritable = held, False

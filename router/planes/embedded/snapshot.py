"""What a worker routes by: one immutable snapshot, swapped in with one assignment.

`Receiver` takes the lines of `router.core.wire` one at a time, so that a worker can serve requests in between, and
gives a finished snapshot at the commit.  A delta makes a new snapshot that shares everything but the shares.
"""

from __future__ import annotations

import json
import struct
from hashlib import blake2b
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from router.core.hold import Hold, laid_over
from router.core.match import Matcher
from router.core.model import UNLISTED, Expose, Fallback, Route, Shadow
from router.core.orders import Cause
from router.core.packed import Packed, Packer
from router.core.places import Filling, Placing
from router.core.split import SITE_SALT, header_names, links, seed_of
from router.core.wire import Settings, content_hash, route_from_row, settings_from_message
from router.planes.embedded.bounds import Bounds
from router.planes.embedded.terms import Specials, TermsOfAll

if TYPE_CHECKING:
    from router.core.breaker import RouteBreaker
    from router.core.observed import Observed
    from router.planes.embedded.census import Watch
    from router.planes.embedded.pools import Destination


_POSITIONS: Final = 128
"""Positions of the tree that are packed at once: about as long as a line of routes takes."""
_NO_ROUTE: Final = UNLISTED.encode()
_NO_ROUTES_SITES: Final = seed_of(SITE_SALT)


@final
class Handling:
    """How requests are handled, whichever route they are of: what routes with the same settings share.

    A table of thousands of routes has a few of these, so they stay close to the processor.
    """

    def __init__(self, route: Route, destinations: tuple[Destination, Destination | None]) -> None:
        self.destinations = destinations
        """By side; None where no new service exists."""
        self.chain = links(route.subject)
        self.connect_timeout: float = route.timeouts.connect
        self.head_timeout: float = route.timeouts.head
        self.idle_timeout: float = route.timeouts.idle
        self.fallback: Fallback = route.fallback
        self.fallback_statuses: frozenset[int] = route.fallback.statuses
        self.idempotent = route.idempotent
        self.shown: bool = route.expose is Expose.ALWAYS
        self.shown_to_trusted: bool = route.expose is not Expose.NEVER


def handling_key(route: Route) -> tuple[object, ...]:
    """Routes for which this is equal share their handling."""
    return (
        route.legacy, route.new, route.subject, route.timeouts, route.fallback, route.idempotent, route.expose
    )  # fmt: skip


@final
class RouteEntry:
    """One route, ready for the hot path.  Never changed once built, but for its breaker and its watch.

    What an ordinary request needs of it stands in its card too, since with many routes each of these objects has to
    come from far away in memory.
    """

    def __init__(
        self, route: Route, blocks: tuple[int, int], index: int, handling: Handling, specials: Specials
    ) -> None:
        """`blocks`: its `RouteBlock` and its `BusyBlock`.

        `specials`: where it says that an exchange has to ask it for more.
        """
        self.index = index
        self.block, self.busy = blocks
        self.handling = handling
        self.tripped = False
        """Its breaker has pulled it to legacy; set by `trip`."""
        self.breaker: RouteBreaker | None = None
        """Made by the first failure of the new side."""
        self.shadow: Shadow | None = route.shadow
        self.watch: Watch | None = None
        """While a rollout watches it; set by `watch_by`."""
        self.name = route.name
        self.route = route
        self._specials = specials
        self._mark()

    def watch_by(self, watch: Watch | None) -> None:
        """Whoever watches it from now on."""
        self.watch = watch
        self._mark()

    def trip(self, tripped: bool) -> None:
        """Is it pulled to legacy from now on?"""
        self.tripped = tripped
        self._mark()

    def _mark(self) -> None:
        if self.index >= 0:
            self._specials.mark(self.index, self.tripped or self.shadow is not None or self.watch is not None)


_CARD: Final = struct.Struct("<IIIQI")
"""A route's index, its busy block, the number of its handling, its seed and the length of its name; then its name, and
the seed of its sites in 8 bytes."""
_BUSY_AT: Final = 4
_HANDLING_AT: Final = 8
_SEED_AT: Final = 12
_NAME_AT: Final = 20
_TEXT_AT: Final = 4
"""Behind its length."""


@final
class Snapshot:
    """Everything in force at one revision.  Never changed once it is in force, but for what is observed."""

    settings: Settings
    limits: Bounds
    """Those of the settings, as they are compared with."""
    unlisted: RouteEntry
    terms: TermsOfAll
    """Shares, live shares and causes, as every request asks for them; once it is known what is live."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.number: object = revision
        """The same, for passing on as it is."""
        self.non_ascii_target = False
        """Of the settings, where the hot path finds it sooner."""
        self.digest = ""
        self.structure = ""
        self.matcher = Packed()
        self.handlings: list[Handling] = []
        """By the number that cards name them by."""
        self.specials = Specials()
        self.entries: list[RouteEntry] = []
        self.by_name: dict[str, RouteEntry] = {}
        self.destinations: tuple[Destination, ...] = ()
        """All of them; their pools live as long as this is in force."""
        self.networks: tuple[Any, ...] = ()
        self.subject_names: frozenset[bytes] = frozenset()
        self.shares: list[int] = []
        self.live: list[int] = []
        """What health leaves of the shares; the same list when it leaves everything."""
        self.placings: list[Placing] | None = None
        """By route; None while every upstream is one nameless place that is well."""
        self.unlisted_placing: Placing | None = None
        self.causes: bytes = b""
        self.held_sites: frozenset[str] = frozenset()
        self.drained_sites: frozenset[str] = frozenset()
        self.off_sites: frozenset[str] = frozenset()
        """Those of them whose tunnels are cut at once."""
        self.adopted: frozenset[str] = frozenset()
        """The holds that control has made orders of."""

    def trusts(self, address: str) -> bool:
        """Is this peer in a trusted network?"""
        if not self.networks:
            return False
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)

    def with_state(self, revision: int, shares: list[int], causes: bytes, sites: dict[str, Any]) -> Snapshot:
        """The same structure with another effective state."""
        other = Snapshot(revision)
        other.settings = self.settings
        other.limits = self.limits
        other.non_ascii_target = self.non_ascii_target
        other.unlisted = self.unlisted
        other.structure = self.structure
        other.matcher = self.matcher
        other.handlings = self.handlings
        other.specials = self.specials
        other.entries = self.entries
        other.by_name = self.by_name
        other.destinations = self.destinations
        other.networks = self.networks
        other.subject_names = self.subject_names
        other.shares = shares
        other.causes = causes
        other.adopted = self.adopted
        other.take_sites(sites)
        other.digest = other.content()
        return other

    def observe(self, observed: Observed) -> None:
        """Work out what the observation leaves of shares and sites."""
        settings = self.settings
        filling = Filling(
            settings.upstreams, settings.spread, settings.capacities, observed, self.drained_sites, self.held_sites
        )
        if filling.plain:
            self.live, self.placings, self.unlisted_placing = self.shares, None, None
        else:
            self.placings = [
                filling.of(entry.route, share, pinned=cause == Cause.PIN)
                for entry, share, cause in zip(self.entries, self.shares, self.causes, strict=True)
            ]
            self.live = [placing.live for placing in self.placings]
            self.unlisted_placing = filling.of(self.unlisted.route, 0)
        self.terms = TermsOfAll(self.shares, self.live, self.causes)

    def card(self, place: int) -> tuple[int, int, Handling]:
        """What the card says that is there: the index and the busy block of a route, and its handling."""
        packed = self.matcher
        handling = self.handlings[packed.number(place + _HANDLING_AT)]
        return packed.number(place), packed.number(place + _BUSY_AT), handling

    def seed(self, place: int) -> int:
        """The seed of the route whose card is there."""
        return self.matcher.wide(place + _SEED_AT)

    def site_seed(self, place: int) -> int:
        """The seed of its sites, or that of requests without a route."""
        if not place:
            return _NO_ROUTES_SITES
        name = place + _NAME_AT
        return self.matcher.wide(name + _TEXT_AT + self.matcher.number(name))

    def name(self, place: int) -> bytes:
        """The name of the route whose card is there, or what stands for having none."""
        return self.matcher.text(place + _NAME_AT) if place else _NO_ROUTE

    def entry(self, index: int) -> RouteEntry:
        """The route of this index; for -1 what stands for having none."""
        return self.unlisted if index < 0 else self.entries[index]

    def placing(self, index: int) -> Placing | None:
        """Where requests of this route go; None: there is nothing to choose."""
        return self.unlisted_placing if self.placings is None or index < 0 else self.placings[index]

    def take_sites(self, sites: dict[str, Any]) -> None:
        """What a message says about sites."""
        self.held_sites = frozenset(sites["held_sites"])
        self.drained_sites = frozenset(sites["drained_sites"])
        self.off_sites = frozenset(sites.get("off_sites", ()))

    def under(self, holds: tuple[Hold, ...]) -> Snapshot:
        """The same with holds laid over it; itself when there are none."""
        if not holds:
            return self
        held = laid_over([entry.route for entry in self.entries], self.shares, self.causes, self.held_sites, holds)
        sites = {"held_sites": held.held_sites, "drained_sites": self.drained_sites, "off_sites": self.off_sites}
        return self.with_state(self.revision, held.shares, held.causes, sites)

    def content(self) -> str:
        """The hash of everything in force, from what is at hand here."""
        sites = (self.held_sites, self.drained_sites, self.off_sites)
        return content_hash(self.structure, self.shares, self.causes, *sites)

    def recalls(self, name: str, site: str) -> bool:
        """Must what is open to the new side of this route, at this site, come to an end?

        So it is when an operator holds the route on legacy, or the site, or when the route is gone.
        """
        entry = self.by_name.get(name)
        if entry is None or site in self.held_sites or site in self.drained_sites:
            return True
        return self.causes[entry.index] in _HELD and not self.shares[entry.index]


_HELD = frozenset({int(Cause.ROLLBACK), int(Cause.PIN)})


class WireError(ValueError):
    """Lines that do not make a snapshot; the message goes back to the sender."""


class Pools(Protocol):
    """Where destinations come from."""

    def destination(self, settings: Settings, upstream: str) -> Destination:
        """The destination of that name under these settings; the same object while its endpoints stay."""


def _card(entry: RouteEntry, handling: int) -> bytes:
    route, name = entry.route, entry.name.encode()
    begin = _CARD.pack(entry.index, entry.busy, handling, seed_of(route.seed), len(name))
    return begin + name + seed_of(route.seed + SITE_SALT).to_bytes(8, "little")


class Receiver:
    """Collects one sender's lines.  `take` returns a snapshot when one is complete."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._building: Snapshot | None = None
        self._tree: Matcher[RouteEntry] = Matcher()
        self._packer: Packer[RouteEntry] | None = None
        self._digest = blake2b(digest_size=16)
        self._destinations: dict[str, Destination] = {}
        self._handlings: dict[tuple[object, ...], Handling] = {}
        self.slots = 0
        """How many counter slots the snapshot being taken needs."""

    def take(self, line: bytes, current: Snapshot | None) -> Snapshot | None:
        """Take one line; raises `WireError`, after which the next line must be a `begin` or a `delta`."""
        try:
            message = json.loads(line)
            operation = message["op"]
            if operation == "delta":
                return self._delta(message, current)
            if operation == "begin":
                self._begin(message)
                return None
            if self._building is None:
                raise WireError("no snapshot has been begun")
            return self._part(operation, message, line, self._building)
        except WireError:
            self._building = None
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            self._building = None
            raise WireError(f"malformed: {type(error).__name__}: {error}") from error

    def _begin(self, message: dict[str, Any]) -> None:
        self._building = Snapshot(message["revision"])
        self._tree = Matcher()
        self._packer = None
        self._digest = blake2b(digest_size=16)
        self._destinations = {}
        self._handlings = {}
        self.slots = message["slots"]

    def _part(self, operation: str, message: dict[str, Any], line: bytes, building: Snapshot) -> Snapshot | None:
        if operation == "settings":
            self._digest.update(line)
            self._settings(message, building)
        elif operation == "routes":
            self._digest.update(line)
            for row in message["rows"]:
                self._route(row, building)
        elif operation == "pack":
            self._pack().step(_POSITIONS)
        elif operation == "state":
            # Equal shares become one object, which stays close to the processor; compiled code makes ints anew.
            same: dict[Any, Any] = {}
            building.shares = [same.setdefault(share, share) for share in message["shares"]]
            building.causes = bytes(message["causes"])
            building.take_sites(message)
            building.adopted = frozenset(message.get("adopted", ()))
        elif operation == "commit":
            return self._commit(message, building)
        else:
            raise WireError(f"unknown operation {operation!r}")
        return None

    def _settings(self, message: dict[str, Any], building: Snapshot) -> None:
        settings = settings_from_message(message)
        building.settings = settings
        building.limits = Bounds(settings.limits)
        building.non_ascii_target = settings.non_ascii_target
        building.networks = tuple(ip_network(network, strict=False) for network in settings.trusted)
        for name in settings.upstreams:
            self._destinations[name] = self._pools.destination(settings, name)
        building.destinations = tuple(self._destinations.values())
        nobody = Route(
            name=UNLISTED, path="/", legacy=settings.legacy, timeouts=settings.timeouts, expose=settings.expose
        )
        building.unlisted = RouteEntry(nobody, settings.unlisted_blocks, -1, self._handling(nobody), building.specials)

    def _pack(self) -> Packer[RouteEntry]:
        """What packs the routes, all of which are there."""
        if self._packer is None:
            numbers = {handling: number for number, handling in enumerate(self._handlings.values())}
            self._packer = Packer(self._tree, lambda entry: _card(entry, numbers[entry.handling]))
        return self._packer

    def _route(self, row: dict[str, Any], building: Snapshot) -> None:
        if self._packer is not None:
            raise WireError("a route comes after they have been packed")
        route, block, busy = route_from_row(row)
        handling = self._handling(route)
        building.specials.add()
        entry = RouteEntry(route, (block, busy), len(building.entries), handling, building.specials)
        building.entries.append(entry)
        building.by_name[route.name] = entry
        self._tree.add(route, entry)
        building.subject_names |= header_names(handling.chain)

    def _handling(self, route: Route) -> Handling:
        key = handling_key(route)
        found = self._handlings.get(key)
        if found is None:
            new = self._destinations[route.new] if route.new else None
            found = self._handlings[key] = Handling(route, (self._destinations[route.legacy], new))
        return found

    def _commit(self, message: dict[str, Any], building: Snapshot) -> Snapshot:
        if not len(building.entries) == len(building.shares) == len(building.causes):
            raise WireError("routes and shares do not belong together")
        if not self._destinations or message["revision"] != building.revision:
            raise WireError("begin, settings and commit do not belong together")
        building.structure = self._digest.hexdigest()
        building.digest = building.content()
        if building.digest != message["hash"]:
            raise WireError("hash")
        building.matcher = self._pack().finish()
        building.handlings = list(self._handlings.values())
        self._building = None
        self._tree, self._packer = Matcher(), None
        return building

    @staticmethod
    def _delta(message: dict[str, Any], current: Snapshot | None) -> Snapshot:
        if current is None or current.revision != message["base"]:
            raise WireError("base")
        shares = current.shares[:]
        causes = bytearray(current.causes)
        for index, share, cause in message["changes"]:
            shares[index] = share
            causes[index] = cause
        after = current.with_state(message["revision"], shares, bytes(causes), message)
        if after.digest != message["hash"]:
            raise WireError("hash")
        after.adopted = frozenset(message.get("adopted", ()))
        return after

"""Endpoints that are written as names: their addresses, looked up anew when their time to live is over.

Every A and AAAA record is a target of its own.  A lookup that fails changes nothing: the last addresses stay, since a
name server in trouble says nothing about the places it knows.  IPv6 addresses are left out where this machine has no
way to them and the name has others.  What stands in /etc/hosts (`localhost` above all) is one place, not several, and
is connected to as it is written.

The system's resolver tells no time to live, which is why `dnspython` asks (docs/decisions/0007-*).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.core.addresses import is_address
from router.events import EventName

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver as DnsResolver

MOST_ADDRESSES: Final = 64
"""Of one name."""
MOST_AT_ONCE: Final = 16
"""Lookups under way."""
PATIENCE: Final = 5.0
"""Seconds a lookup may take."""
AGAIN: Final = 5.0
"""Seconds after a lookup that failed."""
SHORTEST: Final = 1.0
LONGEST: Final = 300.0
"""Bounds of a time to live, in seconds: a fleet must not ask without a pause, nor wait for a day."""


class LookupFailedError(Exception):
    """There is no answer; what was known before stays."""


@dataclass(frozen=True, slots=True)
class Found:
    """The addresses of a name, in order; none: it is connected to as it is written.  `ttl` in seconds."""

    addresses: tuple[str, ...]
    ttl: float


Lookup = Callable[[str], Awaitable[Found]]
Tell = Callable[..., None]


class Resolver:
    """Knows the addresses of the names that are asked for."""

    def __init__(self, lookup: Lookup, changed: Callable[[], None], tell: Tell) -> None:
        """`changed` is called whenever some name has other addresses than before."""
        self._lookup = lookup
        self._changed = changed
        self._tell = tell
        self._known: dict[str, tuple[str, ...]] = {}
        self._troubled: set[str] = set()
        self._wanted: frozenset[str] = frozenset()
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._group: asyncio.TaskGroup | None = None

    def addresses(self, name: str) -> tuple[str, ...]:
        """What the name led to last; empty: nothing is known, or it is connected to as it is written."""
        return self._known.get(name, ())

    def as_written(self, name: str) -> bool:
        """Is it connected to as it is written?"""
        return self._known.get(name) == ()

    @property
    def settled(self) -> bool:
        """Has every name been answered, or failed, once?"""
        return self._wanted <= self._known.keys() | self._troubled

    def follow(self, names: Iterable[str]) -> None:
        """From now on these; what is gone is forgotten."""
        self._wanted = frozenset(name for name in names if not is_address(name))
        for name in self._watching.keys() - self._wanted:
            self._watching.pop(name).cancel()
            self._known.pop(name, None)
            self._troubled.discard(name)
        self._begin()

    def _begin(self) -> None:
        if self._group is None:
            return
        for name in self._wanted - self._watching.keys():
            self._watching[name] = self._group.create_task(self._watch(name), name=f"resolve {name}")

    async def run(self) -> None:
        """Looks names up until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._begin()
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            self._watching.clear()

    async def _watch(self, name: str) -> None:
        while True:
            async with self._turns:
                ttl = await self._look(name)
            await asyncio.sleep(min(max(ttl, SHORTEST), LONGEST))

    async def _look(self, name: str) -> float:
        """Seconds until it should be looked up again."""
        try:
            found = await asyncio.wait_for(self._lookup(name), PATIENCE)
        except (LookupFailedError, TimeoutError) as error:
            if name not in self._troubled:
                self._troubled.add(name)
                why = str(error) or f"no answer within {PATIENCE:g} s"
                self._tell(EventName.NAME_UNKNOWN, host=name, why=why, keeps=list(self.addresses(name)))
            return AGAIN
        if name in self._troubled:
            self._troubled.discard(name)
            self._tell(EventName.NAME_KNOWN, host=name, addresses=list(found.addresses))
        before = self._known.get(name)
        self._known[name] = found.addresses
        if before != found.addresses:
            self._changed()
        return found.ttl


# ------------------------------------------------------------------------------------------------------ DNS


class DnsLookup:
    """Asks the name servers of this machine, as /etc/resolv.conf names them."""

    def __init__(self, resolver: DnsResolver | None = None, hosts: Path = Path("/etc/hosts")) -> None:
        self._resolver = resolver
        self._hosts = hosts

    async def __call__(self, name: str) -> Found:
        if name == "localhost" or name.endswith(".localhost") or name in _names(self._hosts):
            return Found((), LONGEST)
        both = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"))
        four, six = ([] if isinstance(each, LookupFailedError) else each[0] for each in both)
        times = [each[1] for each in both if not isinstance(each, LookupFailedError)]
        addresses = sorted(four) + sorted(address for address in six if not four or _has_way(address))
        if not addresses:
            failures = [str(each) for each in both if isinstance(each, LookupFailedError)]
            raise LookupFailedError(failures[0] if failures else "it has no addresses")
        return Found(tuple(addresses[:MOST_ADDRESSES]), min(times))

    async def _ask(self, name: str, kind: str) -> tuple[list[str], float] | LookupFailedError:
        import dns.asyncresolver  # noqa: PLC0415  # it takes a tenth of a second, and few tables have names
        import dns.exception  # noqa: PLC0415
        import dns.resolver  # noqa: PLC0415

        try:
            self._resolver = self._resolver or dns.asyncresolver.Resolver()
            answer = await self._resolver.resolve(name, kind, search=True, lifetime=PATIENCE - 0.5)
        except dns.resolver.NoAnswer:
            return [], LONGEST
        except (dns.exception.DNSException, OSError, ValueError) as error:
            return LookupFailedError(str(error) or type(error).__name__)
        return [record.to_text() for record in answer], float(answer.chaining_result.minimum_ttl)


def _names(hosts: Path) -> frozenset[str]:
    """The names of a hosts file."""
    try:
        lines = hosts.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(name.lower() for line in lines for name in line.partition("#")[0].split()[1:])


def _has_way(address: str) -> bool:
    """Does this machine know a way to an IPv6 address?  Nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
    except OSError:
        return False
    return True

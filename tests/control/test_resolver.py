"""Names of endpoints: looked up when their time is over, kept when the name server is in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from control.resolver import AGAIN, LONGEST, MOST_ADDRESSES, DnsLookup, Found, LookupFailedError, Resolver
from router.events import EventName


class Stage:
    """A resolver whose lookups are answered by a script, with everything that it tells."""

    def __init__(self) -> None:
        self.says: dict[str, Found | Exception] = {}
        self.asked: list[str] = []
        self.changes = 0
        self.told: list[tuple[str, str]] = []
        self.resolver = Resolver(self.lookup, self._changed, self._tell)

    async def lookup(self, name: str) -> Found:
        self.asked.append(name)
        said = self.says[name]
        if isinstance(said, Exception):
            raise said
        return said

    def _changed(self) -> None:
        self.changes += 1

    def _tell(self, name: str, **fields: object) -> None:
        self.told.append((name, str(fields["host"])))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    task = asyncio.create_task(made.resolver.run())
    await asyncio.sleep(0)
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times to live as short as a test's patience."""
    monkeypatch.setattr("control.resolver.SHORTEST", 0.01)
    monkeypatch.setattr("control.resolver.AGAIN", 0.01)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


# -------------------------------------------------------------------------------------------------- watching


async def test_a_name_has_all_its_addresses(stage: Stage) -> None:
    """As soon as they are known; literal addresses are not asked about."""
    stage.says["catalog"] = Found(("10.0.0.1", "10.0.0.2", "fd00::1"), 30.0)
    stage.resolver.follow(["catalog", "127.0.0.1", "::1"])
    await until(lambda: stage.changes == 1)
    assert ("10.0.0.1", "10.0.0.2", "fd00::1") == stage.resolver.addresses("catalog")
    assert ["catalog"] == stage.asked
    assert () == stage.resolver.addresses("other")


@pytest.mark.usefixtures("fast")
async def test_a_name_is_looked_up_anew_when_its_time_is_over(stage: Stage) -> None:
    """And only what differs is a change."""
    stage.says["catalog"] = Found(("10.0.0.1",), 0.0)
    stage.resolver.follow(["catalog"])
    await until(lambda: len(stage.asked) > 3)
    assert stage.changes == 1
    stage.says["catalog"] = Found(("10.0.0.2",), 0.0)
    await until(lambda: stage.changes == 2)
    assert ("10.0.0.2",) == stage.resolver.addresses("catalog")


@pytest.mark.usefixtures("fast")
async def test_a_failed_lookup_keeps_the_last_addresses(stage: Stage) -> None:
    """It is told once, and so is its end."""
    stage.says["catalog"] = Found(("10.0.0.1",), 0.0)
    stage.resolver.follow(["catalog"])
    await until(lambda: stage.changes == 1)
    stage.says["catalog"] = LookupFailedError("refused")
    asked = len(stage.asked)
    await until(lambda: len(stage.asked) > asked + 3)
    assert ("10.0.0.1",) == stage.resolver.addresses("catalog")
    assert [(EventName.NAME_UNKNOWN, "catalog")] == stage.told
    stage.says["catalog"] = Found(("10.0.0.1",), 0.0)
    await until(lambda: len(stage.told) == 2)
    assert (EventName.NAME_KNOWN, "catalog") == stage.told[1]
    assert stage.changes == 1


async def test_a_lookup_that_hangs_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known then, and the next one has its turn."""
    monkeypatch.setattr("control.resolver.PATIENCE", 0.05)
    never = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(stage.resolver, "_lookup", lambda _name: never)
    stage.resolver.follow(["catalog"])
    await until(lambda: stage.told == [(EventName.NAME_UNKNOWN, "catalog")])
    assert () == stage.resolver.addresses("catalog")


async def test_what_is_gone_is_looked_up_no_more_and_forgotten(stage: Stage) -> None:
    """What stays is not asked about again."""
    stage.says |= {"one": Found(("10.0.0.1",), 300.0), "two": Found(("10.0.0.2",), 300.0)}
    stage.resolver.follow(["one", "two"])
    await until(lambda: stage.changes == 2)
    stage.resolver.follow(["two"])
    await until(lambda: watched() == ["resolve two"])
    assert () == stage.resolver.addresses("one")
    assert ("10.0.0.2",) == stage.resolver.addresses("two")
    assert ["one", "two"] == sorted(stage.asked)


def watched() -> list[str]:
    return sorted(task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("resolve "))


# ------------------------------------------------------------------------------------------------------- DNS

Records = Mapping[tuple[str, str], list[str]]


class _Server(asyncio.DatagramProtocol):
    """A name server that knows these records; a name that is not among them does not exist."""

    def __init__(self, records: Records, ttl: int) -> None:
        self.records = records
        self.ttl = ttl
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        question = dns.message.from_wire(data)
        name, kind = question.question[0].name, question.question[0].rdtype.name
        self.asked.append(f"{name} {kind}")
        answer = dns.message.make_response(question, recursion_available=True)
        found = self.records.get((str(name).rstrip("."), kind))
        if found:
            answer.answer.append(dns.rrset.from_text(name, self.ttl, "IN", kind, *found))
        elif str(name).rstrip(".") not in {known for known, _ in self.records}:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)  # type: ignore[attr-defined]  # of UDP, as it was made


@asynccontextmanager
async def name_server(records: Records, ttl: int = 30) -> AsyncIterator[tuple[DnsLookup, _Server]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: _Server(records, ttl), ("127.0.0.1", 0))
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    try:
        yield DnsLookup(resolver, Path("/nowhere")), server
    finally:
        transport.close()


async def test_every_a_and_aaaa_record_is_found_with_the_time_to_live() -> None:
    """Sorted, so that a name server that turns them round changes nothing."""
    four = [f"127.0.0.{number}" for number in range(9, 1, -1)]
    async with name_server({("c.example", "A"): four, ("c.example", "AAAA"): ["::1"]}, ttl=7) as (lookup, _):
        assert Found((*reversed(four), "::1"), 7.0) == await lookup("c.example")


async def test_a_name_of_one_family_is_enough() -> None:
    """Either one."""
    async with name_server({("four", "A"): ["10.0.0.1"], ("six", "AAAA"): ["::1"]}) as (lookup, _):
        assert ("10.0.0.1",) == (await lookup("four")).addresses
        assert ("::1",) == (await lookup("six")).addresses


async def test_a_name_that_does_not_exist_is_no_answer() -> None:
    """Nor is one without addresses."""
    async with name_server({("text", "TXT"): ["hello"]}) as (lookup, _):
        with pytest.raises(LookupFailedError, match="not exist"):
            await lookup("nobody.example")
        with pytest.raises(LookupFailedError, match="no addresses"):
            await lookup("text")


async def test_no_more_addresses_are_taken_than_anybody_needs() -> None:
    """A liar's answer is cut."""
    many = [f"10.0.{high}.{low}" for high in range(2) for low in range(10, 60)]
    async with name_server({("many", "A"): many}) as (lookup, _):
        assert MOST_ADDRESSES == len((await lookup("many")).addresses)


async def test_names_of_the_hosts_file_are_connected_to_as_they_are_written(tmp_path: Path) -> None:
    """`localhost` has two addresses, but is one place."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 Legacy legacy.local # shop\n\n#10.0.0.1 catalog\n")
    async with name_server({("catalog", "A"): ["10.0.0.2"]}) as (_, server):
        lookup = DnsLookup(dns.asyncresolver.Resolver(configure=False), hosts)
        for name in ("localhost", "shop.localhost", "legacy", "legacy.local"):
            assert Found((), LONGEST) == await lookup(name)
        assert [] == server.asked


async def test_a_name_server_that_is_not_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so within the patience for a lookup."""
    monkeypatch.setattr("control.resolver.PATIENCE", 1.0)
    async with name_server({}) as (lookup, _):
        pass
    async with asyncio.timeout(20):
        with pytest.raises(LookupFailedError):
            await lookup("catalog")
    assert AGAIN < LONGEST

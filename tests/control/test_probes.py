"""Probers over real sockets: what they call good and bad, however a server behaves, and how long they take over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest

from control.probes import GOOD, READ_OF_A_BODY, Asked, Prober, judged
from router.core.health import Evidence, Source
from router.core.model import Endpoint, Health

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nUP"
PATIENT = Health("/up", timeout=20.0)
HASTY = Health("/up", timeout=0.3)


@asynccontextmanager
async def server(answering: Answering, host: str = "127.0.0.1") -> AsyncIterator[Endpoint]:
    """Something on a port, whatever it does there; every conversation ends with the block."""
    talking: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        with suppress(OSError, EOFError, asyncio.CancelledError):
            await answering(reader, writer)
        writer.transport.abort()

    listening = await asyncio.start_server(talk, host, 0)
    try:
        yield Endpoint(host, listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        for task in talking:
            task.cancel()


def saying(data: bytes) -> Answering:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    return answer


async def asked(answering: Answering, health: Health = PATIENT, host: str = "127.0.0.1") -> Evidence:
    """What one probe makes of a server."""
    async with server(answering, host) as endpoint, running() as (prober, _):
        return await asyncio.wait_for(prober.ask(Asked(endpoint, health)), 30)


@asynccontextmanager
async def running(chance: Random | None = None) -> AsyncIterator[tuple[Prober, asyncio.Queue[tuple[str, Evidence]]]]:
    """A prober at work, and what it has heard."""
    heard: asyncio.Queue[tuple[str, Evidence]] = asyncio.Queue()
    prober = Prober(lambda key, evidence: heard.put_nowait((key, evidence)), chance)
    task = asyncio.create_task(prober.run())
    await asyncio.sleep(0)
    try:
        yield prober, heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def next_of(heard: asyncio.Queue[tuple[str, Evidence]]) -> tuple[str, Evidence]:
    return await asyncio.wait_for(heard.get(), 30)


# ------------------------------------------------------------------------------------------------- one probe


async def test_a_good_answer_is_good() -> None:
    """A status among those that are asked for, and the text where one is."""
    assert GOOD == await asked(saying(OK))
    assert GOOD == await asked(saying(OK), Health("/up", timeout=20.0, body="UP"))


async def test_the_request_is_one_that_any_server_understands() -> None:
    """The path as it is written, the endpoint's name as Host, no compression, no second request."""
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        await writer.drain()

    async with server(answer) as endpoint, running() as (prober, _):
        named = Endpoint("catalog.example", endpoint.port)
        assert GOOD == await prober.ask(Asked(named, Health("/up%2Fx?deep=1", timeout=20.0), "127.0.0.1"))
    (request,) = requests
    lines = request.decode().lower().split("\r\n")
    assert lines[0] == "get /up%2fx?deep=1 http/1.1"
    assert f"host: catalog.example:{endpoint.port}" in lines
    assert "connection: close" in lines
    assert not any(line.startswith(("accept-encoding", "cookie")) for line in lines)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_connection_is_enough_for_tcp(host: str) -> None:
    """Nothing is sent, over either family."""
    read: list[bytes] = []
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            read.append(await reader.read())
        except ConnectionResetError:
            read.append(b"")
        over.set()

    async with server(answer, host) as endpoint, running() as (prober, _):
        assert GOOD == await prober.ask(Asked(endpoint, Health(tcp=True, timeout=20.0)))
        await asyncio.wait_for(over.wait(), 30)
    assert [b""] == read


async def test_an_ipv6_target_is_probed() -> None:
    """With brackets where they belong."""
    assert GOOD == await asked(saying(OK), host="::1")


@pytest.mark.parametrize(
    ("data", "why", "own_word"),
    [
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", "/up answered 503", True),
        (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", "/up answered 500", True),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "/up answered 404", False),
        (b"no HTTP at all\r\n\r\n", "no answer: ", False),
        (b"HTTP/1.1 20", "no answer: ", False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "no answer: ", False),
        (b"", "no answer: ", False),
    ],
    ids=["503", "500", "404", "nonsense", "cut", "head too large", "nothing"],
)
async def test_what_is_not_good_is_told_apart(data: bytes, why: str, own_word: bool) -> None:
    """A 5xx is the target's own word; what could as well be a wrong path is not."""
    met = await asked(saying(data))
    assert (Source.PROBE, False, own_word) == (met.source, met.good, met.own_word)
    assert met.why.startswith(why)
    assert len(met.why) <= 120


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    """302 is good unless only 200 is asked for; where it leads nobody looks."""
    data = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    assert GOOD == await asked(saying(data))
    only = Health("/up", timeout=20.0, statuses=((200, 200),))
    assert "/up answered 302" == (await asked(saying(data), only)).why


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_name_of_this_machine_is_one_place_wherever_it_listens(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`localhost` has two addresses, of which one is enough."""

    async def both(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(10, 1, 6, "", ("::1", 0)), (2, 1, 6, "", ("127.0.0.1", 0))]

    async with server(saying(OK), host) as endpoint, running() as (prober, _):
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        for health in (PATIENT, Health(tcp=True, timeout=20.0)):
            assert GOOD == await prober.ask(Asked(Endpoint("localhost", endpoint.port), health))


async def test_a_name_that_leads_to_the_metadata_of_a_cloud_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless that is meant."""
    asked_there: list[str] = []

    async def leads(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(2, 1, 6, "", ("169.254.169.254", 80))]

    async with running() as (prober, _):
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", leads)

        async def get(_: Asked, address: str) -> Evidence:
            asked_there.append(address)
            return GOOD

        monkeypatch.setattr(prober, "_get", get)
        met = await prober.ask(Asked(Endpoint("alias", 80), PATIENT))
        assert (False, []) == (met.good, asked_there)
        assert GOOD == await prober.ask(Asked(Endpoint("alias", 80), PATIENT, anywhere=True))
    assert ["169.254.169.254"] == asked_there


async def test_a_refused_connection_is_bad() -> None:
    """Nobody listens there."""
    async with server(saying(OK)) as endpoint:
        pass
    async with running() as (prober, _):
        met = await prober.ask(Asked(endpoint, PATIENT))
        tcp = await prober.ask(Asked(endpoint, Health(tcp=True, timeout=20.0)))
    assert "no connection: Connection refused" == met.why
    assert not tcp.good


async def test_a_reset_is_bad() -> None:
    """In the middle of everything."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    assert not (await asked(reset)).good


async def test_a_server_that_hangs_is_given_up_in_time() -> None:
    """It accepts, and says nothing."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    assert "no answer within 0.3 s" == (await asked(hang, HASTY)).why


async def test_a_server_that_drips_is_given_up_in_time() -> None:
    """A byte now and then is not progress: the time is for all of it."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 100_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    assert "no answer within 0.3 s" == (await asked(drip, HASTY)).why


async def test_of_a_huge_body_only_the_beginning_is_read() -> None:
    """Nothing of it when nothing is looked for; and a text that stands behind a bound is not found."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    assert GOOD == await asked(endless)
    met = await asked(endless, Health("/up", timeout=20.0, body="UP"))
    assert (False, True) == (met.good, met.own_word)
    assert "/up answered 200, but without 'UP'" == met.why
    late = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * READ_OF_A_BODY + b"UP"
    assert not (await asked(saying(late), Health("/up", timeout=20.0, body="UP"))).good


async def test_a_text_may_be_spread_over_chunks() -> None:
    """What is looked for is in the body, not on the wire."""
    data = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nU\r\n1\r\nP\r\n0\r\n\r\n"
    assert GOOD == await asked(saying(data), Health("/up", timeout=20.0, body="UP"))


def test_an_answer_is_judged_by_status_and_text() -> None:
    """Both ends of a range are in it."""
    health = Health("/", statuses=((200, 204), (301, 301)), body="UP")
    good = [status for status in range(100, 600) if judged(status, b"it is UP", health).good]
    assert [200, 201, 202, 203, 204, 301] == good
    assert not judged(200, b"DOWN", health).good


# ------------------------------------------------------------------------------------------------ many of them


async def test_targets_are_asked_again_and_again() -> None:
    """And each by itself."""
    quick = Health("/up", interval=0.02, timeout=20.0)
    async with server(saying(OK)) as one, server(saying(b"?")) as two, running(Random(1)) as (prober, heard):
        prober.follow({"one": Asked(one, quick), "two": Asked(two, quick)})
        met = [await next_of(heard) for _ in range(20)]
    assert {("one", True), ("two", False)} == {(key, evidence.good) for key, evidence in met}
    assert 3 <= sum(key == "one" for key, _ in met) <= 17


async def test_what_is_gone_is_asked_no_more_and_what_stays_goes_on() -> None:
    """A change of the table neither forgets nor repeats anything."""
    rare = Health("/up", interval=3600.0, timeout=20.0)
    async with server(saying(OK)) as one, server(saying(OK)) as two, running() as (prober, heard):
        prober.follow({"one": Asked(one, rare)})
        assert "one" == (await next_of(heard))[0]
        prober.follow({"one": Asked(one, rare), "two": Asked(two, rare)})
        assert "two" == (await next_of(heard))[0]
        assert ["probe one", "probe two"] == probes()
        prober.follow({"two": Asked(two, rare)})
        await until(lambda: probes() == ["probe two"])
        assert heard.empty()


async def test_a_target_that_is_asked_something_else_is_asked_at_once() -> None:
    """Its new settings hold from now on."""
    async with server(saying(OK)) as one, running() as (prober, heard):
        prober.follow({"one": Asked(one, Health("/up", interval=3600.0, timeout=20.0))})
        assert (await next_of(heard))[1].good
        prober.follow({"one": Asked(one, Health("/up", interval=3600.0, timeout=20.0, statuses=((500, 500),)))})
        assert not (await next_of(heard))[1].good


async def test_what_was_wanted_before_the_start_is_probed_too() -> None:
    """The first table may come first."""
    heard: asyncio.Queue[tuple[str, Evidence]] = asyncio.Queue()
    prober = Prober(lambda key, evidence: heard.put_nowait((key, evidence)))
    async with server(saying(OK)) as one:
        prober.follow({"one": Asked(one, PATIENT)})
        task = asyncio.create_task(prober.run())
        assert ("one", GOOD) == await next_of(heard)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [] == probes()


def probes() -> list[str]:
    return sorted(task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("probe "))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)

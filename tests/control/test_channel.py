"""The links to the workers, beyond the fleet's contract: what happens when either end misbehaves."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from control import channel
from control.channel import SnapshotFile, WorkerFleet
from control.main import SystemClock
from router.core.census import Watched
from router.core.observed import Observed
from router.core.wire import WATCHED_PER_LINE, encode
from router.events import Event, EventName, Events
from router.planes.pretend import PretendWorker
from router.ports import Target
from tests.contracts.test_fleet import step, whole
from tests.control.workers import SocketWorker

PATIENCE = 20.0

Line = dict[str, Any]


class Room:
    """A state directory, a fleet of one, and everything it told."""

    def __init__(self, state: Path) -> None:
        (state / "workers").mkdir()
        self.state = state
        self.heard: list[Event] = []
        self.clock = SystemClock()
        self.events = Events(self.clock.now, self.heard.append)
        self.fleet = WorkerFleet(state, 1, self.clock, self.events)

    def said(self, name: str) -> list[Event]:
        return [event for event in self.heard if event.name == name]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path)
    running = asyncio.create_task(made.fleet.run())
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def worker(room: Room) -> AsyncIterator[SocketWorker]:
    made = SocketWorker(room.state, 0)
    await made.start()
    yield made
    await made.stop()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


class Script:
    """A worker that says exactly what the test wants, one connection after the other."""

    def __init__(self, path: Path, answer: Callable[[Line], Line | None], hello: Line | None = None) -> None:
        self.path = path
        self.answer = answer
        self.hello = hello or {"op": "hello", "worker": 0, "pid": 1, "revision": 0, "hash": ""}
        self.got: list[Line] = []
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._talk, str(self.path), limit=channel.MAX_LINE)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.path.unlink()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(encode(self.hello))
        with suppress(OSError):
            while line := await reader.readline():
                self.got.append(json.loads(line))
                if (answer := self.answer(self.got[-1])) is not None:
                    writer.write(encode(answer))
        writer.close()

    def ops(self) -> list[str]:
        return [line["op"] for line in self.got]


async def settle(room: Room, target: Target) -> None:
    room.fleet.aim(target)
    (answer,) = await room.fleet.confirmed(target, PATIENCE)
    assert answer.ms is not None, answer


async def test_a_worker_that_has_the_target_already_is_sent_nothing(room: Room) -> None:
    """It says so in its hello: a restarted control disturbs nobody."""
    target = whole(4, 10)
    room.fleet.aim(target)
    hello = {"op": "hello", "worker": 0, "pid": 1, "revision": 4, "hash": target.digest}
    async with Script(room.state / "workers" / "0.sock", lambda _: None, hello) as script:
        (answer,) = await room.fleet.confirmed(target, PATIENCE)
        assert answer.ms is not None
        assert [] == [op for op in script.ops() if op != "ping"]


async def test_the_same_number_with_other_content_is_not_the_target(room: Room) -> None:
    """A worker that ran ahead of a store that was put back is brought to what is in force."""
    target = whole(4, 10)
    room.fleet.aim(target)
    hello = {"op": "hello", "worker": 0, "pid": 1, "revision": 4, "hash": "something else"}
    pretended = PretendWorker(0)
    async with Script(room.state / "workers" / "0.sock", lambda line: pretended.take(encode(line)), hello):
        (answer,) = await room.fleet.confirmed(target, PATIENCE)
    assert answer.ms is not None
    assert target.digest == pretended.digest


async def test_a_delta_is_written_behind_a_snapshot_that_is_still_under_way(room: Room) -> None:
    """A rollback does not wait until the worker has taken a large reload in."""
    first = whole(1, 10, 20)
    async with Script(room.state / "workers" / "0.sock", lambda _: None) as script:
        await until(lambda: room.fleet.states()[0].connected)
        room.fleet.aim(first)
        room.fleet.aim(step(first, 2, 0, 20))
        await until(lambda: "delta" in script.ops())
    assert "commit" == [op for op in script.ops() if op != "ping"][-2]


async def test_snapshots_do_not_pile_up_before_a_worker_that_does_not_answer(room: Room) -> None:
    """It holds one; when it answers it gets the newest, and none of those in between."""
    answers = asyncio.Event()
    pretended = PretendWorker(0)

    def answer(line: Line) -> Line | None:
        said = pretended.take(encode(line))
        return said if answers.is_set() else None

    async with Script(room.state / "workers" / "0.sock", answer) as script:
        await until(lambda: room.fleet.states()[0].connected)
        for revision in range(1, 30):
            room.fleet.aim(whole(revision, *range(revision)))
        await until(lambda: "commit" in script.ops())
        assert 1 == script.ops().count("begin")
        answers.set()
        link = room.fleet._links[0]
        link._take({"op": "confirmed", "revision": 1, "hash": whole(1, 0).digest})
        (word,) = await room.fleet.confirmed(whole(29, *range(29)), PATIENCE)
    assert word.revision == 29
    assert 2 == script.ops().count("begin")


async def test_a_refused_delta_is_followed_by_the_whole_snapshot(room: Room, worker: SocketWorker) -> None:
    """Its base was another one than control had thought."""
    first = whole(1, 10)
    await settle(room, first)
    worker.worker.revision = 77
    await settle(room, step(first, 2, 20))
    assert [20] == worker.worker.shares
    assert "base" == room.said(EventName.WORKER_REFUSED)[0].fields["why"]


async def test_a_worker_that_refuses_everything_is_not_sent_the_same_for_ever(room: Room) -> None:
    """Two snapshots of a revision, then it is left alone until the next change; the answer says why."""

    def refuse(line: Line) -> Line | None:
        return {"op": "refused", "revision": line["revision"], "why": "no room"} if line["op"] == "commit" else None

    async with Script(room.state / "workers" / "0.sock", refuse) as script:
        target = whole(1, 10)
        room.fleet.aim(target)
        (word,) = await room.fleet.confirmed(target, 0.5)
        assert (None, "refused revision 1: no room") == (word.ms, word.error)
        assert script.ops().count("begin") <= 1 + channel.SNAPSHOTS_TRIED
        before = script.ops().count("begin")
        room.fleet.aim(whole(2, 20))
        await until(lambda: script.ops().count("begin") > before)
    assert script.connections == 1


@pytest.mark.parametrize(
    "hello",
    [
        {"op": "hello", "worker": 7, "pid": 1, "revision": 0, "hash": ""},
        {"op": "pong"},
        {"op": "hello", "worker": 0},
    ],
    ids=["another worker", "no hello", "half a hello"],
)
async def test_a_stranger_at_the_socket_is_not_a_worker(room: Room, hello: Line) -> None:
    """It is asked again and again, and never counts as connected."""
    async with Script(room.state / "workers" / "0.sock", lambda _: None, hello) as script:
        await until(lambda: script.connections > 2)
        assert not room.fleet.states()[0].connected


@pytest.mark.parametrize("nonsense", [{"op": "confirmed"}, {"no": "op"}], ids=["half an answer", "no op"])
async def test_a_worker_that_talks_nonsense_is_connected_anew(room: Room, nonsense: Line) -> None:
    """And the fleet goes on."""
    async with Script(room.state / "workers" / "0.sock", lambda _: nonsense) as script:
        room.fleet.aim(whole(1, 10))
        await until(lambda: script.connections > 1)
    assert room.said(EventName.WORKER_LOST)


async def test_a_worker_that_falls_silent_is_not_connected(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts and says hello, but answers no ping: nobody may believe that it follows."""
    monkeypatch.setattr(channel, "PING_SECONDS", 0.02)
    monkeypatch.setattr(channel, "SILENCE_SECONDS", 0.1)
    async with Script(room.state / "workers" / "0.sock", lambda _: None) as script:
        await until(lambda: room.said(EventName.WORKER_LOST))
        assert "it does not answer" == room.said(EventName.WORKER_LOST)[0].fields["why"]
        assert "ping" in script.ops()


async def test_a_silent_worker_that_answers_pings_stays_connected(
    room: Room, worker: SocketWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to say is no sign of death, and its last word is recent."""
    monkeypatch.setattr(channel, "PING_SECONDS", 0.02)
    monkeypatch.setattr(channel, "SILENCE_SECONDS", 0.3)
    await until(lambda: room.fleet.states()[0].connected)
    since = room.fleet.states()[0].last_seen
    await until(lambda: room.fleet.states()[0].last_seen > since + 0.6)
    assert not room.said(EventName.WORKER_LOST)


async def test_an_answer_is_found_by_its_question(room: Room, worker: SocketWorker) -> None:
    """`status` comes back to whoever asked; without a worker it is None."""
    assert await room.fleet.ask(0, "status", 0.01) is None
    await until(lambda: room.fleet.states()[0].connected)
    answer = await room.fleet.ask(0, "status", PATIENCE)
    assert answer is not None
    assert worker.worker.pid == answer["pid"]


async def test_each_worker_is_asked_for_what_no_route_takes(room: Room) -> None:
    """And who does not answer says nothing."""
    said = {"op": "unlisted", "found": [["GET", "/a", 200, 3]], "more": 1}
    assert (None,) == await room.fleet.unlisted(0.01)
    answers = {"unlisted": said}
    async with Script(room.state / "workers" / "0.sock", lambda line: answers.get(line["op"])) as script:
        await until(lambda: room.fleet.states()[0].connected)
        assert (said,) == await room.fleet.unlisted(PATIENCE)
        answers.clear()
        assert (None,) == await room.fleet.unlisted(0.01)
        assert 2 == script.ops().count("unlisted")


async def test_a_long_state_directory_is_no_obstacle(tmp_path: Path) -> None:
    """A Unix socket's address has 107 bytes; the folder's descriptor stands for the rest."""
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    room = Room(deep)
    running = asyncio.create_task(room.fleet.run())
    listener = await _listen_below(deep / "workers")
    try:
        target = whole(1, 10)
        room.fleet.aim(target)
        (word,) = await room.fleet.confirmed(target, PATIENCE)
        assert word.ms is not None
    finally:
        listener.close()
        running.cancel()
        await asyncio.wait([running])


async def _listen_below(folder: Path) -> asyncio.Server:
    worker = PretendWorker(0)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(worker.hello()))
        with suppress(OSError):
            while line := await reader.readline():
                if (answer := worker.take(line)) is not None:
                    writer.write(encode(answer))
        writer.close()

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return await asyncio.start_unix_server(talk, f"/proc/self/fd/{descriptor}/0.sock", limit=channel.MAX_LINE)
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------------------------------- the file


async def test_the_file_holds_what_a_worker_begins_with(room: Room, worker: SocketWorker) -> None:
    """Started without control, it runs the last target."""
    target = whole(5, 10, 20)
    room.fleet.aim(target)
    await until((room.state / "snapshot.ndjson").exists)
    await worker.stop()
    await worker.start(with_file=True)
    assert (5, target.digest) == (worker.worker.revision, worker.worker.digest)


async def test_only_the_newest_target_is_written(tmp_path: Path) -> None:
    """A burst of changes is one write; the end of the process writes what is missing."""
    file = SnapshotFile(tmp_path / "snapshot.ndjson", Events(lambda: 0.0))
    for revision in range(1, 20):
        file.want(whole(revision, revision))
    await file.finish()
    assert whole(19, 19).snapshot == (tmp_path / "snapshot.ndjson").read_bytes()


async def test_a_disk_that_is_full_is_said_once_and_tried_again(
    room: Room, worker: SocketWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers follow all the same; the old file stays whole until the new one can be written."""

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    await settle(room, whole(1, 10))
    await until((room.state / "snapshot.ndjson").exists)
    real = channel.replace_file
    monkeypatch.setattr(channel, "replace_file", full)
    await settle(room, whole(2, 20))
    await until(lambda: room.said(EventName.SNAPSHOT_UNWRITABLE))
    assert whole(1, 10).snapshot == (room.state / "snapshot.ndjson").read_bytes()
    monkeypatch.setattr(channel, "replace_file", real)
    newest = replace(whole(3, 30))
    await settle(room, newest)
    await until(lambda: newest.snapshot == (room.state / "snapshot.ndjson").read_bytes())
    assert 1 == len(room.said(EventName.SNAPSHOT_UNWRITABLE))


# ------------------------------------------------------------------------------------------- observations


async def test_a_worker_that_is_slow_misses_observations_and_gets_the_newest(room: Room) -> None:
    """One is under way at a time, so that a worker that stands still costs one line and no more."""
    answers = iter((None, {"op": "health", "ok": True}))
    path = room.state / "workers" / "0.sock"
    async with Script(path, lambda line: next(answers, None) if line["op"] == "health" else {"op": "pong"}) as script:
        await until(lambda: room.fleet.states()[0].connected)
        for part in range(1000):
            room.fleet.observe(Observed({"m http://a:1": part}))
        await until(lambda: "health" in script.ops())
        pings = script.ops().count("ping")
        await until(lambda: script.ops().count("ping") > pings)
        assert [{"m http://a:1": 0}] == [line["levels"] for line in script.got if line["op"] == "health"]
        script.answer = lambda line: {"op": "health", "ok": True} if line["op"] == "ping" else None
        await until(lambda: script.ops().count("health") == 2)
        assert {"m http://a:1": 999} == [line["levels"] for line in script.got if line["op"] == "health"][1]


async def test_a_worker_hears_what_is_observed_before_it_takes_a_snapshot(room: Room) -> None:
    """Else its first requests would go to places that are known to be down."""
    room.fleet.observe(Observed({"m http://a:1": 0}))
    room.fleet.aim(whole(1, 10))
    async with Script(room.state / "workers" / "0.sock", lambda _: None) as script:
        await until(lambda: "commit" in script.ops())
        assert ["health", "begin"] == [op for op in script.ops() if op != "ping"][:2]


async def test_workers_hear_which_routes_are_watched_and_then_what_has_changed(room: Room) -> None:
    """All of it when they connect, however much that is; nothing before anybody has said anything."""
    many = {f"r{number}": Watched(1, 10_000, (1, 2, 3)) for number in range(2 * WATCHED_PER_LINE + 1)}
    path = room.state / "workers" / "0.sock"
    async with Script(path, lambda _: None) as script:
        await until(lambda: room.fleet.states()[0].connected)
        room.fleet.watch(many)
        await until(lambda: 3 == script.ops().count("watch"))
        room.fleet.watch({"r0": Watched(2, 50_000), **{name: many[name] for name in ("r1", "r2")}})
        await until(lambda: 5 == script.ops().count("watch"))
        heard = [line for line in script.got if line["op"] == "watch"]
    assert [True, *[False] * 4] == [line["anew"] for line in heard]
    assert len(many) == sum(len(line["routes"]) for line in heard[:3])
    assert [[["r0", 2, 50_000, []]], []] == [line["routes"] for line in heard[3:]]
    assert many.keys() - {"r0", "r1", "r2"} == {name for line in heard for name in line["gone"]}
    async with Script(path, lambda _: None) as script:
        await until(lambda: "watch" in script.ops())
        (line,) = (line for line in script.got if line["op"] == "watch")
    assert (True, ["r0", "r1", "r2"]) == (line["anew"], sorted(row[0] for row in line["routes"]))


async def test_the_breakers_of_a_route_are_closed_at_every_worker(room: Room, worker: SocketWorker) -> None:
    """And those that have not answered are named."""
    await until(lambda: room.fleet.states()[0].connected)
    assert () == await room.fleet.close_breaker("r0", PATIENCE)
    await worker.stop()
    await until(lambda: not room.fleet.states()[0].connected)
    assert (0,) == await room.fleet.close_breaker("r0", 0.1)


async def test_what_is_under_way_at_places_is_known_when_every_worker_says_so(room: Room) -> None:
    """Exchanges and tunnels by endpoint; one that does not say, or does not answer, makes it unknown."""
    said: list[Line | None] = [
        {"op": "status", "places": {"m http://a:1": [3, 1], "m http://b:1": [0, 2]}},
        {"op": "status", "in_flight": 3},
        None,
    ]
    async with Script(room.state / "workers" / "0.sock", lambda line: said.pop(0) if line["op"] == "status" else None):
        await until(lambda: room.fleet.states()[0].connected)
        assert {"m http://a:1": (3, 1), "m http://b:1": (0, 2)} == await room.fleet.left_at_places(PATIENCE)
        assert await room.fleet.left_at_places(PATIENCE) is None
        assert await room.fleet.left_at_places(0.05) is None


def failure(number: int) -> list[Any]:
    return ["p", 1, 10_000, 3, number, f"r-{number}", 5.0]


def lists(*answers: Line) -> Callable[[Line], Line | None]:
    """A worker with these failures to tell."""
    waiting = list(answers)

    def answer(line: Line) -> Line | None:
        if line["op"] == "failures":
            return {"op": "failures", **(waiting.pop(0) if waiting else {"found": [], "dropped": 0, "more": False})}
        return {"op": "pong"} if line["op"] == "ping" else None

    return answer


async def test_all_failures_of_a_full_list_are_told_and_each_once(room: Room) -> None:
    """A worker has more than fits into one answer: it is asked until it has told everything."""
    first = {"found": [failure(1), failure(2)], "dropped": 7, "more": True}
    last = {"found": [failure(3)], "dropped": 0, "more": False}
    async with Script(room.state / "workers" / "0.sock", lists(first, last)):
        await until(lambda: room.fleet.states()[0].connected)
        assert ([failure(1), failure(2), failure(3)], 7) == await room.fleet.failures(PATIENCE)
        assert ([], 0) == await room.fleet.failures(PATIENCE)


async def test_what_a_slow_worker_tells_late_is_not_lost(room: Room) -> None:
    """It is waited for once; later calls return at once, ask it no more, and bring what it says when it does."""
    slow = asyncio.Event()
    async with Script(room.state / "workers" / "0.sock", lambda _: None) as script:
        await until(lambda: room.fleet.states()[0].connected)
        script.answer = lambda line: slow.set() if line["op"] == "failures" else None
        assert ([], 0) == await room.fleet.failures(0.01)
        await asyncio.wait_for(slow.wait(), PATIENCE)
        began = asyncio.get_running_loop().time()
        assert ([], 0) == await room.fleet.failures(PATIENCE)
        assert asyncio.get_running_loop().time() < began + PATIENCE / 2
        assert 1 == script.ops().count("failures")
        script.answer = lambda _: {"op": "failures", "found": [failure(1)], "dropped": 0, "more": False}
        await until(lambda: room.fleet._failures)
        assert ([failure(1)], 0) == await room.fleet.failures(0.0)


async def test_a_worker_that_always_has_more_is_heard_a_part_at_a_time(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond that the workers keep theirs, and drop what is too much themselves."""
    monkeypatch.setattr(channel, "MOST_FAILURES", 10)
    endless = {"found": [failure(number) for number in range(4)], "dropped": 0, "more": True}
    async with Script(room.state / "workers" / "0.sock", lists(*(endless for _ in range(100)))):
        await until(lambda: room.fleet.states()[0].connected)
        found, _ = await room.fleet.failures(PATIENCE)
        assert (10, 2) == (len(found), len(room.fleet._failures))


async def test_with_a_worker_failures_may_have_died(room: Room, worker: SocketWorker) -> None:
    """So some count as dropped; one that is not there is asked for none."""
    await until(lambda: room.fleet.states()[0].connected)
    assert ([], 0) == await room.fleet.failures(PATIENCE)
    await worker.stop()
    await until(lambda: not room.fleet.states()[0].connected)
    assert ([], 1) == await room.fleet.failures(PATIENCE)
    assert ([], 0) == await room.fleet.failures(PATIENCE)


def tapes(*answers: Line) -> Callable[[Line], Line | None]:
    """A worker with these pieces of a tape."""
    waiting = list(answers)

    def answer(line: Line) -> Line | None:
        return {"op": "tape", "id": line["id"], **waiting.pop(0)} if line["op"] == "tape" and waiting else None

    return answer


async def test_a_tape_is_collected_until_there_is_no_more(room: Room) -> None:
    """Every piece is asked for by the route's name, and under a number of its own."""
    pieces = [{"found": [[1.0, 2, 0, 3]], "dropped": 5, "more": True}, {"found": [[2.0, 2, 1, 3]], "dropped": 0}]
    async with Script(room.state / "workers" / "0.sock", tapes(*pieces)) as script:
        await until(lambda: room.fleet.states()[0].connected)
        assert ([[1.0, 2, 0, 3], [2.0, 2, 1, 3]], 5, 0) == await room.fleet.tape("api", PATIENCE)
        asked = [line for line in script.got if line["op"] == "tape"]
        assert (["api", "api"], 2) == ([line["route"] for line in asked], len({line["id"] for line in asked}))


async def test_a_tape_that_never_ends_is_heard_a_part_at_a_time(room: Room) -> None:
    """What a worker has beyond that it tells the next time."""
    endless = [{"found": [[float(number), 2, 0, 3]], "dropped": 0, "more": True} for number in range(100)]
    async with Script(room.state / "workers" / "0.sock", tapes(*endless)):
        await until(lambda: room.fleet.states()[0].connected)
        assert [channel.MOST_PIECES] * 2 == [len((await room.fleet.tape("api", PATIENCE))[0]) for _ in range(2)]


@pytest.mark.parametrize("answer", [{"found": 5}, {"found": None, "dropped": "x"}, {}])
async def test_a_worker_that_has_no_tape_to_give_is_counted(room: Room, answer: Line) -> None:
    """It is silent, or talks nonsense, or is not there."""
    assert ([], 0, 1) == await room.fleet.tape("api", 0.01)
    async with Script(room.state / "workers" / "0.sock", tapes(answer)):
        await until(lambda: room.fleet.states()[0].connected)
        assert ([], 0, 1) == await room.fleet.tape("api", PATIENCE)
        assert ([], 0, 1) == await room.fleet.tape("api", 0.01)


async def test_a_pretended_worker_has_an_empty_tape(room: Room, worker: SocketWorker) -> None:
    """So tests may ask it."""
    await until(lambda: room.fleet.states()[0].connected)
    assert ([], 0, 0) == await room.fleet.tape("api", PATIENCE)


@pytest.mark.parametrize("found", [None, 5, {}])
async def test_a_worker_that_tells_nonsense_of_failures_is_left(room: Room, found: Any) -> None:
    """And connected to anew."""
    answer = {"found": found, "dropped": 0, "more": False} if found != {} else {"more": True}
    async with Script(room.state / "workers" / "0.sock", lists(answer)) as script:
        await until(lambda: room.fleet.states()[0].connected)
        await room.fleet.failures(0.01)
        await until(lambda: script.connections > 1)


def test_a_worker_that_is_being_started_is_met_at_once_and_one_that_stays_away_seldom() -> None:
    """A rollback given meanwhile waits for it."""
    pauses = [channel.pause(attempt) for attempt in range(1000)]
    quick = pauses.index(channel.GONE)
    assert channel.STARTING == pytest.approx(sum(pauses[:quick]))
    assert {channel.RETRY} == set(pauses[:quick])
    assert {channel.GONE} == set(pauses[quick:])

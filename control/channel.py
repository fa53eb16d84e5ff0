"""The channel to the workers: each listens on a Unix socket, control is their client.

A link connects, hears the worker's hello, brings it to the target and keeps it there.  Deltas are written at once,
one behind the other; a whole snapshot is written only when the worker has answered the one before, so that a worker
that stands still costs one snapshot of memory and no more.  Whatever goes wrong ends the connection; the next hello
says what the worker runs, and that is where the link takes up again.

Beside the workers, the last target is kept as a file: what a worker starts with while control is away.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from control.blocks import replace_file
from router.core.census import Watched
from router.core.observed import Observed
from router.core.wire import MAX_LINE, encode, health_line, watch_lines
from router.events import EventName, Events
from router.ports import Clock, Confirmation, Target, WorkerState

STARTING: Final = 3.0
"""Seconds that a worker takes at most to be started, while it is looked for ..."""
RETRY: Final = 0.02
"""... at intervals of so many, since a rollback given meanwhile waits for it ..."""
GONE: Final = 0.2
"""... and afterwards."""
CONNECT_SECONDS: Final = 1.0
HELLO_SECONDS: Final = 5.0
PING_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 5.0
"""A worker that says nothing for so long, though it is asked, is not connected."""
HELD_BYTES: Final = 4 * 1024 * 1024
"""More than this is not queued for a worker that does not read."""
SNAPSHOTS_TRIED: Final = 2
"""Of one revision, for a worker that refuses it."""
MOST_FAILURES: Final = 4096
"""Failures told at once, which take their time to judge; while more wait the workers keep theirs."""
TAPE_SECONDS: Final = 2.0
"""For a worker's answer to the question for its tape."""
MOST_PIECES: Final = 4
"""Answers to it that are taken at once: a whole tape, and what has come in meanwhile."""
GATHER_SECONDS: Final = 0.05
"""The file is written so long after a change, once for all changes of that time."""


Heard = Callable[[int, Sequence[Mapping[str, Any]]], None]
"""Is told a worker's number and the holds it speaks of."""


def pause(attempt: int) -> float:
    """Seconds between this attempt to connect to a worker, counted from 0, and the next one."""
    return RETRY if attempt * RETRY < STARTING else GONE


class ChannelError(Exception):
    """The other end does not speak as agreed, or not at all."""


@dataclass(eq=False)
class _Wait:
    """A change that waits for the fleet's word."""

    target: Target
    began: float
    heard: dict[int, Confirmation] = field(default_factory=dict)
    all_heard: asyncio.Event = field(default_factory=asyncio.Event)


class WorkerFleet:
    """A `Fleet` over Unix sockets.  `run` does the work; everything else only says what shall be."""

    def __init__(self, state: Path, workers: int, clock: Clock, events: Events, held: Heard | None = None) -> None:
        self._clock = clock
        self._held = held
        self._events = events
        self._folder = os.open(state / "workers", os.O_RDONLY | os.O_DIRECTORY)
        # A socket's address has at most 107 bytes; through the folder's descriptor its path may be as long as it likes.
        paths = [f"/proc/self/fd/{self._folder}/{number}.sock" for number in range(workers)]
        self._links = [_Link(number, path, self) for number, path in enumerate(paths)]
        self._file = SnapshotFile(state / "snapshot.ndjson", events)
        self._waits: set[_Wait] = set()
        self._failures: list[Any] = []
        self._failures_dropped = 0
        self._heard_failures = asyncio.Event()
        self._questions = 0
        self.target: Target | None = None
        self.health = b""
        """The newest observation as a line; empty before the first."""
        self.watched: Mapping[str, Watched] | None = None
        """Routes whose clients the workers count; None: as they did under our predecessor."""

    # -- Fleet --------------------------------------------------------------------------------------

    def aim(self, target: Target) -> None:
        self.target = target
        for link in self._links:
            link.send(target)
        self._file.want(target)

    def observe(self, observed: Observed) -> None:
        self.health = health_line(observed)
        for link in self._links:
            link.send_health()

    def watch(self, watched: Mapping[str, Watched]) -> None:
        """Has the workers count the clients of these routes from now on, and of no others."""
        before, self.watched = self.watched, watched
        known = before or {}
        changed = {name: each for name, each in watched.items() if known.get(name) != each}
        lines = b"".join(watch_lines(changed, known.keys() - watched.keys(), anew=before is None))
        for link in self._links:
            link.tell(lines)

    async def confirmed(self, target: Target, patience: float) -> tuple[Confirmation, ...]:
        wait = _Wait(target, self._clock.elapsed())
        for link in self._links:
            self._note(wait, link.state)
        self._waits.add(wait)
        try:
            await asyncio.wait_for(wait.all_heard.wait(), patience)
        except TimeoutError:
            pass
        finally:
            self._waits.discard(wait)
        return tuple(wait.heard.get(link.state.id) or link.missing() for link in self._links)

    def states(self) -> tuple[WorkerState, ...]:
        return tuple(link.state for link in self._links)

    # -- life ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keeps all links and the file up to date until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._file.run(), name="snapshot-file")
                for link in self._links:
                    group.create_task(link.run(), name=f"worker-{link.state.id}")
        finally:
            await self._file.finish()
            os.close(self._folder)

    async def exchanges(self, request_id: str, patience: float = 1.0) -> tuple[Mapping[str, Any], ...]:
        """What the workers remember of exchanges with this id, newest first; each says which `worker` it was."""
        asking = (self.ask(number, "recent", patience, id=request_id) for number in range(len(self._links)))
        answers = await asyncio.gather(*asking)
        found = [
            {**each, "worker": number}
            for number, answer in enumerate(answers)
            for each in (answer["found"] if answer else ())
        ]
        return tuple(sorted(found, key=lambda each: each["at"], reverse=True))

    async def ask(self, worker: int, op: str, patience: float = 1.0, **more: object) -> Mapping[str, Any] | None:
        """One worker's answer to `{"op": op}`; None when it does not answer in time."""
        return await self._links[worker].ask(op, patience, more)

    async def failures(self, patience: float = 0.1) -> tuple[Sequence[Any], int]:
        """First tries that failed since the last call, and how many more there were, of all workers.

        Each is told once (`router.planes.embedded.failures`).  A worker that does not answer within `patience` delays
        nobody the next time, and what it says comes with a later call.
        """
        asked = [link for link in self._links if len(self._failures) < MOST_FAILURES and link.ask_failures()]
        try:
            async with asyncio.timeout(patience):
                while any(link.owes_failures for link in asked):
                    self._heard_failures.clear()
                    await self._heard_failures.wait()
        except TimeoutError:
            pass
        found, self._failures = self._failures[:MOST_FAILURES], self._failures[MOST_FAILURES:]
        dropped, self._failures_dropped = self._failures_dropped, 0
        return found, dropped

    async def tape(self, route: str | None, patience: float = TAPE_SECONDS) -> tuple[list[Any], int, int]:
        """What legacy has answered on a route since the last call; None: nobody wants to know any more.

        And how many answers more there were, and how many workers gave none within `patience`.
        """
        asking = (self._tape_of(number, route, patience) for number in range(len(self._links)))
        answers = await asyncio.gather(*asking)
        told = [answer for answer in answers if answer is not None]
        found = [row for rows, _ in told for row in rows]
        return found, sum(dropped for _, dropped in told), len(answers) - len(told)

    async def _tape_of(self, worker: int, route: str | None, patience: float) -> tuple[list[Any], int] | None:
        """Of one worker, a bounded number of times; a late answer is known by its number, and is lost."""
        found, dropped = list[Any](), 0
        for _ in range(MOST_PIECES):
            self._questions += 1
            answer = await self.ask(worker, "tape", patience, id=self._questions, route=route)
            if answer is None or not isinstance(rows := answer.get("found"), list):
                return (found, dropped) if found else None
            found += rows
            dropped += answer["dropped"] if isinstance(answer.get("dropped"), int) else 0
            if not answer.get("more"):
                break
        return found, dropped

    async def unlisted(self, patience: float = 1.0) -> tuple[Mapping[str, Any] | None, ...]:
        """What each worker was asked for that no route takes; None where one does not answer in time."""
        return tuple(
            await asyncio.gather(*(self.ask(number, "unlisted", patience) for number in range(len(self._links))))
        )

    async def close_breaker(self, route: str, patience: float = 1.0) -> tuple[int, ...]:
        """Has the workers close their breakers of a route; those that have not answered in time."""
        asking = (self.ask(number, "breaker", patience, route=route, do="close") for number in range(len(self._links)))
        answers = await asyncio.gather(*asking)
        return tuple(number for number, answer in enumerate(answers) if answer is None)

    async def left_at_places(self, patience: float = 1.0) -> Mapping[str, tuple[int, int]] | None:
        """Exchanges and tunnels under way by endpoint, all workers together; None when not all of them say."""
        asking = [self.ask(link.state.id, "status", patience) for link in self._links if link.state.connected]
        total: dict[str, tuple[int, int]] = {}
        for answer in await asyncio.gather(*asking):
            if answer is None or "places" not in answer:
                return None
            for key, (exchanges, tunnels) in answer["places"].items():
                before = total.get(key, (0, 0))
                total[key] = (before[0] + exchanges, before[1] + tunnels)
        return total

    # -- what links tell ----------------------------------------------------------------------------

    def says(self, state: WorkerState) -> None:
        """A worker has said what it has in force."""
        for wait in tuple(self._waits):
            self._note(wait, state)

    def holds(self, worker: int, messages: Sequence[Mapping[str, Any]]) -> None:
        """A worker says what it was told to hold while nobody was here (`router.core.hold`)."""
        if self._held is not None and messages:
            self._held(worker, messages)

    def failed(self, found: Sequence[Any], dropped: int) -> bool:
        """A worker tells which first tries have failed; is there room for more?"""
        self._failures += found
        self._failures_dropped += dropped
        self._heard_failures.set()
        return len(self._failures) < MOST_FAILURES

    def tell(self, name: str, **fields: object) -> None:
        self._events.tell(name, **fields)

    def now(self) -> float:
        return self._clock.now()

    def _note(self, wait: _Wait, state: WorkerState) -> None:
        if state.id not in wait.heard and state.connected and self._has(state, wait.target):
            ms = round((self._clock.elapsed() - wait.began) * 1000, 3)
            wait.heard[state.id] = Confirmation(state.id, state.revision, ms)
            if len(wait.heard) == len(self._links):
                wait.all_heard.set()

    def _has(self, state: WorkerState, target: Target) -> bool:
        """Exactly this, or a later target, which was made from this one."""
        if (state.revision, state.hash) == (target.revision, target.digest):
            return True
        latest = self.target
        return (
            latest is not None
            and target.revision < latest.revision
            and (state.revision, state.hash) == (latest.revision, latest.digest)
        )


class _Link:
    """One worker: its connection as long as there is one, and what is known of it."""

    def __init__(self, number: int, path: str, fleet: WorkerFleet) -> None:
        self.state = WorkerState(number)
        self._path = path
        self._fleet = fleet
        self._writer: asyncio.StreamWriter | None = None
        self._sent = 0
        """The revision that the worker has once it has taken everything that was written."""
        self._snapshot_under_way = False
        self._trouble = ""
        self._refused: tuple[int, int] = (0, 0)
        """A revision, and how often it was refused in a row."""
        self._health_sent = b""
        """The observation that was written last; the next one waits until the worker has answered it."""
        self._health_under_way = False
        self.owes_failures = False
        """It was asked for its failures and has not answered."""
        self._answers: dict[tuple[str, object], list[asyncio.Future[Mapping[str, Any]]]] = {}

    # -- sending ------------------------------------------------------------------------------------

    def send(self, target: Target) -> None:
        """Brings the worker to the target; while a snapshot is under way or nobody listens, later."""
        writer = self._writer
        if writer is None or self._sent == target.revision or writer.transport.get_write_buffer_size() > HELD_BYTES:
            return
        if target.base is not None and target.base == self._sent:
            writer.write(target.delta)
        elif self._snapshot_under_way:
            return
        else:
            self._snapshot_under_way = True
            writer.write(target.snapshot)
        self._sent = target.revision

    def send_health(self) -> None:
        """Tells the worker what is observed, unless it knows; one at a time, so that a slow worker misses some."""
        writer, line = self._writer, self._fleet.health
        if writer is not None and not self._health_under_way and line != self._health_sent:
            self._health_sent, self._health_under_way = line, True
            writer.write(line)

    def tell(self, lines: bytes) -> None:
        """What needs no answer; whoever is not connected hears all of it once he is."""
        if self._writer is not None:
            self._writer.write(lines)

    def ask_failures(self) -> bool:
        """Asks the worker for its failures; False: there is nobody, or it has yet to answer the last time."""
        if self._writer is None or self.owes_failures:
            return False
        self.owes_failures = True
        self._writer.write(encode({"op": "failures"}))
        return True

    def missing(self) -> Confirmation:
        why = self._trouble or ("it has not answered" if self.state.connected else "not connected")
        return Confirmation(self.state.id, self.state.revision, None, why)

    async def ask(self, op: str, patience: float, more: Mapping[str, object]) -> Mapping[str, Any] | None:
        if self._writer is None:
            return None
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        question = (op, more.get("id"))
        self._answers.setdefault(question, []).append(answer)
        self._writer.write(encode({"op": op, **more}))
        try:
            return await asyncio.wait_for(answer, patience)
        except TimeoutError:
            waiting = self._answers.get(question, [])
            if answer in waiting:
                waiting.remove(answer)
            if not waiting:
                self._answers.pop(question, None)
            return None

    # -- life ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        attempt = 0
        while True:
            try:
                await self._connected()
            except (OSError, EOFError, ValueError, KeyError, TypeError, TimeoutError, ChannelError) as error:
                if self.state.connected:
                    attempt = 0
                    self._fleet.tell(EventName.WORKER_LOST, worker=self.state.id, pid=self.state.pid, why=_why(error))
                self._lost()
            await asyncio.sleep(pause(attempt))
            attempt += 1

    async def _connected(self) -> None:
        opening = asyncio.open_unix_connection(self._path, limit=MAX_LINE)
        reader, writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
        try:
            hello = await asyncio.wait_for(_message(reader), HELLO_SECONDS)
            self._greeted(hello, writer)
            async with asyncio.timeout(SILENCE_SECONDS) as silence:
                await self._converse(reader, writer, silence)
        finally:
            self._writer = None
            writer.transport.abort()

    def _greeted(self, hello: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        if hello["op"] != "hello" or hello["worker"] != self.state.id:
            raise ChannelError(f"worker {self.state.id} was expected, and this was said: {hello}")
        self._heard(hello["revision"], hello["hash"], pid=hello["pid"])
        self._fleet.holds(self.state.id, hello.get("holds", ()))
        self._snapshot_under_way = False
        self._health_sent, self._health_under_way = b"", False
        self.owes_failures = False
        self._writer = writer
        self.send_health()  # before the snapshot: it is placed by what is known
        if self._fleet.watched is not None:
            self.tell(b"".join(watch_lines(self._fleet.watched, (), anew=True)))
        target = self._fleet.target
        same = target is not None and (self.state.revision, self.state.hash) == (target.revision, target.digest)
        self._sent = self.state.revision if same else 0
        self._fleet.tell(
            EventName.WORKER_CONNECTED, worker=self.state.id, pid=self.state.pid, revision=self.state.revision
        )
        if target is not None:
            self.send(target)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence: asyncio.Timeout
    ) -> None:
        loop = asyncio.get_running_loop()
        ping = loop.create_task(_ping(writer), name=f"ping-{self.state.id}")
        try:
            while True:
                self._take(await _message(reader))
                silence.reschedule(loop.time() + SILENCE_SECONDS)
        finally:
            ping.cancel()

    def _take(self, message: Mapping[str, Any]) -> None:
        match message["op"]:
            case "confirmed":
                self._refused = (0, 0)
                self._heard(message["revision"], message["hash"])
                self._catch_up()
            case "refused":
                self._was_refused(message)
            case "health":
                self._seen()
                self._health_under_way = False
                self.send_health()
            case "holds":
                self._seen()
                self._fleet.holds(self.state.id, message["holds"])
            case "failures":
                self._seen()
                self.owes_failures = False
                if self._fleet.failed(message["found"], message["dropped"]) and message["more"]:
                    self.ask_failures()
            case op:
                self._seen()
                for answer in self._answers.pop((op, message.get("id")), []):
                    if not answer.done():
                        answer.set_result(message)

    def _heard(self, revision: int, digest: str, pid: int | None = None) -> None:
        known = self.state.pid if pid is None else pid
        self.state = WorkerState(self.state.id, known, revision, digest, connected=True, last_seen=self._fleet.now())
        self._trouble = ""
        self._fleet.says(self.state)

    def _seen(self) -> None:
        now = self.state
        self.state = WorkerState(now.id, now.pid, now.revision, now.hash, now.connected, self._fleet.now())

    def _catch_up(self) -> None:
        """A snapshot has been answered: what was held back meanwhile can follow."""
        if self._snapshot_under_way and self.state.revision >= self._sent:
            self._snapshot_under_way = False
        target = self._fleet.target
        if target is not None:
            self.send(target)

    def _was_refused(self, message: Mapping[str, Any]) -> None:
        """A delta whose base the worker does not have, or something it cannot take.

        It gets the whole snapshot of what is wanted now; refused again, it stays as it is until the next change.
        """
        revision, why = message["revision"], message["why"]
        self._seen()
        self._trouble = f"refused revision {revision}: {why}"
        self._fleet.tell(EventName.WORKER_REFUSED, worker=self.state.id, revision=revision, why=why)
        times = self._refused[1] + 1 if self._refused[0] == revision else 1
        self._refused = (revision, times)
        self._snapshot_under_way = False
        target = self._fleet.target
        if target is not None and times <= SNAPSHOTS_TRIED:
            self._sent = 0
            self.send(target)

    def _lost(self) -> None:
        now = self.state
        if now.connected:
            self._fleet.failed((), 1)  # what it knew may have died with it
        self.state = WorkerState(now.id, now.pid, now.revision, now.hash, connected=False, last_seen=now.last_seen)


async def _message(reader: asyncio.StreamReader) -> Mapping[str, Any]:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the worker closed the connection")
    message: Mapping[str, Any] = json.loads(line)
    return message


async def _ping(writer: asyncio.StreamWriter) -> None:
    while True:
        await asyncio.sleep(PING_SECONDS)
        writer.write(encode({"op": "ping"}))


def _why(error: BaseException) -> str:
    return "it does not answer" if isinstance(error, TimeoutError) else str(error) or repr(error)


class SnapshotFile:
    """The last target on disk; written in a thread, the newest one only."""

    def __init__(self, path: Path, events: Events) -> None:
        self._path = path
        self._events = events
        self._wanted: Target | None = None
        self._written: Target | None = None
        self._changed = asyncio.Event()
        self._failing = False

    def want(self, target: Target) -> None:
        self._wanted = target
        self._changed.set()

    async def run(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._changed.clear()
            if not await self._save():
                await asyncio.sleep(1)
                self._changed.set()

    async def finish(self) -> None:
        """Writes what is still missing."""
        if self._wanted is not self._written:
            await asyncio.shield(self._save())

    async def _save(self) -> bool:
        target = self._wanted
        if target is None:
            return True
        try:
            await asyncio.to_thread(lambda: replace_file(self._path, target.snapshot))
        except OSError as error:
            if not self._failing:
                self._events.tell(EventName.SNAPSHOT_UNWRITABLE, path=str(self._path), why=str(error))
            self._failing = True
            return False
        self._failing = False
        self._written = target
        return True

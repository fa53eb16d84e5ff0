"""How a worker is told what to route by: lines of JSON over its own Unix socket (`router.core.wire`).

The worker is the server, so that control, its successor, and in an emergency an operator's command can all reach it,
and none of them has to be alive for it to work.  Lines are taken one per turn of the event loop: a snapshot of any
size never holds up requests for longer than one line takes.

A hold (`router.core.hold`) is the one thing that a worker knows by itself: it lies on top of every snapshot until
control has adopted it.  What control sent stays known underneath, since deltas speak of that.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections import deque
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from router.core.hold import Hold, hold_of, kept, left, message_of, reached
from router.core.wire import MAX_LINE, encode, observed_from_message, watch_from_message
from router.planes.embedded import holds as on_disk
from router.planes.embedded.complaints import complain
from router.planes.embedded.snapshot import Receiver, Snapshot, WireError
from router.telemetry import WorkerSlot

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from router.core.census import Watched
    from router.core.observed import Observed
    from router.planes.embedded.plane import Plane

_MOST_LINES: Final = 100_000
"""Lines that may wait to be taken; the sender of more is cut off."""
_WATCH_SECONDS: Final = 1.0
_HOLD: Final = b'"op":"hold"'
_RECENT: Final = b'"op":"recent"'
_HEALTH: Final = b'"op":"health"'
_WATCH: Final = b'"op":"watch"'
_BREAKER: Final = b'"op":"breaker"'
_FAILURES: Final = b'"op":"failures"'
_UNLISTED: Final = b'"op":"unlisted"'
_TAPE: Final = b'"op":"tape"'
_DISK_PATIENCE: Final = 0.5
"""Seconds that the answer to a hold waits for the disk; the hold is in force meanwhile."""


class Taker:
    """Takes snapshot lines into a plane and says how that went."""

    def __init__(self, plane: Plane, number: int, ready: Callable[[], None], holds: Path | None = None) -> None:
        self._plane = plane
        self._ready = ready
        self.number = number
        self.senders: set[ChannelConnection] = set()
        self._base: Snapshot | None = None
        """The newest snapshot as control computed it, without our own holds."""
        self._holds: tuple[Hold, ...] = () if holds is None else on_disk.read(holds)
        self._folder = holds

    def hello(self) -> dict[str, Any]:
        """What the worker says first."""
        revision, digest = self.in_force()
        said = {"op": "hello", "worker": self.number, "pid": os.getpid(), "revision": revision, "hash": digest}
        return said | ({"holds": list(map(message_of, self._holds))} if self._holds else {})

    def in_force(self) -> tuple[int, str]:
        """Revision and hash in force; 0 and empty before the first snapshot."""
        plane = self._plane
        return (plane.snapshot.revision, plane.snapshot.digest) if plane.ready else (0, "")

    def current(self) -> Snapshot | None:
        """The snapshot that deltas speak of, if any."""
        return self._base or (self._plane.snapshot if self._plane.ready else None)

    def receiver(self) -> Receiver:
        """A receiver for one sender's lines."""
        return Receiver(self._plane.pools)

    def adopt(self, snapshot: Snapshot, slots: int) -> Snapshot:
        """Put a finished snapshot in force, under what is held; returns what is in force then."""
        first = not self._plane.ready
        self._plane.counters.grow(slots)
        holds = left(self._holds, snapshot.adopted)
        held = snapshot.under(holds)
        self._plane.adopt(held)
        self._base, self._holds = snapshot, holds
        if slots:
            gc.freeze()  # a table is thousands of objects that live long: keep the collector off them
        if first:
            self._ready()
        return held

    def hold(self, hold: Hold) -> tuple[Hold, bool]:
        """Legacy for its scope from now on; the hold that does it, and whether it did before.

        Raises ValueError when it names nothing here, or when there are too many.
        """
        base = self.current()
        if base is not None:
            sites = {site for upstream in base.settings.upstreams.values() for site in upstream.sites if site}
            if not reached(hold.scope, [entry.route for entry in base.entries], sites):
                raise ValueError(f"{hold.scope} names nothing that this worker knows")
        after = kept(self._holds, hold)
        if base is not None and not after.already:
            self._plane.adopt(base.under(after.holds))
        self._holds = after.holds
        return after.hold, after.already

    def observe(self, observed: Observed) -> None:
        """Place by what control has seen."""
        self._plane.observe(observed)

    def watch_routes(self, changed: Mapping[str, Watched], gone: Iterable[str], *, anew: bool) -> None:
        """Count the clients of these routes."""
        self._plane.watch(changed, gone, anew=anew)

    def close_breaker(self, name: str) -> bool:
        """The new side of a route is well, says a person; False when there is no such route."""
        return self._plane.close_breaker(name)

    def failures(self) -> dict[str, Any]:
        """First tries that have failed since somebody asked last."""
        return self._plane.failures.take()

    def tape(self, route: str | None) -> dict[str, Any]:
        """What legacy has answered on a route since somebody asked last."""
        return self._plane.tape(route)

    def unlisted(self) -> dict[str, Any]:
        """What was asked for that no route of the table in force takes."""
        return self._plane.unlisted.view()

    async def watch(self) -> None:
        """Also holds what another worker was told while this one stood still.  Runs until it is cancelled.

        The disk is looked at in a thread: one that hangs must not stop requests.
        """
        seen = 0
        while self._folder is not None:
            changed = await asyncio.to_thread(on_disk.changed, self._folder)
            if changed != seen:
                seen = changed
                for hold in await asyncio.to_thread(on_disk.read, self._folder):
                    self._catch_up(hold)
            await asyncio.sleep(_WATCH_SECONDS)

    def _catch_up(self, hold: Hold) -> None:
        base = self.current()
        if base is None or hold.id not in base.adopted:
            try:
                self.hold(hold)
            except ValueError as error:
                complain(f"worker {self.number}: {hold.id}: {error}")

    async def keep(self, hold: Hold) -> bool:
        """Write it where our successor finds it; False when the disk cannot, or not yet."""
        if self._folder is None:
            return False
        try:
            await asyncio.wait_for(asyncio.to_thread(on_disk.write, self._folder, hold), _DISK_PATIENCE)
        except (OSError, TimeoutError) as error:
            complain(f"worker {self.number}: {hold.id} is kept in memory only: {error!r}")
            return False
        return True

    def spread(self, hold: Hold, sender: ChannelConnection) -> None:
        """Tell the others that are connected: control among them has to adopt it."""
        for other in tuple(self.senders):
            if other is not sender:
                other.send({"op": "holds", "holds": [message_of(hold)]})

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """A task that the plane waits for at its end."""
        self._plane.spawn(work, name)

    def status(self) -> dict[str, Any]:
        """What the worker is doing."""
        plane = self._plane
        revision, digest = self.in_force()
        return {
            "op": "status",
            "worker": self.number,
            "pid": os.getpid(),
            "revision": revision,
            "hash": digest,
            "connections": len(plane.clients),
            "in_flight": plane.active,
            "tunnels": len(plane.tunnels),
            "draining": plane.draining,
            "holds": [hold.id for hold in self._holds],
            "places": plane.left_at_places() if plane.ready else {},
        }

    def recent(self, request_id: str) -> list[dict[str, Any]]:
        """The newest exchanges with this id."""
        return self._plane.recent.find(request_id.encode("latin-1", "replace"))

    def note_stall(self, seconds: float) -> None:
        """Remember the longest turn of the loop that a line has cost."""
        slots = self._plane.counters.slots
        slots[WorkerSlot.LONGEST_STALL_US] = max(slots[WorkerSlot.LONGEST_STALL_US], int(seconds * 1_000_000))


class ChannelConnection(asyncio.Protocol):
    """One sender of lines."""

    transport: asyncio.Transport

    def __init__(self, taker: Taker) -> None:
        self._taker = taker
        self._receiver = taker.receiver()
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._lines: deque[bytes] = deque()
        self._began = 0.0
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream transport is one
        self._taker.senders.add(self)
        self.send(self._taker.hello())

    def data_received(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = b"".join((*self._partial, whole[0]))
            self._partial = []
            self._partial_size = 0
        if rest:
            self._partial.append(rest)
            self._partial_size += len(rest)
        if self._partial_size > MAX_LINE or len(self._lines) + len(whole) > _MOST_LINES:
            self.send({"op": "refused", "revision": 0, "why": "too much"})
            self.transport.close()
            return
        idle = not self._lines
        self._lines.extend(whole)
        if idle and self._lines:
            self._loop.call_soon(self._turn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._taker.senders.discard(self)
        self._lines.clear()

    def _turn(self) -> None:
        """Take one line; the next one has to wait for the loop's next turn."""
        if not self._lines:
            return
        began = perf_counter()
        try:
            self._handle(self._lines.popleft() + b"\n")
        finally:
            if self._lines:
                self._loop.call_soon(self._turn)
            self._taker.note_stall(perf_counter() - began)

    def _handle(self, line: bytes) -> None:
        if line.startswith(b'{"op":"ping"'):
            self.send({"op": "pong"})
        elif line.startswith(b'{"op":"status"'):
            self.send(self._taker.status())
        elif _HOLD in line:
            self._hold(line)
        elif _RECENT in line:
            self._recent(line)
        elif _HEALTH in line:
            self._health(line)
        elif line.startswith(b"{" + _FAILURES):
            self.send({"op": "failures"} | self._taker.failures())
        elif line.startswith(b"{" + _UNLISTED):
            self.send({"op": "unlisted"} | self._taker.unlisted())
        elif _TAPE in line:
            self._tape(line)
        elif _WATCH in line:
            self._watch(line)
        elif _BREAKER in line:
            self._breaker(line)
        else:
            self._take(line)

    def _take(self, line: bytes) -> None:
        if not self._began:
            self._began = perf_counter()
        try:
            snapshot = self._receiver.take(line, self._taker.current())
            if snapshot is None:
                return
            slots, self._receiver.slots = self._receiver.slots, 0
            held = self._taker.adopt(snapshot, slots)
        except (WireError, OSError, MemoryError) as error:  # the disk may have no room for the counters
            self._began = 0.0
            self.send({"op": "refused", "revision": _revision(line), "why": str(error) or type(error).__name__})
            return
        milliseconds = round((perf_counter() - self._began) * 1000, 3)
        self._began = 0.0
        self.send({"op": "confirmed", "revision": held.revision, "hash": held.digest, "ms": milliseconds})

    def _hold(self, line: bytes) -> None:
        """In force at once; answered when it is on disk as well, or the disk has had its time."""
        began = perf_counter()
        try:
            hold = hold_of(json.loads(line))
            inforce, already = self._taker.hold(hold)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            self.send({"op": "refused", "revision": 0, "why": str(error)})
            return
        milliseconds = round((perf_counter() - began) * 1000, 3)
        self._taker.run(self._held(inforce, milliseconds, already=already), name="hold")

    async def _held(self, hold: Hold, milliseconds: float, *, already: bool) -> None:
        self._taker.spread(hold, self)
        written = await self._taker.keep(hold)
        revision, digest = self._taker.in_force()
        answer = {"op": "held", "id": hold.id, "revision": revision, "hash": digest, "ms": milliseconds}
        self.send({**answer, "already": already, "written": written})

    def _health(self, line: bytes) -> None:
        """What control has seen of the endpoints."""
        try:
            self._taker.observe(observed_from_message(json.loads(line)))
        except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
            self.send({"op": "refused", "revision": 0, "why": f"malformed: {error}"})
            return
        self.send({"op": "health", "ok": True})

    def _watch(self, line: bytes) -> None:
        """Which routes a rollout watches; no answer, since nobody waits for it."""
        try:
            changed, gone, anew = watch_from_message(json.loads(line))
            self._taker.watch_routes(changed, gone, anew=anew)
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            self.send({"op": "refused", "revision": 0, "why": f"malformed: {error}"})

    def _tape(self, line: bytes) -> None:
        """What legacy answers on a route; with the question's id, so that a late answer is not taken for the next."""
        try:
            question = json.loads(line)
            number, route = int(question["id"]), question["route"]
            found = self._taker.tape(None if route is None else str(route))
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            self.send({"op": "refused", "revision": 0, "why": f"malformed: {error}"})
            return
        self.send({"op": "tape", "id": number} | found)

    def _breaker(self, line: bytes) -> None:
        """A person closes a breaker."""
        try:
            name = json.loads(line)["route"]
            found = self._taker.close_breaker(name)
        except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
            self.send({"op": "refused", "revision": 0, "why": f"malformed: {error}"})
            return
        self.send({"op": "breaker", "ok": found, "route": name})

    def _recent(self, line: bytes) -> None:
        """Which exchanges had this id; the answer carries it too, since several may be asked for at once."""
        try:
            wanted = json.loads(line)["id"]
            found = self._taker.recent(wanted)
        except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
            self.send({"op": "refused", "revision": 0, "why": f"malformed: {error}"})
            return
        self.send({"op": "recent", "id": wanted, "found": found})

    def send(self, message: dict[str, Any]) -> None:
        self.transport.write(encode(message))


def _revision(line: bytes) -> int:
    """The revision that a refused line spoke of, if that can still be read."""
    try:
        return int(json.loads(line).get("revision", 0))
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        return 0

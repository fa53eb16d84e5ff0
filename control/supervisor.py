"""The parent: opens the listening sockets, starts control and the workers, and starts again whichever dies.

It knows no routes and takes no part in traffic, so there is little in it that could fail.  Because the sockets are
its own, the queue of a worker that dies stays, and the next worker takes it over; the same holds for the admin
address and control.  One parent owns a state directory at a time.  When the parent itself is killed, control dies
with it and the workers drain.

    SIGTERM, SIGINT, SIGHUP     workers stop accepting, finish and end; then control; a second one ends all at once
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from control import logs
from control.auth.tokens import FILE as TOKENS
from control.blocks import replace_file
from control.closed import close_to_others
from control.options import Options
from control.override_key import make_key
from router.core.census import AREA, AREAS
from router.events import EventName, Events
from router.hardening import harden

__all__ = ["Options", "run"]

EXIT_REFUSED: Final = 78
"""Control's way to say that there is nothing to put in force and no use in trying again (EX_CONFIG)."""
BACKLOG: Final = 4096
YOUNG_SECONDS: Final = 10.0
"""A process that dies younger than this is started again more and more slowly."""
DELAY_SECONDS: Final = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
KILL_SECONDS: Final = 2.0
"""What a worker may take beyond the drain time, and control altogether, before it is killed."""
PORT_SECONDS: Final = 1.0
"""How long a port may be held by a predecessor that is on its way out."""
_PR_SET_PDEATHSIG: Final = 1


class CannotStart(Exception):
    """One clear line for whoever started the router."""


# ------------------------------------------------------------------------------------------------- sockets


def parse_address(text: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """`127.0.0.1:8080`, `[::1]:8080` or `:8080`; raises CannotStart for anything else."""
    host, colon, port = text.rpartition(":")
    host = {"": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, host)
    if colon and port.isdecimal() and int(port) < 65536:
        for family, shown in ((socket.AF_INET, host), (socket.AF_INET6, host[1:-1])):
            if family is socket.AF_INET6 and not (host.startswith("[") and host.endswith("]")):
                continue
            try:
                socket.inet_pton(family, shown)
            except (OSError, ValueError):
                continue
            return family, (shown, int(port))
    raise CannotStart(f"{text!r} is no address; write one like 127.0.0.1:8080 or [::1]:8080")


def show_address(address: tuple[Any, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_sockets(text: str, count: int, option: str) -> list[socket.socket]:
    """Listening sockets that share one address; each has a queue of its own."""
    family, address = parse_address(text)
    try:
        _wait_until_free(family, address)
        first = _listening(family, address)
        return [first, *(_listening(family, first.getsockname()) for _ in range(count - 1))]
    except OSError as error:
        raise CannotStart(f"cannot listen on {text}: {error.strerror}; choose another address with {option}") from error


def _wait_until_free(family: socket.AddressFamily, address: tuple[str, int]) -> None:
    """Sharing a port is for our own workers: another router that listens there must not go unnoticed."""
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError:
                if time.monotonic() > deadline:
                    raise
            else:
                return
        time.sleep(0.05)


def _listening(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family is socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


# ------------------------------------------------------------------------------------------------ children


def dies_with_parent(number: int) -> Callable[[], None]:
    """What a child does first: ask the kernel for a signal when the parent is gone, however it went."""
    parent, prctl = os.getpid(), ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it went between fork and here
            os._exit(1)

    return ask


@dataclass(slots=True)
class Child:
    """One place that a process fills, again and again."""

    name: str
    command: Callable[[], tuple[Sequence[str], Sequence[int]]]
    """The command line and the descriptors that it inherits."""
    on_parents_death: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    """In a row, each at a young age."""
    due: float | None = None
    """When it shall be started; None: it runs, or shall not run."""

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def start(self, now: float) -> None:
        command, descriptors = self.command()
        self.started, self.due = now, None
        # A group of its own keeps the terminal's Ctrl-C away from it: the parent says when to stop.
        self.process = subprocess.Popen(  # noqa: S603  our own modules
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            process_group=0,
            preexec_fn=dies_with_parent(self.on_parents_death),  # noqa: PLW1509  the parent has one thread only
        )

    def ended(self) -> int | None:
        """Its exit code, once, when it has ended."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        return code

    def start_again(self, now: float) -> float:
        """Makes it due once more; the delay."""
        self.deaths = self.deaths + 1 if now - self.started < YOUNG_SECONDS else 0
        delay = DELAY_SECONDS[min(max(self.deaths - 1, 0), len(DELAY_SECONDS) - 1)]
        self.due = now + delay
        return delay

    def signal(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)


# -------------------------------------------------------------------------------------------------- parent


@dataclass
class Parent:
    """The router as a family of processes."""

    options: Options
    listeners: list[socket.socket]
    admin: socket.socket
    events: Events
    signals: int
    """Becomes readable when a signal has come."""
    wanted: list[int] = field(default_factory=list)
    """Signals to stop that have come, oldest first."""
    began: float = field(default_factory=time.time)
    was_ready: bool = False

    def __post_init__(self) -> None:
        self.census = _shared_memory(AREAS * AREA)
        """In it the workers mark whom they have seen."""
        self.ready, self.tell_ready = os.pipe()  # every control in turn says on it that it serves
        self.control = Child("control", self._control_command, signal.SIGKILL)
        self.workers = [
            Child(f"worker-{number}", self._worker_command(number), signal.SIGTERM)
            for number in range(self.options.workers)
        ]

    def run(self) -> int:
        """Until it is told to stop; the exit code."""
        now = time.monotonic()
        self.control.due = now
        if (self.options.state / "snapshot.ndjson").exists():
            self._start_workers(now)
        while not self.wanted:
            self._start_due()
            self._wait()
            if not self._bury():
                self._end(self.workers, signal.SIGTERM, KILL_SECONDS)
                return 1
        self._drain()
        return 0

    # -- life ---------------------------------------------------------------------------------------

    def _start_workers(self, now: float) -> None:
        for worker in self.workers:
            if worker.process is None and worker.due is None:
                worker.due = now

    def _start_due(self) -> None:
        now = time.monotonic()
        started = [child for child in self._children() if child.due is not None and child.due <= now]
        for child in started:
            child.start(now)
            self.events.tell(EventName.CHILD_STARTED, process=child.name, pid=child.pid)
        if started:
            self._write_run_file()

    def _bury(self) -> bool:
        """Looks after the dead; False when it is of no use to go on."""
        now = time.monotonic()
        for child in self._children():
            if (code := child.ended()) is None:
                continue
            if child is self.control and code == EXIT_REFUSED and not self.was_ready:
                return False
            delay = child.start_again(now)
            self.events.tell(EventName.CHILD_DIED, process=child.name, how=_how(code), again_in=delay)
        return True

    def _wait(self) -> None:
        due = [child.due for child in self._children() if child.due is not None]
        timeout = None if not due else max(0.0, min(due) - time.monotonic())
        readable, _, _ = select.select([self.signals, self.ready], [], [], timeout)
        if self.signals in readable:
            os.read(self.signals, 4096)
        if self.ready in readable:
            os.read(self.ready, 4096)
            self._is_ready()

    def _is_ready(self) -> None:
        self._start_workers(time.monotonic())
        if not self.was_ready:
            self.was_ready = True
            workers = f"{len(self.workers)} worker{'s' if len(self.workers) > 1 else ''}"
            listen, admin = self.options.listen, self.options.admin
            scheme = "https" if self.options.tls_cert else "http"
            print(f"strangler: listening on http://{listen}, admin on {scheme}://{admin}, {workers}", flush=True)

    def _drain(self) -> None:
        self.events.tell(EventName.DRAINING, signal=signal.Signals(self.wanted[0]).name, seconds=self.options.drain)
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        for listener in self.listeners:  # the workers' copies are the last ones now
            listener.close()
        self._end(self.workers, signal.SIGTERM, self.options.drain + KILL_SECONDS)
        self._end([self.control], signal.SIGTERM, KILL_SECONDS, heeded=len(self.wanted))

    def _end(self, children: Sequence[Child], number: int, patience: float, *, heeded: int = 1) -> None:
        """Signals, waits, and kills what is left; a signal to stop beyond those `heeded` cuts the waiting short.

        The caller says how many were heeded: counted here, one that came a moment ago would be taken for an old one.
        """
        for child in children:
            child.signal(number)
        deadline = time.monotonic() + patience
        while any(child.ended() is None and child.process is not None for child in children):
            left = deadline - time.monotonic()
            if left <= 0 or len(self.wanted) > heeded:
                for child in children:
                    child.signal(signal.SIGKILL)
                    if child.process is not None:
                        child.process.wait()
                return
            if select.select([self.signals], [], [], left)[0]:
                os.read(self.signals, 4096)

    # -- commands -----------------------------------------------------------------------------------

    def _control_command(self) -> tuple[Sequence[str], Sequence[int]]:
        numbers = (self.admin.fileno(), self.tell_ready)
        return [sys.executable, "-m", "control.main", self.options.to_json(), *map(str, numbers)], numbers

    def _worker_command(self, number: int) -> Callable[[], tuple[Sequence[str], Sequence[int]]]:
        options = self.options
        descriptor = self.listeners[number].fileno()
        command = [*options.worker_command, "--worker", str(number), "--fd", str(descriptor)]
        command += ["--state", str(options.state), "--drain", f"{options.drain:g}"]
        command += ["--access-log", options.access_log] if options.access_log else []
        command += ["--census", str(self.census)] if self.census >= 0 else []
        descriptors = tuple(each for each in (descriptor, self.census) if each >= 0)
        return lambda: (command, descriptors)

    def _children(self) -> Iterator[Child]:
        yield self.control
        yield from self.workers

    def _write_run_file(self) -> None:
        found = {
            "pid": os.getpid(),
            "control": self.control.pid,
            "worker_pids": [worker.pid for worker in self.workers],
            "workers": len(self.workers),
            "listen": self.options.listen,
            "admin": self.options.admin,
            "started": self.began,
        }
        try:
            replace_file(self.options.state / "run.json", json.dumps(found).encode())
        except OSError as error:
            with suppress(OSError):  # standard error may lie on the same full disk
                print(f"strangler: run.json is not up to date: {error}", file=sys.stderr, flush=True)


def _shared_memory(size: int) -> int:
    """A descriptor of memory that takes room only where it is written to; -1 where the system has none to give."""
    try:
        descriptor = os.memfd_create("strangler-census")
        os.ftruncate(descriptor, size)
    except OSError:
        return -1
    return descriptor


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@contextmanager
def _owned(state: Path) -> Iterator[None]:
    """The state directory, made if need be, and nobody else's for as long as this process lives."""
    try:
        for folder in (state, state / "workers", state / "counters"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        close_to_others(state, but=(TOKENS,))
        make_key(state)
        lock = (state / "lock").open("a+")
    except OSError as error:
        raise CannotStart(
            f"cannot use the state directory {state}: {error.strerror}; choose one with --state"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise CannotStart(
                f"the state directory {state} is in use by another strangler (pid {owner}); choose one with --state"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def _signals(wanted: list[int]) -> Iterator[int]:
    """A descriptor that wakes the parent at every signal that concerns it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: wanted.append(got))
    signal.signal(signal.SIGCHLD, lambda _got, _frame: None)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)


def run(options: Options) -> int:
    """`strangler run`; the exit code."""
    harden()
    logs.configure(options.log_format)
    wanted: list[int] = []
    try:
        with ExitStack() as stack:
            options = replace(options, config=options.config.absolute(), state=options.state.absolute())
            stack.enter_context(_owned(options.state))
            listeners = [
                stack.enter_context(each) for each in open_sockets(options.listen, options.workers, "--listen")
            ]
            (admin,) = open_sockets(options.admin, 1, "--admin")
            stack.enter_context(admin)
            signals = stack.enter_context(_signals(wanted))
            events = Events(time.time, logs.write)
            listen, address = show_address(listeners[0].getsockname()), show_address(admin.getsockname())
            options = replace(options, listen=listen, admin=address)
            return Parent(options, listeners, admin, events, signals, wanted).run()
    except CannotStart as error:
        print(f"strangler: {error}", file=sys.stderr)
        return 1

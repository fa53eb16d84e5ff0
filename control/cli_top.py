"""`strangler top`: the worst routes first, live, on a terminal; without one, one look in plain text.

What is shown and what a key means is decided in `control.top`.  Here are the terminal, a thread that asks the admin
address every two seconds and one that listens to its events, and the commands that a key leads to: they run as if they
had been typed, in front of everything, with all that they say, also when control does not answer.
"""

from __future__ import annotations

import argparse
import codecs
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Self

from control import render_changes as render
from control.cli_client import Admin, CannotAskError, RefusedError
from control.cli_output import show, style
from control.cli_values import DONE
from control.event_stream import Stream
from control.terminal import Style
from control.top import EVENTS, Picture, Quit, View, frame, press, report, room_for_routes

EVERY: Final = 2.0
"""Seconds between two questions."""
RETRY: Final = 2.0
"""Seconds before a broken stream of events is opened anew."""
DRAWN: Final = 1.0
"""Seconds after which the age of what is shown is looked at, whatever happens."""

Json = dict[str, Any]


def top(args: argparse.Namespace, admin: Admin) -> int:
    """Ends with `q`; without a terminal, after one look."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb" or args.json:
        return _once(args, admin)
    with Feed(admin) as feed, _screen():
        _live(feed, admin)
    return DONE


def _once(args: argparse.Namespace, admin: Admin) -> int:
    """For pipes and programs."""
    picture = asked(admin, Picture())
    found = {"status": picture.status, "rates": picture.rates, "routes": picture.routes}
    show(args, found, report(picture, style()))
    if not args.json:
        print("strangler top: no terminal here, so this was one look; `strangler watch` goes on", file=sys.stderr)
    return DONE


def asked(admin: Admin, before: Picture) -> Picture:
    """What the address says now; routes travel only when something has changed.  Raises as `Admin` does."""
    status = admin.get("/api/v1/status?routes=false")
    same = before.status is not None and before.status["revision"] == status["revision"]
    routes = before.routes if same else admin.get("/api/v1/routes?rates=false")["routes"]
    rates = admin.get("/api/v1/rates")
    return replace(before, at=time.monotonic(), status=status, routes=routes, rates=rates, trouble="")


class Feed:
    """Keeps a picture up to date in the background, and says when there is a new one."""

    def __init__(self, admin: Admin) -> None:
        self.picture = Picture()
        self._admin = replace(admin, timeout=5.0)
        self._events: deque[str] = deque(maxlen=EVENTS)
        self._soon = threading.Event()
        self._ended = threading.Event()
        self.readable, self._writable = os.pipe()
        os.set_blocking(self._writable, False)

    def __enter__(self) -> Self:
        # Daemons: an answer that does not come must not keep the terminal.
        for work in (self._ask, self._listen):
            threading.Thread(target=work, name=f"top{work.__name__}", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._soon.set()

    def refresh(self) -> None:
        self._soon.set()

    def _ask(self) -> None:
        while not self._ended.is_set():
            self._soon.clear()
            try:
                self.picture = asked(self._admin, replace(self.picture, events=tuple(self._events)))
            except (CannotAskError, RefusedError) as error:
                self.picture = replace(self.picture, trouble=str(error))
            self._tell()
            self._soon.wait(EVERY)

    def _listen(self) -> None:
        stream = Stream(self._admin)
        while not self._ended.is_set():
            try:
                for name, fields in stream.events():
                    if name != "hello":
                        self._events.append(render.event(name, fields, Style()))
                    self._soon.set()
            except (CannotAskError, RefusedError):
                self._ended.wait(RETRY)  # what is wrong is said by the other thread

    def _tell(self) -> None:
        try:
            os.write(self._writable, b".")
        except BlockingIOError:
            pass  # whoever draws has not looked yet, and will


# -- the terminal ------------------------------------------------------------------------------------------------------


@contextmanager
def _screen() -> Iterator[None]:
    """The other screen, keys one by one; everything as it was afterwards, whatever happens."""
    before = termios.tcgetattr(sys.stdin)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _enter()
        yield
    finally:
        _leave(before)


def _enter() -> None:
    tty.setraw(sys.stdin, termios.TCSAFLUSH)
    _write("\x1b[?1049h\x1b[?25l")


def _leave(before: Any) -> None:
    _write("\x1b[?25h\x1b[?1049l")
    termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _live(feed: Feed, admin: Admin) -> None:
    view, keys = View(), Keys()
    while True:
        size = shutil.get_terminal_size()
        _draw(frame(feed.picture, view, replace(style(), width=size.columns), size.lines, time.monotonic()))
        ready, _, _ = select.select([sys.stdin, feed.readable], [], [], DRAWN)
        if feed.readable in ready:
            os.read(feed.readable, 4096)
        if sys.stdin not in ready:
            continue
        data = os.read(sys.stdin.fileno(), 4096)
        if not data:
            return  # the terminal has gone
        for key in keys.of(data):
            shown = feed.picture.rows(view)
            view, answer = press(view, key, shown, room_for_routes(feed.picture, view, size.lines))
            if isinstance(answer, Quit):
                return
            if answer is not None:
                _run(answer, admin)
                feed.refresh()


def _draw(lines: list[str]) -> None:
    """Over what was there, without a flicker."""
    _write("\x1b[H" + "\r\n".join(f"{line}\x1b[0m\x1b[K" for line in lines) + "\x1b[J")


def _run(words: tuple[str, ...], admin: Admin) -> None:
    """The command, as if it had been typed; what it says stays until somebody has read it."""
    raw = termios.tcgetattr(sys.stdin)
    _write("\x1b[?25h\x1b[2J\x1b[H")
    cooked = termios.tcgetattr(sys.stdin)
    cooked[0] |= termios.ICRNL
    cooked[1] |= termios.OPOST
    cooked[3] |= termios.ICANON | termios.ECHO | termios.ISIG
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, cooked)
    try:
        print(f"$ strangler {shlex.join(words)}", flush=True)
        command, *rest = words
        program = [sys.executable, "-m", "control", command, "--admin", admin.url]
        done = subprocess.run([*program, *rest], check=False)  # noqa: S603 - ourselves, and no shell in between
        print(f"\nended with {done.returncode}; Enter goes back", flush=True)
        sys.stdin.readline()
    except KeyboardInterrupt:
        pass
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, raw)
        _write("\x1b[?25l")


class Keys:
    """Bytes of a terminal as names of keys; a character stands for itself."""

    _NAMED: Final = {
        "\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down", "\x1b[5~": "page-up",
        "\x1b[6~": "page-down", "\x1b[H": "home", "\x1b[F": "end", "\x1bOH": "home", "\x1bOF": "end",
        "\x1b[1~": "home", "\x1b[4~": "end", "\x1b": "escape", "\r": "enter", "\n": "enter", "\x7f": "backspace",
        "\x08": "backspace", "\x03": "ctrl-c", "\x15": "ctrl-u",
    }  # fmt: skip
    _PIECES: Final = re.compile(r"\x1b\[[0-9;]*[@-~]|\x1bO[A-Z]|[\s\S]")

    def __init__(self) -> None:
        self._decode: Callable[[bytes], str] = codecs.getincrementaldecoder("utf-8")("replace").decode

    def of(self, data: bytes) -> Iterator[str]:
        """Sequences that nobody knows are left out."""
        for piece in self._PIECES.findall(self._decode(data)):
            key = self._NAMED.get(piece, piece)
            if len(key) > 1 and key.startswith("\x1b"):
                continue
            yield key

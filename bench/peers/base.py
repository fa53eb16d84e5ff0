"""What all proxies under test have in common.

A peer's configuration is a pure function of a `Plan`; files and processes come only with `start`.  Every peer gets one
worker, upstream connections that are kept alive, no access log, and the plain forwarding headers that any deployment
sets; beyond that, the configuration that its own documentation recommends for the task.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.ports import free_port
from bench.processes import running, wait_for_port
from bench.templates import Template

_VERSION = re.compile(r"\d+(?:\.\d+)+(?:[-+~][\w.+~-]+)?")


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The ports of the two sides."""

    legacy: int
    new: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What one proxy shall do in one scenario."""

    directory: Path
    port: int
    upstreams: Upstreams
    templates: tuple[Template, ...] = ()
    """Empty: everything goes to legacy.  Otherwise each splits its users 50/50, and no path lies outside."""
    admin: int = 0
    workers: int = 1


class Peer(Protocol):
    """A proxy that can be measured."""

    @property
    def name(self) -> str: ...

    @property
    def splits(self) -> bool:
        """Does it know templates and sides?  The floor does not."""
        ...

    def command(self) -> list[str] | None:
        """How to call the program, without arguments; None when it is not on this machine."""
        ...

    def version(self) -> str: ...

    def files(self, plan: Plan) -> Mapping[str, str]:
        """Configuration files by name, to be written into the plan's directory."""
        ...

    def arguments(self, plan: Plan) -> Sequence[str]: ...

    def environment(self, plan: Plan) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Program:
    """What most peers share: a program on the PATH or beside our interpreter, whose version can be asked for."""

    name: str
    version_argument: str = "-v"
    splits: bool = field(default=True, kw_only=True)

    def command(self) -> list[str] | None:
        found = find(self.name)
        return [found] if found else None

    def version(self) -> str:
        command = self.command()
        return ask_version([*command, self.version_argument]) if command else "not found"

    def environment(self, plan: Plan) -> Mapping[str, str]:
        return {"HOME": str(plan.directory), "XDG_DATA_HOME": str(plan.directory)}


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that is up: `pid` is the root of its processes."""

    name: str
    pid: int
    plan: Plan


def find(program: str) -> str | None:
    """Beside the interpreter first: that is where this environment's own programs are; Debian's nginx is in sbin."""
    places = (str(Path(sys.executable).parent), None, "/usr/sbin:/usr/local/sbin")
    return next((found for place in places if (found := shutil.which(program, path=place))), None)


def ask_version(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    found = _VERSION.search(done.stdout + done.stderr)
    return found.group() if found else "unknown version"


@contextlib.contextmanager
def started(peer: Peer, plan: Plan) -> Iterator[Running]:
    program = peer.command()
    if program is None:
        raise FileNotFoundError(peer.name)
    plan.directory.mkdir(parents=True, exist_ok=True)
    for name, text in peer.files(plan).items():
        (plan.directory / name).write_text(text)
    log = plan.directory / f"{peer.name}.log"
    with running([*program, *peer.arguments(plan)], log, peer.environment(plan)) as pid:
        wait_for_port(plan.port, pid, log)
        yield Running(peer.name, pid, plan)


def new_plan(
    peer: Peer, root: Path, upstreams: Upstreams, templates: tuple[Template, ...] = (), workers: int = 1
) -> Plan:
    return Plan(root / peer.name, free_port(), upstreams, templates, free_port(), workers)

"""`strangler demo`: a legacy shop, new services, the router in front of them, and people who shop.

Everything runs on loopback and ends together: the services and the users live in this process, the router is a
child that runs exactly what an operator would run (`strangler run`), with its state in a temporary directory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from demo.screen import Places, Style, farewell, one_line, table, welcome
from demo.services import cart_app, catalog_app, legacy_app, serving
from demo.shop import Shop
from demo.tally import Tally
from demo.traffic import shop_together

HOST = "127.0.0.1"
ROUTER_PORT = 8080
ADMIN_PORT = 8081

_READY_SECONDS = 30.0
_STOP_SECONDS = 15.0
_REDRAW_SECONDS = 1.0
_LINE_SECONDS = 5.0
_LOG_TAIL = 20
_COLUMNS = 80
"""A narrower terminal would wrap the picture's lines, and redrawing would go wrong."""


class DemoError(Exception):
    """Something that ends the demo; its text is for the person who started it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said."""

    config: Path | None
    seconds: float | None
    users: int
    rate: float
    workers: int


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    style = Style(colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    try:
        with tempfile.TemporaryDirectory(prefix="strangler-demo-") as place:
            return asyncio.run(_demo(options, Path(place), style))
    except DemoError as trouble:
        print(f"strangler demo: {trouble}", file=sys.stderr)
        return 1


def _options(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="strangler demo", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--config", type=Path, help="the routes.yaml to run (default: a copy of the example)")
    parser.add_argument("--seconds", type=float, help="end by itself after that long (default: at Ctrl-C)")
    parser.add_argument("--users", type=int, default=24, help="simulated users (default: %(default)s)")
    parser.add_argument(
        "--rate", type=float, default=40.0, help="requests per second of all users (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=2, help="worker processes of the router (default: %(default)s)")
    given = parser.parse_args(argv)
    if given.users < 1 or given.rate <= 0 or given.workers < 1:
        parser.error("--users, --rate and --workers must be positive")
    return Options(given.config, given.seconds, given.users, given.rate, given.workers)


async def _demo(options: Options, place: Path, style: Style) -> int:
    stop = _stop_event()
    async with AsyncExitStack() as stack:
        shop = Shop()
        ports = {
            "LEGACY_PORT": await stack.enter_async_context(serving(legacy_app(shop))),
            "CATALOG_PANGYO_PORT": await stack.enter_async_context(serving(catalog_app(shop, "k8s-pangyo"))),
            "CATALOG_PYEONGCHON_PORT": await stack.enter_async_context(serving(catalog_app(shop, "k8s-pyeongchon"))),
            "CART_PORT": await stack.enter_async_context(serving(cart_app(shop))),
        }
        places = _places(options, place, ports)
        router = await stack.enter_async_context(_router(places, place, options.workers, ports, stop))
        if stop.is_set():
            return 0
        print(welcome(places, style), flush=True)
        tally = Tally(started=time.monotonic())
        await _until_stopped(stop, router, places, options, tally, style)
    print(farewell(tally), flush=True)
    return 0


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _places(options: Options, place: Path, ports: Mapping[str, int]) -> Places:
    router_port, admin_port = _port(ROUTER_PORT), _port(ADMIN_PORT)
    admin = f"http://{HOST}:{admin_port}"
    names = {"LEGACY_PORT": "legacy shop", "CATALOG_PANGYO_PORT": "catalog @ k8s-pangyo"}
    names |= {"CATALOG_PYEONGCHON_PORT": "catalog @ k8s-pyeongchon", "CART_PORT": "cart"}
    return Places(
        router=f"http://{HOST}:{router_port}",
        admin=admin,
        services=[(names[key], f"http://{HOST}:{port}") for key, port in ports.items()],
        config=str(_config(options.config, place)),
        log=str(place / "router.log"),
        command=_command(),
        export="" if admin_port == ADMIN_PORT else f"export STRANGLER_ADMIN={admin}",
    )


def _config(given: Path | None, place: Path) -> Path:
    """The file to run: the one that was named, or a copy of the example that may be edited at will."""
    if given is not None:
        if not given.is_file():
            raise DemoError(f"there is no file {given}")
        return given
    here = Path(__file__).parent
    example = next((path for path in (here / "routes.yaml", here.parent / "routes.yaml") if path.is_file()), None)
    if example is None:
        raise DemoError("the example routes.yaml is missing from this installation; name a file with --config")
    (place / "config").mkdir()
    return Path(shutil.copy(example, place / "config" / "routes.yaml"))


def _command() -> str:
    """How a person in this directory calls the command that belongs to this interpreter."""
    own = Path(sys.executable).with_name("strangler")
    if shutil.which("strangler") == str(own) or not own.exists():
        return "strangler"
    return os.path.relpath(own) if own.is_relative_to(Path.cwd()) else str(own)


def _port(usual: int) -> int:
    """The usual port when nobody has it, else any free one."""
    for port in (usual, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise DemoError(f"no free port on {HOST}")


@asynccontextmanager
async def _router(
    places: Places, place: Path, workers: int, ports: Mapping[str, int], stop: asyncio.Event
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`strangler run` as a child, ready to serve; ended, by force if need be, on the way out."""
    command = [sys.executable, "-c", "import sys; from control.cli import main; sys.exit(main())", "run"]
    command += ["--config", places.config, "--listen", places.router.removeprefix("http://")]
    command += ["--admin", places.admin.removeprefix("http://")]
    command += ["--workers", str(workers), "--state", str(place / "state")]
    environment = os.environ | {name: str(port) for name, port in ports.items()}
    with Path(places.log).open("wb") as log:  # noqa: ASYNC230 - a local file, opened once before anything is served
        # a session of its own, so that Ctrl-C reaches the demo alone and the router ends after its users
        router = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        await _ready(places, router, stop)
        yield router
    finally:
        await _end(router)


async def _ready(places: Places, router: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    async with aiohttp.ClientSession() as session:
        while not stop.is_set():
            if router.returncode is not None:
                raise DemoError(f"the router ended at its start:\n{_tail(places.log)}")
            if time.monotonic() > deadline:
                raise DemoError(f"the router is not ready after {_READY_SECONDS:.0f} s:\n{_tail(places.log)}")
            with suppress(TimeoutError, aiohttp.ClientError):
                async with session.get(f"{places.admin}/readyz", timeout=aiohttp.ClientTimeout(total=2)) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


async def _end(router: asyncio.subprocess.Process) -> None:
    if router.returncode is None:
        router.terminate()
    try:
        await asyncio.wait_for(router.wait(), _STOP_SECONDS)
    except TimeoutError:
        print(f"the router did not end within {_STOP_SECONDS:.0f} s and is killed", file=sys.stderr)
        with suppress(ProcessLookupError):
            os.killpg(router.pid, signal.SIGKILL)
        await router.wait()


async def _until_stopped(
    stop: asyncio.Event,
    router: asyncio.subprocess.Process,
    places: Places,
    options: Options,
    tally: Tally,
    style: Style,
) -> None:
    """Traffic and picture until a signal, the given time, or the router's end, whichever comes first."""
    async with asyncio.TaskGroup() as group:
        background = [
            group.create_task(
                shop_together(places.router, tally, users=options.users, rate=options.rate), name="traffic"
            ),
            group.create_task(_show(tally, style), name="picture"),
        ]
        ends = [group.create_task(stop.wait(), name="stop"), group.create_task(router.wait(), name="router")]
        try:
            await asyncio.wait(ends, timeout=options.seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*background, *ends):
                task.cancel()
    if router.returncode is not None:
        raise DemoError(f"the router ended by itself (code {router.returncode}):\n{_tail(places.log)}")


async def _show(tally: Tally, style: Style) -> None:
    """Redraws the picture on a terminal; elsewhere prints a line now and then."""
    live, drawn = sys.stdout.isatty() and shutil.get_terminal_size().columns >= _COLUMNS, 0
    while True:
        await asyncio.sleep(_REDRAW_SECONDS if live else _LINE_SECONDS)
        now = time.monotonic()
        rates, median = tally.rates(now), tally.median_ms(now)
        if live:
            lines = table(rates, tally, median, style)
            back = f"\x1b[{drawn}F\x1b[J" if drawn else ""
            print(back + "\n".join(lines), flush=True)
            drawn = len(lines)
        else:
            print(one_line(rates, tally, median, style), flush=True)


def _tail(log: str) -> str:
    lines = Path(log).read_text(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_LOG_TAIL:]) or "  (it wrote nothing)"

"""The parent: sockets, children, and what happens when any of them dies.  Real processes, pretended workers."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from control.options import Options
from control.supervisor import DELAY_SECONDS, YOUNG_SECONDS, CannotStart, Child, open_sockets, parse_address
from tests.router.rig import yaml

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
PRETEND = (sys.executable, "-m", "router.planes.pretend")
START = """
import sys
sys.path.insert(0, {root!r})
from control.supervisor import Options, run
sys.exit(run(Options.from_json(sys.argv[1])))
"""


def until(condition: Callable[[], Any]) -> Any:
    """What the condition says once it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
    return found


class Family:
    """A parent with all its children."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.options = replace(
            Options(
                config=folder / "routes.yaml",
                state=folder / "state",
                listen="127.0.0.1:0",
                admin="127.0.0.1:0",
                workers=2,
                drain=2.0,
                log_format="json",
                worker_command=PRETEND,
            ),
            **options,
        )
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, data: bytes | None = None) -> Family:
        self.options.config.write_bytes(yaml({"a": 10, "b": 20}) if data is None else data)
        return self

    def start(self) -> Family:
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            command = [sys.executable, "-c", START.format(root=str(ROOT)), self.options.to_json()]
            self.process = subprocess.Popen(command, stdout=out, stderr=err, cwd=self.folder, start_new_session=True)
        return self

    def ready(self) -> Family:
        until(lambda: b"listening on" in self.out() or self.ended())
        assert b"listening on" in self.out(), self.err().decode()
        until(lambda: self.confirmed() == self.options.workers)
        return self

    def ended(self) -> int | None:
        assert self.process is not None
        return self.process.poll()

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """Whatever is left: the parent is killed, control goes with it, workers are told to end."""
        if self.process is not None and self.ended() is None:
            pids = self.pids()
            self.process.kill()
            self.process.wait()
            for pid in pids:
                until(lambda pid=pid: not alive(pid))  # type: ignore[misc]

    def out(self) -> bytes:
        return (self.folder / "out").read_bytes()

    def err(self) -> bytes:
        return (self.folder / "err").read_bytes()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (line for line in self.err().splitlines() if line.startswith(b"{"))
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def run_file(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.options.state / "run.json").read_text())
        return found

    def pids(self) -> list[int]:
        found = self.run_file() if (self.options.state / "run.json").exists() else {"control": None, "worker_pids": []}
        return [pid for pid in (found["control"], *found["worker_pids"]) if pid]

    def address(self, which: str) -> tuple[str, int]:
        host, _, port = self.run_file()[which].rpartition(":")
        return host.strip("[]"), int(port)

    def confirmed(self) -> int:
        try:
            status, answer = self.ask("GET", "/readyz")
        except (OSError, http.client.HTTPException):
            return 0
        return int(answer["workers"]["confirmed"]) if status == 200 else 0

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The admin address."""
        connection = http.client.HTTPConnection(*self.address("admin"), timeout=PATIENCE)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def rollback(self, **scope: Any) -> Any:
        status, answer = self.ask("POST", "/api/v1/rollbacks", {"scope": scope, "reason": "test"})
        assert status in {200, 201, 202}, answer
        return answer


def get(address: tuple[str, int]) -> dict[str, Any]:
    """What a (pretended) worker says to a request."""
    with socket.create_connection(address, timeout=PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    found: dict[str, Any] = json.loads(body)
    return found


def alive(pid: int) -> bool:
    """A zombie is dead: nobody needs to wait for a process whose parent was killed."""
    try:
        return b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False


@pytest.fixture
def families(tmp_path: Path) -> Iterator[Callable[..., Family]]:
    made: list[Family] = []

    def make(name: str = "one", **options: Any) -> Family:
        made.append(Family(tmp_path / name, **options))
        return made[-1]

    yield make
    for family in made:
        family.close()


# ---------------------------------------------------------------------------------------------------- start


def test_one_command_starts_everything_and_sigterm_ends_it(families: Callable[..., Family]) -> None:
    """Workers serve, control answers, run.json tells who is who; afterwards nobody is left and the code is 0."""
    family = families().write().start().ready()
    found = family.run_file()
    assert family.process is not None
    assert (family.process.pid, 2) == (found["pid"], found["workers"])
    assert get(family.address("listen"))["pid"] in found["worker_pids"]
    assert 0o700 == family.options.state.stat().st_mode & 0o777
    assert 0 == family.stop()
    assert [] == [pid for pid in family.pids() if alive(pid)]
    assert b"Traceback" not in family.err()


def test_a_bad_first_file_ends_the_start_with_all_problems_and_no_traceback(families: Callable[..., Family]) -> None:
    """One a line, and exit code 1."""
    family = families().write(b"version: 1\nlegacy: nobody\nroutes: 7\n").start()
    assert 1 == family.wait()
    problems = [line for line in family.err().splitlines() if line.startswith(b"routes.yaml:")]
    assert len(problems) >= 2
    assert b"Traceback" not in family.err()
    assert b"" == family.out()


def test_a_bad_file_at_a_later_start_is_said_aloud_and_the_last_good_serves(families: Callable[..., Family]) -> None:
    """Like a file that is gone."""
    family = families().write().start().ready()
    assert 0 == family.stop()
    for data in (b"version: 1\n", None):
        family.options.config.unlink(missing_ok=True)
        if data is not None:
            family.write(data)
        family.start().ready()
        (event,) = family.events("config.last_good_used")
        assert ("error", 1) == (event["level"], event["revision"])
        assert 0 == family.stop()


def test_with_a_snapshot_workers_do_not_wait_for_control(families: Callable[..., Family]) -> None:
    """They start at once with what was in force."""
    family = families().write().start().ready()
    revision = family.rollback(all=True)["revision"]
    until(lambda: f'"revision":{revision}'.encode() in (family.options.state / "snapshot.ndjson").read_bytes())
    assert 0 == family.stop()
    family.start().ready()
    connected = family.events("worker.connected")
    assert {revision} == {event["revision"] for event in connected}
    started = [event["process"] for event in family.events("process.started")]
    assert {"control", "worker-0", "worker-1"} == set(started)


def test_a_port_in_use_is_one_clear_line(families: Callable[..., Family]) -> None:
    """Although workers share a port among themselves, another program on it does not go unnoticed."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        port = other.getsockname()[1]
        for option in ("listen", "admin"):
            family = families(option, **{option: f"127.0.0.1:{port}"}).write().start()
            assert 1 == family.wait()
            (line,) = family.err().decode().splitlines()
            assert line.startswith(f"strangler: cannot listen on 127.0.0.1:{port}: Address already in use")
            assert f"--{option}" in line


def test_a_state_directory_has_one_router(families: Callable[..., Family], tmp_path: Path) -> None:
    """A second one is refused with the first one's pid; when the first has ended it may have it."""
    first = families("one", state=tmp_path / "state").write().start().ready()
    second = families("two", state=tmp_path / "state").write().start()
    assert 1 == second.wait()
    assert first.process is not None
    assert f"pid {first.process.pid}" in second.err().decode()
    assert 0 == first.stop()
    second.start().ready()


def test_a_state_directory_that_cannot_be_made_is_one_clear_line(families: Callable[..., Family]) -> None:
    """It says which, and which option names another."""
    family = families(state=Path("/proc/nowhere/state")).write().start()
    assert 1 == family.wait()
    (line,) = family.err().decode().splitlines()
    assert "/proc/nowhere/state" in line
    assert "--state" in line


def test_a_store_that_is_no_database_is_one_clear_line(families: Callable[..., Family]) -> None:
    """Starting without it would forget rollbacks."""
    family = families().write()
    family.options.state.mkdir(mode=0o700)
    (family.options.state / "strangler.db").write_bytes(b"no database, but long enough" * 100)
    family.start()
    assert 1 == family.wait()
    assert b"strangler.db: file is not a database" in family.err()
    assert b"Traceback" not in family.err()


# --------------------------------------------------------------------------------------------------- deaths


def test_a_killed_worker_is_replaced_and_its_queue_is_taken_over(families: Callable[..., Family]) -> None:
    """The socket is the parent's: whoever connects while nobody is there waits for the next worker."""
    family = families(workers=1).write().start().ready()
    (first,) = family.run_file()["worker_pids"]
    os.kill(first, signal.SIGSTOP)
    waiting = [socket.create_connection(family.address("listen"), timeout=PATIENCE) for _ in range(20)]
    os.kill(first, signal.SIGKILL)
    for client in waiting:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    answers = [client.makefile("rb").read() for client in waiting]
    for client in waiting:
        client.close()
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert first != get(family.address("listen"))["pid"]
    (died,) = family.events("process.died")
    assert ("worker-0", "killed by SIGKILL", 0.0) == (died["process"], died["how"], died["again_in"])
    until(lambda: family.confirmed() == 1)


def test_a_killed_control_is_replaced_with_its_orders(families: Callable[..., Family]) -> None:
    """Workers notice nothing; a request that came meanwhile is answered by the next one."""
    family = families().write().start().ready()
    answer = family.rollback(route="a")
    before = family.run_file()
    os.kill(before["control"], signal.SIGKILL)
    status, orders = family.ask("GET", "/api/v1/orders")
    assert 200 == status
    assert [answer["order"]["id"]] == [order["id"] for order in orders["orders"]]
    until(lambda: family.confirmed() == 2)
    after = family.run_file()
    assert before["control"] != after["control"]
    assert before["worker_pids"] == after["worker_pids"]
    assert {answer["revision"]} == {event["revision"] for event in family.events("worker.connected")[2:]}


def test_a_hung_worker_leaves_a_change_unconfirmed_by_name(families: Callable[..., Family]) -> None:
    """It is stopped, not dead: nobody may claim that it follows.  Once it goes on it does."""
    family = families().write().start().ready()
    hung = family.run_file()["worker_pids"][1]
    os.kill(hung, signal.SIGSTOP)
    try:
        answer = family.rollback(all=True)
    finally:
        os.kill(hung, signal.SIGCONT)
    assert not answer["confirmed"]
    assert [True, False] == ["ms" in worker for worker in answer["workers"]]
    until(lambda: family.confirmed() == 2)
    assert family.rollback(all=True)["confirmed"]


def test_children_do_not_outlive_a_killed_parent(families: Callable[..., Family]) -> None:
    """Control goes at once; workers are told to drain."""
    family = families().write().start().ready()
    pids = family.pids()
    assert len(pids) == 3
    assert family.process is not None
    family.process.kill()
    family.process.wait()
    for pid in pids:
        until(lambda pid=pid: not alive(pid))  # type: ignore[misc]


def test_a_worker_that_will_not_drain_is_killed(families: Callable[..., Family]) -> None:
    """After the drain time and a little more, so that the router ends."""
    family = families(drain=0.2).write().start().ready()
    os.kill(family.run_file()["worker_pids"][0], signal.SIGSTOP)
    assert 0 == family.stop()
    assert [] == [pid for pid in family.pids() if alive(pid)]


def test_a_second_signal_ends_everything_at_once(families: Callable[..., Family]) -> None:
    """Whoever presses Ctrl-C twice does not want to wait for the drain time."""
    family = families(drain=600.0).write().start().ready()
    os.kill(family.run_file()["worker_pids"][0], signal.SIGSTOP)
    assert family.process is not None
    family.process.send_signal(signal.SIGINT)
    until(lambda: family.events("router.draining"))
    family.process.send_signal(signal.SIGINT)
    assert 0 == family.wait()
    assert [] == [pid for pid in family.pids() if alive(pid)]


# ----------------------------------------------------------------------------------------- without processes


def test_a_process_that_dies_young_is_started_more_and_more_slowly() -> None:
    """At once the first time, every five seconds in the end; one that lived long enough starts at once again."""
    child = Child("c", lambda: ((), ()), signal.SIGKILL)
    delays = [child.start_again(now=child.started) for _ in range(len(DELAY_SECONDS) + 2)]
    assert [*DELAY_SECONDS, 5.0, 5.0] == delays
    assert 0.0 == child.start_again(now=child.started + YOUNG_SECONDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", (socket.AF_INET, ("127.0.0.1", 8080))),
        ("[::1]:0", (socket.AF_INET6, ("::1", 0))),
        (":9", (socket.AF_INET, ("0.0.0.0", 9))),
        ("localhost:80", (socket.AF_INET, ("127.0.0.1", 80))),
    ],
)
def test_addresses(text: str, expected: tuple[Any, ...]) -> None:
    """Literals of both families; nothing is looked up."""
    assert expected == parse_address(text)


@pytest.mark.parametrize(
    "text", ["", "8080", "127.0.0.1", "127.0.0.1:", "::1:80", "1.2.3:80", "host:80", "1.1.1.1:65536", "[x]:1"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    """In one line."""
    with pytest.raises(CannotStart, match=r"write one like 127\.0\.0\.1:8080"):
        parse_address(text)


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:0"])
def test_each_worker_has_a_queue_of_its_own_at_the_same_address(text: str) -> None:
    """Several listening sockets, one port."""
    sockets = open_sockets(text, 3, "--listen")
    try:
        assert 1 == len({each.getsockname()[:2] for each in sockets})
        assert all(each.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for each in sockets)
    finally:
        for each in sockets:
            each.close()


def test_options_survive_the_way_to_control() -> None:
    """Every field of another value than the default."""
    options = Options(Path("/a"), "[::1]:1", "[::1]:2", 3, Path("/b"), "-", 4.5, "json", True, ("x", "y"))
    assert options == Options.from_json(options.to_json())


def test_a_lock_says_whose_it_is(tmp_path: Path) -> None:
    """A lock that is held by this test is refused to the command with this test's pid."""
    family = Family(tmp_path / "f").write()
    family.options.state.mkdir()
    with (family.options.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        assert 1 == family.start().wait()
    assert f"(pid {os.getpid()})" in family.err().decode()

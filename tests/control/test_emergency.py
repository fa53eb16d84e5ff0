"""Rollback past control: who is asked, what is said, and when the command would rather do nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control import cli_rollback, emergency
from control.cli import main
from control.cli_client import CannotAskError
from control.emergency import absent, rollback, state_of, tell, workers_of
from router.core.hold import Hold
from router.core.orders import Reach, Scope
from tests.control.workers import SocketWorker

HOLD = Hold("E-aaaa", Scope(Reach.ALL), "3 a.m.", "kim", 1_700_000_000.0)


def args(state: Path | None, *, admin: str = "http://127.0.0.1:8081", as_json: bool = False) -> argparse.Namespace:
    return argparse.Namespace(admin=admin, state=state, reason="3 a.m.", json=as_json)


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[list[SocketWorker]]:
    (tmp_path / "workers").mkdir()
    (tmp_path / "run.json").write_text(json.dumps({"workers": 2, "admin": "127.0.0.1:8081"}))
    made = [SocketWorker(tmp_path, number) for number in range(2)]
    for worker in made:
        await worker.start()
    yield made
    for worker in made:
        await worker.stop()


# ---------------------------------------------------------------------------------------------------- is control there


@contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """Somebody who answers one request with this, or with nothing for as long as the test lasts."""
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(4096)
        if answer is not None:
            connection.sendall(answer)
        else:
            over.wait(20)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 401 No\r\n\r\n"])
def test_any_answer_is_a_sign_of_life(answer: bytes) -> None:
    """Also one that asks for a token: then control decides."""
    with listening(answer) as url:
        assert "" == absent(url)


def test_a_control_that_hangs_is_absent() -> None:
    """Its address accepts connections for as long as the parent lives, so only an answer counts."""
    with listening(None) as url:
        assert "no sign of life within 0.1 s" in absent(url, 0.1)


def test_an_address_where_nobody_listens_is_absent() -> None:
    """The reason is told."""
    with socket.socket() as mute:  # holds the port, and refuses whoever comes
        mute.bind(("127.0.0.1", 0))
        assert "refused" in absent(f"http://127.0.0.1:{mute.getsockname()[1]}").lower()


# ------------------------------------------------------------------------------------------------------ which router


def test_a_state_directory_without_a_router_is_no_place_to_roll_back(tmp_path: Path) -> None:
    """The command says where to go instead."""
    with pytest.raises(CannotAskError, match="--state DIR"):
        state_of(args(tmp_path), "dead")


def test_the_usual_place_must_belong_to_the_router_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside another router's directory, nothing is done unless it is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STRANGLER_STATE", raising=False)
    (tmp_path / ".strangler" / "workers").mkdir(parents=True)
    (tmp_path / ".strangler" / "run.json").write_text('{"admin": "127.0.0.1:8081", "workers": 1}')
    assert Path(".strangler") == state_of(args(None), "dead")
    with pytest.raises(CannotAskError, match="another one"):
        state_of(args(None, admin="http://127.0.0.1:9999"), "dead")
    assert Path(".strangler") == state_of(args(Path(".strangler"), admin="http://127.0.0.1:9999"), "dead")
    monkeypatch.setenv("STRANGLER_STATE", str(tmp_path / ".strangler"))
    assert tmp_path / ".strangler" == state_of(args(None, admin="http://127.0.0.1:9999"), "dead")


@pytest.mark.parametrize("damage", ["", "[]", '{"workers": "two"}', '{"workers": 100000}', None])
def test_without_its_run_file_a_router_is_known_by_its_sockets(tmp_path: Path, damage: str | None) -> None:
    """A full disk may have left nothing of that file."""
    (tmp_path / "workers").mkdir()
    for name in ("0.sock", "7.sock", "notes.txt"):
        (tmp_path / "workers" / name).touch()
    if damage is not None:
        (tmp_path / "run.json").write_text(damage)
    assert (0, 7) == workers_of(tmp_path)


def test_without_the_history_there_is_no_last_change(tmp_path: Path) -> None:
    """`--last` needs control; the command says what to name instead."""
    with pytest.raises(CannotAskError, match="name a route"):
        rollback(args(tmp_path), {}, "dead")


# ------------------------------------------------------------------------------------------------------ the workers


async def test_every_worker_is_told_and_confirms_for_itself(tmp_path: Path, workers: list[SocketWorker]) -> None:
    """Under one id; the second time they say that they hold already."""
    words = await asyncio.to_thread(tell, tmp_path, HOLD)
    assert [(0, "E-aaaa"), (1, "E-aaaa")] == [(word.worker, word.held_by) for word in words]
    assert all(word.ms is not None for word in words)
    assert [(HOLD,), (HOLD,)] == [worker.worker.holds for worker in workers]
    again = await asyncio.to_thread(tell, tmp_path, Hold("E-bbbb", HOLD.scope, "r", "lee", 1.0))
    assert ["E-aaaa", "E-aaaa"] == [word.held_by for word in again]


async def test_a_path_of_any_length_will_do(tmp_path: Path) -> None:
    """The system's own limit is 107 bytes for a socket's address."""
    state = tmp_path / ("x" * 120)
    (state / "workers").mkdir(parents=True)
    with pytest.raises(CannotAskError, match="no worker has ever run"):
        await asyncio.to_thread(tell, state, HOLD)
    (state / "workers" / "0.sock").touch()
    (word,) = await asyncio.to_thread(tell, state, HOLD)
    assert "too long" not in word.why
    assert "not running" in word.why


async def test_a_worker_that_does_not_run_is_named(
    tmp_path: Path, workers: list[SocketWorker], capsys: pytest.CaptureFixture[str]
) -> None:
    """The others hold; the code is 3."""
    await workers[1].stop()
    code = await asyncio.to_thread(rollback, args(tmp_path), {"all": True}, "dead")
    said = capsys.readouterr()
    assert 3 == code
    assert "worker 0  confirmed in" in said.out
    assert "worker 1  NOT CONFIRMED: it is not running" in said.out
    assert "NOT CONFIRMED by worker 1" in said.err


async def test_a_worker_that_does_not_answer_is_waited_for_so_long(
    tmp_path: Path, workers: list[SocketWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no longer, while the others are asked at the same time."""
    monkeypatch.setattr(emergency, "WORKER_PATIENCE", 0.3)
    await workers[1].stop()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "workers" / "1.sock"))
        silent.listen()
        one, other = await asyncio.to_thread(tell, tmp_path, HOLD)
    assert one.ms is not None
    assert (None, True) == (other.ms, "not answered" in other.why)


async def test_with_no_worker_at_all_it_has_failed(
    tmp_path: Path, workers: list[SocketWorker], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is held anywhere, and nobody may think so."""
    for worker in workers:
        await worker.stop()
    assert 1 == await asyncio.to_thread(rollback, args(tmp_path), {"all": True}, "dead")


async def test_programs_get_the_same_as_json(
    tmp_path: Path, workers: list[SocketWorker], capsys: pytest.CaptureFixture[str]
) -> None:
    """In the shape of any change, and marked as what it is."""
    code = await asyncio.to_thread(rollback, args(tmp_path, as_json=True), {"group": "shop"}, "dead")
    found = json.loads(capsys.readouterr().out)
    assert (0, True, "dead", True, False) == (
        code, found["emergency"], found["control"], found["confirmed"], found["persisted"]
    )  # fmt: skip
    assert ("rollback", {"group": "shop"}, "3 a.m.") == tuple(found["order"][n] for n in ("kind", "scope", "reason"))
    assert [0, 1] == [worker["id"] for worker in found["workers"]]


# -------------------------------------------------------------------------------------------------------- the command


async def test_a_control_that_lives_but_does_not_act_is_passed_by(
    tmp_path: Path, workers: list[SocketWorker], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says that it is alive and then never answers the rollback: the workers are told all the same."""
    monkeypatch.setattr(cli_rollback, "PATIENCE", 0.3)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/livez" in await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    words = ["rollback", "--all", "--reason", "3 a.m.", "--admin", url, "--state", str(tmp_path)]
    code = await asyncio.to_thread(main, words)
    server.close()
    said = capsys.readouterr()
    assert 0 == code, said.err
    assert "did not answer within 0.3 s" in said.out
    assert ["3 a.m.", "3 a.m."] == [worker.worker.holds[0].reason for worker in workers]

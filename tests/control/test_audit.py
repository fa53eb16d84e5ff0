"""The trace: a chain over all its files, which a kill at any byte and a full disk do not break."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.auth import audit
from control.auth.audit import FILE, ROUTES, Audit, files, verify
from control.auth.throttle import SPAN, Seldom
from control.cli import main
from router.ports import AuditEntry


def opened(state: Path) -> Audit:
    return Audit(state, lambda: 1_700_000_000.0, pytest.fail)


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_line_that_was_torn_by_a_kill_is_vouched_for(tmp_path: Path, cut: int) -> None:
    """At whatever byte; nothing is rewritten, and what stands before and behind still follows one from the other."""
    first = opened(tmp_path)
    for number in range(3):
        first.write("change", number=number)
    path = tmp_path / FILE
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    second = opened(tmp_path)
    second.write("change", number=3)
    assert path.read_bytes().startswith(data[:-cut])
    assert "" == verify(tmp_path)[1]
    assert 3 == json.loads(path.read_bytes().splitlines()[-1])["number"]


def test_a_line_that_is_whole_but_for_its_end_counts(tmp_path: Path) -> None:
    """Nothing of it is missing."""
    opened(tmp_path).write("change", number=0)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    opened(tmp_path).write("change", number=1)
    assert [0, 1] == [json.loads(line)["number"] for line in path.read_bytes().splitlines()]
    assert (2, "") == verify(tmp_path)


@given(st.integers(0, 3), st.booleans())
def test_what_was_altered_or_cut_out_shows(tmp_path_factory: pytest.TempPathFactory, number: int, gone: bool) -> None:
    """Unless it is the end of all, after which nothing vouches."""
    state = tmp_path_factory.mktemp("state")
    trail = opened(state)
    for each in range(5):
        trail.write("change", number=each)
    lines = (state / FILE).read_bytes().splitlines(keepends=True)
    lines[number] = b"" if gone else lines[number].replace(b'"change"', b'"chance"')
    (state / FILE).write_bytes(b"".join(lines))
    shows = "" != verify(state)[1]
    assert shows is (number > 0 or not gone)


def test_a_torn_line_that_nobody_vouches_for_shows(tmp_path: Path) -> None:
    """Somebody cut it, or the process has not come back yet."""
    opened(tmp_path).write("change", number=0)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes() + b'{"at": 17')
    assert (1, f"{path}:2") == verify(tmp_path)


def test_a_large_file_is_followed_by_another_and_the_chain_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over a restart; the oldest files go."""
    monkeypatch.setattr(audit, "LARGEST", 1000)
    monkeypatch.setattr(audit, "KEPT", 3)
    for start in range(0, 60, 20):
        trail = opened(tmp_path)
        for number in range(start, start + 20):
            trail.write("change", number=number)
    found = files(tmp_path)
    assert 4 == len(found)
    numbers = [json.loads(line)["number"] for path in found for line in path.read_bytes().splitlines()]
    assert list(range(numbers[0], 60)) == numbers
    assert (len(numbers), "") == verify(tmp_path)
    assert {0o600} == {path.stat().st_mode & 0o777 for path in found}


def test_a_disk_that_takes_half_a_line_is_told_of_and_mended_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked for the change gets it all the same."""
    told: list[str] = []
    trail = Audit(tmp_path, lambda: 0.0, told.append)
    trail.write("change", number=0)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:9]))
    trail.write("change", number=1)
    monkeypatch.undo()
    assert 1 == len(told) and "part of a line" in told[0]
    trail.write("change", number=2)
    assert "" == verify(tmp_path)[1]
    assert ["change", "torn", "change"] == [
        json.loads(line)["what"] for line in (tmp_path / FILE).read_bytes().splitlines() if line.endswith(b"}")
    ]


def test_a_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nobody has the trace written elsewhere."""
    other = tmp_path / "other"
    (tmp_path / FILE).symlink_to(other)
    told: list[str] = []
    Audit(tmp_path, lambda: 0.0, told.append).write("change")
    assert told and not other.exists()


def test_a_revision_has_what_it_changed_and_a_bounded_line(tmp_path: Path) -> None:
    """Each route with its share before and after; of very many the rest is counted."""
    names = [f"route-{number}" for number in range(ROUTES + 5)]
    before, after = json.dumps(dict.fromkeys(names, 250_000)), json.dumps(dict.fromkeys(names, 0))
    opened(tmp_path).revision(AuditEntry(0.0, "kim", "rollback", "all", "fire\x1b[2J\n", before, after, 7))
    (line,) = (tmp_path / FILE).read_bytes().splitlines()
    found = json.loads(line)
    assert ([250_000, 0], ROUTES, 5) == (found["routes"]["route-0"], len(found["routes"]), found["routes_left_out"])
    assert b"\x1b" not in line


def test_of_what_comes_too_often_the_rest_is_counted() -> None:
    """So many a minute for one, and so many for all."""
    now = [0.0]
    seldom = Seldom(lambda: now[0], each=2, together=5)
    assert [0, 0, None, None] == [seldom.let("a") for _ in range(4)]
    assert [2, 0, 0, None] == [seldom.let(key) for key in "bcde"]
    now[0] = SPAN
    assert 1 == seldom.let("a")


def test_the_command_shows_the_newest_lines_and_says_where_the_record_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ends with 1 then, and when there is nothing to show; nothing in it moves a terminal's cursor."""
    state = ["--state", str(tmp_path)]
    assert 1 == main(["audit", *state])
    assert "there is no audit here" in capsys.readouterr().err
    trail = opened(tmp_path)
    trail.revision(AuditEntry(0.0, "kim", "rollback", "all", "fire\x1b[2J", "{}", "{}", 7))
    for number in range(3):
        trail.write("change", token="lee", method="POST", path=f"/api/v1/{number}", status=200)
    assert 0 == main(["audit", *state, "--limit", "2"])
    shown = capsys.readouterr().out.splitlines()
    assert ["/api/v1/1 200", "/api/v1/2 200"] == [line.partition("POST ")[2] for line in shown[:2]]
    assert "4 lines, each follows from the one before" == shown[-1]
    path = tmp_path / FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    assert 1 == main(["audit", *state, "--json"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (1, f"{path}:2", "kim") == (found["lines"], found["broken_at"], found["entries"][0]["actor"])
    assert "BROKEN at" in said.err and "\x1b" not in said.out

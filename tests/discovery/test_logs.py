"""Access logs that are long, packed, damaged, or no logs at all."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import pytest

from discovery import logs
from discovery.core.lines import LONGEST_LINE
from discovery.core.survey import Survey
from discovery.logs import BLOCK, Reading, UnreadableError, read, when


def line(path: str = "/a", status: int = 200, second: int = 0, host: str = "") -> bytes:
    front = f"{host} " if host else ""
    at = f"22/Nov/2026:07:{second // 60:02d}:{second % 60:02d} +0000"
    return f'{front}1.2.3.4 - - [{at}] "GET {path} HTTP/1.1" {status} 1 "-" "x"\n'.encode()


def read_bytes(where: Path, *contents: bytes, **options: str) -> tuple[Survey, Reading]:
    names = []
    for number, content in enumerate(contents):
        path = where / f"{number}.log"
        path.write_bytes(content)
        names.append(str(path))
    survey = Survey()
    return survey, read(names, survey, **options)  # type: ignore[arg-type]


def test_files_are_added_up_and_their_span_is_known(tmp_path: Path) -> None:
    """Two files are one log; the time between the first and the last line is what it spans, in any order."""
    survey, reading = read_bytes(tmp_path, line(second=100) * 3, line(second=10) + b"\n\n" + line(second=20))
    assert (5, 0, 90.0) == (reading.lines, reading.malformed, reading.seconds)
    assert survey.requests == 5
    assert reading.formats == ["combined", "combined"]


@pytest.mark.parametrize("end", [b"", b"\0" * 512])
def test_packed_files_are_read_also_in_several_members(end: bytes, tmp_path: Path) -> None:
    """As logrotate and cat leave them, also with padding behind; and there is nothing to remark."""
    packed = gzip.compress(line() * 1000) + gzip.compress(line("/b")) * 3000 + end
    survey, reading = read_bytes(tmp_path, packed, gzip.compress(line()))
    assert survey.requests == 4001
    assert reading.remarks == []


def test_something_else_behind_an_archive_is_said(tmp_path: Path) -> None:
    """What is packed counts."""
    survey, reading = read_bytes(tmp_path, gzip.compress(line() * 5) + b"hello")
    assert survey.requests == 5
    assert "goes on with something else" in reading.remarks[0]


@pytest.mark.parametrize("end", [-1, -9, 200])
def test_a_truncated_archive_is_read_up_to_where_it_breaks(end: int, tmp_path: Path) -> None:
    """What is there counts, and that something is missing is said."""
    whole = gzip.compress(b"".join(line(f"/{os.urandom(8).hex()}") for _ in range(500)))
    survey, reading = read_bytes(tmp_path, whole[:end])
    assert survey.requests > 0
    assert "ends in the middle" in reading.remarks[0]


def test_a_damaged_archive_is_read_up_to_where_it_breaks(tmp_path: Path) -> None:
    """A checksum that does not fit is said."""
    whole = bytearray(gzip.compress(b"".join(line(f"/{os.urandom(8).hex()}") for _ in range(5000))))
    whole[-6] ^= 0xFF
    _, reading = read_bytes(tmp_path, bytes(whole))
    assert "is damaged" in reading.remarks[0]


def test_an_archive_that_explodes_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros by the gigabyte are seen through after a few megabytes."""
    monkeypatch.setattr(logs, "BOMB", 1 << 20)
    _, reading = read_bytes(tmp_path, line() + gzip.compress(b"\0" * (64 << 20)), gzip.compress(b"\0" * (64 << 20)))
    assert any("200 times its size" in remark for remark in reading.remarks)


def test_a_line_without_end_is_one_line_that_is_too_long(tmp_path: Path) -> None:
    """What stands before and behind it is read; it is not kept."""
    _, reading = read_bytes(tmp_path, line() + b"x" * (3 * BLOCK + 17) + b"\n" + line())
    assert (3, 1, 0) == (reading.lines, reading.too_long, reading.malformed)
    _, reading = read_bytes(tmp_path, line() * 3 + b"y" * (LONGEST_LINE + 1) + b"\n" + line())
    assert (5, 1) == (reading.lines, reading.too_long)


def test_what_no_format_reads_is_counted_and_a_little_of_it_kept(tmp_path: Path) -> None:
    """Binary between good lines stops nothing."""
    rubbish = bytes(range(256)) * 20
    survey, reading = read_bytes(tmp_path, line() * 10 + rubbish + b"\n" + b"hello\n" * 10 + line() * 10)
    assert survey.requests == 20
    assert reading.lines == 20 + reading.malformed
    assert len(reading.samples) == 3
    assert all(len(sample) <= logs.SHOWN_BYTES for sample in reading.samples)


def test_lines_of_several_programs_in_one_file_are_all_read(tmp_path: Path) -> None:
    """Containers mix JSON and plain lines; with --format only those of one are taken."""
    mixed = line() * 5 + b'{"method":"GET","uri":"/j","status":200}\n' * 2
    assert read_bytes(tmp_path, mixed)[0].requests == 7
    survey, reading = read_bytes(tmp_path, mixed, form="json")
    assert (2, 5) == (survey.requests, reading.malformed)


def test_only_the_asked_for_host_counts(tmp_path: Path) -> None:
    """Case and port make no difference."""
    log = line(host="Shop.example.com:443") + line(host="other.example.com") + line()
    survey, reading = read_bytes(tmp_path, log, host="shop.example.com")
    assert (1, 2) == (survey.requests, reading.elsewhere)


def test_standard_input_is_a_log_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads it, packed or not."""

    class Input:
        buffer = io.BytesIO(gzip.compress(line() * 4))

    monkeypatch.setattr("sys.stdin", Input())
    survey = Survey()
    assert read(["-"], survey).lines == 4


def test_progress_tells_bytes_and_lines(tmp_path: Path) -> None:
    """Up to the whole, in bytes of the file itself."""
    path = tmp_path / "a.log"
    path.write_bytes(line() * 30_000)
    seen: list[tuple[int, int | None, int]] = []
    read([str(path)], Survey(), progress=lambda *told: seen.append(told))
    assert len(seen) > 1
    assert (path.stat().st_size, path.stat().st_size, 30_000) == seen[-1]


@pytest.mark.parametrize("start", [b"BZh91AY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", "﻿".encode("utf-16")])
def test_other_archives_are_named_with_what_to_do(start: bytes, tmp_path: Path) -> None:
    """Nobody has to guess why nothing was found."""
    with pytest.raises(UnreadableError):
        read_bytes(tmp_path, start + b"\0" * 100)


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_cannot_be_opened_is_an_error(name: str, tmp_path: Path) -> None:
    """A missing file and a folder."""
    with pytest.raises(UnreadableError, match="cannot be read"):
        read([str(tmp_path / name)], Survey())


def test_an_empty_log_has_no_lines(tmp_path: Path) -> None:
    """Nothing, and blank lines."""
    for content in (b"", b"\n\n \n"):
        assert read_bytes(tmp_path, content)[1].lines == 0


@pytest.mark.parametrize(
    ("written", "at"),
    [
        (b"22/Nov/2026:07:20:28 +0000", 1795332028.0),
        (b"22/Nov/2026:16:20:28 +0900", 1795332028.0),
        (b"22/Nov/2026:02:50:28 -0430", 1795332028.0),
        (b"22/Nov/2026:07:20:28.671", 1795332028.0),
        (b"2026-11-22T07:20:28Z", 1795332028.0),
        (b"2026-11-22T16:20:28.000000440+09:00", 1795332028.0),
        (b"1795332028.671", 1795332028.671),
        (b"1795332028671", 1795332028.671),
        (b"", None),
        (b"nan", None),
        (b"99/Xxx/2026:07:20:28 +0000", None),
        (b"22/Nov/2026", None),
        (b"2026-99-99", None),
        (b"-5", None),
        (b"\xff\xff", None),
        (b"1e999", None),
    ],
)
def test_times_are_read_as_logs_write_them(written: bytes, at: float | None) -> None:
    """Whatever cannot be read is no time, and stops nothing."""
    assert at == when(written)

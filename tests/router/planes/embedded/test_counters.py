"""Counter files: they outlive their worker, grow without losing a count, and ask for their room before they use it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from router.planes.embedded.counters import Counters
from router.telemetry import MAGIC, WORKER_SLOTS, WorkerSlot


def read(path: Path) -> tuple[int, ...]:
    """The file as control sees it."""
    data = path.read_bytes()
    return struct.unpack(f"={len(data) // 8}Q", data)


@pytest.fixture(params=["file", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "worker-0.slots" if request.param == "file" else None


def test_a_new_file_says_what_it_is_and_whose(path: Path | None) -> None:
    """Magic number and process id; everything else is zero."""
    slots = Counters(path).slots
    assert (MAGIC, os.getpid()) == (slots[WorkerSlot.MAGIC], slots[WorkerSlot.PID])
    assert WORKER_SLOTS == len(slots)
    assert 2 == sum(1 for value in slots if value)


def test_growing_keeps_every_count(path: Path | None) -> None:
    """And never shrinks."""
    counters = Counters(path)
    counters.slots[WorkerSlot.ACCEPTED] = 7
    counters.grow(1000)
    counters.slots[999] = 2**64 - 1
    counters.grow(10)
    counters.grow(3000)
    assert (7, 2**64 - 1, 0) == (counters.slots[WorkerSlot.ACCEPTED], counters.slots[999], counters.slots[2999])


def test_slots_that_somebody_holds_on_to_still_count_after_growing(tmp_path: Path) -> None:
    """An exchange may have looked them up a moment before: both maps are of one file."""
    counters = Counters(tmp_path / "a")
    before = counters.slots
    counters.grow(1000)
    before[WorkerSlot.ACCEPTED] += 1
    assert 1 == counters.slots[WorkerSlot.ACCEPTED]


def test_counts_outlive_the_process_and_gauges_do_not(tmp_path: Path) -> None:
    """The next worker of that number goes on counting; connections of a dead one are gone."""
    path = tmp_path / "a"
    code = (
        "import os, signal, sys; from pathlib import Path; from router.planes.embedded.counters import Counters\n"
        f"c = Counters(Path({str(path)!r})); c.grow(500)\n"
        f"c.slots[{WorkerSlot.ACCEPTED}] = 5; c.slots[{WorkerSlot.CONNECTIONS}] = 3; c.slots[499] = 9\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[4]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=False, timeout=30)
    assert 5 == read(path)[WorkerSlot.ACCEPTED]
    counters = Counters(path)
    assert (5, 0, 9) == (
        counters.slots[WorkerSlot.ACCEPTED],
        counters.slots[WorkerSlot.CONNECTIONS],
        counters.slots[499],
    )
    assert os.getpid() == read(path)[WorkerSlot.PID]


def test_what_one_counts_the_other_reads(tmp_path: Path) -> None:
    """Control maps the same file."""
    counters = Counters(tmp_path / "a")
    counters.slots[WorkerSlot.BAD_REQUESTS] += 3
    assert 3 == read(tmp_path / "a")[WorkerSlot.BAD_REQUESTS]


def test_a_file_of_another_layout_begins_anew(tmp_path: Path) -> None:
    """Its numbers would be counted for the wrong things."""
    path = tmp_path / "a"
    path.write_bytes(struct.pack("=100Q", 1, *range(99)))
    slots = Counters(path).slots
    assert (MAGIC, 0, 0) == (slots[WorkerSlot.MAGIC], slots[WorkerSlot.ACCEPTED], slots[99])


def test_zeroing_forgets_a_run_of_slots(path: Path | None) -> None:
    """For gauges of blocks, which nobody else brings back to zero."""
    counters = Counters(path)
    counters.slots[30:35] = memoryview(struct.pack("=5Q", 1, 2, 3, 4, 5)).cast("Q")
    counters.zero(31, 3)
    assert [1, 0, 0, 0, 5] == list(counters.slots[30:35])


def test_without_room_on_the_disk_growing_fails_and_changes_nothing(tmp_path: Path) -> None:
    """As an error that can be answered: writing to a hole on a full disk would kill the worker."""
    counters = Counters(tmp_path / "a")
    counters.slots[WorkerSlot.ACCEPTED] = 7
    with pytest.raises(OSError, match=r"."):
        counters.grow(2**56)
    assert (WORKER_SLOTS, 7) == (len(counters.slots), counters.slots[WorkerSlot.ACCEPTED])


def test_its_blocks_are_there_before_they_are_used(tmp_path: Path) -> None:
    """No hole in the file: what is mapped can be written."""
    counters = Counters(tmp_path / "a")
    counters.grow(100_000)
    assert (tmp_path / "a").stat().st_blocks * 512 >= 800_000


def test_others_may_not_read_it(tmp_path: Path) -> None:
    """Numbers per route are the owner's affair."""
    Counters(tmp_path / "a")
    assert 0o600 == (tmp_path / "a").stat().st_mode & 0o777


def test_a_counter_that_leaves_the_disk_keeps_its_counts_and_grows_in_memory(path: Path | None) -> None:
    """When the disk is full, traffic comes first; what the file says stays as it is."""
    counters = Counters(path)
    counters.slots[WorkerSlot.ACCEPTED] = 7
    counters.leave_disk()
    counters.slots[WorkerSlot.ACCEPTED] += 1
    counters.grow(1000)
    counters.slots[999] += 1
    assert (8, 1) == (counters.slots[WorkerSlot.ACCEPTED], counters.slots[999])
    if path is not None:
        assert (7, WORKER_SLOTS) == (read(path)[WorkerSlot.ACCEPTED], len(read(path)))

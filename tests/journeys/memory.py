"""How much memory a process has, and how much it had at most while something happened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
_LOOK_SECONDS = 0.02


def resident(pid: int) -> int:
    """Bytes that are in memory now."""
    return _status(pid, "VmRSS:")


@dataclass
class Growth:
    """What a process had before, and the most it has had since."""

    before: int
    peak: int = 0

    @property
    def bytes(self) -> int:
        return max(0, self.peak - self.before)

    @property
    def text(self) -> str:
        return f"{self.bytes / MIB:.1f} MiB"


@contextmanager
def growth(pid: int) -> Iterator[Growth]:
    """Watched all the time; where the kernel resets its own high-water mark, that counts as well."""
    found = Growth(resident(pid))
    marked = _reset_mark(pid)
    over = threading.Event()
    looks = threading.Thread(target=_watch, args=(pid, found, over), daemon=True)
    looks.start()
    try:
        yield found
    finally:
        over.set()
        looks.join()
        found.peak = max(found.peak, resident(pid), _status(pid, "VmHWM:") if marked else 0)


def _watch(pid: int, found: Growth, over: threading.Event) -> None:
    while not over.wait(_LOOK_SECONDS):
        found.peak = max(found.peak, resident(pid))


def _reset_mark(pid: int) -> bool:
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return _status(pid, "VmHWM:") <= resident(pid) + MIB


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

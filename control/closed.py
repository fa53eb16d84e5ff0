"""Whose files are these?  What lies in the state directory is its owner's alone, and not anybody may write routes.yaml.

The state directory is closed again at each start: an earlier version, a backup or a hand may have left it open.  A file
of tokens is never closed here: while it was open somebody may have read or changed it, and it is refused instead.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

MOST: Final = 10_000
"""Files that are looked at: a state directory holds a few dozen, and somebody's home that was named by mistake more."""
OPEN: Final = 0o077
_FOLDERS: Final = ("", "workers", "counters", "holds")


def close_to_others(state: Path, but: Collection[str]) -> None:
    """Takes everybody else's rights from the files of a state directory, and from the directory that of writing.

    What is not ours stays as it is: a volume may be mounted with an owner of its own.
    """
    _restrict(state, stat.S_IWGRP | stat.S_IWOTH)
    for path in islice(_files(state), MOST):
        if path.name not in but:
            _restrict(path, OPEN)


def _files(state: Path) -> Iterator[Path]:
    for name in _FOLDERS:
        folder = state / name
        if folder.is_dir() and not folder.is_symlink():
            yield from folder.iterdir()


def _restrict(path: Path, bits: int) -> None:
    try:
        mode = path.lstat().st_mode
        if mode & bits and not stat.S_ISLNK(mode) and (stat.S_ISREG(mode) or bits != OPEN):
            path.chmod(stat.S_IMODE(mode) & ~bits)
    except OSError:
        pass  # not ours, gone, or on a file system without rights


def anybody_may_write(path: Path) -> bool:
    """Could every user of this machine write the file?  It has to be open, and all folders on the way to it."""
    try:
        real = path.resolve(strict=True)
        if not real.stat().st_mode & stat.S_IWOTH:
            return False
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in real.parents)
    except OSError:
        return False


def group_may_write(path: Path) -> bool:
    """Could the file's group write it?  Usual in shared checkouts, so it is said and not refused."""
    try:
        return bool(path.stat().st_mode & stat.S_IWGRP)
    except OSError:
        return False

"""Every change of a real file is seen, however it is made, and nothing else is."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from control import watcher
from control.watcher import Sight, Watcher, look

PATIENCE = 20.0


class Watched:
    """A folder with a routes.yaml and what was seen of it."""

    def __init__(self, folder: Path, *, told: bool) -> None:
        self.told = told
        self.path = folder / "routes.yaml"
        self.seen: list[Sight] = []
        self.done = True

    async def see(self, sight: Sight) -> bool:
        self.seen.append(sight)
        return self.done

    def texts(self) -> list[bytes | None]:
        return [sight.data for sight in self.seen]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.005)

    async def until_last(self, data: bytes | None) -> None:
        await self.until(lambda: self.seen and self.seen[-1].data == data)


@pytest.fixture(params=["told", "poll"])
async def watched(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watched]:
    """Once with the folder's announcements, and once as on a file system that makes none."""
    if request.param == "poll":

        async def silence(*_: object, **__: object) -> AsyncIterator[None]:
            await asyncio.Event().wait()
            yield

        monkeypatch.setattr(watcher, "awatch", silence)
        monkeypatch.setattr(watcher, "POLL_SECONDS", 0.1)
    folder = tmp_path / "etc"
    folder.mkdir()
    made = Watched(folder, told=request.param == "told")
    made.path.write_bytes(b"one")
    running = Watcher(made.path, made.see, look(made.path))
    task = asyncio.create_task(running.run())
    await until_listening(running)
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until_listening(running: Watcher) -> None:
    """The folder is known; inotify follows within the next turns, and the poll covers the moment between."""
    async with asyncio.timeout(PATIENCE):
        while not running._folder:
            await asyncio.sleep(0.005)


async def test_a_plain_write(watched: Watched) -> None:
    """The file is opened and written in place."""
    watched.path.write_bytes(b"two")
    await watched.until_last(b"two")


async def test_an_editors_rename(watched: Watched) -> None:
    """Written beside it and renamed over it, again and again: each is another file."""
    for text in (b"two", b"three", b"four"):
        beside = watched.path.with_suffix(".tmp")
        beside.write_bytes(text)
        beside.replace(watched.path)
        await watched.until_last(text)


async def test_a_backup_that_is_moved_away_first(watched: Watched) -> None:
    """The way of vim with backups: for a moment there is no file."""
    watched.path.rename(watched.path.with_suffix(".yaml~"))
    watched.path.write_bytes(b"two")
    await watched.until_last(b"two")
    assert None not in watched.texts()


async def test_a_config_map_swap(watched: Watched) -> None:
    """routes.yaml -> ..data/routes.yaml, and ..data is renamed over, again and again."""
    folder = watched.path.parent
    watched.path.unlink()
    for number, text in enumerate((b"one", b"two", b"three")):
        version = folder / f"..version{number}"
        version.mkdir()
        (version / "routes.yaml").write_bytes(text)
        (folder / "..data_tmp").symlink_to(version.name)
        (folder / "..data_tmp").rename(folder / "..data")
        if not watched.path.is_symlink():
            watched.path.symlink_to("..data/routes.yaml")
        else:
            await watched.until_last(text)


async def test_the_same_content_is_no_change(watched: Watched) -> None:
    """Times and inodes may change as they like."""
    for _ in range(3):
        beside = watched.path.with_suffix(".tmp")
        beside.write_bytes(b"one")
        beside.replace(watched.path)
        os.utime(watched.path)
    watched.path.write_bytes(b"two")
    await watched.until_last(b"two")
    assert [b"two"] == watched.texts()


async def test_content_of_the_same_size_and_time_is_a_change(watched: Watched) -> None:
    """Two quick writes may leave the same times behind."""
    before = watched.path.stat()
    watched.path.write_bytes(b"two")
    os.utime(watched.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    await watched.until_last(b"two")


async def test_a_deleted_file_and_its_return(watched: Watched) -> None:
    """Gone is told with a reason, and so is the return, even of the same content."""
    watched.path.unlink()
    await watched.until_last(None)
    assert "does not exist" in watched.seen[-1].trouble
    watched.path.write_bytes(b"one")
    await watched.until_last(b"one")


async def test_a_truncated_file(watched: Watched) -> None:
    """Empty is told as it is; what it means is for others to say."""
    watched.path.write_bytes(b"")
    await watched.until_last(b"")


async def test_an_unreadable_file(watched: Watched) -> None:
    """A folder in its place is told with a reason."""
    watched.path.unlink()
    watched.path.mkdir()
    await watched.until(lambda: watched.seen and "cannot be read" in watched.seen[-1].trouble)


async def test_a_folder_that_is_replaced(watched: Watched) -> None:
    """A deployment may put a whole new folder in its place; changes in that one are seen as well."""
    folder = watched.path.parent
    shutil.rmtree(folder)
    folder.mkdir()
    watched.path.write_bytes(b"two")
    await watched.until_last(b"two")
    await asyncio.sleep(0)
    watched.path.write_bytes(b"three")
    await watched.until_last(b"three")


async def test_a_hundred_changes_end_with_the_last(watched: Watched) -> None:
    """In a burst some may go by unseen, but never the last one."""
    for number in range(100):
        beside = watched.path.with_suffix(".tmp")
        beside.write_bytes(f"number {number}".encode())
        beside.replace(watched.path)
        await asyncio.sleep(0)
    await watched.until_last(b"number 99")


async def test_half_a_file_is_not_read_while_it_is_being_written(watched: Watched) -> None:
    """A writer that takes a moment is waited for: the settle time begins anew with each piece."""
    with watched.path.open("wb", buffering=0) as file:
        for piece in (b"one ", b"two ", b"three"):
            file.write(piece)
            await asyncio.sleep(watcher.SETTLE_MS / 4000)
    await watched.until_last(b"one two three")
    if watched.told:  # without announcements nobody can know that a writer is at work
        assert [b"one two three"] == watched.texts()


async def test_what_was_not_done_is_told_again(watched: Watched) -> None:
    """A store that was full for a while does not cost a change of the file."""
    watched.done = False
    watched.path.write_bytes(b"two")
    await watched.until(lambda: len(watched.seen) >= 2)
    watched.done = True
    await watched.until(lambda: len(watched.seen) >= 3)
    count = len(watched.seen)
    watched.path.write_bytes(b"three")
    await watched.until_last(b"three")
    assert count + 1 == len(watched.seen)


def test_a_look_never_reads_without_end(tmp_path: Path) -> None:
    """One byte more than the parser takes, so that it can say that it is too much."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(watcher.MAX_BYTES * 2)
    data = look(path).data
    assert data is not None
    assert watcher.MAX_BYTES == len(data)

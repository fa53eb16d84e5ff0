"""Access logs, read as they stream by: any number of lines in bounded memory.

Whatever a file holds, the answer is a value: lines that no format reads are counted and a few of them kept to be shown,
a gigabyte without a line break is one line that is too long, a damaged archive is read up to where it breaks.  Only
what cannot be opened, or is plainly something else, is an error.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from discovery.core.lines import FORMATS, LONGEST_LINE, Format, Hit, any_of, recognise
from discovery.core.survey import Survey

BLOCK: Final = 1 << 20
PIECE: Final = 1 << 16
"""Of a packed file."""
SAMPLE: Final = 200
"""Lines by which a format is recognised."""
MOST_WAITING: Final = 50_000
"""Different requests counted before the survey takes them."""
SHOWN: Final = 3
"""Lines kept to be shown, of those that nobody can read."""
SHOWN_BYTES: Final = 160
BOMB: Final = 256 << 20
"""An archive that has given more bytes than this ..."""
BOMB_RATIO: Final = 200
"""... and this many times what it is, is no log."""

_MAGIC: Final = {
    b"BZh": "bzip2 (`bzcat FILE | strangler discover access-log -`)",
    b"\xfd7zXZ": "xz (`xzcat FILE | strangler discover access-log -`)",
    b"\x28\xb5\x2f\xfd": "zstd (`zstdcat FILE | strangler discover access-log -`)",
    b"PK\x03\x04": "zip (`unzip -p FILE | strangler discover access-log -`)",
    b"\xff\xfe": "UTF-16 (save it as UTF-8)",
    b"\xfe\xff": "UTF-16 (save it as UTF-8)",
}
_GZIP: Final = b"\x1f\x8b"
_MONTHS: Final = {
    name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}

Progress = Callable[[int, int | None, int], None]
"""Bytes read, bytes in all if that is known, lines read."""


class UnreadableError(Exception):
    """A log that cannot be read at all; the text says why."""


@dataclass
class Reading:
    """How it went."""

    lines: int = 0
    malformed: int = 0
    too_long: int = 0
    elsewhere: int = 0
    """Requests for another host than the one that is asked for."""
    samples: list[bytes] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    first: float | None = None
    last: float | None = None

    @property
    def seconds(self) -> float | None:
        """What the log spans."""
        if self.first is None or self.last is None or self.last <= self.first:
            return None
        return self.last - self.first


def _silent(done: int, total: int | None, lines: int) -> None:
    """Nobody looks."""


def read(
    names: Sequence[str], survey: Survey, *, form: str = "", host: str = "", progress: Progress = _silent
) -> Reading:
    """All files, `-` for standard input, into the survey."""
    reading = Reading()
    total = _total(names)
    done = 0
    for name in names:
        with ExitStack() as stack:
            file = _opened(name, stack)
            source = _Source(file, name, reading)
            log = _Log(survey, reading, form, host.lower())
            for block in _lines(source.blocks(), reading):
                log.take(block)
                progress(done + source.taken, total, reading.lines)
            log.flush()
            done += source.taken
    return reading


def _total(names: Sequence[str]) -> int | None:
    try:
        return None if "-" in names else sum(Path(name).stat().st_size for name in names)
    except OSError:
        return None


def _opened(name: str, stack: ExitStack) -> IO[bytes]:
    if name == "-":
        return sys.stdin.buffer
    try:
        return stack.enter_context(Path(name).open("rb"))
    except OSError as error:
        raise UnreadableError(f"{name} cannot be read: {error.strerror or error}") from None


# -- bytes -------------------------------------------------------------------------------------------------------------


class _Source:
    """The bytes of one file, unpacked."""

    def __init__(self, file: IO[bytes], name: str, reading: Reading) -> None:
        self.taken = 0
        """Bytes of the file itself."""
        self._file = file
        self._name = name
        self._reading = reading

    def blocks(self) -> Iterator[bytes]:
        first = self._read()
        for magic, what in _MAGIC.items():
            if first.startswith(magic):
                raise UnreadableError(f"{self._name} is {what}")
        packed = first.startswith(_GZIP)
        yield from self._unpacked(first) if packed else self._plain(first)

    def _read(self) -> bytes:
        try:
            block = self._file.read(BLOCK)
        except OSError as error:
            raise UnreadableError(f"{self._name} cannot be read: {error.strerror or error}") from None
        self.taken += len(block)
        return block

    def _plain(self, block: bytes) -> Iterator[bytes]:
        while block:
            yield block
            block = self._read()

    def _unpacked(self, first: bytes) -> Iterator[bytes]:
        """Member by member; damage ends it, and is said."""
        given = 0
        for out in self._members(self._pieces(first)):
            given += len(out)
            yield out
            if given > BOMB and given > BOMB_RATIO * self.taken:
                self._say(f"unpacks to more than {BOMB_RATIO} times its size, which no log does; left there")
                return

    def _members(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(31)
        left = b""
        try:
            while block := left or next(pieces, b""):
                yield unpacker.decompress(block, BLOCK)
                if not unpacker.eof:
                    left = unpacker.unconsumed_tail
                    continue
                left = unpacker.unused_data
                left += next(pieces, b"") if len(left) < len(_GZIP) else b""
                if not left.startswith(_GZIP):
                    if left.strip(b"\0"):
                        self._say("goes on with something else behind its end")
                    return
                unpacker = zlib.decompressobj(31)
            while out := unpacker.decompress(b"", BLOCK):
                yield out
        except zlib.error as error:
            self._say(f"is damaged ({error}); read up to there")
            return
        self._say("ends in the middle; read up to there")

    def _pieces(self, block: bytes) -> Iterator[bytes]:
        """Small ones: what lies behind the end of a member is copied, and a file may have very many members."""
        while block:
            yield from (block[start : start + PIECE] for start in range(0, len(block), PIECE))
            block = self._read()

    def _say(self, what: str) -> None:
        self._reading.remarks.append(f"{self._name} {what}")


def _lines(blocks: Iterable[bytes], reading: Reading) -> Iterator[list[bytes]]:
    """Whole lines; what is too long for one is counted, and not kept."""
    rest = b""
    skipping = False
    for block in blocks:
        if skipping:
            cut = block.find(b"\n")
            if cut < 0:
                continue
            block, skipping = block[cut + 1 :], False
        parts = (rest + block).split(b"\n")
        rest = parts.pop()
        if len(rest) > LONGEST_LINE:
            reading.too_long += 1
            reading.lines += 1
            rest, skipping = b"", True
        yield parts
    if rest:
        yield [rest]


# -- lines -------------------------------------------------------------------------------------------------------------


class _Log:
    """One file's lines on their way into the survey."""

    def __init__(self, survey: Survey, reading: Reading, form: str, host: str) -> None:
        self._survey = survey
        self._reading = reading
        self._host = host
        self._read: Format | None = FORMATS[form] if form else None
        self._other: Format | None = None if form else any_of
        self._waiting: dict[tuple[bytes, bytes, bytes, bytes], int] = {}

    def take(self, lines: list[bytes]) -> None:
        read = self._read or self._recognised(lines)
        waiting = self._waiting
        first = last = None
        for line in lines:
            if len(line) > LONGEST_LINE:
                self._reading.too_long += 1
                continue
            hit = read(line)
            if hit is None and (hit := self._second_look(line)) is None:
                continue
            first = first or hit
            last = hit
            key = (hit.method, hit.target.partition(b"?")[0], hit.status, hit.host)
            waiting[key] = waiting.get(key, 0) + 1
        self._reading.lines += len(lines)
        self._note_times(first, last)
        if len(waiting) > MOST_WAITING:
            self.flush()

    def _recognised(self, lines: list[bytes]) -> Format:
        """The format of most lines at the beginning, once there is one."""
        sample = [line for line in lines[: 5 * SAMPLE] if line.strip() and len(line) <= LONGEST_LINE][:SAMPLE]
        name = recognise(sample)
        if name is None:
            return any_of
        self._reading.formats.append(name)
        self._read = FORMATS[name]
        return self._read

    def _second_look(self, line: bytes) -> Hit | None:
        """Logs of several programs are often one file; blank lines are nothing."""
        if not line.strip():
            self._reading.lines -= 1
            return None
        found = self._other(line) if self._other is not None else None
        if found is None:
            self._reading.malformed += 1
            if len(self._reading.samples) < SHOWN:
                self._reading.samples.append(line[:SHOWN_BYTES])
        return found

    def _note_times(self, first: Hit | None, last: Hit | None) -> None:
        times = [at for at in (when(hit.time) for hit in (first, last) if hit) if at is not None]
        if times:
            reading = self._reading
            reading.first = min(times) if reading.first is None else min(reading.first, *times)
            reading.last = max(times) if reading.last is None else max(reading.last, *times)

    def flush(self) -> None:
        """What waits goes into the survey."""
        for (method, target, status, host), count in self._waiting.items():
            name = bare_host(host)
            if self._host and name != self._host:
                self._reading.elsewhere += count
                continue
            code = int(status) if status.isdigit() and len(status) <= 3 else 0
            self._survey.add(method.decode("latin-1"), target, code, name, count)
        self._waiting.clear()


def bare_host(host: bytes) -> str:
    """In lower case and without a port."""
    name = host.decode("latin-1").lower()
    head, colon, port = name.rpartition(":")
    return head if colon and port.isdigit() and not (":" in head and not head.endswith("]")) else name


def when(written: bytes) -> float | None:
    """A time as logs write it, in seconds of the epoch; None when it cannot be read."""
    try:
        if written[2:3] == b"/" or written[1:2] == b"/":
            return _clf(written)
        text = written.decode("ascii")
        if text[4:5] == "-":
            found = datetime.fromisoformat(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        number = float(text)
    except (ValueError, KeyError, OverflowError, UnicodeDecodeError):
        return None
    if not 0 < number < 1e14:
        return None
    return number / 1000 if number > 1e11 else number


def _clf(written: bytes) -> float:
    """`22/Nov/2026:07:20:28 +0000`, or as HAProxy has it with milliseconds and no zone."""
    date, _, rest = written.partition(b":")
    day, month, year = date.split(b"/")
    clock, _, zone = rest.partition(b" ")
    hour, minute, second = clock.split(b":")
    found = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(float(second)), tzinfo=UTC)
    offset = int(zone[:3]) * 3600 + int(zone[:1] + zone[3:5]) * 60 if zone else 0
    return found.timestamp() - offset

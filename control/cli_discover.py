"""`strangler discover`: a first routes.yaml from OpenAPI documents, access logs, or what no route lists yet.

What is found is the work of `discovery`; here files are named, progress is shown, and the result is read back with the
router's own reader before anybody sees it: a draft that `check` would refuse is never handed out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TextIO

from control import cli_files
from control.cli_client import Admin, CannotAskError
from control.cli_values import DONE, FAILED, USAGE
from discovery import documents, logs
from discovery.core import inventory, merge
from discovery.core.draft import Wanted, comment, doubt, drafted, unlisted
from discovery.core.survey import Documented, Findings, Survey
from router.core.model import Table
from router.core.parse import Refused
from router.core.problem import Problem, Report
from router.sources.yaml_file import load_table, read_document

ATTEMPTS: Final = 5
"""Times that routes which the reader refuses are left out of a merge."""
EVERY: Final = 0.1
"""Seconds between two pictures of the progress."""
LONGEST: Final = 1000
"""Characters of a line for people."""
MOST_LINES: Final = 40
"""Of one kind, on a terminal; --json has all."""

Json = dict[str, Any]


@dataclass
class _Found:
    """What was read, and from where."""

    findings: Findings
    sources: tuple[str, ...]
    reading: logs.Reading = field(default_factory=logs.Reading)


def discover(args: argparse.Namespace, admin: Admin | None = None) -> int:
    """The exit code.  `admin` is who knows the live traffic."""
    if args.patch and not args.merge:
        print("strangler discover: --patch belongs to --merge", file=sys.stderr)
        return USAGE
    try:
        found = _found(args, admin)
        return _merge(args, found) if args.merge else _draft(args, found)
    except (documents.UnreadableError, logs.UnreadableError, inventory.NotOpenApiError, CannotAskError) as error:
        print(f"strangler: {comment(str(error), LONGEST)}", file=sys.stderr)
        return FAILED


# -- reading -----------------------------------------------------------------------------------------------------------


def _found(args: argparse.Namespace, admin: Admin | None) -> _Found:
    operations, sources, remarks = _documents(args)
    survey = Survey(operations, args.template)
    if admin is not None:
        seconds, said = _ask(admin, survey)
        return _Found(survey.findings(seconds, remarks), (*sources, *said))
    names = args.logs
    if not names:
        return _Found(survey.findings(None, remarks, logged=False), sources)
    with _Bar(sys.stderr) as bar:
        reading = logs.read(names, survey, form=args.format, host=args.host or "", progress=bar.show)
    _check_readable(reading)
    findings = survey.findings(reading.seconds, [*remarks, *reading.remarks])
    return _Found(findings, (*sources, *(f"the access log {name}" for name in names)), reading)


def _documents(args: argparse.Namespace) -> tuple[list[Documented], tuple[str, ...], list[str]]:
    operations: list[Documented] = []
    remarks: list[str] = []
    for name in args.documents:
        try:
            found = inventory.read(documents.read(Path(name)), args.base)
        except (documents.UnreadableError, inventory.NotOpenApiError) as error:
            raise documents.UnreadableError(f"{name} cannot be read: {error}") from None
        operations += found.operations
        remarks += (f"{Path(name).name}: {remark}" for remark in found.remarks)
    return operations, tuple(f"the document {name}" for name in args.documents), remarks


def _check_readable(reading: logs.Reading) -> None:
    if not reading.lines:
        raise logs.UnreadableError("there is not one line in the log")
    unread = reading.malformed + reading.too_long
    if unread == reading.lines:
        sample = f", such as {reading.samples[0][:100]!r}" if reading.samples else ""
        raise logs.UnreadableError(
            f"none of {reading.lines:,} lines can be read{sample}; known are combined logs, JSON lines, and those of "
            "Envoy, ALB, HAProxy and nginx-proxy-manager"
        )
    if reading.elsewhere == reading.lines - unread:
        raise logs.UnreadableError("no line of the log is about the host that --host names, or it names no hosts")


def _ask(admin: Admin, survey: Survey) -> tuple[float | None, tuple[str, ...]]:
    """What the running router was asked for and lists nowhere."""
    answer = admin.get("/api/v1/unlisted")
    for each in answer["requests"]:
        survey.add(each["method"], each["path"].encode("latin-1", "replace"), each["status"], "", each["count"])
    ends = [logs.when(str(answer[end]).encode()) for end in ("since", "until")]
    seconds = ends[1] - ends[0] if ends[0] is not None and ends[1] is not None and ends[1] > ends[0] else None
    said = [f"unlisted traffic, {_where(answer)}"]
    if answer["more"]:
        said.append(f"{answer['more']:,} requests that were too many different ones to count")
    return seconds, tuple(said)


def _where(answer: Json) -> str:
    """Who counted it, and how much of it that is."""
    workers = "as the workers have counted it since the routes changed last"
    if not answer["lines"]:
        return workers if answer["whole"] else f"{workers}, but not all of it is known"
    part = "all" if answer["whole"] else "the newest part"
    return f"from {part} of the router's own access log ({answer['lines']:,} lines), else {workers}"


class _Bar:
    """How far it is, on a terminal and nowhere else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None
        self._next = 0.0
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None and self._drawn:
            print("\r\x1b[K", end="", file=self._stream, flush=True)

    def show(self, done: int, total: int | None, lines: int) -> None:
        now = time.monotonic()
        if self._stream is None or now < self._next:
            return
        self._next = now + EVERY
        self._drawn = True
        part = min(done / total, 1.0) if total else 0.0
        bar = f"[{'#' * int(30 * part):<30}] {part:4.0%} " if total else ""
        print(f"\r{bar}{done >> 20} MiB, {lines:,} lines\x1b[K", end="", file=self._stream, flush=True)


# -- a draft -----------------------------------------------------------------------------------------------------------


def _draft(args: argparse.Namespace, found: _Found) -> int:
    wanted = Wanted(found.sources, args.legacy, args.by, args.host or "")
    text = drafted(found.findings, wanted)
    parsed = load_table(text.encode(), "the draft", {})
    if isinstance(parsed, Refused):
        raise CannotAskError(f"the draft would not pass `strangler check`: {parsed.problems[0]}; please report this")
    if args.output:
        try:
            with Path(args.output).open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise CannotAskError(f"{args.output} is there already; `--merge {args.output}` adds to it") from None
        except OSError as error:
            raise CannotAskError(f"{args.output} cannot be written: {error.strerror or error}") from None
    if args.json:
        print(json.dumps(_as_json(found) | {"routes_yaml": text}, indent=2))
    elif not args.output:
        sys.stdout.write(text)
        sys.stdout.flush()
    _tell([*_summary(found), *([f"written to {args.output}"] if args.output else [])])
    return DONE


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        print(comment(line, LONGEST), file=sys.stderr)


def _summary(found: _Found) -> Iterator[str]:
    """What people want to know before they read the draft."""
    reading, findings = found.reading, found.findings
    if reading.lines:
        read = " and ".join(reading.formats) or "lines of several formats"
        yield f"{reading.lines:,} lines of the access log, read as {read}"
        if reading.malformed or reading.too_long:
            yield f"{reading.malformed + reading.too_long:,} of them could not be read"
            yield from (f"  such as: {sample.decode('utf-8', 'replace')}" for sample in reading.samples)
        if reading.elsewhere:
            yield f"{reading.elsewhere:,} of them are about other hosts"
    yield from (f"not on any route: {line}" for line in unlisted(findings))
    counts: dict[str, int] = {}
    for each in findings.operations:
        counts[each.standing.value] = counts.get(each.standing.value, 0) + 1
    yield f"{len(findings.operations)} operations: " + ", ".join(f"{number} {what}" for what, number in counts.items())
    yield from _cut([*map(doubt, findings.doubts), *findings.remarks])


def _cut(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"look at: {line}" for line in lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        yield f"and {len(lines) - MOST_LINES} more (--json has all)"


def _as_json(found: _Found) -> Json:
    findings, reading = found.findings, found.reading
    return {
        "requests": findings.requests,
        "seconds": findings.seconds,
        "lines": reading.lines,
        "malformed": reading.malformed + reading.too_long,
        "samples": [sample.decode("utf-8", "replace") for sample in reading.samples],
        "operations": [
            asdict(each) | {"standing": each.standing.value, "methods": list(each.methods)}
            for each in findings.operations
        ],
        "ignored": asdict(findings.ignored),
        "hosts": dict(findings.hosts),
        "doubts": list(map(doubt, findings.doubts)),
        "remarks": list(findings.remarks),
    }


# -- into a file that is there -----------------------------------------------------------------------------------------


def _merge(args: argparse.Namespace, found: _Found) -> int:
    path = Path(args.merge)
    before, table = _read(path)
    bare = before.removeprefix("\ufeff")
    merging = _merged(bare, table, found.findings, args.host or "")
    after = before[: len(before) - len(bare)] + merging.text
    if merging.added and args.patch:
        sys.stdout.write(cli_files.patch(path, before, after))
    elif merging.added:
        try:
            cli_files.replace(path, after)
        except OSError as error:
            sys.stdout.write(cli_files.patch(path, before, after))
            raise CannotAskError(f"{path} cannot be written ({error.strerror or error}); the patch is above") from None
    if args.json:
        print(json.dumps(_as_json(found) | _merging_json(merging, written=not args.patch), indent=2))
    lines = list(merge.told(merging, found.findings))
    added = "would be added" if args.patch else "added"
    headline = f"{path}: {len(merging.added)} routes {added}, {len(merging.covered)} operations have routes already"
    _tell([*_summary(found), headline, *lines[:MOST_LINES], *_more(len(lines) - MOST_LINES)])
    return DONE


def _more(count: int) -> list[str]:
    return [f"and {count} more (--json has all)"] if count > 0 else []


def _merging_json(merging: merge.Merging, *, written: bool) -> Json:
    return {
        "written": written and bool(merging.added),
        "added": [{"route": each.operation.label, "line": each.line} for each in merging.added],
        "covered": [{"route": each.operation.label, "by": each.why} for each in merging.covered],
        "left": [{"route": each.operation.label, "why": each.why} for each in merging.left],
        "retire": [route.name for route, _ in merging.retire],
    }


def _read(path: Path) -> tuple[str, Table]:
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise CannotAskError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise CannotAskError(f"{path} is not UTF-8") from None
    parsed = load_table(text.encode(), str(path), os.environ)
    if isinstance(parsed, Refused):
        raise CannotAskError(f"{path} has problems; mend them first: {parsed.problems[0]}")
    return text, parsed.table


def _merged(text: str, table: Table, findings: Findings, host: str) -> merge.Merging:
    """The text with new routes; what the reader refuses because of a setting of the file is left out again."""
    root = read_document(text.encode(), Report())
    assert root is not None, "it has just been read"  # noqa: S101 - `_read` is the proof
    but: frozenset[str] = frozenset()
    for _ in range(ATTEMPTS):
        try:
            merging = merge.merged(text, root, table, findings, host=host, but=but)
        except merge.CannotMergeError as error:
            raise CannotAskError(f"nothing can be added to this file: {error}") from None
        after = load_table(merging.text.encode(), "routes.yaml", os.environ)
        if not isinstance(after, Refused):
            if merge.means(table, after.table, len(merging.added)):
                return merging
            raise CannotAskError("the file would say something else than before; nothing is written")
        but |= _culprits(merging, after.problems)
    raise CannotAskError("the file would be refused with the new routes; nothing is written")


def _culprits(merging: merge.Merging, problems: Sequence[Problem]) -> frozenset[str]:
    """The added routes that the problems are about; all of them when that cannot be told."""
    lines = [each.line for each in merging.added]
    found = {
        each.operation.label
        for number, each in enumerate(merging.added)
        for problem in problems
        if each.line <= problem.line and (number + 1 == len(lines) or problem.line < lines[number + 1])
    }
    return frozenset(found or {each.operation.label for each in merging.added})

"""A draft of a routes.yaml: what people need to begin, in the order in which it matters.

Routes are grouped and ordered by traffic, all with the weight 0, so that a router which takes the draft does exactly
what it did before.  What is known of each stands above it.  What is documented but unused stands at the end, as
comments: it is to be retired rather than migrated, and who disagrees removes a `#`.

Paths come from logs, which strangers write.  In a template there is nothing but visible ASCII; every other text goes
through `comment`, so that nothing ever leaves its line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from discovery.core.groups import grouped
from discovery.core.infer import Doubt
from discovery.core.naming import unique
from discovery.core.shapes import VALUE
from discovery.core.survey import Findings, Operation, Standing
from router.core.match import conflicts
from router.core.model import Route
from router.core.values import name_trouble

LEGACY: Final = "http://127.0.0.1:9001"
MOST_REMARKS: Final = 100
SHORTEST: Final = 60.0
"""Seconds of a log that says something about rates."""

_PLAIN_PATH: Final = re.compile(r"/[A-Za-z0-9/_{}.~=%$()+-]*")
_PLAIN_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_YAML_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the draft shall be."""

    sources: tuple[str, ...] = ()
    """What it is drawn from, for its first lines."""
    legacy: str = LEGACY
    by: str = ""
    """`tag`, `prefix`, `none`; empty for whichever says more."""
    host: str = ""


def comment(text: str, most: int = 400) -> str:
    """Somebody's text within a comment: on one line, and nothing that a terminal or YAML would obey."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:most])
    return shown + ("..." if len(text) > most else "")


def drafted(findings: Findings, wanted: Wanted) -> str:
    """The text of a whole routes.yaml."""
    used, remarks = separable([each for each in findings.operations if each.standing is not Standing.UNUSED])
    unused = [each for each in findings.operations if each.standing is Standing.UNUSED]
    groups = {} if wanted.by == "none" else grouped(used, wanted.by)
    lines = [
        *_head(findings, wanted, len(used)),
        *_preamble(wanted),
        *_groups(groups, findings),
        *_routes(used, groups, findings, wanted),
    ]
    lines += _unused(unused, logged=findings.logged)
    lines += _said([*map(doubt, findings.doubts), *findings.remarks, *remarks])
    return "\n".join(lines).rstrip("\n") + "\n"


def separable(operations: Sequence[Operation]) -> tuple[list[Operation], list[str]]:
    """The operations that a router can tell apart, and what is said about the others."""
    clashes = {
        two: (one, why) for one, two, why in conflicts([Route("", each.path, "", each.methods) for each in operations])
    }
    said = [
        f"{operations[two].label} is left out: it cannot be told from {operations[one].label} ({why})"
        for two, (one, why) in clashes.items()
    ]
    return [each for number, each in enumerate(operations) if number not in clashes], said


# -- the parts ---------------------------------------------------------------------------------------------------------


def _head(findings: Findings, wanted: Wanted, count: int) -> Iterator[str]:
    yield "# A draft by `strangler discover`: every route has the weight 0, so taking it changes nothing."
    for source in wanted.sources:
        yield f"# From {comment(source)}"
    if findings.logged:
        span = f" in {duration(findings.seconds)}" if findings.seconds else ""
        share = f"{100 * _listed(findings):.1f} %"
        yield f"# {findings.requests:,} requests{span}, of which {share} belong to the {_many(count, 'route')} below."
    for host, requests in findings.hosts if len(findings.hosts) > 1 else ():
        yield f"#   {requests:>12,} for {comment(host, 100)}"
    yield ""


def _listed(findings: Findings) -> float:
    listed = sum(each.requests for each in findings.operations)
    return listed / findings.requests if findings.requests else 0.0


def _preamble(wanted: Wanted) -> Iterator[str]:
    yield "version: 1"
    yield ""
    yield "upstreams:"
    yield f"  legacy: {{endpoints: [{json.dumps(wanted.legacy)}]}}  # where the legacy system listens"
    yield ""
    yield "legacy: legacy"
    yield ""


def _groups(groups: dict[str, list[Operation]], findings: Findings) -> Iterator[str]:
    if not groups:
        return
    yield "# What is known of each belongs here, such as `{owner: team-carts, new: carts, cap: 50}`."
    yield "groups:"
    for name, members in groups.items():
        requests = sum(each.requests for each in members)
        share = f", {_share(requests, findings)} of the requests" if findings.logged else ""
        yield f"  {key(name)}: {{}}  # {_many(len(members), 'route')}{share}"
    yield ""


def _routes(
    used: Sequence[Operation], groups: dict[str, list[Operation]], findings: Findings, wanted: Wanted
) -> Iterator[str]:
    yield "routes:" if used else "routes: []"
    names: set[str] = set()
    for name, members in (groups or {"": list(used)}).items():
        if name:
            yield f"  # ---- {name} ----"
        for each in members:
            yield from route(each, name, findings, wanted.host, names)
    yield ""


def route(operation: Operation, group: str, findings: Findings, host: str, names: set[str]) -> Iterator[str]:
    """The lines of one route, for a list that is indented by two; `names` are those that are taken."""
    yield f"  # {facts(operation, findings)}"
    yield f"  - path: {quoted(operation.path)}"
    yield f"    methods: [{', '.join(map(word, operation.methods))}]"
    if host:
        yield f"    host: {quoted(host)}"
    if name := _own_name(operation, host, names):
        yield f"    name: {json.dumps(name)}"
    if group:
        yield f"    group: {key(group)}"


def _own_name(operation: Operation, host: str, names: set[str]) -> str:
    """A name for routes that cannot be called by their path; empty for the others."""
    usual = f"{','.join(operation.methods)} {host}{operation.path}"
    if name_trouble(usual) is None and usual not in names:
        names.add(usual)
        return ""
    return unique(re.sub(r"[\"'`]", "_", usual)[:180].strip(), names)


def facts(operation: Operation, findings: Findings) -> str:
    """`592 requests, 1.9/s, 32.0 %; documented and used`."""
    said = [f"{operation.requests:,} {'request' if operation.requests == 1 else 'requests'}"] if findings.logged else []
    if findings.logged and findings.seconds and findings.seconds >= SHORTEST:
        said.append(rate(operation.requests / findings.seconds))
    if findings.logged:
        said.append(_share(operation.requests, findings))
    if operation.refused == operation.requests and operation.refused:
        said.append("never answered but with 404 or the like")
    elif operation.refused:
        said.append(f"{operation.refused / operation.requests:.1%} not found")
    known = f"{operation.standing}{', deprecated' if operation.deprecated else ''}"
    return "; ".join(filter(None, (", ".join(said), known)))


def _unused(operations: Sequence[Operation], *, logged: bool) -> Iterator[str]:
    if not operations or not logged:
        return
    yield f"# Documented but unused ({len(operations)}): retire instead of migrate, if the log is long enough to tell."
    yield "# Who wants one all the same takes its `#` away and moves it up into `routes`."
    for each in sorted(operations, key=lambda each: (each.path, each.methods)):
        note = "  # deprecated" if each.deprecated else ""
        yield f"#  - {{path: {json.dumps(each.path)}, methods: [{', '.join(map(word, each.methods))}]}}{note}"
    yield ""


def _said(remarks: Sequence[str]) -> Iterator[str]:
    if remarks:
        yield "# What a person should look at:"
    for remark in remarks[:MOST_REMARKS]:
        yield f"#  - {comment(remark)}"
    if len(remarks) > MOST_REMARKS:
        yield f"#  - and {len(remarks) - MOST_REMARKS} more"


# -- words -------------------------------------------------------------------------------------------------------------


def doubt(found: Doubt) -> str:
    """What only people can know."""
    where = "/" + "/".join(part.replace(VALUE, "{...}") for part in found.where)
    words = ", ".join(found.words) + (", ..." if found.count > len(found.words) else "")
    return (
        f"{where}/ is followed by {found.count} names that look alike ({words}); if they are values, "
        f"say so with --template {where}/{{value}} and what follows"
    )


def quoted(text: str) -> str:
    """A path as YAML reads it back."""
    return text if _PLAIN_PATH.fullmatch(text) else json.dumps(text)


def word(text: str) -> str:
    return text if _PLAIN_WORD.fullmatch(text) and text.lower() not in _YAML_WORDS else json.dumps(text)


def key(text: str) -> str:
    return word(text)


def rate(per_second: float) -> str:
    """Requests in the unit in which there are a few of them."""
    for unit, seconds in (("s", 1), ("min", 60), ("h", 3600)):
        if per_second * seconds >= 0.95:
            return f"{per_second * seconds:,.1f}/{unit}"
    a_day = per_second * 86_400
    return f"{a_day:,.1f}/day" if a_day >= 0.95 else "less than one a day"


def duration(seconds: float | None) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds and seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds or 0:.0f} s"


def _share(requests: int, findings: Findings) -> str:
    return f"{100 * requests / findings.requests:.1f} %" if findings.requests else "0 %"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def unlisted(findings: Findings) -> Iterable[str]:
    """What became of requests that are on no route."""
    ignored = findings.ignored
    for count, what in (
        (ignored.static, "for files such as .css and .png"),
        (ignored.preflights, "preflights (OPTIONS)"),
        (ignored.noise, "refused (404 and the like), and like nothing that answers"),
        (ignored.rare, "that begin with a value, too few to make a route of all that begins so"),
        (ignored.unreadable, "without a path that a router would route"),
        (ignored.crowded_out, "for which there was no room: too many different paths"),
    ):
        if count:
            yield f"{count:,} {what}"

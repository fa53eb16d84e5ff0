"""A loaded routes.yaml becomes a `Table`, or all of its problems at once.

`parse` never raises and never stops at the first problem.  Sections are read in the order in which they refer to
each other (plans, sites, upstreams, defaults, groups, routes, safety); a section that cannot be read makes no second
complaint where others refer to it.  What says nothing where it stands comes back as a note, so that no option does
nothing silently.

`routes` must be written even when there are none (`routes: []`): a file that was cut at the end of a line is still
good YAML, and must not look like a good document too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from collections.abc import Mapping as Map
from dataclasses import dataclass, replace
from dataclasses import fields as model_fields
from types import MappingProxyType
from typing import Any, Final

from router.core import values
from router.core.addresses import Place
from router.core.comparing import Comparing
from router.core.document import Entry, Node
from router.core.model import DotRule, Expose, Limits, Route, Table
from router.core.parse_plans import check_plans, read_notify, read_plans
from router.core.parse_routes import (
    Readers,
    Values,
    read_defaults,
    read_groups,
    read_routes,
    settings_readers,
    timeouts,
)
from router.core.parse_safety import read_safety
from router.core.parse_shadow import comparing
from router.core.parse_upstreams import all_sites, check_own, check_weights, keys, read_sites, read_upstreams
from router.core.problem import Code, Note, Problem, Report
from router.core.schema import Reader, boolean, choice, describe, digits, fields, known_entries, missing, whole

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Parsed:
    """A valid document."""

    table: Table
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A document with at least one problem; nothing of it may be used."""

    problems: tuple[Problem, ...]
    notes: tuple[Note, ...] = ()


def any_zone(_name: str) -> bool:
    """Every well-formed name is that of a time zone, to those who have no list of them."""
    return True


def parse(
    document: Node,
    environ: Map[str, str] = MappingProxyType({}),
    report: Report | None = None,
    zone_known: Callable[[str], bool] = any_zone,
    own: Collection[Place] = (),
) -> Parsed | Refused:
    """The table that the document says.  `report` may hold what its source found wrong already.

    `own` are the places on which the router listens: no upstream is there.
    """
    report = report or Report()
    top = known_entries(document, "the file", _TOP_KEYS, report)
    if top is None:
        return Refused(report.problems())
    plans = read_plans(top.get("plans"), zone_known, report)
    table = replace(
        _table(document, top, environ, None if plans is None else frozenset(plans), report),
        safety=read_safety(top.get("safety"), zone_known, report),
        plans={name: each.plan for name, each in (plans or {}).items()},
        notify=read_notify(top.get("notify"), environ, report),
    )
    check_plans(plans or {}, table.routes, report)
    check_own(top.get("upstreams"), table.upstreams, own, report)
    problems = report.problems()
    return Refused(problems, report.notes()) if problems else Parsed(table, report.notes())


def _table(
    document: Node, top: Map[str, Entry], environ: Map[str, str], plans: frozenset[str] | None, report: Report
) -> Table:
    """A table in any case: for what is bad or missing something harmless stands in."""
    _check_present(document, top, report)
    sites = read_sites(top.get("sites"), report)
    upstreams = read_upstreams(top.get("upstreams"), keys(top.get("sites")), environ, report)
    check_weights(top.get("upstreams"), upstreams, sites, report)
    readers = settings_readers(keys(top.get("upstreams")), plans)
    legacy = _one(top.get("legacy"), readers["legacy"], report) or ""
    defaults: Values = {"legacy": legacy, **read_defaults(top, readers, report)}
    groups = read_groups(top.get("groups"), readers, report)
    routes: tuple[Route, ...] = ()
    if "routes" in top:
        routes = read_routes(top["routes"], readers, groups, defaults, report)
    http = _section(top.get("http"), _HTTP, report)
    return Table(
        legacy=legacy,
        upstreams=upstreams,
        routes=routes,
        groups={name: each.group for name, each in (groups or {}).items()},
        sites=all_sites(upstreams, sites),
        trusted=_one(top.get("trusted"), values.networks, report) or (),
        expose=defaults.get("expose", Expose.ALWAYS),
        timeouts=timeouts(defaults),
        compare=_one(top.get("compare"), comparing, report) or Comparing(),
        limits=Limits(**_section(top.get("limits"), _LIMITS, report)),
        **http,
    )


def _check_present(document: Node, top: Map[str, Entry], report: Report) -> None:
    for key, instead in _REQUIRED.items():
        if key not in top:
            missing(document, key, "the file", instead, report)
    version = top.get("version")
    if version is not None and digits(version.value) != VERSION:
        what = f"`version` is {describe(version.value)}, which this program does not read"
        report.problem(version.value, Code.BAD_VALUE, what, _REQUIRED["version"])


def _one(entry: Entry | None, reader: Reader[Any], report: Report) -> Any:
    return None if entry is None else reader(entry.value, f"`{entry.key}`", report)


def _section(entry: Entry | None, readers: Readers, report: Report) -> Values:
    return {} if entry is None else fields(entry.value, f"`{entry.key}`", readers, report)


_REQUIRED: Final = {
    "version": f"write `version: {VERSION}`",
    "upstreams": "name at least the upstream that `legacy` speaks of, with its endpoints",
    "legacy": "write `legacy: NAME`, the upstream that answers everything no route sends elsewhere",
    "routes": "write the routes, or `routes: []` for none at all",
}
_TOP_KEYS: Final = dict.fromkeys(
    (
        *_REQUIRED,
        *("sites", "defaults", "groups", "trusted", "limits", "http", "expose", "trailing_slash"),
        *("safety", "plans", "notify", "compare"),
    )
)
_HTTP: Final[Readers] = {
    "dot_segments": choice(DotRule),
    "non_ascii_target": boolean,
    "via": values.via,
}
_SIZES: Final = frozenset(
    ("request_line", "head", "max_body", "chunk_extension", "chunk_extensions", "trailer", "buffer", "replay")
)
"""The limits that count bytes; of the others the floats are times and the integers plain counts."""


def _limits() -> Readers:
    readers: dict[str, Reader[Any]] = {}
    for field in model_fields(Limits):
        if isinstance(field.default, float):
            readers[field.name] = values.limit_time
        else:
            readers[field.name] = values.limit_size if field.name in _SIZES else whole(0, 1_000_000_000)
    return readers


_LIMITS: Final = _limits()

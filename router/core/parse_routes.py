"""The routes of routes.yaml, with the defaults and groups they take their settings from.

What is not written is filled in here, so that a `Route` has no "default": a setting comes from the route, else its
group, else `defaults`, else the model.  A subject nobody names is the client's address, never chance.  A route with
one upstream on both sides is allowed, because that is how a finished migration may look, and noted.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any, Final

from router.core import values
from router.core.comparing import Comparing
from router.core.document import Entry, Mapping, Node, Place, Sequence
from router.core.match import conflicts
from router.core.model import (
    Breaker,
    Expose,
    Fallback,
    Group,
    Panic,
    Route,
    SlashRule,
    Source,
    SubjectSource,
    Timeouts,
)
from router.core.parse_health import breaker
from router.core.parse_shadow import check_shadow, comparing, shadow
from router.core.parse_upstreams import named
from router.core.plans import CAREFUL
from router.core.problem import Code, Report, show
from router.core.schema import (
    Reader,
    boolean,
    choice,
    duration,
    fields,
    known_entries,
    missing,
    percent,
    plain_text,
    read_known,
    wrong_type,
)

DEFAULT_SUBJECT: Final = (SubjectSource(Source.CLIENT_IP),)

Values = dict[str, Any]
"""What was read, by key; only what is good."""
Readers = Map[str, Reader[Any]]

_BUILT_IN: Final = Timeouts()


# ------------------------------------------------------------------------------------------------ settings


def settings_readers(upstreams: frozenset[str] | None, plans: frozenset[str] | None = frozenset()) -> Readers:
    """What `defaults`, groups and routes may all say."""
    upstream = values.known_name("upstream", upstreams)
    return {
        "subject": values.subject,
        "timeout": duration,
        "connect_timeout": duration,
        "idle_timeout": duration,
        "fallback": values.fallback,
        "overflow": values.overflow,
        "finalised": boolean,
        "panic": choice(Panic),
        "breaker": breaker,
        "idempotent": boolean,
        "trailing_slash": choice(SlashRule),
        "expose": choice(Expose),
        "new": upstream,
        "legacy": upstream,
        "shadow": shadow,
        "rollout": values.known_name("plan", None if plans is None else plans | {CAREFUL.name}),
    }


def read_defaults(top: Map[str, Entry], readers: Readers, report: Report) -> Values:
    """`defaults`, with the two settings that may stand at the top as well."""
    entry = top.get("defaults")
    defaults = {} if entry is None else fields(entry.value, "`defaults`", readers, report)
    if entry is not None:
        _check_finalised(entry.value, defaults, defaults, "the defaults", report)
    for key in ("expose", "trailing_slash"):
        value = readers[key](top[key].value, f"`{key}`", report) if key in top else None
        if value is not None and defaults.setdefault(key, value) != value:
            what = f"`{key}` is {value} here and {defaults[key]} in `defaults`"
            report.problem(top[key], Code.CONTRADICTION, what, "say it in one of the two places")
    return defaults


def timeouts(settings: Values) -> Timeouts:
    return Timeouts(
        connect=settings.get("connect_timeout", _BUILT_IN.connect),
        head=settings.get("timeout", _BUILT_IN.head),
        idle=settings.get("idle_timeout", _BUILT_IN.idle),
    )


# -------------------------------------------------------------------------------------------------- groups


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """A group with the settings that its routes inherit."""

    group: Group
    settings: Values


def read_groups(entry: Entry | None, readers: Readers, report: Report) -> dict[str, GroupSettings] | None:
    """None when the section cannot be read."""
    if entry is None:
        return {}
    found = named(entry, "a group", report)
    every = {**_GROUP, **readers}
    return None if found is None else {each.key: _group(each, every, report) for each in found}


def _group(entry: Entry, readers: Readers, report: Report) -> GroupSettings:
    said = fields(entry.value, f"the group `{entry.key}`", readers, report)
    _check_finalised(entry.value, said, said, f"the group `{entry.key}`", report)
    group = Group(
        entry.key,
        said.pop("owner", ""),
        said.pop("cap", None),
        said.pop("seed", entry.key),
        said.pop("compare", Comparing()),
    )
    return GroupSettings(group, said)


# -------------------------------------------------------------------------------------------------- routes


@dataclass(frozen=True, slots=True)
class _Inherited:
    """What routes take from outside: settings by group ("": of a route without one) and seed texts by group."""

    settings: dict[str, Values]
    seeds: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Read:
    """A route whose path, methods and host are good, with its place in the document."""

    route: Route
    place: Place
    named: bool


def read_routes(
    entry: Entry, readers: Readers, groups: Map[str, GroupSettings] | None, defaults: Values, report: Report
) -> tuple[Route, ...]:
    if not isinstance(entry.value, Sequence):
        instead = "write one `- path: ...` for each route, or `routes: []` for none at all"
        wrong_type(entry.value, "`routes`", "a list", instead, report)
        return ()
    group = values.known_name("group", None if groups is None else frozenset(groups))
    every = {**_ROUTE, **readers, "group": group}
    inherited = _inherited(groups or {}, defaults)
    read = [_route(node, every, inherited, report) for node in entry.value.items]
    good = [each for each in read if each is not None]
    _check_unique(good, report)
    return tuple(each.route for each in good)


def _inherited(groups: Map[str, GroupSettings], defaults: Values) -> _Inherited:
    settings = {name: defaults | each.settings for name, each in groups.items()}
    return _Inherited({"": defaults} | settings, {name: each.group.seed for name, each in groups.items()})


def _route(node: Node, readers: Readers, inherited: _Inherited, report: Report) -> _Read | None:
    found = known_entries(node, "a route", readers, report)
    if found is None:
        return None
    if "path" not in found:
        missing(node, "path", "a route", "write `path: /...`", report)
    said = read_known(found, readers, report)
    blind = "path" not in said or any(key in found and key not in said for key in ("methods", "host"))
    settings = inherited.settings.get(said.get("group", ""), inherited.settings[""]) | said
    _check_sides(found, settings, report)
    _check_finalised(node, said, settings, "the route", report)
    return None if blind else _built(node, found, settings, inherited.seeds, report)


def _built(node: Node, found: Map[str, Entry], settings: Values, seeds: Map[str, str], report: Report) -> _Read:
    """A route of good path, methods and host; for anything else that is bad something harmless stands in."""
    name = settings.get("name") or _default_name(settings, node, "name" in found, report)
    finalised = settings.get("finalised", False)
    group = settings.get("group", "")
    route = Route(
        name=name,
        path=settings["path"],
        legacy=settings["legacy"],
        methods=settings.get("methods", ()),
        host=settings.get("host", ""),
        new=settings.get("new"),
        weight=settings.get("weight", 0),
        group=group,
        seed=settings.get("seed") or seeds.get(group) or name,
        subject=settings.get("subject", DEFAULT_SUBJECT),
        timeouts=timeouts(settings),
        fallback=Fallback() if finalised else settings.get("fallback", Fallback()),
        idempotent=settings.get("idempotent", False),
        trailing_slash=settings.get("trailing_slash", SlashRule.STRICT),
        expose=settings.get("expose", Expose.ALWAYS),
        shadow=check_shadow(node, found, settings, report),
        compare=settings.get("compare", Comparing()),
        rollout=settings.get("rollout", ""),
        overflow=not finalised and settings.get("overflow", True) is True,
        finalised=finalised,
        panic=settings.get("panic", Panic.OPEN),
        breaker=None if finalised else settings.get("breaker", Breaker()) or None,
        line=node.line,
    )
    return _Read(route, node, "name" in settings)


def _default_name(said: Values, node: Node, bad_name: bool, report: Report) -> str:
    """`GET,POST shop.example.com/v1/products`."""
    name = f"{','.join(said.get('methods', ())) or 'ANY'} {said.get('host', '')}{said['path']}"
    if not bad_name and (trouble := values.name_trouble(name)):
        report.problem(node, Code.BAD_NAME, *trouble)
    return name


def _check_sides(found: Map[str, Entry], settings: Values, report: Report) -> None:
    new = settings.get("new")
    if new is None and settings.get("weight"):
        what = "the route has a weight, but no `new` upstream to send it to"
        instead = "name one with `new:` in the route, its group or `defaults`, or leave the weight out"
        report.problem(found["weight"], Code.NO_NEW_SIDE, what, instead)
    elif new and new == settings["legacy"] and "path" in found:
        what = "both sides of a route are the same upstream, so its weight moves nothing"
        report.note(found["path"], Code.NO_EFFECT, what, "name another upstream with `new:` if that is not meant")


def _check_finalised(node: Node, said: Values, settings: Values, label: str, report: Report) -> None:
    """What sends requests to legacy after all must not stand beside `finalised`; what is inherited just has no say."""
    if not settings.get("finalised"):
        return
    written = {each.key: each for each in node.entries} if isinstance(node, Mapping) else {}
    for key in ("fallback", "overflow", "breaker"):
        if said.get(key):
            what = f"{label} is finalised, so legacy never answers instead of the new side, but `{key}` says it does"
            report.problem(written[key], Code.CONTRADICTION, what, f"remove `{key}`, or `finalised`")
    if "finalised" in written and "path" in written and settings.get("new") is None:
        what = "the route is finalised, but has no `new` upstream"
        report.problem(written["finalised"], Code.NO_NEW_SIDE, what, "name it with `new:`, or remove `finalised`")


def _check_unique(routes: list[_Read], report: Report) -> None:
    """No two routes of one name, and none that the matching rules cannot tell apart."""
    first: dict[str, int] = {}
    same_name: set[tuple[int, int]] = set()
    for index, read in enumerate(routes):
        other = first.setdefault(read.route.name, index)
        if other != index:
            same_name.add((other, index))
            what = f"the route on line {routes[other].place.line} is called {show(read.route.name)} too"
            report.problem(read.place, Code.DUPLICATE, what, _rename(read, routes[other]))
    for one, two, why in conflicts([read.route for read in routes]):
        if (one, two) not in same_name:
            what = f"this route and the one on line {routes[one].place.line} cannot be told apart: {why}"
            report.problem(routes[two].place, Code.CONFLICT, what, _DIFFER)


_DIFFER: Final = "remove one, or give them different paths, methods or hosts"


def _rename(read: _Read, other: _Read) -> str:
    return "give one of the two another `name`" if read.named or other.named else _DIFFER


# -------------------------------------------------------------------------------------------------- schemas


_GROUP: Final[Readers] = {"owner": plain_text, "cap": percent, "seed": plain_text, "compare": comparing}
_ROUTE: Final[Readers] = {
    "path": values.path,
    "methods": values.methods,
    "name": values.route_name,
    "weight": percent,
    "host": values.host,
    "compare": comparing,
    "seed": plain_text,
}
